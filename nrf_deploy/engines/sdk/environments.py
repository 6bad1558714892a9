"""Environments of vendors' tools: where they live, how they are built, what is missing.

A vendor's tools need an interpreter and packages that cannot share ours. Each has a
virtual environment in the user's cache, named after what it must contain: other
requirements or another Python make another folder. The requirements name every package,
those that others depend on too, with the hashes of its wheels: nothing else is installed,
whatever a package asks for, and no source package is built. A marker, written last, says that
the folder is complete; a folder without it is an interrupted build, and is built again.

Nothing here runs code of the current folder: interpreters are isolated (-I), and run elsewhere.

The SDK of a complete environment may still fail to import (it downloads a part of itself, or
a system library is missing). The import is tried once, after the installation, and recorded.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nrf_deploy.diagnostics.findings import Finding, MissingError, error
from nrf_deploy.io import processes

from .sdk import Sdk

MARKER = "complete"
IMPORTED = "imported"
"""A file with "yes", or with why the import failed; absent if it was never tried."""
IMPORT = "import runpy, sys; sys.exit(runpy.run_path(sys.argv[1], None, 'try').get('LACKING') or 0)"
"""Code that runs a worker's imports; a worker that catches failures names them in LACKING."""
IMPORT_S = 600.0
UNBOUNDED = 1 << 62
PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


@dataclass(frozen=True)
class Search:
    """The interpreter of a version, or None, and the places that were searched."""

    python: Path | None
    looked: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """State of an SDK: `python` runs the installed tools; `interpreter` can build them."""

    sdk: Sdk
    folder: Path
    python: Path | None
    interpreter: Path | None
    looked: tuple[str, ...]
    importable: bool | None = None
    """None if the import was never tried."""

    @property
    def installed(self) -> bool:
        return self.python is not None

    @property
    def usable(self) -> bool:
        return self.installed and self.importable is not False

    @property
    def todo(self) -> str:
        """The user's next step; empty if the SDK is installed."""
        if self.importable is False:
            return f"cannot be imported; nrf-deploy sdk install {self.sdk.name} tries it again"
        if self.installed:
            return ""
        if self.interpreter is None:
            return f"install Python {self.sdk.python} (looked for: {'; '.join(self.looked)})"
        return f"nrf-deploy sdk install {self.sdk.name}"


def cache() -> Path:
    """Return NRF_DEPLOY_CACHE, or nrf-deploy/ in the user's cache folder."""
    chosen = os.environ.get("NRF_DEPLOY_CACHE")
    if chosen:
        return Path(chosen)
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "nrf-deploy"


def clean_environ() -> dict[str, str]:
    """Return our environment without the variables that lead others to our packages."""
    ours = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def find_python(version: str) -> Search:
    """Find an interpreter of this version ("3.10"): on PATH, in pyenv, by uv, in that order.

    Each candidate is run, because a pyenv shim on PATH may not lead to an interpreter.
    """
    looked: list[str] = []
    for place, candidates in _candidates(version):
        looked.append(place)
        for candidate in candidates:
            python = _probe(candidate, version)
            if python is not None:
                return Search(python, tuple(looked))
    return Search(None, tuple(looked))


def _candidates(version: str) -> Iterator[tuple[str, list[str]]]:
    name = f"python{version}"
    on_path = [str(Path(d) / name) for d in os.get_exec_path() if os.path.isabs(d)]
    yield f"{name} on PATH", [p for p in on_path if os.access(p, os.X_OK)]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    installed = [p for p in (root / "versions").glob(f"{version}.*/bin/python") if _patch(p) >= 0]
    yield (
        f"pyenv ({root}/versions/{version}.*)",
        [str(p) for p in sorted(installed, key=_patch)[::-1]],
    )
    uv = shutil.which("uv")
    known = uv is not None and os.path.isabs(uv)
    answer = _output([str(uv), "python", "find", version]) if known else ""
    yield f"uv python find {version}", answer.split("\n")[:1] if answer else []


def _patch(python: Path) -> int:
    """Return 10 for versions/3.9.10/bin/python, and -1 for a name that is not a version."""
    last = python.parents[1].name.rpartition(".")[2]
    return int(last) if last.isdigit() else -1


def _probe(python: str, version: str) -> Path | None:
    lines = _output([python, "-I", "-c", PROBE]).splitlines()
    return Path(lines[1]) if len(lines) == 2 and lines[0] == version else None


def _output(command: list[str]) -> str:
    """Return what a command prints; "" if it cannot be run, fails or hangs."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=20,
            env=clean_environ(),
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def folder(sdk: Sdk) -> Path:
    what = sdk.requirements.read_bytes() + b"\0" + sdk.python.encode()
    return cache() / "sdk" / f"{sdk.name}-{hashlib.sha256(what).hexdigest()[:12]}"


def installed_python(sdk: Sdk) -> Path | None:
    """Return the interpreter of a complete environment, or None, without running anything."""
    python = folder(sdk) / "bin" / "python"
    return python if (folder(sdk) / MARKER).is_file() and python.exists() else None


def status(sdk: Sdk) -> Status:
    search = find_python(sdk.python)
    python = installed_python(sdk)
    return Status(sdk, folder(sdk), python, search.python, search.looked, importable(sdk))


def importable(sdk: Sdk) -> bool | None:
    """Return whether importing the installed SDK worked; None if it was never tried."""
    try:
        return (folder(sdk) / IMPORTED).read_text() == "yes"
    except OSError:
        return None


def note_import(sdk: Sdk, answer: str = "yes") -> None:
    """Record that the SDK was imported, or the error of the import."""
    place = folder(sdk) / IMPORTED
    with suppress(OSError):
        if not place.exists() or place.read_text() != answer:
            place.write_text(answer)


def install(sdk: Sdk, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Build the environment if it is incomplete, import the SDK, and return the interpreter."""
    with _lock(folder(sdk)):
        python = installed_python(sdk) or _build(sdk, progress)
        prove(sdk, python, progress)
        return python


