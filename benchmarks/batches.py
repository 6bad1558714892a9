"""Gain of a second thread for a batch: recordings in parallel on one engine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from nrf_deploy.diagnostics.findings import MissingError
from nrf_deploy.testing.bench.case import Problem, cases

NAMES = ("yardstick", "dense", "nmnist", "conv128x2", "conv128x4")
RECORDINGS, ROUNDS = 16, 7


def batches(say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield for each case the seconds on one thread and on two, measured in the same rounds."""
    for name in NAMES:
        say(f"batch: {name}")
        try:
            problem = cases()[name].make()
        except MissingError as missing:
            say(missing.findings[0].what)
            continue
        for threads in (1, 2):
            seconds(problem, RECORDINGS, threads)
        pairs = [tuple(seconds(problem, RECORDINGS, n) for n in (1, 2)) for _ in range(ROUNDS)]
        gains = sorted(one / two for one, two in pairs)
        one, two = (statistics.median(times) for times in zip(*pairs, strict=True))
        gain = (statistics.median(gains), gains[0], gains[-1])
        yield {"case": name, "recordings": RECORDINGS, "one": one, "two": two, "gain": gain}


def seconds(problem: Problem, recordings: int, threads: int) -> float:
    begin = time.perf_counter()
    problem.engine.run_batch([problem.recording] * recordings, record=(), threads=threads)
    return time.perf_counter() - begin
