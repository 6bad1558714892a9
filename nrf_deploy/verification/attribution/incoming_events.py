"""Inputs of one neuron of a program in one step, which explain a mismatch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nrf_deploy.compare.comparison import Arrival, Divergence, Inputs
from nrf_deploy.diagnostics.text import table, wrap
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace


def arrivals(program: Program, stimulus: Recording, trace: Trace) -> Inputs:
    """Return a function that lists the inputs of a neuron, from a program's input and trace.

    The input is that of the ports (stacked, flat). Weights are the program's, without the shifts
    of the arithmetic. A source whose output was not recorded is an Arrival without a value.
    """
    ports = {}
    first = 0
    for port in program.ports:
        ports[port.name] = (first, port.shape)
        first += math.prod(port.shape)

    def sent(source: str, step: int) -> tuple[Array, Array, Shape] | None:
        """Return (indices, values, shape) of a source's output in a step."""
        if source in ports:
            recording, (offset, shape) = stimulus, ports[source]
        elif source in trace.outputs:
            recording = trace.outputs[source]
            offset, shape = 0, recording.shape
        else:
            return None
        if not 0 <= step < recording.steps:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), shape
        index, value = recording.at(step)
        inside = (index >= offset) & (index < offset + math.prod(shape))
        return index[inside] - offset, value[inside], shape

    def inputs(layer: str, neuron: Shape, step: int) -> list[Arrival]:
        target = int(np.ravel_multi_index(neuron, program.population(layer).shape))
        arrived = []
        for synapses in program.into(layer):
            for delay, column, weight in _fan_in(synapses, target):
                message = sent(synapses.source, step - delay)
                if message is None:
                    arrived.append(Arrival(synapses.source, (), step - delay, None))
                    continue
                arrived += _meet(synapses.source, step - delay, message, column, weight)
        return arrived

    return inputs


def _meet(
    source: str, step: int, message: tuple[Array, Array, Shape], column: Array, weight: Array
) -> Iterator[Arrival]:
    """Yield the events of a source that these synapses (from `column`, with `weight`) pass on."""
    index, value, shape = message
    carried = np.flatnonzero(np.isin(column, index) & (weight != 0))
    for k in carried[np.argsort(column[carried], kind="stable")]:
        event = np.searchsorted(index, column[k])
        neuron = tuple(int(i) for i in np.unravel_index(column[k], shape))
        yield Arrival(source, neuron, step, value[event].item(), int(weight[k]))


def _fan_in(synapses: Synapses, target: int) -> Iterator[tuple[int, Array, Array]]:
    """Yield (delay, flat sources, weights) of the synapses that end at a flat target."""
    if isinstance(synapses, Conv):
        yield (synapses.delay, *_window(synapses, target))
    elif isinstance(synapses, Sparse):
        inside = synapses.row == target
        yield synapses.delay, synapses.column[inside], synapses.weight[inside]
    else:
        assert isinstance(synapses, Dense)
        weight, column = synapses.weight[target], np.arange(synapses.weight.shape[1])
        delays = np.zeros_like(column) if synapses.delays is None else synapses.delays[target]
        for extra in np.unique(delays):
            inside = delays == extra
            yield synapses.delay + int(extra), column[inside], weight[inside]


def _window(conv: Conv, target: int) -> tuple[Array, Array]:
    """Return the receptive field of one output of a convolution, as sources and weights."""
    out, *place = (int(i) for i in np.unravel_index(target, conv.shape))
    channels, *size = conv.input_shape
    fan = channels // conv.groups
    group = out // (conv.shape[0] // conv.groups)
    axes = [
        at * stride - before + dilation * np.arange(kernel)
        for at, stride, (before, _), dilation, kernel in zip(
            place, conv.stride, conv.padding, conv.dilation, conv.weight.shape[2:], strict=True
        )
    ]
    grid = np.meshgrid(group * fan + np.arange(fan), *axes, indexing="ij")
    inside = np.all([(g >= 0) & (g < s) for g, s in zip(grid, (channels, *size), strict=True)], 0)
    column = np.ravel_multi_index(tuple(g[inside] for g in grid), conv.input_shape)
    return column, conv.weight[out][inside]


SHOWN = 8
IN_WORDS = 2  # inputs in sentences; more are a table
JOINED = ".in"  # follows a layer's name in that of the population that joins its inputs
RELAY = "~"  # ends the name of a population that implements a delay of the model


def sentences(d: Divergence) -> Iterator[str]:
    """Yield the inputs with the largest weights, the number of others, and what is unknown."""
    heaviest, more = _heaviest(d)
    if heaviest:
        texts = (
            f"{a.value} from {a.source!r} {a.neuron}, sent at step {a.step}"
            f"{'' if a.weight is None else f', weight {a.weight}'}"
            for a in heaviest
        )
        yield f"There arrived {'; '.join(texts)}{f'; and {more:,} more' if more else ''}."
    yield from _unknown(d)


def paragraphs(d: Divergence) -> Iterator[str]:
    """Yield the same for a terminal."""
    heaviest, more = _heaviest(d)
    if len(heaviest) <= IN_WORDS:
        yield from map(wrap, sentences(d))
        return
    header = ("arrived from", "neuron", "sent at step", "value", "weight")
    rows = [
        (
            a.source,
            f"({','.join(map(str, a.neuron))})",
            str(a.step),
            str(a.value),
            "-" if a.weight is None else str(a.weight),
        )
        for a in heaviest
    ]
    yield table(header, rows, "llrrr") + (f"\nand {more:,} more" if more else "")
    yield from map(wrap, _unknown(d))


def _heaviest(d: Divergence) -> tuple[list[Arrival], int]:
    known = [a for a in d.arrivals if a.value is not None]
    known.sort(key=lambda a: -abs((a.value or 0) * (1 if a.weight is None else a.weight)))
    return known[:SHOWN], max(len(known) - SHOWN, 0)


def _unknown(d: Divergence) -> Iterator[str]:
    missing = [a for a in d.arrivals if a.value is None]
    waiting = dict.fromkeys(a.source.rstrip(RELAY) for a in missing if a.source.endswith(RELAY))
    if waiting:
        names = " and ".join(map(repr, waiting))
        yield (
            f"What came late from {names} is not listed: the steps that events wait for a delay "
            "of the model are not recorded."
        )
    for a in {(a.source, a.step): a for a in missing}.values():
        if a.source.startswith(f"{d.layer}{JOINED}"):
            yield (
                f"What came through {a.source!r} is not listed: it joins the inputs of layer "
                f"{d.layer!r} on the chip (docs/semantics.md), and its events cannot be recorded."
            )
        elif not a.source.endswith(RELAY):
            yield f"What {a.source!r} sent there at step {a.step} was not recorded."
