"""Bundles with every hash right whose pieces do not fit: exit 3 with BUNDLE-UNSOUND, never 70."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import load
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, UsageError
from tests.builders.crafted_bundles import Content, edited, kit

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "nrf_deploy" / "testing" / "conformance" / "kit" / "model.two-layers" / "model.nir"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "b.nrfb"
    nd.save(nd.compile(nd.read(MODEL, dt=1.0), "emulator"), path)
    return path


def at(path: str, value: Any) -> Callable[[Content], None]:
    """Set what stands at this path of the content."""

    def change(content: Content) -> None:
        *way, last = path.split("/")
        here: Any = content
        for key in way:
            here = here["map"] if isinstance(here, dict) and "map" in here else here
            here = here[int(key) if isinstance(here, list) else key]
        here = here["map"] if isinstance(here, dict) and "map" in here else here
        here[int(last) if isinstance(here, list) else last] = value

    return change


def refused(path: Path) -> list[str]:
    with pytest.raises(InputError) as refusal:
        load(path)
    codes = {f.code for f in refusal.value.findings}
    assert codes in ({"BUNDLE-UNSOUND"}, {"BUNDLE-CONTENT"}), codes
    return [f.what for f in refusal.value.findings]


PROGRAM = [
    ("program/arithmetic", "x", "has no arithmetic 'x'; expected loihi"),
    ("program/arithmetic", "fixed", "has no arithmetic 'fixed'"),
    ("program/populations/0/params/vth", "x", "'vth' is 'x'; expected an integer"),
    ("program/populations/0/params/vth", None, "'vth' is None"),
    ("program/populations/0/params/vth", {"map": {}}, "'vth' is {}"),
    ("program/populations/0/params/vth", 39.9, "'vth' is 39.9"),
    ("program/populations/0/params/vth", 2**40, "'vth' is beyond"),
    ("program/populations/0/params/vth", {"array": "0000"}, "'vth' has the shape"),
    ("program/populations/0/model", "x", "the neuron model 'x' does not exist here"),
    ("program/populations/0/shape", [-3, -1], "expected 1 to 8 sizes"),
    ("program/synapses/0/params", {"map": {"num_message_bits": "x"}}, "expected an integer"),
    ("program/synapses/0/params", {"map": {"num_message_bits": -1}}, "is beyond 0..32"),
    ("program/synapses/0/delay", 2**26, "the delay 67108864"),
    ("network/nodes/0/port_shape", [5], "the network takes 5 values a step, the program"),
    ("network/dt", -1.0, "dt is -1"),
    ("placement/chips", 0, "1 cores on 0 chips"),
    ("placement/chip", "loihi1", "placed on 'loihi1', and made for 'loihi2'"),
]


@pytest.mark.parametrize(("path", "value", "said"), PROGRAM)
def test_a_program_with_one_edit_is_refused(
    path: str, value: Any, said: str, tmp_path: Path
) -> None:
    made = edited(kit("loihi.sparse"), tmp_path / "b", at(path, value))
    assert any(said in what for what in refused(made)), refused(made)


def test_events_that_cannot_be_followed_are_a_fault_of_the_file(tmp_path: Path) -> None:
    source = kit("speck.events.threshold")
    made = edited(source, tmp_path / "b", at("program/synapses/0/delay", 3))
    assert any("backwards, or with a delay" in what for what in refused(made))


WHOLE = [
    ("network/nodes/1/weight", {"array": "odd"}, "weight"),
    ("network/nodes/0/port_shape", [0], "shape is (0,)"),
    ("network/edges/0", ["nobody", "out"], "names 'nobody', which is not a node"),
    ("network/edges", [], "no edge leads from an input to"),
    ("placement/pieces/0/core", 10**9, "a piece is on core 1000000000"),
    ("placement/pieces/0/population", "x", "which the program does not have"),
    ("program/origins/0/node", "m", "stands for the node 'm' of"),
    ("program/origins/0/latency", 10**9, "latency"),
    ("program/origins/0/population", "x", "an origin names 'x'"),
]


@pytest.mark.parametrize(("path", "value", "said"), WHOLE)
def test_a_compiled_bundle_with_one_edit_is_refused(
    path: str, value: Any, said: str, tmp_path: Path, compiled: Path
) -> None:
    odd = {"odd": np.full((2, 2, 2), np.nan)}
    made = edited(compiled, tmp_path / "b", at(path, value), odd if "array" in str(value) else None)
    assert any(said in what for what in refused(made)), refused(made)


def population(content: Content) -> Any:
    return next(n for n in content["map"]["network"]["nodes"] if "rule" in n)


@pytest.mark.parametrize(("part", "key"), [("rule", "threshold"), ("membrane", "r")])
@pytest.mark.parametrize("odd", [np.ones(77), np.array([np.inf]), np.zeros((0,)), np.ones(3, bool)])
def test_neurons_whose_numbers_do_not_fit_them_are_refused(
    part: str, key: str, odd: Any, tmp_path: Path, compiled: Path
) -> None:
    def change(content: Content) -> None:
        population(content)[part][key] = {"array": "odd"}

    assert refused(edited(compiled, tmp_path / "b", change, {"odd": odd}))


def test_the_command_line_gives_3_and_says_the_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = edited(kit("loihi.sparse"), tmp_path / "b.nrfb", at("program/arithmetic", "x"))
    given = kit("loihi.sparse").with_name("input.npz")
    out = tmp_path / "o.npz"
    assert main(["run", str(made), "--input", str(given), "-o", str(out)]) == 3
    assert main(["inspect", str(made)]) == 3
    assert "BUNDLE-UNSOUND" in capsys.readouterr().err
    assert not out.exists()


def test_a_bundle_of_a_target_that_is_not_installed_does_not_run(tmp_path: Path) -> None:
    made = edited(kit("loihi.sparse"), tmp_path / "b.nrfb", lambda content: None, target="acme")
    bundle = load(made)
    recording = nd.read_recording(kit("loihi.sparse").with_name("input.npz"), bundle)
    with pytest.raises(UsageError, match="made by the target 'acme', which is not installed"):
        nd.run(bundle, recording)


def test_ten_million_values_are_counted_before_they_are_made(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        content["map"]["steps"] = [[]] * (2**21)

    made = edited(kit("loihi.sparse"), tmp_path / "b.nrfb", change)
    with pytest.raises(InputError, match="values; expected at most"):
        load(made)
