"""The pytest plug-in: layers and cases as tests, failures in the verifier's words, bad input."""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import MissingError, error, info, warning
from nrf_deploy.engines.emulator import golden
from nrf_deploy.io.recordings import write
from nrf_deploy.ir.network import IF, Input, Linear, Network, Output
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace
from nrf_loihi import LoihiTarget
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from tests.builders.cli_calls import unwrapped

pytest_plugins = ["pytester"]

USAGE = pytest.ExitCode.USAGE_ERROR
KIT = Path(nd.__file__).parent / "testing" / "conformance" / "kit"


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load the modules once, by a case of every kind.

    A run of pytest inside a test forgets the modules that it was the first to load.
    """
    importlib.import_module("nrf_deploy.testing.pytest_plugin.collect")
    model = nd.read(KIT / "model.two-layers" / "model.nir")
    bundle = nd.compile(model, "loihi2")
    given = nd.read_recording(KIT / "model.two-layers" / "input.npz", bundle)
    assert nd.verify(bundle, given).passed
    late = replace(bundle.program, populations=bundle.program.populations[::-1])
    nd.verify(replace(bundle, program=late), given)  # differs, so that every layer is looked at


@pytest.fixture
def here(bundle: Path, events: Path, pytester: pytest.Pytester) -> pytest.Pytester:
    """Fill a folder with model.nrfb, events.npz, and nothing that pytest would collect."""
    shutil.copy(bundle, pytester.path / "model.nrfb")
    shutil.copy(events, pytester.path / "events.npz")
    return pytester


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Add an engine named "mine" beside the emulator."""

    def put(run: Callable[..., Trace]) -> None:
        monkeypatch.setattr(LoihiTarget, "engines", {"mine": run})

    return put


def turned(program: Program, recording: Recording, **how: Any) -> Trace:
    """Add an engine with a bias too large in the second layer."""
    populations = tuple(
        replace(p, params={**p.params, "bias_mant": 2**9}) if p.name == "last" else p
        for p in program.populations
    )
    other = replace(program, populations=populations)
    return replace(golden.run(other, LoihiArithmetic(), recording, **how), engine="mine")


BOTH = ("--nrf-bundle", "model.nrfb", "--nrf-input", "events.npz")


# --- options given twice ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["engine", "against", "limits", "bin", "merge", "clip"])
def test_an_option_given_twice_is_refused(here: pytest.Pytester, name: str) -> None:
    words = (f"--nrf-{name}", "1" if name in ("bin", "clip") else "polarity")
    done = here.runpytest_inprocess(*BOTH, *words, "=".join(words))
    assert done.ret == USAGE
    done.stderr.fnmatch_lines([f"*--nrf-{name} is given twice; expected once*"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--nrf-origin", "zero"), "*and --nrf-origin out*"),
        (("--nrf-crop", "1,2,3"), "*--nrf-crop*'1,2,3' is not X,Y,W,H*"),
        (("--nrf-until", "-1"), "*--nrf-until is -1.0; expected whole microseconds*"),
    ],
)
def test_a_choice_of_events_that_steps_do_not_have_is_refused(
    here: pytest.Pytester, words: tuple[str, str], said: str
) -> None:
    done = here.runpytest_inprocess(*BOTH, *words)
    assert done.ret == USAGE
    done.stderr.fnmatch_lines([said])


def test_events_are_chosen_and_counted_as_the_verbs_do(pytester: pytest.Pytester) -> None:
    node = IF(name="n", r=np.ones(1), v_threshold=np.ones(1), v_reset=np.zeros(1))
    nodes = (
        Input(name="in", port_shape=(1,)),
        Linear(name="w", weight=np.full((1, 1), 3.0)),
        node,
        Output(name="out", port_shape=(1,)),
    )
    names = [n.name for n in nodes]
    network = Network(nodes, tuple(itertools.pairwise(names)), dt=1e-3)
    nd.save(nd.compile(network, "emulator"), pytester.path / "m.nrfb")
    times = np.arange(52, 9000, 300)
    none = np.zeros(len(times), np.int64)
    np.savez(pytester.path / "e.npz", t=times, x=none, y=none, p=none)
    words = ("--nrf-bundle", "m.nrfb", "--nrf-input", "e.npz", "--nrf-bin", "1e-3")
    chosen = ("--nrf-merge", "all", "--nrf-origin", "zero", "--nrf-from", "1e-3")
    done = pytester.runpytest_inprocess(*words, *chosen, "--nrf-until", "8e-3")
    done.stdout.fnmatch_lines(["nrf-deploy: step 0 of e.npz begins at t = 1,000 us"])


