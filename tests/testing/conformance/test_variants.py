"""Models of the kit with the other resets and firing rules (variants.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nrf_deploy.compiler.target import chip_named
from nrf_deploy.ir.capabilities import Domain
from nrf_deploy.ir.network import Network, Population
from nrf_deploy.neurons import Spikes
from nrf_deploy.testing.conformance import Case, run_conformance
from nrf_deploy.testing.conformance.run import model_kit, task
from nrf_deploy.testing.conformance.variants import declared, variants
from nrf_emulator.arithmetic import models as emulator_models


def every() -> list[Case]:
    return [variant for case in model_kit().cases for variant in variants(case)]


def rules(case: Case) -> list[Spikes]:
    assert isinstance(case.subject, Network)
    return [n.rule for n in case.subject.of(Population) if type(n.rule) is Spikes]


def test_both_resets_and_both_firing_rules_have_as_many_models() -> None:
    names = {case.name for case in every()}
    bases = [name.removesuffix("-subtract") for name in names if name.endswith("-subtract")]
    assert len(bases) >= 16
    assert {"kernel", "leak", "rest", "current", "bias", "feedback", "delay"} <= {*bases}
    assert sum(name.endswith("-at") for name in names) >= 15
    assert sum(name.endswith("-subtract-at") for name in names) >= 12


def test_a_variant_states_its_rules_and_covers_them() -> None:
    for case in every():
        for rule in rules(case):
            assert (rule.reset == "subtract") == ("reset by subtraction" in case.covers)
            fires = "fires at the threshold where the model does" in case.covers
            assert (rule.fires == "at") == fires


def test_no_potential_stays_above_a_threshold_that_was_subtracted() -> None:
    """A chip without time steps spikes there at the next event only."""
    for case in every():
        assert isinstance(case.subject, Network)
        for node in case.subject.of(Population):
            if type(node.rule) is Spikes and node.rule.reset == "subtract":
                v = case.expected.states[node.name]["v"]
                assert np.all(v <= node.rule.threshold), case.name


def test_a_chip_is_asked_what_it_declares() -> None:
    target, chip = chip_named("speck2b")
    domain = target.accepts(chip)
    known = {c.name for c in declared(model_kit().cases, domain)}
    assert {"kernel", "kernel-subtract", "leak"} <= known
    assert "leak-subtract" not in known  # no neurons with a leak run there
    none = Domain()
    assert [c.name for c in declared(model_kit().cases, none)] == [
        c.name for c in model_kit().cases
    ]
    assert known - {c.name for c in task("speck2b").cases} == set()


@pytest.mark.parametrize(
    ("name", "mistake"),
    [("kernel-subtract", "subtract"), ("two-layers-at", "at"), ("leak-subtract", "subtract")],
)
def test_a_chip_that_runs_another_rule_is_found(
    name: str, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept,) = run_conformance("emulator", case=[name]).results
    assert kept.status == "ok"
    model = emulator_models.MODELS["lif"]

    def wrong(p, state, arriving):  # type: ignore[no-untyped-def]
        return model.step({**p, mistake: 0 * p[mistake]}, state, arriving)

    broken = replace(model, step=wrong, compiled=None)
    monkeypatch.setitem(emulator_models.MODELS, "lif", broken)  # type: ignore[arg-type]
    (found,) = run_conformance("emulator", case=[name]).results
    assert found.status == "differs"
