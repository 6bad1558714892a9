"""The plain C loop (loop.c) as a peer, compiled on and for this machine."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import shutil
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import MissingError, TargetError, error
from nrf_deploy.engines.sdk.environments import cache
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Synapses
from nrf_deploy.ir.recording import Recording
from nrf_deploy.testing.bench.case import Answer, Problem

from . import plain

SOURCE = Path(__file__).parent / "loop.c"
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
LIMIT = 200_000_000
"""Largest number of events in a recorded run."""

_INTS = ("kind", "ci", "hi", "wi", "co", "ho", "wo", "ky", "kx", "sy", "sx", "py", "px",
         "source", "sum_of", "clear", "one_vth", "one_bias", "leak", "keep")  # fmt: skip
_POINTERS = ("weight", "vth", "bias", "sum", "v", "event", "spike")


class Layer(ctypes.Structure):
    """The struct Layer of loop.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in _INTS),
        *((name, ctypes.c_void_p) for name in _POINTERS),
        ("events", ctypes.c_int32),
    )


@lru_cache
def library(sums: str) -> ctypes.CDLL:
    """Compile and load the loop, with sums of type "short" or "int"."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise MissingError(
            error("BENCH-NO-GCC", "gcc is not installed", fix="install gcc to measure the C loop")
        )
    command = [compiler, *FLAGS, f"-DSUM={sums}"]
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(command).encode()).hexdigest()[:16]
    place = cache() / "bench"
    place.mkdir(parents=True, exist_ok=True)
    target = place / f"loop-{digest}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            output = Path(scratch) / target.name
            subprocess.run([*command, "-o", str(output), str(SOURCE)], check=True)
            os.replace(output, target)
    loop = ctypes.CDLL(str(target))
    for name in ("run", "adds", "stream"):
        getattr(loop, name).restype = ctypes.c_int64
    return loop


class Loop:
    """A program in the layout of the loop, with channels last."""

    def __init__(self, problem: Problem):
        program, recording = problem.program, problem.recording
        plain.demand(program)
        self.problem = problem
        self.arrays: list[Array] = []
        self.states: list[Array] = []
        self.names = [p.name for p in program.populations]
        self.type = np.int16 if all(map(_short, program.synapses)) else np.int32
        self.layers = (Layer * len(self.names))(*map(self._layer, program.populations))
        for s in program.synapses:
            self._connect(s)
        place = np.argsort(_turned(program.ports[0].shape))
        self.index = self._keep(place[recording.index], np.int32)
        self.start = self._keep(recording.start, np.int64)

    def _keep(self, array: Array, kind: Any) -> int:
        """Store an array as long as this object exists; return its address."""
        self.arrays.append(np.ascontiguousarray(array, kind))
        return int(self.arrays[-1].ctypes.data)

    def _state(self, size: int, kind: Any) -> int:
        self.states.append(np.zeros(size, kind))
        return int(self.states[-1].ctypes.data)

    def _layer(self, p: Population) -> Layer:
        n = plain.neurons(p)
        channels, height, width = _three(p.shape)
        keep = set(n.keep.ravel().tolist())
        if len(keep) > 1:
            raise TargetError(error("BENCH-NOT-PLAIN", f"the leak of {p.name!r} varies"))
        (share,) = keep
        return Layer(
            co=channels,
            ho=height,
            wo=width,
            source=-1,
            sum_of=self.names.index(p.name),
            clear=1,
            one_vth=n.vth.size == 1,
            one_bias=n.bias.size == 1,
            leak=share != 4096,
            keep=share,
            vth=self._keep(_last(n.vth), np.int32),
            bias=self._keep(_last(n.bias), np.int32),
            sum=self._state(p.size, self.type),
            v=self._state(p.size, np.int32),
            event=self._state(p.size, np.int32),
            spike=self._state(p.size, np.uint8),
        )

    def _connect(self, s: Synapses) -> None:
        """Let the first target compute the sum; the other targets read it afterwards."""
        first = min(self.names.index(t) for t in s.targets)
        at = self.layers[first]
        if at.kind:
            raise TargetError(error("BENCH-NOT-PLAIN", f"{s.targets} have several inputs"))
        for name in s.targets:
            sharing = self.layers[self.names.index(name)]
            sharing.sum_of, sharing.clear = first, int(name == self.names[first])
        at.source = self.names.index(s.source) if s.source in self.names else -1
        weight = plain.stored(s)
        if isinstance(s, Conv):
            at.kind, (at.ci, at.hi, at.wi) = 1, s.input_shape
            at.ky, at.kx = weight.shape[2:]
            (at.sy, at.sx), at.py, at.px = s.stride, s.padding[0][0], s.padding[1][0]
            at.weight = self._keep(weight.transpose(1, 2, 3, 0), self.type)
        else:
            assert isinstance(s, Dense)
            at.kind, at.ci, at.co, at.ho, at.wo = (
                2,
                math.prod(s.input_shape),
                math.prod(s.shape),
                1,
                1,
            )
            by_source = weight.T[_turned(s.input_shape)]
            at.weight = self._keep(by_source, self.type)

    def run(self, record: bool) -> Answer:
        """Run the loop from cleared states."""
        for state in self.states:
            state[:] = 0
        steps, layers = self.problem.recording.steps, len(self.names)
        count = np.zeros((steps, layers), np.int32)
        out = np.empty(LIMIT if record else 0, np.int32)
        begin = time.perf_counter()
        written = library(SUMS[self.type]).run(
            self.layers,
            layers,
            ctypes.c_int64(steps),
            ctypes.c_void_p(self.start),
            ctypes.c_void_p(self.index),
            ctypes.c_void_p(count.ctypes.data),
            ctypes.c_void_p(out.ctypes.data) if record else None,
            ctypes.c_int64(len(out)),
        )
        seconds = time.perf_counter() - begin
        if written < 0:
            raise TargetError(error("BENCH-TOO-LARGE", f"more than {LIMIT:,} events"))
        return Answer(seconds, self._outputs(count, out[:written]) if record else {})

    def _outputs(self, count: Array, out: Array) -> dict[str, Recording]:
        steps = len(count)
        layer = np.repeat(np.tile(np.arange(len(self.names)), steps), count.ravel())
        step = np.repeat(np.arange(steps), count.sum(axis=1))
        outputs = {}
        for k, p in enumerate(self.problem.program.populations):
            rows = layer == k
            index = _turned(p.shape)[out[rows]]
            ones = np.ones(len(index), np.int64)
            outputs[p.name] = Recording.from_events(step[rows], index, ones, p.shape, steps)
        return outputs


SUMS: dict[Any, str] = {np.int16: "short", np.int32: "int"}


def _short(s: Synapses) -> bool:
    """Return whether no sum can exceed 16 bits, whatever the spikes."""
    weight = plain.stored(s).reshape(len(s.weight), -1)
    up, down = np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1)
    return bool(up.max(initial=0) < 2**15 and down.min(initial=0) >= -(2**15))


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, height, width = (*shape, 1, 1)[:3]
    return channels, height, width


def _last(values: Array) -> Array:
    """Move channels last and flatten."""
    return np.moveaxis(values, 0, -1).ravel() if values.ndim == 3 else values.ravel()


def _turned(shape: tuple[int, ...]) -> Array:
    """Return, for each place with channels last, the flat index in the program's order."""
    return _last(np.arange(math.prod(shape)).reshape(_three(shape)))


def run(problem: Problem, record: bool) -> Answer:
    """Run a problem; its layout is cached and not part of the measured run."""
    return _loop(problem).run(record)


@lru_cache(maxsize=1)
def _loop(problem: Problem) -> Loop:
    return Loop(problem)
