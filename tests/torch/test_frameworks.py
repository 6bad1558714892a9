"""Layers of frameworks as nodes: every spike and potential of a layer, bit for bit.

The layers are stand-ins with the frameworks' equations; tests/interop compares the frameworks
themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Input, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.torch.frameworks import rockpool, sinabs, snntorch, spikingjelly
from nrf_deploy.torch.frameworks.base import Call, Framework, Piece
from tests.builders import foreign_modules as theirs

N, STEPS = 24, 60
SNN, JELLY = snntorch.FRAMEWORK, spikingjelly.FRAMEWORK
SINABS, ROCKPOOL = sinabs.FRAMEWORK, rockpool.FRAMEWORK
FIRST = np.linspace(0.1, 1, N).astype(np.float32)
SOME = torch.tensor(FIRST)


def inputs() -> Iterator[Any]:
    """Yield strong and mostly negative input, and multiples of 1/4, for ties."""
    draw = np.random.default_rng(14)
    for mean, width in ((0.7, 1.2), (-0.5, 1.2)):
        yield draw.normal(mean, width, (STEPS, N)).astype(np.float32)
    yield (np.rint(draw.normal(1.2, 2.5, (STEPS, N))) / 4).astype(np.float32)


def reading(framework: Framework, module: Any, dt: float = 1.0) -> Piece:
    return framework.read(Call("n", module, ("in",), (N,), (N,), in_model=True), dt)


def whole(piece: Piece, dt: float) -> Network:
    ends = Input(name="in", port_shape=(N,)), Output(name="out", port_shape=(N,))
    edges = ("in", piece.first), *piece.edges, (piece.last, "out")
    start = piece.loop_start or "bias"
    return Network((ends[0], *piece.nodes, ends[1]), edges, dt, loop_start=start)


def framework_run(framework: Framework, module: Any, x: Any) -> tuple[Any, Any]:
    """Run a layer step by step; return what it gives and the potentials that it shows."""
    leading = len(framework.time(module) or ("B",))
    values, shown = [], []
    with framework.prepare(module), torch.no_grad():
        for frame in torch.tensor(x):
            output = module(frame.reshape(*(1,) * leading, N))
            signal = output[0] if isinstance(output, tuple) else output
            values.append(signal.reshape(N).numpy().copy())
            v = framework.potential(module, output)
            shown.append(None if v is None else v.reshape(N).numpy().copy())
    return np.array(values), shown


def equal(framework: Framework, module: Any, dt: float = 1.0, potentials: bool = True) -> None:
    piece = reading(framework, module, dt)
    fired = 0.0
    for x in inputs():
        expected, shown = framework_run(framework, module, x)
        name = next(n.name for n in piece.nodes if type(n) is Population)
        trace = run(whole(piece, dt), Recording.from_dense(x), record=[piece.last], states=[name])
        assert np.array_equal(trace.outputs[piece.last].dense(), expected)
        if potentials and shown[0] is not None:
            assert np.array_equal(trace.states[name]["v"], np.array(shown))
        fired += np.abs(expected).sum()
    assert fired > 0


def refusal(framework: Framework, module: Any, dt: float = 1.0) -> str:
    with pytest.raises(TargetError) as e:
        reading(framework, module, dt)
    (finding,) = e.value.findings
    assert finding.code == "EXPORT-LAYER"
    assert finding.fix
    assert finding.what.startswith(f"{type(module).__name__} of {framework.name}: ")
    return finding.what


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("delay", [True, False])
def test_the_resets_of_snntorch(reset: str, delay: bool) -> None:
    how: dict[str, Any] = {"reset_mechanism": reset, "reset_delay": delay}
    for beta, threshold in ((0.9, 1.0), (1.0, 0.7), (SOME, 1.3 - SOME), (0.0, 1.0)):
        equal(SNN, theirs.Leaky(beta, threshold, **how))
    equal(SNN, theirs.Synaptic(0.7, **how, alpha=theirs.number(0.8)))
    equal(SNN, theirs.Synaptic(1.0, **how, alpha=SOME * 0.9))
    equal(SNN, theirs.RLeaky(0.5, **how, recurrent=back()), potentials=False)


def back() -> Any:
    """Return weights and biases in quarters, so that sums do not round."""
    linear = torch.nn.Linear(N, N)
    draw = np.random.default_rng(3)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(np.rint(draw.normal(-0.5, 1, (N, N))) / 16))
        linear.bias.copy_(torch.tensor(np.rint(draw.normal(0, 2, N)) / 4))
    return linear


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_a_lapicque_of_snntorch_scales_its_input_in_three_steps(reset: str) -> None:
    numbers = {k: theirs.number(v) for k, v in (("R", 5.1), ("C", 5e-3), ("time_step", 1e-3))}
    equal(SNN, theirs.Lapicque(0.0, 0.2, reset, **numbers))


def test_graded_spikes_of_snntorch_scale_the_output_alone() -> None:
    equal(SNN, theirs.Leaky(0.9, graded_spikes_factor=theirs.number(0.3)))


def test_the_neurons_of_snntorch_that_are_refused() -> None:
    leaky = theirs.Leaky(0.9)
    leaky.reset_mechanism_val.fill_(1)
    assert "reset_mechanism was changed to 'zero'" in refusal(SNN, leaky)
    assert "inhibition" in refusal(SNN, theirs.Leaky(0.9, inhibition=True))
    assert "state_quant" in refusal(SNN, theirs.Leaky(0.9, state_quant=abs))
    assert "does not decay" in refusal(SNN, theirs.Synaptic(0.9, alpha=theirs.number(1.0)))
    assert "threshold is -1" in refusal(SNN, theirs.Leaky(0.9, -1.0))
    assert "(7,)" in refusal(SNN, theirs.Leaky(torch.rand(7)))
    assert "float64" in refusal(SNN, theirs.Leaky(SOME.double()))
    assert "rounded away" in refusal(SNN, theirs.Leaky(1e-12))
    assert "sigmoid" in refusal(SNN, theirs.Leaky(0.9, spike_grad=torch.sigmoid))
    assert "spike_grad" in refusal(SNN, theirs.Leaky(0.9, spike_grad=lambda x: (x >= 0).float()))
    rc = {"R": theirs.number(1), "C": theirs.number(0.8), "time_step": theirs.number(1)}
    assert "changes its sign" in refusal(SNN, theirs.Lapicque(0.3, **rc))


@pytest.mark.parametrize("v_reset", [0.0, None, -0.3])
def test_the_neurons_of_spikingjelly(v_reset: float | None) -> None:
    equal(JELLY, theirs.IFNode(v_reset=v_reset))
    equal(JELLY, theirs.CUBALIFNode(0.5, v_reset, c_decay=0.5, v_decay=0.75))
    for decay_input in (True, False):
        for tau in (2.0, 3.7):
            equal(JELLY, theirs.LIFNode(0.3, v_reset, tau=tau, decay_input=decay_input))
            node = theirs.LIFNode(0.3, v_reset, tau=tau, decay_input=decay_input)
            equal(JELLY, node, dt=1e-3)
        node = theirs.ParametricLIFNode(0.3, v_reset, w=torch.tensor(-1.1), decay_input=decay_input)
        equal(JELLY, node)


def test_the_first_potential_of_spikingjelly_is_the_one_that_reset_sets() -> None:
    node = theirs.IFNode(0.8, None)
    node._memories_rv["v"] = 0.4
    equal(JELLY, node)
    node = theirs.LIFNode(0.3, 0.1, tau=2.0, decay_input=True)
    node.v_reset = -0.2
    equal(JELLY, node)


def test_the_neurons_of_spikingjelly_that_are_refused() -> None:
    node = theirs.IFNode()
    node.surrogate_function.spiking = False
    assert "spiking=False" in refusal(JELLY, node)
    assert "surrogate" in refusal(JELLY, theirs.IFNode(surrogate_function=torch.nn.ReLU()))
    node = theirs.LIFNode(tau=1.0, decay_input=True)
    assert "tau is 1" in refusal(JELLY, node)
    assert "precision" in refusal(JELLY, theirs.IFNode(_neuron_precision=("fp16",)))


@pytest.mark.parametrize("spikes", [theirs.MultiSpike, theirs.SingleSpike, theirs.MaxSpike(2)])
@pytest.mark.parametrize("floor", [None, -0.5])
def test_the_layers_of_sinabs(spikes: Any, floor: float | None) -> None:
    how = {"spike_fn": spikes, "min_v_mem": floor}
    equal(SINABS, theirs.IAF(**how))
    equal(SINABS, theirs.IAF(**how, spike_threshold=theirs.number(0.3)))
    equal(SINABS, theirs.IAF(**how, reset_fn=theirs.MembraneReset()))
    equal(SINABS, theirs.IAF(**how, alpha_syn=0.8))
    for norm in (True, False):
        equal(SINABS, theirs.LIF(0.7, norm_input=norm, **how))
        equal(SINABS, theirs.LIF(SOME * 0.9, 0.6, norm_input=norm, **how))


def test_an_exp_leak_of_sinabs_gives_its_potential() -> None:
    equal(SINABS, theirs.ExpLeak(0.9, spike_fn=None))
    leak = theirs.ExpLeak(0.9, spike_fn=None, min_v_mem=-1.0)
    assert "min_v_mem" in refusal(SINABS, leak)


def test_the_layers_of_sinabs_that_are_refused() -> None:
    assert "MembraneReset(0.2)" in refusal(SINABS, theirs.IAF(reset_fn=theirs.MembraneReset(0.2)))
    assert "reset_fn" in refusal(SINABS, theirs.IAF(reset_fn=abs))
    assert "spike_fn" in refusal(SINABS, theirs.IAF(spike_fn=abs))
    assert "keeps 1.5" in refusal(SINABS, theirs.LIF(1.5))
    assert "rec_connect is ReLU" in refusal(SINABS, theirs.IAF(rec_connect=torch.nn.ReLU()))


def test_a_recurrent_layer_of_sinabs_starts_without_the_bias() -> None:
    layer = theirs.IAF(rec_connect=back())
    piece = reading(SINABS, layer)
    assert piece.loop_start == "zero"
    assert piece.edges == (("n", "n.rec_connect"), ("n.rec_connect", "n"))


@pytest.mark.parametrize("limit", [2.0**16, 1.0])
def test_the_modules_of_rockpool(limit: float) -> None:
    decays = {"alpha": SOME * 0.99, "beta": (SOME * 0.9)[:, None]}
    flat = {"alpha": SOME * 0.99, "beta": SOME * 0.9}
    for bias in (torch.zeros(N), SOME - 0.5):
        module = theirs.LIFTorch(N, limit, **flat, bias=bias)
        equal(ROCKPOOL, module, 1e-3)
        equal(ROCKPOOL, theirs.LIFNeuronTorch(N, limit, tau_mem=SOME / 30, bias=bias), 1e-3)
    assert reading(ROCKPOOL, theirs.LIFTorch(N, limit, **decays), 1e-3)
    equal(ROCKPOOL, theirs.ExpSynTorch(N, tau=SOME / 30), 1e-3)
    module = theirs.LIFTorch(N, limit, alpha=SOME * 0.5, beta=SOME * 0.5, w_rec=back().weight.T)
    equal(ROCKPOOL, module, 1e-3, potentials=False)


def test_the_modules_of_rockpool_that_are_refused() -> None:
    flat = {"alpha": SOME * 0.99, "beta": SOME * 0.9}
    assert "noise_std" in refusal(ROCKPOOL, theirs.LIFTorch(N, **flat, noise_std=0.1))
    assert "2 synapses" in refusal(ROCKPOOL, theirs.LIFTorch(N, **flat, n_synapses=2))
    module = theirs.LIFTorch(N, **flat, spike_generation_fn=theirs.over)
    assert "spike_generation_fn" in refusal(ROCKPOOL, module)


@pytest.mark.parametrize(
    ("framework", "module"),
    [
        (SNN, theirs.Leaky(0.9)),
        (JELLY, theirs.IFNode()),
        (SINABS, theirs.IAF()),
        (ROCKPOOL, theirs.LIFTorch(N, alpha=SOME, beta=SOME)),
    ],
)
def test_a_subclass_and_a_replaced_method_are_refused(framework: Framework, module: Any) -> None:
    cls = type(module)
    module.__class__ = type("Mine", (cls,), {"__module__": "mine"})
    assert framework.leaf(module)
    assert f"subclass of {cls.__name__}" in refusal(framework, module)
    module.__class__ = cls
    module.forward = lambda x: x
    assert "method 'forward' is replaced" in refusal(framework, module)
    del module.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "forward", lambda self, x: x)
        assert "method 'forward' is replaced" in refusal(framework, module)
    module.__class__ = type("Unknown", (cls,), {"__module__": cls.__module__})
    assert "no exact counterpart" in refusal(framework, module)
