"""Losses of a population in the machine's integers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.scheme import PopulationScheme
from nrf_deploy.diagnostics.findings import Finding, error, warning

from ..arithmetic.models import MODELS, words
from ..settings import PREFIX, Settings
from .units import Unit


def losses(unit: Unit, scheme: PopulationScheme, s: Settings) -> Iterator[Finding]:
    """Yield what the machine's integers lose of a population."""
    p = {name: np.asarray(value) for name, value in scheme.params.items()}
    scale = np.asarray(scheme.scale["v"])
    yield from _beyond(unit, scheme, s)
    threshold = unit.form.threshold
    if threshold is not None:
        yield from checks.threshold_lost(
            PREFIX,
            unit.node.name,
            threshold,
            p["vth"] - unit.threshold_offset(p),
            float(scale.min()),
            fix="use more threshold_bits, state_bits or fraction_bits, or weights and "
            "thresholds that are more alike in size",
        )
        if (p["subtract"] or unit.many) and bool(p["at"]) != unit.fires_at:
            where = (
                ("the model", "this machine") if unit.fires_at else ("this machine", "the model")
            )
            yield warning(
                "EMULATOR-FIRES",
                f"a potential that meets its threshold exactly spikes in {where[0]}, not in "
                f"{where[1]}",
                layer=unit.node.name,
                why="a threshold that is one off would also be subtracted, or counted",
                fix='set fires = "both"',
            )
    yield from _started_above(unit, p, scale)
    yield from _amounts(unit, p, scale)
    for name, constant in unit.constants(s).items():
        fix = "use more fraction_bits (and state_bits to hold them)"
        yield from checks.biases_lost(PREFIX, unit.node.name, constant * scale, p[name], fix)
    if "leak" in p:
        yield from _subtractive(unit, p["leak"])


def _started_above(
    unit: Unit, params: dict[str, np.ndarray], scale: np.ndarray
) -> Iterator[Finding]:
    """Refuse a start that counts as a spike before the first step where the model's does not.

    A start is moved to make up for a bias that is missing in the first step (units.py).
    """
    rule = unit.firing
    if rule is None or rule.reset not in ("late", "doubled"):
        return
    moved = params["v0"] > params["vth"]
    if np.any(moved != (np.rint(unit.form.first * scale) > params["vth"])):
        yield error(
            "EMULATOR-START",
            f"the start of a potential with reset={rule.reset} is on the other side of the "
            "threshold",
            layer=unit.node.name,
            why="the bias of a loop is missing in the first step, and the start makes up for it",
            fix="train without a bias in the recurrent connection, or with a smaller one",
        )


def _amounts(unit: Unit, params: dict[str, np.ndarray], scale: np.ndarray) -> Iterator[Finding]:
    """Yield a warning for each amount of the rule and its parts that rounds to 0."""
    rule = unit.node.rule
    for part in (rule, *(part for _, part in rule.parts())):
        for name, counts, x in part.numbers():
            if counts == "amount" and np.any(lost := (x != 0) & (params[name] == 0)):
                yield warning(
                    "EMULATOR-AMOUNT-LOST",
                    f"{name} of {type(part).__name__} rounds to 0 in {int(lost.sum())} neurons",
                    layer=unit.node.name,
                    why=f"one unit of v is {scale.min():.4g} integer units here",
                    fix="use more fraction_bits (and state_bits to hold them)",
                )


def _beyond(unit: Unit, scheme: PopulationScheme, s: Settings) -> Iterator[Finding]:
    names = words(MODELS[unit.model].parameters)
    limits = dict.fromkeys(names, (s.largest_state, "state_bits"))
    limits["vth"] = s.largest_threshold, "threshold_bits" if s.threshold_bits else "state_bits"
    for name, (limit, bits) in limits.items():
        largest = int(np.abs(np.asarray(scheme.params.get(name, 0))).max(initial=0))
        if largest > limit:
            yield error(
                "EMULATOR-BEYOND",
                f"{name} would be {largest}; the machine's {bits} hold up to {limit}",
                layer=unit.node.name,
                fix=f"use more {bits}, fewer fraction_bits, or a smaller gain in the scheme",
            )
    counted = MODELS[unit.model].counts.values()
    for name, counts, x in unit.node.rule.numbers() if "steps" in counted else ():
        if counts == "steps" and name != "most" and x.max(initial=0) > s.largest_state:
            yield error(
                "EMULATOR-BEYOND",
                f"{name} is {int(x.max())} steps; the machine's state_bits hold up to "
                f"{s.largest_state}",
                layer=unit.node.name,
                why="the neurons count the steps in a state",
                fix="use more state_bits, or train with fewer steps",
            )


def _subtractive(unit: Unit, leak: np.ndarray) -> Iterator[Finding]:
    if np.any((leak == 0) & (unit.form.decay > 0)):
        yield error(
            "EMULATOR-LEAK-LOST",
            f"a leak of {unit.form.decay.max():.4g} a step rounds to 0",
            layer=unit.node.name,
            why=f"half of what it takes at threshold is {unit.amount().min():.4g} of v",
            fix='use more fraction_bits and state_bits, or leak = "exponential"',
        )
    yield warning(
        "EMULATOR-LEAK-SUBTRACTIVE",
        f"the model's leak takes {unit.form.decay.max():.2%} of v in a step, this machine a "
        f"constant amount of up to {int(leak.max())} units",
        layer=unit.node.name,
        why="it is right on average between rest and threshold, wrong above and below",
        fix='train with such a leak, use IF neurons, or set leak = "exponential"',
    )
