"""The sizes that decide how fast the engine is. None of them changes a result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """The defaults are what measuring found best; docs/engine.md says how they were measured."""

    chunk: int = 512
    """Steps that a piece runs before another takes its place in the cache."""
    cache: int = 2**20
    """Bytes of states, sums and own weights that a piece stays below."""
    narrowest: int = 256
    """Neurons that a piece has at least: shorter rows cost more for their beginning."""
    shared_out: int = 2048
    """Neurons from which a segment is cut only to give every thread its part."""
    dense: float = 0.3
    """Share of the sources that fire from which a matrix product costs less than their rows."""
    turns: int = 8
    """Chunks into which several threads like a run to be cut, so that they seldom wait."""
    shortest: int = 16
    """Steps that such a chunk has at least."""
