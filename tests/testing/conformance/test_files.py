"""Conformance kits as files: recordings of silicon with their blind spots, bad kits, the verb."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from nrf_deploy import __version__
from nrf_deploy.cli.main import main
from nrf_deploy.compiler.target import targets
from nrf_deploy.ir.program import Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.testing.conformance import (
    Case,
    Kit,
    Unknown,
    read_kit,
    run_conformance,
    show,
    write_kit,
)
from nrf_deploy.testing.conformance.case import by_hand
from nrf_deploy.testing.conformance.run import kits_of, model_kit
from nrf_deploy.testing.conformance.store import LIMIT
from tests.builders.cli_calls import USAGE, answer, refusal, unwrapped
from tests.builders.conformance_kits import ROOT, SPECK, contents, loihi_kit
from tools.kits.program_parts import dense, port, program

# --- recorded on silicon ---------------------------------------------------------


@pytest.fixture
def recorded(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Return the NIR paper's LIF on a Loihi 2, in the kit's format of docs/conformance.md."""
    with np.load(shared / "conformance" / "silicon" / "nir_paper_01_lif.npz") as file:
        chip = {name: file[name] for name in file.files}
    params = {name: int(chip[name]) for name in ("du", "dv", "vth")}
    neuron = Population(name="n", shape=(1,), model="lif", params=params)
    made = program("loihi", port(1), dense(chip["weight"]), neuron)
    names: dict[str, Any] = {
        "bundle": by_hand(made, "loihi", "loihi2", __version__),
        "given": Recording.from_dense(chip["input"].astype(np.int64)[:, None]),
        "spikes": chip["s_loihi"].astype(np.int64)[:, None],
        "potentials": chip["v_loihi"].astype(np.int64)[:, None],
    }
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "conformance.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(code, names)
    (case,) = read_kit("recorded").cases
    return case


def kept(case: Case, folder: Path) -> Path:
    write_kit(Kit(about="recorded", cases=(case,)), folder)
    return folder


def test_what_a_loihi_2_gave_is_met_but_for_what_it_cannot_show(
    recorded: Case, tmp_path: Path
) -> None:
    found = run_conformance("loihi2", kit=[kept(recorded, tmp_path)], case=["drift"])
    assert found.passed
    told = unwrapped(show.text(found))
    assert "v of 'n' in loihi/drift: 128 is the code of a neuron that rests" in told
    assert "u of 'n' in loihi/drift: the current is not read out" in told
    bare = replace(recorded, hidden={})
    found = run_conformance("loihi2", kit=[kept(bare, tmp_path / "bare")], case=["drift"])
    (result,) = found.results
    assert result.comparison is not None
    assert result.comparison.layers[0].state_mismatches == {"v": 4}


def test_a_chip_that_drifts_is_found_by_step_and_neuron(recorded: Case, tmp_path: Path) -> None:
    v = recorded.expected.states["n"]["v"].copy()
    v[700] += 1
    drifted = replace(recorded.expected, states={"n": {"v": v}})
    case = replace(recorded, expected=drifted)
    (result,) = run_conformance("loihi2", kit=[kept(case, tmp_path)], case=["drift"]).results
    assert result.comparison is not None
    first = result.comparison.first_divergence
    assert first is not None
    assert (first.step, first.neuron, first.variable) == (700, (0,), "v")


def test_what_is_masked_is_not_compared_and_what_is_not_is(tmp_path: Path) -> None:
    (case,) = (c for c in loihi_kit().cases if c.name == "v-decay")
    v = case.expected.states["n"]["v"].copy()
    v[3] += 5
    wrong = replace(case, expected=replace(case.expected, states={"n": {"v": v}}))
    mask = np.zeros(v.shape, bool)
    mask[3] = True
    hidden = {"n": {"v": Unknown("step 3 was not recorded", mask=mask)}}
    for folder, made, status in (
        ("wrong", wrong, "differs"),
        ("masked", replace(wrong, hidden=hidden), "ok"),
    ):
        named = replace(made, name=folder)
        folders = [kept(named, tmp_path / folder)]
        (result,) = run_conformance("loihi2", kit=folders, case=[folder]).results
        assert result.status == status


# --- kits as files ------------------------------------------------------------------


def test_a_kit_comes_back_as_it_was_written(tmp_path: Path) -> None:
    kit = read_kit(SPECK)
    write_kit(kit, tmp_path)
    assert contents(tmp_path) == contents(SPECK)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    kit = model_kit()
    write_kit(replace(kit, cases=kit.cases[:2]), tmp_path / "kit")
    return tmp_path / "kit"


def with_manifest(folder: Path, change: Callable[[Any], Any]) -> None:
    path = folder / "kit.json"
    held = json.loads(path.read_text())
    changed = change(held)
    path.write_text(json.dumps(held if changed is None else changed))


