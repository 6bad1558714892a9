"""Labels of axes through reshapes: time, batch and features.

The batch is 1, so that a reshape may add, drop or merge it with time. Features keep their order;
where a reshape merges some of them it is a Flatten, and a split of one has no counterpart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nrf_deploy.ir.network import Shape

Axes = tuple[str, ...]


@dataclass(frozen=True)
class Reshaped:
    """The labels after a reshape; `merged` are the first and last feature that it merges."""

    axes: Axes
    merged: tuple[int, int] | None = None


def reshaped(axes: Axes, old: Shape, new: Shape) -> Reshaped | None:
    """Return the labels after a reshape from `old` to `new`; None if it has no counterpart.

    Sizes are matched from the last axis, so that features find features first.
    """
    i, j = len(old), len(new)
    labels: list[str] = []
    merged: list[tuple[int, int]] = []
    while j > 0:
        j -= 1
        size, group = new[j], list[int]()
        if i == 0:
            if size != 1:
                return None
            labels.append("1")
            continue
        i -= 1
        group.insert(0, i)
        while math.prod(old[g] for g in group) < size and i > 0:
            i -= 1
            group.insert(0, i)
        if math.prod(old[g] for g in group) != size:
            if size == 1 and len(group) == 1:  # an axis of size one between two others
                i += 1
                labels.append("1")
                continue
            return None
        if _absorbs(axes[:i], old[:i], j, len(group)):
            group = [*(g for g in range(i) if axes[g] == "F"), *group]
            i = next(g for g in range(i + 1) if g == i or axes[g] == "F")
        label = _label(axes, old, group)
        if label is None:
            return None
        labels.append(label)
        features = [g for g in group if axes[g] == "F"]
        if len(features) > 1:
            first = sum(a == "F" for a in axes[: features[0]])
            merged.append((first, first + len(features) - 1))
    if any(old[g] != 1 or axes[g] == "F" for g in range(i)) or len(merged) > 1:
        return None
    return Reshaped(_named(labels[::-1]), merged[0] if merged else None)


def _absorbs(axes: Axes, old: Shape, left: int, group: int) -> bool:
    """Return True if the features that are left, all of size one, belong to the group before.

    `left` new axes remain for the old ones: a merge takes such features along, and so does the
    last axis where only time or batch remain.
    """
    sizes = [n for n, label in zip(old, axes, strict=True) if label == "F"]
    leading = len(axes) - len(sizes)
    if not sizes or any(n != 1 for n in sizes) or left >= len(axes):
        return False
    return group > 1 or left <= max(1, leading - 1)


def _label(axes: Axes, old: Shape, group: Sequence[int]) -> str | None:
    """Return the label of a group of axes that become one; None if they do not belong together."""
    kinds = {axes[g] for g in group}
    if "F" in kinds:
        others = [g for g in group if axes[g] != "F"]
        return None if others else "F"
    if "T" in kinds:
        return "T"
    return "B" if "B" in kinds else "1"


def _named(labels: Sequence[str]) -> Axes:
    """Return the labels; an added axis beside time is the batch where that is missing."""
    named = list(labels)
    first = next((i for i, a in enumerate(named) if a == "F"), len(named))
    if "B" not in named and "1" in named[:first]:
        named[named.index("1")] = "B"
    return tuple(named)
