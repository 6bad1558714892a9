"""Neurons as cells of tables and as JSON: their numbers, their rule, and every other feature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nrf_deploy.diagnostics.text import GAP, PROSE, WIDTH, table
from nrf_deploy.ir.network import Array, Node, Population
from nrf_deploy.neurons import Part, Spikes, Unit

RULE_HEADS = ("reset", "fires")
FIRES = {"above": "v > th", "at": "v >= th"}
NIR_NAMES = {"threshold": "v_threshold", "reset_to": "v_reset"}
"""Numbers that have another name in NIR, by which they are shown."""
PLACES: dict[Unit, int] = {
    "time": 0, "input": 1, "current": 1, "potential": 2, "amount": 3, "rate": 4, "steps": 5,
    "value": 6,
}  # fmt: skip
"""Which numbers are shown first, by their units."""


class Number(NamedTuple):
    """A number per neuron: where it is shown, its name, the feature that it is, its values."""

    place: tuple[int, int, int, str]
    name: str
    feature: str
    array: Array


def rule_of(node: Node | None) -> dict[str, str]:
    """Return how a population resets and fires; empty if it does not spike."""
    if type(node) is not Population or type(node.rule) is not Spikes:
        return {}
    return {"reset": node.rule.reset, "fires": node.rule.fires}


def rule_cells(node: Node | None) -> tuple[str, str]:
    """Return the same as two cells of a table, under `RULE_HEADS`."""
    rule = rule_of(node)
    return (rule["reset"], FIRES[rule["fires"]]) if rule else ("", "")


def population_tables(
    heads: Sequence[str], rows: Sequence[Sequence[object]], align: str
) -> list[str]:
    """Return the table of a program's populations.

    The last column, the integers, and then the one before it get a table of their own where too
    little of the width is left for them: a number that is cut in two is a wrong number.
    """
    columns = zip(*([str(c) for c in row] for row in (heads, *rows)), strict=True)
    widths = [max(map(len, column)) for column in columns]
    free = WIDTH - sum(w + len(GAP) for w in widths[:-1])
    if len(heads) == 2 or free >= min(widths[-1], PROSE):
        return [table(heads, rows, align, names=True)]
    own = table((heads[0], heads[-1]), [(row[0], row[-1]) for row in rows], "ll", names=True)
    return [*population_tables(heads[:-1], [row[:-1] for row in rows], align[:-1]), own]


def features_of(node: Node | None, *, numbers: bool = True) -> list[str]:
    """Return the features of a population that are not neutral, without those of `rule_of`.

    Args:
        node: a population; other nodes have no features
        numbers: False where the numbers stand beside the features already
    """
    if type(node) is not Population:
        return []
    shown = set() if numbers else {number.feature for number in _numbers(node)}
    own = node.features - shown
    return sorted(f for f in own if f.partition("=")[0] not in RULE_HEADS)


def numbers_of(node: Node) -> dict[str, Array]:
    """Return every number of a population's neurons by its name in NIR, times first.

    A number of a part inside bears the name of its field too: "adaptation.tau".
    """
    return {number.name: number.array for number in sorted(_numbers(node), key=lambda n: n.place)}


def number_names(nodes: Iterable[Node]) -> list[str]:
    """Return the names of all numbers that some of these populations have, times first."""
    places = {number.name: number.place for node in nodes for number in _numbers(node)}
    return sorted(places, key=lambda name: places[name])


def _numbers(node: Node) -> Iterator[Number]:
    if type(node) is Population:
        yield from _of_part(node.membrane, 0, "", f"{type(node.membrane).__name__}.")
        yield from _of_part(node.rule, 1, "", "")


def _of_part(part: Part, rank: int, of: str, feature: str) -> Iterator[Number]:
    """Yield numbers: of one unit the membrane's by name, and then the rule's as declared."""
    for index, (key, unit, array) in enumerate(part.numbers()):
        name = of + NIR_NAMES.get(key, key)
        place = (PLACES[unit], rank, index if rank else 0, name)
        yield Number(place, name, feature + key, array)
    for key, inner in part.parts():
        yield from _of_part(inner, rank + 1, f"{of}{key}.", f"{feature}{key}.")
