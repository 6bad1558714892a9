"""Refusals of the command line: the exit code, the sentence, and no files left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.cli.parser import parser
from nrf_deploy.io import nir as nir_io
from nrf_deploy.io.recordings import write as write_recording
from nrf_deploy.ir.recording import Recording
from tests.builders.cli_calls import INPUT, TARGET, USAGE, answer, refusal, small, unwrapped


def test_no_time_step_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import nir

    lif = nir.LIF(**{k: np.ones(1) for k in ("tau", "r", "v_leak", "v_threshold")})
    graph = nir.NIRGraph.from_list(nir.Affine(np.ones((1, 1)), np.zeros(1)), lif)
    nir.write(tmp_path / "m.nir", graph)
    assert main(["check", str(tmp_path / "m.nir"), "--target", "loihi2"]) == INPUT
    assert "--dt" in refusal(capsys)


def test_a_model_that_cannot_go_names_every_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = small(tau=np.full(3, 100.0), v_threshold=np.full(3, -1.0))
    nir_io.write(network, tmp_path / "m.nir")
    out = tmp_path / "m.nrfb"
    words = [str(tmp_path / "m.nir"), "--target", "loihi2"]
    assert main(["compile", *words, "-o", str(out)]) == TARGET
    text = refusal(capsys)
    assert "LOIHI-THRESHOLD-NEGATIVE" in text
    assert "LOIHI-DECAY-ZERO" in text
    assert not out.exists()
    assert main(["check", *words]) == TARGET
    assert "refused" in capsys.readouterr().out


TWICE = ("--layer", "last", "--layer", "hidden", "--layer", "last")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["check", "{none}", "--target", "loihi2"], USAGE, "INPUT-UNREADABLE"),
        (["check", "{model}", "--target", "loihi9"], USAGE, "loihi2"),
        (["check", "{model}", "--target", "loihi"], USAGE, "did you mean loihi"),
        (["check", "{model}", "--target", "loihi2:weight_bits=4"], USAGE, "it takes no settings"),
        (["check", "{events}", "--target", "loihi2"], USAGE, "is a recording, not a NIR graph"),
        (["run", "{model}", "--input", "{events}", "-o", "{spikes}"], USAGE, "nrf-deploy compile"),
        (["run", "{bundle}", "--input", "{model}", "-o", "{spikes}"], USAGE, "not a recording"),
        (["verify", "{events}", "--input", "{events}"], USAGE, "is a recording, not a bundle"),
        (["compile", "{bundle}", "--target", "loihi2", "-o", "{out}"], USAGE, "not a NIR graph"),
        (["run", "{bundle}", "--input", "{none}", "-o", "{spikes}"], USAGE, "INPUT-UNREADABLE"),
        (["run", "{bundle}", "--input", "{wide}", "-o", "{spikes}"], INPUT, "RECORDING-SHAPE"),
        (["run", "{bundle}", "--input", "{halves}", "-o", "{spikes}"], INPUT, "NOT-WHOLE"),
        (
            ["run", "{bundle}", "--input", "{events}", "--engine", "brain", "-o", "{spikes}"],
            USAGE,
            "reference, emulator, lava",
        ),
        (
            ["run", "{bundle}", "--input", "{events}", "--layer", "x", "-o", "{spikes}"],
            USAGE,
            "hidden, last",
        ),
        (
            ["run", "{bundle}", "--input", "{events}", *TWICE, "-o", "{spikes}"],
            USAGE,
            "error[LAYER-TWICE] --layer is 'last' twice; expected each layer once",
        ),
        (["compile", "{model}", "--target", "loihi2", "-o", "{folder}"], USAGE, "OUTPUT-"),
        (["compile", "{model}", "--target", "loihi2", "-o", "{nowhere}"], USAGE, "OUTPUT-"),
        (["sdk", "install", "warp"], USAGE, "lava"),
        (["export", "no-such-model", "-o", "{out}"], USAGE, "covariant-frontend"),
    ],
)
def test_each_refusal_has_its_code_and_its_sentence(
    words: list[str],
    code: int,
    says: str,
    model: Path,
    bundle: Path,
    events: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wide, halves = tmp_path / "wide.npz", tmp_path / "halves.npz"
    write_recording(Recording.from_dense(np.ones((5, 4), np.int64), 1e-3), wide)
    write_recording(Recording.from_dense(np.full((5, 3), 0.5, np.float32), 1e-3), halves)
    places = {
        "model": model, "bundle": bundle, "events": events, "wide": wide, "halves": halves,
        "none": tmp_path / "none", "out": tmp_path / "out", "folder": tmp_path,
        "spikes": tmp_path / "out.npz", "nowhere": tmp_path / "no" / "where",
    }  # fmt: skip
    before = sorted(tmp_path.iterdir())
    capsys.readouterr()
    assert main([w.format(**places) for w in words]) == code
    assert says in unwrapped(refusal(capsys))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["compile", "{model}", "--target", "loihi2", "-o", "{model}"], "OUTPUT-IS-INPUT"),
        (["compile", "{model}", "--target", "loihi2", "-o", "{link}"], "OUTPUT-IS-INPUT"),
        (["compile", "{model}", "--target", "loihi2", "-o", "{folder}/b.nir"], "OUTPUT-SUFFIX"),
        (["run", "{bundle}", "--input", "{events}", "-o", "{events}"], "OUTPUT-IS-INPUT"),
        (["run", "{bundle}", "--input", "{events}", "-o", "{bundle}"], "OUTPUT-IS-INPUT"),
        (["verify", "{bundle}", "--input", "{events}", "--report", "{bundle}"], "OUTPUT-IS-INPUT"),
        (["verify", "{bundle}", "--input", "{events}", "--report", "r.npz"], "OUTPUT-SUFFIX"),
        (["verify", "{bundle}", "--input", "{events}", "--report", "r.txt"], "OUTPUT-SUFFIX"),
        (["export", "a:b", "--weights", "{link}", "-o", "{model}"], "OUTPUT-IS-INPUT"),
        (["export", "a:b", "-o", "{folder}/b.nrfb"], "OUTPUT-SUFFIX"),
        (["export", "a:b", "-o", "{folder}/b.nir", "--target", "loihi9"], "TARGET-UNKNOWN"),
    ],
)
def test_no_output_goes_over_an_input_or_under_another_kind_s_name(
    words: list[str],
    says: str,
    model: Path,
    bundle: Path,
    events: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    link = tmp_path / "link"
    link.symlink_to(model)
    places = {"model": model, "bundle": bundle, "events": events, "link": link, "folder": tmp_path}
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    assert main([w.format(**places) for w in words]) == USAGE
    assert says in unwrapped(refusal(capsys))
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["demo", "-o", "{model}/inside"], USAGE),
        (["export", "no-such-model", "-o", "{out}"], USAGE),
        (["export", "{bundle}", "--as", "smoke", "{out}"], USAGE),
        (["check", "{none}", "--target", "loihi2"], USAGE),
        (["compile", "{odd}", "--target", "loihi2", "-o", "{out}"], TARGET),
        (["check", "{odd}", "--target", "loihi2"], TARGET),
        (["inspect", "{none}"], USAGE),
        (["run", "{bundle}", "--input", "{none}", "-o", "{spikes}"], USAGE),
        (["verify", "{bundle}", "--input", "{long}", "--exact"], 1),
        (["sdk", "install", "warp"], USAGE),
    ],
)
def test_refusals_answer_in_json_too(
    words: list[str],
    code: int,
    model: Path,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = tmp_path / "long.npz"
    frames = (np.random.default_rng(2).random((3000, 3)) < 0.5).astype(np.int64)
    write_recording(Recording.from_dense(frames, 1e-3), long)
    odd = tmp_path / "odd.nir"
    nir_io.write(small(tau=np.full(3, 100.0)), odd)
    places = {
        "model": model, "bundle": bundle, "long": long, "odd": odd, "none": tmp_path / "none",
        "out": tmp_path / "out", "spikes": tmp_path / "out.npz",
    }  # fmt: skip
    capsys.readouterr()
    assert main([*(w.format(**places) for w in words), "--json"]) == code
    document = answer(capsys)
    assert (document["verb"], document["ok"], document["exit_code"]) == (words[0], False, code)
    assert any(f["severity"] == "error" and f["code"] for f in document["findings"])


@pytest.mark.parametrize("verb", sorted(parser().verbs))
def test_misuse_of_every_verb_answers_in_json(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--json", "--no-such-option"]) == USAGE
    document = answer(capsys)
    assert (document["ok"], document["exit_code"]) == (False, USAGE)


def test_a_bug_of_ours_is_no_broken_json(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*inputs: object, **options: object) -> None:
        raise RuntimeError("a wheel came off")

    monkeypatch.setattr("nrf_deploy.bundle.pipeline.check", broken)
    assert main(["check", str(model), "--target", "loihi2", "--json"]) == 70
    said = capsys.readouterr()
    assert "a wheel came off" in json.loads(said.out)["findings"][0]["what"]
    assert "a bug in nrf-deploy" in said.err


def test_one_flipped_byte_in_a_bundle(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(bytes(data))
    capsys.readouterr()
    assert main(["verify", str(bundle), "--input", str(events)]) == INPUT
    assert "BUNDLE-DAMAGED" in refusal(capsys)


def test_a_full_disk_leaves_nothing_behind(model: Path, tmp_path: Path) -> None:
    """A limit on file size stands in for a full disk: writing fails half-way in the same way."""
    out = tmp_path / "m.nrfb"
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "from nrf_deploy.cli.main import main\n"
        f"sys.exit(main(['compile', {str(model)!r}, '--target', 'loihi2', '-o', {str(out)!r}]))"
    )
    before = sorted(tmp_path.iterdir())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == USAGE
    assert "OUTPUT-UNWRITABLE" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_ctrl_c_leaves_nothing_behind(bundle: Path, events: Path, tmp_path: Path) -> None:
    """The run says that it is half-way and waits there, however fast the engine is."""
    words = ["run", str(bundle), "--input", str(events), "-o", str(tmp_path / "out.npz")]
    script = (
        "import sys, time\n"
        "from nrf_deploy.diagnostics.text import Progress\n"
        "def hold(self, done, of):\n"
        "    print('half-way', flush=True)\n"
        "    time.sleep(60)\n"
        "Progress.__call__ = hold\n"
        "from nrf_deploy.cli.main import main\n"
        f"sys.exit(main({words!r}))"
    )
    before = sorted(tmp_path.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half-way\n"
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "nothing was written" in said
    assert "Traceback" not in said
    assert sorted(tmp_path.iterdir()) == before


def test_a_recording_without_a_step_is_refused_once_and_silence_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bias fires into silence, and that can be compared."""
    nir_io.write(small(v_leak=np.full(3, 2.0)), tmp_path / "m.nir")
    bundle, none, still = (tmp_path / name for name in ("m.nrfb", "none.npz", "still.npz"))
    words = ["compile", str(tmp_path / "m.nir"), "--target", "emulator-float-like"]
    assert main([*words, "-o", str(bundle)]) == 0
    for path, steps in ((none, 0), (still, 50)):
        write_recording(Recording.from_dense(np.zeros((steps, 3), np.int64), 1e-3), path)
    capsys.readouterr()
    for more in ([], ["--engine", "all"]):
        assert main(["verify", str(bundle), "--input", str(none), *more]) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.count("error[") == 1
        assert str(none) in unwrapped(told.err)
    assert main(["verify", str(bundle), "--input", str(still)]) == 0
    told = capsys.readouterr()
    assert told.out.count("RECORDING-EMPTY") == 1
    assert "verdict: passed" in told.out
    assert main(["run", str(bundle), "--input", str(none), "-o", str(tmp_path / "o.npz")]) == 0
    assert "warning[RECORDING-EMPTY]" in capsys.readouterr().out


