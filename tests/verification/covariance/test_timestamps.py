"""Timestamps of a recording, stretched and binned again: a camera in front of a slower scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle.inputs import recording_for, slower
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.io.recordings import read, write
from nrf_deploy.ir.network import LIF, Conv, Input, Network, Node, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.covariance import EXACT, covariance

SIZE, DT = 34, 1e-3


def events(
    seed: int = 0, count: int = 600, side: int = SIZE, until: int = 60_000
) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, until, count))
    return {"t": t, "x": rng.integers(0, side, count), "y": rng.integers(0, side, count),
            "p": rng.integers(0, 2, count)}  # fmt: skip


def saved(path: Path, columns: dict[str, object]) -> Path:
    np.savez(path, **columns)
    return path


def ladder_network(side: int = SIZE) -> Network:
    """Build two temporal channels behind one convolution."""
    rng = np.random.default_rng(3)
    conv = Conv(
        name="w", weight=rng.normal(0.1, 0.5, (3, 2, 5, 5)), input_size=(side, side),
        stride=(4, 4), padding=((2, 2), (2, 2)), dilation=(1, 1),
    )  # fmt: skip
    nodes: list[Node] = [Input(name="x", port_shape=(2, side, side)), conv]
    edges = [("x", "w")]
    ones = np.ones(conv.shape)
    for k, mu in enumerate((4.0, 8.0)):
        nodes.append(
            LIF(name=f"n{k}", tau=mu * DT * ones, r=ones, v_leak=0 * ones,
                v_threshold=0.8 / mu * ones, v_reset=0 * ones)
        )  # fmt: skip
        edges += [("w", f"n{k}"), (f"n{k}", "y")]
    nodes.append(Output(name="y", port_shape=conv.shape))
    return Network(tuple(nodes), tuple(edges), DT)


@given(seed=st.integers(0, 99), by=st.integers(1, 7), microseconds=st.integers(100, 3000))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_stretched_times_are_binned_exactly(
    tmp_path_factory: pytest.TempPathFactory, seed: int, by: int, microseconds: int
) -> None:
    """Times `by` times as long give the same bins, also if a third of a step is not decimal."""
    folder = tmp_path_factory.mktemp("slow")
    columns = events(seed, 200, 8, 20_000)
    slow = columns | {"t": columns["t"] * by}  # type: ignore[operator]
    paths = saved(folder / "a.npz", columns), saved(folder / "b.npz", slow)
    options = {"shape": (2, 8, 8), "bin": microseconds * 1e-6}
    made, _ = read(paths[0], stretch=by, **options)  # type: ignore[arg-type]
    wanted, _ = read(paths[1], **options)  # type: ignore[arg-type]
    assert made.same(wanted)


def test_a_window_in_time_is_of_the_recording_as_it_was(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", events())
    options = {"shape": (2, SIZE, SIZE), "bin": DT, "start": 0.01, "until": 0.03}
    short, _ = read(path, **options)  # type: ignore[arg-type]
    long, _ = read(path, stretch=3, **options)  # type: ignore[arg-type]
    assert long.value.sum() == short.value.sum()
    assert 2 * short.steps < long.steps <= 3 * short.steps
    assert long.made[-2:] == ("time x3", "bin 0.001 s")


def test_what_has_no_timestamps_cannot_be_stretched(tmp_path: Path) -> None:
    write(Recording.from_dense(np.ones((3, 2, 4, 4), np.int64), DT), tmp_path / "x.npz")
    with pytest.raises(UsageError, match="RECORDING-STRETCH"):
        read(tmp_path / "x.npz", stretch=2)
    with pytest.raises(UsageError, match="RECORDING-STRETCH"):
        read(saved(tmp_path / "a.npz", events()), shape=(2, SIZE, SIZE), bin=DT, stretch=0)
    assert slower(ladder_network(4), tmp_path / "x.npz") is None


def test_the_command_line_stretches_what_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "a.npz", events(count=3000))
    bundle = tmp_path / "b.nrfb"
    nd.save(nd.compile(ladder_network(), "loihi2"), bundle)
    words = ["verify", str(bundle), "--input", str(path), "--bin", "1e-3", "--clip", "1",
             "--covariance", "--limit", "9", "--json"]  # fmt: skip
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)["covariance"]["tests"]["timestamps"]
    assert told["ran"]
    assert [f["code"] for f in told["findings"]] == ["COVARIANCE-TIMESTAMPS"]


def test_binning_is_what_costs_most_with_a_real_recording(shared: Path) -> None:
    """A camera's timestamps: the network is exact, and its spikes still move."""
    path, options = shared / "recordings" / "nmnist_sample.npz", {"bin": DT, "clip": 1}
    network = ladder_network()
    given, _ = recording_for(network, path, **options)  # type: ignore[arg-type]
    real = slower(network, path, **options)  # type: ignore[arg-type]
    found = covariance(nd.compile(network, "loihi2"), given.until(120), slower=real).tests
    (zero,), (moved,) = found["zero-stuffing"].rows, found["timestamps"].rows
    assert zero.spikes > 100
    assert zero.errors[EXACT] == 0 < moved.errors[EXACT]
    assert moved.dominant == "binning"
    (said,) = found["timestamps"].said
    assert "binning" in said.what
