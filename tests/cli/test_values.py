"""Layers whose value is their potential, and states: how a user reads them back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.io import nir
from nrf_deploy.io.recordings import read
from nrf_deploy.ir.network import LI, Network
from tests.builders.cli_calls import INPUT, answer, refusal, small


@pytest.fixture
def voltages(tmp_path: Path, events: Path) -> Path:
    """Write a bundle whose output is the potential of two LI neurons."""
    network = small()
    two = np.ones(2)
    li = LI(name="last", tau=two / 50, r=two, v_leak=two * 0)
    nodes = tuple(li if n.name == "last" else n for n in network.nodes)
    nir.write(Network(nodes, network.edges, dt=network.dt), tmp_path / "li.nir")
    made = tmp_path / "li.nrfb"
    words = ["compile", str(tmp_path / "li.nir"), "--target", "loihi2", "-o", str(made)]
    assert main([*words, "--calibrate", str(events)]) == 0
    return made


def test_a_potential_is_told_in_units_of_the_model(
    voltages: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["run", str(voltages), "--input", str(events), "-o"]
    chip, model = tmp_path / "chip.npz", tmp_path / "model.npz"
    assert main([*given, str(chip)]) == 0
    assert "gives values: 1 in the model is" in capsys.readouterr().out
    assert main([*given, str(chip), "--json"]) == 0
    (layer,) = answer(capsys)["layers"]
    assert main([*given, str(model), "--engine", "reference", "--json"]) == 0
    (in_model,) = answer(capsys)["layers"]
    assert "unit" not in in_model
    assert main([*given, str(model), "--engine", "reference"]) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert "values" in head
    assert "spikes" not in head
    ours = read(chip)[0].dense() / np.array(layer["unit"])
    theirs = read(model)[0].dense()
    assert np.abs(theirs).max() > 0.1
    assert np.abs(ours - theirs).max() < 0.1 * np.abs(theirs).max()


def test_spikes_have_no_unit(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", str(bundle), "--input", str(events), "-o", str(tmp_path / "o.npz")]
    assert main(words) == 0
    assert "gives values" not in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert "unit" not in answer(capsys)["layers"][0]


def test_what_is_said_before_a_run_stands_apart_from_its_table(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "steps.npy", np.ones((9, 3), np.int64))
    words = [str(bundle), "--input", str(tmp_path / "steps.npy"), "--bin", "1e-3"]
    main(["verify", *words])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("warning[RECORDING-BIN-UNUSED]")
    assert lines[lines.index("emulator against reference") - 1] == ""


def test_states_that_a_run_wrote_can_be_inspected(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--input", str(events), "--layer", "hidden", "--states"]
    assert main(["run", str(bundle), *words, "-o", str(tmp_path / "o.npz")]) == 0
    states = tmp_path / "o.states.npz"
    capsys.readouterr()
    assert main(["inspect", str(states)]) == 0
    assert {"u", "v"} <= {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert main(["inspect", str(states), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    held = np.load(states)["v"]
    assert told["kind"] == "states"
    assert told["variables"]["v"] == {
        "shape": [3], "steps": 50, "range": [held.min(), held.max()],
    }  # fmt: skip


def test_damaged_states_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "o.states.npz"
    np.savez(path, v=np.array(3))
    assert main(["inspect", str(path)]) == INPUT
    assert "has no steps in v" in refusal(capsys)
    path.write_bytes(b"PK\x03\x04 and no more")
    assert main(["inspect", str(path)]) == INPUT
    assert "RECORDING-DAMAGED" in refusal(capsys)
