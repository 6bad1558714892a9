"""The effect of a choice of integers on data: a layer at a time, event by event as on the chip.

Each layer gets what the layers before it give with the integers that were chosen for them,
and is held against the spikes of the float model. So what one layer loses the next can make
up for.

Which errors in the weights cost spikes: the second moments of what they see.

A neuron without a leak adds up all that ever arrived. With errors e in its weights it is off
by e . X, where X are the inputs of its weights, summed up; a spike that subtracts the threshold
takes nothing of that away, so X counts from the beginning. A spike that empties the neuron
does, and X counts from the last spike: from as many steps ago as lie between two spikes on
average. Rounding that makes e M e small, M the moments of X, rather than each e separately,
moves fewer spikes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nrf_deploy.compiler import checks
from nrf_deploy.diagnostics.findings import Finding, info, warning
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Conv, Input, Linear, Network, Population
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

from ..arithmetic.kernels import EventsKernels
from ..arithmetic.rules import EventsRule
from ..chip import MOST, PREFIX
from ..passes.linear_leak import shortest
from .branches import Branch, as_map, key
from .lower_core import core, port

SAMPLES = 8192
"""Of X, over times and places."""
COLUMNS = 1024
"""Weights of a feature: with more, rounding one after another would take minutes."""


def moments(branch: Branch, source: Recording, steps: int) -> Array | None:
    """Return M of the inputs within `steps` steps; None where there is nothing to be balanced."""
    columns = branch.input_shape[0] * branch.kernel**2
    if not isinstance(branch.link.node, Conv | Linear) or not 1 < columns <= COLUMNS:
        return None
    x = _sums(branch, source, steps)
    matrix = x.T @ x / max(len(x), 1)
    return matrix if np.trace(matrix) > 0 else None


def _sums(branch: Branch, source: Recording, steps: int) -> Array:
    """Return (samples, weights of a feature)."""
    _, height, width = branch.input_shape
    places = max(1, height * width // int(np.prod(branch.stride)))
    times = np.linspace(1, source.steps, min(source.steps, max(8, SAMPLES // places)))
    parts = [_windows(branch, _between(source, max(0, t - steps), t)) for t in times.astype(int)]
    return np.concatenate(parts)


def _between(source: Recording, first: int, last: int) -> Array:
    """Count the output of each element in these steps."""
    part = slice(source.start[first], source.start[last])
    weights = source.value[part].astype(np.float64)
    return np.bincount(source.index[part], weights, source.size)


def _windows(branch: Branch, total: Array) -> Array:
    """Return the inputs of the weights, a row a place of the output."""
    c, height, width = as_map(branch.input_shape)
    n, (py, px), (sy, sx), k = branch.pooling, branch.padding, branch.stride, branch.kernel
    pooled = total.reshape(c, height, n, width, n).sum(axis=(2, 4))
    padded = np.pad(pooled, ((0, 0), (py, py), (px, px)))
    seen = sliding_window_view(padded, (k, k), axis=(1, 2))[:, ::sy, ::sx]
    return np.ascontiguousarray(seen.transpose(1, 2, 0, 3, 4)).reshape(-1, c * k * k)


THRESHOLDS = (0.8, 0.9, 0.95, 0.98, 1.02, 1.05, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0)
"""That are tried, in units of the one that follows from the model's."""
ELEMENTS = 20_000_000
"""Of the largest layer's frames: longer data are cut."""


