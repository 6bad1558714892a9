"""Where machine code is kept, so that the second start compiles nothing.

numba chooses the folder: NUMBA_CACHE_DIR if that is set, else beside the source, else the
user's cache folder. The files are ours, one for each compiled function, because numba's own
number them in an index: two processes that compile at once can then take each other's code
for their own. Here the name is a hash of all that the code depends on (the sources, the
signature, the constants that are closed over, the CPU, numba's version), a file is written
beside its place and moved there, and it begins with a checksum. So a file is there whole or
not at all, whoever wrote it, and what cannot be read is compiled again.
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
"""What is in a file of which something may be compiled into other functions."""

CHECKSUM = 32
"""Bytes at the beginning of a file."""


@cache
def has_folder(file: str) -> bool:
    """Is there a folder that will hold the machine code of the functions in this file?"""

    def probe() -> None: ...

    probe.__code__ = probe.__code__.replace(co_filename=file)
    try:
        FunctionCache(probe)
    except RuntimeError:
        return False
    return True


class Kept(FunctionCache):  # type: ignore[misc]
    """The machine code of one function."""

    failed = False
    """Could something not be written?"""

    def __init__(self, function: Function):
        super().__init__(function)
        self._cache_file = Files(Path(self.cache_path), function)

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            Kept.failed = True


class Files:
    """`key` is whatever numba says that a compilation depends on, beside the sources."""

    def __init__(self, folder: Path, function: Function):
        self.folder, self.name = folder, function.__name__
        code = function.__code__
        self.stamp = _stamp(code.co_filename), function.__qualname__, code.co_firstlineno

    def path(self, key: Any) -> Path:
        said = repr((self.stamp, key, numba.__version__, llvmlite.__version__))
        return self.folder / f"{self.name}-{hashlib.sha256(said.encode()).hexdigest()[:32]}.nrfc"

    def load(self, key: Any) -> Any:
        """None where there is nothing, or nothing whole."""
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
    """Changes with the function's file and with everything that the engine compiles into it."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    texts = [text for s in sources if any(mark in (text := s.read_bytes()) for mark in MARKS)]
    hashes = [hashlib.sha256(text).digest() for text in (*texts, Path(file).read_bytes())]
    return hashlib.sha256(b"".join(hashes)).hexdigest()
