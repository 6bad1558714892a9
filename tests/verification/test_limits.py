"""Limits from a file, and verdicts that CI reads."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.compare.compare import compare
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.network import IF, Input, Linear, Network, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification import Limits, Report, judge, junit, parse_limits
from nrf_deploy.verification.advice import Advice, ways
from nrf_deploy.verification.attribution.causes import Ways
from nrf_deploy.verification.limits import DEFAULTS
from tests.builders.verify_traces import delayed, spikes, trace

from .attribution.test_attribution import network

USUAL = Limits(exact=False)


def judged(limits: Limits, late: int = 0, share: float = 0.0) -> list[str]:
    model = {"one": spikes(1, 60), "two": spikes(2, 60)}
    lost = np.random.default_rng(3).random(model["one"].shape) < share
    chip = {"one": np.where(lost, 0, delayed(model["one"], late)[:60]), "two": model["two"]}
    found = judge(compare(trace("chip", chip), trace("model", model), order=list(model)), limits)
    return [f.code for f in found if f.severity == "error"]


@pytest.mark.parametrize(
    ("limit", "late", "share", "codes"),
    [
        ("mismatches = 0.5", 1, 0, ["VERIFY-MISMATCHES"]),
        ("mismatches = 3", 1, 0, []),
        ("victor_purpura = 0.1", 1, 0, ["VERIFY-VICTOR-PURPURA"]),
        ("van_rossum = 0.1", 1, 0, ["VERIFY-VAN-ROSSUM"]),
        ("cosine = 0.9999", 0, 0.05, ["VERIFY-COSINE"]),
        ("cosine = 0.9", 1, 0, []),
        ("spike_count_error = 0.01", 0, 0.05, ["VERIFY-COUNT"]),
        ("cosine = 0.9999\n[layers.one]\ncosine = 0.5", 0, 0.05, []),
        ("mismatches = 3\n[layers.one]\nmismatches = 0", 0, 0.05, ["VERIFY-MISMATCHES"]),
        ("[layers.one]\nexact = true", 0, 0.01, ["VERIFY-DIVERGED"]),
        ("[layers.two]\nexact = true", 0, 0.01, []),
        ("exact = true\n[layers.one]\nexact = false", 0, 0.01, []),
    ],
)
def test_a_file_limits_metrics_and_layers(
    limit: str, late: int, share: float, codes: list[str]
) -> None:
    assert judged(parse_limits(limit, USUAL), late, share) == codes


def test_one_limit_is_enough_and_nothing_must_be_exact() -> None:
    assert nd.Limits(cosine=0.9) == nd.Limits(exact=False, cosine=0.9)


def test_what_a_file_does_not_say_stays_as_usual() -> None:
    assert parse_limits("", Limits(exact=True)) == Limits(exact=True)
    assert parse_limits("cosine = 0.5", USUAL) == Limits(exact=False, cosine=0.5)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("cosinus = 1", ["LIMITS-UNKNOWN"]),
        ("exact = 1", ["LIMITS-VALUE"]),
        ("cosine = true\nmismatches = -1", ["LIMITS-VALUE", "LIMITS-VALUE"]),
        ("van_rossum = nan", ["LIMITS-VALUE"]),
        ("[layers]\none = 3", ["LIMITS-MALFORMED"]),
        ("[layers.one]\nlayers = {}", ["LIMITS-UNKNOWN"]),
        ("= 1", ["LIMITS-MALFORMED"]),
    ],
)
def test_a_wrong_file_is_refused_with_every_mistake(text: str, codes: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        parse_limits(text, USUAL)
    assert [f.code for f in refused.value.findings] == codes


# --- JUnit ------------------------------------------------------------------


def report(share: float) -> Report:
    model = {"one<&>": spikes(1, 60), "two": spikes(2, 60)}
    lost = np.random.default_rng(3).random(model["two"].shape) < share
    chip = {**model, "two": np.where(lost, 0, model["two"])}
    c = compare(trace("chip", chip), trace("model", model), order=list(model))
    return Report(c, USUAL, tuple(judge(c, USUAL)))


def test_each_layer_is_a_test_and_a_broken_limit_its_failure() -> None:
    text = junit(report(0.5))
    assert text == junit(report(0.5))
    suite = ElementTree.fromstring(text)
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    sound, broken = suite.findall("testcase")
    assert (sound.get("name"), sound.get("classname")) == ("one<&>", "chip against model")
    assert sound.find("failure") is None
    failure = broken.find("failure")
    assert failure is not None
    assert failure.get("type") == "VERIFY-COUNT"
    assert "spikes in chip" in str(failure.get("message"))
    assert ElementTree.fromstring(junit(report(0.0))).get("failures") == "0"


def test_junit_tells_a_default_limit_from_a_chosen_one() -> None:
    made = report(0.5)
    usual = replace(USUAL, defaults=DEFAULTS)
    for limits, words in ((USUAL, "the limit is 10.0%"), (usual, "%, more than 10 %")):
        found = tuple(judge(made.comparison, limits))
        (failure,) = ElementTree.fromstring(junit(replace(made, findings=found))).iter("failure")
        assert words in str(failure.get("message"))


# --- the command line ----------------------------------------------------------


def test_the_verb_reads_limits_writes_junit_and_gives_causes(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits, xml = tmp_path / "l.toml", tmp_path / "out.xml"
    limits.write_text("spike_count_error = 5\n[layers.last]\ncosine = 0.1\n")
    words = ["verify", str(bundle), "--input", str(events), "--json", "--attribute"]
    code = main([*words, "--limits", str(limits), "--junit", str(xml)])
    told = json.loads(capsys.readouterr().out)["report"]
    assert code == (0 if told["passed"] else 1)
    assert told["limits"]["layers"] == {"last": {"cosine": 0.1}}
    assert [x["layer"] for x in told["causes"]] == ["hidden", "last"]
    assert ElementTree.parse(xml).getroot().get("tests") == "2"


def test_a_layer_that_is_not_there_and_limits_said_twice_are_refused(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = tmp_path / "l.toml"
    limits.write_text("[layers.hiden]\nexact = true\n")
    words = ["verify", str(bundle), "--input", str(events), "--limits", str(limits)]
    assert main(words) == 2
    assert "did you mean 'hidden'?" in capsys.readouterr().err
    assert main([*words, "--exact"]) == 2
    assert "LIMITS-TWICE" in capsys.readouterr().err


def test_every_key_of_a_report_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "report-schema.md").read_text()
    data = report(0.5).as_json()
    layer, divergence = data["layers"][0], data["first_divergence"]
    keys = {*data, *layer, *layer["timing"], *divergence, *data["limits"], *data["findings"][0]}
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_the_way_out_names_the_file_of_the_limits_and_only_what_can_help() -> None:
    model, chip = {"one": spikes(1, rate=0.5)}, {"one": spikes(1, rate=0.2)}
    c = compare(trace("chip", chip), trace("model", model), order=["one"])
    limits = Limits(exact=False, cosine=0.99)
    told = [f.fix for f in judge(c, limits)]
    assert "--limit" in told[0]
    assert not [fix for fix in told if "weight_bits" in fix]
    known = Advice(Ways(frozenset({"one"}), True))
    count, cosine = judge(c, replace(limits, file="mine.toml"), known)
    assert "a wider spike_count_error in mine.toml" in count.fix
    assert "more weight_bits" in count.fix
    assert "--calibrate" not in count.fix, "the cause is not known"
    assert "a wider cosine in mine.toml" in cosine.fix
    assert "file" not in replace(limits, file="mine.toml").as_json()


@pytest.mark.parametrize("chip", ["loihi2", "emulator", "speck2b"])
def test_every_target_says_that_data_were_used(chip: str) -> None:
    one = np.ones(2)
    nodes = (
        Input(name="in", port_shape=(3,)),
        Linear(name="w", weight=np.arange(1.0, 7.0).reshape(2, 3)),
        IF(name="n", r=one, v_threshold=one * 9, v_reset=one * 0),
        Output(name="out", port_shape=(2,)),
    )
    made = Network(nodes, tuple(itertools.pairwise(n.name for n in nodes)), dt=1e-3)
    given = Recording.from_dense(np.random.default_rng(0).integers(0, 2, (40, 3)))
    before, after = (ways(nd.compile(made, chip, data)) for data in (None, given))
    assert (before.calibrated, after.calibrated) == (False, True)
    for cause in ("weights", "saturation"):
        assert "--calibrate" in before.fix(cause, "n")
        assert "--calibrate" not in after.fix(cause, "n")


@pytest.mark.parametrize(("bits", "can"), [(None, False), (8, False), (4, True)])
def test_more_bits_are_a_way_out_only_where_the_chip_has_them(bits: int | None, can: bool) -> None:
    made = nd.compile(network(), "loihi2", scheme=Rules(weight_bits=bits))
    assert ways(made).coarse == (frozenset({"first", "last"}) if can else frozenset())
