"""Stand-ins for neurons of frameworks that are not installed where the tests run.

Each has the class name, the module path and the attributes of the framework's own class, and its
step is the framework's equation, operation by operation. `make interop` runs the frameworks
themselves; these keep the readers tested without them.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import torch
from torch import nn


def of(module: str) -> Any:
    """Return a decorator that moves a class and its methods into a module."""

    def move(cls: Any) -> Any:
        cls.__module__ = module
        for value in vars(cls).values():
            if isinstance(value, FunctionType):
                value.__module__ = module
        cls.__qualname__ = cls.__name__
        return cls

    return move


def number(value: Any) -> Any:
    return torch.as_tensor(value)


def over(x: Any) -> Any:
    return (x > 0).float()


# --- snnTorch -----------------------------------------------------------------------------


class _Snn(nn.Module):
    RESETS = ("subtract", "zero", "none")

    def __init__(self, beta: Any, threshold: Any = 1.0, reset_mechanism: str = "subtract",
                 reset_delay: bool = True, **more: Any):  # fmt: skip
        super().__init__()
        self.beta, self.threshold = number(beta), number(threshold)
        self.inhibition = self.state_quant = self.output = self.init_hidden = False
        self.spike_grad, self.reset_delay = over, reset_delay
        self.graded_spikes_factor = number(1.0)
        for name, value in more.items():
            setattr(self, name, value)
        index = self.RESETS.index(reset_mechanism)
        self.register_buffer("reset_mechanism_val", torch.tensor(index))
        self.state_function = (self._base_sub, self._base_zero, self._base_int)[index]
        for state in ("mem", "syn", "spk"):
            self.register_buffer(state, torch.zeros(0), False)

    def started(self, x: Any) -> None:
        for state in ("mem", "syn", "spk"):
            if getattr(self, state).shape != x.shape:
                setattr(self, state, torch.zeros_like(x))

    def forward(self, x: Any, *states: Any) -> Any:
        self.started(x)
        r = over(self.mem - self.threshold)
        self.mem = self.state_function(x, r)
        self.spk = over(self.mem - self.threshold)
        if not self.reset_delay and self.reset_mechanism_val == 0:
            self.mem = self.mem - (self.spk - r) * self.threshold
        elif not self.reset_delay and self.reset_mechanism_val == 1:
            self.mem = self.mem - (self.spk - r) * self.mem
        spikes = self.spk * self.graded_spikes_factor
        return spikes if self.init_hidden else (spikes, self.mem)

    def reset_mem(self) -> Any:
        self.mem = torch.zeros_like(self.mem)
        return self.mem

    def moved(self, x: Any) -> Any:
        return self.beta.clamp(0, 1) * self.mem + x

    def _base_sub(self, x: Any, r: Any) -> Any:
        return self.moved(x) - r * self.threshold

    def _base_zero(self, x: Any, r: Any) -> Any:
        v = self.moved(x)
        return v - r * v

    def _base_int(self, x: Any, r: Any) -> Any:
        return self.moved(x)


@of("snntorch._neurons.leaky")
class Leaky(_Snn):
    def forward(self, x: Any, *states: Any) -> Any:
        return super().forward(x, *states)

    def _base_zero(self, x: Any, r: Any) -> Any:
        self.mem = (1 - r) * self.mem
        return self.moved(x)


@of("snntorch._neurons.synaptic")
class Synaptic(_Snn):
    def forward(self, x: Any, *states: Any) -> Any:
        return super().forward(x, *states)

    def moved(self, x: Any) -> Any:
        self.syn = self.alpha.clamp(0, 1) * self.syn + x
        return self.beta.clamp(0, 1) * self.mem + self.syn


@of("snntorch._neurons.rleaky")
class RLeaky(_Snn):
    def forward(self, x: Any, *states: Any) -> Any:
        return super().forward(x, *states)

    def moved(self, x: Any) -> Any:
        return self.beta.clamp(0, 1) * self.mem + x + self.recurrent(self.spk)


@of("snntorch._neurons.lapicque")
class Lapicque(_Snn):
    def forward(self, x: Any, *states: Any) -> Any:
        return super().forward(x, *states)

    def moved(self, x: Any) -> Any:
        rc = self.R * self.C
        return x * self.R * (1 / rc) * self.time_step + (1 - self.time_step / rc) * self.mem


# --- SpikingJelly -------------------------------------------------------------------------


class _Node(nn.Module):
    def __init__(self, v_threshold: float = 1.0, v_reset: float | None = 0.0, **more: Any):
        super().__init__()
        self.v_threshold, self.v_reset, self.step_mode = v_threshold, v_reset, "s"
        self.surrogate_function = Step()
        self._memories_rv = {"v": 0.0 if v_reset is None else v_reset, "c": 0.0}
        for name, value in more.items():
            setattr(self, name, value)
        self.reset()

    def reset(self) -> None:
        self._memories = dict(self._memories_rv)

    def forward(self, x: Any) -> Any:
        v = self._memories["v"] + torch.zeros_like(x)
        h = self.charged(v, x)
        s = (h - self.v_threshold >= 0).float()
        soft = self.v_reset is None
        self._memories["v"] = h - s * self.v_threshold if soft else s * self.v_reset + (1.0 - s) * h
        return s

    def charged(self, v: Any, x: Any) -> Any:
        return v + x


class Step(nn.Module):
    spiking = True

    def forward(self, x: Any) -> Any:
        return (x >= 0).to(x)


@of("spikingjelly.activation_based.neuron.integrate_and_fire")
class IFNode(_Node):
    def forward(self, x: Any) -> Any:
        return super().forward(x)


@of("spikingjelly.activation_based.neuron.lif")
class LIFNode(_Node):
    def forward(self, x: Any) -> Any:
        return super().forward(x)

    def charged(self, v: Any, x: Any) -> Any:
        rest = 0.0 if self.v_reset is None else self.v_reset
        if self.decay_input:
            return v + (x - (v - rest)) / self.tau
        return v - (v - rest) / self.tau + x


@of("spikingjelly.activation_based.neuron.plif")
class ParametricLIFNode(_Node):
    def forward(self, x: Any) -> Any:
        return super().forward(x)

    def charged(self, v: Any, x: Any) -> Any:
        rest, q = 0.0 if self.v_reset is None else self.v_reset, self.w.sigmoid()
        return v + (x - (v - rest)) * q if self.decay_input else v - (v - rest) * q + x


@of("spikingjelly.activation_based.neuron.lif_variants")
class CUBALIFNode(_Node):
    def forward(self, x: Any) -> Any:
        return super().forward(x)

    def charged(self, v: Any, x: Any) -> Any:
        self._memories["c"] = self._memories["c"] * self.c_decay + x
        return v * self.v_decay + self._memories["c"]


@of("spikingjelly.activation_based.layer.stateless_wrapper")
class Conv2d(nn.Conv2d):
    step_mode = "s"

    def forward(self, x: Any) -> Any:
        return super().forward(x)


@of("spikingjelly.activation_based.layer.bn")
class BatchNorm2d(nn.BatchNorm2d):
    step_mode = "s"

    def forward(self, x: Any) -> Any:
        return super().forward(x)


@of("spikingjelly.activation_based.layer.container")
class LinearRecurrentContainer(nn.Module):
    def __init__(self, sub_module: Any, inputs: int, outputs: int):
        super().__init__()
        self.sub_module, self.rc = sub_module, nn.Linear(inputs + outputs, inputs)
        self.outputs, self.step_mode = outputs, "s"
        self._memories: dict[str, Any] = {"y": None}

    def reset(self) -> None:
        self._memories["y"] = None

    def forward(self, x: Any) -> Any:
        y = self._memories["y"]
        y = x.new_zeros(len(x), self.outputs) if y is None else y
        self._memories["y"] = self.sub_module(self.rc(torch.cat((x, y), dim=-1)))
        return self._memories["y"]


# --- sinabs -------------------------------------------------------------------------------


@of("sinabs.activation.spike_generation")
class MultiSpike:
    pass


@of("sinabs.activation.spike_generation")
class SingleSpike:
    pass


@of("sinabs.activation.spike_generation")
class MaxSpike:
    def __init__(self, limit: int):
        self.max_num_spikes_per_bin = limit


@of("sinabs.activation.reset_mechanism")
class MembraneSubtract:
    subtract_value: float | None = None


@of("sinabs.activation.reset_mechanism")
class MembraneReset:
    def __init__(self, reset_value: float = 0.0):
        self.reset_value = reset_value


class _Sinabs(nn.Module):
    def __init__(self, alpha: Any, alpha_syn: Any = None, norm_input: bool = False,
                 spike_fn: Any = MultiSpike, min_v_mem: Any = None, **more: Any):  # fmt: skip
        super().__init__()
        self.alpha_mem_calculated = number(alpha)
        self.alpha_syn_calculated = None if alpha_syn is None else number(alpha_syn)
        self.norm_input, self.spike_fn, self.record_states = norm_input, spike_fn, False
        self.spike_threshold, self.reset_fn = number(1.0), MembraneSubtract()
        self.min_v_mem = None if min_v_mem is None else number(min_v_mem)
        for name in ("v_mem", "i_syn"):
            self.register_buffer(name, torch.zeros(0))
        for name, value in more.items():
            setattr(self, name, value)

    def is_state_initialised(self) -> bool:
        return bool(self.v_mem.numel())

    def forward(self, x: Any) -> Any:
        if not self.is_state_initialised():
            self.v_mem, self.i_syn = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
        steps = [(self.step(x[:, t]), self.v_mem) for t in range(x.shape[1])]
        if self.record_states:
            self.recordings = {"v_mem": torch.stack([v for _, v in steps], 1)}
        return torch.stack([y for y, _ in steps], 1)

    def step(self, x: Any) -> Any:
        a, d = self.alpha_syn_calculated, self.alpha_mem_calculated
        self.i_syn = x if a is None else a * (self.i_syn + x)
        y = (1 - d) * self.i_syn if self.norm_input else self.i_syn
        v = d * self.v_mem + y
        if self.spike_fn is None:
            self.v_mem = v
            return v.clone()
        if self.spike_fn is SingleSpike:
            s = (v - self.spike_threshold >= 0).float()
        else:
            s = (v > 0) * torch.div(v, self.spike_threshold, rounding_mode="trunc").float()
            if isinstance(self.spike_fn, MaxSpike):
                s = torch.clamp(s, max=self.spike_fn.max_num_spikes_per_bin)
        if isinstance(self.reset_fn, MembraneReset):
            v = v * (s == 0).float() + self.reset_fn.reset_value
        else:
            v = v - s * self.spike_threshold
        if self.min_v_mem is not None:
            v = nn.functional.relu(v - self.min_v_mem) + self.min_v_mem
        self.v_mem = v
        return s


@of("sinabs.layers.iaf")
class IAF(_Sinabs):
    def __init__(self, **more: Any):
        super().__init__(1.0, **more)

    def forward(self, x: Any) -> Any:
        return super().forward(x)


@of("sinabs.layers.lif")
class LIF(_Sinabs):
    def forward(self, x: Any) -> Any:
        return super().forward(x)


@of("sinabs.layers.exp_leak")
class ExpLeak(_Sinabs):
    def forward(self, x: Any) -> Any:
        return super().forward(x)


@of("sinabs.layers.iaf")
class IAFSqueeze(IAF):
    batch_size, num_timesteps = 1, -1

    def forward(self, x: Any) -> Any:
        return super().forward(x[None])[0]

    def squeeze_forward(self) -> None:
        raise NotImplementedError


@of("sinabs.network")
class Network(nn.Module):
    def __init__(self, analog_model: nn.Module, spiking_model: nn.Module):
        super().__init__()
        self.analog_model, self.spiking_model = analog_model, spiking_model

    def forward(self, x: Any) -> Any:
        return self.spiking_model(x)


# --- Rockpool -----------------------------------------------------------------------------


@of("rockpool.nn.modules.torch.lif_torch")
class StepPWL:
    @classmethod
    def apply(cls, v: Any, threshold: Any, limit: Any) -> Any:
        return torch.minimum((v >= threshold) * torch.floor(v / threshold), limit)


class Dictionaries(nn.Module):
    """A module whose methods give dictionaries, and whose call gives a tuple, as Rockpool's do."""

    def modules(self) -> Any:
        return {}

    def parameters(self) -> Any:
        return {}

    def __call__(self, x: Any, record: bool = False) -> Any:
        return nn.Module.__call__(self, x), {}, {}


