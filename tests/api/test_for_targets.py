"""The module that targets import from has all that the page and the shipped targets need."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from nrf_deploy.api import for_targets

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "add-a-target.md"
WHOLE = (for_targets.network, for_targets.program)
"""Modules of which every name is meant, also what they take from others."""
BENCH = "bench"
"""Peers of the benchmarks, which are not part of a target."""


def imports(text: str) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import from the toolchain."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nrf_deploy"):
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.startswith("nrf_deploy"))


def offered() -> set[int]:
    """Return the objects that the module gives, itself or in one of its modules."""
    own = [v for n, v in vars(for_targets).items() if not n.startswith("_")]
    inside = [
        v
        for m in own
        if isinstance(m, ModuleType)
        for v in vars(m).values()
        if m in WHOLE or getattr(v, "__module__", m.__name__) == m.__name__
    ]
    return {id(v) for v in (*own, *inside)}


def value(module: str, name: str) -> object:
    found = getattr(import_module(module), name, None)
    return import_module(f"{module}.{name}") if found is None else found


def files() -> list[Path]:
    found = [p for p in (ROOT / "targets").rglob("*.py") if BENCH not in p.parts]
    return [p for p in found if not p.name.startswith("worker_")]


def test_the_shipped_targets_take_nothing_else_but_what_has_a_reason() -> None:
    known, reasons, lacking = offered(), set(), set()
    for path in files():
        for module, name in imports(path.read_text()):
            if (module, name) == ("nrf_deploy", "__version__") or id(value(module, name)) in known:
                continue
            whole = f"{module}.{name}"
            inner = [r for r in for_targets.INNER if whole == r or whole.startswith(f"{r}.")]
            reasons |= set(inner)
            lacking |= set() if inner else {f"{path.name} imports {whole}"}
    assert sorted(lacking) == [], "add them to nrf_deploy/api/for_targets.py, or a reason to INNER"
    assert reasons == set(for_targets.INNER), "a reason for nothing"


def test_the_page_takes_nothing_else() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    taken = [line for b in blocks for line in b.splitlines() if "import" in line.split()[:3:2]]
    ours = [line for line in taken if "nrf_deploy" in line]
    assert ours == ["from nrf_deploy.api import for_targets as nrf"]
    names = re.findall(r"\bnrf\.(\w+)", "".join(blocks))
    assert len(set(names)) > 20
    assert [n for n in names if not hasattr(for_targets, n)] == []


def test_it_is_imported_without_numba_h5py_or_torch() -> None:
    code = (
        "import sys, nrf_deploy.api.for_targets; "
        "print(sorted({'numba', 'h5py', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
