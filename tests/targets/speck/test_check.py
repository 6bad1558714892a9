"""Parts that cannot go on a core are refused, all at once, each with a fix."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import Finding, UsageError
from nrf_deploy.ir.network import (
    LI,
    Connection,
    CubaLIF,
    Delay,
    Flatten,
    Input,
    Network,
    Output,
    Population,
    Threshold,
)
from tests.builders.speck_networks import chain, conv, eighths, leaky, linear, neurons, pool


def said(network: Network, **more: Any) -> list[Finding]:
    return [f for f in nd.check(network, "speck2b", **more).findings if f.severity == "error"]


def codes(network: Network, **more: Any) -> list[str]:
    return [f.code for f in said(network, **more)]


def layered(layer: Connection, size: tuple[int, int, int] = (2, 8, 8), **more: Any) -> Network:
    return chain(size, layer, neurons("n", layer.shape, **more))


def ones(*shape: int) -> Any:
    return np.ones(shape) / 4


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        (conv("c", ones(2, 2, 3, 3), (8, 8), dilation=(2, 2)), "SPECK-DILATION"),
        (conv("c", ones(2, 1, 3, 3), (8, 8), groups=2), "SPECK-GROUPS"),
        (conv("c", ones(2, 2, 3, 2), (8, 8)), "SPECK-KERNEL"),
        (conv("c", ones(2, 2, 17, 17), (8, 8), pad=5), "SPECK-KERNEL"),
        (conv("c", ones(2, 2, 3, 3), (8, 8), padding=((1, 0), (1, 0))), "SPECK-PADDING"),
        (conv("c", ones(2, 2, 16, 16), (8, 8), pad=8), "SPECK-PADDING"),
        (conv("c", ones(2, 2, 3, 3), (8, 8), stride=3), "SPECK-STRIDE"),
        (conv("c", 0 * ones(2, 2, 3, 3), (8, 8)), "SPECK-ALL-ZERO"),
        (conv("c", ones(1025, 2, 3, 3), (8, 8)), "SPECK-FEATURES"),
    ],
)
def test_what_a_core_cannot_convolve_is_refused(layer: Connection, code: str) -> None:
    found = said(layered(layer))
    assert [f.code for f in found] == [code]
    assert found[0].fix
    assert found[0].layer == "c"


def test_maps_have_their_sizes() -> None:
    assert codes(layered(conv("c", ones(2, 1, 3, 3), (130, 130), stride=4), (1, 130, 130))) == [
        "SPECK-SIZE"
    ]
    assert codes(layered(conv("c", ones(2, 1, 3, 3), (72, 72), pad=1), (1, 72, 72))) == [
        "SPECK-SIZE"
    ]


def test_a_linear_covers_a_square_map_of_16_at_most() -> None:
    for shape in ((1, 3, 4), (1, 17, 17)):
        flat = Flatten(name="f", flat_input=shape, start=0, end=2)
        size = int(np.prod(shape))
        network = chain(shape, flat, linear("l", ones(3, size)), neurons("n", (3,)))
        assert codes(network) == ["SPECK-LINEAR"]


def test_a_border_that_pooling_would_drop_is_refused() -> None:
    first = conv("c1", eighths((2, 1, 3, 3), 0), (9, 9), pad=1)
    second = conv("c2", eighths((2, 2, 3, 3), 0), (4, 4), pad=1)
    network = chain(
        (1, 9, 9), first, neurons("n1", (2, 9, 9)), pool("p", (2, 9, 9), 2), second,
        neurons("n2", (2, 4, 4)),
    )  # fmt: skip
    (found,) = said(network)
    assert (found.code, found.layer) == ("SPECK-POOL-BORDER", "p")
    assert "9 x 9" in found.what


def test_a_pool_that_no_wire_does_folds_or_is_refused() -> None:
    first = conv("c1", eighths((2, 1, 3, 3), 0), (9, 9), pad=1)
    three = pool("p", (2, 9, 9), 3)
    folded = chain(
        (1, 9, 9), first, neurons("n1", (2, 9, 9)), three, conv("c2", ones(2, 2, 2, 2), (3, 3)),
        neurons("n2", (2, 2, 2)),
    )  # fmt: skip
    assert codes(folded) == ["SPECK-STRIDE"]  # a kernel of 6 x 6 in strides of 3
    bare = chain((1, 9, 9), first, neurons("n1", (2, 9, 9)), three, neurons("n2", (2, 3, 3)))
    assert codes(bare) == ["SPECK-POOL"]


def test_a_layer_ends_in_neurons() -> None:
    network = chain((2, 8, 8), conv("c", ones(2, 2, 3, 3), (8, 8)))
    assert codes(network) == ["SPECK-NO-POPULATION"]


def test_a_cycle_is_refused() -> None:
    nodes = (
        Input(name="in", port_shape=(3,)),
        linear("l", ones(2, 3)),
        neurons("n", (2,)),
        linear("back", ones(2, 2)),
        Output(name="out", port_shape=(2,)),
    )
    edges = (("in", "l"), ("l", "n"), ("n", "back"), ("back", "n"), ("n", "out"))
    assert "SPECK-LOOP" in codes(Network(nodes, edges, dt=1.0))


def fan_out(branches: int) -> Network:
    nodes: list[Any] = [Input(name="in", port_shape=(3,)), linear("l", ones(2, 3))]
    nodes.append(neurons("n", (2,)))
    edges = [("in", "l"), ("l", "n")]
    for k in range(branches):
        nodes += [linear(f"l{k}", ones(2, 2)), neurons(f"n{k}", (2,))]
        nodes.append(Output(name=f"o{k}", port_shape=(2,)))
        edges += [("n", f"l{k}"), (f"l{k}", f"n{k}"), (f"n{k}", f"o{k}")]
    return Network(tuple(nodes), tuple(edges), dt=1.0)


def test_a_core_feeds_two_others() -> None:
    assert codes(fan_out(2)) == []
    (found,) = said(fan_out(3))
    assert (found.code, found.layer) == ("SPECK-FAN-OUT", "n")


def test_what_meets_must_agree() -> None:
    nodes = (
        Input(name="in", port_shape=(1, 8, 8)),
        conv("a", ones(2, 1, 3, 3), (8, 8), stride=2, pad=1),
        conv("b", ones(2, 1, 2, 2), (8, 8), stride=2),
        neurons("n", (2, 4, 4)),
        Output(name="out", port_shape=(2, 4, 4)),
    )
    edges = (("in", "a"), ("in", "b"), ("a", "n"), ("b", "n"), ("n", "out"))
    (found,) = said(Network(nodes, edges, dt=1.0))
    assert found.code == "SPECK-BRANCHES"
    assert "kernel - 2 padding" in found.what


@pytest.mark.parametrize(
    ("theta", "code"),
    [
        (np.arange(1, 9).reshape(2, 2, 2) / 8, "SPECK-UNEVEN"),
        (-1.0, "SPECK-THRESHOLD"),
    ],
)
def test_neurons_have_thresholds_above_0_that_a_feature_shares(theta: Any, code: str) -> None:
    network = chain((1, 4, 4), conv("c", ones(2, 1, 3, 3), (4, 4)), neurons("n", (2, 2, 2), theta))
    assert codes(network) == [code]


@pytest.mark.parametrize("theta", [0.0, -1.0])
def test_a_linear_leak_needs_a_threshold_above_0_too(theta: float) -> None:
    """The size of the leak follows from the threshold."""
    network = chain((3,), linear("l", ones(2, 3)), leaky("n", (2,), 50.0, theta))
    assert codes(network, allow=["linear-leak"]) == ["SPECK-THRESHOLD"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"floor": -0.25, "reset_to": -0.5}, "SPECK-FLOOR"),
        ({"floor": 0.25, "reset": "subtract"}, "SPECK-FLOOR"),
        ({"reset_to": -0.5, "worth": 2.0}, "SPECK-RESET-VALUE"),
    ],
)
def test_a_reset_or_a_floor_that_a_core_does_not_have_is_refused(
    fields: dict[str, Any], code: str
) -> None:
    """A floor above the reset was taken for one at the reset, a reset beside `worth` for 0."""
    held = {k: v if isinstance(v, str) else np.full(2, v) for k, v in fields.items()}
    (found,) = said(chain((3,), linear("l", ones(2, 3)), neurons("n", (2,)).with_(**held)))
    assert (found.code, found.layer) == (code, "n")


def test_a_floor_below_the_reset_and_a_reset_that_is_not_read_are_no_fault() -> None:
    low, two = np.full(2, -0.5), np.full(2, 2.0)
    for fields in (
        {"floor": 2 * low, "reset_to": low},
        {"floor": 0 * low},
        {"reset_to": low, "reset": "subtract", "worth": two},
    ):
        assert codes(chain((3,), linear("l", ones(2, 3)), neurons("n", (2,)).with_(**fields))) == []


def test_a_threshold_a_channel_is_no_fault() -> None:
    theta = np.broadcast_to(np.array([1.0, 3.0])[:, None, None], (2, 2, 2))
    network = chain((1, 4, 4), conv("c", ones(2, 1, 3, 3), (4, 4)), neurons("n", (2, 2, 2), theta))
    assert codes(network) == []


def li(name: str, shape: tuple[int, ...], tau: float = 20.0) -> Population:
    one = np.ones(shape)
    return LI(name=name, tau=tau * one, r=tau * one, v_leak=0 * one)


def cuba(name: str, shape: tuple[int, ...]) -> Population:
    one = np.ones(shape)
    times = {"tau_syn": 5 * one, "tau_mem": 9 * one, "r": one, "w_in": one, "v_leak": 0 * one}
    return CubaLIF(name=name, **times, v_threshold=one, v_reset=0 * one)


def test_neurons_without_an_exact_form_name_what_may_be_allowed() -> None:
    for population, allow in (
        (leaky("n", (2,), 20.0), "linear-leak"),
        (li("n", (2,)), "spike-count"),
    ):
        network = chain((3,), linear("l", ones(2, 3)), population)
        (found,) = said(network)
        assert found.code == "SPECK-KIND"
        assert f"--allow {allow}" in found.fix
        assert codes(network, allow=[allow]) == []


def test_a_potential_inside_becomes_a_rate() -> None:
    network = chain(
        (3,), linear("l", ones(4, 3)), li("v", (4,)), linear("m", ones(2, 4)), neurons("n", (2,))
    )
    (found,) = said(network)
    assert "--allow rate-code" in found.fix
    verdict = nd.check(network, "speck2b", allow=["rate-code"])
    assert verdict.fits
    assert any("each spike carries" in f.what for f in verdict.findings)


@pytest.mark.parametrize(
    "node",
    [
        cuba("x", (2,)),
        Threshold(name="x", threshold=np.ones(2)),
        Delay(name="x", delay=np.ones(2)),
    ],
)
def test_other_kinds_have_no_form(node: Any) -> None:
    network = chain((3,), linear("l", ones(2, 3)), node)
    assert "SPECK-KIND" in codes(network, allow=["linear-leak", "rate-code", "spike-count"])


def test_every_fault_is_told_at_once() -> None:
    nodes = [
        conv("c1", ones(2, 2, 3, 2), (8, 8), dilation=(2, 2)),
        leaky("n1", (2, 4, 6), 20.0),
        conv("c2", ones(2, 2, 3, 3), (4, 6), stride=3),
        neurons("n2", (2, 1, 2), -1.0),
    ]
    assert set(codes(chain((2, 8, 8), *nodes))) == {
        "SPECK-DILATION",
        "SPECK-KERNEL",
        "SPECK-KIND",
        "SPECK-STRIDE",
        "SPECK-THRESHOLD",
    }


def test_a_choice_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="linear-leak"):
        codes(chain((3,), linear("l", ones(2, 3)), leaky("n", (2,), 9.0)), allow=["leak"])


def test_a_wire_of_8_is_taken_with_a_word_about_it() -> None:
    first = conv("c1", eighths((2, 1, 3, 3), 0), (8, 8), pad=1)
    network = chain(
        (1, 8, 8), first, neurons("n1", (2, 8, 8)), pool("p", (2, 8, 8), 8),
        linear("l", ones(2, 2)), neurons("n2", (2,)),
    )  # fmt: skip
    nodes = list(network.nodes)
    flat = Flatten(name="f", flat_input=(2, 1, 1), start=0, end=2)
    nodes.insert(4, flat)
    edges = (*(e for e in network.edges if e != ("p", "l")), ("p", "f"), ("f", "l"))
    network = dataclasses.replace(network, nodes=tuple(nodes), edges=edges)
    verdict = nd.check(network, "speck2b")
    assert verdict.fits
    assert "SPECK-POOLING-8" in [f.code for f in verdict.findings]


def test_only_what_a_choice_rewrites_is_offered_that_choice() -> None:
    """A potential that rests elsewhere than at 0 has no rewrite: no --allow is named for it."""
    one = np.ones(3)
    for rectified, rest, offered in ((False, 0, True), (True, 0, True), (False, 1, False)):
        node = LI(name="n", tau=5 * one, r=one, v_leak=rest * one, rectified=rectified)
        (found,) = (f for f in said(chain((3,), linear("l", ones(3, 3)), node)) if f.layer == "n")
        assert ("--allow" in found.fix) is offered
