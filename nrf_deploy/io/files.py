"""Reading of files, and writing of complete files or none."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nrf_deploy.diagnostics.argument_types import demand_path
from nrf_deploy.diagnostics.findings import (
    InputError,
    MissingFileError,
    NrfError,
    UsageError,
    error,
)


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for reading.

    A file that is missing is a MissingFileError; one that we may not read, or that is not a
    regular file (a pipe would never end), is a UsageError. An OSError or a MemoryError while it
    is read is an InputError that names the file, unless the reader has a better explanation.
    """
    demand_path(path)
    try:
        _demand_plain(Path(path))
        stream = open(path, "rb")  # noqa: SIM115 - closed below; only opening is guarded
    except OSError as problem:
        raise _usage_error(problem)(
            error(
                "INPUT-UNREADABLE",
                f"{os.fspath(path)} cannot be read: {problem.strerror or problem}",
                fix="name a file that exists and that you may read",
            )
        ) from problem
    try:
        with stream:
            yield stream
    except (BrokenPipeError, NrfError):
        raise
    except OSError as problem:
        what = f"reading {os.fspath(path)} failed: {problem.strerror or problem}"
        fix = "copy the file to a sound disk, and check that the copy is complete"
        raise InputError(error("INPUT-READ", what, fix=fix)) from problem
    except MemoryError as problem:
        raise too_large(path) from problem


def too_large(path: str | os.PathLike[str]) -> InputError:
    """Return the refusal of a file that needs more memory than the machine has."""
    return InputError(
        error(
            "INPUT-TOO-LARGE",
            f"reading {os.fspath(path)} needs more memory than the machine has",
            fix="use a smaller file, or a machine with more memory",
        )
    )


def content(path: str | os.PathLike[str], limit: int, code: str = "INPUT-TOO-LARGE") -> bytes:
    """Return all bytes of a file; refuse one of more than `limit` bytes before they are read."""
    with reading(path) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if size <= limit:
            return stream.read(size)
        what = f"{os.fspath(path)} has more than {limit:,} bytes, the limit"
        raise InputError(error(code, what, fix="check the name of the file"))


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it.

    After any failure, Ctrl-C included, the old file is unchanged and no other file remains. A
    link is followed: its target is replaced, not the link.
    """
    try:
        target = _written_to(path)
        temporary = target.parent / f".nrf-{secrets.token_hex(8)}.tmp"
        try:
            with open(temporary, "xb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                os.chmod(temporary, target.stat().st_mode & 0o777)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except NrfError:
        raise
    except OSError as problem:
        raise _unwritable(path, problem) from problem


def demand_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that `write_atomically` cannot write, as far as this shows without writing."""
    try:
        target = _written_to(path)
        if not target.parent.is_dir():
            raise FileNotFoundError(None, f"there is no folder {target.parent}")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise PermissionError(None, f"nothing may be written into {target.parent}")
    except OSError as problem:
        raise _unwritable(path, problem) from problem


def _written_to(path: str | os.PathLike[str]) -> Path:
    """Return the regular file that writing to `path` creates or replaces: links are followed."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, "its links lead in a circle")
    _demand_plain(target, missing_ok=True)
    return target


def _unwritable(path: str | os.PathLike[str], problem: OSError) -> UsageError:
    return _usage_error(problem)(
        error(
            "OUTPUT-UNWRITABLE",
            f"{os.fspath(path)} cannot be written: {problem.strerror or problem}",
            fix="name a file in an existing folder with space left that you may write to",
        )
    )


def _usage_error(problem: OSError) -> type[UsageError]:
    """Return the error class for a file that cannot be opened or written."""
    return MissingFileError if isinstance(problem, FileNotFoundError) else UsageError


def _demand_plain(path: Path, missing_ok: bool = False) -> None:
    if path.is_file() or (missing_ok and not path.exists()):
        return
    if path.is_dir():
        raise IsADirectoryError(None, "it is a folder")
    if path.exists():
        raise OSError(None, "it is not a regular file")
    raise FileNotFoundError(None, "there is no such file")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write the complete text, or nothing."""

    def write(stream: BinaryIO) -> None:
        stream.write(text.encode())

    write_atomically(path, write)
