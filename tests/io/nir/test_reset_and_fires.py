"""Reset and firing rule: a file that does not state them is refused until the caller does."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError
from nrf_deploy.io.nir.dialects import DIALECTS
from nrf_deploy.io.recordings import write
from nrf_deploy.ir.network import Population
from nrf_deploy.ir.recording import Recording
from tests.builders.cli_calls import INPUT, answer, refusal, unwrapped
from tests.builders.nir_files import Tree, chain, lif, port, save

pytest_plugins = ["pytester"]

NOTICE, PRODUCED = "NIR-RULE-UNSTATED", "NIR-RULE-PRODUCER"
SENTENCE = "the file does not state how its neurons reset and fire"
SAID = "the neurons are read as NIR's: NIR's printed equations: v = v_reset after a spike, at v > "
NIR = ["--producer", "nir"]


def layer(**metadata: str) -> Tree:
    """Build two LIF neurons that state only the contents of `metadata`."""
    return lif(2, tau=0.002, r=2.0, v_threshold=1.0) | {"metadata": metadata}


def affine() -> Tree:
    weight = np.array([[1.0, 0.75], [0.5, 1.5]], np.float32)
    return {"type": "Linear", "weight": weight}


def file(path: Path, **metadata: str) -> str:
    tree = chain(port("Input", 2), affine(), layer(**metadata), port("Output", 2))
    return str(save(path, tree))


@pytest.fixture
def foreign(tmp_path: Path) -> str:
    """Build a graph as snnTorch and SpikingJelly write it: v_reset without its use."""
    return file(tmp_path / "foreign.nir")


@pytest.fixture
def events(tmp_path: Path) -> str:
    frames = (np.random.default_rng(1).random((40, 2)) < 0.4).astype(np.int64)
    write(Recording.from_dense(frames, 1e-3), tmp_path / "events.npz")
    return str(tmp_path / "events.npz")


@pytest.fixture
def bundle(foreign: str, tmp_path: Path) -> str:
    path = str(tmp_path / "foreign.nrfb")
    assert main(["compile", foreign, "--target", "emulator", "-o", path, *NIR]) == 0
    return path


def found(path: str, **how: Any) -> list[str]:
    return [f.code for f in nd.read(path, **how).findings]


def rules(path: str, **how: Any) -> list[tuple[str, str]]:
    nodes = nd.read(path, **how).network.of(Population)
    return [(n.rule.reset, n.rule.fires) for n in nodes if n.spikes]


# --- the refusal ---------------------------------------------------------------------------


def unstated(path: str, **how: Any) -> Finding:
    """Return the one error for which a file is refused."""
    with pytest.raises(InputError) as refused:
        nd.read(path, **how)
    (finding,) = [f for f in refused.value.findings if f.severity == "error"]
    return finding


def test_a_file_that_states_neither_is_refused(foreign: str) -> None:
    finding = unstated(foreign)
    assert (finding.severity, finding.code, finding.layer) == ("error", NOTICE, None)
    assert finding.what.endswith(SENTENCE)
    assert "--reset value|subtract|late|none|doubled and --fires above|at" in finding.fix
    for name, dialect in DIALECTS.items():
        assert f"{name}: {dialect.means}" in finding.why


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--target", "emulator"],
        ["compile", "--target", "emulator", "-o", "m.nrfb"],
        ["export", "--target", "loihi2", "--as", "lava", "out"],
    ],
)
def test_no_verb_goes_on_without_the_rule(
    foreign: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([words[0], foreign, *words[1:]]) == INPUT
    assert SENTENCE in unwrapped(refusal(capsys))


def test_inspect_shows_the_file_and_what_is_missing(
    foreign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--dt", "1e-3"]):
        assert main(["inspect", foreign, *more]) == 0
        text = unwrapped(capsys.readouterr().out)
        assert f"warning[{NOTICE}] {SENTENCE}; it is shown as NIR's printed equations" in text
        assert "n2 LIF 2" in text
    (finding,) = nd.inspect(foreign).findings
    assert (finding.severity, finding.code) == ("warning", NOTICE)


def test_a_file_that_states_one_of_them_is_asked_for_the_other(tmp_path: Path) -> None:
    path = file(tmp_path / "half.nir", reset="subtract")
    finding = unstated(path)
    assert finding.what.endswith("the file does not state how its neurons fire")
    assert "--reset" not in finding.fix
    assert rules(path, fires="at") == [("subtract", "at")]


def test_a_file_that_states_both_is_not_reported(tmp_path: Path) -> None:
    assert found(file(tmp_path / "said.nir", reset="value", fires="above")) == []


def test_layers_are_named_where_only_some_do_not_state_it(tmp_path: Path) -> None:
    nodes = (affine(), layer(reset="value", fires="at"), affine(), layer())
    path = save(tmp_path / "some.nir", chain(port("Input", 2), *nodes, port("Output", 2)))
    assert unstated(str(path)).what.endswith("how its neurons reset and fire (layers 'n4')")
    assert rules(str(path), producer="nir") == [("value", "at"), ("value", "above")]


def test_what_we_write_states_both(foreign: str, tmp_path: Path) -> None:
    from nrf_deploy.io import nir

    nir.write(nd.read(foreign, producer="nir").network, tmp_path / "ours.nir")
    assert found(str(tmp_path / "ours.nir")) == []


# --- what was stated is in every output ------------------------------------------------------


def test_every_text_says_it_in_80_columns(
    foreign: str, bundle: str, events: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--input", events]
    out = str(tmp_path / "out.npz")
    calls = (
        ["inspect", foreign, *NIR],
        ["check", foreign, "--target", "emulator", *NIR],
        ["compile", foreign, "--target", "emulator", "-o", str(tmp_path / "b.nrfb"), *NIR],
        ["inspect", bundle],
        ["verify", bundle, *run],
        ["verify", bundle, "--engine", "all", *run],
        ["run", bundle, *run, "-o", out],
        ["export", foreign, "--target", "loihi2", "--as", "lava", str(tmp_path / "lava"), *NIR],
    )
    for words in calls:
        capsys.readouterr()
        assert main(words) == 0, words
        text = capsys.readouterr().out
        assert unwrapped(text).count(SAID) == 1, words
        lines = [x for x in text.splitlines() if "wrote" not in x and "/" not in x]
        assert max(map(len, lines)) <= 80, words


def test_flash_says_it_before_it_does_anything(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["flash", bundle]) != 0  # this machine has no board
    assert SAID in unwrapped(capsys.readouterr().out)


def test_the_json_of_every_verb_has_it(
    foreign: str, bundle: str, events: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--input", events]
    for words in (
        ["inspect", foreign, *NIR],
        ["inspect", bundle],
        ["verify", bundle, *run],
        ["run", bundle, *run, "-o", str(tmp_path / "out.npz")],
    ):
        capsys.readouterr()
        assert main([*words, "--json"]) == 0, words
        assert [f["code"] for f in answer(capsys)["findings"]].count(PRODUCED) == 1, words


def test_the_page_and_the_junit_file_say_it(bundle: str, events: str, tmp_path: Path) -> None:
    page, junit = tmp_path / "page.html", tmp_path / "verify.xml"
    words = ["verify", bundle, "--input", events, "--report", str(page), "--junit", str(junit)]
    assert main(words) == 0
    assert PRODUCED in page.read_text()
    suite = ElementTree.parse(junit).getroot()
    assert SAID in (suite.findtext("system-out") or "")


def test_the_pytest_plugin_says_it(bundle: str, events: str, pytester: pytest.Pytester) -> None:
    words = ("--nrf-bundle", bundle, "--nrf-input", events, "--collect-only")
    done = pytester.runpytest_subprocess(*words)
    assert SAID in unwrapped(str(done.stdout))


def test_a_model_that_states_its_rule_is_silent_everywhere(
    model: Path, events: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "ours.nrfb")
    assert main(["inspect", str(model)]) == 0
    assert main(["compile", str(model), "--target", "loihi2", "-o", path]) == 0
    assert main(["inspect", path]) == 0
    assert "NIR-RULE" not in capsys.readouterr().out


# --- inspect -------------------------------------------------------------------------------


def test_inspect_shows_how_every_population_resets_and_fires(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(tmp_path / "said.nir", reset="subtract", fires="at")
    held = str(tmp_path / "said.nrfb")
    assert main(["compile", path, "--target", "emulator", "-o", held]) == 0
    for shown in (path, held):
        capsys.readouterr()
        assert main(["inspect", shown]) == 0
        row = next(x for x in capsys.readouterr().out.splitlines() if "subtract" in x)
        assert row.startswith("n2 ")
        assert "subtract  v >= th" in row
        assert main(["inspect", shown, "--json"]) == 0
        told = answer(capsys)
        rows = told.get("layers") or [n for n in told["nodes"] if n["name"] == "n2"]
        assert [(x["reset"], x["fires"]) for x in rows] == [("subtract", "at")]


# --- the options ---------------------------------------------------------------------------


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("fires", ["above", "at"])
def test_the_options_state_it_for_every_spiking_node(
    tmp_path: Path, reset: str, fires: str
) -> None:
    nodes = (affine(), layer(), affine(), layer())
    path = str(save(tmp_path / "m.nir", chain(port("Input", 2), *nodes, port("Output", 2))))
    assert rules(path, reset=reset, fires=fires) == [(reset, fires)] * 2
    assert found(path, reset=reset, fires=fires) == ["NIR-RULE-OPTION"] * 2


def test_what_an_option_stated_stays_in_the_bundle(
    foreign: str, events: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "b.nrfb")
    options = ["--reset", "subtract", "--fires", "at"]
    for words in (["inspect"], ["check", "--target", "emulator"]):
        assert main([words[0], foreign, *words[1:], *options]) == 0
        shown = capsys.readouterr().out
        assert shown.count("info[NIR-RULE-OPTION]") == 2
        assert "reset = subtract (subtract v_threshold from the potential)" in shown
    assert main(["compile", foreign, "--target", "emulator", "-o", path, *options]) == 0
    (node,) = nd.load(path).network.of(Population)
    assert (node.rule.reset, node.rule.fires) == ("subtract", "at")
    for words in (["inspect", path], ["verify", path, "--input", events]):
        capsys.readouterr()
        assert main(words) == 0
        text = unwrapped(capsys.readouterr().out)
        assert NOTICE not in text
        assert text.count("is stated by the caller, not by the file") == 2
        assert main([*words, "--json"]) == 0
        codes = [f["code"] for f in answer(capsys)["findings"]]
        assert codes.count("NIR-RULE-OPTION") == 2


def test_the_options_are_arguments_of_check_and_compile(foreign: str) -> None:
    for verb in (nd.check, nd.compile):
        made = verb(foreign, "emulator", reset="subtract", fires="at")  # type: ignore[operator]
        (node,) = made.network.of(Population)
        assert (node.rule.reset, node.rule.fires) == ("subtract", "at")
    with pytest.raises(UsageError, match="is not a file"):
        nd.compile(nd.read(foreign, producer="nir"), "emulator", reset="subtract")


@pytest.mark.parametrize(
    ("options", "code"),
    [({"reset": "value"}, "NIR-RESET-CONFLICT"), ({"fires": "above"}, "NIR-FIRES-CONFLICT")],
)
def test_an_option_against_the_file_is_refused(tmp_path: Path, options: Any, code: str) -> None:
    path = file(tmp_path / "said.nir", reset="subtract", fires="at")
    with pytest.raises(InputError) as refused:
        nd.read(path, **options)
    (finding,) = [f for f in refused.value.findings if f.severity == "error"]
    assert (finding.code, finding.layer) == (code, "n2")


def test_an_option_that_says_what_the_file_says_is_taken(tmp_path: Path) -> None:
    path = file(tmp_path / "said.nir", reset="subtract", fires="at")
    assert found(path, reset="subtract", fires="at") == []


def test_an_option_without_a_spiking_node_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.nir", chain(port("Input", 2), affine(), port("Output", 2)))
    with pytest.raises(InputError, match="NIR-RULE-IDLE"):
        nd.read(path, reset="value")


def test_words_that_no_rule_has_are_refused(foreign: str) -> None:
    with pytest.raises(UsageError, match="reset is 'zero'; expected value or subtract"):
        nd.read(foreign, reset="zero")  # type: ignore[arg-type]


def test_inspect_takes_no_rule_for_what_was_read_already(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", bundle, "--reset", "value"]) == 2
    assert "INSPECT-RULE" in refusal(capsys)


def test_export_takes_no_rule_for_a_torch_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "some:model", "-o", "m.nir", "--reset", "value"]) == 2
    text = unwrapped(refusal(capsys))
    assert "--reset would change nothing for a torch module" in text
    assert "fix: leave it out" in text


def test_a_reset_to_the_value_that_a_file_lacks_is_zero_and_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = layer()
    del node["v_reset"]
    path = save(tmp_path / "m.nir", chain(port("Input", 2), affine(), node, port("Output", 2)))
    words = ["check", str(path), "--target", "emulator", "--reset", "value", "--fires", "above"]
    assert main(words) == 0
    text = unwrapped(capsys.readouterr().out)
    assert "the reset to a value is to 0: the file has no v_reset" in text
