"""Description of this machine, and its limits, measured by the plain C loop."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nrf_peers.loop import library

SMALL, LARGE = 4096, 2**26
ROUNDS = 5


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: int
    memory_gb: float
    caches: str
    system: str
    adds_a_second: float
    """Additions of 16 bits in a second, to a sum in the first cache, on one core."""
    bytes_a_second: float
    """Bytes in a second of a stream through memory, read and written, on one core."""


def machine() -> Machine:
    return Machine(
        cpu=_first(Path("/proc/cpuinfo"), "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=int(_first(Path("/proc/meminfo"), "MemTotal").split()[0]) / 2**20,
        caches=", ".join(_caches()),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        adds_a_second=_adds(),
        bytes_a_second=_stream(),
    )


def _first(path: Path, name: str) -> str:
    """Return the value of the first line of a name."""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "unknown")


def _caches() -> list[str]:
    """Return the caches of the first core."""
    caches = []
    for place in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((place / n).read_text().strip() for n in ("level", "type", "size"))
        caches.append(f"L{level} {kind.lower()} {size}")
    return caches


def _adds() -> float:
    sums, weights = np.zeros(SMALL, np.int16), np.ones(SMALL, np.int16)
    both = np.concatenate([weights] * 16)
    return max(_timed("adds", sums, both, SMALL, 20_000) for _ in range(ROUNDS))


def _stream() -> float:
    to, source = np.zeros(LARGE, np.int32), np.ones(LARGE, np.int32)
    return max(_timed("stream", to, source, LARGE, 2) for _ in range(ROUNDS))


def _timed(name: str, to: np.ndarray, source: np.ndarray, size: int, rounds: int) -> float:
    """Return the operations in a second."""
    many = ctypes.c_int64 if name == "stream" else ctypes.c_int32
    call = getattr(library("short"), name)
    begin = time.perf_counter()
    done = call(
        ctypes.c_void_p(to.ctypes.data),
        ctypes.c_void_p(source.ctypes.data),
        many(size),
        ctypes.c_int64(rounds),
    )
    return float(done) / (time.perf_counter() - begin)
