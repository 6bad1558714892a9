"""Comparison of two runs of one model, with their first mismatch.

The left run is usually a program, the right one its reference. A layer with latency k is at
step t + k when its model is at step t: each side's latency is subtracted first, and only the
steps that both sides then have are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Trace

from .comparison import Comparison, Inputs
from .pairs import NOTHING, Pair


def compare(
    left: Trace,
    right: Trace,
    *,
    order: Sequence[str],
    latency_left: Mapping[str, int] = NOTHING,
    latency_right: Mapping[str, int] = NOTHING,
    scale: Mapping[str, Mapping[str, Array]] = NOTHING,
    states: Mapping[str, Sequence[str]] = NOTHING,
    counts: Collection[str] = (),
    inputs: Inputs | None = None,
) -> Comparison:
    """Compare every layer whose output both runs recorded.

    `order` is the network's order and may name more than the runs recorded. `scale` says
    how many integer units one float unit of a layer's variable is: one number, one a
    channel, or one a neuron; that of `output` is an analogue output's.
    `states` gives a layer's variables in the order in which a step computes them; without
    it they keep the order of the left run. `counts` names layers in which a value of n is n
    spikes; elsewhere each is one. `inputs` is called once, for the first mismatch.
    """
    shared = [n for n in dict.fromkeys(order) if n in left.outputs and n in right.outputs]
    pairs = [
        Pair(
            name,
            (left, right),
            (latency_left.get(name, 0), latency_right.get(name, 0)),
            scale.get(name, NOTHING),
            states.get(name, ()),
            name in counts,
        )
        for name in shared
    ]
    refuse(_problems(left, right, order, pairs), InputError)
    layers = tuple(pair.compare() for pair in pairs)
    places = [layer.first for layer in layers if layer.first is not None]
    first = min(places, key=lambda d: d.step, default=None)
    if first is not None and inputs is not None:
        arrivals = tuple(inputs(first.layer, first.neuron, first.left_step))
        first = replace(first, arrivals=arrivals)
    return Comparison(left.engine, right.engine, layers, first, _uncompared(left, right))


def _uncompared(left: Trace, right: Trace) -> dict[str, tuple[str, ...]]:
    """Return the layers without an output in one run or both, with the sides that lack it."""
    names = dict.fromkeys(n for t in (left, right) for n in (*t.outputs, *t.states))
    sides = {"left": left, "right": right}
    lacking = {n: tuple(s for s, t in sides.items() if n not in t.outputs) for n in names}
    return {name: sides for name, sides in lacking.items() if sides}


def _problems(
    left: Trace, right: Trace, order: Sequence[str], pairs: Sequence[Pair]
) -> list[Finding]:
    """Return why these runs cannot be compared."""
    problems = [
        error(
            "VERIFY-ORDER",
            "both runs have this layer, but the order of the network does not name it",
            why="without its place, the first mismatch cannot be found",
            fix="give the order of the network that both runs come from",
            layer=name,
        )
        for name in left.outputs
        if name in right.outputs and name not in order
    ]
    if not any(name in right.outputs for name in left.outputs):
        names = [sorted(t.outputs) for t in (left, right)]
        problems.append(
            error(
                "VERIFY-NO-LAYER",
                f"no layer is in both runs: {left.engine} recorded {names[0]}, "
                f"{right.engine} recorded {names[1]}",
                fix="record the same layers in both, named as in the model",
            )
        )
    return problems + [p for pair in pairs for p in pair.problems()]
