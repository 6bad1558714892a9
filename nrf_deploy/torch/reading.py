"""The layers of a run as nodes: each is read once, and what cannot be read is named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, NrfError, TargetError, error, info
from nrf_deploy.ir.network import Delay, Population, gives_values

from .arrays import Arrays
from .called import Names, alive, terms
from .connections import connection, is_layer
from .delay import delay, is_delay
from .frameworks import Call, Framework, Piece, framework_of
from .layers import no_signal
from .places import Folded, Place
from .runs import Run
from .values import INPUT, Made, OverTime, Signal


class Reader:
    """Reads each layer that the output needs, once."""

    def __init__(self, run: Run, option: float | None):
        self.run, self.arrays = run, Arrays()
        living = alive(run)
        self.living = [(n, c) for n, c in enumerate(run.calls) if n in living]
        self.layers = {c.identity: c for _, c in reversed(self.living)}
        self.layers = {c.identity: self.layers[c.identity] for _, c in self.living}
        names = Names()
        self.names = {what: names.name(c) for what, c in self.layers.items()}
        self.dt, self.time_faults, self.timed, self.said = self._time_step(option)
        self.pieces: dict[Hashable, Piece] = {}
        self.broken: dict[Hashable, list[Finding]] = {}
        self.rectified: set[Hashable] = set()
        relus = [what for what, call in self.layers.items() if is_relu(call.module)]
        for what in sorted(self.layers, key=relus.__contains__):
            call = self.layers[what]
            if call.module is None or call.faults:
                continue
            if what in relus and (before := self._alone_before(what)) is not None:
                self.rectified.add(before)
                self.pieces[what] = Piece()
                continue
            try:
                self.pieces[what] = self._piece(call, self.names[what])
            except NrfError as e:
                self.broken[what] = list(e.findings)

    def _alone_before(self, what: Hashable) -> Hashable | None:
        """Return the neurons whose value goes into this ReLU only; None for another input."""
        calls = self.run.calls
        inputs = [step for _, c in self.living if c.identity == what for step in c.inputs]
        before = {calls[step[0].call].identity for step in inputs if len(step) == 1}
        if not all(len(step) == 1 and step[0].call != INPUT for step in inputs) or len(before) != 1:
            return None
        uses = Counter(t for _, c in self.living for step in c.inputs for t in step)
        uses.update(
            t for returned in self.run.returned for v in returned.values() for t in terms(v)
        )
        (one,) = before
        piece = self.pieces.get(one, Piece())
        isolated = all(uses[step[0]] == 1 for step in inputs)
        return one if isolated and piece.nodes and gives_values(piece.nodes[-1]) else None

    def _call(self, call: Made, name: str) -> Call:
        own = call.in_model
        framework = framework_of(call.module)
        layer = call.module if framework is None else framework.plain(call.module)
        return Call(name, layer, (), call.input_shape, call.shape, (), False, own, self.arrays)

    def _piece(self, call: Made, name: str) -> Piece:
        seen = self._call(call, name)
        if is_delay(call.module):
            return Piece((delay(seen, self.dt),))
        framework = framework_of(call.module)
        if framework is not None and not is_layer(seen.module):
            piece = framework.read(seen, self.dt)
        else:
            piece = Piece((connection(seen, self.arrays),))
        if call.whole and _keeps_state(piece):
            raise TargetError(_whole(name))
        if call.spread:
            raise TargetError(_spread(name))
        return piece

    def stateful(self, call: Made) -> bool:
        piece = self.pieces.get(call.identity)
        return piece is not None and _keeps_state(piece)

    def passes(self, call: Made) -> bool:
        piece = self.pieces.get(call.identity)
        return piece is not None and not piece.nodes

    def faults(self) -> Iterator[Finding]:
        """Yield every reason why a layer cannot be exported, in the order of the calls."""
        seen: set[Any] = set()
        for _, call in self.living:
            name = self.names[call.identity]
            for fault in (*call.faults, *self.broken.get(call.identity, ())):
                named = replace(fault, layer=fault.layer or name)
                if (named.code, named.layer) not in seen:
                    seen.add((named.code, named.layer))
                    yield named
            if "/" in name and name not in seen:
                seen.add(name)
                yield _name_fault(name)
        for turn, returned in enumerate(self.run.returned):
            for name, value in returned.items():
                if not isinstance(value, Signal | OverTime) and turn < 2 and name not in seen:
                    seen.add(name)
                    yield replace(no_signal(value), layer=name)

    def _time_step(self, option: float | None) -> tuple[float, list[Finding], bool, list[Finding]]:
        """Return the dt that all layers have; NaN and the reason if they have none in common."""
        steps = {}
        counts: list[Framework] = []
        for what, call in self.layers.items():
            framework = framework_of(call.module)
            if framework is None:
                continue
            if (dt := framework.dt(call.module)) is not None:
                steps[self.names[what]] = float(dt)
            elif framework.counts and framework not in counts:
                counts.append(framework)
        values = sorted({*steps.values(), *([] if option is None else [option])})
        notes = []
        if not values and counts:
            values = [1.0]
            notes = [_counted(counts)]
        if len(values) == 1 and math.isfinite(values[0]) and values[0] > 0:
            return values[0], [], bool(steps), notes
        return values[0] if values else math.nan, [_no_dt(values, steps, option)], bool(steps), []

    def named(self, folded: Folded) -> tuple[dict[Place, Piece], dict[Place, Call]]:
        """Return the nodes of each layer under its own name."""
        pieces, calls = {}, {}
        for place, site in folded.sites.items():
            what = place[0]
            if not self.pieces[what].nodes:
                continue
            same = site.name == self.names[what]
            pieces[place] = self.pieces[what] if same else self._piece(site.first, site.name)
            calls[place] = self._call(site.first, site.name)
        return pieces, calls

    def notes(self, folded: Folded) -> Iterator[Finding]:
        """Yield notes on the time step, on numbers, and on what is left to the host."""
        yield from self.said
        for name, function in folded.over_time.items():
            yield info(
                "EXPORT-HOST",
                f"{name!r} is the output of each step; its {function} is left to the host",
            )
        for name in dict.fromkeys(self.run.calls[n].name for n in self.run.beside):
            yield _beside(name)
        for what, call in self.layers.items():
            framework = framework_of(call.module)
            if framework is not None:
                yield from framework.doubts(self._call(call, self.names[what]), self.dt)


def _keeps_state(piece: Piece) -> bool:
    return any(type(n) in (Population, Delay) for n in piece.nodes)


def is_relu(module: Any) -> bool:
    import torch

    return type(module) is torch.nn.ReLU


# --- findings ---------------------------------------------------------------------------


def _name_fault(name: str) -> Finding:
    return error(
        "EXPORT-NAME",
        "its name contains a '/'",
        layer=name,
        why="in a .nir file it would be a folder",
        fix="rename the module",
    )


def _whole(name: str) -> Finding:
    return error(
        "EXPORT-BATCH",
        "it takes all steps in one call, as if they were a batch",
        layer=name,
        why="it makes one step in a call",
        fix="call it step by step, or use the layer over time of its framework",
    )


def _spread(name: str) -> Finding:
    return error(
        "EXPORT-SHAPE",
        "its output has another batch or another time than its input",
        layer=name,
        fix="give its parameters shapes without a batch, and keep time and batch as they are",
    )


def _counted(frameworks: Sequence[Framework]) -> Finding:
    names = " and ".join(f.name for f in frameworks)
    return info(
        "EXPORT-DT-STEPS",
        f"dt is 1: {names} counts in steps",
        fix="give --dt in seconds where a step has a length",
    )


def _no_dt(values: Sequence[float], steps: Mapping[str, float], option: float | None) -> Finding:
    if not values:
        return error(
            "EXPORT-DT-MISSING",
            "no neuron has a time step, and none was given",
            fix="give --dt in seconds (or --dt 1 where the model counts in steps)",
        )
    if len(values) == 1:
        fix = "give the cells, or --dt, a positive number"
        return error("EXPORT-DT", f"dt is {values[0]}", fix=fix)
    texts = [f"{name!r} has {dt:g}" for name, dt in steps.items()]
    return error(
        "EXPORT-DT-DIFFERS",
        "; ".join(texts if option is None else [*texts, f"given is {option:g}"]),
        why="the whole network has one time step",
        fix="leave --dt out, and give all cells the same dt",
    )


def _beside(layer: str) -> Finding:
    return info(
        "EXPORT-BESIDE",
        "its potential is returned beside the output; only the output is exported",
        layer=layer,
    )
