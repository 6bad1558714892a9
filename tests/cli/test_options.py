"""Options that reach into the rooms: what may be allowed, calibration, forms, cores, decay."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import UsageError, info
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.io import nir
from nrf_deploy.io.recordings import read as read_recording
from nrf_deploy.ir.network import CubaLIF
from nrf_deploy.ir.recording import Trace
from tests.builders.cli_calls import INPUT, TARGET, USAGE, answer, call, refusal, small, unwrapped

ALLOWED = "subtract-as-zero-reset"


@pytest.fixture
def subtracts(tmp_path: Path) -> Path:
    """Write neurons that subtract behind a filtered current, which Loihi 2 cannot do exactly."""
    model, three = small(), np.ones(3)
    hidden = CubaLIF(
        name="hidden", tau_syn=three / 200, tau_mem=three / 100, r=three * 10, v_leak=0 * three,
        v_threshold=three, v_reset=0 * three, w_in=three, reset="subtract",
    )  # fmt: skip
    nodes = tuple(hidden if n.name == "hidden" else n for n in model.nodes)
    nir.write(dataclasses.replace(model, nodes=nodes), tmp_path / "subtracts.nir")
    return tmp_path / "subtracts.nir"


# --- what may be allowed --------------------------------------------------


def test_what_may_be_allowed_is_refused_with_its_name_and_done_with_it(
    subtracts: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(subtracts), "--target", "loihi2"]
    assert main(["check", *words]) == TARGET
    assert f"--allow {ALLOWED}" in unwrapped(capsys.readouterr().out)
    assert main(["check", *words, "--allow", ALLOWED]) == 0
    assert "CHOICE-UNMEASURED" in capsys.readouterr().out
    made = tmp_path / "made.nrfb"
    measured = ["--allow", ALLOWED, "--calibrate", str(events)]
    assert main(["compile", *words, *measured, "-o", str(made)]) == 0
    assert "CHOICE-COST" in capsys.readouterr().out
    assert any(f.code == "CHOICE-COST" for f in nd.load(made).findings), "it stays in the bundle"


def test_targets_tells_what_may_be_allowed_within_80_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["targets"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert ALLOWED in text
    assert main(["targets", "loihi1"]) == 0
    one = capsys.readouterr().out
    assert "loihi1:" in one
    assert "exact-decay" in one
    assert "loihi2" not in one
    assert "speck" not in one
    assert main(["targets", "speck"]) == 0
    assert "loihi" not in capsys.readouterr().out
    assert main(["targets", "loihi1-nahuku-8", "--json"]) == 0
    assert answer(capsys)["targets"]["loihi"]["chips"].keys() == {"loihi1", "loihi1-nahuku-8"}
    assert main(["targets", "loihi9"]) == USAGE
    assert "TARGET-UNKNOWN" in refusal(capsys)
    assert main(["targets", "--json"]) == 0
    told = answer(capsys)["targets"]["loihi"]
    assert ALLOWED in [c["allow"] for c in told["choices"]]
    assert told["exporters"] == ["lava"]


# --- check sees what compile sees -------------------------------------------


def test_check_and_compile_say_the_same_under_the_same_options(
    model: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scheme = tmp_path / "s.toml"
    scheme.write_text("weight_bits = 1\n")
    words = [str(model), "--target", "loihi2", "--scheme", str(scheme), "--calibrate", str(events)]
    capsys.readouterr()
    code = main(["check", *words, "--json"])
    checked = answer(capsys)["findings"]
    assert main(["compile", *words, "-o", str(tmp_path / "m.nrfb"), "--json"]) == code
    assert answer(capsys)["findings"] == checked
    plain = main(["check", str(model), "--target", "loihi2", "--json"])
    assert (code, checked) != (plain, answer(capsys)["findings"]), "the options decide"


# --- forms of a vendor ------------------------------------------------------


def test_a_bundle_and_its_graph_become_the_same_lava_program(
    model: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert main(["export", str(bundle), "--as", "lava", str(one)]) == 0
    assert f"wrote {one}/" in capsys.readouterr().out
    words = ["export", str(model), "--target", "loihi2", "--as", "lava", str(other), "--json"]
    assert main(words) == 0
    assert answer(capsys)["folder"] == str(other)
    held = {p.name: p.read_bytes() for p in one.iterdir()}
    assert {"network.py", "arrays.npz"} <= held.keys()
    assert {p.name: p.read_bytes() for p in other.iterdir()} == held


def test_a_shipped_model_becomes_a_lava_program_without_a_nir_file(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch comes with the extra: pip install '.[models]'")
    words = ("covariant-frontend", "--target", "loihi2", "--as", "lava", "out")
    done = call("export", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{bundle}", "--as", "smoke", "{out}"], "choose one of: lava"),
        (["{model}", "--target", "loihi2", "--as", "smoke", "{out}"], "choose one of: lava"),
        (["{model}", "--as", "lava", "{out}"], "--as needs one chip, not 0"),
        (["{model}", "-o", "{out}"], "is already a NIR graph"),
        (["{bundle}"], "is already compiled"),
        (["{bundle}", "--as", "lava", "{out}", "--target", "loihi2"], "would change nothing"),
        (["a.module:build"], "there is no output"),
        (["a.module:build", "-o", "{out}", "--allow", "x"], "--allow would change nothing"),
        (["a.module:build", "-o", "{out}", "--sample", "{out}.npz"], "only shipped models have"),
        (["{bundle}", "--as", "lava", "{out}", "--sample", "{out}.npz"], "--sample would change"),
        (["li-tracker", "-o", "{out}.nir", "--sample", "{out}.csv"], "name it .npz"),
    ],
)
def test_export_drops_no_option_in_silence(
    words: list[str],
    says: str,
    model: Path,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"model": model, "bundle": bundle, "out": tmp_path / "out"}
    before = sorted(tmp_path.iterdir())
    capsys.readouterr()
    assert main(["export", *(w.format(**places) for w in words)]) == USAGE
    assert says in unwrapped(refusal(capsys))
    assert sorted(tmp_path.iterdir()) == before


# --- cores ------------------------------------------------------------------


def test_inspect_shows_what_each_core_holds(
    model: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["inspect", str(bundle), "--cores"]) == 0
    text = capsys.readouterr().out
    assert "hidden 0:3" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main(["inspect", str(bundle), "--cores", "--json"]) == 0
    first, second = answer(capsys)["by_core"]
    assert first["holds"] == [{"layer": "hidden", "start": [0], "stop": [3]}]
    assert first["used"]["neurons"] + first["left"]["neurons"] == 4095
    assert second["core"] == 1
    assert main(["inspect", str(model), "--cores"]) == USAGE
    assert "INSPECT-CORES" in refusal(capsys)


# --- decay --------------------------------------------------------------------


def test_the_exact_decay_is_the_reference_s_alone(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(bundle), "--input", str(events)]
    spikes = ["--layer", "hidden", "--states", "-o", str(tmp_path / "out.npz")]
    potentials = []
    for decay in ("euler", "exact"):
        assert main(["run", *given, "--engine", "reference", "--decay", decay, *spikes]) == 0
        potentials.append(np.load(tmp_path / "out.states.npz")["v"])
    assert potentials[0].shape == potentials[1].shape
    assert not np.array_equal(*potentials)
    capsys.readouterr()
    assert main(["verify", *given, "--decay", "exact", "--json"]) in (0, 1)
    assert answer(capsys)["report"]["right"] == "reference-exact"
    assert main(["run", *given, "--decay", "exact", *spikes]) == USAGE
    assert "DECAY-ENGINE" in refusal(capsys)
    assert main(["verify", *given, "--decay", "exact", "--against", "emulator"]) == USAGE
    assert "DECAY-ENGINE" in refusal(capsys)


def test_an_unknown_decay_is_refused_in_python_too(bundle: Path, events: Path) -> None:
    recording = nd.read_recording(events, bundle)
    with pytest.raises(UsageError, match="DECAY-UNKNOWN"):
        nd.run(bundle, recording, "reference", decay="linear")
    with pytest.raises(UsageError, match="DECAY-ENGINE"):
        nd.verify(bundle, recording, against="emulator", decay="exact")


# --- what the engine says -----------------------------------------------------


Run = Callable[..., Trace]


@pytest.fixture
def talking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the emulator by one that reports a slow compilation."""
    run: Run = Engine.run

    def talks(*given: object) -> Trace:
        said = [info("EMULATOR-COMPILED", "17 s went into compiling").as_json()]
        notes = {"findings": said, "plain emulator": "a layer of 2^40 neurons"}
        return dataclasses.replace(run(*given), notes=notes)

    monkeypatch.setattr(Engine, "run", talks)


