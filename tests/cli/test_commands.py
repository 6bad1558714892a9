"""The command line as a user meets it: the way through, and what each verb answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.io import nir as nir_io
from nrf_deploy.io.recordings import write as write_recording
from nrf_deploy.ir.network import Network, Scale
from nrf_deploy.ir.recording import Recording
from tests.builders.cli_calls import INPUT, answer, refusal, small


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
    from nrf_deploy.io.recordings import read

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
    """The verdict names the node that a layer was folded into."""
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
