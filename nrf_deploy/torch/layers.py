"""Calls of layers in a recording: what a layer took, what it gave, and the state it was given."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.network import Array

from . import members
from .frameworks import framework_of
from .user_code import user_line
from .values import (
    Changed,
    Constant,
    Foreign,
    Made,
    OverTime,
    Partial,
    Random,
    Signal,
    State,
    Term,
    Terms,
    Value,
)

if TYPE_CHECKING:
    from .record import Recorder

STATE_FIX = (
    "call it with state=None in the first step, later with the state that it returned; reset a "
    "module that keeps its state before the export"
)
SIGNAL_FIX = (
    "use the first value that a cell returns; for a potential as output end in a layer that gives "
    "it (LIBoxCell of Norse, ExpLeak of sinabs, ExpSynTorch of Rockpool) or in a Linear"
)


class Before:
    """A layer and its arguments, read before it runs and may change them in place."""

    def __init__(self, recorder: Recorder, module: Any, signal: Any, rest: tuple[Any, ...]):
        import torch

        self.module = module
        self.tensor = first(signal)
        known = isinstance(self.tensor, torch.Tensor)
        self.value = recorder.value(self.tensor) if known else None
        self.zero = isinstance(self.value, Constant) and not bool(self.tensor.any())
        self.faults = list(_state_faults(recorder, module, rest))
        self.copy = self.tensor.detach().clone() if known and recorder.keep == "all" else None


def layer_called(recorder: Recorder, name: str, before: Before, output: Any) -> None:
    """Record a call of a layer, unless it passes its input on unchanged."""
    from .operations import flattened

    module, result = before.module, first(output)
    if result is None or not hasattr(result, "untyped_storage"):
        return
    if _passes(module) and before.value is not None:
        recorder.put(result, before.value)
        return
    if _is_flatten(module) and isinstance(before.value, Signal):
        ends = module.start_dim, module.end_dim
        flattened(recorder, before.value, before.tensor, ends, result, name, module)
        return
    faults = [*before.faults, *_hooks(module)]
    axes, steps = _as_signal(before, faults)
    labels = _labels(module)
    if labels is not None and not _fits(axes, labels):
        faults.append(_no_time(labels))
    leading = Signal(axes, steps).leading
    after = (*axes[:leading], *("F",) * (result.ndim - leading))
    tensor = before.tensor
    call = Made(
        name,
        module,
        steps,
        features(axes, tuple(tensor.shape)) if hasattr(tensor, "shape") else (),
        features(after, tuple(result.shape)),
        recorder.turn,
        in_model=True,
        where=user_line(),
        faults=faults,
        whole="T" in axes and labels is None,
    )
    call.spread = result.ndim < leading or result.shape[:leading] != tensor.shape[:leading]
    kept = recorder.keep == "all" or (recorder.keep == "neurons" and framework_of(module))
    if kept and not call.spread:
        if before.copy is not None:
            call.taken = by_step(before.copy, axes)
        call.given = by_step(result, after)
        call.shown = _shown(module, output, result, after)
    if type(module).__name__ == "ReLU":
        call.key = ("relu", id(module), *behind(recorder, steps))
    number = recorder.add(call)
    recorder.last[id(module)] = number
    if result is before.tensor:
        recorder.overwritten(result)
    for other in tensors(output):
        if other is not result:
            recorder.put(other, State(number))
    recorder.put(result, Signal(after, tuple((Term(number, t),) for t in range(len(steps)))))


def behind(recorder: Recorder, steps: tuple[Terms, ...]) -> tuple[Hashable, ...]:
    """Return the layers before a ReLU: it may become a part of neurons, and is one for each."""
    calls = [recorder.calls[t.call] for t in steps[0] if t.call >= 0]
    return tuple(c.identity for c in calls)


def _as_signal(before: Before, faults: list[Finding]) -> tuple[tuple[str, ...], tuple[Terms, ...]]:
    """Return the axes and terms of a layer's input; adds a fault where it is not a signal."""
    value, tensor = before.value, before.tensor
    if isinstance(value, OverTime) and value.function == "sum":
        value = summed(value)
    if isinstance(value, Signal):
        if not value.ordered:
            faults.append(_out_of_order())
        return value.axes, value.steps
    if not before.zero:
        faults.append(no_signal(value))
    shape = tuple(getattr(tensor, "shape", ()))
    batch = ("B",) if shape[:1] == (1,) and len(shape) > 1 else ()
    return (*batch, *("F",) * (len(shape) - len(batch))), ((),)


def summed(value: OverTime) -> Signal:
    """Return the sum of stacked signals as the addition that it is."""
    axes = tuple(a for a in value.signal.axes if a != "T")
    return Signal(axes, (tuple(value.signal.terms()),))


def _labels(module: Any) -> tuple[str, ...] | None:
    framework = framework_of(module)
    return None if framework is None else framework.time(module)


