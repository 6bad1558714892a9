"""Modules exported from torch and Norse spike as in Norse.

Weights and inputs are multiples of 1/8, so that sums are exact in any order and
every bit can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import InputError, NrfError, TargetError, UsageError
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Conv, Linear, Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Leaky
from nrf_deploy.torch import from_torch, load

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
norse = pytest.importorskip("norse.torch", reason="norse is absent: pip install '.[models]'")

from norse.torch.functional.iaf import IAFParameters  # noqa: E402
from norse.torch.functional.reset import reset_subtract  # noqa: E402
from torch import nn  # noqa: E402

STEPS = 40
MAP = (2, 6, 6)


def dyadic(module: Any, seed: int = 0) -> Any:
    """Draw weights that are multiples of 1/8, and statistics that are powers of 4."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.from_numpy(rng.integers(-6, 15, p.shape).astype(np.float32) / 8))
        for m in module.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.eps = 0.0
                m.running_mean.copy_(torch.from_numpy(rng.integers(-4, 5, m.num_features) / 4))
                m.running_var.copy_(torch.from_numpy(4.0 ** rng.integers(-1, 2, m.num_features)))
    return module.eval()


def spikes(shape: tuple[int, ...], seed: int = 1) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((STEPS, *shape)) < 0.3).astype(np.int64), 1e-3)


def in_norse(module: Any, recording: Recording) -> np.ndarray[Any, Any]:
    """Return the module's output in every step."""
    state, given = None, []
    stateful = "state" in module.forward.__code__.co_varnames
    for frame in torch.from_numpy(recording.dense().astype(np.float32)):
        value = module(frame[None], state) if stateful else module(frame[None])
        value, state = value if isinstance(value, tuple) else (value, None)
        given.append(value.detach().numpy()[0])
    return np.stack(given)


def in_reference(network: Network, recording: Recording) -> np.ndarray[Any, Any]:
    last = network.nodes[-1].name
    return run(network, recording, record=[last]).outputs[last].dense()


def assert_same(module: Any, shape: tuple[int, ...] = MAP) -> Network:
    """Assert that the exported network gives the module's output, and that it is not silent."""
    network, _, _ = from_torch(module, shape)
    recording = spikes(shape)
    wanted = in_norse(module, recording)
    assert np.count_nonzero(wanted)
    np.testing.assert_array_equal(in_reference(network, recording), wanted)
    return network


def lif(**parameters: Any) -> Any:
    defaults = {"tau_mem_inv": torch.tensor(250.0)}
    return norse.LIFBoxCell(norse.LIFBoxParameters(**defaults | parameters))


def net(*modules: Any, seed: int = 0) -> Any:
    return dyadic(norse.SequentialState(*modules), seed)


# --- cells -----------------------------------------------------------------

