"""Reports of a conformance kit on an engine that is broken, and on one that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import MissingError, TargetError, error
from nrf_deploy.engines.emulator import golden
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Population, Program, Synapses
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.testing.conformance import Conformance, run_conformance, show
from nrf_deploy.testing.conformance.suspects import changes
from nrf_loihi import LoihiTarget
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from tests.builders.cli_calls import MISSING, refusal, unwrapped
from tests.builders.conformance_kits import loihi_kit


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
        if self.mistake == "coarse weights":
            return np.sign(weight) * (np.abs(weight) * 5 // 7)
        turned = self.mistake == "convolution" and isinstance(synapses, Conv)
        return weight[..., ::-1, ::-1] if turned else weight


def _at(
    p: dict[str, Any], output: Array, after: dict[str, Array], state: dict[str, Array],
    arriving: Array, rules: LoihiArithmetic, population: Population, t: int,
) -> tuple[Array, dict[str, Array]]:  # fmt: skip
    """Compare with v >= vth << 6 in place of v > vth << 6."""
    wide = replace(population, params={**population.params, "vth": 131071})
    _, moved = LoihiArithmetic.step(rules, wide, state, arriving, t)
    spike = moved["v"] > p["vth"]
    return spike.astype(np.int64), {**moved, "v": np.where(spike, 0, moved["v"])}


def on_engine(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., Trace], only: tuple[str, ...] = ()
) -> Conformance:
    monkeypatch.setattr(LoihiTarget, "engines", {"mine": run})
    return run_conformance("loihi2", "mine", case=only)


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


def test_a_cause_that_no_trial_gives_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights lose their range here: nothing is wrong with any kernel or delay."""
    cases = ("loihi/kernel", "loihi/delays")
    found = on_engine(monkeypatch, mistaken("coarse weights"), cases)
    bad = [r for r in found.results if r.status == "differs"]
    assert [r.cause for r in bad] == ["", ""]
    told = unwrapped(show.text(found))
    assert told.count("Likely cause: not found.") == 1
    assert "Likely cause: kernels" not in told
    assert "Likewise, perhaps each with another cause: loihi/" in told
    told_json = show.as_json(found)["cases"]
    assert [c["likely_cause"] for c in told_json if c["status"] == "differs"] == ["", ""]


def test_a_state_at_an_end_is_a_cause_only_if_bounds_give_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(program: Program, recording: Recording, **how: Any) -> Trace:
        trace = mistaken("saturates")(program, recording, **how)
        v = trace.states["n"]["v"].copy()
        v[-1] += 1  # and something else
        return replace(trace, states={**trace.states, "n": {**trace.states["n"], "v": v}})

    (result,) = on_engine(monkeypatch, run, ("loihi/v-saturates",)).results
    assert (result.status, result.cause) == ("differs", "")
    assert result.hint == "v is at an end of its bits there: -32,768"


def toward_zero(x: Array, by: Array) -> Array:
    return np.where(by < 0, np.sign(x) * (np.abs(x) >> np.maximum(-by, 0)), x << np.maximum(by, 0))


def floored(weight: Array, mode: int, bits: int) -> Array:
    lost = 8 - bits + (mode == 1)
    return np.asarray(weight >> lost << lost)


WITHOUT: dict[str, tuple[str, Any]] = {
    "v-saturates": ("arithmetic.neurons.LIMIT", 2**30),
    "u-wraps": ("arithmetic.neurons.LIMIT", 2**30),
    "conv-wraps": ("arithmetic.rules.LIMIT", 2**30),
    "v-decay-below": ("arithmetic.neurons.shr0", np.right_shift),
    "u-decay-below": ("arithmetic.neurons.shr0", np.right_shift),
    "bias-right": ("arithmetic.neurons.shift", toward_zero),
    "exponent-right": ("arithmetic.rules.shift", toward_zero),
    "weights-mixed": ("arithmetic.rules.held_weights", lambda w, mode, bits: np.clip(w, -256, 255)),
    "weight-bits": ("arithmetic.rules.held_weights", lambda w, mode, bits: np.clip(w, -256, 255)),
    "weights-inhibitory": ("arithmetic.rules.held_weights", floored),
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
    assert result.cause == "the output comes 1 step late"


def test_an_engine_that_fails_is_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(program: Program, recording: Recording, **how: Any) -> Trace:
        raise ZeroDivisionError("by my own doing")

    (result,) = on_engine(monkeypatch, fails, ("loihi/threshold",)).results
    assert result.status == "broke"
    assert "ZeroDivisionError: by my own doing" in show.full_text(result, "mine")
    assert "test_causes.py" in show.full_text(result, "mine")


def test_an_engine_that_gives_nothing_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(program: Program, recording: Recording, **how: Any) -> Trace:
        trace = golden.run(program, LoihiArithmetic(), recording, **how)
        return replace(trace, states={}, outputs={n: r.until(0) for n, r in trace.outputs.items()})

    (result,) = on_engine(monkeypatch, nothing, ("loihi/threshold",)).results
    assert result.status == "differs"
    assert [f.code for f in result.findings] == ["CONFORMANCE-STEPS"]


@pytest.mark.parametrize(
    ("outputs", "code"),
    [
        (lambda outputs: {}, "VERIFY-NO-LAYER"),
        (lambda outputs: {n: replace(r, shape=(1, 1)) for n, r in outputs.items()}, "VERIFY-SHAPE"),
    ],
)
def test_an_engine_whose_answer_has_another_form_has_not_passed(
    outputs: Callable[..., Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(program: Program, recording: Recording, **how: Any) -> Trace:
        trace = golden.run(program, LoihiArithmetic(), recording, **how)
        return replace(trace, outputs=outputs(trace.outputs), states={})

    (result,) = on_engine(monkeypatch, other, ("loihi/threshold",)).results
    assert result.bad
    assert code in [f.code for f in result.findings]


def test_states_that_an_engine_does_not_show_are_said_and_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def board(program: Program, recording: Recording, **how: Any) -> Trace:
        trace = golden.run(program, LoihiArithmetic(), recording, **how)
        return replace(trace, states={})

    found = on_engine(monkeypatch, board, ("loihi/threshold", "loihi/v-decay-below"))
    assert [(r.status, r.unseen) for r in found.results] == [
        ("ok", ("u", "v")),
        ("refused", ("u", "v")),
    ]
    assert "States that were not shown, and not compared: u, v (loihi/threshold)" in unwrapped(
        show.text(found)
    )


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
