"""Comparison of several steps of a module with the layers that were exported from it.

torch.fx sees the first step only, where a state is None. So the module runs on, and in every
step each of its layers must be called as in the first, take the output of the layers before it,
and give the output of its counterpart for that input: of the float reference for connections (up
to the order of float32 sums) and, spike by spike, for neurons. Finally the whole network runs in
the reference on the same input. Each layer gets the module's input, so rounding does not grow.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, warning
from nrf_deploy.engines.reference import run
from nrf_deploy.engines.reference.nodes import runner
from nrf_deploy.ir.delays import delay_steps
from nrf_deploy.ir.network import Array, Delay, Network, Node, Output, Population
from nrf_deploy.ir.recording import Recording

from .follow import evaluation, first, first_line
from .trace import INPUT, Call, Step

STEPS = 10
"""Steps of a comparison, without those of the delays."""
BEHIND = 2
"""Last steps whose spikes do not count, because their effect comes after the run."""
SEED = 0
SCALES = (1.0, 4.0, 16.0, 64.0, 256.0)
"""Sizes of the input; the first with which every spiking layer fires is used."""
SLACK = 1e-4
"""Tolerance, relative to the largest value of a layer: float32 sums in another order."""
WHOLE = 1e-2
"""Tolerated share of the events of a run: a spike moved by rounding moves later ones."""
RECURRENT = (
    "export follows the first step, and a chip does the same in every step; recurrent connections "
    "in torch cannot be exported"
)


@dataclass(frozen=True, eq=False)
class Event:
    """One call of a layer: its input and output, without the batch."""

    module: Any
    name: str
    taken: Array
    given: Array


def compared(
    module: Any, sample: Any, step: Step, nodes: Mapping[str, Node], network: Network
) -> list[Finding]:
    """Raise an InputError if the module differs from the network in a step.

    Returns a warning for each spiking layer that no input made fire.
    """
    import torch

    late = sum(int(delay_steps(n, network.dt).max()) for n in nodes.values() if type(n) is Delay)
    with evaluation(module), torch.no_grad(), _events(module) as seen:
        inputs, silent = _loudest(module, sample, step, nodes, seen, STEPS + late)
        outputs = _each_layer(module, inputs, step, nodes, network.dt, seen)
    _whole(network, inputs, outputs)
    return [_silent(name) for name in silent]


# --- the module at work -----------------------------------------------------------


@contextmanager
def _events(module: Any) -> Iterator[list[Event]]:
    """Record every call of a layer in the list that is yielded."""
    seen: list[Event] = []
    hooks = []

    def watched(name: str) -> Any:
        def hook(layer: Any, taken: Any, output: Any) -> None:
            seen.append(Event(layer, name, _array(taken), _array(output)))

        return hook

    for name, layer in module.named_modules():
        if not any(True for _ in layer.children()):
            hooks.append(layer.register_forward_hook(watched(name)))
    try:
        yield seen
    finally:
        for handle in hooks:
            handle.remove()


def _array(value: Any) -> Array:
    head = first(value)
    return np.array(head.detach().cpu().numpy()[0]) if hasattr(head, "detach") else np.zeros(0)


def _run(module: Any, inputs: Sequence[Any], seen: list[Event]) -> Iterator[tuple[Array, Any]]:
    """Yield (output, calls) of each step; the module's states are passed back unchanged."""
    takes = len(inspect.signature(module.forward).parameters) - 1
    state: Sequence[Any] = ()
    for t, x in enumerate(inputs):
        seen.clear()
        try:
            value = module(x.clone(), *state)
        except Exception as e:  # the forward method can raise anything when it gets its state back
            raise InputError(
                _differs(
                    f"step {t} fails: {first_line(e)}",
                    why="it is called with what it returned beside its output in the step before",
                    fix="give it the form forward(x, state=None) -> (y, state)",
                )
            ) from e
        state = tuple(value[1 : 1 + takes]) if isinstance(value, tuple | list) else ()
        yield _array(value), tuple(seen)


def _loudest(
    module: Any,
    sample: Any,
    step: Step,
    nodes: Mapping[str, Node],
    seen: list[Event],
    steps: int,
) -> tuple[list[Any], list[str]]:
    """Return the first input on which all spiking layers fire, or most; and the other names."""
    spiking = {
        id(c.module): c.name
        for c in step.calls
        if type(n := nodes[c.name]) is Population and n.spikes
    }
    best: tuple[list[Any], list[str]] | None = None
    for scale in SCALES:
        for kind in ("events", "noise"):
            inputs = _drawn(sample, steps, scale, kind)
            quiet = dict(spiking)
            for t, (_, events) in enumerate(_run(module, inputs, seen)):
                for event in events:
                    if t < steps - BEHIND and event.given.any():
                        quiet.pop(id(event.module), None)
            if best is None or len(quiet) < len(best[1]):
                best = inputs, sorted(quiet.values())
            if not quiet:
                return best
    assert best is not None
    return best


def _drawn(sample: Any, steps: int, scale: float, kind: str) -> list[Any]:
    import torch

    rng = np.random.default_rng(SEED)
    shape = (steps, *sample.shape)
    drawn = (rng.random(shape) < 0.3) if kind == "events" else rng.normal(size=shape)
    frames = torch.from_numpy((scale * drawn).astype(np.float32))
    return list(frames.to(sample.device, sample.dtype))