PER_CHANNEL = torch.tensor([100.0, 333.0]).reshape(2, 1, 1)
CELLS: dict[str, tuple[Callable[[], Any], str]] = {
    "LIFBoxCell": (lif, "LIF"),
    "LIFBoxCell-subtract": (lambda: lif(reset_method=reset_subtract), "LIF"),
    "LIFBoxCell-voltages": (
        lambda: lif(
            tau_mem_inv=PER_CHANNEL,
            v_th=torch.tensor(0.7),
            v_leak=torch.tensor(0.1),
            v_reset=torch.tensor(-0.3),
        ),
        "LIF",
    ),
    "LIFBoxCell-batch": (lambda: lif(tau_mem_inv=PER_CHANNEL[None]), "LIF"),
    "LIBoxCell": (lambda: norse.LIBoxCell(norse.LIBoxParameters(PER_CHANNEL)), "LI"),
    "LIFCell": (
        lambda: norse.LIFCell(norse.LIFParameters(PER_CHANNEL, 2 * PER_CHANNEL), dt=1e-3),
        "CubaLIF",
    ),
    "LICell": (lambda: norse.LICell(norse.LIParameters(PER_CHANNEL, 2 * PER_CHANNEL)), "CubaLI"),
    "IAFCell": (lambda: norse.IAFCell(IAFParameters(v_th=torch.tensor(3.0)), dt=3e-4), "IF"),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_its_population(name: str) -> None:
    make, kind = CELLS[name]
    network = assert_same(net(nn.Conv2d(2, 2, 3), make()))
    population = network["1"]
    assert type(population) is Population
    assert population.kind == kind
    assert population.shape == (2, 4, 4)
    for part in (population.membrane, population.rule):
        assert all(value.shape == (2, 4, 4) for _, _, value in part.numbers())


def test_time_constants_stay_as_exact_as_norse_holds_them() -> None:
    network, _, _ = from_torch(lif(tau_mem_inv=torch.tensor(333.0)), (3,))
    assert network.dt == 1e-3
    np.testing.assert_array_equal(network["model"].membrane.tau, np.full(3, 1 / 333.0))  # type: ignore[attr-defined]


def test_trainable_parameters_are_exported() -> None:
    leak = nn.Parameter(torch.tensor(200.0))
    network, _, _ = from_torch(lif(tau_mem_inv=leak), (3,))
    (cell,) = network.of(Population)
    assert type(cell.membrane) is Leaky
    assert cell.membrane.tau[0] == 1 / 200


# --- layers ----------------------------------------------------------------

BLOCKS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "conv": (lambda: net(nn.Conv2d(2, 4, 3, stride=2, padding=1), lif()), MAP),
    "conv-no-bias": (lambda: net(nn.Conv2d(2, 4, (3, 1), bias=False), lif()), MAP),
    "conv-same": (lambda: net(nn.Conv2d(2, 2, (4, 3), padding="same"), lif()), MAP),
    "conv-valid": (lambda: net(nn.Conv2d(2, 2, 3, padding="valid", dilation=2), lif()), MAP),
    "conv-groups": (lambda: net(nn.Conv2d(2, 4, 3, groups=2), lif()), MAP),
    "conv1d": (lambda: net(nn.Conv1d(2, 3, 4, stride=2, padding=1), lif()), (2, 9)),
    "conv1d-same": (lambda: net(nn.Conv1d(2, 3, 4, padding="same"), lif()), (2, 9)),
    "linear": (
        lambda: net(nn.Linear(8, 5), lif(), nn.Linear(5, 3, bias=False), lif(), seed=3),
        (8,),
    ),
    "norm-after": (lambda: net(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), lif()), MAP),
    "norm-before": (lambda: net(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1), lif()), MAP),
    "norm-no-affine": (lambda: net(nn.BatchNorm2d(2, affine=False), lif()), MAP),
    "norm-after-linear": (lambda: net(nn.Linear(8, 5), nn.BatchNorm1d(5), lif()), (8,)),
    "norm-before-linear": (lambda: net(nn.BatchNorm1d(8), nn.Linear(8, 5), lif()), (8,)),
    "norm-1d": (lambda: net(nn.BatchNorm1d(2), nn.Conv1d(2, 3, 3, padding=1), lif()), (2, 9)),
    "pool": (lambda: net(lif(v_th=torch.tensor(0.1)), nn.AvgPool2d(2)), MAP),
    "max-pool": (lambda: net(nn.Conv2d(2, 2, 3), nn.MaxPool2d(3, 1, 1), lif()), MAP),
    "max-pool-of-spikes": (lambda: net(lif(v_th=torch.tensor(0.1)), nn.MaxPool2d(2)), MAP),
    "pool-padded": (lambda: net(nn.AvgPool2d(4, stride=2, padding=1), nn.Conv2d(2, 2, 1)), MAP),
    "flatten": (lambda: net(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(32, 3), lif()), MAP),
    "flatten-some": (lambda: net(nn.Flatten(-2), nn.Conv1d(2, 2, 3), lif()), MAP),
    "dropout": (lambda: net(nn.Dropout(0.9), nn.Conv2d(2, 2, 3), nn.Identity(), lif()), MAP),
    "nested": (
        lambda: net(
            nn.Sequential(nn.Conv2d(2, 2, 3), nn.Dropout2d()),
            norse.SequentialState(lif(), norse.SequentialState(nn.Conv2d(2, 1, 3), lif())),
        ),
        MAP,
    ),
    "sequential": (lambda: dyadic(nn.Sequential(nn.Conv2d(2, 2, 3), nn.Dropout2d())), MAP),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", BLOCKS)
