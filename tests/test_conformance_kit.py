"""The conformance kits: what they hold, who passes, and that what is broken is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_calls import MISSING, USAGE, answer, refusal, unwrapped

from nrf_deploy import __version__
from nrf_deploy.cli import main
from nrf_deploy.conformance import (
    Case,
    Conformance,
    Kit,
    Unknown,
    conform,
    make,
    read_kit,
    show,
    write_kit,
)
from nrf_deploy.conformance.case import by_hand
from nrf_deploy.conformance.programs import dense, port, program
from nrf_deploy.conformance.run import kits_of, model_kit
from nrf_deploy.conformance.suspects import changes
from nrf_deploy.emulator import golden
from nrf_deploy.findings import MissingError, TargetError, error
from nrf_deploy.network import Array
from nrf_deploy.program import Conv, Population, Program, Synapses
from nrf_deploy.recording import Recording, Trace
from nrf_deploy.sdk import environments
from nrf_deploy.target import targets
from nrf_emulator import conformance as fixed
from nrf_loihi import LoihiTarget, lava
from nrf_loihi import conformance as loihi
from nrf_loihi.arithmetic import LoihiArithmetic
from nrf_speck import conformance as speck
from nrf_speck import samna, sinabs

ROOT = Path(__file__).parents[1]
KITS = (
    "nrf_deploy/conformance/kit",
    "targets/nrf_loihi/kit",
    "targets/nrf_speck/kit",
    "targets/nrf_emulator/kit",
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- what they hold --------------------------------------------------------------


def test_together_they_are_small_and_every_case_says_who_made_it() -> None:
    sizes = [sum(map(len, contents(ROOT / kit).values())) for kit in KITS]
    assert sum(sizes) < 1_200_000
    cases = [case for kit in KITS for case in read_kit(ROOT / kit).cases]
    assert len(cases) > 80
    for case in cases:
        assert case.made_by
        assert case.covers
        assert case.about
    makers = {case.made_by.split()[0] for case in cases}
    assert {"lava-nc", "sinabs"} < makers
    images = {case.image.made_by.split()[0] for case in cases if case.image}
    assert images == {"samna"}


def test_every_neuron_model_and_kind_of_synapse_of_loihi_has_a_case() -> None:
    programs = [c.subject.program for c in loihi_kit().cases]  # type: ignore[union-attr]
    models = {p.model for program in programs for p in program.populations}
    assert models == set(LoihiArithmetic.states) - {"pass"}
    assert {s.kind for program in programs for s in program.synapses} == {"dense", "sparse", "conv"}


def test_the_models_are_made_anew_byte_for_byte(tmp_path: Path) -> None:
    write_kit(make.kit(), tmp_path)
    anew = "python -m nrf_deploy.conformance.make nrf_deploy/conformance/kit"
    assert contents(tmp_path) == contents(ROOT / KITS[0]), anew


def test_the_programs_of_a_machine_of_ones_own_are_made_anew_byte_for_byte(tmp_path: Path) -> None:
    write_kit(fixed.kit(), tmp_path)
    anew = "python -m nrf_emulator.conformance targets/nrf_emulator/kit"
    assert contents(tmp_path) == contents(ROOT / KITS[3]), anew


@pytest.mark.parametrize(
    "alike",
    [
        ("above", "at"), ("resets", "subtracts"), ("saturates", "wraps"),
        ("sum-saturates", "sum-wraps"), ("rounds-floor", "rounds-zero"),
        ("rounds-zero", "rounds-nearest"), ("rounds-floor", "rounds-nearest"),
    ],
)  # fmt: skip
def test_what_two_settings_make_of_one_input_differs(alike: tuple[str, str]) -> None:
    cases = {c.name: c for c in read_kit(ROOT / KITS[3]).cases}
    one, other = (cases[name].expected.states["n"]["v"] for name in alike)
    assert not np.array_equal(one, other)


@pytest.mark.conformance
def test_lava_gives_what_loihi_s_kit_expects(tmp_path: Path) -> None:
    there = environments.status(lava.sdk)
    if not there.installed:
        pytest.skip(f"Lava is not installed: {there.todo}")
    write_kit(loihi.kit(), tmp_path)
    assert contents(tmp_path) == contents(ROOT / KITS[1])


@pytest.mark.conformance
def test_sinabs_and_samna_give_what_speck_s_kit_expects(tmp_path: Path) -> None:
    for sdk in (sinabs.sdk, samna.sdk):
        there = environments.status(sdk)
        if not there.installed:
            pytest.skip(f"{sdk.name} is not installed: {there.todo}")
    write_kit(speck.kit(), tmp_path)
    assert contents(tmp_path) == contents(ROOT / KITS[2])


def test_the_plain_rules_give_what_loihi_s_kit_expects() -> None:
    for case in loihi_kit().cases:
        program = case.subject.program  # type: ignore[union-attr]
        ours = golden.run(program, LoihiArithmetic(), case.recording, states=case.layers)
        for name, expected in case.expected.outputs.items():
            assert ours.outputs[name].same(expected), case.name
            for v, x in case.expected.states.get(name, {}).items():
                assert np.array_equal(ours.states[name][v], x), case.name


# --- who passes ----------------------------------------------------------------


@cache
def loihi_kit() -> Kit:
    return read_kit(ROOT / KITS[1])


@cache
def held(chip: str, engine: str = "emulator") -> Conformance:
    return conform(chip, engine)


@pytest.mark.parametrize("chip", ["loihi2", "speck2b", "emulator-4bit"])
def test_the_emulator_meets_every_case_of_every_chip(chip: str) -> None:
    found = held(chip)
    assert [(r.case.title, r.status) for r in found.results if r.bad] == []
    assert found.count("ok") >= len(found.results) / 2
    assert found.exit_code == 0


def test_a_machine_of_ones_own_is_held_against_the_models_too() -> None:
    found = conform("emulator:latency=1,weight_bits=5", only=["leak", "two-layers", "two-ways"])
    assert [r.status for r in found.results] == ["ok"] * 3


def test_an_engine_that_follows_another_arithmetic_gets_the_cases_of_that() -> None:
    asked = {r.case.arithmetic for r in held("speck2b", "steps").results}
    assert asked == {None, "speck.steps"}
    assert held("speck2b", "steps").passed


@pytest.mark.parametrize("column", range(2))
def test_the_table_has_eighty_columns(column: int) -> None:
    told = show.text(held(("loihi2", "speck2b")[column]))
    assert max(map(len, told.splitlines())) <= 80
    assert told.splitlines()[-1].startswith("verdict: passed: ")


# --- what is broken is named --------------------------------------------------------

Broken = Callable[[Program, Recording], Trace]


class OffByOne(LoihiArithmetic):
    """One mistake, of those that people make when they write such a thing anew."""

    def __init__(self, mistake: str):
        self.mistake = mistake

    def step(
        self, population: Population, state: dict[str, Array], arriving: Array, t: int
    ) -> tuple[Array, dict[str, Array]]:
        p = dict(population.params)
        if self.mistake == "decay of u" and "du" in p:
            p["du"] = p["du"] - 1
        if self.mistake == "lost bias" and "bias_mant" in p:
            p["bias_mant"] = 0
        output, after = super().step(replace(population, params=p), state, arriving, t)
        if self.mistake == "fires at" and population.model == "lif":
            p["vth"] = p["vth"] * 64 - 1
            (output, after) = _at(p, output, after, state, arriving, self, population, t)
        if self.mistake == "saturates" and "v" in after:
            after = {**after, "v": np.clip(after["v"], -(2**15), 2**15 - 1)}
        return output, after

    def held(self, synapses: Synapses) -> Array:
        weight = super().held(synapses)
        turned = self.mistake == "convolution" and isinstance(synapses, Conv)
        return weight[..., ::-1, ::-1] if turned else weight


def _at(
    p: dict[str, Any], output: Array, after: dict[str, Array], state: dict[str, Array],
    arriving: Array, rules: LoihiArithmetic, population: Population, t: int,
) -> tuple[Array, dict[str, Array]]:  # fmt: skip
    """v >= vth << 6 in the place of v > vth << 6."""
    wide = replace(population, params={**population.params, "vth": 131071})
    _, moved = LoihiArithmetic.step(rules, wide, state, arriving, t)
    spike = moved["v"] > p["vth"]
    return spike.astype(np.int64), {**moved, "v": np.where(spike, 0, moved["v"])}


def on_engine(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., Trace], only: tuple[str, ...] = ()
) -> Conformance:
    monkeypatch.setattr(LoihiTarget, "engines", {"mine": run})
    return conform("loihi2", "mine", only=only)


def mistaken(mistake: str) -> Callable[..., Trace]:
    def run(program: Program, recording: Recording, **how: Any) -> Trace:
        return golden.run(program, OffByOne(mistake), recording, **how)

    return run


@pytest.mark.parametrize(
    ("mistake", "bad", "cause"),
    [
        ("decay of u", "loihi/u-decay", "as if du were one less"),
        ("lost bias", "loihi/bias-left", "as if bias_mant were zero"),
        ("fires at", "loihi/threshold", "as if vth were one less"),
        ("convolution", "loihi/kernel", "as if the kernels were turned by 180 degrees"),
        ("saturates", "loihi/v-saturates", "v saturates at -32,768"),
    ],
)
def test_a_mistake_in_an_engine_is_named(
    mistake: str, bad: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = on_engine(monkeypatch, mistaken(mistake), (bad, "loihi/graded"))
    assert not found.passed
    assert {r.case.title: (r.status, r.cause) for r in found.results} == {
        bad: ("differs", cause),
        "loihi/graded": ("ok", ""),
    }


def toward_zero(x: Array, by: Array) -> Array:
    return np.where(by < 0, np.sign(x) * (np.abs(x) >> np.maximum(-by, 0)), x << np.maximum(by, 0))


def floored(weight: Array, mode: int, bits: int) -> Array:
    lost = 8 - bits + (mode == 1)
    return np.asarray(weight >> lost << lost)


WITHOUT: dict[str, tuple[str, Any]] = {
    "v-saturates": ("neurons.LIMIT", 2**30),
    "u-wraps": ("neurons.LIMIT", 2**30),
    "conv-wraps": ("arithmetic.LIMIT", 2**30),
    "v-decay-below": ("neurons.shr0", np.right_shift),
    "u-decay-below": ("neurons.shr0", np.right_shift),
    "bias-right": ("neurons.shift", toward_zero),
    "exponent-right": ("arithmetic.shift", toward_zero),
    "weights-mixed": ("arithmetic.held_weights", lambda w, mode, bits: np.clip(w, -256, 255)),
    "weight-bits": ("arithmetic.held_weights", lambda w, mode, bits: np.clip(w, -256, 255)),
    "weights-inhibitory": ("arithmetic.held_weights", floored),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_case_of_an_edge_needs_the_rule_of_that_edge(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, instead = WITHOUT[name]
    (case,) = (c for c in loihi_kit().cases if c.name == name)
    program = case.subject.program  # type: ignore[union-attr]
    monkeypatch.setattr(f"nrf_loihi.{place}", instead)
    other = golden.run(program, LoihiArithmetic(), case.recording, states=["n"])
    states = case.expected.states["n"]
    assert any(not np.array_equal(other.states["n"][v], x) for v, x in states.items())


@pytest.mark.parametrize("name", ["u-decay", "kernel", "delays", "two-layers"])
def test_any_one_number_that_is_changed_is_found_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change that shows at all is named, or one that does the same."""
    (case,) = (c for c in loihi_kit().cases if c.name == name)
    seen = 0
    for change in list(changes(case.subject.program))[::3]:  # type: ignore[union-attr]

        def run(
            program: Program, recording: Recording, made: Program = change.program, **how: Any
        ) -> Trace:
            return golden.run(made, LoihiArithmetic(), recording, **how)

        (result,) = on_engine(monkeypatch, run, (f"loihi/{name}",)).results
        if result.status == "differs":
            seen += 1
            assert result.cause.startswith(("as if ", "the output comes ")), change.said
    assert seen >= 4


