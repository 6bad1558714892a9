"""Environments of the six frameworks, one each: none can share another's nir, or ours.

They live beside those of the vendors' SDKs in the user's cache: interop/FRAMEWORK-HASH, named
after what they must contain. Requirements name every package with its hash. Two frameworks
publish no wheel (Rockpool, Norse), so their sources are built. A marker, written last, says
that a folder is complete.

    python -m tests.interop.environments [FRAMEWORK ...]
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from nrf_deploy.engines.sdk.environments import MARKER, cache, clean_environ, find_python

HERE = Path(__file__).parent
PYTHON = "3.11"
FRAMEWORKS = ("snntorch", "spikingjelly", "sinabs", "rockpool", "norse", "spyx")


def requirements(framework: str) -> Path:
    return HERE / "requirements" / f"{framework}.txt"


def folder(framework: str) -> Path:
    what = requirements(framework).read_bytes() + PYTHON.encode()
    return cache() / "interop" / f"{framework}-{hashlib.sha256(what).hexdigest()[:12]}"


def installed(framework: str) -> Path | None:
    """Return the interpreter of a complete environment, or None."""
    python = folder(framework) / "bin" / "python"
    return python if (folder(framework) / MARKER).is_file() and python.exists() else None


def install(framework: str) -> Path:
    """Build the environment if it is incomplete, and return its interpreter."""
    if python := installed(framework):
        return python
    search = find_python(PYTHON)
    if search.python is None:
        sys.exit(f"{framework} needs Python {PYTHON}; looked for: {'; '.join(search.looked)}")
    place = folder(framework)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    python = place / "bin" / "python"
    pip = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    exact = ["--quiet", "--no-deps", "--require-hashes", "-r", str(requirements(framework))]
    for command in ([str(search.python), "-I", "-m", "venv", str(place)], [*pip, *exact]):
        subprocess.run(command, check=True, cwd=place, env=clean_environ())
    (place / MARKER).write_text(requirements(framework).read_text())
    return python


if __name__ == "__main__":
    for name in sys.argv[1:] or FRAMEWORKS:
        print(f"{name}: {install(name)}", flush=True)
