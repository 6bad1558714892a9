"""Random Loihi programs for hypothesis: every kind of neuron and synapse, with branches and
recurrence, and values large enough to wrap and to saturate.

Structure is drawn by hypothesis, so that it shrinks; weights, parameters and input come from
a drawn seed. A program and its input print as text that says what is in them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nrf_deploy.engines.emulator import golden
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace
from nrf_loihi.arithmetic.neurons import MODELS
from nrf_loihi.arithmetic.rules import LoihiArithmetic

IN_LAVA = sorted(set(MODELS) - {"lif_refractory"})
MODEL_NAMES = ["lif", "lif", "lif", *IN_LAVA]


@dataclass(frozen=True, eq=False)
class Case:
    program: Program
    recording: Recording

    def __repr__(self) -> str:
        return f"{describe(self.program)}\n  input {self.recording.dense().tolist()}"


def describe(program: Program) -> str:
    def plain(value: Any) -> Any:
        return value.tolist() if isinstance(value, np.ndarray) else value

    lines = []
    for noun in (*program.ports, *program.populations, *program.synapses):
        said = {f.name: getattr(noun, f.name) for f in dataclasses.fields(noun)}
        if isinstance(said.get("params"), dict):
            said["params"] = {k: plain(v) for k, v in said["params"].items()}
        text = ", ".join(f"{k}={plain(v)!r}" for k, v in said.items() if v is not None)
        lines.append(f"  {type(noun).__name__}({text})")
    return "\n".join(["Program:", *lines])


def run_golden(case: Case) -> Trace:
    every = [p.name for p in case.program.populations]
    return golden.run(case.program, LoihiArithmetic(), case.recording, states=every)


def first_difference(ours: Trace, theirs: Trace) -> str | None:
    """Return the earliest step at which a state or an output differs, in words."""
    found = []
    for name, recording in ours.outputs.items():
        pairs = {"output": (recording.dense(), theirs.outputs[name].dense())}
        states = theirs.states[name]
        pairs |= {v: (x, states[v]) for v, x in ours.states[name].items()}
        for variable, (a, b) in pairs.items():
            if not np.array_equal(a, b):
                step, *neuron = (int(i) for i in np.argwhere(a != b)[0])
                values = f"{a[step][*neuron]}, not {b[step][*neuron]}"
                found.append((step, f"step {step}: {name!r} {neuron} {variable} is {values}"))
    return min(found)[1] if found else None


# --- the draw ------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ports = [
        Port(name=f"in{i}", shape=draw(_shapes()), peak=draw(st.sampled_from([1, 100, 2**20])))
        for i in range(draw(st.integers(1, 2)))
    ]
    populations: list[Population] = []
    synapses: list[Synapses] = []
    for i in range(draw(st.integers(1, 4))):
        source = draw(st.sampled_from([*ports, *populations]))
        link = draw(_links(rng, source, f"w{i}", f"n{i}"))
        populations.append(draw(_populations(rng, f"n{i}", link.shape)))
        if draw(st.integers(0, 4)) == 4:  # a second population on the same weights
            populations.append(draw(_populations(rng, f"twin{i}", link.shape)))
            link = dataclasses.replace(link, targets=(f"n{i}", f"twin{i}"))
        synapses.append(link)
    for i in range(draw(st.integers(0, 3))):  # branches, joins and loops
        source = draw(st.sampled_from([*ports, *populations]))
        target = draw(st.sampled_from(populations))
        link = draw(_links(rng, source, f"extra{i}", target.name, target.shape))
        synapses.append(link)
    program = Program(
        arithmetic="loihi",
        ports=tuple(ports),
        synapses=tuple(synapses),
        populations=tuple(populations),
        outputs=(populations[-1].name,),
    )
    assert list(program.faults()) == []
    return within_lava(Case(program, _input(rng, ports, draw(st.integers(1, 20)))))


class Watch(LoihiArithmetic):
    """Notes the synapses whose payloads are too large to have a meaning in Lava: it casts a
    convolution's sum from a float to 32 bits, and multiplies a delayed payload in 32."""

    def __init__(self) -> None:
        self.beyond: set[str] = set()

    def message(self, synapses: Synapses, output: Array) -> Array:
        message = super().message(synapses, output)
        if isinstance(synapses, Dense) and synapses.delays is not None:
            largest = np.abs(message).max() * np.abs(self.held(synapses)).max()
            self._hold(synapses, int(largest))
        return message

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        if isinstance(synapses, Conv):
            self._hold(synapses, int(np.abs(total).max()))
        return super().deliver(synapses, total)

    def _hold(self, synapses: Synapses, largest: int) -> None:
        if largest >= 2**31:
            self.beyond.add(synapses.name)


def within_lava(case: Case) -> Case:
    """Return the case with binary messages where a payload would be too large for Lava."""
    watch = Watch()
    golden.run(case.program, watch, case.recording)
    if not watch.beyond:
        return case
    synapses = tuple(
        dataclasses.replace(s, params={**s.params, "num_message_bits": 0})
        if s.name in watch.beyond
        else s
        for s in case.program.synapses
    )
    return within_lava(Case(dataclasses.replace(case.program, synapses=synapses), case.recording))


def _shapes() -> st.SearchStrategy[Shape]:
    small = st.integers(1, 5)
    return st.one_of(st.tuples(st.integers(1, 8)), st.tuples(st.integers(1, 4), small, small))