@pytest.mark.parametrize(
    "words", [("bin", "1e-3"), ("against", "lava"), ("limit", "0"), ("until", "1"), ("layer", "x")]
)
def test_what_is_asked_of_a_bundle_is_refused_without_one(
    pytester: pytest.Pytester, words: tuple[str, str]
) -> None:
    option = f"--nrf-{words[0]}"
    done = pytester.runpytest_inprocess("--nrf-target", "loihi2", f"{option}={words[1]}")
    assert done.ret == USAGE
    done.stderr.fnmatch_lines([f"*{option} would change nothing for a target*"])


def test_the_command_line_may_override_addopts(here: pytest.Pytester) -> None:
    here.makeini("[pytest]\naddopts = --nrf-engine nobody")
    done = here.runpytest_inprocess(*BOTH, "--nrf-engine", "emulator", "--collect-only")
    assert done.ret == pytest.ExitCode.OK


# --- bundles ----------------------------------------------------------------------


def test_each_layer_is_a_test_and_so_is_the_run(here: pytest.Pytester) -> None:
    done = here.runpytest_inprocess(*BOTH, "--nrf-limits", limits(here, 5.0), "-v")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(
        [
            "nrf-deploy: model.nrfb, emulator against reference",
            "*collected 3 items",
            "model.nrfb::hidden PASSED*",
            "model.nrfb::last PASSED*",
            "model.nrfb::beside the layers PASSED*",
        ]
    )


def limits(here: pytest.Pytester, count: float) -> str:
    (here.path / "L.toml").write_text(f"spike_count_error = {count}\n")
    return "L.toml"


def test_a_layer_that_differs_is_told_in_the_verifier_s_words(
    here: pytest.Pytester, engine: Callable[..., None]
) -> None:
    engine(turned)
    words = ("--nrf-engine", "mine", "--nrf-against", "emulator", "--junitxml", "x.xml")
    done = here.runpytest_inprocess(*BOTH, *words)
    done.assert_outcomes(passed=2, failed=1)
    said = unwrapped(done.stdout.str())
    assert "error[VERIFY-DIVERGED] layer 'last', neuron (0,), step" in said
    assert "the state 'v' is" in said
    assert " in mine and " in said
    assert "in emulator" in said
    assert "fix: check both runs' states there" in said
    assert "Traceback" not in said
    assert ".py:" not in said
    cases = ElementTree.parse(here.path / "x.xml").getroot().iter("testcase")
    failed = {case.get("name"): case.find("failure") is not None for case in cases}
    assert failed == {"hidden": False, "last": True, "beside the layers": False}


