"""Cache of machine code on disk, so that a second start compiles nothing.

numba chooses the folder: NUMBA_CACHE_DIR if that is set, else beside the source, else the
user's cache folder. The files are ours, one for each compiled function, because numba numbers
its own in an index: two processes that compile at the same time can then load each other's
code. Here the name is a hash of everything that the code depends on (the sources, the
signature, the constants of the closure, the CPU, numba's version), a file is written beside its
place and moved there, and it begins with a checksum. So a file is complete or absent, whichever
process wrote it, and code that cannot be read is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import llvmlite  # type: ignore[import-untyped]
import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

Function = Callable[..., Any]

MARKS = (b"@compiled", b"@inlined", b"@intrinsic")
"""Mark of a file whose functions may be compiled into functions of other files."""

CHECKSUM = 32
"""Length of the checksum with which a file begins."""


@cache
def has_folder(file: str) -> bool:
    """Return whether a folder can be written for the machine code of this file's functions."""

    def probe() -> None: ...

    probe.__code__ = probe.__code__.replace(co_filename=file)
    try:
        FunctionCache(probe)
    except RuntimeError:
        return False
    return True


class Kept(FunctionCache):  # type: ignore[misc]
    """Cache of the machine code of one function."""

    failed = False
    """Whether a file could not be written."""

    def __init__(self, function: Function):
        super().__init__(function)
        self._cache_file = Files(Path(self.cache_path), function)

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            Kept.failed = True


class Files:
    """Files of a function's machine code. A key is what numba says a compilation depends on,
    apart from the sources."""

    def __init__(self, folder: Path, function: Function):
        self.folder, self.name = folder, function.__name__
        code = function.__code__
        self.stamp = _stamp(code.co_filename), function.__qualname__, code.co_firstlineno

    def path(self, key: Any) -> Path:
        dependencies = repr((self.stamp, key, numba.__version__, llvmlite.__version__))
        return (
            self.folder
            / f"{self.name}-{hashlib.sha256(dependencies.encode()).hexdigest()[:32]}.nrfc"
        )

    def load(self, key: Any) -> Any:
        """Return the code of a key; None if there is no file or it is damaged."""
        try:
            content = self.path(key).read_bytes()
        except OSError:
            return None
        checksum, data = content[:CHECKSUM], content[CHECKSUM:]
        return pickle.loads(data) if hashlib.sha256(data).digest() == checksum else None

    def save(self, key: Any, data: Any) -> None:
        dumped = dumps(data)
        path = self.path(key)
        new = path.with_suffix(f".{uuid4().hex}")
        try:
            new.write_bytes(hashlib.sha256(dumped).digest() + dumped)
            os.replace(new, path)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise

    def flush(self) -> None:
        for path in self.folder.glob(f"{self.name}-*.nrfc"):
            path.unlink(missing_ok=True)


@cache
def _stamp(file: str) -> str:
    """Return a hash of the function's file and of all files that are compiled into it."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    texts = [text for s in sources if any(mark in (text := s.read_bytes()) for mark in MARKS)]
    hashes = [hashlib.sha256(text).digest() for text in (*texts, Path(file).read_bytes())]
    return hashlib.sha256(b"".join(hashes)).hexdigest()
