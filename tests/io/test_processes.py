"""Processes that the program starts end with it, and signals leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nrf_loihi
from nrf_deploy.engines.sdk import environments
from nrf_deploy.io import processes
from nrf_deploy.io.archive import DamagedError
from nrf_deploy.io.process_guard import CANNOT_RUN
from nrf_deploy.io.recordings import decoder
from nrf_loihi.lava import engine

KIT = Path(nrf_loihi.__file__).parent / "kit" / "loihi.sparse"
LONG_S = 120.0
"""A bound for what happens at once on an idle machine; nothing is measured by it."""
RUN = ["run", str(KIT / "program.nrfb"), "--input", str(KIT / "input.npz"), "--engine", "lava"]


def comes(happened: Callable[[], bool]) -> bool:
    """Wait for a condition, and return whether it became true in time."""
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        if happened():
            return True
        time.sleep(0.02)
    return happened()


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def pids(note: Path) -> list[int]:
    return [int(word) for word in note.read_text().split()] if note.exists() else []


class Call:
    """The program, running lava on a stand-in that waits; the note names it and its child."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.note, self.temporary, self.out = (folder / n for n in ("note", "tmp", "out.npz"))
        self.temporary.mkdir()
        monkeypatch.setenv("NRF_DEPLOY_CACHE", str(folder / "cache"))
        monkeypatch.setenv("TMPDIR", str(self.temporary))
        place = environments.folder(engine.sdk)
        text = f"#!/bin/sh\nsleep 1234 &\necho $$ $! > {self.note}.new\n"
        text += f"mv {self.note}.new {self.note}\nwait\n"
        executable(place / "bin" / "python", text)
        (place / environments.MARKER).write_text("")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nrf_deploy", *RUN, "-o", str(self.out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        for pid in (self.process.pid, *pids(self.note)):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    made = Call(tmp_path, monkeypatch)
    try:
        assert comes(made.note.exists), made.process.communicate()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGKILL"])
def test_no_worker_outlives_the_program(name: str, waiting: Call) -> None:
    number = signal.Signals[name]
    worker, child = pids(waiting.note)
    assert alive(worker)
    assert alive(child)
    waiting.process.send_signal(number)
    _, said = waiting.process.communicate(timeout=LONG_S)
    assert comes(lambda: not alive(worker))
    assert comes(lambda: not alive(child))
    assert not waiting.out.exists()
    if number == signal.SIGKILL:
        assert waiting.process.returncode == -number
    else:
        assert waiting.process.returncode == 128 + number
        assert list(waiting.temporary.iterdir()) == []
        assert len(said.splitlines()) == 1


def test_what_the_worker_leaves_running_ends_too(tmp_path: Path) -> None:
    """It ignores SIGTERM, and so does its child."""
    note = tmp_path / "note"
    script = (
        "import os, pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(note)!r} + '.new').write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(note)!r} + '.new', {str(note)!r})\n"
        "time.sleep(600)\n"
    )
    process = processes.start(
        [sys.executable, "-c", script],
        file_limit=1 << 20,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        environ=os.environ,
    )
    assert comes(note.exists)
    processes.end(process, grace_s=0.05)
    for pid in pids(note):
        assert comes(lambda pid=pid: not alive(pid))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ([sys.executable, "-c", "raise SystemExit(7)"], 7),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"], -signal.SIGSEGV),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], -signal.SIGKILL),
        (["/nowhere/python"], CANNOT_RUN),
    ],
)
def test_the_guard_ends_as_the_command_ended(command: list[str], code: int) -> None:
    process = processes.start(
        command,
        file_limit=1 << 20,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        environ=os.environ,
    )
    assert process.wait(LONG_S) == code
    processes.end(process)


def test_a_file_beyond_the_bound_is_not_written(tmp_path: Path) -> None:
    script = f"open({str(tmp_path / 'f')!r}, 'wb').write(bytes(2 << 20))"
    process = processes.start(
        [sys.executable, "-c", script],
        file_limit=1 << 20,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        environ=os.environ,
    )
    assert process.wait(LONG_S) == 1
    processes.end(process)
    assert (tmp_path / "f").stat().st_size <= 1 << 20


# --- signals while a file is written ------------------------------------------------

HOLD = """
import os, sys, time
from nrf_deploy.io import files
def hold(handle):
    print("writing", flush=True)
    time.sleep(600)
files.os.fsync = hold
from nrf_deploy.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_no_temporary_file(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    words = ["run", RUN[1], "--input", RUN[3], "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 128 + signal.Signals[name]
    assert said == f"stopped by {name}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    """The caller can be nohup."""
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from nrf_deploy.__main__ import main\n"
        "main()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "assert callable(signal.getsignal(signal.SIGTERM))\n"
    )
    command = [sys.executable, "-c", script, "targets", "loihi2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the decoder of camera files --------------------------------------------------------


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how large the sensor is, and then nothing more."""
    stand_in, note = tmp_path / "worker.py", tmp_path / "note"
    stand_in.write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        "os.write(1, b'{\"size\": [4, 4]}\\n')\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(decoder, "WORKER", stand_in)
    monkeypatch.setattr(decoder, "demand_faery", lambda path: None)
    decoding = decoder.Decoding("es", tmp_path / "x.es")
    decoding._patience = 0.2
    try:
        with pytest.raises(DamagedError, match=r"nothing in 0\.2 s"):
            next(decoding.packets())
    finally:
        decoding.close()
    (worker,) = pids(note)
    assert comes(lambda: not alive(worker))


def test_the_decoder_too_is_waited_for_as_long_as_the_user_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "worker.py"
    stand_in.write_text("import time; time.sleep(600)")
    monkeypatch.setattr(decoder, "WORKER", stand_in)
    monkeypatch.setattr(decoder, "demand_faery", lambda path: None)
    monkeypatch.setenv("NRF_DEPLOY_TIMEOUT", "0.3")
    with pytest.raises(DamagedError, match=r"nothing in 0\.3 s"):
        decoder.Decoding("es", tmp_path / "x.es")