def test_the_summary_of_a_failure_begins_with_its_error(
    here: pytest.Pytester, engine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one line that CI shows; the class that both runs give is not an error."""
    engine(turned)
    monkeypatch.setenv("COLUMNS", "200")
    decided = nd.verify(
        nd.load(here.path / "model.nrfb"),
        nd.read_recording(here.path / "events.npz", nd.load(here.path / "model.nrfb")),
    ).task
    assert decided is not None
    (here.path / "class.csv").write_text(f"class\n{decided.left.decided}\n")
    words = ("--nrf-engine", "mine", "--nrf-against", "emulator", "--nrf-labels", "class.csv")
    done = here.runpytest_inprocess(*BOTH, *words)
    done.stdout.fnmatch_lines(
        ["FAILED model.nrfb::last - error?VERIFY-DIVERGED? layer 'last', neuron*"]
    )
    assert "the label is" in unwrapped(done.stdout.str())


@pytest.mark.parametrize("quiet", ["-q", "--no-header", "-v"])
def test_where_the_firing_rule_comes_from_is_heard_and_kept(
    quiet: str, here: pytest.Pytester
) -> None:
    rules = (
        warning("NIR-RULE-UNSTATED", "the file does not state how its neurons reset"),
        info("NIR-RULE-OPTION", "fires = at is stated by --fires"),
    )
    nd.save(replace(nd.load(here.path / "model.nrfb"), findings=rules), here.path / "model.nrfb")
    words = ("--nrf-limits", limits(here, 5.0), "--junitxml", "x.xml")
    done = here.runpytest_inprocess(*BOTH, *words, quiet)
    done.assert_outcomes(passed=3)
    assert done.stdout.str().count("NIR-RULE-UNSTATED") == 1
    assert done.stdout.str().count("NIR-RULE-OPTION") == 1
    for case in ElementTree.parse(here.path / "x.xml").getroot().iter("testcase"):
        held = {p.get("name"): p.get("value") for p in case.iter("property")}
        assert held == {f.code: f.what for f in rules} | {"trained = read": "unknown"}


def test_what_concerns_no_layer_alone_is_a_failure_of_the_run(here: pytest.Pytester) -> None:
    write(Recording.from_dense(np.zeros((20, 3), np.int64), 1e-3), here.path / "events.npz")
    done = here.runpytest_inprocess(*BOTH)
    done.assert_outcomes(passed=2, failed=1)
    assert "VERIFY-NO-SPIKES" in done.stdout.str()


def test_several_bundles_take_one_input_or_one_each(here: pytest.Pytester) -> None:
    shutil.copy(here.path / "model.nrfb", here.path / "other.nrfb")
    shutil.copy(here.path / "events.npz", here.path / "more.npz")
    two = (*BOTH, "--nrf-bundle", "other.nrfb", "--nrf-limits", limits(here, 5.0))
    here.runpytest_inprocess(*two).assert_outcomes(passed=6)
    done = here.runpytest_inprocess(*two, "--nrf-input", "more.npz", "--collect-only", "-q")
    ids = [line for line in done.outlines if "::" in line]
    assert len(set(ids)) == 6
    assert "model.nrfb with events.npz::hidden" in ids
    assert "other.nrfb with more.npz::last" in ids


def test_ones_own_tests_run_where_their_path_is_given(here: pytest.Pytester) -> None:
    here.makepyfile(test_mine="def test_mine(): pass")
    loose = (*BOTH, "--nrf-limits", limits(here, 5.0))
    here.runpytest_inprocess(*loose).assert_outcomes(passed=3)
    here.runpytest_inprocess(*loose, "test_mine.py").assert_outcomes(passed=4)
    here.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_part_can_be_chosen(here: pytest.Pytester) -> None:
    done = here.runpytest_inprocess(*BOTH, "-k", "hidden", "--nrf-limits", limits(here, 5.0))
    done.assert_outcomes(passed=1, deselected=2)


def test_a_layer_that_a_recording_does_not_hold_is_skipped_not_passed(
    here: pytest.Pytester,
) -> None:
    bundle = nd.load(here.path / "model.nrfb")
    given = nd.read_recording(here.path / "events.npz", bundle)
    trace = nd.run(bundle, given, "emulator")
    late = bundle.program.origins[0].latency
    write(trace.outputs["hidden"].shifted(late).until(given.steps), here.path / "board.npz")
    done = here.runpytest_inprocess(*BOTH, "--nrf-against", "board.npz", "-rs")
    done.assert_outcomes(passed=2, skipped=1)
    done.stdout.fnmatch_lines(["*board.npz has no output of it"])


def test_a_recording_that_differs_fails_its_layer_alone(here: pytest.Pytester) -> None:
    bundle = nd.load(here.path / "model.nrfb")
    given = nd.read_recording(here.path / "events.npz", bundle)
    late = bundle.program.origin("last").latency
    frames = nd.run(bundle, given).outputs["last"].shifted(late).until(given.steps).dense()
    frames[7, 1] = 1 - frames[7, 1]
    write(Recording.from_dense(frames), here.path / "golden.npz")
    done = here.runpytest_inprocess(*BOTH, "--nrf-against", "golden.npz")
    done.assert_outcomes(passed=1, skipped=1, failed=1)
    assert "layer 'last', neuron (1,), step 7" in unwrapped(done.stdout.str())


def test_labels_and_the_layer_of_a_recording_are_given_as_to_the_verb(
    here: pytest.Pytester,
) -> None:
    bundle = nd.load(here.path / "model.nrfb")
    given = nd.read_recording(here.path / "events.npz", bundle)
    decided = nd.verify(bundle, given).task
    assert decided is not None
    assert decided.left.decided is not None
    wrong = 1 - decided.left.decided
    (here.path / "class.csv").write_text(f"class\n{wrong}\n")
    (here.path / "L.toml").write_text("task_error = 0\nspike_count_error = 5\n")
    done = here.runpytest_inprocess(*BOTH, "--nrf-limits", "L.toml")
    assert "fix: give --nrf-labels FILE" in unwrapped(done.stderr.str())
    done = here.runpytest_inprocess(*BOTH, "--nrf-limits", "L.toml", "--nrf-labels", "class.csv")
    done.assert_outcomes(passed=2, failed=1)
    said = unwrapped(done.stdout.str())
    assert f"the label is {wrong}." in said
    assert "VERIFY-TASK-ERROR" in said
    late = bundle.program.origin("last").latency
    output = nd.run(bundle, given).outputs["last"]
    write(output.until(given.steps), here.path / "golden.npz")
    words = (*BOTH, "--nrf-against", "golden.npz", "--nrf-layer", "last")
    here.runpytest_inprocess(*words).assert_outcomes(passed=1, skipped=1, failed=1)
    done = here.runpytest_inprocess(*words, "--nrf-behind", str(late))
    done.assert_outcomes(passed=2, skipped=1)


def test_a_fix_names_options_that_pytest_has_and_commands_that_nrf_deploy_has(
    here: pytest.Pytester, engine: Callable[..., None]
) -> None:
    engine(turned)
    words = (*BOTH, "--nrf-engine", "mine")
    said = unwrapped(here.runpytest_inprocess(*words, "--nrf-limit", "0").stdout.str())
    assert "nrf-deploy verify ... --engine emulator --attribute shows what causes it" in said
    assert "accept it with a wider --nrf-limit" in said
    said = unwrapped(here.runpytest_inprocess(*words, "--nrf-against", "emulator").stdout.str())
    assert "nrf-deploy run ... --layer last --states, once with --engine mine and" in said


def test_an_sdk_that_is_missing_fails_every_layer_with_its_finding(
    here: pytest.Pytester, engine: Callable[..., None]
) -> None:
    def missing(program: Program, recording: Recording, **how: Any) -> Trace:
        raise MissingError(error("SDK-MISSING", "mine is not installed", fix="install it"))

    engine(missing)
    done = here.runpytest_inprocess(*BOTH, "--nrf-engine", "mine")
    done.assert_outcomes(failed=3)
    assert done.stdout.str().count("error[SDK-MISSING] mine is not installed") >= 3
    assert "Traceback" not in done.stdout.str()


# --- kits -----------------------------------------------------------------------


def test_each_case_of_a_chip_is_a_test_and_a_refused_one_is_skipped(
    pytester: pytest.Pytester,
) -> None:
    words = ("--nrf-target", "loihi2", "-k", "model/leak or current-subtract or loihi/threshold")
    done = pytester.runpytest_inprocess(*words, "-rs", "-v")
    done.assert_outcomes(passed=3, skipped=1, deselected=105)
    done.stdout.fnmatch_lines(["loihi2 on emulator::model/leak PASSED*"])
    done.stdout.fnmatch_lines(["*the neurons subtract their threshold when they spike"])


def test_a_case_that_an_engine_misses_is_told_with_its_likely_cause(
    pytester: pytest.Pytester, engine: Callable[..., None]
) -> None:
    def fading(program: Program, recording: Recording, **how: Any) -> Trace:
        populations = tuple(
            replace(p, params={**p.params, "dv": p.params["dv"] + 1} if "dv" in p.params else {})
            for p in program.populations
        )
        other = replace(program, populations=populations)
        return golden.run(other, LoihiArithmetic(), recording, **how)

    engine(fading)
    words = ("--nrf-target", "loihi2", "--nrf-engine", "mine", "-k", "loihi/v-decay-below")
    done = pytester.runpytest_inprocess(*words)
    done.assert_outcomes(failed=1, deselected=106)
    assert "Likely cause: as if dv were one more." in unwrapped(done.stdout.str())


def test_more_cases_come_from_a_folder(pytester: pytest.Pytester) -> None:
    words = ("--nrf-target", "loihi2", "--nrf-kit", str(KIT), "--collect-only", "-q")
    ids = [line for line in pytester.runpytest_inprocess(*words).outlines if "model/leak" in line]
    assert len(ids) == 4


# --- bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--nrf-bundle", "no.nrfb", "--nrf-input", "events.npz"], "INPUT-UNREADABLE"),
        (["--nrf-bundle", "model.nrfb", "--nrf-input", "no.npz"], "INPUT-UNREADABLE"),
        (["--nrf-bundle", "events.npz", "--nrf-input", "events.npz"], "FILE-OTHER-KIND"),
        (["--nrf-bundle", "model.nrfb", "--nrf-input", "model.nrfb"], "FILE-OTHER-KIND"),
        (["--nrf-bundle", "model.nrfb"], "PYTEST-INPUT"),
        (["--nrf-input", "events.npz"], "PYTEST-INPUT"),
        ([*BOTH, "--nrf-input", "events.npz"], "PYTEST-INPUT"),
        ([*BOTH, "--nrf-engine", "nothing"], "ENGINE-UNKNOWN"),
        ([*BOTH, "--nrf-against", "nothing"], "ENGINE-UNKNOWN"),
        ([*BOTH, "--nrf-against", "emulator"], "VERIFY-SAME-ENGINE"),
        ([*BOTH, "--nrf-limits", "no.toml"], "INPUT-UNREADABLE"),
        (["--nrf-target", "nothing"], "TARGET-UNKNOWN"),
        (["--nrf-target", "loihi2", "--nrf-engine", "nothing"], "ENGINE-UNKNOWN"),
        (["--nrf-target", "loihi2", "--nrf-kit", "nowhere"], "KIT-MISSING"),
        (["--nrf-kit", "nowhere"], "PYTEST-KIT"),
        ([*BOTH, "--nrf-limit", "0.1", "--nrf-exact"], "LIMITS-TWICE"),
        ([*BOTH, "--nrf-layer", "last"], "VERIFY-RECORDED-NONE"),
        ([*BOTH, "--nrf-against", "events.npz", "--nrf-layer", "last"], "VERIFY-RECORDED-LAYER"),
        ([*BOTH, "--nrf-labels", "no.csv"], "INPUT-UNREADABLE"),
        ([*BOTH, "--nrf-labels", "a.csv", "--nrf-labels", "b.csv"], "PYTEST-LABELS"),
    ],
)
def test_wrong_options_are_usage_errors_with_the_way_out(
    words: list[str], code: str, here: pytest.Pytester
) -> None:
    done = here.runpytest_inprocess(*words)
    assert done.ret == USAGE
    said = done.stderr.str()
    assert f"ERROR: error[{code}]" in said
    assert "fix: " in said
    assert "Traceback" not in said
    assert max(len(line) for line in said.splitlines() if "/" not in line) <= 80


@pytest.mark.parametrize("words", [["--nrf-labels", "a.csv"], ["--nrf-exact", "--nrf-bin=1"]])
def test_options_that_ask_for_nothing_are_usage_errors(
    words: list[str], here: pytest.Pytester
) -> None:
    """They gave 'no tests ran', or ran the folder's own tests as if nothing had been asked."""
    done = here.runpytest_inprocess(*words)
    assert done.ret == USAGE
    said = done.stderr.str()
    for word in (*words, "--nrf-bundle"):
        assert not word.startswith("--") or word.partition("=")[0] in said


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ([], "fix: give the length of a step in seconds (--nrf-bin 0.001)"),
        (["--nrf-bin", "0"], "fix: give --nrf-bin a positive number of seconds"),
    ],
)
def test_a_usage_error_names_the_options_of_pytest(
    words: list[str], fix: str, here: pytest.Pytester
) -> None:
    events = {"t": np.arange(20) * 1000, "x": np.arange(20) % 3}
    np.savez(here.path / "events.npz", y=0 * events["t"], p=0 * events["t"], **events)
    done = here.runpytest_inprocess(*BOTH, *words)
    assert done.ret == USAGE
    said = unwrapped(done.stderr.str())
    assert fix in said
    assert " --bin" not in said
    assert max(map(len, done.stderr.str().splitlines())) <= 80


