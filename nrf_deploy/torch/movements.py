"""Functions that move, add or drop axes of signals, and those that join and part steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .axes import reshaped
from .values import Signal, Terms

Moved = list[Signal] | tuple[Signal, tuple[int, int]] | None
"""Signals, one for each result; or a signal and the features merged in it; None: refused."""


def moved(name: str, signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    """Return what a function of MOVES makes of the signal of its first argument."""
    return MOVES[name](signal, args, kwargs, results)


def _view(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    shape = reshaped(signal.axes, tuple(args[0].shape), tuple(results[0].shape))
    if shape is None:
        return None
    after = Signal(shape.axes, signal.steps)
    return [after] if shape.merged is None else (after, shape.merged)


def _flatten(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    ends = [
        args[i] if len(args) > i else kwargs.get(key, default)
        for i, key, default in ((1, "start_dim", 0), (2, "end_dim", -1))
    ]
    return flattened_axes(signal, ends[0], ends[1])


def flattened_axes(signal: Signal, start: int, end: int) -> Moved:
    """Merge axes start..end: features among themselves, or time and batch."""
    size = len(signal.axes)
    start, end = start % size, end % size
    group = signal.axes[start : end + 1]
    if len(group) < 2:
        return [signal]
    kept, rest = signal.axes[:start], signal.axes[end + 1 :]
    if "F" not in group:
        label = "T" if "T" in group else "B" if "B" in group else "1"
        return [Signal((*kept, label, *rest), signal.steps)]
    if set(group) != {"F"}:
        return None
    before = sum(a == "F" for a in kept)
    return Signal((*kept, "F", *rest), signal.steps), (before, before + len(group) - 1)


def _squeeze(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    shape = tuple(args[0].shape)
    dims = args[1] if len(args) > 1 else kwargs.get("dim", range(len(shape)))
    chosen = {d % len(shape) for d in ((dims,) if isinstance(dims, int) else dims)}
    gone = {d for d in chosen if shape[d] == 1}
    if any(signal.axes[d] in "FT" for d in gone):
        return None
    return [Signal(tuple(a for d, a in enumerate(signal.axes) if d not in gone), signal.steps)]


def _unsqueeze(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    dim = (args[1] if len(args) > 1 else kwargs["dim"]) % (len(signal.axes) + 1)
    return [Signal(_with_axis(signal.axes, dim), signal.steps)]


def _with_axis(axes: tuple[str, ...], dim: int) -> tuple[str, ...]:
    """Return the labels with an axis of size one; it is the batch where time stands without."""
    label = "B" if "B" not in axes and "T" in axes[:dim] else "1"
    return (*axes[:dim], label, *axes[dim:])


def _permute(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    dims = args[1] if len(args) == 2 and not isinstance(args[1], int) else args[1:]
    return _ordered(signal, list(dims or kwargs["dims"]))


def _transpose(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    size = len(signal.axes)
    a, b = args[1:3] if len(args) > 2 else list(kwargs.values())[:2]
    order = list(range(size))
    order[a % size], order[b % size] = order[b % size], order[a % size]
    return _ordered(signal, order)


def _ordered(signal: Signal, order: Sequence[int]) -> Moved:
    size = len(signal.axes)
    order = [d % size for d in order]
    features = [d for d in order if signal.axes[d] == "F"]
    if features != sorted(features):
        return None
    return [Signal(tuple(signal.axes[d] for d in order), signal.steps)]


def _expand(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    """Repeat along an axis of size one: the same signal in every step."""
    old, new = tuple(args[0].shape), tuple(results[0].shape)
    axes = (*("1",) * (len(new) - len(old)), *signal.axes)
    old = (*(1,) * (len(new) - len(old)), *old)
    wider = [d for d in range(len(new)) if old[d] != new[d]]
    if not wider:
        return [Signal(axes, signal.steps)]
    if len(wider) > 1 or signal.timed or axes[wider[0]] == "F" or old[wider[0]] != 1:
        return None
    d = wider[0]
    return [Signal((*axes[:d], "T", *axes[d + 1 :]), signal.steps * new[d])]


def _getitem(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    used = sum(i is not None and i is not Ellipsis for i in index)
    if Ellipsis in [i for i in index if not hasattr(i, "shape")]:
        at = next(n for n, i in enumerate(index) if i is Ellipsis)
        more = (slice(None),) * (len(signal.axes) - used)
        index = (*index[:at], *more, *index[at + 1 :])
    axes, steps, dim = list[str](), signal.steps, 0
    for i in index:
        if i is None:
            axes.append("1")
            continue
        label, size = signal.axes[dim], args[0].shape[dim]
        dim += 1
        if type(i) is int and label == "T":
            steps = (steps[i],)
        elif type(i) is int and label in "B1":
            continue
        elif isinstance(i, slice) and label == "T":
            steps = steps[i]
            axes.append("T" if len(steps) != 1 else "1")
        elif isinstance(i, slice) and len(range(*i.indices(size))) == size and i.step in (None, 1):
            axes.append(label)
        else:
            return None
    return [Signal((*axes, *signal.axes[dim:]), steps)]


def _select(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    dim, index = args[1:3] if len(args) > 2 else (kwargs["dim"], kwargs["index"])
    whole = (slice(None),) * (dim % len(signal.axes))
    return _getitem(signal, (args[0], (*whole, index)), {}, results)


def _unbind(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    dim = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % len(signal.axes)
    label = signal.axes[dim]
    axes = (*signal.axes[:dim], *signal.axes[dim + 1 :])
    if label == "T":
        return [Signal(axes, (step,)) for step in signal.steps]
    return None if label == "F" else [Signal(axes, signal.steps)]


def _split(signal: Signal, args: Any, kwargs: Any, results: Sequence[Any]) -> Moved:
    dim = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % len(signal.axes)
    if signal.axes[dim] != "T":
        return None
    parts, at = list[Signal](), 0
    for part in results:
        size = part.shape[dim]
        label = "T" if size != 1 else "1"
        axes = (*signal.axes[:dim], label, *signal.axes[dim + 1 :])
        parts.append(Signal(axes, signal.steps[at : at + size]))
        at += size
    return parts


def stacked(signals: Sequence[Signal], dim: int) -> Signal | None:
    """Return signals of one step as the steps of a new axis."""
    axes = signals[0].axes
    if any(s.axes != axes or s.timed for s in signals):
        return None
    dim %= len(axes) + 1
    steps: tuple[Terms, ...] = tuple(s.steps[0] for s in signals)
    return Signal((*axes[:dim], "T", *axes[dim:]), steps)


def joined(signals: Sequence[Signal], dim: int) -> Signal | None:
    """Return signals joined along their axis of time, or along one of size one."""
    axes = signals[0].axes
    dim %= len(axes)
    others = {(*s.axes[:dim], *s.axes[dim + 1 :]) for s in signals}
    if len(others) > 1 or any(s.axes[dim] == "F" for s in signals):
        return None
    if any(s.timed and s.axes[dim] != "T" for s in signals):
        return None
    steps = tuple(step for s in signals for step in s.steps)
    return Signal((*axes[:dim], "T", *axes[dim + 1 :]), steps)


MOVES: dict[str, Callable[[Signal, Any, Any, Sequence[Any]], Moved]] = {
    **dict.fromkeys(("view", "reshape", "view_as", "reshape_as", "ravel", "unflatten"), _view),
    "flatten": _flatten,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "swapdims": _transpose,
    **dict.fromkeys(("expand", "expand_as", "repeat", "tile", "broadcast_to"), _expand),
    "__getitem__": _getitem,
    "select": _select,
    "unbind": _unbind,
    "split": _split,
    "chunk": _split,
}