def test_an_output_that_comes_late_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(program: Program, recording: Recording, **how: Any) -> Trace:
        trace = golden.run(program, LoihiArithmetic(), recording, **how)
        outputs = {
            n: Recording.from_dense(np.concatenate([0 * r.dense()[:1], r.dense()[:-1]]))
            for n, r in trace.outputs.items()
        }
        return replace(trace, outputs=outputs)

    (result,) = on_engine(monkeypatch, late, ("loihi/two-layers",)).results
    assert result.cause == "the output comes 1 step(s) late"


def test_an_engine_that_fails_is_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(program: Program, recording: Recording, **how: Any) -> Trace:
        raise ZeroDivisionError("by my own doing")

    (result,) = on_engine(monkeypatch, fails, ("loihi/threshold",)).results
    assert result.status == "broke"
    assert "ZeroDivisionError: by my own doing" in show.told(result, "mine")
    assert "test_conformance_kit.py" in show.told(result, "mine")


def test_an_engine_that_gives_nothing_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(program: Program, recording: Recording, **how: Any) -> Trace:
        trace = golden.run(program, LoihiArithmetic(), recording, **how)
        return replace(trace, states={}, outputs={n: r.until(0) for n, r in trace.outputs.items()})

    (result,) = on_engine(monkeypatch, nothing, ("loihi/threshold",)).results
    assert result.status == "differs"
    assert [f.code for f in result.findings] == ["CONFORMANCE-STEPS"]


