"""NIR recordings (NIRGraphData: observables of nodes), converted to and from Recordings.

NIR stores events as times in seconds. `floor(time / dt)` gives step 2 for
0.3 / 0.1, so a time on the border of a step within the rounding of its float
belongs to the step that begins there, and times that we write are in the middle of
their step. Events of one neuron in one step add up; NIR's own conversion keeps one.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, refuse
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.recording import FREE_EVENTS, MAX_ELEMENTS, MAX_STEPS, Recording

from ..files import write_atomically
from . import attributes
from .heap import Bytes
from .scan import LEAST_BYTES, LIMITS, Limits, Opened, Source, opened, scan_open

EVENT_BYTES = 16  # the least for an event that is not packed
Observables = dict[str, dict[str, Recording]]
Choose = Callable[[list[str]], tuple[str, int | None]]


def write_data(
    recordings: Mapping[str, Recording], path: str | os.PathLike[str], observable: str = "spikes"
) -> None:
    """Write one recording a node as a file that nir.read_data opens.

    NIR stores only the number of neurons; shape and dt are added as attributes.
    """
    problems = [
        error("NIR-DT-MISSING", "a NIR recording counts in seconds", layer=name, fix="give it a dt")
        for name, recording in recordings.items()
        if recording.dt is None
    ]
    refuse(problems, UsageError)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["__type__"] = "NIRGraphData"
        nodes = file.create_group("nodes")
        for name, recording in recordings.items():
            node = nodes.create_group(name)
            node.attrs["__type__"] = "NIRNodeData"
            _put(node.create_group(f"observables/{observable}"), recording, recording.dt or 0.0)
    data = buffer.getvalue()

    def fill(stream: BinaryIO) -> None:
        stream.write(data)

    write_atomically(path, fill)


def _put(group: h5py.Group, recording: Recording, dt: float) -> None:
    value = recording.value
    plain = value.dtype.kind == "i" and bool((value == 1).all())
    columns = {"idx": recording.index, "time": (recording.step + 0.5) * dt}
    if not plain:
        columns["value"] = value
    for key, column in columns.items():
        pack = "gzip" if len(column) else None
        group.create_dataset(key, data=column[np.newaxis], compression=pack)
    group.attrs["__type__"] = "EventData" if plain else "ValuedEventData"
    group.attrs["n_neurons"] = recording.size
    group.attrs["t_max"] = _end(recording.steps, dt)
    group.attrs["shape"] = np.array(recording.shape, np.int64)
    group.attrs["dt"] = dt


def _end(steps: int, dt: float) -> float:
    """Return a duration for which NIR's int(t_max / dt) is this number of steps."""
    end = steps * dt
    return end if int(end / dt) == steps else math.nextafter(end, math.inf)


def read_data(
    source: Source,
    dt: float | None = None,
    *,
    sample: int | None = None,
    choose: Choose | None = None,
    limits: Limits = LIMITS,
) -> Observables:
    """Read recordings by node and observable. A file with several samples needs `sample`.

    Events are binned to `dt`, or to the dt in the file; a grid keeps its own. `choose` returns the
    one recording that is read, and its sample, for the "node/observable" of all in the file.
    """
    with _data(source, limits) as whole:
        only = None
        if choose is not None:
            names = _DataReader(None, None, whole.data, "")
            names.graph(whole.file, "")
            only, sample = choose(names.names)
        reader = _DataReader(dt, sample, whole.data, only)
        reader.graph(whole.file, "")
    refuse(reader.findings, InputError)
    return reader.observables


@contextmanager
def _data(source: Source, limits: Limits) -> Iterator[Opened]:
    """Open a file of NIR data, scanned; refuse any other."""
    if isinstance(source, str):
        source = Path(source)
    with opened(source, limits) as whole:
        refuse(
            scan_open(whole.file, limits, {h5py.h5t.STRING: LEAST_BYTES[h5py.h5t.STRING]}),
            InputError,
        )
        if attributes.text(whole.file, "__type__", whole.data) != "NIRGraphData":
            what = "the file holds no NIR recording"
            raise InputError(
                error("NIR-NOT-DATA", what, fix="name a file written by nir.write_data")
            )
        yield whole


