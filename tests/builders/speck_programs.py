"""Random programs of Speck's form for hypothesis: chains and branches that meet, wires that pool
and lay features beside each other, leaks, both resets, and numbers near the ends of 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Population, Port, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace


@dataclass(frozen=True, eq=False)
class Case:
    program: Program
    recording: Recording

    def __repr__(self) -> str:
        nouns = (*self.program.ports, *self.program.populations, *self.program.synapses)
        return "\n".join([*map(repr, nouns), f"input {self.recording.dense().tolist()}"])

    @property
    def names(self) -> list[str]:
        return [p.name for p in self.program.populations]


def wire(name: str, source: Port | Population, target: Population, pooling: int, shift: int) -> Any:
    f, y, x = np.unravel_index(np.arange(int(np.prod(source.shape))), source.shape)
    there = (f + shift, y // pooling, x // pooling)
    return Sparse(
        name=name,
        source=source.name,
        targets=(target.name,),
        weight=np.ones(len(f), np.int64),
        delay=0,
        params={"pooling": pooling, "shift": shift},
        source_shape=source.shape,
        target_shape=target.shape,
        row=np.ravel_multi_index(there, target.shape),
        column=np.arange(len(f)),
    )


def convolution(
    source: Port | Population, target: str, weight: Array, stride: int = 1, padding: int = 0
) -> Conv:
    return Conv(
        name=f"to {target}",
        source=source.name,
        targets=(target,),
        weight=weight,
        delay=0,
        input_size=source.shape[1:],
        stride=(stride, stride),
        padding=((padding, padding),) * 2,
        dilation=(1, 1),
    )


def program(ports: tuple[Port, ...], *parts: Synapses | Population) -> Program:
    populations = tuple(p for p in parts if type(p) is Population)
    made = Program(
        arithmetic="speck.events",
        ports=ports,
        synapses=tuple(p for p in parts if isinstance(p, Synapses)),
        populations=populations,
        outputs=(populations[-1].name,),
    )
    assert list(made.faults()) == []
    return made


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([1, 4, 6, 8]))
    port = Port(name="in", shape=(draw(st.integers(1, 3)), size, size), peak=3)
    parts: list[Synapses | Population] = []
    ends: list[Port | Population] = [port]
    for k in range(draw(st.integers(1, 4))):
        source = draw(st.sampled_from(ends))
        if draw(st.booleans()):
            parts += _merged(draw, source, ends, f"n{k}.in")
            merge = parts[-1] if type(parts[-1]) is Population else None
            assert merge is not None
            source = merge
        conv = _convolution(draw, rng, source, f"n{k}")
        neurons = _neurons(draw, rng, f"n{k}", conv.shape)
        parts += [conv, neurons]
        ends.append(neurons)
    made = program((port,), *parts)
    steps = draw(st.integers(1, 12))
    there = rng.random((steps, *port.shape)) < rng.choice([0.05, 0.3])
    there &= rng.random((steps, 1, 1, 1)) < 0.8  # whole steps of silence
    return Case(made, Recording.from_dense(np.where(there, rng.integers(1, 4, there.shape), 0)))


def _merged(
    draw: st.DrawFn, source: Port | Population, ends: list[Port | Population], name: str
) -> list[Synapses | Population]:
    """Draw the source, and in some cases others of the same output shape, side by side."""
    height, width = source.shape[1:]
    pooling = draw(st.sampled_from([n for n in (1, 2, 4) if height % n == width % n == 0]))
    size = (height // pooling, width // pooling)
    ways = [(source, pooling)]
    ways += [(e, 1) for e in ends if e.shape[1:] == size and draw(st.booleans())]
    shape: Shape = (sum(e.shape[0] for e, _ in ways), *size)
    merge = Population(name=name, shape=shape, model="merge", params={})
    shifts = np.cumsum([0, *(e.shape[0] for e, _ in ways)])
    wires = [wire(f"{name} {k}", e, merge, n, int(shifts[k])) for k, (e, n) in enumerate(ways)]
    return [*wires, merge]


def _convolution(
    draw: st.DrawFn, rng: np.random.Generator, source: Port | Population, target: str
) -> Conv:
    c, height, width = source.shape
    padding = draw(st.integers(0, 2))
    kernel = draw(st.integers(1, min(4, min(height, width) + 2 * padding)))
    weight = rng.integers(-60, 128, (draw(st.integers(1, 5)), c, kernel, kernel))
    weight *= rng.random(weight.shape) < 0.9
    return convolution(source, target, weight, draw(st.sampled_from([1, 1, 2, 4])), padding)


def _neurons(draw: st.DrawFn, rng: np.random.Generator, name: str, shape: Shape) -> Population:
    theta = draw(st.sampled_from([1, 50, 300, 32767]))
    low = draw(st.sampled_from([-1, -100, -32768]))
    params: dict[str, Any] = {
        "threshold_high": theta,
        "threshold_low": low,
        "returns_to_zero": draw(st.integers(0, 1)),
        "v0": draw(st.sampled_from([0, 0, -1, -32768, 32767])),
    }
    if draw(st.booleans()):
        params["bias"] = rng.integers(-40, 41, (shape[0], 1, 1))
    return Population(name=name, shape=shape, model="iaf", params=params)


def difference(a: Trace, b: Trace) -> str | None:
    """Return the place where two traces of the same layers differ."""
    assert a.outputs.keys() == b.outputs.keys()
    assert a.states.keys() == b.states.keys()
    for name in a.outputs:
        if not a.outputs[name].same(b.outputs[name]):
            return f"the spikes of {name}"
    for name in a.states:
        for v in a.states[name]:
            if not np.array_equal(a.states[name][v], b.states[name][v]):
                return f"{v} of {name}"
    return None
