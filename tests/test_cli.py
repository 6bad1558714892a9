"""The command line as a user meets it: verbs, exit codes, sentences, and what is left behind."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy import nir_io
from nrf_deploy.cli import main
from nrf_deploy.network import IF, LIF, Edge, Input, Linear, Network, Node, Output, Scale
from nrf_deploy.recording import Recording
from nrf_deploy.recordings import write as write_recording


def small(**lif: Any) -> Network:
    """Three inputs, three LIF neurons, two IF neurons."""
    three, two = np.ones(3), np.ones(2)
    rng = np.random.default_rng(0)
    parameters = {
        "tau": three / 100, "r": three * 10, "v_leak": three * 0,
        "v_threshold": three, "v_reset": three * 0,
    } | lif  # fmt: skip
    nodes: tuple[Node, ...] = (
        Input(name="in", port_shape=(3,)),
        Linear(name="w", weight=rng.normal(size=(3, 3)) + 0.5),
        LIF(name="hidden", **parameters),
        Linear(name="v", weight=rng.normal(size=(2, 3)) + 0.5),
        IF(name="last", r=two * 1000, v_threshold=two, v_reset=two * 0),
        Output(name="out", port_shape=(2,)),
    )
    names = [n.name for n in nodes]
    edges: tuple[Edge, ...] = tuple(itertools.pairwise(names))
    return Network(nodes, edges, dt=1e-3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    nir_io.write(small(), tmp_path / "small.nir")
    return tmp_path / "small.nir"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    frames = (np.random.default_rng(1).random((50, 3)) < 0.4).astype(np.int64)
    write_recording(Recording.from_dense(frames, 1e-3), tmp_path / "events.npz")
    return tmp_path / "events.npz"


@pytest.fixture
def bundle(model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "small.nrfb"
    assert main(["compile", str(model), "--target", "loihi2", "-o", str(path)]) == 0
    return path


def call(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The installed program, in a process of its own."""
    command = [sys.executable, "-m", "nrf_deploy", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


# --- the way through --------------------------------------------------------


def test_check_compile_run_verify(
    model: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, spikes = tmp_path / "made.nrfb", tmp_path / "spikes.npz"
    assert main(["check", str(model), "--target", "loihi2"]) == 0
    assert "small.nir fits on loihi2: 2 of 128 cores" in capsys.readouterr().out
    assert main(["compile", str(model), "--target", "loihi2", "-o", str(made)]) == 0
    assert main(["run", str(made), "--input", str(events), "-o", str(spikes)]) == 0
    assert main(["verify", str(made), "--input", str(events)]) == 0
    for path in (model, made, spikes):
        assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80


def test_a_run_is_written_on_the_models_own_time(
    bundle: Path, events: Path, tmp_path: Path
) -> None:
    """Whatever the latency of an engine, what is written has as many steps as the input."""
    from nrf_deploy.recordings import read

    for engine in ("reference", "emulator"):
        for layer, size in (("hidden", 3), ("last", 2)):
            out = tmp_path / f"{engine}.npz"
            words = ["--input", str(events), "--engine", engine, "--layer", layer, "-o", str(out)]
            assert main(["run", str(bundle), *words]) == 0
            recording, _ = read(out, shape=(size,), dt=1e-3)
            assert recording.steps == 50


def test_no_layer_disappears_from_the_verdict(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a rewrite takes up is said to be in what took it up."""
    network = small()
    scale = Scale(name="gain", scale=np.full(3, 2.0))
    nodes = (network.nodes[0], scale, *network.nodes[1:])
    edges = (("in", "gain"), ("gain", "w"), *network.edges[1:])
    nir_io.write(Network(nodes, edges, dt=1e-3), model)
    assert main(["check", str(model), "--target", "loihi2"]) == 0
    row = next(li for li in capsys.readouterr().out.splitlines() if li.startswith("gain"))
    assert row.split(maxsplit=3)[3] == "folded into w"
    assert main(["check", str(model), "--target", "loihi2", "--json"]) == 0
    layers = {layer["layer"]: layer for layer in answer(capsys)["layers"]}
    assert list(layers) == [n.name for n in nodes]
    assert (layers["gain"]["verdict"], layers["gain"]["into"]) == ("folded", "w")


def test_a_bundle_says_what_goes_in_and_out(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(bundle)]) == 0
    assert "input in 3, output out 2; dt = 0.001" in capsys.readouterr().out
    assert main(["inspect", str(bundle), "--json"]) == 0
    document = answer(capsys)
    assert (document["inputs"], document["outputs"]) == ({"in": [3]}, {"out": [2]})


def test_a_run_can_write_its_states_beside_the_spikes(
    bundle: Path, events: Path, tmp_path: Path
) -> None:
    for engine in ("reference", "emulator"):
        words = ["--input", str(events), "--engine", engine, "--layer", "hidden", "--states"]
        assert main(["run", str(bundle), *words, "-o", str(tmp_path / f"{engine}.npz")]) == 0
    chip, model = (np.load(tmp_path / f"{e}.states.npz") for e in ("emulator", "reference"))
    assert chip["v"].shape == model["v"].shape == (50, 3)
    assert chip["v"].dtype.kind == "i"
    assert np.corrcoef(chip["v"].ravel(), model["v"].ravel())[0, 1] > 0.9


def test_every_verb_answers_in_json(
    model: Path, bundle: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verbs = [
        ["check", str(model), "--target", "loihi2"],
        ["compile", str(model), "--target", "loihi2", "-o", str(tmp_path / "x.nrfb")],
        ["inspect", str(bundle)],
        ["run", str(bundle), "--input", str(events), "-o", str(tmp_path / "x.npz")],
        ["verify", str(bundle), "--input", str(events)],
        ["targets"],
        ["sdk", "list"],
    ]
    capsys.readouterr()
    for words in verbs:
        assert main([*words, "--json"]) == 0
        document = answer(capsys)
        assert document["schema_version"] == 1
        assert document["verb"] == words[0]


def test_verify_fails_with_exit_code_1(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over 3000 steps the 8-bit weights of this model move some spike, and lose some."""
    frames = (np.random.default_rng(2).random((3000, 3)) < 0.5).astype(np.int64)
    events, report = tmp_path / "long.npz", tmp_path / "report.json"
    write_recording(Recording.from_dense(frames, 1e-3), events)
    words = ["verify", str(bundle), "--input", str(events)]
    assert main([*words, "--limit", "0", "--report", str(report)]) == 1
    assert main([*words, "--exact"]) == 1
    assert json.loads(report.read_text())["passed"] is False
    assert "VERIFY-" in capsys.readouterr().out


def test_a_model_without_a_time_step_can_be_looked_at_but_not_compiled(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ranges of its constants are how one finds the unit that --dt must be given in."""
    import nir

    graph = nir.read(model)
    graph.metadata = {}
    nir.write(model, graph)
    assert main(["inspect", str(model)]) == 0
    text = capsys.readouterr().out
    assert "no time step stated" in text
    assert "tau" in text
    assert "0.01" in text
    assert main(["inspect", str(model), "--json"]) == 0
    document = answer(capsys)
    assert document["dt"] is None
    (hidden,) = (n for n in document["nodes"] if n["name"] == "hidden")
    assert hidden["parameters"]["tau"] == pytest.approx([0.01, 0.01])
    assert main(["check", str(model), "--target", "loihi2"]) == INPUT
    assert "small.nir: the file has no time step; its neuron 'hidden' has tau = 0.01" in " ".join(
        refusal(capsys).replace("\n", "").split()
    )


def test_the_events_of_a_camera_can_be_looked_at_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.npz"
    t, x, y, p = [5, 9, 9, 2_000_005], [0, 3, 3, 1], [2, 2, 2, 7], [0, 1, 1, 1]
    np.savez(path, t=t, x=x, y=y, p=p)
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert "2 s" in text
    assert main(["inspect", str(path), "--json"]) == 0
    document = answer(capsys)
    assert document["kind"] == "events"
    assert (document["events"], document["same_place_and_time"]) == (4, 1)
    assert (document["x"], document["y"], document["p"]) == ([0, 3], [2, 7], [0, 1])


# --- refusals ---------------------------------------------------------------

USAGE, INPUT, TARGET, MISSING = 2, 3, 4, 5


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def unwrapped(text: str) -> str:
    """Where lines break depends on the length of the paths."""
    return " ".join(text.split())


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
    network = small(tau=np.full(3, 100.0), reset="subtract")
    nir_io.write(network, tmp_path / "m.nir")
    out = tmp_path / "m.nrfb"
    words = [str(tmp_path / "m.nir"), "--target", "loihi2"]
    assert main(["compile", *words, "-o", str(out)]) == TARGET
    text = refusal(capsys)
    assert "LOIHI-RESET-SUBTRACT" in text
    assert "LOIHI-DECAY-ZERO" in text
    assert not out.exists()
    assert main(["check", *words]) == TARGET
    assert "refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["check", "{none}", "--target", "loihi2"], USAGE, "INPUT-UNREADABLE"),
        (["check", "{model}", "--target", "loihi9"], USAGE, "loihi2"),
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


def test_refusals_answer_in_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none"), "--target", "loihi2", "--json"]) == USAGE
    document = answer(capsys)
    assert document["ok"] is False
    assert document["findings"][0]["code"] == "INPUT-UNREADABLE"


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
        "from nrf_deploy.cli import main\n"
        f"sys.exit(main(['compile', {str(model)!r}, '--target', 'loihi2', '-o', {str(out)!r}]))"
    )
    before = sorted(tmp_path.iterdir())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == USAGE
    assert "OUTPUT-UNWRITABLE" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_ctrl_c_leaves_nothing_behind(bundle: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.npz"
    steps, every = 5_000_000, 7
    start = np.arange(steps + 1) // every
    index = np.zeros(start[-1], np.int64)
    write_recording(Recording((3,), start, index, index + 1, 1e-3), long)
    before = sorted(tmp_path.iterdir())
    words = ["run", str(bundle), "--input", str(long), "-o", str(tmp_path / "out.npz")]
    process = subprocess.Popen(
        [sys.executable, "-m", "nrf_deploy", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(0.8)
    assert process.poll() is None, "the run was over before it could be interrupted"
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "nothing was written" in said
    assert "Traceback" not in said
    assert sorted(tmp_path.iterdir()) == before


# --- manners ----------------------------------------------------------------


def test_help_answers_at_once_and_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from nrf_deploy.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'h5py', 'nir', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    best = min(timed(script)[0] for _ in range(3))
    assert best < 0.3
    done = timed(script)[1]
    assert done.returncode == 0, done.stderr
    assert "exit codes" in done.stdout


def test_check_answers_within_a_second_and_without_torch(model: Path) -> None:
    script = (
        "import sys\n"
        "from nrf_deploy.cli import main\n"
        f"code = main(['check', {str(model)!r}, '--target', 'loihi2'])\n"
        "sys.exit('torch was loaded' if 'torch' in sys.modules else code)"
    )
    runs = [timed(script) for _ in range(3)]
    assert [done.returncode for _, done in runs] == [0, 0, 0]
    assert min(seconds for seconds, _ in runs) < 1.0


def timed(script: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return time.monotonic() - start, done


def test_the_help_of_each_verb_has_an_example() -> None:
    for verb in (
        "demo",
        "export",
        "check",
        "compile",
        "inspect",
        "run",
        "verify",
        "targets",
        "sdk",
    ):
        done = call(verb, "--help")
        assert done.returncode == 0
        assert f"nrf-deploy {verb}" in done.stdout.partition("examples:")[2]


def test_wrong_words_are_a_usage_error() -> None:
    assert call("compile").returncode == USAGE
    assert call("verify", "b", "--input", "r", "--limit", "many").returncode == USAGE
    assert call().returncode == USAGE


@pytest.mark.parametrize(
    ("words", "says", "usage"),
    [
        (["compile", "m", "--targt", "loihi2", "-o", "x"], "--target", "nrf-deploy compile"),
        (["verify", "b", "--input", "r", "--agianst=lava"], "--against", "nrf-deploy verify"),
        (["chekc", "m"], "check", "nrf-deploy"),
        (["sdk", "instal"], "install", "nrf-deploy sdk"),
    ],
)
def test_mistyped_words_are_answered_with_the_nearest(
    words: list[str], says: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == USAGE
    text = refusal(capsys)
    assert f"did you mean {says}" in text
    assert text.startswith(f"usage: {usage}")
    assert main([*words, "--json"]) == USAGE
    document = answer(capsys)
    assert document["findings"][0]["code"] == "USAGE"
    assert document["exit_code"] == USAGE


def test_ctrl_c_while_the_program_starts_is_no_traceback() -> None:
    """The command line's own import is the first thing that takes time."""
    script = (
        "import sys, types\n"
        "class Slow(types.ModuleType):\n"
        "    def __getattr__(self, name): raise KeyboardInterrupt\n"
        "sys.modules['nrf_deploy.cli'] = Slow('nrf_deploy.cli')\n"
        "from nrf_deploy.__main__ import main\n"
        "sys.exit(main())"
    )
    done = timed(script)[1]
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(model: Path) -> None:
    command = f"{sys.executable} -m nrf_deploy inspect {model} | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
