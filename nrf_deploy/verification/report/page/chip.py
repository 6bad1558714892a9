"""Picture of the chip: each core in the colour of its layer, with how full it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.diagnostics.text import number

from .html import Markup, details, name, scrolled, section, table, tag
from .layer_labels import Layers

MOST_CORES = 512
"""Limits on the cores that are drawn and listed; `inspect --cores` lists all of them."""
CELL, GAP, HEAD = 46.0, 4.0, 20.0


def chip(layers: Layers) -> Markup:
    placement = layers.bundle.placement
    pieces_of_cores = _pieces_of_cores(placement)
    chips = sorted({placement.chip_of(core) for core in pieces_of_cores})
    board = f" on {len(chips)} of {placement.chips} chips" if placement.chips > 1 else ""
    gauge = ", the bar at the foot of a core its fullest budget" if placement.limits else ""
    drawn = list(_drawn(placement, chips))
    more = len([c for c in pieces_of_cores if c not in set(drawn)])
    left_out = tag("p", f"{more:,} more used cores are not drawn.") if more else None
    return section(
        "chip",
        "The chip",
        tag(
            "p",
            f"{layers.bundle.chip}: {placement.used_cores:,} of {placement.cores:,} cores are "
            f"used{board}. In the plan a number is a layer's{gauge}; the order is that of the "
            "cores' numbers, not of the silicon.",
        ),
        scrolled("floor plan", _plan(layers, pieces_of_cores, drawn)),
        left_out,
        _resources(layers),
        details("Layers, used and free budgets of each core", _cores(layers, pieces_of_cores)),
    )


def _pieces_of_cores(placement: Placement) -> dict[int, list[Piece]]:
    pieces_of_cores: dict[int, list[Piece]] = {}
    for piece in sorted(placement.pieces, key=lambda p: p.core):
        pieces_of_cores.setdefault(piece.core, []).append(piece)
    return pieces_of_cores


def _drawn(placement: Placement, chips: Sequence[int]) -> Iterator[int]:
    """Yield the cores of the used chips, up to the limit."""
    each = placement.cores // placement.chips
    for count, core in enumerate(
        c for chip in chips for c in range(chip * each, (chip + 1) * each)
    ):
        if count == MOST_CORES:
            return
        yield core


def _plan(
    layers: Layers, pieces_of_cores: Mapping[int, list[Piece]], drawn: Sequence[int]
) -> Markup:
    """Draw the chips in a column, each a block of cores."""
    placement = layers.bundle.placement
    each = placement.cores // placement.chips
    columns = min(20, max(4, math.ceil(math.sqrt(2 * min(each, MOST_CORES)))))
    parts: list[Markup] = []
    y = 0.0
    for chip in dict.fromkeys(placement.chip_of(core) for core in drawn):
        here = [core for core in drawn if placement.chip_of(core) == chip]
        if placement.chips > 1:
            parts.append(tag("text", f"chip {chip}", x=0, y=y + 14, class_="label"))
            y += HEAD
        for k, core in enumerate(here):
            x, down = k % columns * (CELL + GAP), y + k // columns * (CELL + GAP)
            parts.append(_core(layers, core, pieces_of_cores.get(core, []), x, down))
        y += math.ceil(len(here) / columns) * (CELL + GAP) + HEAD / 2
    width = columns * (CELL + GAP)
    return tag(
        "svg",
        tag("title", f"floor plan of {layers.bundle.chip}; the tables below have the same numbers"),
        parts,
        class_="plan",
        role="img",
        viewBox=f"-1 -1 {width + 2:g} {y + 2:g}",
        width=round(width + 2),
        height=round(y + 2),
    )


def _core(layers: Layers, core: int, pieces: Sequence[Piece], x: float, y: float) -> Markup:
    if not pieces:
        return tag("rect", x=x, y=y, width=CELL, height=CELL, rx=3, class_="free")
    placement = layers.bundle.placement
    used = {b: sum(p.used.get(b, 0) for p in pieces) for b in placement.budgets}
    full = _fullness(used, placement.limits)
    by_layer: dict[str, int] = {}
    for p in pieces:
        by_layer[p.population] = by_layer.get(p.population, 0) + p.size
    budgets = (_use(b, used[b], placement.limits.get(b)) for b in placement.budgets)
    label = f"core {core}: {', '.join(_holds(p) for p in pieces)}; {'; '.join(budgets)}"
    return tag(
        "g",
        tag("title", label),
        _strips(layers, by_layer, x, y),
        tag("text", _label(layers, by_layer), x=x + CELL / 2, y=y + CELL / 2 + 3),
        _gauge(full, x, y + CELL - 6) if placement.limits else None,
    )


def _gauge(full: float, x: float, y: float) -> list[Markup]:
    return [
        tag("rect", x=x, y=y, width=CELL, height=6, class_="trough"),
        tag("rect", x=x, y=y, width=CELL * min(full, 1.0), height=6, class_="level"),
    ]


def _strips(layers: Layers, by_layer: Mapping[str, int], x: float, y: float) -> Iterator[Markup]:
    """Yield the strips of a core, which divide it by the neurons of its layers."""
    total = sum(by_layer.values())
    for population, size in by_layer.items():
        width = CELL * size / total
        yield tag("rect", x=x, y=y, width=width, height=CELL, class_=layers.colour(population))
        x += width


def _label(layers: Layers, by_layer: Mapping[str, int]) -> str:
    numbers = [str(layers.numbers[p]) for p in by_layer]
    return ",".join(numbers) if len(numbers) <= 3 else f"{','.join(numbers[:2])}…"


def _fullness(used: Mapping[str, int], limits: Mapping[str, int]) -> float:
    return max((used[b] / limits[b] for b in used if limits.get(b)), default=0.0)


def _use(budget: str, used: int, limit: int | None) -> str:
    label = budget.replace("_", " ")
    return f"{label} {used:,}" if limit is None else f"{label} {used:,} of {limit:,}"


def _holds(piece: Piece) -> str:
    spans = zip(piece.start, piece.stop, strict=True)
    return f"{name(piece.population)} [{', '.join(f'{a}:{b}' for a, b in spans)}]"


def _resources(layers: Layers) -> Markup:
    """Return the table of the fullest core of each layer, as `nrf-deploy compile` prints it."""
    placement, program = layers.bundle.placement, layers.bundle.program
    by_layer: dict[str, list[Piece]] = {}
    for piece in placement.pieces:
        by_layer.setdefault(piece.population, []).append(piece)
    rows = []
    for p in program.populations:
        pieces = by_layer.get(p.name, [])
        largest = [max((q.used.get(b, 0) for q in pieces), default=0) for b in placement.budgets]
        cells = zip(placement.budgets, largest, strict=True)
        rows.append(
            (
                (layers.key(p.name), " ", name(p.name)),
                f"{p.size:,}",
                f"{len({q.core for q in pieces}):,}",
                *(_budget(used, placement.limits.get(b)) for b, used in cells),
            )
        )
    limits = [placement.limits.get(b) for b in placement.budgets]
    foot = ("limit of a core", "", "", *("none" if x is None else f"{x:,}" for x in limits))
    heads = [b.replace("_", " ") for b in placement.budgets]
    return table(
        "Resources: what the fullest core of each layer uses, and its share of the limit",
        ("layer", "size", "cores", *heads),
        rows,
        "lrr" + "r" * len(heads),
        foot=foot if placement.limits else None,
    )


def _budget(used: int, limit: int | None) -> list[object]:
    if not limit:
        return [f"{used:,}"]
    return [f"{used:,}", tag("span", " ", _share(used / limit), class_="share")]


def _share(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _cores(layers: Layers, pieces_of_cores: Mapping[int, list[Piece]]) -> list[Markup]:
    placement = layers.bundle.placement
    rows = []
    for core, pieces in list(pieces_of_cores.items())[:MOST_CORES]:
        used = {b: sum(p.used.get(b, 0) for p in pieces) for b in placement.budgets}
        rows.append(
            (
                core,
                ", ".join(map(_holds, pieces)),
                *(_left(used[b], placement.limits.get(b)) for b in placement.budgets),
            )
        )
    heads = [b.replace("_", " ") for b in placement.budgets]
    cores = table(
        "Every used core: used/left of each budget",
        ("core", "holds", *heads),
        rows,
        "rl" + "r" * len(heads),
    )
    more = len(pieces_of_cores) - len(rows)
    note = f"{number(more)} more cores: nrf-deploy inspect BUNDLE --cores lists them all."
    return [cores, *([tag("p", note)] if more > 0 else [])]


def _left(used: int, limit: int | None) -> str:
    return f"{used:,}" if limit is None else f"{used:,}/{limit - used:,}"
