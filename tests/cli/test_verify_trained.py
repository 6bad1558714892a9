"""The verb verify of a .nir file: the float model against what its framework gave."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.io import nir as nir_io
from nrf_deploy.io.recordings import write as write_recording
from nrf_deploy.ir.network import Population
from nrf_deploy.neurons import Spikes
from nrf_deploy.witness.origin import other_producer
from tests.builders.cli_calls import call
from tests.builders.nir_files import chain, port, save
from tests.builders.witnesses import two_layers, witness_of
from tests.witness.test_reading import subtracting
from tests.witness.test_recorded import arrays_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    network = two_layers()
    nir_io.write(network, tmp_path / "m.nir")
    recorded(tmp_path / "same.npz", network)
    recorded(tmp_path / "other.npz", subtracting(network))
    return tmp_path


def recorded(path: Path, network: Any, **more: Any) -> None:
    np.savez(path, **arrays_of(witness_of(network)), **more)  # type: ignore[arg-type]


def verify(folder: Path, *words: str) -> tuple[int, str]:
    done = call("verify", str(folder / "m.nir"), *words)
    return done.returncode, done.stdout + done.stderr


def test_an_equal_model_passes_and_says_on_how_many_steps(folder: Path) -> None:
    code, text = verify(folder, "--against", str(folder / "same.npz"))
    assert code == 0
    assert "verdict: passed: trained = read: exact on 32 steps" in text
    assert "n1" in text


def test_a_model_that_differs_names_the_place_and_what_would_be_equal(folder: Path) -> None:
    code, text = verify(folder, "--against", str(folder / "other.npz"))
    flat = " ".join(text.split())
    assert code == 1
    assert "error[WITNESS-DIFFERS] layer 'n1'" in flat
    assert "equal on 32 steps if the reset subtracts the threshold at once" in flat
    assert "--reset subtract where the file does not state it" in flat
    assert "verdict: differs: 0 of 2 layers are what the framework ran" in flat


def test_a_layer_of_its_own_reset_is_named_alone(folder: Path) -> None:
    network = two_layers()
    nodes = tuple(
        replace(n, rule=Spikes(threshold=n.rule.threshold, reset="subtract"))
        if type(n) is Population and n.name == "n2"
        else n
        for n in network.nodes
    )
    recorded(folder / "mixed.npz", replace(network, nodes=nodes))
    _, text = verify(folder, "--against", str(folder / "mixed.npz"))
    assert "--reset n2=subtract" in " ".join(text.split())


def test_the_answer_is_also_json_and_junit(folder: Path) -> None:
    words = ("--against", str(folder / "other.npz"), "--json", "--junit", str(folder / "x.xml"))
    code, text = verify(folder, *words)
    report = json.loads(text)["report"]
    assert code == 1
    assert (report["passed"], report["trained"]["state"]) == (False, "unknown")
    assert [x["layer"] for x in report["layers"]] == ["n1", "n2"]
    assert report["layers"][0]["first"]["step"] == 0
    suite = ElementTree.parse(folder / "x.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    code, text = verify(folder, "--against", str(folder / "same.npz"), "--json")
    trained = json.loads(text)["report"]["trained"]
    assert (trained["state"], trained["steps"], trained["layers"]) == ("exact", 32, ["n1", "n2"])


def test_the_input_can_be_a_recording_beside_it(folder: Path) -> None:
    witness = witness_of(two_layers())
    arrays = arrays_of(witness)
    np.savez(folder / "x.npz", **{k: v for k, v in arrays.items() if k != "input"})  # type: ignore[arg-type]
    write_recording(witness.input, folder / "in.npz")
    code, text = verify(
        folder, "--against", str(folder / "x.npz"), "--input", str(folder / "in.npz")
    )
    assert (code, "exact on 32 steps" in text) == (0, True)


def foreign(folder: Path) -> Path:
    """Write a file that states nothing, whose framework resets one step late."""
    network = two_layers(rule=Spikes(threshold=np.ones((), np.float32), reset="late"))
    fc1, n1 = network["fc1"], network["n1"]
    assert type(n1) is Population
    numbers = {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    values = {k: np.full(8, v, np.float32) for k, v in numbers.items()}
    nodes = (
        port("Input", 5),
        {"type": "Linear", "weight": fc1.weight},  # type: ignore[attr-defined]
        {"type": "LIF", **values},
        port("Output", 8),
    )
    save(folder / "m.nir", chain(*nodes, dt=None, names=["input", "0", "1", "output"]))
    witness = witness_of(network)
    np.savez(
        folder / "late.npz", input=witness.input.dense(), **{"1": witness.outputs["n1"].dense()}
    )
    return folder


def test_a_file_that_states_nothing_gets_the_producer_that_is_equal(tmp_path: Path) -> None:
    folder = foreign(tmp_path)
    code, text = verify(folder, "--against", str(folder / "late.npz"), "--dt", "1e-4")
    flat = " ".join(text.split())
    assert code == 3
    assert "give --producer snntorch: the model is then equal to the recording on 32 steps" in flat
    words = ("--against", str(folder / "late.npz"), "--producer", "snntorch")
    code, text = verify(folder, *words)
    assert (code, "exact on 32 steps" in text) == (0, True)
    code, text = verify(folder, *words[:2], "--producer", "nir", "--dt", "1e-4")
    flat = " ".join(text.split())
    assert code == 1
    assert "read it with --producer snntorch: the whole model is then equal" in flat
    assert "one step late" in flat


def test_verify_in_python_is_the_same(folder: Path) -> None:
    report = nd.verify_trained(str(folder / "m.nir"), folder / "same.npz")
    assert report.passed
    text = "exact on 32 steps of the framework's own spikes"
    assert report.verdict == f"passed: trained = read: {text}"
    assert nd.junit(report).count("testcase") == 2
    model = nd.read(folder / "m.nir")
    assert not nd.verify_trained(model, folder / "other.npz").passed


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "--against names no recording"),
        (("--against", "same.npz", "--limit", "0.1"), "--limit would change nothing"),
        (("--against", "same.npz", "--engine", "lava"), "--engine would change nothing"),
        (("--against", "same.npz", "--bin", "1e-3"), "--bin would change nothing"),
        (("--against", "same.npz", "--report", "r.html"), "--report would change nothing"),
    ],
)
def test_options_of_bundles_are_refused(folder: Path, words: tuple[str, ...], text: str) -> None:
    here = [str(folder / w) if w.endswith(".npz") else w for w in words]
    code, said = verify(folder, *here)
    assert code == 2
    assert text in " ".join(said.split())


def test_options_of_models_are_refused_for_a_bundle(folder: Path) -> None:
    bundle = nd.compile(nd.read(folder / "m.nir"), "emulator")
    nd.save(bundle, folder / "m.nrfb")
    write_recording(witness_of(two_layers()).input, folder / "in.npz")
    done = call("verify", str(folder / "m.nrfb"), "--input", str(folder / "in.npz"), "--dt", "1")
    assert (done.returncode, "--dt would change nothing" in done.stderr) == (2, True)
    done = call("verify", str(folder / "m.nrfb"))
    assert (done.returncode, "required: --input" in done.stderr) == (2, True)


def test_a_bundle_gets_its_first_link_from_a_recording(folder: Path) -> None:
    nd.save(nd.compile(nd.read(folder / "m.nir"), "emulator"), folder / "m.nrfb")
    write_recording(witness_of(two_layers()).input, folder / "in.npz")
    words = ("verify", str(folder / "m.nrfb"), "--input", str(folder / "in.npz"), "--witness")
    done = call(*words, str(folder / "same.npz"))
    assert "trained = read: exact on 32 steps" in done.stdout
    done = call(*words, str(folder / "other.npz"))
    assert done.returncode == 3
    assert "WITNESS-DIFFERS" in done.stderr


def test_compile_with_a_witness_keeps_it(folder: Path) -> None:
    words = ("compile", str(folder / "m.nir"), "--target", "emulator", "-o", str(folder / "o.nrfb"))
    assert call(*words, "--witness", str(folder / "same.npz")).returncode == 0
    assert nd.load(folder / "o.nrfb").trained.state == "exact"
    done = call(*words, "--witness", str(folder / "other.npz"))
    assert (done.returncode, "WITNESS-DIFFERS" in done.stderr) == (3, True)
    done = call("inspect", str(folder / "m.nir"), "--witness", str(folder / "same.npz"))
    assert "trained = read: exact on 32 steps" in done.stdout


def test_a_silent_recording_proves_nothing(folder: Path) -> None:
    silent = {"input": np.zeros((9, 5)), "n1": np.zeros((9, 8)), "n2": np.zeros((9, 4))}
    np.savez(folder / "silent.npz", **silent)  # type: ignore[arg-type]
    code, text = verify(folder, "--against", str(folder / "silent.npz"))
    assert code == 1
    assert "verdict: nothing was compared" in text
    model = nd.read(folder / "m.nir", witness=folder / "silent.npz")
    assert nd.compile(model, "emulator").trained.text == "stated, not checked"


def test_readings_that_the_recording_does_not_tell_apart_are_named(folder: Path) -> None:
    network = two_layers()
    short = witness_of(network, steps=1)
    np.savez(folder / "short.npz", **{k: v for k, v in arrays_of(short).items() if "pot" not in k})  # type: ignore[arg-type]
    report = nd.verify_trained(str(folder / "m.nir"), folder / "short.npz")
    assert report.passed
    (text,) = [t for t in report.trained.undecided if "'n1' would" in t]
    assert "the reset subtracts the threshold at once" in text
    assert "undecided" in report.verdict
    full = nd.verify_trained(str(folder / "m.nir"), folder / "same.npz")
    assert not [t for t in full.trained.undecided if "'n1'" in t and "reset" in t]


def test_a_floor_and_a_firing_rule_that_never_mattered_are_named(folder: Path) -> None:
    """Trained weights have no ties, and a positive input reaches no floor; a chip has both."""
    network = two_layers()
    np.savez(folder / "same.npz", **arrays_of(witness_of(network)))  # type: ignore[arg-type]
    low = {
        n.name: n.with_(floor=-64 * np.ones(n.shape, np.float32)) for n in network.of(Population)
    }
    nodes = tuple(low.get(n.name, n) for n in network.nodes)
    nir_io.write(replace(network, nodes=nodes), folder / "low.nir")
    model = nd.read(folder / "low.nir", witness=folder / "same.npz")
    said = nd.compile(model, "emulator").trained.undecided
    assert ["no floor" in t for t in said if "'n1' would" in t] == [True]


def test_a_recording_of_another_framework_is_warned_of() -> None:
    named = replace(witness_of(two_layers()), producer="sinabs")
    assert [f.code for f in other_producer([named], "snntorch")] == ["WITNESS-PRODUCER"]
    assert not [*other_producer([named], "sinabs"), *other_producer([named], None)]
    unnamed = replace(named, producer="the framework")
    assert not [*other_producer([unnamed], "snntorch")]


def test_a_producer_with_another_field_of_the_rule_is_found(tmp_path: Path) -> None:
    folder = foreign(tmp_path)
    network = nd.read(folder / "m.nir", producer="snntorch", reset="none").network
    witness = witness_of(network)
    outputs = {n: r.dense() for n, r in witness.outputs.items()}
    np.savez(folder / "none.npz", input=witness.input.dense(), **outputs)  # type: ignore[arg-type]
    _, text = verify(folder, "--against", str(folder / "none.npz"))
    assert "--producer snntorch --reset none" in " ".join(text.split())


def test_a_recording_of_other_layers_is_named_as_such(tmp_path: Path) -> None:
    folder = foreign(tmp_path)
    np.savez(folder / "x.npz", input=np.zeros((4, 5)), lif=np.zeros((4, 8)))
    code, text = verify(folder, "--against", str(folder / "x.npz"))
    assert code == 3
    assert "there is no layer 'lif' in the model" in " ".join(text.split())
