"""Atomic writing of a folder: either all of its files or none."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from nrf_deploy.diagnostics.findings import UsageError, error


def write_folder(folder: Path, files: Mapping[str, bytes], mark: bytes) -> None:
    """Fill a temporary folder beside `folder`, then rename it.

    An existing folder is replaced only if it is empty or written by this tool: it contains
    only files of these names, and README.txt begins with `mark`.
    """
    target = Path(os.path.realpath(folder))
    try:
        _demand_ours(target, files, mark)
        name = f".nrf-{secrets.token_hex(8)}"
        temporary, old = target.with_name(f"{name}.tmp"), target.with_name(f"{name}.old")
        try:
            temporary.mkdir()
            for file, content in files.items():
                with open(temporary / file, "xb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            _swap(temporary, target, old)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as problem:
        raise UsageError(
            error(
                "OUTPUT-UNWRITABLE",
                f"{os.fspath(folder)} cannot be written: {problem.strerror or problem}",
                fix="name a new folder in an existing one that you may write to",
            )
        ) from problem


def _swap(temporary: Path, target: Path, old: Path) -> None:
    """Rename the old folder, then the new one: a folder with files cannot be overwritten."""
    try:
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise


def _demand_ours(target: Path, files: Mapping[str, bytes], mark: bytes) -> None:
    if not target.exists():
        return
    others = sorted(set(os.listdir(target)) - set(files))  # raises NotADirectoryError for a file
    readme = target / "README.txt"
    ours = readme.is_file() and readme.read_bytes().startswith(mark)
    if others or (any(target.iterdir()) and not ours):
        contents = ", ".join(others) or "files that were not written by this tool"
        raise UsageError(
            error(
                "OUTPUT-NOT-EMPTY",
                f"{target} contains {contents:.200}",
                why="the folder is replaced as a whole, and these files would be lost",
                fix="name a folder that is new or empty",
            )
        )
