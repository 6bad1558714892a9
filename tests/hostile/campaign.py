"""Runs cases: one process is warmed up, and each case is a fork of it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import child
from .case import Family
from .judge import Outcome, judged
from .samples import Samples, make

WALL_S = 300
"""A case that has not ended by then is blocked: its time of the processor is bounded besides."""
GRACE_S = 10
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Planned:
    family: Family
    seed: int
    number: int


def plan(families: Iterable[Family], counts: Callable[[Family], int], seed: int) -> list[Planned]:
    return [Planned(f, seed, n) for f in families for n in range(counts(f))]


def run(
    planned: Sequence[Planned],
    jobs: int = 1,
    keep: Path | None = None,
    tell: Callable[[Outcome], None] | None = None,
) -> tuple[list[Outcome], float]:
    """Return the outcomes in the order of `planned`, and the processor seconds used."""
    began = _cpu()
    with tempfile.TemporaryDirectory(prefix="nrf-hostile-", ignore_cleanup_errors=True) as place:
        root = Path(place)
        samples = make(root / "samples")
        warm(samples, root / "warm")
        assert samples.with_arrays  # found out once, before the forks
        gc.freeze()
        results = [root / f"results.{k}" for k in range(jobs)]
        workers = [_start(planned[k::jobs], results[k], root / f"work.{k}", samples, keep)
                   for k in range(jobs)]  # fmt: skip
        _follow(workers, results, tell)
        found = {}
        for result in results:
            for line in result.read_text().splitlines():
                outcome = Outcome(**json.loads(line))
                found[outcome.family, outcome.number] = outcome
    missing = [p for p in planned if (p.family.name, p.number) not in found]
    if missing:
        raise RuntimeError(f"{len(missing)} cases have no outcome, {missing[0]} first")
    return [found[p.family.name, p.number] for p in planned], _cpu() - began


def _cpu() -> float:
    held = os.times()
    return held.user + held.system + held.children_user + held.children_system


def _start(
    planned: Sequence[Planned], results: Path, work: Path, samples: Samples, keep: Path | None
) -> int:
    work.mkdir()
    results.touch()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        child.end_with_parent()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with results.open("a", buffering=1) as stream:
            for case in planned:
                outcome = run_case(case, work, samples, keep)
                stream.write(json.dumps(asdict(outcome)) + "\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _follow(
    workers: list[int], results: list[Path], tell: Callable[[Outcome], None] | None
) -> None:
    """Wait for the workers; tell of each outcome when it is there."""
    read = [0] * len(results)
    left = list(workers)
    while left:
        for pid in list(left):
            if os.waitpid(pid, os.WNOHANG)[0]:
                left.remove(pid)
        for k, path in enumerate(results):
            lines = path.read_text().split("\n")[:-1]
            for line in lines[read[k] :]:
                if tell:
                    tell(Outcome(**json.loads(line)))
            read[k] = len(lines)
        if left:
            time.sleep(0.2)


# --- one case -------------------------------------------------------------------


def run_case(case: Planned, work: Path, samples: Samples, keep: Path | None) -> Outcome:
    folder = work / f"{case.family.name}-{case.number}"
    folder.mkdir()
    outcome = Outcome(case.family.name, case.seed, case.number)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            child.run(case.family, case.seed, case.number, folder, samples, writing)
        except BaseException:
            with contextlib.suppress(BaseException):
                os.write(writing, json.dumps({"harness": traceback.format_exc()}).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    said, before = _told(reading, pid, folder)
    _, status, usage = os.wait4(pid, 0)
    outcome.cpu = usage.ru_utime + usage.ru_stime
    outcome.mb = usage.ru_maxrss / 1024
    judged(outcome, said, folder, status, before, _orphans())
    if keep is not None and outcome.failures:
        shutil.copytree(folder, keep / folder.name, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _told(reading: int, pid: int, folder: Path) -> tuple[dict[str, Any], set[str]]:
    """Return the child's output, and the names of the inputs before the call."""
    said: dict[str, Any] = {}
    before: set[str] = set()
    deadline = time.monotonic() + WALL_S
    rest = b""
    with os.fdopen(reading, "rb", buffering=0) as stream:
        while True:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                said["blocked"] = True
                os.kill(pid, signal.SIGKILL)
                break
            data = stream.read(1 << 16)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                said |= json.loads(line)
    if "inputs" in said:
        before = set(said["inputs"])
    return said, before


def _orphans() -> int:
    """End the processes that the case left running.

    A process that was killed may still be ending.
    """
    count = 0
    deadline = time.monotonic() + GRACE_S
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return count
        if time.monotonic() < deadline:
            time.sleep(0.005)
            continue
        path = Path(f"/proc/self/task/{os.getpid()}/children")
        for pid in path.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
            count += 1


# --- before the first case ---------------------------------------------------------


def warm(samples: Samples, folder: Path) -> None:
    """Import what the verbs import and compile what the engine compiles, once for all forks."""
    from nrf_deploy.cli.main import main

    folder.mkdir()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for words in _calls(samples, folder):
            with contextlib.suppress(SystemExit):
                main([str(w) for w in words])


def _calls(samples: Samples, out: Path) -> Iterator[tuple[Any, ...]]:
    plain = samples.plain
    model = samples.root / "bundles" / "small.nir"
    for sample in samples.bundles:
        pair = (sample.bundle, "--input", sample.recording)
        yield ("run", *pair, "-o", out / "o.npz")
        yield ("run", *pair, "-o", out / "o.npz", "--states")
    for sample in (plain, *samples.compiled[::6]):
        pair = (sample.bundle, "--input", sample.recording)
        yield ("verify", *pair, "--report", out / "r.html", "--junit", out / "j.xml")
        yield ("verify", *pair, "--attribute")
        yield ("run", *pair, "-o", out / "o.nir", "--engine", "reference")
        yield ("inspect", sample.bundle, "--cores")
    for chip in ("loihi2", "emulator", "speck2b"):
        yield ("compile", model, "--target", chip, "-o", out / "c.nrfb", "--calibrate",
               plain.recording)  # fmt: skip
    yield ("check", model, "--target", "loihi2")
    yield ("inspect", model)
    yield ("inspect", plain.recording)
    for path in samples.cameras:
        yield ("inspect", path)
    yield ("export", plain.bundle, "--as", "lava", out / "lava")
    yield ("conformance", "--target", "loihi2", "--case", "loihi.threshold")
    yield ("flash", samples.programs[-1].bundle, "--dry-run")
    yield ("targets",)
    yield ("nonsense",)
