"""Comparison of one layer in two runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import OUTPUT, spread
from nrf_deploy.ir.recording import Recording, Trace

from .alignment import Window, cosine, differing, fault, same, unequal, value_error, window
from .comparison import Divergence, LayerComparison, Number, Value
from .spike_trains import timing

NOTHING: Mapping[str, Any] = MappingProxyType({})
SHIFTS = (-1, 1, -2, 2)
"""Latency errors that are tried on a layer that differs, in rising order of magnitude."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A layer in both runs. Pairs are (left, right)."""

    layer: str
    traces: tuple[Trace, Trace]
    latency: tuple[int, int]
    scale: Mapping[str, Array]
    state_order: Sequence[str]
    counts: bool = False

    @property
    def recordings(self) -> tuple[Recording, Recording]:
        a, b = (t.outputs[self.layer] for t in self.traces)
        return a, b

    @property
    def shape(self) -> Shape:
        return self.recordings[0].shape

    @property
    def steps(self) -> int:
        """The number of steps that both have after the latencies are subtracted."""
        lengths = (r.steps - k for r, k in zip(self.recordings, self.latency, strict=True))
        return max(0, min(lengths))

    @property
    def variables(self) -> list[str]:
        """The state variables that both recorded, in the order in which a step computes them."""
        a, b = (t.states.get(self.layer, NOTHING) for t in self.traces)
        order = [*self.state_order, *(v for v in a if v not in self.state_order)]
        return [v for v in order if v in a and v in b]

    def problems(self) -> Iterator[Finding]:
        """Yield why these two cannot be compared."""
        engines = [t.engine for t in self.traces]
        a, b = self.recordings
        for k in self.latency:
            if k < 0:
                yield error("VERIFY-LATENCY", f"the latency {k} is negative", layer=self.layer)
        if a.shape != b.shape:
            yield error(
                "VERIFY-SHAPE",
                f"{engines[0]} has the shape {a.shape}, {engines[1]} has {b.shape}",
                why="neurons can only be compared one by one",
                fix="compare runs of one model, with the shapes (C, Y, X), (C, L) or (N,)",
                layer=self.layer,
            )
        for trace, recording in zip(self.traces, self.recordings, strict=True):
            reason = fault(recording)
            if reason:
                yield error("VERIFY-RECORDING", f"{trace.engine}: {reason}", layer=self.layer)
            want = (recording.steps, *recording.shape)
            for name in self.variables:
                shape = trace.states[self.layer][name].shape
                if shape != want:
                    what = f"{trace.engine}: the state {name!r} has the shape {shape}, not {want}"
                    yield error("VERIFY-SHAPE", what, layer=self.layer)
        for name, scale in self.scale.items():
            reason = scale_fault(scale, self.shape)
            if reason:
                yield error("VERIFY-SCALE", f"the scale of {name!r} {reason}", layer=self.layer)

    def compare(self) -> LayerComparison:
        steps = self.steps
        a, b = self.windows()
        analogue = _analogue(a.value, b.value)
        keys = {v: self.state_keys(v) for v in self.variables if self.same_kind(v)}
        keys[OUTPUT] = differing(a, b)
        decisive = {v: k for v, k in keys.items() if not (analogue and v == OUTPUT)}
        first = self.first(decisive, a, b)
        undecided = steps == 0 or (analogue and first is None)
        spikes = [self.spikes(w.value) for w in (a, b)]
        outside = [self.spikes(r.value) - n for r, n in zip(self.recordings, spikes, strict=True)]
        return LayerComparison(
            layer=self.layer,
            shape=self.shape,
            steps=steps,
            latency_left=self.latency[0],
            latency_right=self.latency[1],
            spikes_left=spikes[0],
            spikes_right=spikes[1],
            outside_left=outside[0],
            outside_right=outside[1],
            exact=None if undecided else first is None,
            analogue=analogue,
            mismatches=len(keys[OUTPUT]),
            state_mismatches={v: len(k) for v, k in keys.items() if v != OUTPUT},
            count_error=abs(spikes[0] - spikes[1]) / max(spikes[1], 1),
            value_error=self.value_error(a, b) if analogue else None,
            cosine=cosine(a.activity(), b.activity()),
            shift=self.shift() if len(keys[OUTPUT]) and not analogue else None,
            first=first,
            timing=None if analogue or not steps else timing(a, b),
        )

    def spikes(self, values: Array) -> int:
        """Count spikes; if neurons can fire several times in a step, a value of n is n spikes."""
        return int(values.sum()) if self.counts and values.dtype.kind != "f" else len(values)

    def windows(self, late: int = 0) -> tuple[Window, Window]:
        """Return both outputs over the common steps, the left one `late` steps later."""
        a, b = self.recordings
        first = (self.latency[0] + late, self.latency[1])
        lead = max(0, -first[0])
        first = (first[0] + lead, first[1] + lead)
        steps = max(0, min(a.steps - first[0], b.steps - first[1]))
        if steps == 0:
            first = (0, 0)
        return window(a, first[0], steps), window(b, first[1], steps)

    def shift(self) -> int | None:
        """Return by how many steps the left output is late, if this explains every mismatch."""
        for late in SHIFTS:
            a, b = self.windows(late)
            if len(a) and same(a, b):
                return late
        return None

    def state(self, variable: str, side: int) -> Array:
        first = self.latency[side]
        return self.traces[side].states[self.layer][variable][first : first + self.steps]

    def same_kind(self, variable: str) -> bool:
        a, b = (self.traces[i].states[self.layer][variable].dtype.kind == "f" for i in (0, 1))
        return a == b

    def state_keys(self, variable: str) -> Array:
        return np.flatnonzero(unequal(self.state(variable, 0), self.state(variable, 1)))

    def first(self, keys: Mapping[str, Array], a: Window, b: Window) -> Divergence | None:
        """Return the first mismatch: by step, then by order of variables, then by neuron."""
        size = a.size
        candidates = [(int(k[0]) // size, int(k[0]), v) for v, k in keys.items() if len(k)]
        if not candidates:
            return None
        step, key, variable = min(candidates, key=lambda f: f[0])
        neuron = tuple(int(i) for i in np.unravel_index(key % size, self.shape))
        values = [
            self.value(v, neuron, *(self.state(v, i)[(step, *neuron)].item() for i in (0, 1)))
            for v in self.variables
        ]
        values.append(self.value(OUTPUT, neuron, a.at(key), b.at(key)))
        return Divergence(
            layer=self.layer,
            neuron=neuron,
            step=step,
            left_step=step + self.latency[0],
            right_step=step + self.latency[1],
            variable=variable,
            values=tuple(values),
        )

    def value(self, variable: str, neuron: Shape, left: Number, right: Number) -> Value:
        if variable not in self.scale:
            return Value(variable, left, right)
        unit = float(spread(self.scale[variable], self.shape)[neuron])
        floats = (float(x) if isinstance(x, float) else x / unit for x in (left, right))
        return Value(variable, left, right, *floats)

    def value_error(self, a: Window, b: Window) -> float | None:
        if OUTPUT not in self.scale:
            return None
        unit = spread(self.scale[OUTPUT], self.shape).ravel()
        floats = [w.value.dtype.kind == "f" for w in (a, b)]
        a, b = (
            replace(w, value=w.value.astype(np.float64) / (1.0 if f else unit[w.index]))
            for w, f in zip((a, b), floats, strict=True)
        )
        norm = float(np.linalg.norm((a if floats[0] else b).value))
        return value_error(a, b, norm)


def _analogue(left: Array, right: Array) -> bool:
    """Return whether one side is integers and the other fractions, which are never equal."""
    floats = [v for v in (left, right) if v.dtype.kind == "f"]
    return len(floats) == 1 and bool(np.any(floats[0] != np.rint(floats[0])))


def scale_fault(scale: Array, shape: Shape) -> str | None:
    try:
        units = spread(scale, shape)
    except ValueError:
        return f"has the shape {np.shape(scale)}, which does not fit a layer of {shape}"
    if not np.all(np.isfinite(units)) or np.any(units == 0):
        return "has zeros, infinities or NaN, by which no value can be divided"
    return None
