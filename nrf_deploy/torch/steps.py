"""Comparison of several steps of a module with the layers that were exported from it.

The module runs on an input that makes its neurons fire, and in every step each of its layers must
be called as in the run that was followed, take the sum of the layers before it, and give the
output of its counterpart for that input: of the float reference for connections (up to the order
of float32 sums) and, spike by spike, for neurons. Finally the whole network runs in the reference
on the same input. Each layer gets the module's input, so rounding does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, warning
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.engines.reference.nodes import Neurons, runner
from nrf_deploy.ir.delays import delay_steps
from nrf_deploy.ir.network import Array, Delay, Input, Network, Output, Population, Shape
from nrf_deploy.ir.recording import Recording

from .frameworks import Piece
from .graph import Graph
from .layers import by_step
from .places import Place, Site
from .record import Keep
from .runs import RECURRENT, Form, Run, run
from .values import INPUT, Made, OverTime, Term

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


@dataclass(eq=False)
class Module:
    """A module, and how it is run: its input shape, a parameter for the type, and its form."""

    module: Any
    shape: Shape
    like: Any
    form: Form

    def run(self, inputs: Array, keep: Keep = "all") -> Run:
        """Run the module over inputs (steps, *shape)."""
        import torch

        frames = torch.from_numpy(inputs.astype(np.float32))
        if self.like is not None:
            frames = frames.to(self.like.device, self.like.dtype)
        return run(self.module, frames, self.form, keep)

    def drawn(self, steps: int, scale: float, kind: str) -> Array:
        """Return a reproducible input, (steps, *shape): events, noise, or noise in quarters."""
        rng = np.random.default_rng(SEED)
        shape = (1 if self.form == "loop" else steps, *self.shape)
        values = (rng.random(shape) < 0.3) if kind == "events" else rng.normal(size=shape)
        values = np.rint(4 * values) / 4 if kind == "quarters" else values
        return np.asarray(scale * values, np.float32)


def compared(module: Module, graph: Graph, network: Network) -> list[Finding]:
    """Raise an InputError if the module differs from the network in a step.

    Returns a warning for each spiking layer that no input made fire.
    """
    late = sum(
        int(delay_steps(n, network.dt).max()) for n in graph.network.of(Delay) if type(n) is Delay
    )
    inputs, seen, silent = _loudest(module, graph, STEPS + late)
    sites = same_layers(graph, seen)
    for place, site in sites.items():
        if place in graph.pieces:
            _each_call(graph, place, site, seen)
    _sums(seen, inputs)
    _whole(network, inputs, outputs(graph, seen, inputs), graph.folded.steps)
    return [_silent(name) for name in silent]


def spiking(piece: Piece) -> bool:
    return any(type(n) is Population and n.spikes and n.name == piece.last for n in piece.nodes)


def same_layers(graph: Graph, seen: Run) -> dict[Place, Site]:
    """Return the layers of another run; refuse it if they hang together differently."""
    folded = graph.refold(seen)
    for place, site in graph.folded.sites.items():
        if place not in folded.sites or folded.sites[place].links != site.links:
            raise InputError(_differs("with another input it takes other layers", site.name))
    return folded.sites


def _loudest(module: Module, graph: Graph, steps: int) -> tuple[Array, Run, list[str]]:
    """Return the first input on which all spiking layers fire, or most; and the silent layers."""
    names = {p: piece.last for p, piece in graph.pieces.items() if spiking(piece)}
    best: tuple[Array, Run, list[str]] | None = None
    for scale in SCALES:
        for kind in ("events", "noise"):
            inputs = module.drawn(steps, scale, kind)
            seen = module.run(inputs)
            sites = same_layers(graph, seen)
            quiet = [name for p, name in names.items() if not _fires(sites[p], seen)]
            if best is None or len(quiet) < len(best[2]):
                best = inputs, seen, sorted(quiet)
            if not quiet:
                return best
    assert best is not None
    return best


def _fires(site: Site, seen: Run) -> bool:
    last = max(site.instants) + 1 - BEHIND
    return any(
        bool(np.any(seen.calls[number].given[at]))  # type: ignore[index]
        for step, (number, at) in site.instants.items()
        if step < last
    )


# --- layer by layer ----------------------------------------------------------------


def _each_call(graph: Graph, place: Place, site: Site, seen: Run) -> None:
    """Run a layer in the reference on what the module's layer took, and compare what it gave."""
    piece = graph.pieces[place]
    ours, potential = counterpart(piece, graph.network.dt)
    exact = spiking(piece) and len(piece.nodes) == 1
    wrong = total = 0
    for step in sorted(site.instants):
        number, at = site.instants[step]
        call = seen.calls[number]
        assert call.taken is not None
        assert call.given is not None
        theirs = np.maximum(call.given[at], 0) if place in graph.rectified else call.given[at]
        mine = ours(call.taken[at].astype(np.float32))
        shown = call.shown if len(call.inputs) == 1 else None
        if shown is not None and potential is not None and not _close(potential(), shown[0]):
            raise InputError(_other_value(max(step, 0), site.name, "potential"))
        if exact or not spiking(piece):
            if not (np.array_equal(mine, theirs) if exact else _close(mine, theirs)):
                raise InputError(_other_value(max(step, 0), site.name))
        else:
            wrong += int(np.count_nonzero(mine != theirs))
            total += int(np.count_nonzero(theirs))
            if wrong > WHOLE * max(total, 1 / WHOLE):
                raise InputError(_other_value(max(step, 0), site.name))