class _Rockpool(Dictionaries):
    def __init__(self, size: int, limit: float = 2.0**16, **more: Any):
        super().__init__()
        self.dt, self.noise_std, self.n_synapses = 1e-3, 0.0, 1
        self.bias, self.threshold = torch.zeros(size), torch.ones(size)
        self.max_spikes_per_dt, self.spike_generation_fn = number(limit), StepPWL.apply
        self.w_rec = torch.zeros(size, size)
        for name in ("vmem", "isyn", "spikes"):
            self.register_buffer(name, torch.zeros(size))
        for name, value in more.items():
            setattr(self, name, value)

    def forward(self, x: Any) -> Any:
        return torch.stack([self.step(x[:, t]) for t in range(x.shape[1])], 1)

    def fired(self, v: Any) -> Any:
        n = self.spike_generation_fn(v, self.threshold, self.max_spikes_per_dt)
        self.vmem, self.spikes = (v - n * self.threshold)[0], n[0]
        return n


@of("rockpool.nn.modules.torch.lif_torch")
class LIFTorch(_Rockpool):
    def forward(self, x: Any) -> Any:
        return super().forward(x)

    def step(self, x: Any) -> Any:
        i = self.isyn + x + self.spikes @ self.w_rec
        v, i = self.vmem * self.alpha, i * self.beta
        self.isyn = i[0]
        return self.fired(v + i + self.bias)