BAD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another schema": (lambda k: k.update(schema_version="2"), "KIT-SCHEMA"),
    "no kit": (lambda k: k.update(format="something"), "KIT-DAMAGED"),
    "a list": (lambda k: [k], "KIT-DAMAGED"),
    "no cases": (lambda k: k.pop("cases"), "KIT-DAMAGED"),
    "a case that is none": (lambda k: k["cases"].append(3), "KIT-DAMAGED"),
    "a foreign field": (lambda k: k["cases"][0].update(more=1), "KIT-DAMAGED"),
    "a way out of the folder": (lambda k: k["cases"][0].update(folder="../x"), "KIT-DAMAGED"),
    "a negative number": (lambda k: k["cases"][0].update(behind=-1), "KIT-DAMAGED"),
    "a number of steps without end": (
        lambda k: k["cases"][0].update(behind=10**12), "KIT-DAMAGED",
    ),
    "more steps behind than there are": (
        lambda k: k["cases"][0].update(behind=10**6), "KIT-UNSOUND",
    ),
    "a number of thousands of digits": (
        lambda k: json.loads("1" * 4000), "KIT-DAMAGED",
    ),
    "another digest": (
        lambda k: k["cases"][0]["files"].update({"input.npz": "0" * 64}), "KIT-DAMAGED",
    ),
    "a foreign file": (lambda k: k["cases"][0]["files"].update({"/etc/passwd": ""}), "KIT-DAMAGED"),
    "another layer": (lambda k: k["cases"][0].update(layers=["m"]), "KIT-UNSOUND"),
    "too many layers": (lambda k: k["cases"][0].update(layers=["n", "m"]), "KIT-DAMAGED"),
    "a missing mask": (
        lambda k: k["cases"][0].update(hidden={"n": {"v": {"why": "", "codes": [], "mask": True}}}),
        "KIT-DAMAGED",
    ),
    "the same case twice": (lambda k: k["cases"].append(k["cases"][0]), "KIT-UNSOUND"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_kit_is_refused(what: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, code = BAD[what]
    with_manifest(copied, change)
    assert main(["conformance", "--target", "loihi2", "--kit", str(copied)]) == 3
    assert code in refusal(capsys)


@pytest.mark.parametrize("name", ["kit.json", "model.sums/expected.npz", "model.sums/model.nir"])
def test_a_damaged_file_is_refused(
    name: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (copied / name).read_bytes()
    for data in (b"", whole[:-9], bytes([whole[0] ^ 1]) + whole[1:]):
        (copied / name).write_bytes(data)
        assert main(["conformance", "--target", "loihi2", "--kit", str(copied)]) == 3
        assert "KIT-DAMAGED" in refusal(capsys)


@pytest.mark.parametrize("name", ["kit.json", "model.sums/input.npz", "model.sums/model.nir"])
def test_a_file_beyond_the_limit_is_refused_and_not_hashed_in_part(
    name: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The digest in kit.json is that of the part that would be read."""
    path = copied / name
    os.truncate(path, LIMIT + 1)
    if name != "kit.json":
        digest = hashlib.sha256(path.read_bytes()[:LIMIT]).hexdigest()
        part = name.partition("/")[2]
        with_manifest(copied, lambda k: k["cases"][0]["files"].update({part: digest}))
    assert main(["conformance", "--target", "loihi2", "--kit", str(copied)]) == 3
    assert "KIT-TOO-LARGE" in refusal(capsys)


@pytest.mark.parametrize("member", ["9" * 5000, "٣", "-1", "1e3"])
def test_a_layer_that_no_number_names_is_refused(
    member: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "model.sums" / "expected.npz"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{member}/output.npy", archive.read("0/output.npy"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with_manifest(copied, lambda k: k["cases"][0]["files"].update({"expected.npz": digest}))
    assert main(["conformance", "--target", "loihi2", "--kit", str(copied)]) == 3
    assert "KIT-DAMAGED" in refusal(capsys)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--kit", "nowhere"], "KIT-MISSING"),
        (["--case", "nothing"], "CASE-UNKNOWN"),
        (["--engine", "nothing"], "ENGINE-UNKNOWN"),
        (["--engine", "reference"], "ENGINE-UNKNOWN"),
        (["--target", "nothing"], "TARGET-UNKNOWN"),
        (["--junit", "x.nir"], "OUTPUT-SUFFIX"),
    ],
)
def test_wrong_words_are_usage_errors(
    words: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = [] if "--target" in words else ["--target", "loihi2"]
    assert main(["conformance", *target, *words]) == USAGE
    assert code in refusal(capsys)


# --- for programs --------------------------------------------------------------------


def test_json_and_junit_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.xml"
    words = ["--case", "current-subtract", "--case", "model/leak", "--junit", str(path)]
    assert main(["conformance", "--target", "loihi2", "--json", *words]) == 0
    said = answer(capsys)
    assert said["verdict"] == "passed: 1 cases, 1 refused"
    assert [(c["name"], c["status"]) for c in said["cases"]] == [
        ("model/leak", "ok"),
        ("model/current-subtract", "refused"),
    ]
    suite = ElementTree.parse(path).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "0", "1")


def test_kits_are_found_through_the_registry() -> None:
    shelf = targets()
    assert [len(kits_of(shelf[name])) for name in ("emulator", "loihi", "speck")] == [2, 2, 2]