def counterpart(piece: Piece, dt: float) -> tuple[Any, Any]:
    """Return the nodes of a layer as a function of one frame, and one for their potential.

    The second is None where the layer is more than one population.
    """
    if len(piece.nodes) > 1 or piece.edges:
        return _Small(piece, dt), None
    node = runner(piece.nodes[0], dt, "euler", False)
    potential = (lambda: node.state["v"]) if isinstance(node, Neurons) else None
    return (lambda x: node(x[None])[0]), potential


class _Small:
    """The nodes of a layer as a network of their own, which runs again from the start each time."""

    def __init__(self, piece: Piece, dt: float):
        by_name = {n.name: n for n in piece.nodes}
        entry, last = by_name[piece.first], by_name[piece.last]
        self.network = Network(
            (
                Input(name="<in>", port_shape=entry.input_shape),
                *piece.nodes,
                Output(name="<out>", port_shape=last.shape),
            ),
            (("<in>", entry.name), *piece.edges, (last.name, "<out>")),
            dt,
            loop_start=piece.loop_start or "bias",
        )
        self.taken: list[Array] = []

    def __call__(self, x: Array) -> Array:
        self.taken.append(x)
        recording = Recording.from_dense(np.stack(self.taken), self.network.dt)
        trace = run_reference(self.network, recording, record=["<out>"])
        return trace.outputs["<out>"].frame(len(self.taken) - 1)


# --- sums and outputs ----------------------------------------------------------------


def _value(seen: Run, inputs: Array, term: Term) -> Array:
    if term.call == INPUT:
        return np.asarray(inputs[min(term.at, len(inputs) - 1)])
    output = seen.calls[term.call].given
    assert output is not None
    return np.asarray(output[term.at])


def _sum(seen: Run, inputs: Array, terms: tuple[Term, ...], shape: Shape) -> Array:
    total = np.zeros(shape, np.float32)
    for term in terms:
        total = total + _value(seen, inputs, term)
    return total


def _sums(seen: Run, inputs: Array) -> None:
    """Refuse a layer whose input is not the sum that was recorded."""
    for call in seen.calls:
        if call.module is None or call.taken is None:
            continue
        for at, terms in enumerate(call.inputs):
            if not _close(_sum(seen, inputs, terms, call.input_shape), call.taken[at]):
                raise InputError(_other_input(call))


def outputs(graph: Graph, seen: Run, inputs: Array) -> dict[str, dict[int, Array]]:
    """Return the module's outputs by name and step, before functions over all steps."""
    wanted: dict[str, dict[int, Array]] = {}
    last = (graph.folded.steps if seen.form == "loop" else len(inputs)) - 1
    totals = graph.refold(seen).totals
    for turn, returned in enumerate(seen.returned):
        for name, value in returned.items():
            signal: Any = value.signal if isinstance(value, OverTime) else value
            node = graph.outputs[name]
            shape = graph.network[node].shape
            tensor = None
            if not isinstance(value, OverTime):
                tensor = by_step(seen.given[turn][name], signal.axes)
            for at, terms in enumerate(signal.steps):
                step = turn if seen.form == "steps" else at
                step = last if seen.form != "steps" and len(signal.steps) == 1 else step
                total = _sum(seen, inputs, terms, shape)
                if tensor is not None and not _close(total, tensor[at]):
                    what = f"in step {step} the output is not what its last layer gives"
                    raise InputError(_differs(what))
                wanted.setdefault(node, {})[step] = total
            for step, terms in enumerate(totals.get(name, ())):
                wanted[node][step] = _sum(seen, inputs, terms, shape)
    return wanted


def _whole(
    network: Network, inputs: Array, wanted: Mapping[str, Mapping[int, Array]], steps: int
) -> None:
    frames = np.repeat(inputs, steps, axis=0) if len(inputs) == 1 else inputs
    recording = Recording.from_dense(frames, network.dt)
    trace = run_reference(network, recording, record=list(wanted))
    for name, by_number in wanted.items():
        numbers = sorted(by_number)
        theirs = np.stack([by_number[t] for t in numbers])
        ours = trace.outputs[name].dense()[numbers]
        largest = max(float(np.abs(a).max(initial=0)) for a in (ours, theirs))
        wrong = np.abs(ours - theirs) > SLACK * largest + 1e-6
        if wrong.sum() > WHOLE * np.count_nonzero(theirs):
            t = numbers[int(np.argwhere(wrong)[0][0])]
            raise InputError(
                _differs(
                    f"the graph gives another output than the module from step {t} on "
                    f"({int(wrong.sum())} of {np.count_nonzero(theirs)} values)"
                )
            )


def _close(ours: Array, theirs: Array) -> bool:
    if ours.shape != theirs.shape:
        return False
    largest = max(float(np.abs(a).max(initial=0)) for a in (ours, theirs))
    return bool(np.all(np.abs(ours - theirs) <= SLACK * largest + 1e-6))


# --- findings ---------------------------------------------------------------------------


def _differs(what: str, layer: str | None = None, why: str = RECURRENT, fix: str = "") -> Finding:
    fix = fix or "do the same in every step, for every input"
    return error("EXPORT-STEPS", what, layer=layer, why=why, fix=fix)


def _other_input(call: Made) -> Finding:
    return _differs(
        f"its input is not the output of the layers before it ({call.where})",
        layer=call.name,
        why="a tensor was changed where the change cannot be followed",
        fix="change signals only by functions of torch, and not in memory that they share",
    )


def _other_value(t: int, layer: str, what: str = "output") -> Finding:
    return _differs(
        f"in step {t} it gives another {what} than the exported layer for the same input",
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
