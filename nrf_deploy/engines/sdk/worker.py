"""Calls of vendors' tools: a request goes in, a reply or one finding comes out.

A worker is a single script that runs in the vendor's environment as

    python -I worker.py REQUEST_DIR REPLY_DIR

REQUEST_DIR holds `request.json` and `arrays.npz`; the worker writes `arrays.npz` and
then `reply.json` to REPLY_DIR. A reply that is {"refused": {"what": ..., "why": ...,
"fix": ...}} is a refusal by the worker. The script is copied into an empty folder first, so
that neither it nor the vendor's plug-in discovery can see the files beside it.

A worker whose SDK cannot be imported writes {"not_importable": {"module": ..., "why": ...}}.

Every other failure (a crash, a signal, no answer, garbage, numbers that were not requested)
becomes one Finding. The worker ends with this process (process_guard.py), and no file that it
writes, its log included, is larger than FILE_BYTES plus the arrays that the caller expects.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, MissingError, error
from nrf_deploy.io import processes
from nrf_deploy.io.process_guard import CANNOT_RUN
from nrf_deploy.ir.network import Array

from .environments import clean_environ, installed_python, not_importable, note_import, status
from .reply import BadReplyError, Expected, demand_form, read_arrays, read_json
from .sdk import Sdk

Reply = tuple[dict[str, Any], dict[str, Array]]
TAIL = 4000
FILE_BYTES = 1 << 30
"""Limit of a worker's log and temporary files; no trace is refused for its size."""


def call(
    sdk: Sdk,
    request: Mapping[str, Any],
    expected: Expected,
    arrays: Mapping[str, Array] | None = None,
    timeout_s: float = 600.0,
) -> Reply:
    """Run the SDK's worker in its environment, which must be installed."""
    python = installed_python(sdk)
    if python is None:
        raise MissingError(
            error("SDK-MISSING", f"{sdk.name} is not installed", fix=status(sdk).todo)
        )
    patience = processes.patience(timeout_s)
    try:
        reply = run_worker(sdk.name, python, sdk.worker, request, expected, arrays or {}, patience)
    except MissingError as refusal:
        if refusal.findings[0].code == "SDK-NOT-IMPORTABLE":
            note_import(sdk, refusal.findings[0].why or "no")
        raise
    note_import(sdk)
    return reply


def run_worker(
    name: str,
    python: Path,
    worker: Path,
    request: Mapping[str, Any],
    expected: Expected,
    arrays: Mapping[str, Array],
    timeout_s: float,
) -> Reply:
    with tempfile.TemporaryDirectory(prefix="nrf-deploy-", ignore_cleanup_errors=True) as place:
        request_dir, reply_dir, script = (Path(place) / d for d in ("request", "reply", "script"))
        for part in (request_dir, reply_dir, script):
            part.mkdir()
        (request_dir / "request.json").write_text(json.dumps(request))
        np.savez(request_dir / "arrays.npz", **arrays)  # type: ignore[arg-type]
        copy = shutil.copy(worker, script / "worker.py")
        command = [str(python), "-I", str(copy), str(request_dir), str(reply_dir)]
        log = Path(place) / "output"
        limit = FILE_BYTES + expected.most_bytes
        code = _run(name, command, log, timeout_s, Path(place), limit)
        if code == CANNOT_RUN:
            _fail("SDK-CRASHED", f"the worker of {name} cannot be run", log)
        if code != 0:
            _fail("SDK-CRASHED", f"the worker of {name} ended with {_ending(code)}", log)
        return _read(name, reply_dir, expected, log)


def bad_reply(name: str, what: str) -> MissingError:
    """Return the refusal of a reply that only its caller can judge."""
    fix = "run it again; if it stays so, report it"
    return MissingError(error("SDK-REPLY-BAD", f"the reply of {name} {what}", fix=fix))


def _run(
    name: str, command: list[str], log: Path, timeout_s: float, place: Path, limit: int
) -> int:
    """Run a command and return its exit code; its process group does not outlive this call."""
    with log.open("wb") as output:
        process = processes.start(
            command,
            file_limit=limit,
            stdout=output,
            stderr=subprocess.STDOUT,
            environ=clean_environ(),
            cwd=place,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _fail(
                "SDK-TIMEOUT",
                f"the worker of {name} gave no answer in {timeout_s:g} s",
                log,
                f"{processes.PATIENCE}=SECONDS waits longer",
            )
        finally:
            processes.end(process)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"the signal {signal.Signals(-code).name}"
    return f"the signal {-code}"


def _read(name: str, answered: Path, expected: Expected, log: Path) -> Reply:
    try:
        reply = read_json(answered)
        if isinstance(refusal := reply.get("refused"), dict):
            raise MissingError(_in_its_words(name, refusal))
        if isinstance(lacking := reply.get("not_importable"), dict):
            module, why = (f"{lacking.get(key, '')}" for key in ("module", "why"))
            raise MissingError(not_importable(name, module[:100], why))
        demand_form(reply, expected)
        return reply, read_arrays(answered, expected)
    except BadReplyError as problem:
        _fail("SDK-REPLY-BAD", f"the reply of {name} {problem}", log)


def _in_its_words(name: str, refusal: Mapping[str, Any]) -> Finding:
    more = {
        key: f"{refusal[key]:.{TAIL}}"
        for key in ("why", "fix")
        if isinstance(refusal.get(key), str)
    }
    what = refusal.get("what")
    detail = f": {what:.{TAIL}}" if isinstance(what, str) else ""
    return error("SDK-REFUSED", f"{name} refused{detail}", **more)


def _fail(code: str, what: str, log: Path, fix: str = "") -> NoReturn:
    tail = _tail(log).decode(errors="replace").strip()
    last = "\n".join(tail.splitlines()[-12:])
    raise MissingError(
        error(
            code,
            what,
            why=f"its last output: {last}" if last else "it printed nothing",
            fix=fix or "run it again; if it stays so, report it with this output",
        )
    )


def _tail(log: Path) -> bytes:
    try:
        with log.open("rb") as stream:
            stream.seek(max(stream.seek(0, os.SEEK_END) - TAIL, 0))
            return stream.read(TAIL)
    except OSError:
        return b""
