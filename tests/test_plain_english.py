"""The check of the project's English: phrases, docstrings, names, and the list of what waits."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import plain_english  # noqa: E402


def texts(source: str, path: str = "nrf_deploy/x.py") -> list[tuple[int, str]]:
    return [(line, text) for line, text, _ in plain_english.problems(path, source)]


@pytest.mark.parametrize(
    ("sentence", "phrase"),
    [
        ("Reads so many bytes.", "so many"),
        ("It runs as ever.", "as ever"),
        ("The value is no integer.", "is no integer"),
        ("a layer which the network has not.", "has not"),
        ("a layer that is there", "that is there"),
        ("the run goes on with the others", "goes on"),
        ("it stops by itself", "by itself"),
        ("two at the most", "at the most"),
        ("the runs come one behind the other", "one behind the other"),
        ("what is missing is told", "what is missing is told"),
        ("r.txt says not which format", "says not"),
    ],
)
def test_a_forbidden_phrase_is_found_in_strings_comments_and_pages(
    sentence: str, phrase: str
) -> None:
    assert (1, phrase) in texts(f'x = f"{sentence}"')
    assert (2, phrase) in texts(f"x = 1\n# {sentence}\n")
    assert (3, phrase) in texts(f"# A title\n\n{sentence}\n", "docs/x.md")


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no input, and the run has not been started.",
        "The run has not reached it. It says nothing and is no longer needed.",
        "The model cannot go on this target.",
        "It is one of the most common.",
    ],
)
def test_correct_english_that_looks_alike_is_not_reported(sentence: str) -> None:
    assert texts(f'x = "{sentence}"') == texts(sentence, "docs/x.md") == []


def test_a_phrase_is_found_across_lines_and_adjacent_strings_but_not_across_code() -> None:
    assert texts("# there are so\n# many of them") == [(1, "so many")]
    assert texts('x = ("so "\n    "many")') == [(1, "so many")]
    assert texts('x = ["so", "many"]') == texts("so = many") == []


def test_code_in_a_text_is_not_searched() -> None:
    assert texts("Write `so many` and\n```\nso many\n```\n[x](so many)\n", "docs/x.md") == []
    assert texts("# `so many`") == []


def test_a_function_begins_with_a_verb_and_all_else_with_a_noun() -> None:
    source = '"""What reads."""\nclass A:\n    """How."""\n    def f(self): "The sum."\n'
    assert texts(source) == [(1, "What"), (3, "How"), (4, "The")]
    right = '"""Reader."""\nclass A:\n    """A reader."""\n    def f(self): "Return it."\n'
    assert texts(right) == []


def test_a_property_and_a_test_are_no_commands() -> None:
    assert texts('class A:\n    @property\n    def f(self): "The sum."\n') == []
    assert texts('def test_it_runs(): "A run."\n') == []


def test_a_participle_is_not_a_name() -> None:
    assert texts("found = 1") == texts("def f(found): pass") == [(1, "found")]
    assert texts("findings = found.most") == []
    assert texts("class A:\n    most: int\n    def f(self): most = 1\n") == [(3, "most")]


def test_ruff_exempts_the_same_python_files() -> None:
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    exempt = {path for path, rules in ruff["per-file-ignores"].items() if "D400" in rules}
    assert {p for p in plain_english.WAITING if not p.endswith(".md")} == exempt
    assert {"D400", "D401", "D403", "D417"} <= set(ruff["select"])


def test_all_that_does_not_wait_is_plain_english() -> None:
    command = [sys.executable, "tools/plain_english.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