@of("rockpool.nn.modules.torch.lif_neuron_torch")
class LIFNeuronTorch(_Rockpool):
    def forward(self, x: Any) -> Any:
        return super().forward(x)

    def step(self, x: Any) -> Any:
        return self.fired(self.vmem * torch.exp(-self.dt / self.tau_mem) + x + self.bias)


@of("rockpool.nn.modules.torch.exp_syn_torch")
class ExpSynTorch(_Rockpool):
    def __init__(self, size: int, **more: Any):
        super().__init__(size, **more)
        del self.vmem

    def forward(self, x: Any) -> Any:
        return super().forward(x)

    def step(self, x: Any) -> Any:
        i = (self.isyn + x) * torch.exp(-self.dt / self.tau)
        self.isyn = i[0]
        return i


@of("rockpool.nn.modules.torch.linear_torch")
class LinearTorch(Dictionaries):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), None

    def forward(self, x: Any) -> Any:
        return nn.functional.linear(x, self.weight.T)


@of("rockpool.nn.combinators.sequential")
class TorchSequential(Dictionaries):
    def __init__(self, *layers: Any):
        super().__init__()
        self.names = [f"{i}_{type(m).__name__}" for i, m in enumerate(layers)]
        for name, layer in zip(self.names, layers, strict=True):
            setattr(self, name, layer)

    def __call__(self, x: Any, record: bool = False) -> Any:
        for name in self.names:
            x, _, _ = getattr(self, name)(x)
        return x, {}, {}

    forward = __call__
