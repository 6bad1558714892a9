"""Ways out of a broken limit: only those that follow from this verification's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..abilities import Dequantising, HasStepSums
from ..bundle import Bundle
from ..pipeline import populations, target_of
from ..quantise.rules import Rules
from .causes import Attribution, Ways, either
from .comparison import Comparison, LayerComparison

UNKNOWN = Ways()
ATTRIBUTE = "nrf-deploy verify ... --attribute shows the cause"


@dataclass(frozen=True, eq=False)
class Advice:
    """`attribute` finds the cause where it is not known yet, `shares` are the causes that were
    found, `alone` the layers in isolation. `recorded`: the right run is a file, not an engine."""

    ways: Ways = UNKNOWN
    attribute: str = ATTRIBUTE
    shares: Attribution | None = None
    alone: Comparison | None = None
    recorded: bool = False

    def of(self, layer: LayerComparison, limit: float) -> str:
        """Return the way out for a layer whose error is above its limit."""
        return self._layers_before(layer, limit) or self.cause(layer.layer)

    def cause(self, layer: str) -> str:
        """Return the way out of the cause that was found, or how to find it."""
        found = {} if self.shares is None else {x.layer: x for x in self.shares.layers}
        own = found.get(layer)
        if own is not None and own.error and own.dominant is not None:
            share = f"{own.causes[own.dominant]:.3g}"
            way = self.ways.fix(own.dominant, layer)
            return f"{own.dominant} is its largest cause ({share}): {way}"
        return either(self.ways.bits(layer), self.attribute)

    def farthest(self) -> str:
        """Return where to begin if the answer of the whole model is wrong."""
        layers = [] if self.shares is None else [x for x in self.shares.layers if x.dominant]
        if not layers:
            return self.attribute
        worst = max(layers, key=lambda x: x.error)
        return f"begin with layer {worst.layer!r}: {self.cause(worst.layer)}"

    def _layers_before(self, layer: LayerComparison, limit: float) -> str:
        """Empty unless the layer holds its limit when the other run feeds it."""
        alone = () if self.alone is None else self.alone.layers
        names = [x.layer for x in alone]
        if layer.layer not in names:
            return ""
        at = names.index(layer.layer)
        own = off(alone[at])
        if own is None or own > limit:
            return ""
        assert self.alone is not None
        said = f"fed by {self.alone.right} it is {own:.1%} off: look at the layers before it"
        before = [(e, x.layer) for x in alone[:at] if (e := off(x)) is not None and e > limit]
        if not before:
            return said
        error, name = max(before)
        return f"{said}, first at {name!r} ({error:.1%} off in isolation)"


def off(layer: LayerComparison) -> float | None:
    """Return the error by which a layer is judged."""
    return layer.value_error if layer.analogue else layer.count_error


def ways(bundle: Bundle) -> Ways:
    rules, program, target = bundle.scheme.rules, bundle.program, target_of(bundle)
    coarse = {
        name
        for name in populations(bundle)
        if any(_fewer(bundle, rules, s.name) for s in program.into(name))
    }
    by_event = isinstance(target, HasStepSums) and program.arithmetic in target.summed
    return Ways(frozenset(coarse), bundle.scheme.largest_input > 0, by_event)


def attributing(bundle: Bundle, engine: str, against: str) -> str:
    """Return the command that finds causes; empty where there is none for this pair."""
    if against != "reference" or not isinstance(target_of(bundle), Dequantising):
        return ""
    if engine == "emulator":
        return ATTRIBUTE
    return "nrf-deploy verify ... --engine emulator --attribute shows what causes it there"


def _fewer(bundle: Bundle, rules: Rules, synapses: str) -> bool:
    """Synapses of one node that come by several ways are told apart behind its name."""
    asked = rules.asked_bits(synapses.partition(" (")[0])
    return asked is not None and asked < _most(bundle, asked + 1)


def _most(bundle: Bundle, unknown: int) -> int:
    """As the chip's table says; a chip that a user described has none."""
    table = target_of(bundle).chips.get(bundle.chip, {})
    said = table.get("weight_bits", table.get("limits", {}).get("weight_bits", unknown))
    return int(said["value"] if isinstance(said, Mapping) else said)
