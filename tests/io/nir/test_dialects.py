"""Dialects: files as other frameworks write them give the outputs of those frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import ArgumentTypeError, Finding, InputError, UsageError
from nrf_deploy.engines.reference.run import run
from nrf_deploy.io.nir.dialects import DIALECTS
from nrf_deploy.io.rule_options import Producer
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording
from tests.builders import producers as p
from tests.builders.cli_calls import USAGE, refusal, unwrapped
from tests.builders.nir_files import Tree

Case = tuple[Tree, dict[str, Any], p.Step]


def output(path: str, name: str, x: Array, **how: Any) -> Array:
    network = nd.read(path, **how).network
    trace = run(network, Recording.from_dense(x), record=[name])
    return np.asarray(trace.outputs[name].dense(), np.float32)


def refused(path: str, **how: Any) -> list[Finding]:
    with pytest.raises(InputError) as caught:
        nd.read(path, **how)
    return [f for f in caught.value.findings if f.severity == "error"]


# --- equal to the framework's equations ------------------------------------------------------

MIXED = np.array([1, 0.5, 1, 0.9, 0], np.float32)
SNNTORCH: dict[str, Case] = {
    "late": (p.leaky(), {}, p.by_snntorch("late")),
    "late by 1 ms": (p.leaky(), {"dt": 1e-3}, p.by_snntorch("late")),
    "doubled": (p.leaky(), {"reset": "doubled"}, p.by_snntorch("doubled")),
    "zero": (p.leaky(), {"reset": "value"}, p.by_snntorch("value")),
    "none": (p.leaky(), {"reset": {"1": "none"}}, p.by_snntorch("none")),
    "synaptic": (p.synaptic(), {}, p.by_snntorch("late", alpha=p.ALPHA)),
    "beta 1 and others": (p.leaky(MIXED), {}, p.by_snntorch("late", MIXED)),
    "beta 1": (p.leaky(p.ZERO + 1), {}, p.by_snntorch("late", p.ZERO + 1)),
    "beta 0": (p.leaky(p.ZERO), {}, p.by_snntorch("late", p.ZERO)),
}


@pytest.mark.parametrize("case", SNNTORCH)
def test_snntorch(tmp_path: Path, case: str) -> None:
    tree, how, step = SNNTORCH[case]
    path, x = p.file(tmp_path / "m.nir", tree, p.SNNTORCH), p.frames()
    expected = p.expected(step, x)
    assert 50 < expected.sum() < 900
    np.testing.assert_array_equal(output(path, "1", x, producer="snntorch", **how), expected)


SINABS: dict[str, Case] = {
    "IAF, its reader's floor": (p.iaf(), {}, p.by_sinabs(floor=-1)),
    "IAF without a floor": (p.iaf(), {"floor": "none"}, p.by_sinabs()),
    "IAF, another floor": (p.iaf(), {"floor": {"1": -0.5}, "dt": 1}, p.by_sinabs(floor=-0.5)),
    "LIF": (p.lif(), {"dt": 1e-3}, p.by_sinabs(5)),
    "ExpLeak": (p.lif("LI"), {}, p.by_sinabs(5, norm=False, spikes=False)),
}


@pytest.mark.parametrize("case", SINABS)
def test_sinabs(tmp_path: Path, case: str) -> None:
    tree, how, step = SINABS[case]
    path, x = p.file(tmp_path / "m.nir", tree, p.SINABS), p.frames()
    expected = p.expected(step, x)
    assert np.abs(expected).sum() > 5
    np.testing.assert_array_equal(output(path, "1", x, producer="sinabs", **how), expected)


def test_the_digit_network_of_sinabs_has_its_own_counts(shared: Path) -> None:
    """The counts of sinabs 3.1.3 on the same recording, with the floor of its training."""
    model = nd.read(shared / "conformance/nir/cnn_sinabs.nir", producer="sinabs")
    file = shared / "recordings/nmnist_sample.npz"
    digit = nd.read_recording(file, model, bin=1e-3, origin="first")
    layers = ["1", "3", "6", "10", "12"]
    trace = run(model.network, digit, record=layers)
    counts = [int(trace.outputs[name].dense().sum()) for name in layers]
    assert counts == [10942, 26231, 22115, 24268, 1733]


# --- units of time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("producer", "tree", "step"), [("snntorch", p.leaky(), 1e-4), ("sinabs", p.lif(), 1)]
)
def test_the_producer_states_the_time_step(
    tmp_path: Path, producer: Any, tree: Tree, step: float
) -> None:
    path = p.file(tmp_path / "m.nir", tree, p.SINABS)
    assert nd.read(path, producer=producer).network.dt == step
    assert nd.read(path, producer=producer, dt=0.25).network.dt == 0.25


# --- the likely producer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "names", "likely"),
    [
        (p.leaky(), p.SNNTORCH, "it is likely from snnTorch: tau is r * 1e-4 in every neuron"),
        (p.iaf(), p.SINABS, "it is likely from sinabs: r is 1 in every neuron"),
        (p.iaf(), ("input", "w", "neurons", "output"), "no mark in it tells its producer"),
    ],
)
def test_the_refusal_proposes_the_likely_producer(
    tmp_path: Path, tree: Tree, names: Any, likely: str
) -> None:
    path = p.file(tmp_path / "m.nir", tree, names)
    for finding in refused(path):
        if finding.code == "NIR-RULE-UNSTATED":
            assert finding.why.startswith(likely)
    (finding,) = refused(path, dt=1e-4)
    assert finding.code == "NIR-RULE-UNSTATED"


def test_every_producer_has_a_dialect_and_its_defaults_are_printed(tmp_path: Path) -> None:
    assert set(get_args(Producer)) == set(DIALECTS)
    path = p.file(tmp_path / "m.nir", p.leaky(), p.SNNTORCH)
    (finding,) = nd.read(path, producer="snntorch").findings
    assert (finding.severity, finding.code) == ("info", "NIR-RULE-PRODUCER")
    assert DIALECTS["snntorch"].means in finding.what
    assert DIALECTS["snntorch"].lost in finding.what


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("producer", "tree", "what"),
    [
        ("snntorch", p.iaf(), "a IF is not a node that snnTorch writes"),
        ("snntorch", p.lif(), "tau/r is 5; snnTorch writes 0.0001 in every neuron"),
        ("snntorch", p.leaky() | {"v_leak": p.ZERO + 1}, "v_leak is 1; snnTorch writes 0"),
        ("snntorch", p.synaptic() | {"w_in": p.ZERO + 1}, "tau_syn/w_in is 0.0002"),
        ("sinabs", p.synaptic(), "a CubaLIF is not a node that sinabs writes"),
        ("sinabs", p.iaf() | {"r": p.ZERO + 2}, "r is 2; sinabs writes 1"),
        ("sinabs", p.lif() | {"v_leak": np.float32(1)}, "v_leak is 1; sinabs writes 0"),
    ],
)
def test_what_an_exporter_does_not_write_is_refused(
    tmp_path: Path, producer: Any, tree: Tree, what: str
) -> None:
    findings = refused(p.file(tmp_path / "m.nir", tree, p.SINABS), producer=producer)
    (finding,) = [f for f in findings if f.code == "NIR-PRODUCER"]
    assert what in finding.what
    assert finding.layer == "1"


def test_a_current_that_never_decays_is_refused(tmp_path: Path) -> None:
    endless = np.full(p.N, np.inf, np.float32)
    path = p.file(
        tmp_path / "m.nir", p.synaptic() | {"tau_syn": endless, "w_in": endless}, p.SINABS
    )
    assert {f.code for f in refused(path, producer="snntorch")} == {"NIR-NOT-FINITE"}


def test_metadata_of_nrf_deploy_are_refused_beside_another_producer(tmp_path: Path) -> None:
    tree = p.leaky() | {"metadata": {"nrf.version": "1", "nrf.refractory": 1.0}}
    findings = refused(p.file(tmp_path / "m.nir", tree, p.SNNTORCH), producer="snntorch")
    assert [f.code for f in findings] == ["NIR-PRODUCER"]


def test_a_producer_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    from nrf_deploy.io import nir

    path = p.file(tmp_path / "m.nir", p.leaky(), p.SNNTORCH)
    nir.write(nd.read(path, producer="snntorch").network, tmp_path / "ours.nir")
    for producer in ("snntorch", "nir"):
        findings = refused(str(tmp_path / "ours.nir"), producer=producer)
        assert "NIR-RULE-IDLE" in [f.code for f in findings]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"reset": {"7": "value"}}, "NIR-RULE-LAYER"),
        ({"reset": {"0": "value"}}, "NIR-RULE-LAYER"),
        ({"reset": {"": "late", "1": "value"}}, "NIR-RULE-IDLE"),
    ],
)
def test_a_statement_about_no_layer_is_refused(tmp_path: Path, how: Any, code: str) -> None:
    path = p.file(tmp_path / "m.nir", p.leaky(), p.SNNTORCH)
    assert [f.code for f in refused(path, producer="snntorch", **how)] == [code]


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"producer": "lava"}, "producer is 'lava'; expected one of"),
        ({"producer": 3}, "producer is 3; expected one of"),
        ({"reset": "zero"}, "reset is 'zero'; expected value or subtract"),
        ({"reset": {"1": None}}, "reset is None; expected value"),
        ({"reset": {1: "value"}}, "reset names the layer 1; expected text"),
        ({"reset": {}}, "reset is an empty mapping"),
        ({"reset": np.ones(2)}, "reset is array"),
        ({"per_step": "many:0"}, "per_step is 'many:0'"),
        ({"per_step": "many:x"}, "per_step is 'many:x'"),
        ({"per_step": "one:2"}, "per_step is 'one:2'"),
        ({"per_step": 2}, "per_step is 2"),
        ({"floor": float("nan")}, "floor is nan; expected a finite number or none"),
        ({"floor": True}, "floor is True"),
        ({"refractory": 0}, "refractory is 0; expected a number of steps from 1, or none"),
        ({"refractory": 1.5}, "refractory is 1.5"),
    ],
)
def test_values_that_no_rule_has_are_refused(tmp_path: Path, how: Any, what: str) -> None:
    path = p.file(tmp_path / "m.nir", p.leaky(), p.SNNTORCH)
    with pytest.raises(UsageError) as caught:
        nd.read(path, **how)
    assert what in str(caught.value)


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = p.file(tmp_path / "m.nir", p.leaky(), p.SNNTORCH)
    with pytest.raises(ArgumentTypeError, match="there is no option 'resets'"):
        nd.read(path, resets="late")  # type: ignore[call-arg]


# --- on the command line -------------------------------------------------------------------------


def test_the_command_line_takes_a_value_for_one_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = p.file(tmp_path / "m.nir", p.iaf(), p.SINABS)
    words = ["inspect", path, "--producer", "sinabs", "--floor", "1=none", "--per-step", "many:3"]
    assert main(words) == 0
    text = unwrapped(capsys.readouterr().out)
    assert "floor = none is stated by the caller, not by the file" in text
    assert "per_step = many:3 is stated by the caller" in text
    assert "most" in text


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--reset", "late", "--reset", "none"], "--reset none is given twice"),
        (["--reset", "1=late", "--reset", "1=none"], "--reset 1=none is given twice"),
        (["--reset", "=late"], "--reset =late is not VALUE or LAYER=VALUE"),
        (["--reset", "1="], "--reset 1= is not VALUE or LAYER=VALUE"),
        (["--floor", "low"], "floor is 'low'; expected a finite number or none"),
        (["--floor", "inf"], "floor is inf; expected a finite number or none"),
        (["--refractory", "1=x"], "refractory is 'x'; expected a number of steps"),
    ],
)
def test_malformed_words_are_refused(
    tmp_path: Path, words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = p.file(tmp_path / "m.nir", p.leaky(), p.SNNTORCH)
    assert main(["inspect", path, "--producer", "snntorch", *words]) == USAGE
    assert what in unwrapped(refusal(capsys))