class _Problem(Exception):  # noqa: N818 - it carries a finding, like a NrfError
    def __init__(self, code: str, what: str, fix: str = ""):
        self.code, self.what, self.fix = code, what, fix


class _DataReader:
    """A reader of all recordings of a file, with findings for their faults."""

    def __init__(self, dt: float | None, sample: int | None, data: Bytes, only: str | None):
        self.dt, self.sample, self.data, self.only = dt, sample, data, only
        self.names: list[str] = []
        self.used_steps, self.used_events = 0.0, 0
        self.observables: Observables = {}
        self.findings: list[Finding] = []

    def graph(self, group: h5py.Group, prefix: str) -> None:
        for name, node in _groups(group, "nodes"):
            if attributes.text(node, "__type__", self.data) == "NIRGraphData":
                self.graph(node, f"{prefix}{name}.")
                continue
            for observable, data in _groups(node, "observables"):
                self.names.append(f"{prefix}{name}/{observable}")
                if self.only is not None and self.only != self.names[-1]:
                    continue
                try:
                    recording = self.recording(data)
                except _Problem as p:
                    place = f"{prefix}{name}/{observable}"
                    self.findings.append(error(p.code, p.what, fix=p.fix, layer=place))
                else:
                    self.observables.setdefault(prefix + name, {})[observable] = recording

    def recording(self, group: h5py.Group) -> Recording:
        kind = attributes.text(group, "__type__", self.data)
        if kind == "TimeGriddedData":
            return self.gridded(group)
        if kind in ("EventData", "ValuedEventData"):
            return self.events(group, kind == "ValuedEventData")
        raise _Problem("NIR-KIND-UNKNOWN", f"there is no observable of the kind {kind!r}")

    def gridded(self, group: h5py.Group) -> Recording:
        data, dt = self.column(group, "data", 3), _positive(group, "dt")
        if not 0 < math.prod(data.shape[1:]) <= MAX_ELEMENTS:
            what = f"a step has the shape {data.shape[1:]}; expected 1 to {MAX_ELEMENTS:,} elements"
            raise _Problem("NIR-DATA-RANGE", what)
        self.demand_room(len(data), int(np.count_nonzero(data)), dt)
        if self.dt is not None and not math.isclose(dt, self.dt, rel_tol=1e-6):
            what = f"the recording is a grid of dt {dt:g}, not {self.dt:g}"
            raise _Problem("NIR-DT-CONFLICT", what, "leave dt out, or record on that grid")
        return Recording.from_dense(data, dt)

    def events(self, group: h5py.Group, valued: bool) -> Recording:
        dt = self.dt if self.dt is not None else _positive(group, "dt")
        index, time = self.column(group, "idx", 2), self.column(group, "time", 2)
        value = self.column(group, "value", 2) if valued else np.ones(index.shape, np.int64)
        if not index.shape == time.shape == value.shape or index.dtype.kind not in "iu":
            raise _Problem("NIR-DATA-SHAPE", "idx, time and value do not belong together")
        valid = index != -1
        index, time, value = index[valid], time[valid], value[valid]
        neurons, end = _positive(group, "n_neurons"), _positive(group, "t_max", zero=True)
        if not (neurons == int(neurons) and neurons <= MAX_ELEMENTS):
            what = f"n_neurons is {neurons:g}; expected an integer up to {MAX_ELEMENTS:,}"
            raise _Problem("NIR-DATA-RANGE", what)
        self.demand_room(end / dt, len(index), dt)
        steps = int(_step(np.array([end]), dt)[0]) + bool(_inside(end, dt))
        if not (np.isfinite(time).all() and (time >= 0).all() and (index >= 0).all()):
            raise _Problem("NIR-DATA-RANGE", "an event has a negative or no finite time or index")
        step = _step(time, dt)
        if (step >= steps).any() or (index >= neurons).any():
            what = f"an event lies beyond {neurons:g} neurons and {steps} steps"
            raise _Problem("NIR-DATA-RANGE", what)
        shape = _shape(group, int(neurons))
        return Recording.from_events(step, index.astype(np.int64), value, shape, steps, dt)

    def demand_room(self, steps: float, events: int, dt: float) -> None:
        """Refuse too many steps or events before arrays are created; all recordings count."""
        if steps > MAX_STEPS:
            what = f"there would be {steps:,.0f} steps of {dt:g}; the limit is {MAX_STEPS:,}"
            raise _Problem("NIR-DATA-RANGE", what, "give a larger dt, or check t_max of the file")
        self.used_steps, self.used_events = self.used_steps + steps, self.used_events + events
        limit = FREE_EVENTS + len(self.data) // EVENT_BYTES
        if self.used_steps > 4 * MAX_STEPS or self.used_events > limit:
            what = (
                f"the file would give {self.used_steps:,.0f} steps and {self.used_events:,} events"
            )
            why = f"the limits are {4 * MAX_STEPS:,} and, for a file of this size, {limit:,}"
            raise InputError(error("NIR-TOO-LARGE", what, why=why, fix="use a smaller file"))

    def column(self, group: h5py.Group, key: str, axes: int) -> Array:
        """Return one sample of a dataset, without its leading axis."""
        data = group.get(key)
        if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf" or data.ndim != axes:
            raise _Problem("NIR-DATA-SHAPE", f"{key!r} is not an array of {axes} axes of numbers")
        sample = 0 if self.sample is None else self.sample
        if self.sample is None and len(data) > 1:
            raise _Problem(
                "NIR-DATA-SAMPLES",
                f"there are {len(data)} samples",
                "give --part @N, or --part NODE/OBSERVABLE@N",
            )
        if not 0 <= sample < len(data):
            raise _Problem("NIR-DATA-SAMPLES", f"there is no sample {sample} among {len(data)}")
        values: Array = data[sample]
        if key != "time" and values.dtype.kind == "f" and not np.isfinite(values).all():
            raise _Problem("NIR-NOT-FINITE", f"{key!r} holds values that are not finite")
        return values


