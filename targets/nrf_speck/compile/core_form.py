"""The form of a lowered program of this family, and its reading as cores.

A program is a graph of cores, written in the toolchain's own nouns:

    Port (c, y, x)          events from the camera or the host; a value of n means n events
    Conv                    the one convolution of a core: int8 weights (f, c, k, k), square,
                            groups 1, dilation 1, equal padding on both sides, delay 0
    Population "iaf"        its neurons. params, each an int, or an array that broadcasts
                            over the shape with the features first:
        threshold_high      int; spike where v >= threshold_high
        threshold_low       int; v stays at or above it
        bias                added at each tick of the leak clock (the leak is on where any
                            is not 0); one number a feature
        v0                  the membrane before the first event
        returns_to_zero     0: a spike subtracts threshold_high once; 1: v becomes 0
    Population "merge"      no core: what comes over the wires into one, pooled and side by
                            side. Its shape is the input (c, y, x) of the core behind it.
    Sparse into a "merge"   one wire: weights 1; params say what it is:
        pooling             1, 2, 4 or 8: (y, x) arrives at (y // pooling, x // pooling)
        shift               the feature that the source's feature 0 arrives at

A Conv whose source is a port or an "iaf" is a wire of its own with pooling 1 and shift 0.
Each "iaf" has one Conv, and each "merge" feeds one. A population's shape is the model's:
(f,) stands for (f, 1, 1), and a layer is in the program's order behind all that feed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.network import Shape
from nrf_deploy.ir.program import Conv, Population, Program, Sparse, Synapses

from ..arithmetic.models import is_core, joins_wires


@dataclass(frozen=True)
class Wire:
    """From a port or a layer into a layer."""

    source: str
    target: str
    pooling: int = 1
    shift: int = 0


@dataclass(frozen=True, eq=False)
class Layer:
    """The content of one core."""

    population: Population
    conv: Conv
    wires: tuple[Wire, ...]

    @property
    def name(self) -> str:
        return self.population.name

    @property
    def input_shape(self) -> Shape:
        return self.conv.input_shape

    @property
    def output_shape(self) -> Shape:
        return self.conv.shape


def faults(program: Program) -> Iterator[Finding]:
    """Yield an error for each part of a sound program that does not have this form."""
    merges = {p.name for p in program.populations if joins_wires(p)}
    shapes = {p.name: p.shape for p in program.ports}
    shapes |= {p.name: p.shape for p in program.populations}
    for p in program.populations:
        into, away = program.into(p.name), program.out_of(p.name)
        if is_core(p) and not (len(into) == 1 and _plain(into[0])):
            yield _unlike("its neurons do not have exactly one square Conv of their own", p.name)
        if p.name in merges and not (len(away) == 1 and isinstance(away[0], Conv)):
            yield _unlike("it does not feed exactly one Conv", p.name)
        for s in into if p.name in merges else ():
            if s.source in merges or not _is_wire(s, shapes[s.source], p.shape):
                yield _unlike(f"{s.name!r} is not a wire as its pooling and shift say", p.name)


def _unlike(what: str, layer: str) -> Finding:
    return error(
        "SPECK-FORM",
        what,
        layer=layer,
        why="a core holds one convolution and its neurons, and wires lead from core to core",
        fix="run it on the emulator (nrf-deploy run), or compile a model",
    )


def _plain(s: Synapses) -> bool:
    return (
        isinstance(s, Conv)
        and len(s.targets) == 1
        and s.groups == 1
        and s.dilation == (1, 1)
        and s.weight.shape[2] == s.weight.shape[3]
        and all(before == after for before, after in s.padding)
    )


def _is_wire(s: Synapses, source: Shape, merge: Shape) -> bool:
    """Return whether the list leads where the pooling and the shift of its core's wire lead.

    What a pooling leads beyond the edge of the merge is lost on the chip, and is not in the list.
    """
    if not isinstance(s, Sparse) or len(s.targets) != 1 or len(merge) != 3:
        return False
    pooling, shift = int(s.params["pooling"]), int(s.params["shift"])
    f, y, x = np.indices((*source, 1, 1)[:3]).reshape(3, -1)
    there = np.stack([f + shift, y // max(pooling, 1), x // max(pooling, 1)])
    inside = np.all(there < np.reshape(merge, (3, 1)), axis=0)
    if pooling not in (1, 2, 4, 8) or there[0].max() >= merge[0] or np.any(s.weight != 1):
        return False
    order = np.argsort(s.column, kind="stable")
    return np.array_equal(s.column[order], np.flatnonzero(inside)) and np.array_equal(
        s.row[order], np.ravel_multi_index(tuple(there[:, inside]), merge)
    )


def cores(program: Program) -> tuple[Layer, ...]:
    """Return the layers of a program that has this form, in its order."""
    return tuple(
        Layer(p, conv, tuple(_wires(program, conv, p.name)))
        for p in program.populations
        if is_core(p)
        for conv in program.into(p.name)
        if isinstance(conv, Conv)
    )


def _wires(program: Program, conv: Conv, target: str) -> Iterator[Wire]:
    merges = {p.name for p in program.populations if joins_wires(p)}
    if conv.source not in merges:
        yield Wire(conv.source, target)
        return
    for s in program.into(conv.source):
        if isinstance(s, Sparse):
            yield Wire(s.source, target, int(s.params["pooling"]), int(s.params["shift"]))
