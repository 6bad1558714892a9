"""The start of a population, so that its bias and its input are in step.

A population with latency L stands still in the model while the chip's bias already works
for L steps. It must start where those L steps lead to the model's first potential.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population

from ..arithmetic.integers import shr0
from ..arithmetic.neurons import MODELS
from ..chip import STATE_LIMIT, STATE_SHIFT

FORGOTTEN = 3  # time constants, after which a leak has left a twentieth


def currents(u0: Array, keep: Array, latency: int) -> list[Array]:
    """Return the current in each step before the model's first one."""
    steps = [u0]
    for _ in range(latency):
        steps.append(shr0(steps[-1] * keep, 12))
    return steps[1:]


def before(
    decayed: Array, bias: Array, keep: Array, latency: int, current: Sequence[Array] = ()
) -> Array:
    """Return the potential to start from.

    `decayed` is the model's first potential after the decay of its first step. A step is
    v -> shr0(v * keep) + bias, and the current of that step if there is one; since keep <= 4096,
    shr0 takes every integer as a value, so such a v exists, and of several the one nearest to 0
    is taken. Where it lies beyond 24 bits it ends at their edge, and `Start.said` says so.
    """
    v = np.broadcast_to(decayed, np.broadcast_shapes(decayed.shape, bias.shape))
    v = _undecayed(v, keep)
    for step in reversed(range(latency)):
        v = _undecayed(v - bias - (current[step] if current else 0), keep)
    return v


def _undecayed(v: Array, keep: Array) -> Array:
    v = np.sign(v) * -(-(np.abs(v) << 12) // np.maximum(keep, 1))  # 0 keeps only 0
    return _held(v)


def _held(v: Array) -> Array:
    return np.asarray(np.clip(v, -STATE_LIMIT, STATE_LIMIT))


@dataclass(frozen=True, eq=False)
class Start:
    """The behaviour of a population before the model's first step."""

    population: Population
    latency: int
    decayed: Array
    feeds_on: bool
    sourced: tuple[Finding, ...] = ()
    mirrored: bool = False
    back: Array = field(default_factory=lambda: np.zeros((), np.int64))

    def said(self) -> Iterator[Finding]:
        """Report a start that misses the model's first potential, or sends something early."""
        yield from self.sourced
        p = {key: np.asarray(value) for key, value in self.population.params.items()}
        keep, bias = 4096 - p["dv"], p["bias_mant"] << p["bias_exp"]
        v = np.broadcast_to(p["v0"], self.population.shape)
        u, keep_u = np.broadcast_to(p.get("u0", 0), v.shape), 4095 - p["du"]
        early, sent = np.zeros(v.shape, bool), 0
        for _ in range(self.latency):
            u = shr0(u * keep_u, 12)
            v = _held(shr0(v * keep, 12) + u + bias)
            if MODELS[self.population.model].sends == "potential":
                sent = max(sent, int(np.abs((v + (1 << p["shift"] >> 1)) >> p["shift"]).max()))
            else:
                early = early | (v > p["vth"] << STATE_SHIFT)
        first, decays = (u * keep_u, p["du"] + 1) if self.mirrored else (v * keep, p["dv"])
        cut = np.abs(p["u0"] if self.mirrored else p["v0"]) == STATE_LIMIT
        missed = np.where(early, cut, shr0(first, 12) != self.decayed)
        if (early & ~missed).any():
            yield self._early_spikes(early & ~missed, decays)
        if missed.any():
            yield self._missed(missed, decays)
        if sent and self.feeds_on:
            yield self._early_values(sent)

    def _early_spikes(self, early: Array, dv: Array) -> Finding:
        part = f"1/{self.latency - 1}" if self.latency > 2 else "the whole"
        return self._wrong(
            "LOIHI-EARLY-SPIKES",
            f"{int(early.sum())} neurons spike before the first input can reach them",
            early,
            dv,
            f"keep a bias that pulls down within {part} of the threshold a step",
        )

    def _missed(self, missed: Array, dv: Array) -> Finding:
        return self._wrong(
            "LOIHI-START-CLIPPED",
            f"{int(missed.sum())} neurons would have to start beyond {STATE_LIMIT} "
            "to meet the model's first potential",
            missed,
            dv,
            "use a smaller bias, or a smaller gain in this layer (--scheme)",
        )

    def _wrong(self, code: str, what: str, where: Array, dv: Array, smaller: str) -> Finding:
        """Return a finding: an error where no leak brings a wrong start back."""
        early = "potential decays" if self.mirrored else "bias works"
        why = (
            f"its {early} from the first step, its input comes {self.latency} steps later; "
            "the start that makes up for it cannot be held"
        )
        slowest = int(np.broadcast_to(dv, where.shape)[where].min())
        if slowest == 0:
            why += ", and without a leak the potential stays off for ever"
            fix = f"{smaller}, put fewer layers before this one, or use neurons with a leak"
            return error(code, what, layer=self.population.name, why=why, fix=fix)
        rest = int(np.max(self.population.params.get("period", 0)))  # then it leaks
        steps = rest - (-FORGOTTEN * 4096 // slowest)
        fix = f"leave the first {steps} steps out when you judge (the leak forgets), or {smaller}"
        return warning(code, what, layer=self.population.name, why=why, fix=fix)

    def _early_values(self, sent: int) -> Finding:
        return warning(
            "LOIHI-EARLY-VALUES",
            f"it sends payloads up to {sent} before the first input can reach it",
            layer=self.population.name,
            why="its bias (or v_leak) works from the first step, its input comes "
            f"{self.latency} steps later; the layer behind it starts with these values",
            fix="let the layer behind forget them (a leak), or use no bias and v_leak = 0 here",
        )
