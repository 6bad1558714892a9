"""Layout of a directed graph: the positions of its boxes and edges, by ranks.

Ranks follow each other along the *main* axis (down a page, or to the right), boxes of one
rank stand side by side along the *cross* axis. An edge over several ranks has a position in
each of them. An edge that closes a cycle runs round the outside, in a separate lane.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Key = str | tuple[int, int]  # a box, or the place where edge i passes rank j
Edge = tuple[str, str]
Point = tuple[float, float]
SWEEPS = 12
GAP = 26.0  # between ranks
APART = 18.0  # between boxes of a rank
PASSING = 6.0  # the room of an edge that passes
LANE = 9.0  # between edges that run back


@dataclass(frozen=True)
class Layout:
    """A layout in (main, cross): its size, the corners of the boxes, the points of the edges."""

    size: Point
    corners: Mapping[str, Point]
    routes: Sequence[Sequence[Point]]


def layered(
    sizes: Mapping[str, Point], edges: Sequence[Edge], back: Collection[int] = ()
) -> Layout:
    """Arrange boxes whose `sizes` are in topological order, without the edges in `back`."""
    ahead = {i: e for i, e in enumerate(edges) if i not in back}
    rank = _ranks(sizes, list(ahead.values()))
    rows: list[list[Key]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for name, r in rank.items():
        rows[r].append(name)
    chains = {i: _chain(i, e, rank) for i, e in ahead.items()}
    for chain in chains.values():
        for key in chain[1:-1]:
            assert isinstance(key, tuple)
            rows[key[1]].append(key)
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    width = {k: sizes[k][1] if isinstance(k, str) else PASSING for row in rows for k in row}
    near = _neighbours(links)
    _order(rows, near)
    middle = _middles(rows, near, width)
    left = min((middle[k] - w / 2 for k, w in width.items()), default=0.0)
    right = max((middle[k] + w / 2 for k, w in width.items()), default=0.0) - left
    tops = _tops(rows, sizes)
    corners = {n: (tops[rank[n]], middle[n] - left - sizes[n][1] / 2) for n in sizes}
    routes: list[list[Point]] = []
    for i, (a, b) in enumerate(edges):
        if i in chains:
            routes.append(_ahead(chains[i], corners, sizes, tops, middle, left))
        else:
            lane = right + LANE * (1 + sum(j < i for j in back))
            routes.append(_round(a, b, corners, sizes, lane))
    size = (tops[-1], right + LANE * (len(back) + 1 if back else 0))
    return Layout(size, corners, routes)


def _ranks(names: Mapping[str, Point], edges: Sequence[Edge]) -> dict[str, int]:
    """Return the rank of each box: the length of the longest path to it."""
    into: dict[str, list[str]] = {n: [] for n in names}
    for a, b in edges:
        into[b].append(a)
    rank: dict[str, int] = {}
    for n in names:
        rank[n] = max((rank[a] + 1 for a in into[n]), default=0)
    return rank


def _chain(i: int, edge: Edge, rank: Mapping[str, int]) -> list[Key]:
    a, b = edge
    return [a, *((i, r) for r in range(rank[a] + 1, rank[b])), b]


def _neighbours(links: Sequence[tuple[Key, Key]]) -> tuple[dict[Key, list[Key]], ...]:
    """Return the neighbours of each box in the rank before, and in the rank after."""
    before: dict[Key, list[Key]] = {}
    after: dict[Key, list[Key]] = {}
    for a, b in links:
        after.setdefault(a, []).append(b)
        before.setdefault(b, []).append(a)
    return before, after


def _order(rows: list[list[Key]], near: tuple[dict[Key, list[Key]], ...]) -> None:
    """Sort each rank by the mean position of its neighbours, so that few edges cross."""
    for sweep in range(SWEEPS):
        side = near[sweep % 2]
        for row in rows[:: -1 if sweep % 2 else 1]:
            place = {k: (i + 0.5) / len(r) for r in rows for i, k in enumerate(r)}
            wanted = {
                k: sum(place[n] for n in side[k]) / len(side[k]) if k in side else place[k]
                for k in row
            }
            row.sort(key=wanted.__getitem__)


def _middles(
    rows: Sequence[Sequence[Key]],
    near: tuple[dict[Key, list[Key]], ...],
    width: Mapping[Key, float],
) -> dict[Key, float]:
    middle: dict[Key, float] = {}
    for row in rows:
        middle |= _spread(row, dict.fromkeys(row, 0.0), width)
    for sweep in range(SWEEPS):
        side = near[sweep % 2]
        for row in rows[:: -1 if sweep % 2 else 1]:
            wanted = {
                k: sum(middle[n] for n in side[k]) / len(side[k]) if k in side else middle[k]
                for k in row
            }
            middle |= _spread(row, wanted, width)
    return middle


def _spread(
    row: Sequence[Key], wanted: Mapping[Key, float], width: Mapping[Key, float]
) -> dict[Key, float]:
    """Place boxes near the wanted positions, in this order and without overlap.

    Pushing only to the right and pushing only to the left avoid overlap, and so does their mean.
    """
    apart = [(width[a] + width[b]) / 2 + APART for a, b in itertools.pairwise(row)]
    right: list[float] = []
    left: list[float] = []
    for k, gap in zip(row, [0.0, *apart], strict=True):
        right.append(max(wanted[k], right[-1] + gap) if right else wanted[k])
    for k, gap in zip(reversed(row), [0.0, *reversed(apart)], strict=True):
        left.append(min(wanted[k], left[-1] - gap) if left else wanted[k])
    return {k: (a + b) / 2 for k, a, b in zip(row, right, reversed(left), strict=True)}


def _tops(rows: Sequence[Sequence[Key]], sizes: Mapping[str, Point]) -> list[float]:
    """Return where each rank begins, and where the last one ends."""
    tops = [GAP]
    for row in rows:
        tops.append(tops[-1] + GAP + max(sizes[k][0] for k in row if isinstance(k, str)))
    return tops


def _ahead(
    chain: Sequence[Key],
    corners: Mapping[str, Point],
    sizes: Mapping[str, Point],
    tops: Sequence[float],
    middle: Mapping[Key, float],
    left: float,
) -> list[Point]:
    first, *passed, last = chain
    assert isinstance(first, str)
    assert isinstance(last, str)
    points = [(corners[first][0] + sizes[first][0], middle[first] - left)]
    for key in passed:
        assert isinstance(key, tuple)
        across = middle[key] - left
        points += [(tops[key[1]], across), (tops[key[1] + 1] - GAP, across)]
    return [*points, (corners[last][0], middle[last] - left)]


def _round(
    a: str, b: str, corners: Mapping[str, Point], sizes: Mapping[str, Point], lane: float
) -> list[Point]:
    """Return the points of an edge out of one box, along the lane, and into the other."""
    end, start = corners[a][0] + sizes[a][0], corners[b][0]
    out, into = (corners[n][1] + sizes[n][1] * 0.7 for n in (a, b))
    behind, before = end + GAP * 0.45, start - GAP * 0.45
    return [
        (end, out),
        (behind, out),
        (behind, lane),
        (before, lane),
        (before, into),
        (start, into),
    ]
