"""Programs as plain arrays for the peers: potentials in 1/64 of a weight.

Only features that all peers support: one port, LIF neurons without a memory of their current,
hard reset, synapses with one step of delay and without a shift. Other programs are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import TargetError, error, refuse
from nrf_deploy.engines.emulator.layout import conv_lists
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Synapses
from nrf_deploy.testing.bench.case import Problem
from nrf_loihi.arithmetic.rules import LoihiArithmetic

UNIT = 6
"""Bits by which the chip shifts inputs and thresholds."""
LARGEST = 32_000_000
"""Largest number of synapses without sharing in a request."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """A population as plain arrays."""

    name: str
    shape: tuple[int, ...]
    vth: Array
    bias: Array
    keep: Array
    """The share of the potential that remains after a step, in units of 1/4096."""


def neurons(p: Population) -> Neurons:
    """Convert a population; each parameter has the shape () or one value per neuron."""
    params = {k: np.asarray(v, np.int64) for k, v in p.params.items()}
    mantissa = params.get("bias_mant", np.zeros((), np.int64))
    bias = mantissa << params.get("bias_exp", np.zeros((), np.int64))
    return Neurons(p.name, p.shape, params["vth"] << UNIT, bias, 4096 - params["dv"])


def faults(program: Program) -> Iterator[str]:
    if len(program.ports) != 1:
        yield "the program has several ports"
    for p in program.populations:
        if p.model != "lif" or np.any(np.asarray(p.params["du"]) != 4095):
            yield f"population {p.name!r} is not a LIF without a memory of its current"
    for s in program.synapses:
        if s.delay != 1 or (isinstance(s, Dense) and s.delays is not None):
            yield f"synapses {s.name!r} have a delay other than one step"
        if s.params.get("weight_exp", 0):
            yield f"the sums of synapses {s.name!r} are shifted"
        if not isinstance(s, Conv | Dense):
            yield f"synapses {s.name!r} are neither a convolution nor dense"


def demand(program: Program) -> None:
    refuse((error("BENCH-NOT-PLAIN", what) for what in faults(program)), TargetError)


def stored(s: Synapses) -> Array:
    return LoihiArithmetic().held(s)


def request(problem: Problem, record: bool, unrolled: bool) -> tuple[dict[str, Any], Any]:
    """Return (description, arrays); `unrolled`: convolutions as lists of single synapses."""
    program, recording = problem.program, problem.recording
    demand(program)
    arrays: dict[str, Array] = {
        "input/start": recording.start,
        "input/index": recording.index,
        "input/value": recording.value,
    }
    populations = []
    for p in map(neurons, program.populations):
        for name in ("vth", "bias", "keep"):
            whole = np.broadcast_to(getattr(p, name), p.shape)
            arrays[f"{p.name}/{name}"] = whole.ravel().astype(np.int32)
        populations.append({"name": p.name, "shape": p.shape, "size": math.prod(p.shape)})
    synapses = [_synapses(s, arrays, unrolled) for s in program.synapses]
    return {
        "steps": recording.steps,
        "record": record,
        "port": program.ports[0].name,
        "inputs": recording.size,
        "input_shape": program.ports[0].shape,
        "populations": populations,
        "synapses": synapses,
    }, arrays


def _synapses(s: Synapses, arrays: dict[str, Array], unrolled: bool) -> dict[str, Any]:
    weight = stored(s)
    description: dict[str, Any] = {
        "name": s.name,
        "kind": s.kind,
        "source": s.source,
        "targets": s.targets,
        "inputs": math.prod(s.input_shape),
        "outputs": math.prod(s.shape),
        "input_shape": s.input_shape,
    }
    if isinstance(s, Conv):
        description |= {"stride": s.stride, "padding": s.padding, "groups": s.groups}
    if not unrolled:
        arrays[s.name + "/weight"] = (weight << UNIT).astype(np.int32)
        return description
    if isinstance(s, Conv):
        row, column, value = conv_lists(s, weight)
    else:
        row, column = np.nonzero(np.ones_like(weight))
        value = weight.ravel()
    if len(value) > LARGEST:
        raise TargetError(
            error("BENCH-TOO-LARGE", f"{s.name!r} has {len(value):,} synapses without sharing")
        )
    parts = {"row": row, "column": column, "weight": value << UNIT}
    arrays |= {f"{s.name}/{part}": a.astype(np.int32) for part, a in parts.items()}
    return description
