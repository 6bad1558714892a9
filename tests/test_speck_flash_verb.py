"""`nrf-deploy flash`: the file is there whole or not at all, and the board is the one meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_calls import MISSING, USAGE, answer, refusal, small, unwrapped

import nrf_deploy as nd
from nrf_deploy import flash as flashing
from nrf_deploy.cli import main
from nrf_deploy.findings import MissingError, error
from nrf_deploy.flash import Boards, Flashed, Image

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
    monkeypatch.setattr(flashing, "target_of", lambda bundle: target)
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
