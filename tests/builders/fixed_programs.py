"""Random programs of the arithmetic "fixed" for hypothesis, on random machines: every neuron
model and kind of synapse, branches, loops, and values large enough to wrap and to saturate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nrf_deploy.engines.emulator import golden
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace
from nrf_emulator.arithmetic.additions import DECAY
from nrf_emulator.arithmetic.models import MODELS, words
from nrf_emulator.arithmetic.rules import FixedArithmetic

DRAWN = (
    *("li", "cuba_li", "pass", "lif", "cuba_lif", "lif_refractory", "cuba_lif_rising"),
    *("cuba_lif_refractory_rising", "lif_other_resets_floor", "cuba_lif_many"),
    "cuba_lif_refractory_rising_other_resets_many_floor",
)
"""Models that are drawn: each combination has its own kernel, which takes a second to compile."""


@dataclass(frozen=True, eq=False)
class Case:
    program: Program
    recording: Recording

    def __repr__(self) -> str:
        nouns = (*self.program.ports, *self.program.populations, *self.program.synapses)
        return "\n".join([*map(repr, nouns), f"input {self.recording.dense().tolist()}"])


def run_golden(case: Case) -> Trace:
    every = [p.name for p in case.program.populations]
    return golden.run(case.program, FixedArithmetic(), case.recording, states=every)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    port = Port(name="in", shape=draw(_shapes()), peak=draw(st.sampled_from([1, 100, 2**20])))
    populations: list[Population] = []
    synapses: list[Synapses] = []
    for i in range(draw(st.integers(1, 4))):
        source = draw(st.sampled_from([port, *populations]))
        shape = draw(_shapes())
        if len(source.shape) == 3 and draw(st.booleans()):
            link = _convolution(draw, rng, source, f"n{i}", delay=draw(st.integers(0, 2)))
            shape = link.shape
        else:
            link = _full(draw, rng, source, f"n{i}", shape, delay=draw(st.integers(0, 2)))
        populations.append(_population(draw, rng, f"n{i}", shape))
        synapses.append(link)
    for i in range(draw(st.integers(0, 2))):  # branches, joins and loops
        source = draw(st.sampled_from([port, *populations]))
        target = draw(st.sampled_from(populations))
        delay = draw(st.integers(1, 3))
        synapses.append(_full(draw, rng, source, target.name, target.shape, delay, f"extra{i}"))
    program = Program(
        arithmetic="fixed",
        ports=(port,),
        synapses=tuple(synapses),
        populations=tuple(populations),
        outputs=(populations[-1].name,),
    )
    assert list(program.faults()) == []
    steps = draw(st.integers(1, 16))
    there = rng.random((steps, *port.shape)) < rng.choice([0.1, 0.4, 1.0])
    there &= rng.random((steps, *[1] * len(port.shape))) < 0.8  # whole steps of silence
    values = rng.integers(-port.peak, port.peak + 1, there.shape)
    return Case(program, Recording.from_dense(np.where(there, values, 0)))


def _shapes() -> st.SearchStrategy[Shape]:
    small = st.integers(1, 5)
    return st.one_of(st.tuples(st.integers(1, 8)), st.tuples(st.integers(1, 4), small, small))


def _weights(draw: st.DrawFn, rng: np.random.Generator, size: Shape) -> Array:
    peak = draw(st.sampled_from([1, 127, 2**23 - 1]))
    return rng.integers(-peak, peak + 1, size)


def _ends(draw: st.DrawFn, source: Port | Population, target: str, delay: int) -> dict[str, Any]:
    params = {"graded": draw(st.integers(0, 1))} if draw(st.booleans()) else {}
    ends = {"source": source.name, "targets": (target,), "params": params, "delay": delay}
    return {"name": f"to {target}", **ends}


def _full(
    draw: st.DrawFn,
    rng: np.random.Generator,
    source: Port | Population,
    target: str,
    shape: Shape,
    delay: int,
    name: str | None = None,
) -> Synapses:
    ends = _ends(draw, source, target, delay) | {"source_shape": source.shape}
    ends |= {"target_shape": shape, **({"name": name} if name else {})}
    size = (math.prod(shape), math.prod(source.shape))
    weight = _weights(draw, rng, size)
    if draw(st.booleans()):
        row, column = np.nonzero(rng.random(size) < 0.4)
        return Sparse(weight=weight[row, column], row=row, column=column, **ends)
    delays = rng.integers(0, 4, size) if draw(st.integers(0, 3)) == 3 else None
    return Dense(weight=weight, delays=delays, **ends)


def _convolution(
    draw: st.DrawFn, rng: np.random.Generator, source: Port | Population, target: str, delay: int
) -> Conv:
    channels, *size = source.shape
    groups = draw(st.sampled_from([g for g in (1, 2, 3, 4) if channels % g == 0]))
    kernel = tuple(draw(st.integers(1, min(3, n + 2))) for n in size)
    weight = _weights(draw, rng, (groups * draw(st.integers(1, 2)), channels // groups, *kernel))
    return Conv(
        weight=weight,
        input_size=tuple(size),
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
        groups=groups,
        **_ends(draw, source, target, delay),
    )


def _population(draw: st.DrawFn, rng: np.random.Generator, name: str, shape: Shape) -> Population:
    model = draw(st.sampled_from(DRAWN))
    each = draw(st.booleans())

    def number(low: int, high: int) -> Array | int:
        return rng.integers(low, high + 1, shape) if each else int(rng.integers(low, high + 1))

    machine: dict[str, Any] = {
        "sum_bits": draw(st.sampled_from([4, 9, 24, 32])),
        "wrap": draw(st.integers(0, 1)),
    }
    if model == "pass":
        params = {**machine, "rectify": draw(st.integers(0, 1))}
        return Population(name=name, shape=shape, model=model, params=params)
    state_bits, decay_bits = draw(st.integers(4, 32)), draw(st.integers(1, 24))
    half, whole = 2 ** (state_bits - 1), 2**decay_bits
    top = draw(st.sampled_from([0, min(5, half - 1), half - 1]))
    params = machine | {
        "state_bits": state_bits,
        "decay_bits": decay_bits,
        "fraction_bits": draw(st.integers(0, 16)),
        "rounding": draw(st.integers(0, 2)),
        "wait": draw(st.integers(0, 3)),
    }
    if draw(st.booleans()):
        params |= {"decay": number(0, whole), "leak": number(0, top), "rest": number(-top, top)}
    params |= {"bias": number(-top, top), "v0": number(-half, half - 1)}
    if model.startswith("cuba"):
        params |= {"current_decay": number(0, whole), "input_bias": number(-top, top)}
        params["i0"] = number(-half, half - 1)
    if MODELS[model].sends in ("spikes", "counts"):
        params |= {"vth": number(-top, top), "v_reset": number(-half, half - 1)}
        params |= {"at": draw(st.integers(0, 1)), "subtract": draw(st.integers(0, 1))}
        every = MODELS[model].parameters
        for own in sorted(
            every.keys() - MODELS["cuba_lif"].parameters.keys()
        ):  # of additions to the rule
            if every[own].shared:
                params[own] = draw(st.integers(every[own].low, every[own].high))
            elif own in words(every):
                params[own] = number(-half, half - 1)
            else:
                params[own] = number(every[own].low, whole if every[own] == DECAY else 5)
    else:
        params |= {"shift": number(0, 31), "message_bits": draw(st.integers(2, 32))}
        params |= {"rectify": draw(st.integers(0, 1)), "message_rounding": draw(st.integers(0, 2))}
    return Population(name=name, shape=shape, model=model, params=params)