def _groups(group: h5py.Group, key: str) -> list[tuple[str, h5py.Group]]:
    inside = group.get(key)
    items = inside.items() if isinstance(inside, h5py.Group) else ()
    return [(name, item) for name, item in items if isinstance(item, h5py.Group)]


def _positive(group: h5py.Group, key: str, zero: bool = False) -> float:
    number = float((attributes.numbers(group, key) or [math.nan])[0])
    if math.isfinite(number) and (number > 0 or (zero and number == 0)):
        return number
    if key == "dt":
        raise _Problem("NIR-DT-MISSING", "the recording has no time step", "give --bin in seconds")
    raise _Problem("NIR-DATA-RANGE", f"{key!r} is missing or out of range")


def _step(time: Array, dt: float) -> Array:
    """Return the step of each time; on a border, the step that begins there."""
    position = time.astype(np.float64) / dt
    near = np.rint(position)
    slack = 4 * np.finfo(time.dtype if time.dtype.kind == "f" else float).eps
    on_border = np.abs(position - near) <= slack * np.maximum(near, 1)
    return np.where(on_border, near, np.floor(position)).astype(np.int64)


def _inside(end: float, dt: float) -> bool:
    """Return whether a recording ends within a step, which then counts."""
    return end / dt - float(_step(np.array([end]), dt)[0]) > 1e-6


def _shape(group: h5py.Group, neurons: int) -> Shape:
    shape = attributes.numbers(group, "shape", 8)
    if shape and all(isinstance(n, int) and n > 0 for n in shape) and math.prod(shape) == neurons:
        return tuple(int(n) for n in shape)
    return (neurons,)
