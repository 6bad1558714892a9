"""Bits of the weights that a machine cannot use, and the fraction_bits that give them back.

A gain ends where the largest weight fills its bits, or earlier, where a threshold, a potential,
a current or a sum fills its own. What is between the two is lost to the weights. Of the former
three all but the last depend on fraction_bits: each bit of fraction takes one from the weights,
and gives none to the potential, whose unit stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from nrf_deploy.compiler.abilities import CHOSEN
from nrf_deploy.diagnostics.findings import Finding, info, warning

from ..settings import Settings

if TYPE_CHECKING:
    from .quantize import Task

COARSE = "EMULATOR-WEIGHT-BITS"
FEW = 0.5
"""Bits that weights may lose; the choice of a gain moves by as much."""


@dataclass(frozen=True)
class Unused:
    """The weights of a layer that lose bits: how many, and to which part of the machine."""

    layer: str
    bits: int  # that the weights have
    lost: float  # of them
    to_sums: float  # what the sums alone would take
    part: str
    seen: bool  # on calibration data

    @property
    def used(self) -> float:
        return max(self.bits - self.lost, 0.0)

    def full(self, s: Settings) -> str:
        """Return in words which part of the machine is full."""
        by = "" if self.seen else ", if every input fires at once (no calibration data)"
        if self.part == "sum":
            return f"larger weights would make sums too large for {s.sum_bits} sum_bits{by}"
        what = {"threshold": "the threshold", "current": "currents"}.get(self.part, "potentials")
        key, bits = _key(self.part, s)
        by = "" if self.part == "threshold" else by
        of = f" ({s.fraction_bits} of them fraction_bits)" if s.fraction_bits else ""
        return f"larger weights would make {what} too large for {bits} {key}{of}{by}"

    def fraction(self, s: Settings) -> int:
        """Return the fraction_bits with which these weights could use the bits that sums allow."""
        return max(s.fraction_bits - ceil(self.lost - max(self.to_sums, FEW)), 0)

    def way_out(self, s: Settings) -> str:
        more = ceil(self.lost - FEW)
        if self.part == "sum":
            return f"set sum_bits to at least {s.sum_bits + more}"
        key, bits = _key(self.part, s)
        fraction = f"fraction_bits to {self.fraction(s)}, or " if s.fraction_bits else ""
        return f"set {fraction}{key} to at least {bits + more}"


def _key(part: str, s: Settings) -> tuple[str, int]:
    if part == "threshold" and s.threshold_bits is not None:
        return "threshold_bits", s.threshold_bits
    return "state_bits", s.state_bits


def unused(task: Task) -> Unused | None:
    """Return the loss of a group's weights in a typical channel; None if it is negligible."""
    fits = {n: task.least(task.grid(n).largest_gain(w)) for n, w in task.floats.items()}
    if not fits:
        return None
    link = min(fits, key=lambda n: float(np.median(fits[n])))
    largest = np.minimum.reduce(list(fits.values()))
    lost: dict[str, float] = {}
    for p in task.group.populations:
        for part, cap in task.ranges.caps(p.name, task.s).items():
            lost[part] = max(lost.get(part, 0.0), _bits(largest, task.least(cap)))
    part = max(lost, key=lambda name: lost[name], default="")
    if not part or lost[part] <= FEW:
        return None
    seen = any(task.ranges.sums[p.name].seen is not None for p in task.group.populations)
    return Unused(link, task.bits[link], lost[part], lost.get("sum", 0.0), part, seen)


def _bits(fits: np.ndarray, cap: np.ndarray) -> float:
    """Return by how many bits the cap is below what fits, in the median channel."""
    finite = np.isfinite(fits) & (fits > 0) & (cap > 0)
    return float(np.median(np.log2(fits[finite] / cap[finite]))) if finite.any() else 0.0


def unused_findings(losing: Sequence[Unused], s: Settings) -> Iterator[Finding]:
    """Yield one warning for the machine, about the layer that loses most."""
    if not losing:
        return
    worst = max(losing, key=lambda losses: losses.lost)
    limit = 2 ** (worst.bits - 1) - 1
    largest = limit * 2**-worst.lost
    beside = f"; in {len(losing)} layers some bits are lost" if len(losing) > 1 else ""
    yield warning(
        COARSE,
        f"the weights use {worst.used:.1f} of {worst.bits} bits: up to about "
        f"{largest:,.{0 if largest >= 10 else 1}f} of {limit:,}{beside}",
        layer=worst.layer,
        why=worst.full(s),
        fix=worst.way_out(s),
    )


def chosen(tasks: Iterable[Task], s: Settings) -> tuple[int, Finding]:
    """Return the most fraction_bits, up to those of `s`, with which weights use their bits."""
    losses = (unused(task) for task in tasks if not task.fixed)
    losing = [one for one in losses if one is not None and one.fraction(s) < s.fraction_bits]
    if not losing:
        why = f"with the preset's {s.fraction_bits} all layers can use their {s.weight_bits} bits"
        return s.fraction_bits, info(CHOSEN, _choice(s.fraction_bits), why=why)
    worst = max(losing, key=lambda one: s.fraction_bits - one.fraction(s))
    why = (
        f"with fraction_bits = {s.fraction_bits} the weights of layer {worst.layer!r} would use "
        f"{worst.used:.1f} of their {worst.bits} bits: {worst.full(s)}"
    )
    fraction = worst.fraction(s)
    return fraction, info(CHOSEN, _choice(fraction), why=why)


def _choice(bits: int) -> str:
    return f"fraction_bits = {bits} is chosen for this model"
