"""Pairs of engines that show nothing are refused; a recording's delay is named as what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.compare.compare import compare
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.io.recordings import read, write
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification import Limits, Report
from tests.builders.cli_calls import USAGE, refusal, small, unwrapped
from tests.builders.verify_traces import flipped, spikes, trace


@pytest.mark.parametrize("engine", ["emulator", "reference"])
def test_an_engine_is_not_compared_with_itself(
    engine: str, bundle: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", str(bundle), "--input", str(events), "--engine", engine]
    assert main([*words, "--against", engine]) == USAGE
    assert "VERIFY-SAME-ENGINE" in refusal(capsys)
    given = nd.read_recording(events, nd.load(bundle))
    with pytest.raises(UsageError, match="expected two engines"):
        nd.verify(nd.load(bundle), given, engine, engine)


@pytest.fixture
def board(bundle: Path, events: Path, tmp_path: Path) -> list[str]:
    """Return the command that compares a bundle with the output of its layer."""
    path = str(tmp_path / "board.npz")
    words = [str(bundle), "--input", str(events)]
    assert main(["run", *words, "--layer", "hidden", "-o", path]) == 0
    return ["verify", *words, "--against", path, "--layer", "hidden"]


@pytest.mark.parametrize(
    "pair", [["--engine", "reference", "--against", "emulator"], ["--against", "lava"]]
)
def test_causes_are_of_the_emulator_against_the_reference_alone(
    pair: list[str],
    board: list[str],
    bundle: Path,
    events: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (board, ["verify", str(bundle), "--input", str(events), *pair]):
        assert main([*words, "--attribute"]) == USAGE
        assert "VERIFY-ATTRIBUTE-PAIR" in refusal(capsys)
    main(["verify", str(bundle), "--input", str(events), "--attribute"])
    assert "in all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("late", "given", "fix"),
    [
        (0, 1, "the recording is 0 steps behind the model, not 1; leave --behind out"),
        (2, 1, "the recording is 2 steps behind the model, not 1; give --behind 2"),
        (-1, 0, "the recording begins 1 step after the model; record from step 0"),
    ],
)
def test_a_wrong_behind_is_named(
    late: int, given: int, fix: str, board: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = board[5]
    frames = read(path)[0].dense()  # type: ignore[union-attr]
    frames = np.concatenate([np.zeros_like(frames[:late]), frames]) if late > 0 else frames[-late:]
    write(Recording.from_dense(frames), path)
    capsys.readouterr()
    assert main([*board, "--behind", str(given)]) == 1
    said = unwrapped(capsys.readouterr().out)
    assert fix in said
    assert "stated latency" not in said


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (3, "comes 1 step earlier in chip (step 3) than in model (step 4)"),
        (7, "comes 3 steps later in chip (step 7) than in model (step 4)"),
    ],
)
def test_one_spike_that_moved_is_named(to: int, said: str) -> None:
    model = {"one": spikes(1), "two": spikes(2)}
    for t in (3, 4, 7):
        model["two"][t, 1, 2, 3] = t == 4
    chip = model | {"two": flipped(flipped(model["two"], 4, 1, 2, 3), to, 1, 2, 3)}
    c = compare(trace("chip", chip), trace("model", model), order=list(model), counts=list(model))
    told = unwrapped(Report(c, Limits(exact=False), ()).text())
    assert f"1 spike of layer 'two', neuron (1, 2, 3), {said}: nothing else differs" in told
    assert "Most spikes are in both runs" not in told


def test_two_spikes_that_differ_in_two_neurons_did_not_move() -> None:
    model = {"one": spikes(1)}
    model["one"][4, 1, 2, 2:] = 0, 1
    chip = {"one": model["one"].copy()}
    chip["one"][4, 1, 2, 2:] = 1, 0
    c = compare(trace("chip", chip), trace("model", model), order=["one"], counts=["one"])
    told = unwrapped(Report(c, Limits(exact=False), ()).text())
    assert "nothing else differs" not in told
    assert "the counts of the layers are equal" in told or "More than the times" in told


# --- what the text and the refusals name -----------------------------------------------


def test_columns_say_which_run_they_are_of_and_a_class_what_its_share_is(
    events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = tmp_path / "coarse.nrfb"
    nd.save(nd.compile(small(), "emulator:weight_bits=2"), coarse)
    main(["verify", str(coarse), "--input", str(events)])
    lines = capsys.readouterr().out.splitlines()
    heads = next(line for line in lines if "cosine" in line)
    assert heads.split("  ")[-1] == "alone cosine"
    assert "run cosine" in heads
    assert max(map(len, lines)) <= 80
    told = unwrapped("\n".join(lines))
    assert "class: the neuron of the last layer with the largest sum, and its share" in told
