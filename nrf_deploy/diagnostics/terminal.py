"""Standard output and standard error that take every text and never end the work.

A command may have written its files when its last line meets a closed pipe, a full disk or an
ASCII encoding: the exit code then reports the work, not the lost line. Texts hold names from
files that others wrote, so their control characters are escaped.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""C0 and C1 without tab and line feed, marks of direction, lone surrogates."""


class Guarded(io.TextIOBase):
    """A text stream around another one, or around none where the caller closed it.

    `returns`: a carriage return is not escaped, for progress that is drawn over itself.
    `problem`: the error that ended the output, or None.
    """

    def __init__(self, stream: TextIO | None, returns: bool = False) -> None:
        self.stream, self.returns = stream, returns
        self.problem: OSError | ValueError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self.stream is not None and self.problem is None:
            plain = CONTROL.sub(self._escaped, text)
            plain = plain.encode(self.encoding, "backslashreplace").decode(self.encoding)
            self._try(lambda stream: stream.write(plain))
        return len(text)

    def flush(self) -> None:
        if self.stream is not None and self.problem is None:
            self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        with suppress(ValueError, OSError):
            return self.stream is not None and self.stream.isatty()
        return False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self.stream is None:
            raise OSError(errno.EBADF, "the stream was closed before the program began")
        return self.stream.fileno()

    def _escaped(self, match: re.Match[str]) -> str:
        character = match.group()
        return character if self.returns and character == "\r" else repr(character)[1:-1]

    def _try(self, do: Callable[[TextIO], object]) -> None:
        assert self.stream is not None
        try:
            do(self.stream)
        except (OSError, ValueError) as problem:  # ValueError: the stream was closed
            self.problem = problem
            self._drain()

    def _drain(self) -> None:
        """Discard the buffer: Python would write it again at its end, and exit with 120."""
        assert self.stream is not None
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextmanager
def guarded() -> Iterator[None]:
    """Guard sys.stdout and sys.stderr; report output that was lost, as on a full disk."""
    kept = sys.stdout, sys.stderr
    out, err = Guarded(sys.stdout), Guarded(sys.stderr, returns=True)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield
    finally:
        out.flush()
        if isinstance(out.problem, OSError) and out.problem.errno != errno.EPIPE:
            err.write(f"the output could not be written: {out.problem.strerror}\n")
        err.flush()
        sys.stdout, sys.stderr = kept