def test_a_calibration_without_a_step_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.npz"
    write_recording(Recording.from_dense(np.zeros((0, 3), np.int64), 1e-3), empty)
    for verb in (["compile", "-o", str(tmp_path / "b.nrfb")], ["check"]):
        for chip in ("loihi2", "emulator"):
            words = ["--target", chip, "--calibrate", str(empty)]
            assert main([verb[0], str(model), *verb[1:], *words]) == INPUT
            assert "CALIBRATION-EMPTY" in refusal(capsys)


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (["verify", "{bundle}", "--input", "{events}", "--limits"], "= 1", "LIMITS-MALFORMED"),
        (["verify", "{bundle}", "--input", "{events}", "--limits"], "cosin = 1", "LIMITS-UNKNOWN"),
        (["verify", "{bundle}", "--input", "{events}", "--labels"], "class\n", "LABELS-MALFORMED"),
        (["check", "{model}", "--target", "loihi2", "--scheme"], "= 1", "SCHEME-MALFORMED"),
        (["check", "{model}", "--target", "loihi2", "--scheme"], "bits = 1", "SCHEME-KEY"),
        (["check", "{model}", "--target"], "= 1", "EMULATOR-FILE-MALFORMED"),
        (["inspect"], "class\n4\n", "RECORDING-DAMAGED"),
    ],
)
def test_what_is_wrong_in_a_file_names_the_file_and_a_way_out(
    words: list[str],
    text: str,
    code: str,
    model: Path,
    bundle: Path,
    events: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / ("mine.csv" if "class" in text else "mine.toml")
    file.write_text(text)
    places = {"model": model, "bundle": bundle, "events": events}
    capsys.readouterr()
    assert main([*(w.format(**places) for w in words), str(file)]) == INPUT
    said = refusal(capsys)
    assert f"error[{code}]" in said
    assert file.name in said
    assert "fix: " in said
    assert "complete copy" not in said


def test_two_outputs_in_one_file_are_told_a_name_for_the_second(
    bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = str(tmp_path / "r.html")
    words = ["verify", str(bundle), "--input", str(events), "--report", page, "--junit"]
    assert main([*words, page]) == USAGE
    assert "r.xml" in unwrapped(refusal(capsys))
    assert main([*words[:-2], str(tmp_path / "r.txt")]) == USAGE
    assert "expected a name that ends in .html or .json" in unwrapped(refusal(capsys))
