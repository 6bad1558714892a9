"""Modules with loops: feedback, loops over time in the module, and layers over time.

Weights and inputs are multiples of 1/8, so that every bit can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import InputError, NrfError, TargetError
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.torch import from_torch

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
norse = pytest.importorskip("norse.torch", reason="norse is absent: pip install '.[models]'")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

STEPS = 24
WIDTH = 6


def dyadic(module: Any, seed: int = 0) -> Any:
    """Draw weights that are multiples of 1/8, negative ones among them."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.from_numpy(rng.integers(-6, 12, p.shape).astype(np.float32) / 8))
    return module.eval()


def lif() -> Any:
    return norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(250.0)))


def frames(shape: tuple[int, ...] = (WIDTH,)) -> Any:
    rng = np.random.default_rng(1)
    return torch.from_numpy((rng.random((STEPS, *shape)) < 0.4).astype(np.float32))


def in_reference(network: Network, inputs: Any) -> Any:
    recording = Recording.from_dense(inputs.numpy(), 1e-3)
    return run(network, recording, record=["output"]).outputs["output"].dense()


class Parts(nn.Module):  # type: ignore[misc]
    """Two populations with connections in, between, back and out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.back, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        self.l, self.m, self.li = lif(), lif(), norse.LIBoxCell()


class BothWays(Parts):
    """Spikes of the second population lead back to the first, from zeros."""

    def forward(self, x: Any, st: Any = None) -> Any:
        z, s0, s1, s2 = st or (torch.zeros(x.shape[0], WIDTH), None, None, None)
        y, s0 = self.l(self.a(x) + self.back(z), s0)
        z, s1 = self.m(self.b(y), s1)
        v, s2 = self.li(self.out(z), s2)
        return v, (z, s0, s1, s2)


class FromNone(Parts):
    """The same, and without the connection back in the first step."""

    def forward(self, x: Any, st: Any = None) -> Any:
        z, s0, s1, s2 = st or (None, None, None, None)
        i = self.a(x)
        i = i if z is None else i + self.back(z)
        y, s0 = self.l(i, s0)
        z, s1 = self.m(self.b(y), s1)
        v, s2 = self.li(self.out(z), s2)
        return v, (z, s0, s1, s2)


class Kept(Parts):
    """The state in the module."""

    def __init__(self) -> None:
        super().__init__()
        self.state: Any = None
        del self.b, self.m

    def forward(self, x: Any) -> Any:
        z, s0, s2 = self.state or (x.new_zeros(1, WIDTH), None, None)
        z, s0 = self.l(self.a(x) + self.back(z), s0)
        v, s2 = self.li(self.out(z), s2)
        self.state = (z, s0, s2)
        return v


class Late(Parts):
    """The second population takes the spikes of the step before: a delay, and no loop."""

    def __init__(self) -> None:
        super().__init__()
        del self.back

    def forward(self, x: Any, st: Any = None) -> Any:
        z, s0, s1, s2 = st or (torch.zeros_like(x), None, None, None)
        y, s1 = self.m(self.b(z), s1)
        z, s0 = self.l(self.a(x), s0)
        v, s2 = self.li(self.out(y), s2)
        return v, (z, s0, s1, s2)


class WithinTheSum(Parts):
    """Input and spikes go through the same layer."""

    def __init__(self) -> None:
        super().__init__()
        del self.back, self.b, self.m

    def forward(self, x: Any, st: Any = None) -> Any:
        z, s0, s2 = st or (torch.zeros_like(x), None, None)
        z, s0 = self.l(self.a(x + z), s0)
        v, s2 = self.li(self.out(z), s2)
        return v, (z, s0, s2)


def by_step(module: Any, inputs: Any) -> Any:
    """Return the module's output in every step, with its state passed back."""
    outputs, state = [], ()
    with torch.no_grad():
        for x in inputs:
            value = module(x[None], *state)
            value, state = (value[0], (value[1],)) if isinstance(value, tuple) else (value, ())
            outputs.append(value[0].numpy())
    return np.stack(outputs)


@pytest.mark.parametrize(
    ("make", "back", "start"),
    [
        (BothWays, {("back", "l")}, "bias"),
        (FromNone, {("back", "l")}, "zero"),
        (Kept, {("back", "l")}, "bias"),
        (WithinTheSum, {("l", "a")}, "bias"),
        (Late, set(), "bias"),
    ],
)
def test_feedback_is_as_in_the_module(make: Any, back: set[Any], start: str) -> None:
    module, inputs = dyadic(make()), frames()
    network = from_torch(module, (WIDTH,))[0]
    assert network.back_edges == back
    assert network.loop_start == start
    wanted = by_step(module, inputs)
    assert np.count_nonzero(wanted)
    np.testing.assert_array_equal(in_reference(network, inputs), wanted)


