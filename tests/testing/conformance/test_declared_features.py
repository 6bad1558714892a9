"""A target reads each feature of neurons that it names, or refuses it (declared.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import nrf_emulator
from nrf_deploy.compiler.target import chip_named, targets
from nrf_deploy.ir.capabilities import Accepts, Domain, known_features
from nrf_deploy.ir.network import Array
from nrf_deploy.neurons import MEMBRANES, RULES, Leaky, Spikes
from nrf_deploy.testing.conformance import run_conformance
from nrf_deploy.testing.conformance.declared import (
    CASE,
    Answer,
    Question,
    answer,
    apart,
    float_run,
    misread,
    questions,
    unprobed,
)
from nrf_deploy.testing.conformance.probes import PAIRS, PROBES, ROUNDING, SIZE, closed
from nrf_deploy.verification.limits import Limits
from nrf_emulator.arithmetic import models as emulator_models
from nrf_emulator.compile import check as emulator_check
from nrf_loihi.arithmetic import neurons as loihi_neurons
from nrf_loihi.arithmetic.neurons import FIRING

CHIPS = ("loihi1", "loihi2", "speck2b", "emulator")
REGISTRY = Domain(
    tuple(
        Accepts("any", {m}, rule, known_features((m,), rule)) for rule in RULES for m in MEMBRANES
    )
)
"""A chip that would run everything that the registry of neurons holds."""


def domain_of(chip: str) -> Domain:
    target, name = chip_named(chip)
    return target.accepts(name)


def every_question() -> Iterator[Question]:
    for domain in (REGISTRY, *map(domain_of, CHIPS)):
        yield from (q for q in questions(domain) if q.feature)


# --- the probes ------------------------------------------------------------------


def test_every_membrane_rule_and_feature_of_the_registry_has_a_probe() -> None:
    assert unprobed(REGISTRY) == []
    asked = {(q.membrane, q.row.rule, q.feature) for q in questions(REGISTRY)}
    for row in REGISTRY.neurons:
        for membrane in row.membranes:
            probed = row.features - ROUNDING
            assert {f for m, r, f in asked if (m, r) == (membrane, row.rule)} == probed


@dataclass(frozen=True, eq=False, kw_only=True)
class Later(Spikes):
    """A rule with a field that a later version may add."""

    later: float | None = None


def test_a_new_rule_or_field_has_no_probe() -> None:
    row = Accepts("later", {Leaky}, Later, known_features((Leaky,), Later))
    assert unprobed(Domain((row,))) == ["Later", "later"]


def test_a_feature_without_a_probe_fails_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PROBES, "refractory")  # type: ignore[arg-type]
    target, chip = chip_named("loihi1")
    names_too(monkeypatch, "refractory")
    found = [f for f in misread(target, chip) if f.code == "CONFORMANCE-UNPROBED"]
    assert ["refractory" in f.what for f in found] == [True]


def test_neurons_of_a_probe_have_its_features_and_no_others() -> None:
    for q in every_question():
        assert q.neurons.features == q.features
        assert q.without.features == q.features - {q.feature}


def test_each_feature_changes_the_reference_clearly() -> None:
    """And no chip passes by an output of zeros, nor by one of ones."""
    for q in every_question():
        right, other = float_run(q, q.neurons), float_run(q, q.without)
        assert apart(right, other) >= SIZE, q.told()
        if not q.neurons.spikes:
            assert rms(right - other) > 5 * Limits(exact=False).value_error * rms(right), q.told()
            continue
        for same in (np.zeros_like(right), np.ones_like(right)):
            assert 2 * apart(same, right) >= apart(same, other), q.told()


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def test_features_that_interact_are_asked_beside_one_another() -> None:
    asked = {(q.feature, q.features) for q in questions(REGISTRY)}
    for a, b in PAIRS:
        both = closed(frozenset((a, b)))
        assert {(a, both), (b, both)} <= asked
    takes = "adaptation.takes=adapted"
    assert (takes, frozenset((takes, "adaptation=Rising", "reset=subtract"))) in asked


def test_every_row_that_any_neurons_reach_is_asked_about() -> None:
    """The neurons of a question are of its row, not of one before it."""
    for chip in CHIPS:
        domain = domain_of(chip)
        asked = {(q.row.model, q.membrane, q.feature) for q in questions(domain)}
        for row in domain.neurons:
            needed = {name for f in row.features - ROUNDING for name in PROBES[f].needs}
            for membrane in row.membranes:
                seen = {f for model, m, f in asked if (model, m) == (row.model, membrane)}
                own = row.features & known_features((membrane,), row.rule)
                assert seen >= own - needed - ROUNDING, (chip, row.model, membrane)
        for q in questions(domain):
            first = next(
                r
                for r in domain.neurons
                if r.rule is q.row.rule and q.membrane in r.membranes and q.features <= r.features
            )
            assert first is q.row


# --- the chips -------------------------------------------------------------------


@cache
def answers(chip: str) -> list[Answer]:
    """Return the answers of a chip as it is: no test that changes one asks this."""
    target, name = chip_named(chip)
    return [answer(target, name, q) for q in questions(target.accepts(name))]


LOIHI_SAYS = {
    "LOIHI-FIRES-AT", "LOIHI-LI-UNBOUNDED", "LOIHI-RESET-NONE", "LOIHI-RESET-SUBTRACT",
    "LOIHI-RESET-UNBOUNDED",
}  # fmt: skip
LOIHI_RUNS = {
    "reset=subtract", "reset=late", "reset=none", "subtracts", "reset_to", "fires=at", "rectified",
    "Integrator.v0", "Leaky.v0", "CurrentLeaky.v0",
}  # fmt: skip
EXPECTED = {
    "loihi1": LOIHI_SAYS,
    "loihi2": LOIHI_SAYS,
    "speck2b": {"SPECK-KIND", "SPECK-RESET-VALUE"},
    "emulator": {"EMULATOR-UNBOUNDED"},
}
"""What these chips may say of the probes that they do not run as the model."""
RUN_BY = {
    "loihi1": LOIHI_RUNS,
    "loihi2": LOIHI_RUNS | {"refractory"},
    "speck2b": {
        "reset=subtract", "reset_to", "fires=at", "floor", "per_step=many", "worth",
        "Integrator.v0", "LinearLeak.v0",
    },
    "emulator": {
        "reset=subtract", "reset=late", "reset=none", "reset=doubled", "subtracts", "reset_to",
        "fires=at", "per_step=many", "most", "floor", "refractory", "adaptation=Rising",
        "adaptation.takes=adapted", "rectified", "Integrator.v0", "Leaky.v0", "CurrentLeaky.v0",
    },
}  # fmt: skip
"""The features that were seen to be run."""


@pytest.mark.parametrize("chip", CHIPS)
def test_every_feature_that_a_chip_names_is_read_or_refused(chip: str) -> None:
    given = answers(chip)
    assert [(a.question.told(), a.why) for a in given if a.why] == []
    assert {a.given for a in given} <= {"ran", "refused", "told"}
    assert {code for a in given for code in a.codes} == EXPECTED[chip]
    assert {a.question.feature for a in given if a.given == "ran"} == RUN_BY[chip]


def test_a_fire_at_the_threshold_is_said_to_be_late_on_loihi_where_v_leaks() -> None:
    """The only feature that a chip may run in another way, if it says so."""
    told = [a for chip in CHIPS for a in answers(chip) if a.given == "told"]
    assert {code for a in told for code in a.codes} == {"LOIHI-FIRES-AT"}
    assert {a.question.feature for a in told} == {"fires=at"}
    assert {a.question.membrane.__name__ for a in told} == {"Leaky", "CurrentLeaky"}


def test_every_probe_of_a_row_without_a_model_is_refused_by_the_chips_own_code() -> None:
    given = [a for a in answers("speck2b") if a.question.row.model is None]
    asked = Counter((a.question.membrane.__name__, a.question.row.rule.__name__) for a in given)
    assert set(asked) == {
        (m, r) for m in ("Leaky", "CurrentLeaky") for r in ("Spikes", "Value")
    } | {("Integrator", "Value")}
    assert {"", "rectified", "fires=at", "reset_to"} <= {a.question.feature for a in given}
    assert all((a.given, a.codes) == ("refused", {"SPECK-KIND"}) for a in given)


def test_every_installed_target_has_a_chip_here() -> None:
    assert {chip_named(chip)[0].name for chip in CHIPS} == {t.name for t in targets().values()}


# --- targets that name more than they read ------------------------------------------


def faults(chip: str) -> set[str]:
    target, name = chip_named(chip)
    found = misread(target, name)
    assert {f.code for f in found} <= {"CONFORMANCE-FEATURE"}
    return {f.what for f in found}


def wrongs(chip: str, feature: str, model: str | None = None) -> dict[str, str]:
    """Return what is wrong with the answers to each question about a feature (of a model)."""
    target, name = chip_named(chip)
    asked = [q for q in questions(target.accepts(name)) if q.feature == feature]
    asked = [q for q in asked if model in (None, q.row.model)]
    return {q.told(): answer(target, name, q).why for q in asked}


def names_too(monkeypatch: pytest.MonkeyPatch, feature: str) -> None:
    """Let the plain neurons of Loihi name a feature that no code of theirs reads."""
    rows = loihi_neurons.ROWS["lif"]
    more = tuple(replace(row, features=FIRING | {feature}) for row in rows)
    monkeypatch.setitem(loihi_neurons.ROWS, "lif", more)


@pytest.mark.parametrize("feature", ["floor", "refractory", "adaptation=Rising"])
@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_a_feature_that_is_named_and_not_read_is_found(
    chip: str, feature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names_too(monkeypatch, feature)
    found = wrongs(chip, feature)
    for membrane in ("Integrator", "Leaky", "CurrentLeaky"):
        alone = found[f"{membrane} neurons with {feature}"]
        assert "from the model, and in 0 from one without it" in alone


@pytest.mark.parametrize("feature", ["floor", "per_step=many", "worth"])
def test_the_emulator_is_found_too(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plain neurons come first, so that a feature that they name too is not read."""
    model = emulator_models.MODELS["lif"]
    rows = tuple(replace(row, features=row.features | {feature}) for row in model.runs)
    models = {**emulator_models.MODELS, "lif": replace(model, runs=rows)}
    declared = emulator_models.DOMAIN
    domain = Domain((*rows, *declared.neurons), declared.nodes)
    monkeypatch.setattr(emulator_models, "MODELS", models)
    for module in (emulator_models, emulator_check, nrf_emulator):
        monkeypatch.setattr(module, "DOMAIN", domain)
    found = wrongs("emulator", feature, "lif")
    assert {told.partition(" neurons")[0] for told in found} == {"Integrator", "Leaky"}
    assert all("places from the model" in wrong for wrong in found.values())


