"""Relations of channels: by an affine map of the image, or by a motion.

A maps the field with covariance C to the one with A C A^T, a derivative along d to one along
A d, and a velocity u to A u. Maps with integers move every pixel to a pixel: for these the
test needs no interpolation. If no such map leads to a neighbour (the next scale, angle or
ratio), the map between the two ellipses is used, and only kernels can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nrf_deploy.ir.network import Array

from .fields import Field, Seen

CLOSE = 1e-6
QUARTER = np.array([[0, -1], [1, 0]])
WHOLE: Mapping[str, Array] = {
    "turn 90°": QUARTER,
    "turn 180°": -np.eye(2, dtype=int),
    "scale x2": 2 * np.eye(2, dtype=int),
    "scale x3": 3 * np.eye(2, dtype=int),
    "scale x1.41, turn 45°": np.array([[1, -1], [1, 1]]),
    "shear x": np.array([[1, 1], [0, 1]]),
    "shear y": np.array([[1, 0], [1, 1]]),
    "stretch x2 in x": np.array([[2, 0], [0, 1]]),
    "stretch x2 in y": np.array([[1, 0], [0, 2]]),
}
"""Maps of the pixel grid into itself, the simplest first."""


@dataclass(frozen=True)
class Match:
    """A match: `second` responds to the image after the map like `first` to the image, times
    `gain`. A gain below 0 is that of an odd derivative that is turned round."""

    first: int
    second: int
    gain: float


@dataclass(frozen=True, eq=False)
class Relation:
    """A relation by a map, whose `matrix` acts on (x, y)."""

    name: str
    matrix: Array
    matches: tuple[Match, ...]

    @property
    def det(self) -> float:
        return abs(float(np.linalg.det(self.matrix)))


def affine(seen: Seen) -> list[Relation]:
    """Return relations on the grid, each pair of channels once; then other neighbours."""
    relations_found: list[Relation] = []
    joined: set[tuple[int, int]] = set()
    for name, matrix in WHOLE.items():
        if name == "turn 180°" and relations_found:
            continue  # two quarter turns
        matches = [m for m in _matches(seen, matrix) if (m.first, m.second) not in joined]
        joined |= {(m.first, m.second) for m in matches}
        joined |= {(m.second, m.first) for m in matches}
        if matches:
            relations_found.append(Relation(name, matrix, tuple(matches)))
    return [*relations_found, *_between(seen, joined)]


def _matches(seen: Seen, matrix: Array) -> Iterator[Match]:
    """Yield for each channel the first one that the map makes of it."""
    known = list(seen.known())
    for i, field in known:
        ways = [
            Match(i, j, gain)
            for j, other in known
            if other != field and (gain := gain_of(field, other, matrix)) is not None
        ]
        upright = [m for m in ways if m.gain > 0]
        yield from (upright or ways)[:1]


def gain_of(first: Field, second: Field, matrix: Array) -> float | None:
    """Return the gain of k_first(x) = gain |det A| k_second(A x), or None if there is none."""
    near = CLOSE * max(second.scale, 1.0)
    if not np.allclose(matrix @ first.covariance @ matrix.T, second.covariance, atol=near):
        return None
    if not np.allclose(matrix @ np.array(first.velocity), second.velocity, atol=CLOSE):
        return None
    moved, left = first.directions @ matrix.T, list(second.directions)
    if len(moved) != len(left):
        return None
    gain = (first.sigma / second.sigma) ** len(moved)
    for d in moved:
        length = float(np.linalg.norm(d))
        signs = [float(np.sign(d @ e)) for e in left]
        fits = [k for k, e in enumerate(left) if np.allclose(d, signs[k] * length * e, atol=1e-6)]
        if not fits:
            return None
        gain *= length * signs[fits[0]]
        del left[fits[0]]
    return gain


def _between(seen: Seen, joined: set[tuple[int, int]]) -> Iterator[Relation]:
    """Yield relations of neighbours in scale, angle or ratio, one for each kind and step."""
    groups: dict[str, tuple[Array, list[Match]]] = {}
    known = list(seen.known())
    for i, field in known:
        for name, j, other in _neighbours(field, known):
            if (i, j) in joined:
                continue
            matrix = other.root @ np.linalg.inv(field.root)
            gain = gain_of(field, other, matrix)
            if gain is not None:
                key = f"{name} {np.round(matrix, 6).tolist()}"
                groups.setdefault(key, (matrix, []))[1].append(Match(i, j, gain))
    for key, (matrix, matches) in groups.items():
        yield Relation(key[: key.index(" [")], matrix, tuple(matches))


def _neighbours(
    field: Field, known: Sequence[tuple[int, Field]]
) -> Iterator[tuple[str, int, Field]]:
    for key, named in (("scale", _scaled), ("angle", _turned), ("ratio", _stretched)):
        mine = getattr(field, key)
        beyond = [
            (getattr(other, key), j, other)
            for j, other in known
            if getattr(other, key) > mine + CLOSE and replace(other, **{key: mine}) == field
        ]
        if beyond:
            _, j, other = min(beyond, key=lambda b: b[:2])
            yield named(field, other), j, other


def _scaled(a: Field, b: Field) -> str:
    return f"scale x{math.sqrt(b.scale / a.scale):.3g}"


def _turned(a: Field, b: Field) -> str:
    return f"turn {math.degrees(b.angle - a.angle):.3g}°"


def _stretched(a: Field, b: Field) -> str:
    return f"ratio {a.ratio:.3g} to {b.ratio:.3g}"


def motions(seen: Seen) -> list[tuple[tuple[int, int], tuple[Match, ...]]]:
    """Return velocity differences w in whole pixels a step, with the channel pairs (u, u + w).

    The channels of a pair differ only in their velocities. The shortest w is the first, only one
    of w and -w is returned, and a longer w only if it joins channels that no shorter one joins.
    """
    known = list(seen.known())
    by: dict[tuple[int, int], list[Match]] = {}
    for i, a in known:
        for j, b in known:
            w = np.subtract(b.velocity, a.velocity)
            whole = np.rint(w).astype(int)
            up = (whole[1], whole[0]) > (0, 0)
            if up and np.allclose(w, whole, atol=CLOSE) and replace(b, velocity=a.velocity) == a:
                by.setdefault((int(whole[0]), int(whole[1])), []).append(Match(i, j, 1.0))
    kept, joined = [], _Groups()
    for w in sorted(by, key=lambda w: (w[0] ** 2 + w[1] ** 2, w)):
        matches = [m for m in by[w] if joined.join(m.first, m.second)]
        if matches:
            kept.append((w, tuple(by[w])))
    return kept


class _Groups:
    """Sets of channels that are joined by pairs."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def join(self, a: int, b: int) -> bool:
        """Join the sets of two channels; return whether they were separate."""
        left, right = self.of.setdefault(a, a), self.of.setdefault(b, b)
        if left == right:
            return False
        self.of = {k: left if g == right else g for k, g in self.of.items()}
        return True
