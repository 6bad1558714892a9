"""Statements about a file: the likely producer, what is refused, and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import ArgumentTypeError, Finding, InputError, UsageError
from nrf_deploy.io.nir.dialects import DIALECTS
from nrf_deploy.io.rule_options import Producer
from tests.builders import producers as p
from tests.builders.cli_calls import USAGE, refusal, unwrapped
from tests.builders.nir_files import Tree


def refused(path: str, **how: Any) -> list[Finding]:
    with pytest.raises(InputError) as caught:
        nd.read(path, **how)
    return [f for f in caught.value.findings if f.severity == "error"]


# --- the likely producer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "names", "likely"),
    [
        (p.rockpool("LIF"), p.ROCKPOOL, "it is surely from Rockpool"),
        (p.spyx("LIF"), p.SPYX, "it is surely from Spyx: nodes are called layer_N, and r is"),
        (p.spyx("IF"), p.SPYX, "it is likely from Spyx: nodes are called layer_N"),
        (p.jelly_if(), p.SPIKINGJELLY, "it is almost surely from SpikingJelly"),
        (p.norse("CubaLIF"), p.NORSE, "it is likely from Norse: every parameter is one number"),
        (p.norse("IF"), p.NORSE, "it is likely from Norse: every parameter is one number"),
        (p.leaky(), p.SNNTORCH, "it is likely from snnTorch: tau is r * 1e-4 in every neuron"),
        (p.iaf(), p.SINABS, "it is likely from sinabs: r is 1 in every neuron"),
        (p.iaf(), ("input", "w", "neurons", "output"), "no mark in it tells its producer"),
    ],
)
def test_the_refusal_proposes_the_likely_producer(
    tmp_path: Path, tree: Tree, names: Any, likely: str
) -> None:
    shape = (1, 3) if likely.startswith("it is likely from Norse") else (3,)
    path = p.file(tmp_path / "m.nir", tree, names, shape)
    for finding in refused(path):
        if finding.code == "NIR-RULE-UNSTATED":
            assert finding.why.startswith(likely)
    assert "NIR-RULE-UNSTATED" in {f.code for f in refused(path, dt=1e-6)}


def test_a_likely_producer_is_warned_of_where_only_the_rule_is_stated(tmp_path: Path) -> None:
    path = p.file(tmp_path / "m.nir", p.lif(), p.SINABS)
    findings = nd.read(path, 1, reset="subtract", fires="at").findings
    (warning,) = (f for f in findings if f.code == "NIR-RULE-LIKELY")
    assert warning.severity == "warning"
    assert "the file is likely from sinabs" in warning.what
    (rest,) = {f.severity for f in nd.read(path, 1, producer="nir").findings}
    assert rest == "info"


def test_a_producer_that_is_not_the_likely_one_is_warned_of(tmp_path: Path) -> None:
    path = p.file(tmp_path / "m.nir", p.jelly_lif(2.5, False), p.SPIKINGJELLY)
    findings = nd.read(path, producer="snntorch").findings
    (warning,) = (f for f in findings if f.code == "NIR-RULE-LIKELY")
    assert warning.severity == "warning"
    assert "read as snnTorch's, and the file is almost surely from SpikingJelly" in warning.what
    codes = [f.code for f in nd.read(path, producer="spikingjelly").findings]
    assert "NIR-RULE-LIKELY" not in codes


def test_values_of_a_likely_producer_are_refused_without_it(tmp_path: Path) -> None:
    path = p.file(tmp_path / "m.nir", p.lif("LI"), p.SINABS)
    assert [f.code for f in refused(path, dt=1)] == ["NIR-RULE-LIKELY"]
    assert nd.read(path, 1, producer="nir").network.dt == 1


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
        ("norse", p.norse("LIF") | {"r": np.float32(2)}, "r is 2; Norse writes 1"),
        ("norse", p.norse("CubaLIF") | {"w_in": np.float32(2)}, "w_in is 2; Norse writes 1"),
        ("norse", p.norse("LIF") | {"tau": np.float32(5e-7)}, "tau is 5e-07, less than a step"),
        ("spikingjelly", p.lif("LI"), "a LI is not a node that SpikingJelly writes"),
        ("spikingjelly", p.jelly_if() | {"r": -p.ONES}, None),
        ("spikingjelly", p.jelly_lif(2.0, False) | {"v_leak": p.ONES}, "v_leak is not v_reset"),
        ("spikingjelly", p.jelly_cuba(0.5, 0.5) | {"w_in": p.ONES}, "w_in is not tau_syn/dt"),
        ("rockpool", p.iaf(), "a IF is not a node that Rockpool writes"),
        ("rockpool", p.rockpool("CubaLIF") | {"w_in": p.ZERO + 2}, "w_in is 2; Rockpool writes 1"),
        ("rockpool", p.rockpool("LIF") | {"v_leak": p.ZERO + 1}, "v_leak is 1; Rockpool writes 0"),
        ("spyx", p.spyx("LIF") | {"r": p.ZERO + 0.5}, None),
        ("spyx", p.spyx("CubaLIF") | {"w_in": p.ZERO + 2}, "w_in is 2; Spyx writes 1"),
        ("sinabs", p.lif() | {"v_leak": np.float32(1)}, "v_leak is 1; sinabs writes 0"),
    ],
)
def test_what_an_exporter_does_not_write_is_refused(
    tmp_path: Path, producer: Any, tree: Tree, what: str | None
) -> None:
    findings = refused(p.file(tmp_path / "m.nir", tree, p.SINABS), producer=producer)
    (finding,) = [f for f in findings if f.code == "NIR-PRODUCER"]
    assert finding.layer == (None if what is None else "1")
    assert (what or "the neurons imply") in finding.what


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
    values = p.file(tmp_path / "v.nir", p.lif("LI"), p.SINABS)
    for file, reader in ((path, "snntorch"), (values, "sinabs")):
        nir.write(nd.read(file, producer=reader).network, tmp_path / "ours.nir")  # type: ignore[arg-type]
        for producer in (reader, "nir"):
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