def test_layers_give_what_torch_gives(name: str) -> None:
    make, shape = BLOCKS[name]
    module = make()
    if next((m for m in module.modules() if hasattr(m, "dt")), None) is None:
        network, _, _ = from_torch(module, shape, dt=1e-3)
        recording = spikes(shape)
        np.testing.assert_array_equal(in_reference(network, recording), in_norse(module, recording))
    else:
        assert_same(module, shape)


def test_a_batch_norm_after_a_convolution_is_folded_into_it() -> None:
    network, findings, _ = from_torch(net(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), lif()), MAP)
    assert [n.name for n in network.nodes] == ["input", "0", "2", "output"]
    assert [(f.code, f.layer) for f in findings] == [("EXPORT-BATCHNORM-FOLDED", "1")]


def test_a_batch_norm_before_a_padded_convolution_stays_a_layer_of_its_own() -> None:
    """Folded, its shift would leak into the border, where torch pads with zeros."""
    network, _, _ = from_torch(net(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1), lif()), MAP)
    norm = network["0"]
    assert isinstance(norm, Conv)
    assert norm.weight.shape == (2, 2, 1, 1)


def test_a_trained_batch_norm_is_within_rounding() -> None:
    torch.manual_seed(0)
    module = norse.SequentialState(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3))
    module(torch.randn(8, *MAP))
    module.eval()
    network, _, _ = from_torch(module, MAP, dt=1.0)
    recording = spikes(MAP)
    np.testing.assert_allclose(
        in_reference(network, recording), in_norse(module, recording), atol=2e-6
    )


# --- topologies ------------------------------------------------------------


class Residual(nn.Module):  # type: ignore[misc]
    """The state travels as Norse's users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.lif1, self.lif2 = lif(), lif()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x: Any, state: Any = None) -> Any:
        s1, s2 = (None, None) if state is None else state
        y, s1 = self.lif1(self.norm(self.conv1(x)), s1)
        z = self.conv2(y)
        z += x
        z, s2 = self.lif2(torch.add(z, y), s2)
        return z + y, (s1, s2)


class Parallel(nn.Module):  # type: ignore[misc]
    """One convolution, three populations, one head each, added up."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3)
        self.cells = nn.ModuleList(lif(tau_mem_inv=torch.tensor(t)) for t in (250.0, 125.0, 500.0))
        self.heads = nn.ModuleList(nn.Linear(32, 4) for _ in range(3))
        self.out = norse.LIBoxCell()

    def forward(self, x: Any, state: Any = None) -> Any:
        state = {} if state is None else state
        shared = self.conv(x)
        branches = []
        for i, (cell, head) in enumerate(zip(self.cells, self.heads, strict=True)):
            y, state[i] = cell(shared, state.get(i))
            branches.append(head(torch.flatten(y, 1)))
        y, state["out"] = self.out(sum(branches), state.get("out"))
        return y, state


