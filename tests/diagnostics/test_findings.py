"""Findings as people read them: what differs in the layer alone is said once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, error, info, merged, warning
from nrf_deploy.io import nir
from tests.verification.test_engine_table import network


def test_findings_that_differ_in_the_layer_alone_become_one() -> None:
    alike = [error("A", "too much", why="w", fix="f", layer=n) for n in ("one", "two", "three")]
    other = error("A", "too little", why="w", fix="f", layer="four")
    (first, second) = merged([*alike[:2], other, alike[2]])
    assert first.what == "layers 'one', 'two', 'three': too much"
    assert (first.severity, first.code, first.why, first.fix) == ("error", "A", "w", "f")
    assert first.text().startswith("error[A] layers 'one', 'two', 'three': too much")
    assert second == other


def test_what_differs_otherwise_stays_apart() -> None:
    found = [
        error("A", "x", layer="one"),
        warning("A", "x", layer="one"),
        error("B", "x", layer="one"),
        error("A", "x", layer="one", step=3),
        error("A", "x"),
        info("A", "x", fix="y", layer="one"),
    ]
    assert merged(found) == found
    assert merged([found[0], found[0]]) == [found[0]]


def test_check_names_layers_and_codes_in_full_and_says_a_problem_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.nir"
    nir.write(network(), path)
    words = ["check", str(path), "--target", "emulator:reset=subtract"]
    assert main(words) == 4
    told = capsys.readouterr().out
    assert told.count("error[EMULATOR-RESET-VALUE]") == 1
    assert "error[EMULATOR-RESET-VALUE] layers 'first', 'last': " in " ".join(told.split())
    assert told.count("refused EMULATOR-RESET-VALUE") == 2
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= 80
    assert "cannot go on emulator:reset=subtract: 1 problem" in told
    assert main([*words, "--json"]) == 4
    findings = json.loads(capsys.readouterr().out)["findings"]
    layers = [f["layer"] for f in findings if f["code"] == "EMULATOR-RESET-VALUE"]
    assert layers == ["first", "last"], "programs read one a layer"


def test_a_long_name_of_a_layer_is_whole_in_every_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from itertools import pairwise

    from nrf_deploy.io.recordings import write
    from nrf_deploy.ir.network import IF, Input, Linear, Network, Output
    from nrf_deploy.ir.recording import Recording

    name, two = "backbone.stage3.block2.convolution.spiking." + "n" * 20, np.ones(2)
    nodes = (
        Input(name="in", port_shape=(3,)),
        Linear(name="w", weight=np.arange(1.0, 7.0).reshape(2, 3)),
        IF(name=name, r=two, v_threshold=two * 9, v_reset=two * 0),
        Output(name="out", port_shape=(2,)),
    )
    made = Network(nodes, tuple(pairwise(n.name for n in nodes)), dt=1.0)
    path, bundle, events = (str(tmp_path / n) for n in ("m.nir", "m.nrfb", "e.npz"))
    nir.write(made, tmp_path / "m.nir")
    write(Recording.from_dense(np.ones((40, 3), np.int64), 1.0), events)
    for words in (
        ["check", path, "--target", "loihi2"],
        ["compile", path, "--target", "loihi2", "-o", bundle],
        ["inspect", path],
        ["verify", bundle, "--input", events, "--attribute"],
        ["run", bundle, "--input", events, "-o", str(tmp_path / "s.npz")],
    ):
        assert main(words) == 0
        told = capsys.readouterr().out
        assert name in told.splitlines(), words[0]


@pytest.mark.parametrize(
    ("text", "in_python"),
    [
        ("give --dt in seconds", "give dt= in seconds"),
        ("give --bin 0.001", "give bin=0.001"),
        ("give --per-step one|many, or --from", "give per_step=one|many, or start="),
        ("nrf-deploy compile m.nir --target CHIP", "nrf-deploy compile m.nir --target CHIP"),
        ("a layer 'x--dt' or --- is left", "a layer 'x--dt' or --- is left"),
    ],
)
def test_an_error_in_python_names_arguments_in_place_of_options(text: str, in_python: str) -> None:
    refusal = InputError(error("CODE", "what", fix=text))
    assert str(refusal) == f"error[CODE] what\n    fix: {in_python}"
    assert refusal.findings[0].fix == text
