"""CPU time of the jobs around the emulator, as ratios to a plain numpy job on the same data.

    python benchmarks/jobs.py [--rounds 7]

A job and its peer run in turns. Each ratio is that of their least CPU times, and each job has a
bound on it; the exit code is 1 if one is exceeded. Tests never look at the clock, so this is a
script.
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import load, save
from nrf_deploy.compare.alignment import window
from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.spike_trains import timing
from nrf_deploy.diagnostics.text import table
from nrf_deploy.io import recordings
from nrf_deploy.io.nir import write
from nrf_deploy.ir.network import LIF, Input, Linear, Network, Output
from nrf_deploy.ir.program import Conv, Population, Port, Program, Sparse
from nrf_deploy.ir.recording import Recording, Trace
from nrf_loihi.chip import Chip
from nrf_loihi.place.place import place


@dataclass(frozen=True)
class Job:
    """A job, its peer on the same data, and the largest ratio of CPU times that is accepted."""

    name: str
    peer_name: str
    bound: float
    run: Callable[[], object]
    peer: Callable[[], object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=RAW)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    rows, slow = [], []
    with tempfile.TemporaryDirectory() as folder:
        for job in jobs(Path(folder)):
            pairs = [(cpu_seconds(job.run), cpu_seconds(job.peer)) for _ in range(rounds)]
            ours, theirs = (min(times) for times in zip(*pairs, strict=True))
            ratio = ours / theirs
            rows.append(
                (job.name, f"{1e3 * ours:.1f}", job.peer_name, f"{1e3 * theirs:.1f}",
                 f"{ratio:.1f}", f"{job.bound:g}")
            )  # fmt: skip
            if ratio > job.bound:
                slow.append(job.name)
    print(table(("job", "ms", "peer", "ms", "ratio", "bound"), rows, "lrlrrr"))
    if slow:
        print(f"slower than the bound: {', '.join(slow)}")
    return 1 if slow else 0


RAW = argparse.RawDescriptionHelpFormatter


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call, that of its child processes included."""
    before = _used()
    call()
    return _used() - before


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def jobs(folder: Path) -> Iterator[Job]:
    yield _starting("start, --help", ["--help"], "start of Python", "pass", 6)
    yield _reading_a_graph(folder)
    check = ["check", str(folder / "model.nir"), "--target", "loihi2"]
    yield _starting("start, check a model", check, "start, import h5py", "import h5py", 8)
    yield _reading_events(folder)
    yield _comparing()
    yield _spike_distance()
    yield _placing()
    yield _keeping(folder)


def _starting(name: str, words: list[str], peer: str, script: str, bound: float) -> Job:
    ours = [sys.executable, "-m", "nrf_deploy", *words]
    theirs = [sys.executable, "-c", script]
    return Job(
        name,
        peer,
        bound,
        lambda: subprocess.run(ours, check=True, stdout=subprocess.DEVNULL),
        lambda: subprocess.run(theirs, check=True),
    )


def _reading_a_graph(folder: Path) -> Job:
    path = folder / "model.nir"
    write(_dense_network(256), path)
    ours = f"from nrf_deploy.io.nir import read; read({str(path)!r})"
    return Job(
        "start, read a .nir file",
        "start, import h5py",
        2.5,
        lambda: subprocess.run([sys.executable, "-c", ours], check=True),
        lambda: subprocess.run([sys.executable, "-c", "import h5py"], check=True),
    )