class Twice(nn.Module):  # type: ignore[misc]
    """One convolution called in two places, and another that holds the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = (nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in range(2))
        self.other.weight = self.conv.weight
        self.norm = nn.BatchNorm2d(2)
        self.cells = norse.SequentialState(lif(), self.conv, lif(), self.other, self.norm, lif())

    def forward(self, x: Any, state: Any = None) -> Any:
        return self.cells(self.conv(x), state)


def test_residual_additions_are_edges_that_meet() -> None:
    network = assert_same(dyadic(Residual()))
    assert network.sources("lif2") == ("conv2", "input", "lif1")
    assert network.sources("output") == ("lif2", "lif1")
    assert "norm" not in network


def test_populations_that_hang_on_one_convolution_share_it() -> None:
    network = assert_same(dyadic(Parallel()))
    assert network.targets("conv") == ("cells.0", "cells.1", "cells.2")
    assert network.sources("out") == ("heads.0", "heads.1", "heads.2")


def test_shared_weights_are_one_array_and_are_not_folded_into() -> None:
    network = assert_same(dyadic(Twice(), seed=3))
    layers = [n for n in network.of(Conv) if n.name != "norm"]
    assert [n.name for n in layers] == ["conv", "conv_2", "other"]
    assert len({id(n.weight) for n in layers}) == 1
    assert "norm" in network


def test_ports_make_way_for_modules_of_their_name() -> None:
    module = nn.Sequential()
    module.add_module("input", nn.Linear(3, 3))
    network, _, _ = from_torch(module, (3,), dt=1)
    assert network.edges == (("input_2", "input"), ("input", "output"))


def test_the_model_is_left_as_it_was() -> None:
    module = norse.SequentialState(nn.Linear(3, 3), nn.BatchNorm1d(3), lif())
    module[1].eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    network, _, _ = from_torch(module, (3,))
    assert [m.training for m in module] == [True, False, True]
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    with torch.no_grad():
        weight = next(network.of(Linear)).weight.copy()
        module[0].weight += 1
    np.testing.assert_array_equal(next(network.of(Linear)).weight, weight)


def test_a_function_that_the_output_does_not_need_is_left_out_aloud() -> None:
    class Extra(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            x.abs()
            return self.a(x)

    network, findings, _ = from_torch(Extra(), (3,), dt=1)
    assert "abs_1" not in network
    assert [(f.code, f.layer) for f in findings] == [("EXPORT-UNUSED", "abs_1")]


def test_the_readout_goes_along() -> None:
    module = lif()
    module.readout = {"kind": "classes", "names": ["left", "right"]}
    assert from_torch(module, (2,))[0].readout == module.readout


# --- refusals ----------------------------------------------------------------


def custom(forward: Callable[..., Any], **modules: Any) -> Any:
    class Custom(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, module in modules.items():
                self.add_module(name, module)

    Custom.forward = forward
    return Custom()


def add_in_place(self: Any, x: Any, state: Any = None) -> Any:
    """Add to a signal under two names: both are the sum afterwards."""
    y = self.a(x)
    z = y
    y += x
    return self.c(z + self.b(y), state)


def add_through_a_view(self: Any, x: Any) -> Any:
    """Change a signal in the memory of another: what it is then cannot be told."""
    y = self.a(x)
    z = y.view(1, 3)
    z += x
    return self.b(y)[0]


REFUSED: dict[str, tuple[Callable[[], Any], tuple[int, ...], set[str]]] = {
    "two dt": (lambda: net(lif(), norse.LIFBoxCell(dt=1e-4)), (3,), {"EXPORT-DT-DIFFERS"}),
    "no dt": (lambda: nn.Linear(3, 3), (3,), {"EXPORT-DT-MISSING"}),
    "negative dt": (lambda: norse.LIFBoxCell(dt=-1e-3), (3,), {"EXPORT-DT"}),
    "tau < dt": (lambda: lif(tau_mem_inv=torch.tensor(1001.0)), (3,), {"EXPORT-TAU"}),
    "tau < 0": (lambda: lif(tau_mem_inv=torch.tensor(-1.0)), (3,), {"EXPORT-TAU"}),
    "nan threshold": (lambda: lif(v_th=torch.tensor(np.nan)), (3,), {"EXPORT-NOT-FINITE"}),
    "shape": (lambda: lif(v_th=torch.ones(2, 3)), (3,), {"EXPORT-PARAMETER"}),
    "reset": (lambda: lif(reset_method=lambda z, v, r, t: v), (3,), {"EXPORT-RESET"}),
    "unknown cell": (lambda: norse.LIFAdExCell(), (3,), {"EXPORT-CELL"}),
    "a cell of one step on all steps": (
        lambda: net(norse.Lift(nn.Linear(3, 3)), lif()),
        (3,),
        {"EXPORT-BATCH"},
    ),
    "a cell whose state is not passed on": (
        lambda: nn.Sequential(norse.LIFRecurrentCell(3, 3)),
        (3,),
        {"EXPORT-STEPS"},
    ),
    "relu": (lambda: net(nn.ReLU(), lif()), (3,), {"EXPORT-LAYER"}),
    "max pool with gaps": (
        lambda: net(nn.MaxPool2d(2, dilation=2), lif()),
        MAP,
        {"EXPORT-LAYER"},
    ),
    "max pool, ceil": (lambda: net(nn.MaxPool2d(4, ceil_mode=True), lif()), MAP, {"EXPORT-LAYER"}),
    "padding mode": (
        lambda: net(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), lif()),
        MAP,
        {"EXPORT-LAYER"},
    ),
    "ceil": (lambda: net(nn.AvgPool2d(4, ceil_mode=True), lif()), MAP, {"EXPORT-LAYER"}),
    "border": (
        lambda: net(nn.AvgPool2d(2, padding=1, count_include_pad=False), lif()),
        MAP,
        {"EXPORT-LAYER"},
    ),
    "divisor": (lambda: net(nn.AvgPool2d(2, divisor_override=3), lif()), MAP, {"EXPORT-LAYER"}),
    "linear on a map": (lambda: net(nn.Linear(6, 2), lif()), MAP, {"EXPORT-LAYER"}),
    "batch statistics": (
        lambda: norse.SequentialState(nn.BatchNorm2d(2, track_running_stats=False), lif()),
        MAP,
        {"EXPORT-LAYER"},
    ),
    "double": (lambda: net(nn.Linear(3, 3).double(), lif()), (3,), {"EXPORT-DTYPE"}),
    "constant": (
        lambda: custom(lambda self, x: self.a(x)[0] + 1.0, a=lif()),
        (3,),
        {"EXPORT-ADD"},
    ),
    "function": (
        lambda: custom(lambda self, x: self.a(torch.relu(x) * 2)[0], a=lif()),
        (3,),
        {"EXPORT-FUNCTION", "EXPORT-LAYER"},
    ),
    "plus constant": (
        lambda: custom(lambda self, x: self.a(x + 1.0)[0], a=lif()),
        (3,),
        {"EXPORT-ADD"},
    ),
    "factor": (
        lambda: custom(lambda self, x: torch.add(self.a(x)[0], x, alpha=2), a=lif()),
        (3,),
        {"EXPORT-ADD"},
    ),
    "broadcast": (
        lambda: custom(lambda self, x: self.a(x)[0] + self.b(x), a=lif(), b=nn.Linear(3, 1)),
        (3,),
        {"EXPORT-ADD"},
    ),
    "doubled": (lambda: custom(lambda self, x: self.a(x + x)[0], a=lif()), (3,), {"EXPORT-ADD"}),
    "state as signal": (
        lambda: custom(lambda self, x: self.b(self.a(x)[1].v), a=lif(), b=nn.Linear(3, 2)),
        (3,),
        {"EXPORT-NO-SIGNAL"},
    ),
    "foreign state": (
        lambda: custom(lambda self, x: self.b(x, self.a(x)[1])[0], a=lif(), b=lif()),
        (3,),
        {"EXPORT-STATE"},
    ),
    "cell twice": (
        lambda: custom(lambda self, x: self.a(self.a(x)[0])[0], a=lif()),
        (3,),
        {"EXPORT-STATE-SHARED"},
    ),
    "branch": (
        lambda: custom(lambda self, x: self.a(x)[0] if x.sum() > 0 else x, a=lif()),
        (3,),
        {"EXPORT-TRACE"},
    ),
    "wrong size": (lambda: net(nn.Linear(4, 4), lif()), (3,), {"EXPORT-RUN"}),
    "in place through a view": (
        lambda: custom(add_through_a_view, a=nn.Linear(3, 3), b=lif()),
        (3,),
        {"EXPORT-NO-SIGNAL"},
    ),
    "at random": (
        lambda: custom(lambda self, x: self.a(x + torch.rand_like(x))[0], a=lif()),
        (3,),
        {"EXPORT-RANDOM"},
    ),
    "a value for Python": (
        lambda: custom(lambda self, x: self.a(x * x.max().item())[0], a=lif()),
        (3,),
        {"EXPORT-TRACE"},
    ),
    "name": (
        lambda: custom(lambda self, x: getattr(self, "a/b")(x)[0], **{"a/b": lif()}),
        (3,),
        {"EXPORT-NAME"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_exact_counterpart_is_refused(name: str) -> None:
    make, shape, codes = REFUSED[name]
    with pytest.raises((TargetError, InputError)) as refusal:
        from_torch(make(), shape)
    assert {f.code for f in refusal.value.findings} == codes
    assert all(f.fix for f in refusal.value.findings)


@pytest.mark.parametrize(
    "make",
    [
        lambda: custom(lambda self, x: self.a(x), a=nn.RNNCell(3, 3)),
        lambda: custom(lambda self, x: self.a(x), a=nn.LSTM(3, 3)),
    ],
)
def test_recurrence_without_spikes_is_refused(make: Callable[[], Any]) -> None:
    """And is not sent on to a cell without the connection."""
    with pytest.raises((TargetError, InputError)) as refusal:
        from_torch(make(), (3,))
    (found,) = refusal.value.findings
    assert found.code == "EXPORT-LAYER"
    assert "it has gates and values of its own" in (found.why or "")
    assert "use LIF" not in (found.fix or "")


def test_an_addition_in_place_changes_every_name_of_the_signal() -> None:
    module = custom(add_in_place, a=nn.Linear(3, 3), b=nn.Linear(3, 3), c=lif())
    network = assert_same(dyadic(module), (3,))
    assert network.sources("c") == ("a", "input", "b")


def branching(self: Any, x: Any) -> Any:
    y = self.a(x)[0]
    if y.sum() > 0:
        return x
    return y


def test_the_line_that_cannot_be_followed_is_shown() -> None:
    with pytest.raises(InputError) as refusal:
        from_torch(custom(branching, a=lif()), (3,))
    (found,) = refusal.value.findings
    assert "if y.sum() > 0:" in found.what
    assert Path(__file__).name in found.what


def test_a_missing_time_step_is_an_input_that_does_not_say_what_it_must() -> None:
    """The same exit code as of `compile` with a .nir file that states none."""
    with pytest.raises(InputError) as refusal:
        from_torch(nn.Linear(3, 3), (3,))
    assert [f.code for f in refusal.value.findings] == ["EXPORT-DT-MISSING"]
    assert refusal.value.exit_code == 3


def test_all_problems_are_named_at_once() -> None:
    module = net(nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(), lif(), norse.LIFBoxCell(dt=1e-4))
    module[2].p = module[2].p._replace(v_th=torch.tensor(np.inf))
    with pytest.raises(TargetError) as refusal:
        from_torch(module, MAP)
    assert [(f.code, f.layer) for f in refusal.value.findings] == [
        ("EXPORT-DT-DIFFERS", None),
        ("EXPORT-LAYER", "0"),
        ("EXPORT-LAYER", "1"),
        ("EXPORT-NOT-FINITE", "2"),
    ]


def test_weights_that_are_not_finite_are_counted() -> None:
    module = net(nn.Linear(3, 2), lif())
    with torch.no_grad():
        module[0].weight[0] = np.nan
    with pytest.raises(TargetError, match="3 of 6 values of the weight are NaN or infinite"):
        from_torch(module, (3,))


def test_a_hook_is_refused() -> None:
    module = net(nn.Linear(3, 3), lif())
    module[0].register_forward_hook(lambda *a: None)
    with pytest.raises(TargetError, match="EXPORT-HOOK"):
        from_torch(module, (3,))


def test_a_given_dt_must_be_the_cells() -> None:
    assert from_torch(lif(), (3,), dt=1e-3)[0].dt == 1e-3
    with pytest.raises(TargetError, match="EXPORT-DT-DIFFERS"):
        from_torch(lif(), (3,), dt=1e-4)


def test_time_constants_that_norse_rounds_otherwise_are_told() -> None:
    _, findings, _ = from_torch(lif(tau_mem_inv=torch.tensor(100.2, dtype=torch.float64)), (3,))
    assert [f.code for f in findings] == ["EXPORT-PRECISION"]


# --- where modules come from ---------------------------------------------------


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a factory to a file in the current folder, and return its name."""
    (tmp_path / "user_model.py").write_text(
        "import torch\n"
        "def linear(): return torch.nn.Linear(3, 2), (3,)\n"
        "def shapeless(): return torch.nn.Linear(3, 2)\n"
        "def broken(): raise RuntimeError('no data')\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", __import__("sys").path[:])
    monkeypatch.delitem(__import__("sys").modules, "user_model", raising=False)
    return "user_model:linear"


