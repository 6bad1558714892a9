"""The forked process of one case: its limits, the call, and the plain emulator beside it."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .case import Box, Case, Family
from .judge import CPU_S
from .samples import Samples

GOLDEN_CPU_S = 60
MOST_GOLDEN = 1_000_000
"""Neurons times steps that the plain emulator is asked for: it takes 20 us a step at least."""
ADDRESS_SPACE = 3 << 30
LARGEST_FILE = 1 << 28
LONG_STEPS = 10_000
"""The float reference takes 10 us a step, and a fit to calibration data runs it many times: a
recording that is longer is read, but not run there."""
IN_OPEN, PR_SET_PDEATHSIG = 0x20, 1


def end_with_parent() -> None:
    """End this process when the campaign ends, so that none is left."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def limit_cpu(seconds: float) -> None:
    """Limit the processor time from now on; SIGXCPU ends the process."""
    used = time.process_time()
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))


def run(family: Family, seed: int, number: int, folder: Path, samples: Samples, pipe: int) -> None:
    """Make the case in `folder` and run it; what is known goes to `pipe`, a line at a time."""
    end_with_parent()
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in ("in", "out", "tmp"):
        (folder / name).mkdir()
    os.chdir(folder)
    tempfile.tempdir = None
    os.environ["TMPDIR"] = str(folder / "tmp")
    try:
        limit_cpu(CPU_S)
        case = family.make(Box(folder, family.rng(seed, number), samples))
    except BaseException:
        _say(pipe, {"harness": traceback.format_exc()})
        return
    os.environ.update(case.environ)
    inputs = [str(p.relative_to(folder)) for p in folder.glob("in/**/*")]
    _say(pipe, {"words": case.words, "about": case.about, "refusals": sorted(case.refusals),
                "beside": sorted(case.beside), "pages": case.pages,
                "inputs": inputs})  # fmt: skip
    watched = _watch(samples.root / "decoy" / "secret.h5")
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    limit_cpu(CPU_S)
    _forget_peak()
    began = _cpu()
    code = _call(case, folder)
    outcome = {"code": code, "cpu": _cpu() - began, "mb": peak_mb()}
    _say(pipe, {**outcome, "opened": _was_opened(watched)})
    if code in (0, 1) and case.golden is not None:
        limit_cpu(GOLDEN_CPU_S)
        _say(pipe, {"golden": golden(*case.golden)})


class LongRun(BaseException):
    """The campaign breaks off a call whose work is in proportion to a long, sound recording."""


def break_off_long_runs() -> None:
    module = import_module("nrf_deploy.engines.reference.run")
    check = module._faults

    def checked(*of: Any) -> Any:
        if of[4] > LONG_STEPS:
            raise LongRun
        return check(*of)

    module._faults = checked


def _say(pipe: int, held: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(held).encode() + b"\n")


def _call(case: Case, folder: Path) -> int:
    """Call the command line as in a process, with its output in files."""
    from nrf_deploy.cli.main import main

    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
        setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8",
                                            "backslashreplace", line_buffering=True))  # fmt: skip
    if case.reply is not None:
        from . import replies

        replies.stand_in(folder, case.reply)
    break_off_long_runs()
    try:
        return int(main(case.words))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except LongRun:
        return 0
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


# --- what it cost ---------------------------------------------------------------


def _forget_peak() -> None:
    """Reset the peak of memory, where the kernel supports it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _cpu() -> float:
    """Return the processor seconds, with those of ended children."""
    held = os.times()
    return held.user + held.system + held.children_user + held.children_system


def peak_mb() -> float:
    """Return the peak of this process or of its largest child."""
    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def _watch(path: Path) -> int:
    """Return an inotify descriptor for openings of `path`; -1 where inotify is missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        watched = int(libc.inotify_init1(os.O_NONBLOCK))
        libc.inotify_add_watch(watched, os.fsencode(path), IN_OPEN)
    except AttributeError:
        return -1
    return watched


def _was_opened(watched: int) -> bool:
    try:
        return watched >= 0 and len(os.read(watched, 4096)) >= struct.calcsize("iIII")
    except BlockingIOError:
        return False


# --- the same program on the plain emulator ----------------------------------------


def golden(bundle: str, recording: str) -> str:
    """Return the difference of the compiled engine from the plain emulator in all records.

    Return an empty text if they agree, or if the engine refuses the input as the command did.
    """
    try:
        return _compared(bundle, recording)
    except MemoryError:
        return "golden needs more memory than a case has"
    except Exception:
        return "golden cannot run: " + traceback.format_exc(limit=-3)


def _compared(bundle: str, recording: str) -> str:
    import nrf_deploy as nd
    from nrf_deploy.bundle import pipeline
    from nrf_deploy.bundle.inputs import recording_for
    from nrf_deploy.engines.emulator import events_golden
    from nrf_deploy.engines.emulator import golden as plain
    from nrf_deploy.engines.emulator.events_golden import EventRule

    held = nd.load(bundle)
    given, _ = recording_for(held.network, recording)
    rules = pipeline.target_of(held).arithmetics[held.program.arithmetic]
    names = [p.name for p in held.program.populations]
    logged = [p.name for p in held.program.populations if rules.states[p.model]]
    steps = given.steps + held.program.latency
    if steps * sum(p.size for p in held.program.populations) > MOST_GOLDEN:
        return ""
    fast = nd.run(held, given, layer=names, states=logged, steps=steps)
    if isinstance(rules, EventRule):
        slow = events_golden.run(held.program, rules, given, names, logged, steps)
    else:
        slow = plain.run(held.program, rules, given, names, logged, steps)
    for name in names:
        if not fast.outputs[name].same(slow.outputs[name]):
            return f"the output of {name!r} differs"
    for name in logged:
        for variable, values in slow.states[name].items():
            if not np.array_equal(fast.states[name][variable], values):
                return f"{variable} of {name!r} differs"
    return ""