def _fits(axes: tuple[str, ...], labels: tuple[str, ...]) -> bool:
    """Return True if the first axes are those that a layer over time takes."""
    if len(axes) < len(labels):
        return False
    return all(a in (label, "1") for a, label in zip(axes, labels, strict=False))


def _passes(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Identity | torch.nn.modules.dropout._DropoutNd)


def _is_flatten(module: Any) -> bool:
    import torch

    return type(module).forward is torch.nn.Flatten.forward and not module._forward_hooks


def _shown(module: Any, output: Any, result: Any, axes: tuple[str, ...]) -> Array | None:
    framework = framework_of(module)
    v = None if framework is None else framework.potential(module, output)
    if v is None or not hasattr(v, "detach") or v.shape != result.shape:
        return None
    return by_step(v, axes)


def by_step(tensor: Any, axes: tuple[str, ...]) -> Array:
    """Return a copy as (steps, *features)."""
    array = np.array(tensor.detach().cpu().numpy())
    if "T" in axes:
        array = np.moveaxis(array, axes.index("T"), 0)
        return array.reshape(len(array), *features(axes, tuple(tensor.shape)))
    return array.reshape(1, *features(axes, tuple(tensor.shape)))


def features(axes: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n, label in zip(shape, axes, strict=True) if label == "F")


def first(value: Any) -> Any:
    """Return the signal of (signal, state): the first item."""
    while isinstance(value, tuple | list) and value:
        value = value[0]
    return value


def tensors(value: Any) -> Iterator[Any]:
    """Yield the tensors in nested tuples, lists and dicts."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)


# --- faults -----------------------------------------------------------------------------


def _state_faults(recorder: Recorder, module: Any, rest: tuple[Any, ...]) -> Iterator[Finding]:
    """Yield a fault if a layer is given a state other than its own of the step before."""
    last = recorder.last.get(id(module))
    own = {id(t) for t in (*members.parameters(module), *members.buffers(module))}
    for tensor in tensors(rest):
        value = recorder.value(tensor)
        if isinstance(value, Constant) and (id(tensor) in own or not bool(tensor.any())):
            continue
        if isinstance(value, State) and value.call == last:
            continue
        if isinstance(value, Signal) and [t.call for t in value.terms()] == [last]:
            continue
        if isinstance(value, Signal):
            calls = [recorder.calls[t.call] for t in value.terms() if t.call >= 0]
            refused = [c for c in calls if c.module is None]
            if refused:
                value = Changed(0, refused[0].name, refused[0].where)
        yield _foreign_state(value, last)
        return


def _foreign_state(value: Value, last: int | None) -> Finding:
    if isinstance(value, Changed):
        what = f"its state was changed by {value.function!r} ({value.where})"
    elif isinstance(value, State):
        older = value.call == last
        what = "its state is that of another layer" if not older else "its state is an older one"
    elif isinstance(value, Constant):
        what = "it starts from a state other than zeros"
    elif isinstance(value, Foreign):
        what = "its state was set before the run, or out of sight"
    else:
        what = "it is called with more than its input and its own state"
    return error(
        "EXPORT-STATE",
        what,
        why="a cell starts from its own first state, which nothing else may set",
        fix=STATE_FIX,
    )


def no_signal(value: Value | None) -> Finding:
    """Return the fault of a layer whose input is not a signal."""
    match value:
        case State() | Changed():
            what, fix = "its input is the state of a cell; expected a signal", SIGNAL_FIX
        case Random():
            what = f"its input is drawn at random by {value.function!r} ({value.where})"
            fix = "draw it outside of the module, and pass it in"
        case OverTime():
            what = f"its input is the {value.function} over all steps"
            fix = "return the signal of each step, and leave what follows to the host"
        case Constant():
            what = "its input is a constant, not a signal"
            fix = "put a constant into the bias of a layer"
        case Partial():
            what = "its input is a tensor that is not written in every step"
            fix = "collect the steps in a list, and stack them"
        case _:
            what = "its input is a tensor of unknown origin"
            fix = "make it in the forward method with torch, from the module's input"
    return error("EXPORT-NO-SIGNAL", what, fix=fix)


def _hooks(module: Any) -> Iterator[Finding]:
    if module._forward_hooks or module._forward_pre_hooks:
        yield error(
            "EXPORT-HOOK",
            "it carries forward hooks",
            why="a hook may change the input or output, and a chip cannot run it",
            fix="remove the hooks before the export",
        )


def _no_time(labels: tuple[str, ...]) -> Finding:
    order = "time first" if labels[0] == "T" else "batch first, then time"
    return error(
        "EXPORT-TIME",
        f"it takes all steps in one call ({order}), and its input has no such axes",
        fix="pass it a signal with a time axis, or use the layer of one step",
    )


def _out_of_order() -> Finding:
    return error(
        "EXPORT-SHAPE",
        "an axis of its input stands between the features and is none of them",
        why="a signal has the axes time, batch and then its features; an added axis has no node",
        fix="give the input its shape outside of the module",
    )
