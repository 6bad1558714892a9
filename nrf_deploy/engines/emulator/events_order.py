"""Dependence of a chip without time steps on the order of events in a step.

A chip guarantees no order: events of one step come from a camera or a bus within
microseconds, in any order. So a program is run on the recording in its order, and with the
events of each step shuffled, once for each seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.ir.recording import Recording

from .events_engine import EventEngine


@dataclass(frozen=True)
class Spread:
    """Spike counts of one layer: in order, and the fewest and most of the shuffled runs.

    `neurons` is the share of those active in any run whose count is not the same in all.
    `largest` is the largest difference that one neuron's count shows.
    """

    layer: str
    spikes: int
    fewest: int
    most: int
    neurons: float
    largest: int
    seeds: int

    @property
    def share(self) -> float:
        """The largest relative difference between a shuffled run and the ordered one."""
        off = max(abs(self.most - self.spikes), abs(self.fewest - self.spikes))
        return off / max(self.spikes, 1)

    def finding(self) -> Finding:
        return info(
            "EVENTS-ORDER-SPREAD",
            f"{self.spikes:,} spikes in order, {self.fewest:,} to {self.most:,} in "
            f"{self.seeds} shuffled runs ({self.share:.2%} off at most); {self.neurons:.1%} of its "
            f"active neurons count differently, by at most {self.largest}",
            layer=self.layer,
            why="the chip promises no order among the events of one step",
        )


def order_dependence(
    engine: EventEngine,
    recording: Recording,
    record: Iterable[str] | None = None,
    seeds: Iterable[int] = range(4),
) -> tuple[Spread, ...]:
    """Return the spread of each layer's counts, in the program's order."""
    passed = {p.name for p in engine.program.populations if engine.rule.passes(p)}
    names = [p.name for p in engine.program.populations if p.name not in passed]
    names = [n for n in names if record is None or n in set(record)]
    seeds = list(seeds)
    traces = [engine.run(recording, names)]
    traces += [engine.run(recording, names, shuffle=seed) for seed in seeds]
    return tuple(_spread([t.outputs[name] for t in traces], name, len(seeds)) for name in names)


def _spread(runs: list[Recording], name: str, seeds: int) -> Spread:
    counts = np.array([np.bincount(r.index, r.value, r.size) for r in runs]).astype(np.int64)
    totals = counts.sum(axis=1)
    apart = counts.max(axis=0) - counts.min(axis=0)
    active = int((counts.max(axis=0) > 0).sum())
    shuffled = totals[1:] if seeds else totals
    return Spread(
        layer=name,
        spikes=int(totals[0]),
        fewest=int(shuffled.min()),
        most=int(shuffled.max()),
        neurons=float((apart > 0).sum()) / max(active, 1),
        largest=int(apart.max(initial=0)),
        seeds=seeds,
    )
