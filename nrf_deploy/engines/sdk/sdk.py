"""The record of a vendor's SDK."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sdk:
    """A vendor's tools, which live in an environment of their own.

    `worker` is the script that runs there: standard library, numpy and this SDK only.
    An `optional` one is installed by its name only, not along with the others.
    """

    name: str
    about: str
    python: str  # "3.10"
    requirements: Path
    worker: Path
    optional: bool = False
    module: str = ""
    """The vendor's package, where `sdk install` is to prove that it can be imported: the worker is
    run up to its `if __name__ == "__main__"`."""