def _dense_network(size: int) -> Network:
    ones, rng = np.ones(size), np.random.default_rng(0)
    lif = LIF(name="n", tau=ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    nodes = (
        Input(name="x", port_shape=(size,)),
        Linear(name="w", weight=rng.normal(0, 1, (size, size)).astype(np.float32)),
        lif,
        Output(name="y", port_shape=(size,)),
    )
    return Network(nodes, (("x", "w"), ("w", "n"), ("n", "y")), 0.1)


def _reading_events(folder: Path) -> Job:
    path, rng, n = folder / "events.npz", np.random.default_rng(0), 1_000_000
    t = np.sort(rng.integers(0, 100_000, n))
    x, y = (rng.integers(0, size, n).astype(np.uint16) for size in (640, 480))
    np.savez(path, t=t, x=x, y=y, p=rng.integers(0, 2, n).astype(np.uint8))

    def plain() -> None:
        with np.load(path) as columns:
            flat = (columns["p"].astype(np.int64) * 480 + columns["y"]) * 640 + columns["x"]
            np.unique(columns["t"] // 1000 * (2 * 480 * 640) + flat, return_counts=True)

    return Job(
        "read and bin 1e6 events",
        "numpy.unique of them",
        3,
        lambda: recordings.read(path, shape=(2, 480, 640), bin=1e-3),
        plain,
    )


def _comparing() -> Job:
    rng, steps, each = np.random.default_rng(1), 1000, 1000
    index = np.sort(rng.integers(0, 65536, (steps, each)), axis=1) + np.arange(each)
    moved = index.copy()
    moved[:, -1] += 1
    start, value = np.arange(steps + 1) * each, np.ones(index.size, np.int64)
    a, b = (Recording((17, 64, 64), start, i.ravel(), value) for i in (index, moved))
    sides = (Trace("chip", {"one": a}, {}, {}), Trace("model", {"one": b}, {}, {}))
    keys = [(np.arange(steps)[:, None] * 69_632 + i).ravel() for i in (index, moved)]
    return Job(
        "compare 1e6 spikes",
        "numpy.setxor1d of them",
        3,
        lambda: compare(*sides, order=["one"]),
        lambda: np.setxor1d(*keys, assume_unique=True),
    )


def _spike_distance() -> Job:
    rng = np.random.default_rng(1)
    fired = [(rng.random((500, 40_000)) < 0.125).astype(np.int8) for _ in range(2)]
    pair = [window(Recording.from_dense(f), 0, len(f)) for f in fired]
    timing(*pair)  # compile
    return Job(
        "distance of 5e6 spikes",
        "numpy.nonzero of both",
        20,
        lambda: timing(*pair),
        lambda: [np.nonzero(f.T) for f in fired],
    )


def _placing() -> Job:
    shape, one_each = (4, 512, 512), np.arange(2**20)
    front = Conv(
        name="c", source="in", targets=("a",), weight=np.ones((4, 2, 3, 3), np.int64),
        input_size=shape[1:], stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1),
    )  # fmt: skip
    back = Sparse(
        name="s", source="a", targets=("b",), weight=one_each, row=one_each, column=one_each,
        source_shape=shape, target_shape=shape,
    )  # fmt: skip
    populations = tuple(Population(name=n, shape=shape, model="lif", params={}) for n in "ab")
    program = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(2, 512, 512)),),
        synapses=(front, back),
        populations=populations,
        outputs=("b",),
    )
    chip = Chip.load("loihi2-kapoho-point")
    return Job(
        "place 2e6 neurons",
        "numpy.lexsort of synapses",
        120,
        lambda: place(program, chip),
        lambda: np.lexsort((one_each, one_each % 4096)),
    )


def _keeping(folder: Path) -> Job:
    weights = np.random.default_rng(0).integers(0, 9, (2500, 2500)).astype(np.int64)
    model, path = _dense_network(2500), folder / "kept.nrfb"
    bundle = pipeline.compile(model, "emulator")
    (synapses,) = bundle.program.synapses
    program = replace(bundle.program, synapses=(replace(synapses, weight=weights),))
    bundle = replace(bundle, program=program)

    def ours() -> None:
        save(bundle, path)
        load(path)

    def plain() -> None:
        stream = io.BytesIO()
        np.savez(stream, weights, model["w"].weight)  # type: ignore[attr-defined]
        stream.seek(0)
        with np.load(stream) as arrays:
            for name in arrays.files:
                arrays[name].astype(np.int64)

    return Job("save, load a bundle", "numpy.savez, load", 10, ours, plain)


if __name__ == "__main__":
    sys.exit(main())
