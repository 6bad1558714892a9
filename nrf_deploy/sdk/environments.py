"""Environments of vendors' tools: where they live, how they are built, what is missing.

A vendor's tools need an interpreter and packages that cannot share ours. Each has a
virtual environment in the user's cache, named after what it must contain: other
requirements or another Python make another folder. The requirements name every package,
those that others depend on too: nothing else is installed, whatever a package asks for.
A marker, written last, says that the folder is whole; one without it is a build that was
broken off, and is built anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..findings import MissingError, error
from ..target import Sdk

MARKER = "complete"
PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


@dataclass(frozen=True)
class Search:
    """The interpreter that was found, or None, and where it was looked for."""

    python: Path | None
    looked: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """`python` runs the installed tools; `interpreter` could build them."""

    sdk: Sdk
    folder: Path
    python: Path | None
    interpreter: Path | None
    looked: tuple[str, ...]

    @property
    def installed(self) -> bool:
        return self.python is not None

    @property
    def todo(self) -> str:
        """What the user has to do; empty when all is there."""
        if self.installed:
            return ""
        if self.interpreter is None:
            return f"install Python {self.sdk.python} (looked for: {'; '.join(self.looked)})"
        return f"nrf-deploy sdk install {self.sdk.name}"


def cache() -> Path:
    """NRF_DEPLOY_CACHE, or nrf-deploy/ in the user's cache folder."""
    own = os.environ.get("NRF_DEPLOY_CACHE")
    if own:
        return Path(own)
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "nrf-deploy"


def clean_environ() -> dict[str, str]:
    """Ours, less what would let our packages leak into another interpreter."""
    ours = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def find_python(version: str) -> Search:
    """An interpreter of this version ("3.10"): on PATH, in pyenv, by uv, in that order.

    Each candidate is run: a pyenv shim may be on PATH and yet lead nowhere.
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
    on_path = [str(Path(d) / name) for d in os.get_exec_path()]
    yield f"{name} on PATH", [p for p in on_path if os.access(p, os.X_OK)]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [p for p in (root / "versions").glob(f"{version}.*/bin/python") if _patch(p) >= 0]
    yield f"pyenv ({root}/versions/{version}.*)", [str(p) for p in sorted(found, key=_patch)[::-1]]
    uv = shutil.which("uv")
    answer = _output([uv, "python", "find", version]) if uv else ""
    yield f"uv python find {version}", answer.split("\n")[:1] if answer else []


def _patch(python: Path) -> int:
    """10 of versions/3.9.10/bin/python; -1 of a name that is no plain version."""
    last = python.parents[1].name.rpartition(".")[2]
    return int(last) if last.isdigit() else -1


def _probe(python: str, version: str) -> Path | None:
    lines = _output([python, "-c", PROBE]).splitlines()
    return Path(lines[1]) if len(lines) == 2 and lines[0] == version else None


def _output(command: list[str]) -> str:
    """What it prints; nothing when it cannot be run, fails or hangs."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=20,
            env=clean_environ(),
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def folder(sdk: Sdk) -> Path:
    what = sdk.requirements.read_bytes() + b"\0" + sdk.python.encode()
    return cache() / "sdk" / f"{sdk.name}-{hashlib.sha256(what).hexdigest()[:12]}"


def installed_python(sdk: Sdk) -> Path | None:
    """The interpreter of the whole environment, or None; cheap, nothing is run."""
    python = folder(sdk) / "bin" / "python"
    return python if (folder(sdk) / MARKER).is_file() and python.exists() else None


def status(sdk: Sdk) -> Status:
    search = find_python(sdk.python)
    return Status(sdk, folder(sdk), installed_python(sdk), search.python, search.looked)


def install(sdk: Sdk, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Builds the environment where it is not yet whole; gives its interpreter."""
    with _lock(folder(sdk)):
        there = installed_python(sdk)
        return there if there is not None else _build(sdk, progress)


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    """One build at a time: a second one waits, and then finds it done."""
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
                f"{sdk.name} needs Python {sdk.python}, which is not there",
                why="looked for: " + "; ".join(search.looked),
                fix=f"install Python {sdk.python}, for example by pyenv or uv, then try again",
            )
        )
    place = folder(sdk)
    shutil.rmtree(place, ignore_errors=True)
    python = place / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    progress(f"{sdk.name}: a virtual environment of {search.python}")
    _run(sdk, [str(search.python), "-m", "venv", str(place)], progress)
    progress(f"{sdk.name}: packages of {sdk.requirements.name}")
    complete = ["--no-deps", "-r", str(sdk.requirements)]
    _run(sdk, [*pip, *complete], progress, {"PIP_PROGRESS_BAR": "off"})
    (place / MARKER).write_text(sdk.requirements.read_text())
    return python


def _run(
    sdk: Sdk,
    command: list[str],
    progress: Callable[[str], None],
    extra: Mapping[str, str] | None = None,
) -> None:
    """Runs it, passes its lines on, and says the last of them when it fails."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**clean_environ(), **(extra or {})},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            progress(lines[-1])
    if process.returncode != 0:
        raise MissingError(
            error(
                "SDK-INSTALL-FAILED",
                f"the environment of {sdk.name} could not be built: "
                f"{' '.join(command[1:4])} ended with {process.returncode}",
                why="\n".join(lines[-8:]),
                fix=f"mend the cause (network, disk), then: nrf-deploy sdk install {sdk.name}",
            )
        )