class Fit:
    """The model's signals on the data, and, as layers are settled, the chip's."""

    def __init__(self, network: Network, view: Layers, recording: Recording):
        self.network = network
        stops = [s for s in view.stops if type(network[s]) in (Population, Input)]
        largest = max(int(np.prod(network[s].shape)) for s in stops)
        self.steps = min(recording.steps, max(16, ELEMENTS // largest))
        trace = run(network, recording, record=stops, steps=self.steps)
        self.model = {s: trace.outputs[s] for s in stops}
        self.chip = {s: r for s, r in self.model.items() if type(network[s]) is Input}

    def fired(
        self,
        parts: tuple[Branch, ...],
        name: str,
        params: Mapping[str, Array | int],
        integers: Mapping[str, Array],
    ) -> Recording:
        """Return the output of this core in isolation with these integers."""
        from nrf_deploy.engines.emulator.events_engine import EventEngine

        sources = list(dict.fromkeys(b.source for b in parts))
        synapses, populations = core(self.network, parts, name, params, dict(integers))
        program = Program(
            arithmetic=EventsRule.name,
            ports=tuple(port(s, self.network[s].shape) for s in sources),
            synapses=synapses,
            populations=populations,
            outputs=(name,),
        )
        engine = EventEngine(program, EventsRule(), EventsKernels())
        inputs = _stacked([self.chip.get(s, self.model[s]) for s in sources])
        return engine.run(inputs, record=[name]).outputs[name]

    def distance(
        self,
        parts: tuple[Branch, ...],
        name: str,
        params: Mapping[str, Array | int],
        integers: Mapping[str, Array],
    ) -> float:
        """Count the spikes too many or too few of each neuron and step, and of each neuron.

        Places alone would prefer a lost spike (one place) to one moved by a step (two), and
        a fit would learn silence. With the counts both cost the same.
        """
        got, wanted = self.fired(parts, name, params, integers), self.model[name]
        return float(apart(got, wanted) + np.abs(_counts(got) - _counts(wanted)).sum())

    def moments(self, parts: tuple[Branch, ...], name: str, subtracts: bool) -> dict[str, Array]:
        """Return the moments of the inputs of each link, by its key."""
        fired, steps = self.model[name], self.steps
        if not subtracts:
            often = len(fired.index) / max(1, int((fired.counts() > 0).sum()))
            steps = max(1, round(self.steps / (often + 1)))
        matrix = {}
        for b in parts:
            seen = moments(b, self.chip.get(b.source, self.model[b.source]), steps)
            if seen is not None:
                matrix[key(b.link, name)] = seen
        return matrix

    def tuned(
        self,
        parts: tuple[Branch, ...],
        name: str,
        params: Mapping[str, Array | int],
        integers: Mapping[str, Array],
    ) -> tuple[dict[str, Array | int], list[Finding]]:
        """Return the threshold around this one with which it spikes clearly more alike.

        Event by event a layer can spike more than in time steps: what a step's later events
        would have taken off again comes too late.
        """
        theta = int(np.asarray(params["threshold_high"]))
        start = self.distance(parts, name, params, integers)
        best, chosen = start - 3 * np.sqrt(start), theta
        for factor in THRESHOLDS:
            tried = int(np.clip(round(theta * factor), 1, MOST))
            far = self.distance(parts, name, {**params, "threshold_high": tried}, integers)
            if far < best:
                best, chosen = far, tried
        moved = info(
            "SPECK-THRESHOLD",
            f"the threshold is {chosen} instead of {theta}: it spikes more like the model so",
            layer=name,
            why="its leak is not the model's, and its events come one by one",
        )
        return {**params, "threshold_high": chosen}, [moved] if chosen != theta else []

    def sparse(self, name: str) -> Iterator[Finding]:
        """Warn if the model spikes so rarely that its leak decides, and not its input."""
        fired, tau = self.model[name], shortest(self.network[name], self.network.dt)
        if tau is None:
            return
        active = max(1, int((fired.counts() > 0).sum()))
        often = len(fired.index) / active * tau / self.steps
        if often < 1:
            yield warning(
                "SPECK-LEAK-SPARSE",
                f"its active neurons spike {often:.2g} times in tau ({tau:.4g} steps) on the "
                "calibration data",
                layer=name,
                why="between two spikes a linear and an exponential leak part: what is far from "
                "the threshold fades too fast, what is near it too slowly",
                fix="compare with the model on typical data (nrf-deploy verify), or train IF "
                "neurons",
            )

    def settle(
        self,
        parts: tuple[Branch, ...],
        name: str,
        params: Mapping[str, Array | int],
        integers: Mapping[str, Array],
    ) -> Finding:
        """Give the layers behind the output of this core from now on, and report it."""
        self.chip[name] = got = self.fired(parts, name, params, integers)
        wanted = int(self.model[name].value.sum())
        measured = f"{int(got.value.sum()):,} spikes event by event"
        return checks.fit(PREFIX, name, measured, wanted)


def _places(r: Recording) -> Array:
    return np.asarray(r.step * r.size + r.index)


def apart(got: Recording, wanted: Recording) -> int:
    """Count the spikes too many or too few, summed over neurons and steps."""
    places = np.concatenate([_places(got), _places(wanted)])
    _, at = np.unique(places, return_inverse=True)
    spikes = np.concatenate([got.value, -wanted.value])
    return int(np.abs(np.bincount(at, weights=spikes)).sum())


def _counts(r: Recording) -> Array:
    return np.bincount(r.index, weights=r.value, minlength=r.size)


def _stacked(inputs: list[Recording]) -> Recording:
    """Concatenate several recordings beside each other, flat."""
    if len(inputs) == 1:
        return inputs[0]
    first = np.concatenate([[0], np.cumsum([r.size for r in inputs])])
    return Recording.from_events(
        np.concatenate([r.step for r in inputs]),
        np.concatenate([r.index + f for r, f in zip(inputs, first, strict=False)]),
        np.concatenate([r.value for r in inputs]),
        (int(first[-1]),),
        inputs[0].steps,
        inputs[0].dt,
    )
