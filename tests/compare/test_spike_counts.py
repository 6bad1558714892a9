"""Every count of spikes and events: where a value of n stands, n are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.io.recordings import write
from nrf_deploy.ir.recording import Recording, Trace
from tests.builders.cli_calls import answer, unwrapped
from tests.builders.speck_networks import chain, conv, neurons


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """Write a bundle whose layer spikes up to twice in a step, its input, and an output."""
    network = chain(
        (1, 2, 2), conv("c", np.full((1, 1, 1, 1), 2.0), (2, 2)), neurons("n", (1, 2, 2))
    )
    paths = [str(tmp_path / name) for name in ("m.nrfb", "in.npz", "out.npz")]
    nd.save(nd.compile(network, "speck2b"), paths[0])
    frames = np.zeros((6, 1, 2, 2), np.int64)
    frames[1, 0, 0] = 1, 2
    frames[3, 0, 1] = 2, 0
    write(Recording.from_dense(frames, 1.0), paths[1])
    return paths[0], paths[1], paths[2]


def test_run_verify_and_inspect_count_the_same_spikes(
    files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, given, out = files
    words = ["run", bundle, "--input", given, "--layer", "n", "-o", out]
    assert main(words) == 0
    assert "5 spikes at 3 places" in unwrapped(capsys.readouterr().out)
    assert main([*words, "--json"]) == 0
    (layer,) = answer(capsys)["layers"]
    assert (layer["events"], layer["places"]) == (5, 3)
    main(["verify", bundle, "--input", given, "--json"])
    report = answer(capsys)["report"]
    assert report["layers"][0]["spikes_left"] == 5
    assert report["context"]["input_events"] == 5
    assert main(["inspect", out, "--json"]) == 0
    seen = answer(capsys)
    assert (seen["events"], seen["places"]) == (5, 3)
    assert main(["inspect", out]) == 0
    told = unwrapped(capsys.readouterr().out)
    assert "events 5 places 3 (an element in a step)" in told
    assert "busiest step 3 events" in told


def test_events_are_counted_by_their_values_where_these_are_counts() -> None:
    frames = np.array([[3, 0], [0, 0], [1, 2]])
    held = Recording.from_dense(frames)
    assert (held.events, held.events_by_step().tolist()) == (6, [3, 0, 3])
    assert "6 events" in repr(held)
    assert "6 events" in repr(Trace("chip", {"n": held}, {}, {}))


@pytest.mark.parametrize("frames", [np.array([[-3, 5]]), np.array([[0.5, 7.0]])])
def test_values_that_are_no_counts_are_one_event_each(frames: np.ndarray) -> None:
    held = Recording.from_dense(frames)
    assert (held.events, held.events_by_step().tolist()) == (2, [2])


def test_a_recording_without_an_event_has_none() -> None:
    held = Recording.from_dense(np.zeros((2, 3), np.int64))
    assert (held.events, held.events_by_step().tolist()) == (0, [0, 0])
