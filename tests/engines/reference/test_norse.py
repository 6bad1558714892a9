"""The reference equals Norse, spike for spike and state for state, bit for bit.

The networks are random, their weights multiples of 2^-8, so that torch's sums are exact
too and equality can be asked for in every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import (
    IF,
    LIF,
    Array,
    AvgPool,
    Connection,
    Conv,
    Flatten,
    Input,
    Linear,
    Network,
    Node,
    Population,
    Scale,
    SumPool,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Spikes
from tests.builders.random_networks import networks, random_network, random_recording

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
norse = pytest.importorskip("norse.torch", reason="norse is absent: pip install '.[models]'")

torch.set_num_threads(1)  # these tensors are small: threads only wait for each other

KINDS = ["LIF", "LI", "CubaLIF", "CubaLI", "IF"]
STEPS = 200


def tensor(values: Array) -> Any:
    return torch.from_numpy(np.array(values, np.float32))


def inverse(tau: Array) -> Any:
    """Return the 1/tau in float32 from which this tau was exported."""
    return tensor(1.0 / np.asarray(tau, np.float64))


def norse_cell(n: Population, dt: float) -> Any:
    """Build the Norse cell of a population from Norse's parameters."""
    from norse.torch.functional.iaf import IAFParameters
    from norse.torch.functional.leaky_integrator import LIParameters
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters
    from norse.torch.functional.lif import LIFParameters
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract, reset_value

    fire, m, rule = {}, n.membrane, n.rule
    if type(rule) is Spikes:
        fire = {"v_th": tensor(rule.threshold), "v_reset": tensor(rule.reset_to)}
    if type(m) is Integrator:
        assert n.spikes
        return norse.IAFCell(IAFParameters(**fire), dt=dt)
    if type(m) is CurrentLeaky:
        tau = {"tau_mem_inv": inverse(m.tau_mem), "tau_syn_inv": inverse(m.tau_syn)}
        cell, p = (norse.LIFCell, LIFParameters) if n.spikes else (norse.LICell, LIParameters)
        return cell(p(**tau, **fire, v_leak=tensor(m.v_leak)), dt=dt)
    assert type(m) is Leaky
    shared = {"tau_mem_inv": inverse(m.tau), "v_leak": tensor(m.v_leak)}
    if type(rule) is Spikes:
        reset = reset_subtract if rule.reset == "subtract" else reset_value
        return norse.LIFBoxCell(LIFBoxParameters(**shared, **fire, reset_method=reset), dt=dt)
    return norse.LIBoxCell(LIBoxParameters(**shared), dt=dt)


def torch_layer(node: Node) -> Any:
    """Build torch's layer of a connection, for a batch of one."""
    conv = {2: torch.conv1d, 3: torch.conv2d}
    if isinstance(node, Linear):
        layer = torch.nn.Linear(*node.weight.shape[::-1], bias=node.bias is not None)
        layer.weight.data = tensor(node.weight)
        if node.bias is not None:
            layer.bias.data = tensor(node.bias)
        return layer
    if isinstance(node, Conv):
        weight, before = tensor(node.weight), [p for pads in node.padding[::-1] for p in pads]
        bias = torch.zeros(1)
        if node.bias is not None:
            bias = tensor(
                node.bias.reshape(*node.bias.shape, *(1,) * (len(node.shape) - node.bias.ndim))
            )
        op = conv[len(node.shape)]
        settings = (None, node.stride, 0, node.dilation, node.groups)
        return lambda x: op(torch.nn.functional.pad(x, before), weight, *settings) + bias
    if isinstance(node, AvgPool | SumPool):
        axes = len(node.window)
        average = {1: torch.nn.AvgPool1d, 2: torch.nn.AvgPool2d}[axes]
        layer = average(node.window, node.stride, tuple(first for first, _ in node.padding))
        return layer if isinstance(node, AvgPool) else lambda x: 2**axes * layer(x)
    if isinstance(node, Flatten):
        return torch.nn.Flatten(node.start + 1, node.end)
    if isinstance(node, Scale):
        scale = tensor(node.scale)
        return lambda x: scale * x
    return lambda x: x


def norse_run(network: Network, recording: Recording) -> dict[str, dict[str, Array]]:
    """Return output and states of every population by torch and Norse, in a loop over time."""
    cells = {n.name: norse_cell(n, network.dt) for n in network.of(Population)}
    layers = {n.name: torch_layer(n) for n in network.nodes if n.name not in cells}
    state: dict[str, Any] = dict.fromkeys(cells)
    kept: dict[str, dict[str, list[Array]]] = {
        n.name: {v: [] for v in ("out", *n.states)} for n in network.of(Population)
    }
    values = {n.name: torch.zeros(1, *n.shape) for n in network.nodes}
    with torch.no_grad():
        for node in map(network.__getitem__, network.order):  # what loops carry at first
            if isinstance(node, Connection):
                arrived = [values[s] for s in network.sources(node.name)]
                values[node.name] = layers[node.name](sum(arrived[1:], arrived[0]))
        for t in range(recording.steps):
            for name in network.order:
                if isinstance(network[name], Input):
                    values[name] = tensor(recording.frame(t))[None]
                    continue
                arriving = [values[s] for s in network.sources(name)]
                x = sum(arriving[1:], arriving[0])
                if name in layers:
                    values[name] = layers[name](x)
                    continue
                values[name], state[name] = cells[name](x, state[name])
                kept[name]["out"].append(values[name].numpy()[0])
                for variable in network[name].states:  # type: ignore[attr-defined]
                    now = getattr(state[name], variable)
                    kept[name][variable].append(now.numpy().reshape(network[name].shape))
    return {n: {k: np.array(v) for k, v in vs.items()} for n, vs in kept.items()}


