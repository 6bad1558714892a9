"""Judging a comparison, layers that say nothing, and the report."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.comparison import Arrival, Comparison
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.verification import Limits, Report, activity, judge
from nrf_deploy.verification.limits import DEFAULTS, parse_limits
from nrf_deploy.verification.report.report import divergence_sentences

EXACT, NEAR = Limits(exact=True), Limits(exact=False)
SHAPE = (2, 3, 4)


def trace(engine: str, **frames: Array) -> Trace:
    return Trace(engine, {n: Recording.from_dense(f) for n, f in frames.items()}, {}, {})


def spikes(count: int, steps: int = 10) -> Array:
    frames = np.zeros((steps, *SHAPE), np.int64)
    frames.ravel()[:count] = 1
    return frames


def comparison(left: int, right: int, *, latency: int = 0) -> Comparison:
    return compare(
        trace("chip", one=spikes(left)),
        trace("model", one=spikes(right)),
        order=["one"],
        latency_left={"one": latency},
    )


# --- limits -----------------------------------------------------------------


@pytest.mark.parametrize("limits", [EXACT, NEAR])
def test_equal_runs_have_no_findings(limits: Limits) -> None:
    assert judge(comparison(50, 50), limits) == []


def test_under_exact_one_missing_spike_is_an_error_that_names_the_place() -> None:
    (finding,) = judge(comparison(30, 31), EXACT)
    assert finding.severity == "error"
    assert finding.code == "VERIFY-DIVERGED"
    assert (finding.layer, finding.neuron, finding.step) == ("one", (0, 1, 2), 1)
    assert "0 in chip and 1 in model" in finding.what


@pytest.mark.parametrize(("left", "codes"), [(90, []), (89, ["VERIFY-COUNT"])])
def test_the_spike_count_may_be_off_by_the_limit_and_no_more(left: int, codes: list[str]) -> None:
    assert [f.code for f in judge(comparison(left, 100), NEAR)] == codes


def test_the_limit_is_the_user_s() -> None:
    assert judge(comparison(50, 100), Limits(exact=False, spike_count_error=0.5)) == []


def test_a_layer_that_follows_from_another_says_so() -> None:
    c = compare(
        trace("chip", one=spikes(30), two=spikes(60)),
        trace("model", one=spikes(31), two=spikes(61)),
        order=["one", "two"],
    )
    one, two = judge(c, EXACT)
    assert "everything before" in one.why
    assert two.why == "layer 'one' differs first, at step 1; this may follow from it"


def test_a_layer_does_not_follow_from_a_later_one() -> None:
    c = compare(
        trace("chip", one=spikes(30), two=spikes(3)),
        trace("model", one=spikes(31), two=spikes(4)),
        order=["one", "two"],
    )
    one, _ = judge(c, EXACT)
    assert one.why == "layer 'two' differs first, at step 0"


def test_a_wrong_latency_is_the_way_out() -> None:
    model = (np.random.default_rng(1).random((10, *SHAPE)) < 0.3).astype(np.int64)
    late = np.concatenate([np.zeros((2, *SHAPE), np.int64), model])
    c = compare(
        trace("chip", one=late), trace("model", one=model), order=["one"], latency_left={"one": 1}
    )
    diverged = judge(c, EXACT)[0]
    assert "1 step later" in diverged.fix


def test_runs_that_share_no_step_fail() -> None:
    findings = judge(comparison(5, 5, latency=10), NEAR)
    assert ("error", "VERIFY-NOTHING-COMPARED") in [(f.severity, f.code) for f in findings]


def test_runs_of_many_layers_that_share_no_step_fail_once() -> None:
    runs = (trace(e, **{n: spikes(0, 0) for n in ("one", "two")}) for e in ("chip", "model"))
    (finding,) = judge(compare(*runs, order=["one", "two"]), NEAR)
    assert (finding.severity, finding.code) == ("error", "VERIFY-NOTHING-COMPARED")
    assert finding.layer is None


def test_spikes_that_were_left_out_are_counted() -> None:
    c = compare(
        trace("chip", one=spikes(240, 10)), trace("model", one=spikes(200, 9)), order=["one"]
    )
    codes = {f.code: f for f in judge(c, NEAR)}
    assert "24 outputs of chip and 0 of model" in codes["VERIFY-OUTSIDE"].what


def test_layers_that_were_not_compared_are_named() -> None:
    c = compare(
        trace("chip", one=spikes(5), two=spikes(5)), trace("model", one=spikes(5)), order=["one"]
    )
    (finding,) = judge(c, EXACT)
    assert (finding.severity, finding.code, finding.layer) == ("info", "VERIFY-UNCOMPARED", "two")
    assert finding.what.startswith("model")


@pytest.mark.parametrize(
    ("scale", "limit", "codes"),
    [
        (None, 0.1, [("warning", "VERIFY-UNSCALED")]),
        (8.0, 0.1, []),
        (8.0, 0.001, [("error", "VERIFY-VALUE")]),
        (16.0, 0.1, [("error", "VERIFY-VALUE")]),
    ],
)
@pytest.mark.parametrize("exact", [True, False])
def test_values_without_spikes_are_judged_by_their_error(
    exact: bool, scale: float | None, limit: float, codes: list[tuple[str, str]]
) -> None:
    values = np.random.default_rng(1).normal(size=(10, *SHAPE)).astype(np.float32)
    c = compare(
        trace("chip", one=np.rint(values * 8).astype(np.int64)),
        trace("model", one=values),
        order=["one"],
        scale={} if scale is None else {"one": {"output": np.array(scale)}},
    )
    found = judge(c, Limits(exact=exact, value_error=limit))
    assert [(f.severity, f.code) for f in found] == codes


# --- activity ---------------------------------------------------------------


def test_a_layer_that_never_spikes_is_a_warning_with_a_way_out() -> None:
    (finding,) = activity(trace("chip", one=spikes(0), two=spikes(50)))
    assert (finding.severity, finding.code) == ("warning", "VERIFY-SILENT-LAYER")
    assert finding.layer == "one"
    assert finding.fix


def test_silence_of_the_integers_is_told_from_silence_of_the_model() -> None:
    chip = trace("chip", one=spikes(0))
    (lost,) = activity(chip, reference=trace("model", one=spikes(50)))
    (never,) = activity(chip, reference=trace("model", one=spikes(0)))
    assert "50 times in the reference" in lost.why
    assert "the model does it" in never.why


@pytest.mark.parametrize(("count", "codes"), [(228, []), (229, ["VERIFY-SATURATED-LAYER"])])
def test_a_layer_that_always_spikes_is_a_warning(count: int, codes: list[str]) -> None:
    assert [f.code for f in activity(trace("chip", one=spikes(count)))] == codes


def test_saturation_of_the_integers_is_told_from_that_of_the_model() -> None:
    chip = trace("chip", one=spikes(240))
    (made,) = activity(chip, reference=trace("model", one=spikes(120)))
    (given,) = activity(chip, reference=trace("model", one=spikes(240)))
    assert "50.0%" in made.why
    assert "the model does it" in given.fix


def test_a_graded_layer_may_always_give_a_value() -> None:
    full = spikes(240)
    assert activity(trace("chip", one=full), graded={"one"}) == []
    assert activity(trace("model", one=full.astype(np.float32))) == []


def test_a_recording_without_steps_is_neither_silent_nor_saturated() -> None:
    assert activity(trace("chip", one=spikes(0, 0))) == []


# --- the report ----------------------------------------------------------------


def report(left: int = 30, right: int = 31, limits: Limits = EXACT) -> Report:
    c = comparison(left, right)
    return Report(c, limits, tuple(judge(c, limits)), {"input": "a.npz"})


@pytest.mark.parametrize(
    ("left", "limits", "verdict", "code"),
    [
        (31, EXACT, "passed: exact (trained = read: unknown)", 0),
        (31, NEAR, "passed: exact (trained = read: unknown)", 0),
        (30, NEAR, "passed: within the limits (trained = read: unknown)", 0),
        (30, EXACT, "failed: 1 error", 1),
        (10, NEAR, "failed: 1 error", 1),
        (30, replace(EXACT, defaults=DEFAULTS), "differs in layer 'one'", 1),
        (10, replace(NEAR, defaults=DEFAULTS), "differs by more than 10 % in layer 'one'", 1),
        (10, replace(NEAR, defaults=frozenset({"exact"})), "failed: 1 error", 1),
    ],
)
def test_the_verdict(left: int, limits: Limits, verdict: str, code: int) -> None:
    r = report(left, 31, limits)
    assert r.verdict == verdict
    assert r.exit_code == code
    assert r.text().endswith(f"verdict: {verdict}")


def test_a_default_is_no_failure_and_what_a_user_chose_is() -> None:
    """This holds for each limit and each layer separately."""
    c = compare(
        trace("chip", one=spikes(10), two=spikes(10), three=spikes(20)),
        trace("model", one=spikes(31), two=spikes(31), three=spikes(20)),
        order=["one", "two", "three"],
    )
    usual = replace(NEAR, defaults=DEFAULTS)

    def verdict(text: str) -> tuple[str, list[str]]:
        limits = parse_limits(text, usual)
        found = judge(c, limits)
        return Report(c, limits, tuple(found)).verdict, [f.what for f in found]

    both, said = verdict("cosine = 0.1")
    assert both == "differs by more than 10 % in 2 of 3 layers"
    assert all("differs by 67.7 %, more than 10 %" in what for what in said)
    chosen, said = verdict("[layers.two]\nspike_count_error = 0.2")
    assert chosen == "failed: 1 error; differs by more than 10 % in layer 'one'"
    assert "67.7% off, the limit is 20.0%" in said[1]
    assert verdict("spike_count_error = 0.1")[0] == "failed: 2 errors"


def test_runs_without_any_spike_prove_nothing() -> None:
    """Equal in every bit, and yet no answer: the input did not reach the model."""
    for limits in (EXACT, NEAR):
        r = report(0, 0, limits)
        assert [f.code for f in r.findings] == ["VERIFY-NO-SPIKES"]
        assert (r.passed, r.exit_code) == (False, 1)
        assert r.verdict == "nothing was compared: no layer spiked"
        assert "--dt" in r.findings[0].why
        assert "--bin" in r.findings[0].why
        assert "No difference" not in r.text()
        assert r.as_json()["passed"] is False


def told(chip: Array, model: Array) -> str:
    c = compare(trace("chip", one=chip), trace("model", one=model), order=["one"])
    return " ".join(Report(c, NEAR, tuple(judge(c, NEAR))).text().split())


def test_spikes_that_only_moved_are_told_from_spikes_that_were_lost() -> None:
    model = (np.random.default_rng(1).random((60, *SHAPE)) < 0.05).astype(np.int64)
    late = np.roll(model, 1, axis=0)
    late[0] = model[-1]
    words = "Most spikes are in both runs, but moved by steps: "
    assert f"{words}{int((late != model).sum())} mismatches" in told(late, model)
    assert "spike-time distance is at most 0." in told(late, model)
    neighbour = model.copy()
    step, *neuron = (int(i) for i in np.argwhere(model)[0])
    neighbour[step, *neuron] = 0
    neighbour[step, *(1 - neuron[0], *neuron[1:])] += 1
    assert words not in told(neighbour, model)
    assert "Most spikes are in both runs: 2 mismatches" in told(neighbour, model)
    elsewhere = np.roll(model, 1, axis=-1)
    twice = np.maximum(model, np.roll(model, 2, axis=0))
    for other in (elsewhere, twice, np.zeros_like(model), model[::-1]):
        assert words not in told(other, model)
        assert "More than the times of spikes differs: " in told(other, model)
    assert "spikes differs" not in told(model, model)
    half = f"{int(twice.sum())} spikes for {int(model.sum())}"
    assert f"layer 'one' has the largest error, with {half}" in told(twice, model)


def test_details_can_be_left_out() -> None:
    assert "first differ" in report().text()
    assert "first differ" not in report().text(details=False)


def test_the_json_is_plain_and_its_keys_are_stable() -> None:
    data = report().as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert list(data) == [
        "schema_version", "passed", "verdict", "chain", "trained", "exact", "left", "right",
        "limits", "layers", "first_divergence", "uncompared", "alone", "causes", "task",
        "findings", "context",
    ]  # fmt: skip
    assert data["schema_version"] == 1
    assert list(data["layers"][0]) == [
        "layer", "shape", "steps", "latency_left", "latency_right", "spikes_left",
        "spikes_right", "outside_left", "outside_right", "exact", "analogue", "mismatches",
        "state_mismatches", "count_error", "value_error", "cosine", "shift", "first",
        "timing",
    ]  # fmt: skip
    assert data["first_divergence"] == {
        "layer": "one", "neuron": [0, 1, 2], "step": 1, "left_step": 1, "right_step": 1,
        "variable": "output", "left": 0, "right": 1, "left_float": None, "right_float": None,
        "values": [
            {"variable": "output", "left": 0, "right": 1, "left_float": None, "right_float": None}
        ],
        "arrivals": [],
    }  # fmt: skip
    assert data["findings"][0]["code"] == "VERIFY-DIVERGED"


def test_the_json_is_the_same_each_time() -> None:
    assert json.dumps(report().as_json()) == json.dumps(report().as_json())


def test_numbers_that_json_lacks_become_text() -> None:
    frames, v = spikes(3), np.full((10, *SHAPE), np.inf)
    a = Trace("a", trace("a", one=frames).outputs, {"one": {"v": v}}, {})
    b = Trace("b", a.outputs, {"one": {"v": -v}}, {})
    c = compare(a, b, order=["one"])
    data = Report(c, EXACT, (), {"seed": np.int64(3)}).as_json()
    assert data["first_divergence"]["left"] == "inf"
    assert data["context"] == {"seed": 3}
    assert json.dumps(data, allow_nan=False)


def test_the_text_says_where_what_and_the_verdict() -> None:
    text = report().text()
    assert "chip against model" in text
    heads = next(line for line in text.splitlines() if line.startswith("layer"))
    assert heads.split()[3:5] == ["chip", "model"]
    assert "differ: mismatches" in " ".join(text.split())
    assert "layer 'one', neuron (0, 1, 2), at step 1" in " ".join(text.split())
    assert "the output: 0 in chip, 1 in model" in " ".join(text.split())
    assert "error[VERIFY-DIVERGED]" in text


def test_the_text_fits_80_columns_with_long_names_and_large_numbers() -> None:
    name = "backbone.stage3.block2." * 6 + "lif"
    engine = "the-emulator-of-a-vendor-with-a-very-long-name-" * 3
    shape = (64, 128, 128)
    rng = np.random.default_rng(1)
    index = np.unique(rng.integers(0, 2**20, 10**5))
    full = Recording(shape, np.array([0, 0, len(index)]), index, np.ones(len(index), np.int64))
    none = Recording.from_dense(np.zeros((2, *shape), np.int64))
    states = {name: {"v": np.full((2, *shape), -(2**23), np.int32)}}
    c = compare(
        Trace(engine, {name: full}, states, {}),
        Trace("model", {name: none}, states, {}),
        order=[name],
        scale={name: {"v": np.array(3.0)}},
        inputs=lambda layer, neuron, step: [Arrival(name, (63, 127, 127), step, 2**40, -7)],
    )
    text = Report(
        c, EXACT, (*judge(c, EXACT), *activity(Trace("model", {name: none}, {}, {})))
    ).text()
    assert max(map(len, text.split("\n"))) <= 80
    assert f"{len(index):,}" in text
    assert "1099511627776" in text
    assert "VERIFY-SILENT-LAYER" in text


def test_the_heaviest_arrivals_are_told_and_the_rest_counted() -> None:
    events = [Arrival("in", (k,), 0, 1, k) for k in range(20)]
    c = compare(
        trace("chip", one=spikes(3)),
        trace("model", one=spikes(4)),
        order=["one"],
        inputs=lambda layer, neuron, step: [*events, Arrival("pool", (), 0, None)],
    )
    text = " ".join(Report(c, EXACT, ()).text().split())
    assert "arrived from neuron sent at step value weight" in text
    assert "in (19) 0 1 19 in (18) 0 1 18" in text
    assert "and 12 more" in text
    assert "in (11)" not in text
    assert "What 'pool' sent there at step 0 was not recorded." in text
    said = " ".join(divergence_sentences(c))
    assert "There arrived 1 from 'in' (19,), sent at step 0, weight 19; 1 from 'in' (18,)" in said
    assert "and 12 more." in said


def test_the_steps_that_a_delay_waits_are_told_once_and_without_the_relays_names() -> None:
    relays = [Arrival(f"in{'~' * k}", (), k, None) for k in range(1, 6)]
    c = compare(
        trace("chip", one=spikes(3)),
        trace("model", one=spikes(4)),
        order=["one"],
        inputs=lambda layer, neuron, step: [*relays, Arrival("in", (2,), 6, 1, 7)],
    )
    text = " ".join(Report(c, EXACT, ()).text().split())
    assert "There arrived 1 from 'in' (2,), sent at step 6, weight 7." in text
    assert text.count("What came late from 'in' is not listed") == 1
    assert "~" not in text


def test_values_are_shown_by_the_error_that_judges_them() -> None:
    c = compare(
        trace("chip", one=np.full((4, 1), 3)),
        trace("model", one=np.full((4, 1), 0.5, np.float32)),
        order=["one"],
        scale={"one": {"output": np.full(1, 8.0)}},
    )
    text = Report(c, NEAR, tuple(judge(c, NEAR))).text()
    (row,) = (line for line in text.split("\n") if line.startswith("one "))
    assert row.split() == ["one", "1", "4", "values", "values", "-", "25.00%", "-"]
    assert "or of values their root mean square" in " ".join(text.split())


def test_names_from_a_file_cannot_write_to_the_terminal() -> None:
    name = "evil\x1b[2J\r\n"
    c = compare(trace("a", **{name: spikes(1)}), trace("b", **{name: spikes(0)}), order=[name])
    text = Report(c, EXACT, tuple(judge(c, EXACT))).text()
    assert "\x1b" not in text
    assert "\r" not in text
    assert "evil" in text
