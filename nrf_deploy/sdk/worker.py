"""Calls a vendor's tools: a request goes in, a reply or one clear failure comes out.

A worker is a single script that runs in the vendor's environment as

    python -I worker.py REQUEST_DIR REPLY_DIR

REQUEST_DIR holds `request.json` and `arrays.npz`; the worker writes `arrays.npz` and
then `reply.json` to REPLY_DIR. A reply that is {"refused": {"what": ..., "why": ...,
"fix": ...}} is a refusal in the worker's own words. The script is copied into a folder
of its own first, so that neither it nor the vendor's plug-in discovery can see the
files beside it.

Whatever else happens there (a crash, a signal, silence, garbage) is one Finding here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..findings import MissingError, error
from ..network import Array
from ..target import Sdk
from .environments import clean_environ, installed_python, status

Reply = tuple[dict[str, Any], dict[str, Array]]
TAIL = 4000
GRACE_S = 2.0


def call(
    sdk: Sdk,
    request: Mapping[str, Any],
    arrays: Mapping[str, Array] | None = None,
    timeout_s: float = 600.0,
) -> Reply:
    """Runs the SDK's worker in its environment, which must be installed."""
    python = installed_python(sdk)
    if python is None:
        raise MissingError(
            error("SDK-MISSING", f"{sdk.name} is not installed", fix=status(sdk).todo)
        )
    return run_worker(sdk.name, python, sdk.worker, request, arrays or {}, timeout_s)


def run_worker(
    name: str,
    python: Path,
    worker: Path,
    request: Mapping[str, Any],
    arrays: Mapping[str, Array],
    timeout_s: float,
) -> Reply:
    with tempfile.TemporaryDirectory(prefix="nrf-deploy-", ignore_cleanup_errors=True) as place:
        asked, answered, script = (Path(place) / d for d in ("request", "reply", "script"))
        for part in (asked, answered, script):
            part.mkdir()
        (asked / "request.json").write_text(json.dumps(request))
        np.savez(asked / "arrays.npz", **arrays)  # type: ignore[arg-type]
        copy = shutil.copy(worker, script / "worker.py")
        command = [str(python), "-I", str(copy), str(asked), str(answered)]
        log = Path(place) / "output"
        code = _run(name, command, log, timeout_s, Path(place))
        if code != 0:
            _fail("SDK-CRASHED", f"the worker of {name} ended with {_ending(code)}", log)
        return _read(name, answered, log)


def _run(name: str, command: list[str], log: Path, timeout_s: float, place: Path) -> int:
    """The exit code; no process of the worker's group outlives this call."""
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=place,
                env=clean_environ(),
                start_new_session=True,
            )
        except OSError as problem:
            _fail("SDK-CRASHED", f"the worker of {name} cannot be run: {problem}", log)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _fail("SDK-TIMEOUT", f"the worker of {name} gave no answer in {timeout_s:g} s", log)
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks the whole group to end (it may have shared memory to hand back), then makes it."""
    group = process.pid
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
        patience = time.monotonic() + GRACE_S
        while time.monotonic() < patience:
            process.poll()
            os.killpg(group, 0)
            time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)
    process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"the signal {signal.Signals(-code).name}"
    return f"the signal {-code}"


def _read(name: str, answered: Path, log: Path) -> Reply:
    try:
        reply = json.loads((answered / "reply.json").read_text())
    except FileNotFoundError:
        _fail("SDK-REPLY-BAD", f"the worker of {name} ended well but left no reply", log)
    except (OSError, ValueError) as problem:
        _fail("SDK-REPLY-BAD", f"the reply of {name} cannot be read: {problem}", log)
    if not isinstance(reply, dict):
        _fail("SDK-REPLY-BAD", f"the reply of {name} is no JSON object", log)
    refused = reply.get("refused")
    if isinstance(refused, dict):
        said = {k: str(refused[k]) for k in ("why", "fix") if k in refused}
        raise MissingError(error("SDK-REFUSED", f"{name} refused: {refused.get('what')}", **said))
    arrays: dict[str, Array] = {}
    file = answered / "arrays.npz"
    if file.exists():
        try:
            with np.load(file, allow_pickle=False) as members:
                arrays = {key: members[key] for key in members.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
            _fail("SDK-REPLY-BAD", f"the arrays of {name} cannot be read: {problem}", log)
    return reply, arrays


def _fail(code: str, what: str, log: Path) -> NoReturn:
    said = log.read_bytes()[-TAIL:].decode(errors="replace").strip() if log.exists() else ""
    last = "\n".join(said.splitlines()[-12:])
    raise MissingError(
        error(
            code,
            what,
            why=f"its last words: {last}" if last else "it said nothing",
            fix="run it again; if it stays so, report it with these words",
        )
    )