def assert_equal_to_norse(network: Network, recording: Recording) -> None:
    populations = [n.name for n in network.of(Population)]
    trace = run(network, recording, states=populations)
    for name, expected in norse_run(network, recording).items():
        np.testing.assert_array_equal(trace.outputs[name].dense(), expected["out"], name)
        for variable, values in trace.states[name].items():
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, expected[variable], f"{name}.{variable}")


def only(kind: str, seed: int, reset: str = "value") -> Network:
    """Build two layers of one kind, with different parameters for every neuron."""
    return random_network(
        seed,
        2,
        neurons=("LIF",) if kind.endswith("LI") else (kind,),
        readout=(kind,) if kind.endswith("LI") else ("",),
        resets=(reset,),
        unit_gain=True,
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_equals_its_norse_cell(kind: str, seed: int) -> None:
    network = only(kind, seed)
    recording = random_recording(network, seed, STEPS)
    assert any(n.kind == kind for n in network.nodes)
    assert_equal_to_norse(network, recording)
    trace = run(network, recording)
    firing = sum(len(trace.outputs[n.name].index) for n in network.of(Population) if n.spikes)
    assert firing > 0, "a network without a spike shows nothing"


@pytest.mark.parametrize("seed", range(4))
def test_subtracting_reset_equals_norse(seed: int) -> None:
    network = only("LIF", seed, reset="subtract")
    assert_equal_to_norse(network, random_recording(network, seed, STEPS))


@given(
    networks(
        neurons=("LIF", "CubaLIF", "IF"),
        readout=("LI", "CubaLI"),
        resets=("value",),
        unit_gain=True,
    ),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_random_networks_equal_norse(network: Network, seed: int) -> None:
    """Convolution, linear layers, pools, residual additions and recurrence, mixed."""
    assert_equal_to_norse(network, random_recording(network, seed, 60))


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 10.0))
@settings(max_examples=25, deadline=None)
def test_any_time_step_and_any_float_input_equals_norse(seed: int, dt: float) -> None:
    """Input values that no sum has touched may be any float32."""
    rng = np.random.default_rng(seed)
    shape = (7,)
    inverse_tau = (1 / (dt * rng.uniform(1.5, 40, shape))).astype(np.float32)
    v = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    node = LIF(
        name="lif",
        tau=1.0 / inverse_tau.astype(np.float64),
        r=np.ones(shape, np.float32),
        v_leak=0.1 * v[0],
        v_reset=0.1 * v[1],
        v_threshold=0.3 + 0.1 * v[2],
    )
    network = Network((Input(name="x", port_shape=shape), node), (("x", "lif"),), dt)
    recording = Recording.from_dense(rng.normal(0.2, 1, (STEPS, *shape)).astype(np.float32))
    assert_equal_to_norse(network, recording)


def test_scalar_parameters_of_norse_are_the_same_numbers() -> None:
    """Norse's defaults are 0-d tensors; torch must not compute them in another precision."""
    shape = (50,)
    ones = np.ones(shape, np.float32)
    node = LIF(
        name="lif", tau=0.01 * ones.astype(np.float64), r=ones, v_leak=0 * ones, v_threshold=ones,
        v_reset=0 * ones,
    )  # fmt: skip
    network = Network((Input(name="x", port_shape=shape), node), (("x", "lif"),), 0.001)
    frames = np.random.default_rng(0).normal(1.2, 2, (STEPS, *shape)).astype(np.float32)
    trace = run(network, Recording.from_dense(frames), states=["lif"])
    cell, state = norse.LIFBoxCell(), None
    with torch.no_grad():
        for t in range(STEPS):
            z, state = cell(torch.from_numpy(frames[t]), state)
            np.testing.assert_array_equal(trace.outputs["lif"].frame(t), z.numpy())
            np.testing.assert_array_equal(trace.states["lif"]["v"][t], state.v.numpy())
    assert len(trace.outputs["lif"].index) > 100


def test_integrator_is_the_if_that_never_fires() -> None:
    """Norse has no cell for NIR's I; an IAFCell with a threshold out of reach is one."""
    network = random_network(2, 1, neurons=("LIF",), readout=("I",), unit_gain=True)
    recording = random_recording(network, 2, STEPS)
    nodes = tuple(
        n
        if type(n) is not Population or type(n.membrane) is not Integrator
        else IF(
            name=n.name,
            r=n.membrane.r,
            v_threshold=np.full(n.shape, np.float32(1e30)),
            v_reset=np.zeros(n.shape, np.float32),
        )
        for n in network.nodes
    )
    silent = Network(nodes, network.edges, network.dt)
    expected = norse_run(silent, recording)["n1"]["v"]
    assert np.abs(expected).max() > 0
    np.testing.assert_array_equal(run(network, recording).outputs["n1"].dense(), expected)
