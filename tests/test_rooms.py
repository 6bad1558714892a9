"""The rooms of the package: their order, what lies at the top, and no import upward."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nrf_deploy"

ORDER = (
    "diagnostics",
    "neurons",
    "ir",
    "io",
    "engines",
    "torch",
    "compare",
    "witness",
    "compiler",
    "bundle",
    "verification",
    "testing",
    "api",
    "cli",
)
"""From the bottom up: a room imports its own modules and rooms before it, never one after it."""
TYPES_ALONE = {"nrf_deploy.compiler.abilities": "nrf_deploy.bundle.bundle"}
"""Imports upward under TYPE_CHECKING, by their modules: the abilities of targets take bundles."""
LOOSE = {"__init__.py", "__main__.py", "py.typed"}
MOST_FOLDERS = 16
TARGETS = sorted(p.name for p in (ROOT / "targets").glob("nrf_*"))
ROOTS = {"nrf_deploy": ROOT, **dict.fromkeys(TARGETS, ROOT / "targets")}


def modules(package: str) -> dict[str, Path]:
    """Return every module of a package by its dotted name."""
    root = ROOTS[package]
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path) -> Iterator[str]:
    """Yield the absolute name of every module that a file imports, at the top or in a function."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def for_types(tree: ast.Module) -> set[str]:
    """Return the modules that a file imports only under `if TYPE_CHECKING:`."""
    blocks = [n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    inside = [n for block in blocks for n in block.body if isinstance(n, ast.ImportFrom)]
    return {node.module for node in inside if node.module and not node.level}


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules among `known` that a file imports."""
    for target in imports(name, path):
        parts = target.split(".")
        while parts and ".".join(parts) not in known:
            parts.pop()
        if parts:
            yield ".".join(parts)


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_only_the_entry_points_lie_loose_at_the_top() -> None:
    assert {p.name for p in PACKAGE.iterdir() if p.is_file()} == LOOSE


def test_the_rooms_are_those_of_the_order() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(ORDER)
    assert len(folders) <= MOST_FOLDERS


def test_no_import_leads_upward() -> None:
    """The two files at the top stand above all rooms: they are imported for the version alone."""
    known = modules("nrf_deploy")
    upward = [
        f"{name} imports {target}"
        for name, path in known.items()
        if room(name) in ORDER
        for target in imported(name, path, known)
        if room(target) in ORDER and ORDER.index(room(target)) > ORDER.index(room(name))
    ]
    for_types_alone = [
        f"{name} imports {target}"
        for name, target in TYPES_ALONE.items()
        if target in for_types(ast.parse(known[name].read_text()))
    ]
    assert upward == for_types_alone


def test_a_room_takes_the_version_alone_from_the_top() -> None:
    known = modules("nrf_deploy")
    taken = {
        f"{name} imports {target}"
        for name, path in known.items()
        if room(name) in ORDER
        for target in imports(name, path)
        if target.startswith("nrf_deploy") and room(target) not in ORDER
    }
    assert {t for t in taken if not t.endswith("nrf_deploy.__version__")} == set()


@pytest.mark.parametrize("package", ROOTS)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    """Imports at the top of files; one inside a function runs after both are loaded."""
    known = modules(package)
    before: dict[str, set[str]] = {}
    for name, path in known.items():
        top = ast.parse(path.read_text())
        top.body = [n for n in top.body if isinstance(n, ast.Import | ast.ImportFrom)]
        before[name] = set(_of(name, path, top, known)) - {name}
    left = dict(before)
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free:
            del left[name]
    assert sorted(left) == []


def _of(name: str, path: Path, tree: ast.Module, known: dict[str, Path]) -> Iterator[str]:
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in known:
                    yield full
                elif base in known:
                    yield base


def test_no_target_is_imported_by_the_toolchain() -> None:
    known = modules("nrf_deploy")
    taken = [
        f"{name} imports {target}"
        for name, path in known.items()
        for target in imports(name, path)
        if target.split(".")[0] in TARGETS
    ]
    assert taken == []


def test_targets_do_not_import_each_other() -> None:
    taken = [
        f"{name} imports {target}"
        for package in TARGETS
        for name, path in modules(package).items()
        for target in imports(name, path)
        if target.split(".")[0] in set(TARGETS) - {package}
    ]
    assert taken == []
