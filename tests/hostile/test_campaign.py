"""Hostile inputs end in an answer or in a refusal. The long campaign: `make hostile`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .case import Case, Family
from .families import FAMILIES
from .judge import FAILURES, Outcome, judged
from .samples import ROOT
from .table import BEGIN, END, markdown
from .texts import LIMITS, toml


def campaign(*words: str) -> str:
    """Run the campaign in another process, which can fork."""
    environ = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", *words],
        cwd=ROOT, env=environ, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_spread_over_every_family_is_answered_or_refused() -> None:
    """Fixed seeds; a case that fails is printed with the command that repeats it."""
    said = campaign("--short", "--jobs", "2")
    assert f"{sum(f.short for f in FAMILIES):,} cases, 0 failed" in said


@pytest.mark.hostile
def test_the_whole_campaign() -> None:
    said = campaign(*os.environ.get("HOSTILE", "").split())
    assert " 0 failed" in said


# --- the campaign can fail -----------------------------------------------------------


def outcome(tmp_path: Path, said: dict[str, object], ended: int = 0) -> Outcome:
    for name in ("in", "out", "tmp"):
        (tmp_path / name).mkdir(exist_ok=True)
    told = {"code": 0, "cpu": 0.1, "mb": 100, "refusals": [2, 3], "beside": [], "pages": []}
    return judged(Outcome("x", 1, 0), told | said, tmp_path, ended, set(), 0)


def test_a_refusal_is_no_failure(tmp_path: Path) -> None:
    assert outcome(tmp_path, {"code": 3}).kind == "refused"
    assert outcome(tmp_path, {}).kind == "good"


@pytest.mark.parametrize(
    ("name", "said", "ended"),
    [
        ("code", {"code": 4}, 0),
        ("traceback", {"code": 70}, 0),
        ("memory", {"mb": 1600}, 0),
        ("differs", {"golden": "the output of 'n' differs"}, 0),
        ("outside", {"opened": True}, 0),
        ("signal", {"code": None}, 11),
        ("hang", {"code": None, "blocked": True}, 9),
    ],
)
def test_each_failure_is_counted(
    tmp_path: Path, name: str, said: dict[str, object], ended: int
) -> None:
    assert list(outcome(tmp_path, said, ended).failures) == [name]


def test_what_is_printed_and_left_is_looked_at(tmp_path: Path) -> None:
    for name in ("in", "out", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "stdout").write_bytes(b"a name \x1b[31m")
    (tmp_path / "stderr").write_text("Traceback (most recent call last):\n")
    (tmp_path / "out" / "o.npz").write_bytes(b"")
    (tmp_path / "out" / "r.html").write_text('<p><b onx="1">name</b></p>')
    (tmp_path / "tmp" / "x").write_bytes(b"")
    found = outcome(tmp_path, {"code": 3, "beside": [3], "pages": ["out/r.html"]})
    assert set(found.failures) == {"escape", "traceback", "left", "markup"}
    assert set(FAILURES) >= set(found.failures)


def test_a_case_is_the_same_from_its_seed_and_number() -> None:
    family = Family("x", "", lambda box: Case((), ""), 1, 1)
    first, second = (family.rng(3, 7).integers(0, 2**62, 4) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, family.rng(3, 8).integers(0, 2**62, 4))


def test_toml_is_written_as_it_is_read() -> None:
    import tomllib

    assert tomllib.loads(toml(LIMITS)) == LIMITS


def test_the_table_has_a_row_for_each_family_and_one_for_all() -> None:
    ended = [Outcome(f.name, 1, 0, code=0, failures={"left": "x"}) for f in FAMILIES]
    rows = markdown(ended, FAMILIES).split("\n")
    assert len(rows) == 2 + len(FAMILIES) + 1
    assert json.dumps(rows[-1]).count(f"| {len(FAMILIES)} |") == 2


def test_the_long_campaign_has_20_000_cases_and_the_page_its_table() -> None:
    assert sum(f.long for f in FAMILIES) >= 20_000
    _, _, rest = (ROOT / "docs" / "robustness.md").read_text().partition(BEGIN)
    table, _, _ = rest.partition(END)
    for family in FAMILIES:
        assert f"| {family.name} | {family.long} |" in table
