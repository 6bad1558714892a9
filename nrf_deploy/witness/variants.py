"""The changes of a layer that are tried to explain a difference, one axis each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nrf_deploy.io.nir.beyond import words
from nrf_deploy.ir.network import Population
from nrf_deploy.neurons import CurrentLeaky, Leaky, Membrane, Spikes

Change = Callable[[Population], Population]


@dataclass(frozen=True)
class Variant:
    """One change to a layer, in words; two of one axis exclude each other."""

    axis: str
    text: str
    option: str
    change: Change


def variants(node: Population, dt: float) -> Iterator[Variant]:
    """Yield every change of one axis."""
    if isinstance(node.rule, Spikes):
        yield from _of_rule(node.rule)
    yield from _of_membrane(node.membrane, dt)


RESETS = {
    "subtract": "the reset subtracts the threshold at once",
    "late": "the reset subtracts the threshold one step late (threshold/beta at once)",
    "none": "there is no reset",
    "doubled": "the reset is that of snnTorch with reset_delay=False",
}
FIRES = {"above": "a spike needs v > threshold", "at": "a spike leaves at v >= threshold too"}
PER_STEP = {
    "one": "one spike leaves a step",
    "many": "several spikes leave in a step, the first at v >= threshold",
}


def _of_rule(rule: Spikes) -> Iterator[Variant]:
    known = words(Spikes, "reset")
    for word in known:
        if word in RESETS and word != rule.reset:
            yield _rule("reset", RESETS[word], f"--reset {word}", reset=word)
    if rule.reset != "value":
        yield _rule("reset", "the reset is to a value", "--reset value", reset="value")
    if rule.reset != "value" or np.any(np.asarray(rule.reset_to) != 0):
        yield _rule("reset", "the reset is to 0", "", reset="value", reset_to=0.0)
    for word, text in FIRES.items():
        if word != rule.fires:
            yield _rule("fires", text, f"--fires {word}", fires=word)
    for word, text in PER_STEP.items():
        if word != rule.per_step:
            more, option = ({"fires": "at"}, " --fires at") if word == "many" else ({}, "")
            yield _rule("per_step", text, f"--per-step {word}{option}", per_step=word, **more)
    if rule.floor is not None:
        yield _rule("floor", "the potential has no floor", "--floor none", floor=None)
    full = np.asarray(rule.threshold, np.float32)
    lows = {"-threshold": -full, "-1": 0 * full - 1, "0": 0 * full}
    for name, low in lows.items():
        if rule.floor is None or not np.array_equal(rule.floor, low):
            option = "" if name == "-threshold" else f"--floor {name}"
            yield _rule("floor", f"the potential has a floor of {name}", option, floor=low)
    rests = {None: "no step of rest follows a spike", 1: "a step of rest follows each spike"}
    for rest, text in rests.items():
        word = "none" if rest is None else str(rest)
        if (rule.refractory is None) != (rest is None):
            yield _rule(
                "rest",
                text,
                f"--refractory {word}",
                refractory=None if rest is None else 0 * full + rest,
            )


def _rule(axis: str, text: str, option: str, **fields: Any) -> Variant:
    def change(node: Population) -> Population:
        assert isinstance(node.rule, Spikes)
        own = dict(fields)
        if (
            own.get("reset") in ("value", "none")
            and getattr(node.rule, "subtracts", None) is not None
        ):
            own["subtracts"] = None
        if own.get("per_step") == "one" and getattr(node.rule, "most", None) is not None:
            own["most"] = None
        return replace(node, rule=replace(node.rule, **own))

    return Variant(axis, text, option, change)


def _of_membrane(membrane: Membrane, dt: float) -> Iterator[Variant]:
    for f in dataclasses.fields(membrane):
        for word in words(type(membrane), f.name) if f.name == "order" else ():
            if word != getattr(membrane, "order", word):
                text = f"its float32 operations are in the order '{word}'"
                yield _membrane("order", text, order=word)
    if isinstance(membrane, Leaky):
        k = dt / membrane.tau.astype(np.float64)
        yield _membrane("gain", "the input is not scaled by dt/tau", r=membrane.r / k)
        yield _membrane("gain", "the input is scaled by dt/tau", r=membrane.r * k)
        yield from _exact(membrane, dt)
    if isinstance(membrane, CurrentLeaky):
        k = dt / membrane.tau_mem.astype(np.float64)
        k_syn = dt / membrane.tau_syn.astype(np.float64)
        yield _membrane("gain", "the current is not scaled by dt/tau_mem", r=membrane.r / k)
        yield _membrane("gain", "the current is scaled by dt/tau_mem", r=membrane.r * k)
        w = membrane.w_in
        yield _membrane("filter", "the input is not scaled by dt/tau_syn", w_in=w / k_syn)
        yield _membrane("filter", "the input is scaled by dt/tau_syn", w_in=w * k_syn)
        keep = 1 - k_syn
        if np.all(keep > 0):
            yield _membrane("filter", "the current decays after the input", w_in=w * keep)
            yield _membrane("filter", "the current decays before the input", w_in=w / keep)


def _exact(membrane: Leaky, dt: float) -> Iterator[Variant]:
    """Yield the decay exp(-dt/tau), with the gain 1, that of the file, and that of the solution."""
    whole = membrane.exactly(dt)
    k = dt / whole.tau.astype(np.float64)
    text = "the potential decays by exp(-dt/tau)"
    yield _membrane("decay", text, tau=whole.tau, r=membrane.r)
    yield _membrane("decay", f"{text} and the input is not scaled", tau=whole.tau, r=membrane.r / k)
    yield _membrane("decay", f"{text} with the file's gain", tau=whole.tau, r=whole.r)


def _membrane(axis: str, text: str, **fields: Any) -> Variant:
    def change(node: Population) -> Population:
        own: dict[str, Any] = {
            k: v if isinstance(v, str) else np.asarray(v, _wide(v)) for k, v in fields.items()
        }
        return replace(node, membrane=replace(node.membrane, **own))

    return Variant(axis, text, "", change)


def _wide(values: Any) -> Any:
    """Return the type of a number: time constants stay in float64, from which d comes back."""
    return np.asarray(values).dtype
