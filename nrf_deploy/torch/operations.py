"""Functions of torch between the layers of a recording.

An addition becomes more terms, a function that only moves axes other labels, and a function that
a layer of torch can stand for a call of it. All others become calls that are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nrf_deploy.diagnostics.findings import error

from .additions import fits, place_of, together
from .functions import (
    ADD_FIX,
    LEAKS,
    MADE_LIKE,
    OVER_TIME,
    RANDOM,
    SAME,
    LeakError,
    leak,
    no_function,
    not_added,
)
from .layers import features, summed, tensors
from .movements import MOVES, flattened_axes, joined, moved, stacked
from .recorded import Recorded
from .stand_ins import stand_in
from .user_code import user_line
from .values import (
    INPUT,
    Changed,
    Constant,
    Foreign,
    OverTime,
    Partial,
    Random,
    Signal,
    State,
    Value,
)

if TYPE_CHECKING:
    from .record import Recorder


def operate(recorder: Recorder, func: Any, args: Any, kwargs: Any, result: Any) -> None:
    """Record what a function record of its arguments."""
    name = _name(func)
    operands = [recorder.value(t) for t in tensors((args, kwargs))]
    followed = [v for v in operands if not isinstance(v, Constant | Foreign)]
    chosen = name == "__getitem__" and any(True for _ in tensors((args[1:], kwargs)))
    if (name in LEAKS or chosen) and followed:
        raise LeakError(leak(name, user_line()))
    op = Operation(recorder, name, args, kwargs, operands, followed, list(tensors(result)))
    if name == "__setitem__":
        op.write()
    elif op.results:
        values = op.values()
        for tensor, value in zip(op.results, values, strict=True):
            if op.in_place and args and tensor is args[0]:
                recorder.overwritten(tensor)
            recorder.put(tensor, value)


def _name(func: Any) -> str:
    name = getattr(func, "__name__", str(func))
    if name in ("__get__", "__set__"):
        return str(getattr(getattr(func, "__self__", None), "__name__", name))
    return str(name)


def flattened(
    recorder: Recorder,
    signal: Signal,
    tensor: Any,
    ends: tuple[int, int],
    result: Any,
    name: str,
    module: Any,
) -> None:
    """Record a module Flatten of the model."""
    op = Operation(recorder, name, (tensor,), {}, [signal], [signal], [result], module)
    recorder.put(result, op.moved(flattened_axes(signal, *ends), "it flattens the batch")[0])


class Operation(Recorded):
    """One call of a function between layers."""

    def values(self) -> Sequence[Value]:
        """Return what each result is."""
        name, followed = self.name, self.followed
        if f"{name}_" in RANDOM or name in RANDOM or self._drops():
            return self.all(Random(name, self.where()))
        if name in MADE_LIKE:
            return self.all(Constant())
        if not followed:
            return self.all(self.constant())
        subject: Any = self.args[0] if self.args else None
        if not hasattr(subject, "dtype") and name not in ("stack", "cat", "concat", "concatenate"):
            return self.all(self.refused())
        if name in SAME and self.results[0].dtype == subject.dtype:
            return self.all(self.operands[0])
        if name == "copy" and self.results[0].shape == self.args[1].shape:
            return [self.operands[1]]
        if all(isinstance(v, State | Changed) for v in followed):
            state: Any = followed[0]
            return self.all(Changed(state.call, name, self.where()))
        if name == "add":
            return [self.added()]
        if all(isinstance(v, OverTime) for v in followed) and len(followed) == 1:
            return self.all(followed[0])
        if not all(isinstance(v, Signal) for v in followed):
            return self.all(self.refused())
        return self._of_signals()

    def _of_signals(self) -> Sequence[Value]:
        name = self.name
        if name in ("stack", "cat", "concat", "concatenate"):
            return [self._gathered()]
        signal = self.operands[0]
        if isinstance(signal, Signal) and len(self.followed) == 1:
            if name in MOVES:
                if name in ("__getitem__", "select", "unbind"):
                    self._note_index(signal)
                return self.moved(moved(name, signal, self.args, self.kwargs, self.results))
            if name in OVER_TIME and (over := self._over(signal)) is not None:
                return self.all(over)
        if len(self.followed) == 1 and (layer := stand_in(self)) is not None:
            signal = self.followed[0]
            if signal is self.operands[0] and isinstance(signal, Signal) and signal.ordered:
                return [self.call(layer, signal)]
        return self.all(self.refused())

    def _note_index(self, signal: Signal) -> None:
        """Note that one element of the input was taken along an axis, as a loop over time does."""
        if signal.timed or any(t.call != INPUT for t in signal.terms()):
            return
        if self.name == "__getitem__":
            index = self.args[1] if isinstance(self.args[1], tuple) else (self.args[1],)
            axis = next((n for n, i in enumerate(index) if type(i) is int), None)
        else:
            dim = self.args[1] if len(self.args) > 1 else self.kwargs.get("dim", 0)
            axis = dim % len(signal.axes)
        if self.recorder.indexed is None:
            self.recorder.indexed = axis

    # --- kinds of functions -----------------------------------------------------------

    def added(self) -> Value:
        """Return the sum of two signals; the 0 that Python's sum() starts with adds none."""
        signals: list[Signal] = []
        for argument in self.args[:2]:
            if isinstance(argument, int | float) and argument == 0:
                continue
            value = self.recorder.value(argument) if hasattr(argument, "shape") else None
            if isinstance(value, OverTime) and value.function == "sum":
                value = summed(value)
            if isinstance(value, Constant) and not bool(argument.any()):
                if argument.dim() > self.results[0].dim() or not fits(argument, self.args):
                    return self._no_sum("the shapes differ, and NIR does not broadcast")
                continue
            if not isinstance(value, Signal):
                return self._no_sum(not_added(value))
            signals.append(value)
        if len(self.args) < 2 or self.kwargs.get("alpha", 1) != 1 or "out" in self.kwargs:
            return self._no_sum("only two signals can be added, with no constant and no factor")
        if len(signals) < 2:
            return signals[0] if signals else self.constant()
        sizes = [features(s.axes, tuple(a.shape)) for s, a in zip(signals, self.args, strict=True)]
        if sizes[0] != sizes[1]:
            why = f"the shapes {sizes[0]} and {sizes[1]} differ, and NIR does not broadcast"
            return self._no_sum(why)
        steps = together(signals[0], signals[1])
        if steps is None:
            return self._no_sum("the two signals have different axes of time")
        if any(len(set(step)) < len(step) for step in steps.steps):
            return self._no_sum("the same signal would arrive twice")
        return steps

    def _no_sum(self, why: str) -> Signal:
        fault = error(
            "EXPORT-ADD",
            f"this addition has no counterpart ({self.where()})",
            why=why,
            fix=ADD_FIX,
        )
        return self.refused(fault)

    def moved(
        self, after: list[Signal] | tuple[Signal, tuple[int, int]] | None, why: str = ""
    ) -> Sequence[Value]:
        """Return signals with other axes; a merge of features is a call of Flatten."""
        if after is None:
            return self.all(self.refused(no_function(self.name, self.where(), why)))
        if isinstance(after, list):
            return after
        import torch

        signal, (start, end) = after
        layer = torch.nn.Flatten(start + 1, end + 1)
        own = None if self.module is None else id(self.module)
        return [self.call(layer, self.operands[0], signal.axes, key=("flatten", own, start, end))]

    def _gathered(self) -> Value:
        """Return stacked or joined steps."""
        parts = self.args[0] if self.args else self.kwargs["tensors"]
        dim = self.args[1] if len(self.args) > 1 else self.kwargs.get("dim", 0)
        signals = [v for v in map(self.recorder.value, parts) if isinstance(v, Signal)]
        if len(signals) == len(parts):
            gather = stacked if self.name == "stack" else joined
            signal = gather(signals, dim)
            if signal is not None:
                return signal
        return self.refused()

    def _over(self, signal: Signal) -> Value | None:
        """Return a function over the axis of time, or along an axis of size one."""
        dim = (
            self.args[1] if len(self.args) > 1 else self.kwargs.get("dim", self.kwargs.get("axis"))
        )
        dims = [dim] if isinstance(dim, int) else list(dim) if isinstance(dim, tuple | list) else []
        labels = [signal.axes[d % len(signal.axes)] for d in dims]
        if labels == ["T"]:
            return OverTime(signal, self.name)
        if labels == ["1"] and self.name in ("sum", "mean", "amax", "amin"):
            at = dims[0] % len(signal.axes)
            keep = ("1",) if self.kwargs.get("keepdim") else ()
            return Signal((*signal.axes[:at], *keep, *signal.axes[at + 1 :]), signal.steps)
        return None

    def write(self) -> None:
        """Record tensor[index] = value: steps written into a tensor of zeros."""
        target, index, source = self.args
        before = self.recorder.values.get(id(target), (None, self.recorder.value(target)))[1]
        value = self.recorder.value(source) if hasattr(source, "shape") else None
        if not self.followed and not isinstance(before, Partial):
            return
        self.recorder.overwritten(target)
        at = place_of(index, target)
        empty = isinstance(before, Constant | Partial)
        if isinstance(value, Signal) and not value.timed and empty and at is not None:
            axis, t = at
            parts = before.parts if isinstance(before, Partial) else {}
            known = isinstance(before, Partial) and before.axis != axis
            if not known and len(value.axes) == target.dim() - 1:
                self.recorder.put(target, Partial(axis, {**parts, t: value}))
                return
        self.results = [target]
        self.recorder.put(target, self.refused())

    def _drops(self) -> bool:
        """Return True for a dropout that is not in evaluation mode."""
        by_place = self.args[2] if len(self.args) > 2 else True
        training = self.kwargs.get("training", self.kwargs.get("train", by_place))
        return "dropout" in self.name and bool(training)
