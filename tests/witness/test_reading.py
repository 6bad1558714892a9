"""No model goes from a file to a bundle without the replay of its witness."""

from __future__ import annotations

import ast
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.io import nir as nir_io
from nrf_deploy.io.model import Model
from nrf_deploy.ir.network import Network, Population
from nrf_deploy.ir.witness import Witness
from nrf_deploy.neurons import Spikes
from nrf_deploy.verification.report.chain import TRAINED
from nrf_deploy.witness import origin
from nrf_deploy.witness.origin import trained_of
from nrf_deploy.witness.replay import replay
from tests.builders.cli_calls import call
from tests.builders.witnesses import two_layers, witness_of
from tests.witness.test_recorded import arrays_of

ROOT = Path(nd.__file__).parent
UNCHECKED = {"read", "as_model", "model_of", "look", "read_all"}
READERS = {"nrf_deploy.io.model", "nrf_deploy.io.nir", "nrf_deploy.io.nir.read"}


def subtracting(network: Network) -> Network:
    nodes = (
        replace(n, rule=Spikes(threshold=n.rule.threshold, reset="subtract"))
        if type(n) is Population
        else n
        for n in network.nodes
    )
    return replace(network, nodes=tuple(nodes))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    network = two_layers()
    nir_io.write(network, tmp_path / "good.nir", witness_of(network))
    return tmp_path / "good.nir"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    network = two_layers()
    nir_io.write(network, tmp_path / "bad.nir", witness_of(subtracting(network)))
    return tmp_path / "bad.nir"


def test_only_one_module_calls_the_readers_that_do_not_replay() -> None:
    """Names that are imported from them; `io` itself is below the replay."""
    callers = set()
    for path in ROOT.rglob("*.py"):
        module = path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".")
        if module.startswith("nrf_deploy.io"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            readers = isinstance(node, ast.ImportFrom) and node.module in READERS
            if readers and {a.name for a in node.names} & UNCHECKED:
                callers.add(module)
    assert callers == set()
    text = (ROOT / "witness" / "reading.py").read_text()
    assert "unchecked.read(" in text, "it reaches them through the module"


def test_modules_reach_the_unchecked_readers_only_in_one_place() -> None:
    reached = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if not path.relative_to(ROOT).as_posix().startswith("io/")
        and any(
            f"{m}.{name}(" in path.read_text()
            for m in ("nir", "nir_io", "unchecked")
            for name in UNCHECKED
        )
    }
    assert reached == {"witness/reading.py", "testing/conformance/store.py"}


def test_a_model_that_gives_what_its_witness_holds_is_exact(good: Path) -> None:
    trained = trained_of(nd.read(good))
    assert trained.state == "exact"
    assert len(trained.sha256) == 64


def test_a_model_that_differs_from_its_witness_is_refused_with_its_cause(bad: Path) -> None:
    with pytest.raises(nd.InputError) as refusal:
        nd.read(bad)
    (finding,) = refusal.value.findings
    assert finding.code == "WITNESS-DIFFERS"
    assert (finding.layer, finding.step) == ("n1", finding.step)
    assert "if the reset subtracts the threshold at once" in finding.why
    assert "--reset subtract" in finding.fix


@pytest.mark.parametrize(
    "verb",
    [
        lambda path: nd.read(path),
        lambda path: nd.check(str(path), "emulator"),
        lambda path: nd.compile(str(path), "emulator"),
        lambda path: nd.inspect(path),
        lambda path: nd.read_recording(path, str(path)),
    ],
)
def test_every_verb_that_reads_a_file_replays_its_witness(bad: Path, verb: Any) -> None:
    with pytest.raises(nd.InputError, match="WITNESS-DIFFERS"):
        verb(bad)


@pytest.mark.parametrize("verb", ["check", "compile", "inspect", "export"])
def test_every_command_that_reads_a_file_replays_its_witness(bad: Path, verb: str) -> None:
    words = {
        "check": ("--target", "emulator"),
        "compile": ("--target", "emulator", "-o", str(bad.with_suffix(".nrfb"))),
        "inspect": (),
        "export": ("--target", "emulator", "--form", "lava", "-o", str(bad.with_suffix(""))),
    }[verb]
    done = call(verb, str(bad), *words)
    assert done.returncode != 0
    assert "WITNESS-DIFFERS" in done.stderr or verb == "export"
    assert not bad.with_suffix(".nrfb").exists()


