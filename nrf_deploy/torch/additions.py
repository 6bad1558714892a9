"""Sums of two signals, and steps written into a tensor."""

from __future__ import annotations

from typing import Any

from .values import Signal


def fits(constant: Any, args: Any) -> bool:
    """Return True if zeros change nothing about the shape of the other operand."""
    import torch

    others = [a for a in args[:2] if a is not constant]
    if not others or not isinstance(others[0], torch.Tensor):
        return True
    shape = torch.broadcast_shapes(constant.shape, others[0].shape)
    return bool(shape == others[0].shape)


def together(a: Signal, b: Signal) -> Signal | None:
    """Return the sum of two signals, of which one may be the same in all steps."""
    if len(a.steps) != len(b.steps) and 1 not in (len(a.steps), len(b.steps)):
        return None
    length = max(len(a.steps), len(b.steps))
    longer, other = (a, b) if len(a.axes) >= len(b.axes) else (b, a)
    padded = (*("1",) * (len(longer.axes) - len(other.axes)), *other.axes)
    axes: tuple[str, ...] = tuple(
        "T" if "T" in pair else pair[0] for pair in zip(longer.axes, padded, strict=True)
    )
    if axes.count("T") > 1:
        return None
    first, second = (s.steps * length if len(s.steps) == 1 else s.steps for s in (a, b))
    return Signal(axes, tuple((*x, *y) for x, y in zip(first, second, strict=True)))


def place_of(index: Any, target: Any) -> tuple[int, int] | None:
    """Return (axis, step) of an index that names one step and all else."""
    index = index if isinstance(index, tuple) else (index,)
    numbers = [n for n, i in enumerate(index) if type(i) is int]
    others = [i for i in index if type(i) is not int]
    if len(numbers) != 1 or any(i != slice(None) for i in others):
        return None
    axis = numbers[0]
    return axis, index[axis] % target.shape[axis]
