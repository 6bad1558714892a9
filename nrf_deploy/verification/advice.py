"""Fixes for a broken limit that follow from the numbers of this verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import populations, target_of
from nrf_deploy.compare.comparison import Comparison, LayerComparison
from nrf_deploy.compiler.abilities import Dequantising, HasStepSums
from nrf_deploy.compiler.quantize.rules import Rules

from .attribution.causes import Attribution, Ways, either

UNKNOWN = Ways()
ATTRIBUTE = "nrf-deploy verify ... --attribute shows the cause"
STEPS = "steps"
"""The engine of chips without time steps that adds up the events of a step."""
ONE_BY_ONE = (
    "the chip takes events one by one, and the model adds up those of a step before it tests the "
    "threshold"
)


@dataclass(frozen=True, eq=False)
class Advice:
    """Advice for a verification. `attribute` is the command that finds causes, `shares` are the
    known causes, `alone` the layers in isolation. `recorded`: the right run is a file. `why` is a
    reason for which the two runs differ with any integers."""

    ways: Ways = UNKNOWN
    attribute: str = ATTRIBUTE
    shares: Attribution | None = None
    alone: Comparison | None = None
    recorded: bool = False
    why: str = ""

    def of(self, layer: LayerComparison, limit: float) -> str:
        """Return the fix for a layer whose error is above its limit."""
        return self._layers_before(layer, limit) or self.cause(layer.layer)

    def cause(self, layer: str) -> str:
        """Return the fix of a layer's largest cause, or how to find the cause."""
        shares_by_layer = {} if self.shares is None else {x.layer: x for x in self.shares.layers}
        shares = shares_by_layer.get(layer)
        if shares is not None and shares.error and shares.dominant is not None:
            share = f"{shares.causes[shares.dominant]:.3g}"
            way = self.ways.fix(shares.dominant, layer)
            return f"{shares.dominant} is its largest cause ({share}): {way}"
        return either(self.ways.bits(layer), self.attribute)

    def farthest(self) -> str:
        """Return the layer to begin with if the answer of the whole model is wrong."""
        layers = [] if self.shares is None else [x for x in self.shares.layers if x.dominant]
        if not layers:
            return self.attribute
        worst = max(layers, key=lambda x: x.error)
        return f"begin with layer {worst.layer!r}: {self.cause(worst.layer)}"

    def _layers_before(self, layer: LayerComparison, limit: float) -> str:
        """Return advice on earlier layers if the layer is within its limit in isolation, or ""."""
        isolated = () if self.alone is None else self.alone.layers
        names = [x.layer for x in isolated]
        if layer.layer not in names:
            return ""
        at = names.index(layer.layer)
        value = off(isolated[at])
        if value is None or value > limit:
            return ""
        assert self.alone is not None
        advice = f"fed by {self.alone.right} it is {value:.1%} off: check the layers before it"
        before = [(e, x.layer) for x in isolated[:at] if (e := off(x)) is not None and e > limit]
        if not before:
            return advice
        error, name = max(before)
        return f"{advice}, first at {name!r} ({error:.1%} off in isolation)"


def off(layer: LayerComparison) -> float | None:
    """Return the error by which a layer is judged."""
    return layer.value_error if layer.analogue else layer.count_error


def ways(bundle: Bundle) -> Ways:
    rules, program = bundle.scheme.rules, bundle.program
    coarse = {
        name
        for name in populations(bundle)
        if any(_fewer(bundle, rules, s.name) for s in program.into(name))
    }
    return Ways(frozenset(coarse), bundle.scheme.largest_input > 0, by_event(bundle))


def by_event(bundle: Bundle) -> bool:
    """Return whether the chip takes the events of a step one by one."""
    target = target_of(bundle)
    return isinstance(target, HasStepSums) and bundle.program.arithmetic in target.summed


def reason(bundle: Bundle, engine: str, against: str) -> str:
    """Return why two engines differ with any integers, or ""."""
    pair = (engine, against)
    return ONE_BY_ONE if pair == ("emulator", "reference") and by_event(bundle) else ""


def attributing(bundle: Bundle, engine: str, against: str) -> str:
    """Return the command that finds causes; empty if there is none for this pair."""
    if against != "reference" or not isinstance(target_of(bundle), Dequantising):
        return ""
    if engine == "emulator":
        if by_event(bundle) and STEPS in target_of(bundle).engines:
            return f"{ATTRIBUTE}, and --engine {STEPS} what the integers alone cost"
        return ATTRIBUTE
    return "nrf-deploy verify ... --engine emulator --attribute shows what causes it there"


def _fewer(bundle: Bundle, rules: Rules, synapses: str) -> bool:
    """Return whether the scheme sets fewer bits for these synapses than the chip has."""
    bits = rules.requested_bits(synapses.partition(" (")[0])
    return bits is not None and bits < _most(bundle, bits + 1)


def _most(bundle: Bundle, unknown: int) -> int:
    """Return the weight bits of the chip's table; a user's machine has no table."""
    table = target_of(bundle).chips.get(bundle.chip, {})
    value = table.get("weight_bits", table.get("limits", {}).get("weight_bits", unknown))
    return int(value["value"] if isinstance(value, Mapping) else value)