def test_an_engine_that_refuses_everything_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(program: Program, recording: Recording, **how: Any) -> Trace:
        raise TargetError(error("MINE-NOT", "this engine runs nothing"))

    found = on_engine(monkeypatch, refuses, ("threshold", "model/leak"))
    assert (found.count("ok"), found.exit_code) == (0, 1)
    assert show.verdict(found) == "nothing was compared: every case was refused"


def test_a_missing_sdk_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(program: Program, recording: Recording, **how: Any) -> Trace:
        raise MissingError(error("SDK-MISSING", "mine is not installed", fix="install it"))

    monkeypatch.setattr(LoihiTarget, "engines", {"mine": missing})
    words = ["--engine", "mine", "--case", "threshold", "--case", "v-decay"]
    assert main(["conformance", "--target", "loihi2", *words]) == MISSING
    assert refusal(capsys).count("SDK-MISSING") == 1


# --- recorded on silicon ---------------------------------------------------------------


@pytest.fixture
def recorded(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The NIR paper's LIF on a Loihi 2, in the kit's format as docs/conformance.md writes it."""
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
    found = conform("loihi2", folders=[kept(recorded, tmp_path)], only=["drift"])
    assert found.passed
    told = unwrapped(show.text(found))
    assert "v of 'n' in loihi/drift: 128 is the code of a neuron that rests" in told
    assert "u of 'n' in loihi/drift: the current is not read out" in told
    bare = replace(recorded, hidden={})
    found = conform("loihi2", folders=[kept(bare, tmp_path / "bare")], only=["drift"])
    (result,) = found.results
    assert result.comparison is not None
    assert result.comparison.layers[0].state_mismatches == {"v": 4}


def test_a_chip_that_drifts_is_found_by_step_and_neuron(recorded: Case, tmp_path: Path) -> None:
    v = recorded.expected.states["n"]["v"].copy()
    v[700] += 1
    drifted = replace(recorded.expected, states={"n": {"v": v}})
    case = replace(recorded, expected=drifted)
    (result,) = conform("loihi2", folders=[kept(case, tmp_path)], only=["drift"]).results
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
        (result,) = conform("loihi2", folders=folders, only=[folder]).results
        assert result.status == status


# --- kits as files ------------------------------------------------------------------


def test_a_kit_comes_back_as_it_was_written(tmp_path: Path) -> None:
    kit = read_kit(ROOT / KITS[2])
    write_kit(kit, tmp_path)
    assert contents(tmp_path) == contents(ROOT / KITS[2])


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
    "another digest": (
        lambda k: k["cases"][0]["files"].update({"input.npz": "0" * 64}), "KIT-DAMAGED",
    ),
    "a foreign file": (lambda k: k["cases"][0]["files"].update({"/etc/passwd": ""}), "KIT-DAMAGED"),
    "another layer": (lambda k: k["cases"][0].update(layers=["m"]), "KIT-UNSOUND"),
    "too many layers": (lambda k: k["cases"][0].update(layers=["n", "m"]), "KIT-DAMAGED"),
    "a mask that is not there": (
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
    assert main(["conformance", "--target", "loihi2", *words]) == USAGE
    assert code in refusal(capsys)


# --- for programs --------------------------------------------------------------------


def test_json_and_junit_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.xml"
    words = ["--case", "subtracts", "--case", "model/leak", "--junit", str(path)]
    assert main(["conformance", "--target", "loihi2", "--json", *words]) == 0
    said = answer(capsys)
    assert said["verdict"] == "passed: 1 cases, 1 refused"
    assert [(c["name"], c["status"]) for c in said["cases"]] == [
        ("model/subtracts", "refused"),
        ("model/leak", "ok"),
    ]
    suite = ElementTree.parse(path).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "0", "1")


def test_kits_are_found_through_the_registry() -> None:
    shelf = targets()
    assert [len(kits_of(shelf[name])) for name in ("emulator", "loihi", "speck")] == [2, 2, 2]