def test_a_model_that_was_changed_after_reading_is_replayed_again(good: Path) -> None:
    model = nd.read(good)
    changed = replace(model, network=subtracting(model.network))
    with pytest.raises(nd.InputError, match="WITNESS-DIFFERS"):
        nd.compile(changed, "emulator")
    other = replace(model, witness=witness_of(subtracting(model.network)))
    with pytest.raises(nd.InputError, match="WITNESS-DIFFERS"):
        nd.compile(other, "emulator")


def test_a_witness_is_replayed_once_for_each_model(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*args: Any) -> Any:
        calls.append(args)
        return replay(*args)

    monkeypatch.setattr(origin, "replay", counted)
    model = nd.read(good)
    nd.compile(model, "emulator")
    assert len(calls) == 1


def test_a_bundle_keeps_the_hash_and_the_statement(good: Path, tmp_path: Path) -> None:
    bundle = nd.compile(nd.read(good), "emulator")
    nd.save(bundle, tmp_path / "m.nrfb")
    loaded = nd.load(tmp_path / "m.nrfb")
    assert loaded.trained == bundle.trained == trained_of(nd.read(good))
    assert loaded.trained.text == "exact on 32 steps of snntorch's own spikes"


def test_a_bundle_without_a_witness_is_stated_or_unknown(tmp_path: Path) -> None:
    network = two_layers()
    nir_io.write(network, tmp_path / "m.nir")
    from_file = nd.compile(nd.read(tmp_path / "m.nir"), "emulator")
    assert from_file.trained.text == "stated, not checked"
    in_python = nd.compile(network, "emulator")
    assert in_python.trained.text == "unknown"
    for bundle in (from_file, in_python):
        nd.save(bundle, tmp_path / "m.nrfb")
        assert nd.load(tmp_path / "m.nrfb").trained == bundle.trained


def test_a_recording_beside_a_file_is_its_witness(tmp_path: Path) -> None:
    network = two_layers()
    nir_io.write(network, tmp_path / "m.nir")
    np.savez(tmp_path / "same.npz", **arrays_of(witness_of(network)))  # type: ignore[arg-type]
    other = witness_of(subtracting(network))
    np.savez(tmp_path / "other.npz", **arrays_of(other))  # type: ignore[arg-type]
    model = nd.read(tmp_path / "m.nir", witness=tmp_path / "same.npz")
    assert trained_of(model).state == "exact"
    assert nd.compile(model, "emulator").trained.producer == "the framework"
    with pytest.raises(nd.InputError, match="WITNESS-DIFFERS"):
        nd.read(tmp_path / "m.nir", witness=tmp_path / "other.npz")


def test_the_chain_stands_in_every_form_of_a_verdict(good: Path) -> None:
    model = nd.read(good)
    assert model.witness is not None
    bundle = nd.compile(model, "emulator")
    report = nd.verify(bundle, model.witness.input)
    sentence = "exact on 32 steps of snntorch's own spikes"
    links = {link.name: link for link in report.chain}
    assert list(links) == ["trained = read", "read -> chip", "emulator = vendor", "image"]
    assert links[TRAINED].text == sentence
    assert links["image"].sha256 in str(report.as_json()["chain"])
    flat = " ".join(report.text().split())
    assert f"trained = read: {sentence}" in flat
    assert sentence in report.verdict
    assert escape(sentence) in nd.report_html(report, bundle, model.witness.input)
    xml = nd.junit(report)
    assert f'<property name="trained = read" value="{sentence}" />' in xml
    assert f"trained = read: {sentence}" in xml
    assert report.as_json()["trained"]["sha256"] == bundle.trained.sha256


def test_a_model_holds_its_witness(good: Path) -> None:
    model = nd.read(good)
    assert isinstance(model, Model)
    assert isinstance(model.witness, Witness)


def test_a_witness_in_other_steps_than_its_model_is_refused(tmp_path: Path) -> None:
    network = two_layers()
    witness = witness_of(network)
    other = replace(witness, input=replace(witness.input, dt=2 * network.dt))
    with pytest.raises(nd.NrfError, match="its steps are of"):
        nir_io.write(network, tmp_path / "m.nir", other)