def test_load_finds_a_factory_and_fills_it(factory: str) -> None:
    weights = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    torch.save(weights, "weights.pt")
    module, shape = load(factory, "weights.pt")
    assert shape == (3,)
    assert torch.equal(module.weight, weights["weight"])


def test_a_name_that_the_module_lacks_is_not_blamed_on_the_folder(factory: str) -> None:
    with pytest.raises(UsageError) as e:
        load("user_model:absent")
    assert e.value.findings[0].fix == "name a function that user_model has"


@pytest.mark.parametrize(
    ("source", "instead"),
    [
        ("./models/net.py:build", " models.net:build,"),
        ("/home/me/net.py:build", " net:build,"),
    ],
)
def test_who_names_a_file_is_told_the_module(source: str, instead: str) -> None:
    with pytest.raises(UsageError) as e:
        load(source)
    assert instead in e.value.findings[0].fix


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("user_model", "EXPORT-SOURCE"),
        ("user_model:", "EXPORT-SOURCE"),
        ("no_such_model:f", "EXPORT-SOURCE"),
        ("user_model:absent", "EXPORT-SOURCE"),
        ("user_model:number", "EXPORT-SOURCE"),
        ("user_model:shapeless", "EXPORT-FACTORY"),
        ("user_model:broken", "EXPORT-FACTORY"),
    ],
)
def test_load_says_what_is_wrong_with_a_source(factory: str, source: str, code: str) -> None:
    with pytest.raises(UsageError, match=code) as e:
        load(source)
    assert e.value.findings[0].fix


class Evil:
    def __reduce__(self) -> Any:
        return (open, ("ran", "w"))


@pytest.mark.parametrize("content", ["wrong keys", "no archive", "code"])
def test_weights_that_do_not_fit_are_refused_and_run_no_code(factory: str, content: str) -> None:
    if content == "no archive":
        Path("weights.pt").write_bytes(b"nothing")
    else:
        torch.save(Evil() if content == "code" else {"w": torch.ones(1)}, "weights.pt")
    with pytest.raises(InputError, match="EXPORT-WEIGHTS") as e:
        load(factory, "weights.pt")
    assert "\n" not in e.value.findings[0].what
    assert not Path("ran").exists()


def test_weights_that_are_not_there_are_a_usage_error(factory: str) -> None:
    with pytest.raises(NrfError, match="EXPORT-WEIGHTS-MISSING"):
        load(factory, "absent.pt")
