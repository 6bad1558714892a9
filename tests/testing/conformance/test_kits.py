"""The conformance kits: what they hold, and who passes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.sdk import environments
from nrf_deploy.testing.conformance import Conformance, read_kit, run_conformance, show, write_kit
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_loihi.lava import engine as lava
from nrf_speck.samna import client as samna
from nrf_speck.sinabs import client as sinabs
from tests.builders.conformance_kits import FIXED, KITS, LOIHI, MODELS, SPECK, contents, loihi_kit
from tools.kits import emulator as fixed
from tools.kits import loihi, speck
from tools.kits import models as make

# --- what they hold --------------------------------------------------------------


def test_together_they_are_small_and_every_case_says_who_made_it() -> None:
    sizes = [sum(map(len, contents(kit).values())) for kit in KITS]
    assert sum(sizes) < 1_200_000
    cases = [case for kit in KITS for case in read_kit(kit).cases]
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
    anew = "python -m tools.kits.models nrf_deploy/testing/conformance/kit"
    assert contents(tmp_path) == contents(MODELS), anew


def test_the_programs_of_a_machine_of_ones_own_are_made_anew_byte_for_byte(tmp_path: Path) -> None:
    write_kit(fixed.kit(), tmp_path)
    anew = "python -m tools.kits.emulator targets/nrf_emulator/kit"
    assert contents(tmp_path) == contents(FIXED), anew


@pytest.mark.parametrize(
    "alike",
    [
        ("above", "at"), ("resets", "subtracts"), ("saturates", "wraps"),
        ("sum-saturates", "sum-wraps"), ("rounds-floor", "rounds-zero"),
        ("rounds-zero", "rounds-nearest"), ("rounds-floor", "rounds-nearest"),
    ],
)  # fmt: skip
def test_what_two_settings_make_of_one_input_differs(alike: tuple[str, str]) -> None:
    cases = {c.name: c for c in read_kit(FIXED).cases}
    one, other = (cases[name].expected.states["n"]["v"] for name in alike)
    assert not np.array_equal(one, other)


@pytest.mark.conformance
def test_lava_gives_what_loihi_s_kit_expects(tmp_path: Path) -> None:
    there = environments.status(lava.sdk)
    if not there.installed:
        pytest.skip(f"Lava is not installed: {there.todo}")
    write_kit(loihi.kit(), tmp_path)
    assert contents(tmp_path) == contents(LOIHI)


@pytest.mark.conformance
def test_sinabs_and_samna_give_what_speck_s_kit_expects(tmp_path: Path) -> None:
    for sdk in (sinabs.sdk, samna.sdk):
        there = environments.status(sdk)
        if not there.installed:
            pytest.skip(f"{sdk.name} is not installed: {there.todo}")
    write_kit(speck.kit(), tmp_path)
    assert contents(tmp_path) == contents(SPECK)


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
def held(chip: str, engine: str = "emulator") -> Conformance:
    return run_conformance(chip, engine)


@pytest.mark.parametrize("chip", ["loihi2", "speck2b", "emulator-4bit"])
def test_the_emulator_meets_every_case_of_every_chip(chip: str) -> None:
    found = held(chip)
    assert [(r.case.title, r.status) for r in found.results if r.bad] == []
    assert found.count("ok") >= len(found.results) / 2
    assert found.exit_code == 0


def test_a_machine_of_ones_own_is_held_against_the_models_too() -> None:
    found = run_conformance(
        "emulator:latency=1,weight_bits=5", case=["leak", "two-layers", "two-ways"]
    )
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