def test_a_feature_that_is_named_and_refused_as_unknown_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row that promises what check and lower, which ask another table, do not know."""
    target, chip = chip_named("loihi1")
    declared = target.accepts(chip)
    wider = tuple(
        replace(row, features=row.features | {"floor"}) if row.rule is Spikes else row
        for row in declared.neurons
    )
    domain = replace(declared, neurons=wider)
    monkeypatch.setattr(type(target), "accepts", lambda self, chip: domain)
    found = faults("loihi1")
    assert len(found) >= 3
    assert all("floor" in f and "refuses it as unknown (RULE-UNSUPPORTED)" in f for f in found)


def test_a_row_without_a_model_that_check_does_not_explain_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, chip = chip_named("loihi2")
    declared = target.accepts(chip)
    silent = tuple(replace(row, model=None) for row in declared.neurons)
    domain = replace(declared, neurons=silent)
    monkeypatch.setattr(type(target), "accepts", lambda self, chip: domain)
    assert (
        "Leaky neurons with no feature: loihi2 refuses it as unknown (KIND-UNSUPPORTED)"
        in faults("loihi2")
    )


def test_a_target_that_breaks_on_a_probe_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    target, _ = chip_named("loihi1")

    def broken(*given: Any) -> Any:
        raise KeyError("refractory")

    monkeypatch.setattr(type(target), "lower", broken)
    assert any("breaks: KeyError('refractory')" in f for f in faults("loihi1"))


def test_the_conformance_run_fails_such_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = run_conformance("loihi1", case=[CASE.name]).results
    assert (kept.status, kept.findings) == ("ok", ())
    names_too(monkeypatch, "floor")
    done = run_conformance("loihi1", case=[CASE.name])
    assert not done.passed
    said = " ".join(done.text().split())
    assert "model/declared-features" in said
    assert "Leaky neurons with floor: loihi1 differs in" in said


def test_only_the_emulator_is_asked() -> None:
    """The program of a vendor's engine was lowered by the same target."""
    target, _ = chip_named("loihi2")
    for engine in target.engines:
        with pytest.raises(ValueError, match="CASE-UNKNOWN"):
            run_conformance("loihi2", engine, case=[CASE.name])
