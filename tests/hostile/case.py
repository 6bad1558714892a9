"""One case: the files in a box (a folder of its own), the call, and what it may answer."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .samples import Samples

USAGE, INPUT, TARGET, MISSING = 2, 3, 4, 5


@dataclass(frozen=True)
class Case:
    """`words` are of the command line; paths are relative to the box.

    Exit codes beside 0 and those of `refusals` are failures; `beside` are the ones that may
    come with an output. `pages` are outputs that must be well-formed. `golden` holds the
    bundle and the recording whose program the plain emulator runs too.
    """

    words: tuple[str, ...]
    about: str
    refusals: frozenset[int] = frozenset({USAGE, INPUT})
    beside: frozenset[int] = frozenset()
    pages: tuple[str, ...] = ()
    golden: tuple[str, str] | None = None
    reply: str | None = None
    """The folder that a stand-in for a vendor's worker gives as its reply."""
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """The folder of one case: inputs in in/, outputs in out/, temporary files in tmp/."""

    folder: Path
    rng: np.random.Generator
    samples: Samples

    def put(self, name: str, data: bytes) -> str:
        path = self.folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"in/{name}"

    def path(self, name: str) -> Path:
        """Return the path of the input `name`."""
        path = self.folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


Maker = Callable[[Box], Case]


@dataclass(frozen=True)
class Family:
    """A kind of mutation. `long` and `short` are the numbers of cases of the two campaigns."""

    name: str
    about: str
    make: Maker
    long: int
    short: int

    def rng(self, seed: int, number: int) -> np.random.Generator:
        return np.random.default_rng([zlib.crc32(self.name.encode()), seed, number])
