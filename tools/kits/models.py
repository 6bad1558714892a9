"""Generator of the conformance kit of models for all targets.

    python -m tools.kits.models FOLDER

Each model is as small as possible and needs one more rule than the models before it. Its weights
are eighths, its decays and thresholds powers of two, so that four bits suffice; no potential is
close to a threshold (odd sixteenths), except where the model tests equality. The float reference
gives the expected results: it equals Norse's LIF, LI and IF in every bit
(tests/engines/reference/test_norse.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from nrf_deploy import __version__
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Array, Delay, Flatten, Network, Population, SumPool
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import CurrentLeaky, Leaky, Spikes, Value
from nrf_deploy.testing.conformance.case import Case, Kit
from nrf_deploy.testing.conformance.store import write_kit

from .model_parts import (
    cell,
    chain,
    dense,
    full,
    kernels,
    leaky,
    one_by_one,
    pulses,
    single,
    some,
    unit,
)

MADE_BY = f"the float reference of nrf-deploy {__version__}"
UNITS = 8
"""Limit of the rounding error of a potential in units of its last bit: with a leak of a quarter,
one unit per step adds up to less than four, and a rounded drive to as much again."""


Made = tuple[str, str, tuple[str, ...], Network, Array]


def neurons() -> Iterator[Made]:
    one = (1,)
    two = dense("w", [[4, -2], [3, 2]])
    yield (
        "sums", "two neurons sum weighted events without a leak", ("weights", "reset to zero"),
        chain(two, cell("n", (2,))), single(40, (2,), 1),
    )  # fmt: skip
    quarter = dense("w", [[2]])
    yield (
        "meets-threshold", "a potential meets its threshold exactly and must not spike",
        ("fires above the threshold, not at it",),
        chain(quarter, cell("n", one, 1.0)), pulses(16, one, *range(14)),
    )  # fmt: skip
    yield (
        "fires-at", "the same neuron, of a model that spikes at the threshold",
        ("fires at the threshold where the model does",),
        chain(quarter, cell("n", one, 1.0, fires="at")), pulses(16, one, *range(14)),
    )  # fmt: skip
    yield (
        "large", "a potential grows to 128 times a weight before it spikes", ("large potentials",),
        chain(dense("w", [[8]]), cell("n", one, 127 + 15 / 16)), pulses(144, one, *range(140)),
    )  # fmt: skip
    yield (
        "subtracts", "a spike takes the threshold off the potential", ("reset by subtraction",),
        chain(dense("w", [[5]]), cell("n", one, reset="subtract")), pulses(16, one, *range(13)),
    )  # fmt: skip
    yield (
        "leak", "a potential decays for twenty steps, then two events make a spike", ("leak",),
        chain(dense("w", [[6]]), leaky("n", one)), pulses(32, one, 0, 24, 25),
    )  # fmt: skip
    yield (
        "rest", "a potential moves to its rest, from which one event makes a spike",
        ("leak", "resting potential"),
        chain(dense("w", [[6]]), leaky("n", one, rest=0.5)), pulses(28, one, 20),
    )  # fmt: skip
    yield (
        "bias", "a layer's bias is added in each step", ("bias of a layer",),
        chain(dense("w", [[2]], bias=0.125), cell("n", one)), pulses(30, one, 3, 11),
    )  # fmt: skip
    yield (
        "resets-below", "a spike leads below zero", ("leak", "reset to other values than 0"),
        chain(dense("w", [[6]]), leaky("n", one, reset=-0.5)), pulses(24, one, 0, 1, 2, 3, 9, 10),
    )  # fmt: skip
    yield (
        "neurons-differ", "leaks and thresholds of three neurons differ",
        ("leak", "parameters neuron by neuron"),
        chain(dense("w", [[6]] * 3), leaky("n", (3,), [0.5, 1, 1.5], [2, 4, 8])),
        pulses(30, one, 0, 1, 2, 3, 4, 12, 20, 21, 22),
    )  # fmt: skip
    filtered = CurrentLeaky(
        tau_syn=full(2, one), tau_mem=full(4, one), r=full(4, one), v_leak=full(0, one),
        w_in=full(2, one),
    )  # fmt: skip
    rule = Spikes(threshold=full(1, one), reset_to=full(0, one))
    current = Population(name="n", membrane=filtered, rule=rule)
    yield (
        "current", "an event becomes a current that decays separately",
        ("leak", "currents with a memory"),
        chain(dense("w", [[4]]), current), pulses(28, one, 0, 8, 9, 10),
    )  # fmt: skip
    leak = Leaky(tau=full(4, one), r=full(4, one), v_leak=full(0, one))
    out = Population(name="n", membrane=leak, rule=Value())
    yield (
        "potential-out", "neurons without threshold give their potential",
        ("leak", "potentials as outputs"),
        chain(dense("w", [[6, -3]]), out), some(24, (2,), 2, 0.3),
    )  # fmt: skip


def connections() -> Iterator[Made]:
    yield (
        "kernel", "one event after another through a kernel of which no two taps are alike",
        ("kernels, as cross-correlation",),
        chain(k := kernels("w", (1, 1, 3, 3), (4, 5), 3), cell("n", k.shape)),
        one_by_one((1, 4, 5)),
    )  # fmt: skip
    yield (
        "channels", "two channels to three", ("kernels, as cross-correlation", "channels"),
        chain(k := kernels("w", (3, 2, 2, 2), (3, 3), 4), cell("n", k.shape)),
        one_by_one((2, 3, 3)),
    )  # fmt: skip
    yield (
        "stride", "every second place", ("kernels, as cross-correlation", "stride"),
        chain(k := kernels("w", (1, 1, 2, 2), (5, 6), 5, stride=(2, 2)), cell("n", k.shape)),
        one_by_one((1, 5, 6)),
    )  # fmt: skip
    padded = kernels("w", (1, 1, 3, 3), (4, 3), 6, padding=((1, 1), (1, 1)))
    yield (
        "padding", "zeros around the input", ("kernels, as cross-correlation", "padding"),
        chain(padded, cell("n", padded.shape)), one_by_one((1, 4, 3)),
    )  # fmt: skip
    yield (
        "dilation", "taps two apart", ("kernels, as cross-correlation", "dilation"),
        chain(k := kernels("w", (1, 1, 2, 2), (5, 4), 7, dilation=(2, 2)), cell("n", k.shape)),
        one_by_one((1, 5, 4)),
    )  # fmt: skip
    yield (
        "groups", "two groups of channels that see nothing of each other",
        ("kernels, as cross-correlation", "groups of channels"),
        chain(k := kernels("w", (4, 1, 2, 2), (3, 3), 8, groups=2), cell("n", k.shape)),
        one_by_one((2, 3, 3)),
    )  # fmt: skip


def graphs() -> Iterator[Made]:
    pair = [[7, -3], [-2, 6]]  # one event makes at most one spike
    yield (
        "two-layers", "what the second layer gets is the first one's, of the right step",
        ("weights", "one layer behind another"),
        chain(dense("w", pair), cell("n", (2,)), dense("x", [[5, 4]]), cell("m", (1,))),
        single(48, (2,), 9),
    )  # fmt: skip
    first = cell("n", (1, 4, 4), 0.5)
    window = SumPool(
        name="pool", pool_input=(1, 4, 4), window=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))
    )
    yield (
        "pool", "spikes of four neurons are summed before the next kernel",
        ("kernels, as cross-correlation", "one layer behind another", "sum pooling"),
        chain(
            unit("k", (4, 4)), first, window,
            k := kernels("w", (2, 1, 2, 2), (2, 2), 11), cell("m", k.shape),
        ),
        single(60, (1, 4, 4), 12),
    )  # fmt: skip
    yield (
        "flatten", "channels, rows and columns become one row of neurons",
        ("one layer behind another", "order of flattening"),
        chain(
            unit("k", (2, 3)), cell("n", (1, 2, 3), 0.5),
            Flatten(name="flat", flat_input=(1, 2, 3), start=0, end=-1),
            dense("w", [[1, 2, 3, 4, 5, 6], [6, -5, 4, -3, 2, -1]]), cell("m", (2,)),
        ),
        one_by_one((1, 2, 3)),
    )  # fmt: skip
    meeting = chain(
        dense("w", pair), cell("n", (2,)), dense("x", [[5, 0], [0, 5]]), cell("m", (2,)),
    )  # fmt: skip
    shortcut = dense("skip", [[3, 0], [0, -2]])
    joined = Network(
        (*meeting.nodes, shortcut), (*meeting.edges, ("in", "skip"), ("skip", "m")), dt=1.0
    )
    yield (
        "two-ways", "a short way and a long one meet in the same step",
        ("one layer behind another", "ways of two lengths"), joined, some(36, (2,), 13),
    )  # fmt: skip
    ring = chain(dense("w", [[6, 0], [0, 6]]), leaky("n", (2,)))
    back = dense("back", [[0, 4], [-4, 0]])
    looped = Network((*ring.nodes, back), (*ring.edges, ("n", "back"), ("back", "n")), dt=1.0)
    yield (
        "feedback", "spikes come back one step later", ("leak", "feedback after one step"),
        looped, some(36, (2,), 14),
    )  # fmt: skip
    late = Delay(name="late", delay=full([1, 3], (2,)))
    yield (
        "delay", "elements wait one and three steps", ("delays",),
        chain(late, dense("w", pair), cell("n", (2,))), some(30, (2,), 15),
    )  # fmt: skip


def kit() -> Kit:
    return Kit(
        about="models that any target can be held against, with what a float model gives",
        cases=tuple(_case(*draft) for part in (neurons, connections, graphs) for draft in part()),
    )


def _case(name: str, about: str, covers: tuple[str, ...], model: Network, frames: Array) -> Case:
    recording = Recording.from_dense(frames)
    every = [n.name for n in model.of(Population)]
    trace = run(model, recording, record=every, states=every)
    spikes = [n.name for n in model.of(Population) if n.spikes]
    assert all(len(trace.outputs[n].index) for n in spikes), f"a layer of {name} is silent"
    return Case(
        name=name, about=about, covers=covers, made_by=MADE_BY, subject=model,
        recording=recording, expected=trace, units=UNITS,
    )  # fmt: skip


if __name__ == "__main__":
    write_kit(kit(), sys.argv[1])