# --- layer by layer ----------------------------------------------------------------


def _each_layer(
    module: Any,
    inputs: Sequence[Any],
    step: Step,
    nodes: Mapping[str, Node],
    dt: float,
    seen: list[Event],
) -> list[Array]:
    work = {name: runner(node, dt, "euler", False) for name, node in nodes.items()}
    outputs, usual = [], None
    for t, (output, events) in enumerate(_run(module, inputs, seen)):
        names = [e.name for e in events]
        usual = names if usual is None else usual
        if names != usual:
            raise InputError(_other_calls(t, usual, names))
        calls = iter(events)
        signals = {INPUT: _array(inputs[t])}
        for call in step.calls:
            taken = _sum(signals, call.sources)
            event = _next(calls, call)
            if event is not None and not _close(taken, event.taken):
                raise InputError(
                    _differs(
                        f"in step {t} its input is not the output of the layers before it",
                        layer=call.name,
                    )
                )
            taken = taken if event is None else event.taken
            signals[call.name] = theirs = _output(call, taken, event)
            ours = work[call.name](taken[None].astype(np.float32))[0]
            if not _agree(nodes[call.name], ours, theirs):
                raise InputError(_other_value(t, call.name))
        if not _close(_sum(signals, step.output), output):
            raise InputError(_differs(f"in step {t} the output is not what its last layer gives"))
        outputs.append(output)
    return outputs


def _next(events: Iterator[Event], call: Call) -> Event | None:
    """Return the event of this call; None for a function of torch, which has no event."""
    ahead = (e for e in events if e.module is call.module)
    return next(ahead, None) if call.in_model else None


def _output(call: Call, taken: Array, event: Event | None) -> Array:
    import torch

    if event is None:
        return _array(call.module(torch.from_numpy(taken)[None]))
    return np.maximum(event.given, 0) if call.rectified else event.given


def _sum(signals: Mapping[str, Array], names: Sequence[str]) -> Array:
    total = signals[names[0]]
    for name in names[1:]:
        total = total + signals[name]
    return total


def _agree(node: Node, ours: Array, theirs: Array) -> bool:
    if type(node) is Population and node.spikes:
        return np.array_equal(ours, theirs)
    return _close(ours, theirs)


def _close(ours: Array, theirs: Array) -> bool:
    if ours.shape != theirs.shape:
        return False
    largest = max(float(np.abs(a).max(initial=0)) for a in (ours, theirs))
    return bool(np.all(np.abs(ours - theirs) <= SLACK * largest + 1e-6))


# --- the whole network ---------------------------------------------------------------


def _whole(network: Network, inputs: Sequence[Any], outputs: Sequence[Array]) -> None:
    recording = Recording.from_dense(np.stack([_array(x) for x in inputs]), network.dt)
    (name,) = (n.name for n in network.of(Output))
    ours = run(network, recording, record=[name]).outputs[name].dense()
    wanted = np.stack(outputs)
    largest = max(float(np.abs(a).max(initial=0)) for a in (ours, wanted))
    wrong = np.abs(ours - wanted) > SLACK * largest + 1e-6
    if wrong.sum() > WHOLE * np.count_nonzero(wanted):
        t = int(np.argwhere(wrong)[0][0])
        raise InputError(
            _differs(
                f"the graph gives another output than the module from step {t} on "
                f"({int(wrong.sum())} of {np.count_nonzero(wanted)} values)"
            )
        )


# --- findings ---------------------------------------------------------------------------


def _differs(what: str, layer: str | None = None, why: str = RECURRENT, fix: str = "") -> Finding:
    fix = fix or "do the same in every step, without feedback through a state"
    return error("EXPORT-STEPS", what, layer=layer, why=why, fix=fix)


def _other_calls(t: int, usual: Sequence[str], names: Sequence[str]) -> Finding:
    more, less = (
        [n for n in dict.fromkeys(a) if a.count(n) > b.count(n)]
        for a, b in ((list(names), list(usual)), (list(usual), list(names)))
    )
    texts = [f"it also calls {', '.join(map(repr, more))}"] if more else []
    texts += [f"it does not call {', '.join(map(repr, less))}"] if less else []
    what = " and ".join(texts) or "it calls its layers in another order"
    layer = next(iter(more + less), None)
    return _differs(f"in step {t} {what}, unlike in the first step", layer=layer)


def _other_value(t: int, layer: str) -> Finding:
    return _differs(
        f"in step {t} it gives another output than the exported layer for the same input",
        layer=layer,
        why="the exported layer keeps its own state from step to step; the module may not pass "
        "the state on, or may change it",
        fix="pass each cell the state that it returned, unchanged (norse.torch.SequentialState "
        "does so)",
    )


def _silent(layer: str) -> Finding:
    return warning(
        "EXPORT-SILENT",
        "it never fired while module and graph were compared",
        layer=layer,
        why=f"inputs drawn up to a size of {SCALES[-1]:g} did not lead to a spike",
        fix="check its threshold and the weights that lead to it",
    )
