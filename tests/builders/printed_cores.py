"""The cores that Intel's compiler printed, beside those that we count for the same pieces.

`python tests/builders/printed_cores.py` writes the tables into docs/placement.md; a test demands
that they are there as they come out today.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.compiler.place.grid import Grid
from nrf_deploy.ir.network import Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Synapses
from nrf_loihi.chip import Chip
from nrf_loihi.place.budgets import Budgets, kernel_words
from nrf_loihi.place.place import cut

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "placement.md"
PRINTED = ROOT.parent / "shared" / "conformance" / "silicon" / "loihi2_compiler_tables.json"
BEGIN, END = "<!-- begin: tests/builders/printed_cores.py -->\n", "<!-- end -->"

LOIHI2 = Chip.load("loihi2")
ONE_STEP = (1, 1)


def _conv(source: str, to: str, source_shape: Shape, shape: Shape, stride: Shape, pad: int) -> Conv:
    """Build a convolution from strides and paddings in our order, (y, x); printed are (x, y)."""
    return Conv(
        name=to, source=source, targets=(to,),
        weight=np.ones((shape[0], source_shape[0], 3, 3), np.int8), input_size=source_shape[1:],
        stride=stride, padding=((pad, pad), (0, 0)), dilation=(1, 1),
    )  # fmt: skip


def _dense(source: str, to: str, inputs: int, outputs: int) -> Dense:
    return Dense(
        name=to, source=source, targets=(to,), weight=np.ones((outputs, inputs), np.int8),
        source_shape=(inputs,), target_shape=(outputs,),
    )  # fmt: skip


def _program(port: Shape, shapes: dict[str, Shape], synapses: list[Synapses]) -> Program:
    populations = [Population(name=n, shape=s, model="lif", params={}) for n, s in shapes.items()]
    last = populations[-1].name
    ports = (Port(name="port", shape=port),)
    return Program(
        arithmetic="loihi", ports=ports, synapses=tuple(synapses),
        populations=tuple(populations), outputs=(last,),
    )  # fmt: skip


def pilotnet() -> Program:
    """Build the network that the tutorial prints: every kernel is 3 by 3."""
    shapes: dict[str, Shape] = {
        "input": (3, 66, 200), "conv0": (24, 32, 99), "conv1": (36, 15, 49), "conv2": (48, 7, 24),
        "conv3": (64, 4, 22), "conv4": (64, 2, 20), "fc 2560->100": (100,), "fc 100->50": (50,),
        "fc 50->10": (10,), "fc 10->1": (1,),
    }  # fmt: skip
    names = list(shapes)
    strides = [(2, 2), (2, 2), (2, 2), (2, 1), (1, 1)]
    synapses: list[Synapses] = []
    for i, to in enumerate(names[1:]):
        source = names[i]
        if i < 5:
            pad = 1 if to == "conv3" else 0
            synapses.append(_conv(source, to, shapes[source], shapes[to], strides[i], pad))
        else:
            synapses.append(_dense(source, to, math.prod(shapes[source]), math.prod(shapes[to])))
    return _program((3, 66, 200), shapes, synapses)


def oxford() -> Program:
    shapes: dict[str, Shape] = {"256->200": (200,), "200->256": (256,)}
    synapses: list[Synapses] = [
        _dense("port", "256->200", 256, 200),
        _dense("256->200", "200->256", 200, 256),
    ]
    return _program((256,), shapes, synapses)


@dataclass(frozen=True)
class Row:
    """One printed row, and what we count for the same pieces."""

    layer: str
    piece: Shape
    printed: dict[str, int]
    ours: dict[str, int]
    cores: int
    """How many we would take."""
    bits: tuple[int, ...]
    """Widths of a weight with which our count of words is the printed one."""


def rows(printed: dict[str, Any]) -> list[Row]:
    made = []
    for name, model in (("pilotnet_snn", pilotnet()), ("oxford", oxford())):
        grids = cut(model, LOIHI2)
        said = [dict(zip(printed["columns"], line, strict=True)) for line in printed[name]]
        by_layer = {_layer(line.pop("layer")): line for line in said}
        made += [_row(model, p, by_layer[p.name], grids) for p in model.populations]
    return made


def _layer(printed: str) -> str:
    """Return conv4 for "conv4 per-core (16,2,64)"."""
    return printed.split(" (")[0].split(" per-core")[0]


def _row(
    model: Program, population: Population, printed: dict[str, int], grids: dict[str, Grid]
) -> Row:
    tile = printed_tile(population.shape, printed["cores"])
    grid = Grid(population.shape, tile)
    used = Budgets(model, LOIHI2, population, grids).used(grid)
    # the compiler prints whole tiles of convolutions, and of all else the mean over cores
    mean = {key: int(column.mean()) for key, column in used.items()}
    whole = len(population.shape) == 3
    ours = {
        "AxonIn": mean["in_axons"],
        "Neurons": int(used["neurons"][0]) if whole else mean["neurons"],
        "SynMem": mean["synaptic_words"],
        "AxonMap": mean["out_axons"],
        "cores": grid.count,
    }
    fitting = _fitting_bits(model.into(population.name)[:1], grid, printed["SynMem"])
    return Row(population.name, tile, printed, ours, grids[population.name].count, fitting)


def printed_tile(shape: Shape, cores: int) -> Shape:
    """Return the tile of a layer on a core.

    Convolutions: all channels and rows of the widest power of two of columns that fits. Dense
    layers: equal parts.
    """
    if len(shape) == 1:
        return (-(-shape[0] // cores),)
    channels, height, width = shape
    columns = 1
    while channels * height * columns * 2 <= LOIHI2.neurons and columns < width:
        columns *= 2
    return (channels, height, columns)


def _fitting_bits(incoming: tuple[Synapses, ...], grid: Grid, words: int) -> tuple[int, ...]:
    return tuple(
        bits
        for s in incoming
        for bits in range(1, 13)
        if int(_words(s, grid, bits).mean()) == words
    )


def _words(s: Synapses, grid: Grid, bits: int) -> np.ndarray[Any, Any]:
    if isinstance(s, Conv):
        return kernel_words(s, grid.tile[0], bits)
    return -(-grid.sizes() * bits // 32) * math.prod(s.input_shape)


def tables(found: list[Row]) -> str:
    columns = ("AxonIn", "Neurons", "SynMem", "AxonMap")
    lines = [
        "| layer | piece (x, y, c) | " + " | ".join(columns) + " | weight bits that give SynMem |",
        "|---|---|" + "---|" * (len(columns) + 1),
    ]
    for row in found:
        cells = [_cell(row.printed[c], row.ours[c]) for c in columns]
        bits = ", ".join(map(str, row.bits)) if len(row.bits) < 9 else "any"
        piece = ", ".join(map(str, reversed(row.piece)))
        lines.append(f"| {row.layer} | {piece} | {' | '.join(cells)} | {bits or 'none'} |")
    lines += ["", "| layer | cores, printed | cores, ours |", "|---|---|---|"]
    lines += [f"| {row.layer} | {row.printed['cores']} | {row.cores} |" for row in found]
    for model, part in (("PilotNet", found[:-2]), ("Oxford", found[-2:])):
        printed, ours = sum(r.printed["cores"] for r in part), sum(r.cores for r in part)
        lines.append(f"| **{model}** | **{printed}** | **{ours}** |")
    return "\n".join(lines) + "\n"


def _cell(printed: int, ours: int) -> str:
    return f"{printed}" if printed == ours else f"{printed}, **ours {ours}**"


def document(text: str, found: list[Row]) -> str:
    """Return the document with the current tables."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + tables(found) + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    today = rows(json.loads(PRINTED.read_text("utf-8")))
    DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8"), today), "utf-8")
