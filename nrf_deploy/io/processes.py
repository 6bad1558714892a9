"""Child processes that end with the process that started them, and their time limits."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from nrf_deploy.diagnostics.findings import UsageError, error

GUARD = Path(__file__).with_name("process_guard.py")
GRACE_S = 2.0
PATIENCE = "NRF_DEPLOY_TIMEOUT"


def start(
    command: Sequence[str],
    *,
    file_limit: int,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    environ: Mapping[str, str],
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` under the guard (process_guard.py), as the leader of a process group."""
    python = sys.executable or command[0]
    return subprocess.Popen(
        [python, "-I", "-S", str(GUARD), str(file_limit), *command],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=environ,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """End the whole group: SIGTERM (it may have shared memory to return), then SIGKILL."""
    group = process.pid
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
        patience = time.monotonic() + grace_s
        while time.monotonic() < patience:
            process.poll()
            os.killpg(group, 0)
            time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def patience(usual_s: float) -> float:
    """Return the seconds to wait for another program: NRF_DEPLOY_TIMEOUT, or `usual_s`."""
    stated = os.environ.get(PATIENCE)
    if not stated:
        return usual_s
    try:
        seconds = float(stated)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 1e7:
        raise UsageError(
            error(
                "TIMEOUT-VALUE",
                f"{PATIENCE} is {stated!r}; expected seconds above 0, at most 1e7",
                fix=f"{PATIENCE}=3600, or leave it unset",
            )
        )
    return seconds
