"""Parts of small programs of any arithmetic, for the generators of kits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Synapses
from nrf_deploy.ir.recording import Recording


@dataclass(frozen=True, eq=False)
class Made:
    """A case without its expected results."""

    name: str
    about: str
    covers: tuple[str, ...]
    program: Program
    recording: Recording


def dense(
    weight: Any, source: str = "in", target: str = "n", name: str = "w", **more: Any
) -> Dense:
    weight = np.array(weight, np.int64)
    out, into = weight.shape
    ends = {"source": source, "targets": (target,)}
    return Dense(
        name=name, weight=weight, source_shape=(into,), target_shape=(out,), **{**ends, **more}
    )


def conv(weight: Array, size: Shape, **more: Any) -> Conv:
    usual: dict[str, Any] = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    ends: dict[str, Any] = {"name": "w", "source": "in", "targets": ("n",)}
    return Conv(weight=weight, input_size=size, **{**usual, **ends, **more})


def program(arithmetic: str, port: Port, *parts: Synapses | Population) -> Program:
    populations = tuple(p for p in parts if type(p) is Population)
    result = Program(
        arithmetic=arithmetic,
        ports=(port,),
        synapses=tuple(p for p in parts if isinstance(p, Synapses)),
        populations=populations,
        outputs=(populations[-1].name,),
    )
    assert list(result.faults()) == []
    return result


def port(*shape: int, peak: int = 1) -> Port:
    return Port(name="in", shape=shape, peak=peak)


def events(*steps: int, until: int = 24) -> Recording:
    """Return a recording of one element with events in these steps."""
    return Recording.from_dense(np.isin(np.arange(until), steps).astype(np.int64)[:, None])


def values(*payloads: int) -> Recording:
    return Recording.from_dense(np.array(payloads, np.int64)[:, None])


def some(steps: int, shape: Shape, seed: int, peak: int = 1, part: float = 0.3) -> Recording:
    rng = np.random.default_rng(seed)
    there = rng.random((steps, *shape)) < part
    return Recording.from_dense(np.where(there, rng.integers(1, peak + 1, there.shape), 0))
