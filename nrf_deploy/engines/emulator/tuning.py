"""Sizes that determine the speed of the engine. None of them changes a result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Sizes for the engine. The defaults are measured (docs/engine.md)."""

    chunk: int = 512
    """Steps that a piece runs before another one replaces it in the cache."""
    cache: int = 2**20
    """Limit of a piece's bytes: states, sums and its own weights."""
    narrowest: int = 256
    """Smallest number of neurons of a piece: the start of a row costs too much for shorter ones."""
    shared_out: int = 2048
    """Number of neurons from which a segment is cut only to use every thread."""
    dense: float = 0.3
    """Share of firing sources from which a matrix product costs less than adding rows."""
    turns: int = 8
    """Number of chunks of a run on several threads, so that they seldom wait."""
    shortest: int = 16
    """Smallest number of steps of such a chunk."""