@pytest.mark.usefixtures("talking")
def test_what_the_engine_says_is_shown(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(bundle), "--input", str(events)]
    report = tmp_path / "r.json"
    out = ["-o", str(tmp_path / "out.npz")]
    for words in (["run", *given, *out], ["verify", *given, "--report", str(report)]):
        capsys.readouterr()
        assert main(words) == 0
        text = capsys.readouterr().out
        assert "info[EMULATOR-COMPILED] 17 s" in text
        assert "2^40" in text
        assert main([*words, "--json"]) == 0
        codes = [f["code"] for f in answer(capsys)["findings"]]
        assert {"EMULATOR-COMPILED", "EMULATOR-PLAIN"} <= set(codes)
    assert "17 s" not in report.read_text(), "equal runs have equal reports"


# --- the engine is kept, and what is hashed was parsed ------------------------


def test_a_bundle_is_planned_once(
    bundle: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nd.load(bundle)
    recording = nd.read_recording(events, made)
    built: list[object] = []
    begin = Engine.__init__

    def counted(engine: Engine, *given: object) -> None:
        built.append(engine)
        begin(engine, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "__init__", counted)
    first, second = nd.run(made, recording), nd.run(made, recording)
    assert len(built) == 1
    assert first.outputs["last"].same(second.outputs["last"])
    other = dataclasses.replace(made)
    nd.run(other, recording)
    assert len(built) == 2, "another bundle has an engine of its own"


def test_the_hash_is_of_the_bytes_that_were_parsed(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = nd.read(model)
    read = nir.read

    def slow(source: object, **how: Any) -> object:
        found = read(source, **how)
        model.write_bytes(b"another model by now")
        return found

    monkeypatch.setattr(nir, "read", slow)
    assert nd.read(model).sha256 == honest.sha256


def test_a_file_beyond_the_limit_is_not_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nir, "LIMITS", nir.Limits(size=100))
    with pytest.raises(nd.NrfError, match="NIR-TOO-LARGE") as e:
        nd.read(model)
    assert e.value.exit_code == INPUT


def test_a_run_is_the_same_from_a_bundle_that_was_saved(
    bundle: Path, events: Path, tmp_path: Path
) -> None:
    """Integers are stored narrow; nothing of that may be seen."""
    fresh = nd.compile(tmp_path / "small.nir", "loihi2")
    recording, _ = read_recording(events)
    one, other = (nd.run(b, recording, states=["hidden"]) for b in (fresh, nd.load(bundle)))
    assert one.outputs["last"].same(other.outputs["last"])
    for variable, values in one.states["hidden"].items():
        assert np.array_equal(values, other.states["hidden"][variable])
