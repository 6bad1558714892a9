"""Runs of a module in each form in which it may take time.

steps      forward(x, state) for one step; it is called step by step with its own state
loop       forward(x) repeats its layers on the same input: its own loop over time
T and B    forward(x) takes all steps: (T, B, ...), (B, T, ...) or (T, ...) without a batch
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nrf_deploy.diagnostics.findings import InputError, error

from . import members
from .frameworks import framework_of
from .layers import first
from .record import Keep, Recorder, prepared
from .values import INPUT, Made, OverTime, Signal, State, Term, Value

Form = tuple[str, ...] | Literal["steps", "loop"]
TIMED: tuple[tuple[str, ...], ...] = (("T", "B"), ("T",), ("B", "T"))
RECURRENT = (
    "export follows the layers from step to step: a chip does the same in every step, and keeps "
    "only the states of its neurons"
)


@dataclass(eq=False)
class Run:
    """The calls and outputs of one run of a module.

    Attributes:
        form: The form in which it was called.
        calls: All calls of layers.
        returned: For each call of the module, the values of its outputs by name.
        given: For each call of the module, its outputs as tensors by name.
        indexed: The axis of the input along which one element was taken.
        beside: The layers whose state or potential is returned beside the outputs.
    """

    form: Form
    calls: list[Made]
    returned: list[dict[str, Value]]
    given: list[dict[str, Any]]
    beside: list[int]
    indexed: int | None = None


def run(module: Any, inputs: Any, form: Form, keep: Keep = "all") -> Run:
    """Run a module over `inputs`, a tensor (steps, *shape), and record its calls."""
    recorder = Recorder(module, keep)
    run = Run(form, recorder.calls, [], [], [])
    with prepared(module), recorder.watching():
        if form == "steps":
            _by_step(recorder, run, inputs)
        else:
            x, signal = _whole_input(inputs, form)
            recorder.put(x, signal)
            _returned(recorder, run, recorder.run((x,), ()), 0)
    run.indexed = recorder.indexed
    return run


def _whole_input(inputs: Any, form: Form) -> tuple[Any, Signal]:
    """Return the input of the only call: one frame for a loop, or all with an axis of time."""
    if form == "loop":
        x = inputs[:1].clone()
        return x, Signal(("B", *("F",) * (x.ndim - 1)), ((Term(INPUT),),))
    axes = {("T", "B"): inputs[:, None], ("B", "T"): inputs[None], ("T",): inputs}
    x = axes[tuple(form)].clone()
    steps = tuple((Term(INPUT, t),) for t in range(len(inputs)))
    return x, Signal((*form, *("F",) * (x.ndim - len(form))), steps)


def _by_step(recorder: Recorder, run: Run, inputs: Any) -> None:
    takes = len(inspect.signature(recorder.root.forward).parameters) - 1
    state: tuple[Any, ...] = ()
    for t, frame in enumerate(inputs):
        x = frame[None].clone()
        recorder.put(x, Signal(("B", *("F",) * frame.ndim), ((Term(INPUT, t),),)))
        try:
            value = recorder.run((x,), state)
        except InputError as e:
            if t == 0 or e.findings[0].code not in ("EXPORT-RUN", "EXPORT-TRACE"):
                raise
            raise InputError(_step_fails(recorder, t, state, e)) from e
        state = tuple(value[1 : 1 + takes]) if isinstance(value, tuple | list) else ()
        _returned(recorder, run, value, takes)


def _step_fails(recorder: Recorder, t: int, state: tuple[Any, ...], e: InputError) -> Any:
    """Return the finding on a later step: often an output that is taken for a state."""
    if any(hasattr(s, "shape") and isinstance(recorder.value(s), Signal) for s in state):
        return error(
            "EXPORT-OUTPUTS",
            "forward returns the signal of a second layer where it takes its state",
            why=f"it is called with what it returned beside its output, and step {t} fails",
            fix="return (y, state), and several outputs as ((y, w), state)",
        )
    return error(
        "EXPORT-STEPS",
        f"step {t} fails: {e.findings[0].what.rpartition(': ')[2]}",
        why="it is called with what it returned beside its output in the step before",
        fix="give it the form forward(x, state=None) -> (y, state)",
    )


def _returned(recorder: Recorder, run: Run, value: Any, takes: int) -> None:
    """Read what forward returned: its outputs by name, and states that are left out."""
    outputs: dict[str, Value] = {}
    values: dict[str, Any] = {}
    items = list(_items(value, takes))
    if not items:
        raise InputError(_no_output(value))
    for n, (name, tensor) in enumerate(items):
        known = recorder.value(tensor)
        if isinstance(known, Signal | OverTime) or n == 0:
            outputs[name], values[name] = known, tensor
        elif isinstance(known, State):
            run.beside.append(known.call)
    if len(outputs) == 1:
        outputs, values = ({"output": v} for v in (*outputs.values(), *values.values()))
    run.returned.append(outputs)
    run.given.append(values)


def _items(value: Any, takes: int) -> Iterator[tuple[str, Any]]:
    """Yield the tensors that forward returned as outputs, without the states it takes back."""
    if isinstance(value, tuple | list) and value:
        head, *more = value
        more = more[takes:]
        if isinstance(head, tuple | list | dict):
            yield from _named(head)
            return
        value = [head, *more]
        yield from _named(value)
        return
    yield from _named(value if isinstance(value, dict) else [value])


def _named(value: Any) -> Iterator[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in pairs:
        item = first(item) if isinstance(value, dict) else item
        if hasattr(item, "untyped_storage"):
            yield (str(name) if isinstance(value, dict) else f"output_{name}"), item


def _no_output(value: Any) -> Any:
    return error(
        "EXPORT-OUTPUTS",
        f"forward returns a {type(value).__name__}, not a tensor",
        fix="return y, (y, state), or several outputs as ((y, w), state) or a dict",
    )


# --- the form ---------------------------------------------------------------------------


def forms(module: Any, probe: Run | None) -> Sequence[Form]:
    """Return the forms to try, the likeliest first, by what one call on one frame did."""
    labels = [f.time(m) for m in members.modules(module) if (f := framework_of(m)) is not None]
    hinted = [tuple(x) for x in dict.fromkeys(labels) if x is not None]
    likely = [("B", "T")] if probe is not None and probe.indexed == 1 else []
    timed: list[Form] = list(dict.fromkeys([*hinted, *likely, *TIMED]))
    if probe is None:
        return timed
    if any(len(call.inputs) > 1 for call in probe.calls):  # it repeats its frame over time
        return ["loop", *timed, "steps"]
    faults = {f.code for call in probe.calls for f in call.faults}
    if "EXPORT-TIME" in faults or probe.indexed is not None:
        return [*timed, "steps"]
    if hinted:
        return ["loop", *timed, "steps"]
    calls = Counter(id(c.module) for c in probe.calls if framework_of(c.module) is not None)
    often = max(calls.values(), default=0)
    return ["steps"] if often < 2 else ["steps", "loop"] if often < 3 else ["loop", "steps"]
