"""The README's example prints what it shows, and CONTRIBUTING names files that exist."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from tests.builders.cli_calls import call

ROOT = Path(__file__).parents[2]
DOTS = "..."


def example() -> list[tuple[str, str]]:
    """Return the commands of the README's first example, and the output shown for each."""
    page = (ROOT / "README.md").read_text("utf-8")
    block = next(b for b in re.findall(r"```\n(.*?)```", page, re.DOTALL) if b.startswith("$ "))
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def shows(shown: str, printed: str) -> bool:
    """Return whether the lines shown are those printed, where dots stand for any lines."""
    parts = [re.escape(part.strip("\n")) for part in f"\n{shown.strip()}\n".split(f"\n{DOTS}\n")]
    return re.fullmatch(r"(?:.*\n)*?".join(f"{p}\n*" for p in parts), printed) is not None


def test_the_example_goes_from_export_to_verify() -> None:
    verbs = [shlex.split(command)[1] for command, _ in example()]
    assert verbs == ["export", "check", "compile", "verify", "verify"]


def test_dots_stand_for_whole_lines_only() -> None:
    printed = "one\n\ntwo\nthree\nfour\n"
    assert shows("one\n...\nthree\nfour", printed)
    assert shows("...\nfour", printed)
    assert not shows("one\n...\nhree\nfour", printed)
    assert not shows("one\n...\nthree", printed)
    assert not shows("one\nthree\n...", printed)


def test_the_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (lava,) = json.loads(call("sdk", "list", "lava", "--json").stdout)["sdks"]
    for command, shown in example():
        if "lava" in command and not lava["installed"]:
            continue
        program, *words = shlex.split(command)
        assert program == "nrf-deploy"
        done = call(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert shows(shown, done.stdout), f"{command}\n{done.stdout}"
    if not lava["installed"]:
        pytest.skip("the last command needs Lava: nrf-deploy sdk install lava")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 120


def test_every_path_of_contributing_exists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = re.findall(r"`((?:nrf_deploy|targets|models|benchmarks|tests|tools)/[\w./]*)`", page)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_words_of_the_glossary_are_sorted_and_have_one_sentence_each() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)[1:]
    words = [word for word, _ in rows]
    assert all(a < b for a, b in pairwise(words))
    assert [word for word, meaning in rows if ". " in meaning] == []
    named = "population membrane rule connection layer scheme origin trace finding dialect witness"
    assert {*named.split(), "mismatch", "in isolation", "spike-time distance"} <= set(words)
