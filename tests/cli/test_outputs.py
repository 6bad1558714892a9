"""Outputs: a file that cannot be written is reported before the long work; then silence."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.compare.compare import compare
from nrf_deploy.diagnostics.text import several
from nrf_deploy.io.recordings import write
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.verification import Limits, Report, judge
from tests.builders.cli_calls import USAGE, answer, refusal, unwrapped


@pytest.fixture
def no_run(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the bundle is there nothing may start any more.

    verify takes run_engine when it is first imported: its own goes first.
    """
    monkeypatch.setattr("nrf_deploy.verification.verify.run_engine", None)
    monkeypatch.setattr("nrf_deploy.bundle.run_bundle.run_engine", None)
    monkeypatch.setattr("nrf_deploy.bundle.pipeline.check", None)


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize("place", ["{none}/x{end}", "{file}/x{end}", "{folder}{end}"])
@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["verify", "{bundle}", "--input", "{events}", "--report"], ".html"),
        (["verify", "{bundle}", "--input", "{events}", "--report"], ".json"),
        (["verify", "{bundle}", "{bundle}", "--input", "{events}", "--report"], ".json"),
        (["verify", "{bundle}", "--input", "{events}", "--junit"], ".xml"),
        (["verify", "{bundle}", "--input", "{events}", "--bisect"], ""),
        (["run", "{bundle}", "--input", "{events}", "-o"], ".npz"),
        (["compile", "{model}", "--target", "loihi2", "-o"], ".nrfb"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_runs(
    words: list[str],
    end: str,
    place: str,
    bundle: Path,
    model: Path,
    events: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    suffix = ".nrfb" if "--bisect" in words else end
    (tmp_path / f"folder{suffix}").mkdir()
    places = {"bundle": bundle, "events": events, "model": model, "none": tmp_path / "none",
              "file": events, "folder": tmp_path / "folder", "end": end}  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    assert main([w.format(**places) for w in (*words, place)]) == USAGE
    assert "OUTPUT-UNWRITABLE" in refusal(capsys)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run the tests as a user")
@pytest.mark.usefixtures("no_run")
def test_a_folder_that_is_closed_to_us_is_refused_before_anything_runs(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    words = ["verify", str(bundle), "--input", str(events), "--report", str(closed / "r.html")]
    assert main(words) == USAGE
    assert "OUTPUT-UNWRITABLE" in refusal(capsys)


def test_a_report_may_replace_an_old_one(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text("old")
    words = ["verify", str(bundle), "--input", str(events), "--limit", "9"]
    assert main([*words, "--report", str(tmp_path / "r.json")]) == 0
    assert (tmp_path / "r.json").read_text() != "old"
    capsys.readouterr()


def test_a_run_in_which_nothing_spikes_says_so(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = tmp_path / "quiet.npz"
    write(Recording.from_dense(np.zeros((1, 3), np.int64), 1e-3), quiet)
    words = ["run", str(bundle), "--input", str(quiet), "-o", str(tmp_path / "out.npz")]
    assert main(words) == 0
    text = unwrapped(capsys.readouterr().out)
    assert "warning[RUN-NO-SPIKES]" in text
    assert "'last'" in text
    assert main([*words, "--json"]) == 0
    assert "RUN-NO-SPIKES" in {f["code"] for f in answer(capsys)["findings"]}


def test_a_run_that_spikes_says_nothing_of_silence(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(bundle), "--input", str(events), "-o", str(tmp_path / "o.npz")]) == 0
    assert "RUN-NO-SPIKES" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 places"), (1, "1 place"), (2, "2 places"), (1234, "1,234 places")]
)
def test_one_is_not_said_as_many(count: int, said: str) -> None:
    assert several(count, "place") == said


@pytest.mark.parametrize("steps", [1, 2])
def test_a_report_of_one_counts_in_the_singular(steps: int) -> None:
    """One place differs, one spike is there: nothing says 1 places, 1 spikes, 1 steps."""
    left, right = np.zeros((2, steps, 2), np.int64)
    left[0, 0] = right[0, 1] = 1
    traces = [Trace(n, {"one": Recording.from_dense(f)}, {}, {})
              for n, f in (("chip", left), ("model", right))]  # fmt: skip
    for limits in (Limits(exact=False, spike_count_error=9), Limits(exact=True)):
        c = compare(*traces, order=["one"])
        text = unwrapped(Report(c, limits, tuple(judge(c, limits))).text())
        assert not re.search(r"\b1 (places|mismatches|spikes|steps|events|errors|times)\b", text), (
            text
        )
