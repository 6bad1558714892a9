"""Before the first input arrives: biases that act early, and starts that cannot be held."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle import pipeline
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.diagnostics.findings import Finding, TargetError
from nrf_deploy.ir.network import LIF, Conv, Flatten, Input, Network, Node, Output, Population

from .test_lower import demand_equal, if_layer, linear, noise

DT = 1e-3


def chain(*nodes: Node) -> Network:
    nodes = (*nodes, Output(name="y", port_shape=nodes[-1].shape))
    return Network(nodes, tuple(pairwise(n.name for n in nodes)), DT)


def behind(depth: int, bias: float, last: Population) -> Network:
    """Put `last`, with this bias, behind `depth` layers without one."""
    nodes: list[Node] = [Input(name="x", port_shape=(2,))]
    for k in range(depth):
        nodes += [linear(f"w{k}", np.eye(2) * 0.75), if_layer(f"n{k}", (2,), 0.5)]
    return chain(*nodes, linear("w", np.eye(2) * 0.75, np.full(2, bias)), last)


def leaky(steps: float, threshold: float = 0.5) -> Population:
    one = np.ones(2)
    return LIF(
        name="n",
        tau=steps * DT * one,
        r=one * steps,
        v_leak=0 * one,
        v_threshold=threshold * one,
        v_reset=0 * one,
    )


def said(network: Network, code: str) -> list[Finding]:
    return [f for f in pipeline.check(network, "loihi2").findings if f.code == code]


def test_an_integrator_that_would_spike_before_the_model_is_refused() -> None:
    """No leak brings back what such a spike takes away."""
    model = behind(3, -0.3, if_layer("n", (2,), 0.5))
    (found,) = said(model, "LOIHI-EARLY-SPIKES")
    assert (found.severity, found.layer) == ("error", "n")
    assert "for ever" in found.why
    assert "1/3 of the threshold" in found.fix
    with pytest.raises(TargetError):
        pipeline.compile(model, "loihi2")


def test_within_the_limit_that_is_named_nothing_is_lost() -> None:
    demand_equal(behind(3, -0.5 / 4, if_layer("n", (2,), 0.5)), noise((2,), 80, 0.6))


def test_a_leak_forgets_an_early_spike_after_the_steps_that_are_named() -> None:
    model = behind(3, -0.3, leaky(10))
    (found,) = said(model, "LOIHI-EARLY-SPIKES")
    assert found.severity == "warning"
    assert "first 30 steps" in found.fix
    bundle = pipeline.compile(model, "loihi2")
    silence = noise((2,), 100, 0.0)
    late = bundle.program.latency
    v = nd.run(bundle, silence, states=["n"]).states["n"]["v"]
    scale = float(bundle.program.origins[-1].scale["v"])
    exact = nd.run(bundle, silence, "reference", states=["n"]).states["n"]["v"]
    off = np.abs(v[late:] / scale - exact)
    assert off[0].min() > 0.5
    assert off[30:].max() < 0.05 * off[0].min()


@pytest.mark.parametrize(
    ("last", "bias", "severity"),
    [(if_layer("n", (2,), 2000.0), 1500.0, "error"), (leaky(3, 2000.0), 500.0, "warning")],
)
def test_a_start_beyond_24_bits_is_told(last: Population, bias: float, severity: str) -> None:
    """Positive drive: the start lies far below 0, where no spike tells that it was cut off."""
    (found,) = said(behind(36, bias, last), "LOIHI-START-CLIPPED")
    assert (found.severity, found.layer) == (severity, "n")
    assert str(2**23 - 1) in found.what


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_a_bias_before_a_flatten_is_in_step_with_its_population(chip: str) -> None:
    """Network: conv with bias -> Flatten -> population; one bias for each channel."""
    conv = Conv(
        name="k",
        weight=np.arange(-9, 9).reshape(2, 1, 3, 3) / 32,
        bias=np.array([0.25, -0.125]),
        input_size=(5, 4),
        stride=(1, 1),
        padding=((1, 1), (0, 0)),
        dilation=(1, 1),
    )
    flat = Flatten(name="f", flat_input=conv.shape, start=0, end=-1)
    nodes = (Input(name="x", port_shape=(1, 5, 4)), conv, flat, if_layer("n", (20,), 0.5))
    bundle = demand_equal(chain(*nodes), noise((1, 5, 4), 40, 0.3), chip)
    bias = np.asarray(bundle.program.population("n").params["bias_mant"])
    assert len(np.unique(bias[:10])) == len(np.unique(bias[10:])) == 1
    assert bias[0] > 0 > bias[10]


def test_a_bias_map_before_a_flatten_keeps_its_places() -> None:
    conv = Conv(
        name="k",
        weight=np.ones((1, 1, 1, 1)) / 4,
        bias=np.arange(6).reshape(1, 2, 3) / 64,
        input_size=(2, 3),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
    )
    flat = Flatten(name="f", flat_input=conv.shape, start=0, end=-1)
    nodes = (Input(name="x", port_shape=(1, 2, 3)), conv, flat, if_layer("n", (6,), 0.5))
    demand_equal(chain(*nodes), noise((1, 2, 3), 40, 0.3))


def test_a_time_constant_of_one_step_is_told_to_keep_a_4096th() -> None:
    model = chain(Input(name="x", port_shape=(2,)), linear("w", np.eye(2)), leaky(1))
    (found,) = said(model, "LOIHI-DECAY-LIMIT")
    assert (found.severity, found.layer) == ("info", "n")
    assert "4095/4096" in found.what
    assert pipeline.compile(model, "loihi2", scheme=Rules()).program.population("n").params[
        "dv"
    ] == 4095  # fmt: skip
