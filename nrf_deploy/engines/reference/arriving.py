"""The input of each layer, where the output of every observed layer is known and not computed.

So a difference in one layer does not reach another one, and rounding does not grow. An edge that
closes a cycle carries the value of the step before, as in run.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from nrf_deploy.ir.capabilities import demand
from nrf_deploy.ir.network import Array, Input, Network, exact
from nrf_deploy.ir.recording import Recording

from .nodes import RUNS, runner
from .run import CHUNK_BYTES, CHUNK_STEPS, added, advance, before_first, components, inputs_of


def arriving(
    network: Network,
    recording: Recording,
    observed: Mapping[str, Recording],
    steps: int,
    chunk: int | None = None,
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Yield (first step, the input of each node of `observed`), chunk after chunk.

    Args:
        network: the network
        recording: its input
        observed: the output of nodes in each step; a node without one is computed from its input
        steps: the number of steps
        chunk: the steps of a chunk; None chooses it by memory
    """
    demand(network, RUNS, "the float reference")
    size = sum(math.prod(n.shape) + math.prod(n.input_shape) for n in network.nodes)
    chunk = chunk or max(1, min(CHUNK_STEPS, CHUNK_BYTES // (4 * size)))
    work = {n.name: runner(n, network.dt, "euler", False) for n in network.nodes}
    cut = replace(network, edges=tuple(e for e in network.edges if e[0] not in observed))
    order = components(cut)
    before = before_first(network, work)
    for first in range(0, steps, chunk):
        last = min(first + chunk, steps)
        values = inputs_of(network, recording, first, last)
        values |= {name: _frames(r, first, last) for name, r in observed.items()}
        reached: dict[str, Array] = {}
        for component in order:
            if len(component) > 1 or (component[0], component[0]) in cut.edges:
                inside = tuple(sorted(component, key=network.order.index))
                advance(network, inside, work, values, before, last - first)
                continue
            (name,) = component
            if exact(network[name], Input):
                continue
            x = _arriving(network, name, values, before, last - first)
            if name in observed:
                reached[name] = x
            else:
                values[name] = work[name](x)
        for name in before:
            before[name] = values[name][-1]
        yield first, reached


def _frames(recording: Recording, first: int, last: int) -> Array:
    """Return the steps first..last as dense float32 frames."""
    part = slice(recording.start[first], recording.start[last])
    frames = np.zeros((last - first, recording.size), np.float32)
    frames[recording.step[part] - first, recording.index[part]] = recording.value[part]
    return frames.reshape(-1, *recording.shape)


def _arriving(
    network: Network, name: str, values: dict[str, Array], before: dict[str, Array], steps: int
) -> Array:
    parts = [
        np.concatenate([before[s][None], values[s][:-1]])
        if (s, name) in network.back_edges
        else values[s]
        for s in network.sources(name)
    ]
    return added(parts, (steps, *network[name].input_shape))
