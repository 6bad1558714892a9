"""Curves of time and memory against input, size and threads. Each point is a median."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from batches import seconds

from nrf_deploy.testing.bench.case import Problem
from nrf_deploy.testing.bench.measure import timed
from nrf_peers import build, loop

REPEATS = 5
MEMORY = """
import sys
from nrf_peers import covariant
p = covariant.problem(0.001, side=int(sys.argv[1]), steps=4)
p.engine.run(p.recording, record=())
neurons = sum(x.size for x in p.program.populations)
lines = open('/proc/self/status').read().splitlines()
print(neurons, next(x.split()[1] for x in lines if x.startswith('VmHWM')))
"""


@dataclass(frozen=True)
class Curve:
    name: str
    about: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]


def convolution(
    side: int = 128, channels: int = 8, density: float = 0.01, steps: int = 50
) -> Problem:
    program = build.convolutions((2, channels, channels), side, (200, 300), (1, 2))
    return build.to_problem(program, build.events((2, side, side), steps, density, seed=5))


def both(points: Iterable[tuple[float, Problem]]) -> dict[str, list[tuple[float, float]]]:
    """Measure the emulator and the C loop, in milliseconds."""
    lines: dict[str, list[tuple[float, float]]] = {"emulator": [], "C loop": []}
    for x, problem in points:
        timed(problem)
        lines["emulator"].append((x, 1000 * median(lambda p=problem: timed(p))))
        lines["C loop"].append((x, 1000 * median(lambda p=problem: loop.run(p, False).seconds)))
    return lines


def median(run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(REPEATS))


def batch(size: int, threads: int) -> float:
    problem = convolution(side=64)
    seconds(problem, size, threads)
    return 1000 * median(lambda: seconds(problem, size, threads))


def memory(side: int) -> tuple[float, float]:
    """Return (neurons, gigabytes) of a whole process that builds and runs the network."""
    command = [sys.executable, "-c", MEMORY, str(side)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    neurons, kilobytes = map(int, done.stdout.split())
    return neurons, kilobytes / 2**20


def curves(say: Callable[[str], None]) -> Iterable[Curve]:
    layers = "two layers, 2 x {} x {}, 8 channels, 50 steps"
    ms = "milliseconds"
    say("curve: density")
    densities = (0.0001, 0.001, 0.01, 0.1, 1.0)
    lines = both((d, convolution(density=d)) for d in densities)
    yield Curve("density", layers.format(128, 128), "share of inputs that fire", ms, lines)
    say("curve: neurons")
    sides = (16, 32, 64, 128, 256)
    points = ((s * s * 8 + (s // 2) ** 2 * 8, convolution(side=s)) for s in sides)
    about = "two layers, squares of 16 to 256 pixels, 1 % input, 50 steps"
    yield Curve("neurons", about, "neurons", ms, both(points))
    say("curve: channels")
    points = ((c, convolution(side=32, channels=c)) for c in (2, 4, 8, 16, 32, 64, 128))
    about = "two layers, 2 x 32 x 32, 1 % input, 50 steps"
    yield Curve("channels", about, "channels of each layer", ms, both(points))
    say("curve: steps")
    points = ((n, convolution(side=32, steps=n)) for n in (10, 30, 100, 300, 1000, 3000))
    yield Curve("steps", "two layers, 2 x 32 x 32, 1 % input", "steps", ms, both(points))
    say("curve: batch and threads")
    sizes = (1, 2, 4, 8, 16, 32, 128)
    lines = {
        "1 thread": [(n, batch(n, 1)) for n in sizes],
        "2 threads": [(n, batch(n, 2)) for n in sizes],
    }
    yield Curve("batch", layers.format(64, 64), "recordings in a batch", ms, lines)
    say("curve: memory")
    yield memory_curve()


def memory_curve() -> Curve:
    """Measure memory by VmHWM; ru_maxrss is inherited from the parent process."""
    about = "the covariant network on squares of 38 to 300 pixels, everything in the process"
    lines_of = {"emulator": [memory(s) for s in (38, 75, 150, 300)]}
    return Curve("memory", about, "neurons", "gigabytes at most", lines_of)