def test_a_damaged_bundle_and_unknown_layers_are_usage_errors(here: pytest.Pytester) -> None:
    (here.path / "L.toml").write_text("[layers.nothing]\ncosine = 0.9\n")
    done = here.runpytest_inprocess(*BOTH, "--nrf-limits", "L.toml")
    assert (done.ret, "LIMITS-LAYER-UNKNOWN" in done.stderr.str()) == (USAGE, True)
    whole = (here.path / "model.nrfb").read_bytes()
    (here.path / "model.nrfb").write_bytes(whole[:-20])
    done = here.runpytest_inprocess(*BOTH)
    assert (done.ret, "BUNDLE-DAMAGED" in done.stderr.str()) == (USAGE, True)


# --- at rest ----------------------------------------------------------------------


def test_pytest_stays_an_optional_dependency() -> None:
    needs = importlib.metadata.requires("nrf-deploy") or []
    assert [n for n in needs if n.startswith("pytest") and "extra" not in n] == []
    (point,) = (p for p in importlib.metadata.entry_points(group="pytest11") if "nrf" in p.name)
    assert point.value == "nrf_deploy.testing.pytest_plugin"


def test_without_its_options_pytest_loads_two_small_modules(tmp_path: Path) -> None:
    script = (
        "import sys, pytest\n"
        "code = pytest.main(['-q', '--collect-only'])\n"
        "ours = sorted(m for m in sys.modules if m.startswith('nrf_deploy'))\n"
        "heavy = {'numpy', 'h5py', 'numba'} & set(sys.modules)\n"
        "print(ours, heavy, int(code))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    ours = ["nrf_deploy", "nrf_deploy.testing", "nrf_deploy.testing.pytest_plugin"]
    assert done.stdout.splitlines()[-1] == f"{ours} set() 5"