class OverSteps(Parts):
    """A loop over the axis of time, as in Norse's tutorials."""

    def __init__(self, first: bool = True) -> None:
        super().__init__()
        self.first = first
        del self.b, self.m, self.back
        self.l = norse.LIFRecurrentCell(WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        s0 = s2 = None
        outputs = []
        for t in range(x.shape[0] if self.first else x.shape[1]):
            z, s0 = self.l(self.a((x[t] if self.first else x[:, t]).view(-1, WIDTH)), s0)
            v, s2 = self.li(self.out(z), s2)
            outputs.append(v)
        return torch.stack(outputs, 0 if self.first else 1)


def layers() -> Any:
    return norse.SequentialState(
        norse.Lift(nn.Linear(WIDTH, WIDTH)),
        norse.LIFRecurrent(WIDTH, WIDTH),
        norse.LIF(norse.LIFParameters(v_th=torch.tensor(0.1))),
        norse.Lift(nn.Linear(WIDTH, 3)),
        norse.LI(),
    )


@pytest.mark.parametrize("make", [OverSteps, lambda: OverSteps(False), layers])
def test_a_module_that_takes_all_steps_is_followed_step_by_step(make: Callable[[], Any]) -> None:
    module, inputs = dyadic(make(), 3), frames()
    network = from_torch(module, (WIDTH,))[0]
    first = getattr(module, "first", True)
    with torch.no_grad():
        wanted = module(inputs[:, None] if first else inputs[None])
    wanted = (wanted[0] if isinstance(wanted, tuple) else wanted).squeeze(1 if first else 0)
    assert np.count_nonzero(wanted)
    np.testing.assert_array_equal(in_reference(network, inputs), wanted.numpy())


class Repeated(Parts):
    """A loop of the module over one input; the host takes the mean."""

    def __init__(self) -> None:
        super().__init__()
        del self.b, self.m

    def forward(self, x: Any) -> Any:
        z, s0, s2 = torch.zeros(1, WIDTH), None, None
        record = torch.zeros(STEPS, 1, 3)
        i = self.a(x)
        for t in range(STEPS):
            z, s0 = self.l(i + self.back(z), s0)
            v, s2 = self.li(self.out(z), s2)
            record[t] = v
        return F.softmax(record.mean(0), -1)


def test_a_loop_over_one_input_is_followed_and_its_mean_left_to_the_host() -> None:
    module, x = dyadic(Repeated()), frames()[:1]
    network, findings, _ = from_torch(module, (WIDTH,))
    assert [f.code for f in findings] == ["EXPORT-HOST"]
    mean = in_reference(network, x.repeat(STEPS, 1)).mean(0, keepdims=True)
    with torch.no_grad():
        np.testing.assert_allclose(F.softmax(torch.from_numpy(mean), -1), module(x), atol=1e-6)


def test_a_refractory_cell_rests_as_in_norse() -> None:
    cell = norse.LIFRefracCell()
    module = dyadic(norse.SequentialState(nn.Linear(WIDTH, WIDTH), cell), 2)
    network, inputs = from_torch(module, (WIDTH,))[0], 8 * frames()
    wanted = by_step(module, inputs)
    assert np.count_nonzero(wanted)
    np.testing.assert_array_equal(in_reference(network, inputs), wanted)
    (population,) = network.of(Population)
    assert np.all(population.rule.refractory == 5)


class Alternating(Parts):
    """Another input in every second step."""

    def __init__(self) -> None:
        super().__init__()
        del self.b, self.m, self.back
        self.n = 0

    def forward(self, x: Any, st: Any = (None, None)) -> Any:
        self.n += 1
        i = self.a(x) + x if self.n % 2 else self.a(x)
        z, s0 = self.l(i, st[0])
        v, s2 = self.li(self.out(z), st[1])
        return v, (s0, s2)


class Mixed(Parts):
    """One loop starts with its bias, the other without."""

    def forward(self, x: Any, st: Any = None) -> Any:
        z, y, s0, s1, s2 = st or (None, torch.zeros_like(x), None, None, None)
        i = self.a(x) if z is None else self.a(x) + self.back(z)
        z, s0 = self.l(i, s0)
        y, s1 = self.m(z + self.b(y), s1)
        v, s2 = self.li(self.out(y), s2)
        return v, (z, y, s0, s1, s2)


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (Alternating, "EXPORT-STEPS", "in step 1 it does not take the input"),
        (Mixed, "EXPORT-LOOP-START", "from 'back' to 'l'"),
        (norse.LSNNCell, "EXPORT-CELL", "LSNNCell of Norse"),
    ],
)
def test_other_loops_are_refused(make: Any, code: str, said: str) -> None:
    with pytest.raises((InputError, TargetError)) as refusal:
        from_torch(make(), (WIDTH,))
    (found,) = refusal.value.findings
    assert found.code == code
    assert said in found.what


# --- the witness -------------------------------------------------------------------------


def test_a_module_shows_its_own_spikes() -> None:
    model = nd.from_torch(dyadic(BothWays()), (WIDTH,))
    witness = model.witness
    assert witness is not None
    assert (witness.producer, witness.version) == ("norse", version("norse"))
    assert list(witness.outputs) == ["l", "m", "li"]
    assert 32 <= witness.input.steps <= 64
    assert all(r.steps == witness.input.steps for r in witness.outputs.values())
    assert not witness.undecided
    assert witness.potentials["l"].shape == (witness.input.steps, WIDTH)


def test_a_given_input_is_the_one_that_the_witness_has() -> None:
    inputs = Recording.from_dense(frames().numpy(), 1e-3)
    model = nd.from_torch(dyadic(BothWays()), (WIDTH,), witness=inputs)
    assert model.witness is not None
    assert model.witness.input.same(inputs)


def test_a_silent_layer_stays_undecided_in_words() -> None:
    module = dyadic(BothWays())
    with torch.no_grad():
        module.b.weight.zero_()
        module.b.bias.zero_()
    _, _, witness = from_torch(module, (WIDTH,))
    assert witness is not None
    (text,) = witness.undecided
    assert text.startswith("layer 'm': no neuron spiked")


def test_a_recording_of_another_shape_is_refused() -> None:
    inputs = Recording.from_dense(np.ones((3, 2)), 1e-3)
    with pytest.raises(NrfError, match="EXPORT-WITNESS"):
        nd.from_torch(dyadic(BothWays()), (WIDTH,), witness=inputs)