def _input(rng: np.random.Generator, ports: list[Port], steps: int) -> Recording:
    parts = []
    for port in ports:
        size = math.prod(port.shape)
        there = rng.random((steps, size)) < rng.choice([0.1, 0.3, 0.7, 1.0])
        there &= (rng.random(steps) < 0.8)[:, None]  # whole steps of silence
        sign = rng.integers(0 if port.peak == 1 else -port.peak, port.peak + 1, (steps, size))
        parts.append(np.where(there, np.where(port.peak == 1, 1, sign), 0))
    frames = np.concatenate(parts, axis=1)
    shape = ports[0].shape if len(ports) == 1 else frames.shape[1:]
    return Recording.from_dense(frames.reshape(steps, *shape))


@st.composite
def _links(
    draw: st.DrawFn,
    rng: np.random.Generator,
    source: Port | Population,
    name: str,
    target: str,
    shape: Shape | None = None,
) -> Synapses:
    """Draw synapses to a population of `shape`; without one they choose the shape."""
    params: dict[str, int] = {}
    if draw(st.booleans()):
        params["num_message_bits"] = draw(st.sampled_from([0, 8, 24]))
    ends = {"name": name, "source": source.name, "targets": (target,)}
    if shape is None and len(source.shape) == 3 and draw(st.booleans()):
        return draw(_convolutions(rng, source.shape, params, ends))
    if draw(st.booleans()):
        params["weight_exp"] = draw(st.integers(-7, 7))
    if draw(st.booleans()):
        params["num_weight_bits"] = draw(st.integers(1, 8))
    if draw(st.integers(0, 3)) == 3:
        params["sign_mode"] = draw(st.integers(1, 3))
    shape = draw(_shapes()) if shape is None else shape
    ends |= {"source_shape": source.shape, "target_shape": shape, "params": params}
    size = (math.prod(shape), math.prod(source.shape))
    low, high = draw(st.sampled_from([(-128, 128), (-300, 300), (0, 256), (-255, 1)]))
    weight = rng.integers(low, high, size)
    longest = draw(st.sampled_from([1, 4, 64]))
    if draw(st.booleans()):
        row, column = np.nonzero(rng.random(size) < 0.4)
        delay = draw(st.integers(1, longest))
        return Sparse(weight=weight[row, column], row=row, column=column, delay=delay, **ends)
    if longest > 1:
        delays = rng.integers(0, longest, size)
        return Dense(weight=weight, delays=delays, **ends)
    return Dense(weight=weight, **ends)


@st.composite
def _convolutions(
    draw: st.DrawFn,
    rng: np.random.Generator,
    shape: Shape,
    params: dict[str, int],
    ends: dict[str, Any],
) -> Conv:
    groups = draw(st.sampled_from([g for g in (1, 2, 3, 4) if shape[0] % g == 0]))
    channels = groups * draw(st.integers(1, 2))

    def per_axis(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    dilation = per_axis(1, 2)
    padding = (per_axis(0, 2), per_axis(0, 2))
    room = [size + sum(pads) for size, pads in zip(shape[1:], padding, strict=True)]
    most = [min(3, (r - 1) // d + 1) for r, d in zip(room, dilation, strict=True)]
    kernel = tuple(draw(st.integers(1, m)) for m in most)
    peak = draw(st.sampled_from([3, 128, 2**15]))
    return Conv(
        weight=rng.integers(-peak, peak, (channels, shape[0] // groups, *kernel)),
        input_size=shape[1:],
        stride=per_axis(1, 3),
        padding=padding,
        dilation=dilation,
        groups=groups,
        params=params,
        **ends,
    )


@st.composite
def _populations(draw: st.DrawFn, rng: np.random.Generator, name: str, shape: Shape) -> Population:
    model = draw(st.sampled_from(MODEL_NAMES))
    each = draw(st.booleans())

    def number(low: int, high: int) -> Array | int:
        """Draw one number for the population, or one for each neuron."""
        return rng.integers(low, high, shape) if each else int(rng.integers(low, high))

    params: dict[str, Array | int] = {}
    if model in ("li", "lif", "lif_reset", "ternary_lif"):
        params = {"du": number(0, 4096), "dv": number(0, 4096)}
        if draw(st.booleans()):
            params |= {"bias_mant": number(-4096, 4096), "bias_exp": number(-4, 8)}
        if draw(st.integers(0, 3)) == 3:
            params |= {"u0": number(-(2**23), 2**23), "v0": number(-(2**23) + 1, 2**23)}
    top = draw(st.sampled_from([5, 100, 2**17]))
    if model == "ternary_lif":
        params |= {"vth_hi": number(0, top), "vth_lo": number(-top, 1)}
    elif model == "li":
        params |= {"shift": number(0, 12), "rectify": draw(st.integers(0, 1))}
    elif model != "pass":
        params["vth"] = number(0, top)
    if model == "lif_reset":
        params |= {"interval": draw(st.integers(1, 6)), "offset": draw(st.integers(0, 8))}
    if "delta" in model:
        params |= {n: draw(st.integers(0, 4)) for n in ("spike_exp", "state_exp")}
        params["cum_error"] = draw(st.integers(0, 1))
    if model == "sigma_delta":
        params |= {"bias": number(-top, top), "act_mode": draw(st.integers(0, 1))}
    if model.startswith("rf"):
        bits = draw(st.integers(8, 12))
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0) * 2**bits
        params |= {"sin_decay": int(radius * np.sin(angle)), "decay_bits": bits}
        params |= {"cos_decay": int(radius * np.cos(angle)), "state_exp": draw(st.integers(0, 6))}
    return Population(name=name, shape=shape, model=model, params=params)