def prove(sdk: Sdk, python: Path, progress: Callable[[str], None] = lambda line: None) -> None:
    """Import the SDK in its environment, unless this is known to work."""
    if not sdk.module or importable(sdk):
        return
    progress(f"{sdk.name}: import {sdk.module}")
    command = [str(python), "-I", "-c", IMPORT, str(sdk.worker.absolute())]
    code, lines = _lines(command, folder(sdk), progress, patience_s=IMPORT_S)
    if code == 0:
        note_import(sdk)
        return
    reason = lines[-1] if lines else f"it ended with {code}"
    note_import(sdk, reason)
    raise MissingError(not_importable(sdk.name, sdk.module, reason))


def not_importable(name: str, module: str, reason: str) -> Finding:
    return error(
        "SDK-NOT-IMPORTABLE",
        f"{name} is installed, but its module {module} cannot be imported",
        why=f"{reason:.300}",
        fix=f"mend the cause (network, a library of the system), then: "
        f"nrf-deploy sdk install {name}",
    )


def remove(sdk: Sdk) -> list[Path]:
    """Remove every environment of this SDK, those of older requirements too."""
    named = re.compile(re.escape(sdk.name) + "-[0-9a-f]{12}")
    parent = folder(sdk).parent
    places = sorted(p for p in parent.glob("*") if named.fullmatch(p.name) and p.is_dir())
    for place in places:
        with _lock(place):
            try:
                (place / MARKER).unlink(missing_ok=True)
                shutil.rmtree(place)
            except OSError as problem:
                raise MissingError(
                    error(
                        "SDK-REMOVE-FAILED",
                        f"{place} cannot be deleted: {problem.strerror or problem}",
                        fix="end what uses it, and see that you may write there",
                    )
                ) from problem
    return places


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    """Hold a lock, so that a second build waits and then uses the result of the first."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = place.with_name(place.name + ".lock").open("w")
    except OSError as problem:
        raise MissingError(
            error(
                "SDK-INSTALL-FAILED",
                f"the folder {place.parent} cannot be written: {problem.strerror}",
                fix="set NRF_DEPLOY_CACHE to a folder that can",
            )
        ) from problem
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(sdk: Sdk, progress: Callable[[str], None]) -> Path:
    search = find_python(sdk.python)
    if search.python is None:
        raise MissingError(
            error(
                "SDK-PYTHON-MISSING",
                f"{sdk.name} needs Python {sdk.python}, which is not installed",
                why="looked for: " + "; ".join(search.looked),
                fix=f"install Python {sdk.python}, for example by pyenv or uv, then try again",
            )
        )
    place = folder(sdk)
    shutil.rmtree(place, ignore_errors=True)
    python = place / "bin" / "python"
    pip = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    progress(f"{sdk.name}: a virtual environment of {search.python}")
    place.mkdir(parents=True)
    _run(sdk, [str(search.python), "-I", "-m", "venv", str(place)], progress)
    progress(f"{sdk.name}: packages of {sdk.requirements.name}")
    sound = ["--require-hashes", "--only-binary", ":all:", "--no-deps"]
    complete = ["-r", str(sdk.requirements.absolute())]
    _run(sdk, [*pip, *sound, *complete], progress, {"PIP_PROGRESS_BAR": "off"})
    (place / MARKER).write_text(sdk.requirements.read_text())
    return python


def _run(
    sdk: Sdk,
    command: list[str],
    progress: Callable[[str], None],
    extra: Mapping[str, str] | None = None,
) -> None:
    """Run a command in the new folder, and report its last lines if it fails."""
    code, lines = _lines(command, folder(sdk), progress, extra)
    if code != 0:
        raise MissingError(
            error(
                "SDK-INSTALL-FAILED",
                f"the environment of {sdk.name} could not be built: "
                f"{' '.join(command[2:4])} ended with {code}",
                why="\n".join(lines[-8:]),
                fix=f"mend the cause (network, disk), then: nrf-deploy sdk install {sdk.name}",
            )
        )


def _lines(
    command: list[str],
    place: Path,
    progress: Callable[[str], None],
    extra: Mapping[str, str] | None = None,
    patience_s: float | None = None,
) -> tuple[int, list[str]]:
    """Run a command and return its exit code and lines; it does not outlive this call.

    Each line is passed to `progress` as it comes.
    """
    lines: list[str] = []
    process = processes.start(
        command,
        file_limit=UNBOUNDED,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        environ={**clean_environ(), **(extra or {})},
        cwd=place,
    )
    assert process.stdout is not None
    limit = threading.Timer(patience_s, processes.end, [process]) if patience_s else None
    try:
        if limit is not None:
            limit.start()
        with process.stdout:
            for line in process.stdout:
                if text := line.decode(errors="replace").rstrip():
                    lines.append(text)
                    progress(text)
        return process.wait(), lines
    finally:
        if limit is not None:
            limit.cancel()
        processes.end(process)
