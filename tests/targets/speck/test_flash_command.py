"""`nrf-deploy flash`: the file is there whole or not at all, and the board is the one meant."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.compiler.abilities import Boards, Flashed, Image
from nrf_deploy.diagnostics.findings import MissingError, TargetError, error
from tests.builders.cli_calls import MISSING, USAGE, answer, refusal, small, unwrapped
from tests.builders.speck_networks import chain, conv, neurons

DATA = bytes(range(256)) * 5


class Acme:
    """A target whose boards are a list, and whose image is bytes."""

    def __init__(self) -> None:
        self.suiting: tuple[str, ...] = ("Acme:1",)
        self.others: tuple[str, ...] = ()
        self.loaded: list[tuple[str, float | None]] = []
        self.findings: tuple[nd.Finding, ...] = ()

    def image(self, bundle: nd.Bundle) -> Image:
        return Image(DATA, "words of 8 bits", {"weights": 7, "states": 9}, ("all is well",))

    def boards(self, bundle: nd.Bundle) -> Boards:
        return Boards(self.suiting, self.others, "USB boards of the type Acme*")

    def flash(self, bundle: nd.Bundle, board: str, tick: float | None) -> Flashed:
        self.loaded.append((board, tick))
        return Flashed(board, {"weights": 7}, {"weights": 6}, self.findings)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model.nrfb"
    nd.save(nd.compile(small(), "loihi2"), path)
    return path


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Acme:
    target = Acme()
    monkeypatch.setattr(
        import_module("nrf_deploy.bundle.flash"), "target_of", lambda bundle: target
    )
    return target


# --- the image ---------------------------------------------------------------------


def test_a_dry_run_writes_the_image_and_touches_no_board(
    bundle: Path, acme: Acme, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.img"
    assert main(["flash", str(bundle), "--dry-run", "--image", str(file)]) == 0
    assert file.read_bytes() == DATA
    assert acme.loaded == []
    said = capsys.readouterr().out
    assert "1,280 bytes, words of 8 bits" in said
    assert "7 weights, 9 states" in said
    assert "all is well" in said


def test_without_a_file_it_is_said_that_nothing_was_written(
    bundle: Path, acme: Acme, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", str(bundle), "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert [p.name for p in bundle.parent.iterdir()] == ["model.nrfb"]


def test_long_checks_stay_within_80_columns(
    bundle: Path, acme: Acme, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image(
        DATA, "words of 8 bits", {f"states of layer {k}": k for k in range(20)}, ("w " * 90,)
    )
    monkeypatch.setattr(acme, "image", lambda _: image)
    assert main(["flash", str(bundle), "--dry-run"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_json_has_the_hash_of_the_image(
    bundle: Path, acme: Acme, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", str(bundle), "--dry-run", "--json"]) == 0
    image = answer(capsys)["image"]
    assert image["bytes"] == len(DATA)
    assert len(image["sha256"]) == 64
    assert image["file"] is None


def test_an_image_that_cannot_be_made_leaves_the_old_file(
    bundle: Path, acme: Acme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.img"
    file.write_bytes(b"old")

    def fail(bundle: nd.Bundle) -> Image:
        raise MissingError(error("SDK-CRASHED", "the worker ended with the signal SIGSEGV"))

    monkeypatch.setattr(acme, "image", fail)
    assert main(["flash", str(bundle), "--dry-run", "--image", str(file)]) == MISSING
    assert file.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["model.img", "model.nrfb"]


@pytest.mark.parametrize("name", ["model.nrfb", "model.nir", "model.npz"])
def test_an_image_does_not_go_over_or_among_other_files(
    name: str, bundle: Path, acme: Acme, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bundle.read_bytes()
    file = bundle.with_name(name)
    assert main(["flash", str(bundle), "--dry-run", "--image", str(file)]) == USAGE
    assert bundle.read_bytes() == before
    assert ".img" in refusal(capsys)


def test_a_target_without_a_configuration_says_so(
    bundle: Path, acme: Acme, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["flash", str(bundle), "--dry-run", "--image", str(tmp_path / "x.json")]
    assert main(words) == USAGE
    assert "FLASH-NO-JSON" in refusal(capsys)
    assert not (tmp_path / "x.json").exists()


# --- Speck: a configuration as JSON -------------------------------------------------


def speck(chip: str, path: Path) -> nd.Bundle:
    network = chain((1, 8, 8), conv("k", CROSS, (8, 8)), neurons("n", (2, 6, 6)))
    made = nd.compile(network, chip)
    nd.save(made, path)
    return made


CROSS = np.array([[[[0, 3, 0], [3, -5, 3], [0, 3, 0]]], [[[1, 0, 1], [0, 2, 0], [1, 0, 1]]]]) / 8


@pytest.mark.parametrize("chip", ["speck2b", "dynapcnn", "speck2e", "speck2f"])
def test_every_speck_s_configuration_becomes_json_without_an_sdk(
    chip: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("nrf_speck.samna.client.call", None)  # nobody is asked
    made = speck(chip, tmp_path / "m.nrfb")
    file = tmp_path / "x.json"
    assert main(["flash", str(tmp_path / "m.nrfb"), "--dry-run", "--image", str(file)]) == 0
    said = unwrapped(capsys.readouterr().out)
    assert f"the configuration for {chip}: {file.stat().st_size:,} bytes, JSON" in said
    assert "1 cores, 18 weights, 0 biases, 72 neuron states" in said
    assert "not checked: samna's verdict" in said
    assert file.read_bytes() == made.artefacts["speck/configuration.json"]
    (conv_,) = made.program.synapses
    assert sorted(weights(json.loads(file.read_text()))) == sorted(conv_.weight.ravel().tolist())


def weights(held: Any) -> list[int]:
    """Return the numbers under the name `weights`, of the one core that has more than one."""
    found: list[int] = []
    if isinstance(held, dict):
        for name, value in held.items():
            if name == "weights":
                values = value["values"] if isinstance(value, dict) else value
                flat = np.ravel(values).tolist()
                found += flat if len(flat) > 1 else []
            else:
                found += weights(value)
    elif isinstance(held, list):
        found += [number for part in held for number in weights(part)]
    return found


@pytest.mark.parametrize("chip", ["speck2e", "speck2f"])
def test_a_dry_run_of_a_newer_speck_checks_its_configuration(
    chip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended with 5: there is no word stream (use.md 3)."""
    made = speck(chip, tmp_path / "m.nrfb")
    words = ["flash", str(tmp_path / "m.nrfb"), "--dry-run"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "rules of samna 0.7's validator" in unwrapped(text)
    assert f"samna 0.7, which needs no board, does not have {chip}" in unwrapped(text)
    assert "nothing was written; --image F.json keeps it" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main([*words, "--json"]) == 0
    told = answer(capsys)["image"]
    assert told["sha256"] == hashlib.sha256(nd.image(made).data).hexdigest()
    assert told["unchecked"]

    file = tmp_path / "x.img"
    assert main([*words, "--image", str(file)]) == MISSING
    said = unwrapped(refusal(capsys))
    assert f"a word stream for {chip} needs a board" in said
    assert "--image F.json" in said
    assert not file.exists()


def test_a_configuration_that_a_chip_would_not_take_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = speck("speck2f", tmp_path / "m.nrfb")
    (population,) = made.program.populations
    wrong = replace(population, params={**population.params, "threshold_low": 0})
    program = replace(made.program, populations=(wrong,))
    with pytest.raises(TargetError, match="SPECK-"):
        nd.image(replace(made, program=program))


# --- the board ----------------------------------------------------------------------


def test_the_one_board_is_loaded(
    bundle: Path, acme: Acme, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", str(bundle), "--tick", "1e-3"]) == 0
    assert acme.loaded == [("Acme:1", 1e-3)]
    said = capsys.readouterr().out
    assert "Acme:1 is loaded" in said
    assert "read back and found equal: 6 weights" in said


def test_of_several_boards_one_must_be_named(
    bundle: Path, acme: Acme, capsys: pytest.CaptureFixture[str]
) -> None:
    acme.suiting = ("Acme:1", "Acme:2")
    assert main(["flash", str(bundle)]) == USAGE
    assert "choose one by --device: Acme:1, Acme:2" in unwrapped(refusal(capsys))
    assert main(["flash", str(bundle), "--device", "Acme:3"]) == USAGE
    assert "there is no board 'Acme:3'" in refusal(capsys)
    assert acme.loaded == []
    assert main(["flash", str(bundle), "--device", "Acme:2"]) == 0
    assert acme.loaded == [("Acme:2", None)]


def test_without_a_board_it_is_said_what_was_looked_for(
    bundle: Path, acme: Acme, capsys: pytest.CaptureFixture[str]
) -> None:
    acme.suiting, acme.others = (), ("Other:5",)
    assert main(["flash", str(bundle)]) == MISSING
    said = unwrapped(refusal(capsys))
    assert "looked for USB boards of the type Acme*; also plugged in: Other:5" in said
    assert "--dry-run" in said


def test_a_board_that_holds_something_else_fails_the_verb(
    bundle: Path, acme: Acme, capsys: pytest.CaptureFixture[str]
) -> None:
    acme.findings = (error("FLASH-DIFFERS", "1 of 7 values is not what was written"),)
    assert main(["flash", str(bundle), "--json"]) == 1
    said = answer(capsys)
    assert (said["ok"], said["board"], said["read"]) == (False, "Acme:1", {"weights": 6})
    assert said["findings"][0]["code"] == "FLASH-DIFFERS"


def test_a_target_without_a_way_to_its_boards_says_why(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", str(bundle), "--dry-run"]) == MISSING
    said = unwrapped(refusal(capsys))
    assert "there is no way to a board of loihi2 here" in said
    assert "extension of Lava that is not public" in said
