"""What can still be turned: only that is proposed as a way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..bundle import Bundle
from ..pipeline import populations, target_of
from ..quantise.rules import Rules


@dataclass(frozen=True)
class Advice:
    """`coarse` are layers whose weights a scheme gave fewer bits than the chip has; `calibrated`
    is known to be true, or not known. `recorded`: the right run is a file, not an engine."""

    coarse: frozenset[str] = frozenset()
    calibrated: bool = False
    recorded: bool = False

    def integers(self) -> str:
        """A way to better integers; where data were used already they may not be the cause."""
        if not self.calibrated:
            return "compile with --calibrate REC on data like this input"
        more = "compile with --calibrate REC on data more like this input"
        return f"verify with --attribute to see the causes, {more}"

    def bits(self, layer: str) -> str:
        return "give the layer more weight_bits in --scheme S.toml" if layer in self.coarse else ""


def advice(bundle: Bundle, recorded: bool = False) -> Advice:
    rules, program = bundle.scheme.rules, bundle.program
    coarse = {
        name
        for name in populations(bundle)
        if any(_fewer(bundle, rules, s.name) for s in program.into(name))
    }
    return Advice(frozenset(coarse), bundle.scheme.largest_input > 0, recorded)


def _fewer(bundle: Bundle, rules: Rules, synapses: str) -> bool:
    """Synapses of one node that come by several ways are told apart behind its name."""
    asked = rules.asked_bits(synapses.partition(" (")[0])
    return asked is not None and asked < _most(bundle, asked + 1)


def _most(bundle: Bundle, unknown: int) -> int:
    """As the chip's table says; a chip that a user described has none."""
    table = target_of(bundle).chips.get(bundle.chip, {})
    said = table.get("weight_bits", table.get("limits", {}).get("weight_bits", unknown))
    return int(said["value"] if isinstance(said, Mapping) else said)


def either(*ways: str) -> str:
    """One sentence of those ways out that there are."""
    there = [way for way in ways if way]
    return ", or ".join([", ".join(there[:-1]), there[-1]] if len(there) > 1 else there)
