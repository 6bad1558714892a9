"""Targets ask neurons for their parts, and one place for the chip's own models.

`isinstance` takes a subclass for its base, and a name of a model that is compared somewhere is a
second place of answers: both let neurons through that nobody declared.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DONE = {"nrf_emulator": "models.py", "nrf_loihi": "neurons.py"}
"""Folders of targets that ask so, each with its file of MODELS."""
BENCH = "bench"
"""Peers of the benchmarks, which are not part of a target."""
KINDS = ("nrf_deploy.ir.network", "nrf_deploy.ir.nodes", "nrf_deploy.neurons")
OLD = {"IF", "LIF", "LI", "CubaLI", "CubaLIF", "RectifiedLI", "FlooredIF", "LinearLeakIF", "RateIF"}


def asked(text: str) -> Iterator[str]:
    """Yield each question about the kind of a node that a subclass would answer as its base."""
    tree = ast.parse(text)
    kinds: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {a.name: a.asname or a.name for a in node.names}
            if node.module.startswith(KINDS):
                kinds |= set(names.values())
                yield from (f"import {old}" for old in sorted(OLD & names.keys()))
            elif node.module == "nrf_deploy":
                kinds |= {own for name, own in names.items() if f"nrf_deploy.{name}" in KINDS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            about = node.args[1]
        elif isinstance(node, ast.MatchClass):
            about = node.cls
        else:
            continue
        if kinds & {n.id for n in ast.walk(about) if isinstance(n, ast.Name)}:
            yield ast.unparse(about)


def compared(text: str) -> Iterator[str]:
    """Yield each comparison of a model's name, and each match of it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            sides = [node.func.value]  # model.startswith("cuba")
        else:
            continue
        for side in sides:
            if ast.unparse(side).rpartition(".")[2] == "model":
                yield ast.unparse(node).partition("\n")[0]


def sources(folder: str) -> list[Path]:
    files = sorted((ROOT / "targets" / folder).rglob("*.py"))
    return [f for f in files if BENCH not in f.parts]


@pytest.mark.parametrize("folder", DONE)
def test_no_target_asks_for_a_kind_by_isinstance(folder: str) -> None:
    files = sources(folder)
    assert files
    assert {f.name: found for f in files if (found := list(asked(f.read_text())))} == {}


@pytest.mark.parametrize("folder", DONE)
def test_no_target_compares_the_name_of_a_model_outside_models(folder: str) -> None:
    files = sources(folder)
    assert DONE[folder] in {f.name for f in files}
    others = [f for f in files if f.name != DONE[folder]]
    assert {f.name: found for f in others if (found := list(compared(f.read_text())))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from nrf_deploy.ir.network import Conv as C, Pool\nisinstance(node, (C, str))",
        "from nrf_deploy import neurons\nisinstance(node.rule, neurons.Spikes | None)",
        "from nrf_deploy.neurons.spikes import Spikes\nmatch rule:\n    case Spikes(): pass",
        "from nrf_deploy.ir.network import LIF",
    ],
)
def test_each_way_to_ask_for_a_kind_is_found(text: str) -> None:
    assert list(asked(text))


@pytest.mark.parametrize(
    "text",
    [
        "if unit.model == 'lif': pass",
        "'lif' != model",
        "population.model in ('lif', 'li')",
        "match p.model:\n    case 'lif': pass",
        "cell.model.startswith('cuba')",
    ],
)
def test_each_way_to_compare_a_model_is_found(text: str) -> None:
    assert list(compared(text))


def test_exact_types_and_parts_are_no_such_question() -> None:
    text = (
        "from nrf_deploy.ir.network import Population\ntype(node) is Population\nisinstance(x, str)"
    )
    assert list(asked(text)) == []
    assert list(compared("MODELS[population.model].sends == 'spikes'")) == []
