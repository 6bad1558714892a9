"""Models of the kit with the other resets and firing rules.

The models in the kit's folder reset to a value and spike above the threshold. Each is also held
against a chip with a reset by subtraction, with a spike at the threshold, and with both, as far as
the chip declares them: so a chip that subtracts is tested as fully as one that does not. The float
reference gives what is expected.

A threshold for spikes at it is the next eighth, which potentials without a leak meet exactly. All
are so large that no weight holds two: chips differ in when a potential that stays above its
threshold spikes again. A model is left out if a rounded potential could pass its threshold in
another step, or if one of the other rules changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from nrf_deploy import __version__
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.capabilities import Domain, accepted
from nrf_deploy.ir.network import Array, Conv, Linear, Network, Population
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.neurons import Integrator, Spikes
from nrf_deploy.neurons.spikes import Fires, Reset

from .case import Case

RULES: tuple[tuple[Reset, Fires], ...] = (
    ("subtract", "above"),
    ("value", "at"),
    ("subtract", "at"),
)
WORDS = {"subtract": "reset by subtraction", "at": "fires at the threshold where the model does"}
LEAST = (15 / 16, 31 / 32, 33 / 32, 37 / 32, 39 / 32, 41 / 32)
"""Smallest thresholds, in the order in which they are tried: at most one is in a weight."""
MARGIN = 1 / 128
"""Part of a threshold by which it may move without another spike, where potentials round."""


def declared(cases: Iterable[Case], domain: Domain) -> Iterator[Case]:
    """Yield each case and its variants, as far as a target declares their neurons."""
    for case in cases:
        yield case
        for variant in variants(case):
            assert isinstance(variant.subject, Network)
            nodes = variant.subject.of(Population)
            if all(accepted(node, domain.runs) is not None for node in nodes):
                yield variant


@cache
def variants(case: Case) -> tuple[Case, ...]:
    """Return the variants of a model of the kit."""
    model = case.subject
    if not isinstance(model, Network) or case.judge is not None or not _plain(model):
        return ()
    return tuple(v for rule in RULES if (v := _variant(case, model, *rule)) is not None)


def _plain(model: Network) -> bool:
    """Return True if all neurons reset to a value and spike above the threshold."""
    rules = [node.rule for node in model.of(Population) if node.spikes]
    return bool(rules) and all(
        type(rule) is Spikes and not {f.name for f, _ in rule.stated()} - {"reset_to"}
        for rule in rules
    )


def _variant(case: Case, model: Network, reset: Reset, fires: Fires) -> Case | None:
    """Return the variant with these rules, at the first thresholds with which it is one."""
    ways = [word for word in (reset, fires) if word in WORDS]
    words, named = [WORDS[word] for word in ways], "-".join(ways)
    before: dict[str, dict[str, str]] = {"subtract": {"reset": "value"}, "at": {"fires": "above"}}
    for least in LEAST:
        other = _with(_numbered(model, fires, least), reset=reset, fires=fires)
        trace = _run(other, case)
        without = (_run(_with(other, **before[word]), case) for word in ways)
        if not any(_same(trace, less) for less in without) and _clear(other, case, trace):
            break
    else:
        return None
    return replace(
        case,
        name=f"{case.name}-{named}",
        about=f"{case.about}; {' and '.join(words)}",
        covers=(*case.covers, *words),
        made_by=f"the float reference of nrf-deploy {__version__}",
        subject=other,
        expected=trace,
    )


def _with(model: Network, **fields: Any) -> Network:
    """Return a model with other fields of the rules of its neurons."""
    nodes = (
        node.with_(**fields) if type(node) is Population and node.spikes else node
        for node in model.nodes
    )
    return replace(model, nodes=tuple(nodes))


def _numbered(model: Network, fires: Fires, least: float) -> Network:
    """Return a model with thresholds for these rules."""

    def moved(threshold: Array) -> Array:
        threshold = np.maximum(threshold, least)
        return np.ceil(threshold * 8) / 8 if fires == "at" else threshold

    return _thresholds(model, moved)


def _run(model: Network, case: Case) -> Trace:
    states = [name for name, of_layer in case.expected.states.items() if of_layer]
    return run(model, case.recording, record=case.layers, states=states)


def _same(one: Trace, other: Trace) -> bool:
    return all(_alike(r, other.outputs[name]) for name, r in one.outputs.items()) and all(
        np.array_equal(x, other.states[name][v])
        for name, of_layer in one.states.items()
        for v, x in of_layer.items()
    )


def _alike(one: Recording, other: Recording) -> bool:
    return np.array_equal(one.dense(), other.dense())


def _clear(model: Network, case: Case, trace: Trace) -> bool:
    """Return True if no rounding of a potential can change a spike."""
    neurons = [node for node in model.of(Population) if node.spikes]
    biased = any(node.bias is not None for node in model.of(Linear, Conv))
    meets = all(type(node.rule) is Spikes and node.rule.fires == "at" for node in neurons)
    if meets and not biased and all(type(node.membrane) is Integrator for node in neurons):
        return True  # sums of weights meet a threshold exactly
    spikes = [node.name for node in neurons]
    for factor in (1 - MARGIN, 1 + MARGIN):
        moved = _run(_thresholds(model, lambda x, by=factor: x * by), case)  # type: ignore[misc]
        if not all(_alike(moved.outputs[name], trace.outputs[name]) for name in spikes):
            return False
    return True


def _thresholds(model: Network, of: Callable[[Array], Array]) -> Network:
    nodes = (
        node.with_(threshold=of(node.rule.threshold).astype(np.float32))
        if type(node) is Population and type(node.rule) is Spikes
        else node
        for node in model.nodes
    )
    return replace(model, nodes=tuple(nodes))
