"""No output overwrites what the same call reads, nor another of its outputs; exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.io import nir
from nrf_deploy.io.files import demand_writable, write_text
from tests.builders.cli_calls import USAGE, refusal, small

LABELS = "step,class\n0,1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every file that a call may read, under short names. None is looked into."""
    monkeypatch.chdir(tmp_path)
    nir.write(small(), tmp_path / "m.nir")
    for name in ("b.nrfb", "r.npz", "old.npz", "old.states.npz", "s.toml", "w.pt", "chip.toml"):
        (tmp_path / name).write_text(name)
    (tmp_path / "l.json").write_text("exact = true\n")
    (tmp_path / "labels.json").write_text(LABELS)
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "kit.json").write_text("{}")
    os.link(tmp_path / "r.npz", tmp_path / "hard.npz")
    (tmp_path / "soft.npz").symlink_to("r.npz")
    (tmp_path / "sub").mkdir()
    return tmp_path


VERIFY = "verify b.nrfb --input r.npz"
READ = {
    "limits": f"{VERIFY} --limits l.json --report l.json",
    "limits, junit": f"{VERIFY} --limits l.json --junit l.json",
    "labels": f"{VERIFY} --labels labels.json --report labels.json",
    "against": f"{VERIFY} --against old.npz --bisect old",
    "states": f"{VERIFY} --against old.npz --bisect old.states",
    "other name": f"{VERIFY} --limits l.json --report sub/../l.json",
    "all engines": f"{VERIFY} --engine all --limits l.json --report l.json",
    "bundle": "run b.nrfb --input r.npz -o b.nrfb",
    "hard link": "run b.nrfb --input r.npz -o hard.npz",
    "link": "run b.nrfb --input r.npz -o soft.npz",
    "states of a run": "run b.nrfb --input old.states.npz --states -o old.npz",
    "scheme": "compile m.nir --target loihi2 --scheme s.toml -o s.toml",
    "machine": "compile m.nir --target chip.toml -o chip.toml",
    "machine, export": "export m.nir --target chip.toml --as lava out -o chip.toml",
    "weights": "export m:f --weights w.pt -o w.pt",
    "kit": "conformance --target loihi2 --kit kit --junit kit/kit.json",
    "image": "flash b.nrfb --dry-run --image b.nrfb",
}
TWICE = {
    "report and junit": f"{VERIFY} --report x.json --junit x.json",
    "other name": f"{VERIFY} --report x.json --junit sub/../x.json",
    "one chip twice": "export m:f --target loihi2 --target loihi2 -o x.nir",
    "sample": "export lif-tracker --sample x.npz -o x.npz",
}


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("words", READ.values(), ids=READ)
def test_what_is_read_is_not_overwritten(
    words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(folder)
    assert main(words.split()) == USAGE
    assert "OUTPUT-IS-INPUT" in refusal(capsys) or "export m.nir" in words
    assert content(folder) == before


@pytest.mark.parametrize("words", TWICE.values(), ids=TWICE)
def test_two_outputs_are_two_files(
    words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(folder)
    assert main(words.split()) == USAGE
    assert "OUTPUT-" in refusal(capsys)
    assert content(folder) == before


def test_two_names_of_one_file_are_one_output(folder: Path) -> None:
    (folder / "x.json").write_text("old")
    os.link(folder / "x.json", folder / "y.json")
    assert main([*VERIFY.split(), "--report", "x.json", "--junit", "y.json"]) == USAGE
    assert (folder / "x.json").read_text() == "old"


def test_a_file_beside_the_bundle_of_its_name_is_no_input(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """b.states.npz is not read because b.nrfb is."""
    main(["run", "b.nrfb", "--input", "r.npz", "--states", "-o", "b.npz"])
    assert "OUTPUT-" not in refusal(capsys)


def test_links_in_a_circle_are_no_output(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.symlink_to(two)
    two.symlink_to(one)
    for write in (demand_writable, lambda path: write_text(path, "x")):
        with pytest.raises(UsageError, match="circle"):
            write(one)
    assert one.is_symlink()
    assert two.is_symlink()


def test_a_link_to_nowhere_is_filled(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "file").read_text() == "x"
    assert (tmp_path / "link").is_symlink()
