"""The task of a model: the class that both runs decide on, the places that they give."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, NrfError, UsageError
from nrf_deploy.io.labels import ClassLabel, Labels, PlaceLabels, parse_labels
from nrf_deploy.ir.network import IF, LI, Array, Conv, Input, Linear, Network, Node, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification import Limits
from nrf_deploy.verification.task.task import Answer, Task, decided, votes
from tests.builders.cli_calls import INPUT, USAGE, answer, refusal

STEPS = 40
READOUT = {"kind": "dsnt", "sharpness": 8.0, "stride": 2.0, "offset": 0.5}


def line(nodes: tuple[Node, ...], readout: dict[str, Any]) -> Network:
    names = [n.name for n in nodes]
    return Network(nodes, tuple(pairwise(names)), dt=1e-3, readout=readout)


def classes(readout: dict[str, Any] | None = None, threshold: float = 1.0) -> Network:
    """Build three neurons, each with one input."""
    three = np.ones(3)
    return line(
        (
            Input(name="in", port_shape=(3,)),
            Linear(name="w", weight=np.eye(3)),
            IF(name="n", r=three * 1000, v_threshold=three * threshold, v_reset=three * 0),
            Output(name="out", port_shape=(3,)),
        ),
        readout or {},
    )


def maps(readout: dict[str, Any] = READOUT, leak: float = 0.5) -> Network:
    """Build one map of 6 x 6 that follows its input."""
    shape = (1, 6, 6)
    return line(
        (
            Input(name="in", port_shape=shape),
            Conv(
                name="w",
                weight=np.ones((1, 1, 1, 1)),
                input_size=(6, 6),
                stride=(1, 1),
                padding=((0, 0), (0, 0)),
                dilation=(1, 1),
            ),
            LI(name="n", tau=np.full(shape, 1e-3 / leak), r=np.ones(shape), v_leak=np.zeros(shape)),
            Output(name="out", port_shape=shape),
        ),
        readout,
    )


def bundled(network: Network, chip: str = "emulator") -> Bundle:
    return nd.compile(nd.io.model.Model(network), chip)


def mostly(number: int) -> Recording:
    frames = np.zeros((STEPS, 3), np.int64)
    frames[:, number] = 1
    frames[::7, (number + 1) % 3] = 1
    return Recording.from_dense(frames, 1e-3)


def moving() -> Recording:
    frames = np.zeros((STEPS, 1, 6, 6), np.int64)
    for t in range(STEPS):
        frames[t, 0, 2, (t // 8) % 6] = 1
    return Recording.from_dense(frames, 1e-3)


def asked(bundle: Bundle, recording: Recording, **options: Any) -> Task:
    found = nd.verify(bundle, recording, **options).task
    assert found is not None
    return found


# --- classes ------------------------------------------------------------------


@pytest.mark.parametrize("chip", ["emulator", "loihi2"])
@pytest.mark.parametrize("number", [0, 2])
def test_both_runs_decide_on_what_was_shown(number: int, chip: str) -> None:
    found = asked(bundled(classes(), chip), mostly(number), labels=ClassLabel(str(number)))
    assert (found.kind, found.layer, found.label) == ("class", "n", number)
    assert (found.left.decided, found.right.decided) == (number, number)
    assert (found.left.error, found.right.error, found.change) == (0.0, 0.0, 0.0)


def test_without_labels_the_decisions_are_told_and_no_error() -> None:
    found = asked(bundled(classes()), mostly(1))
    assert (found.left.decided, found.left.error, found.label) == (1, None, None)
    text = nd.verify(bundled(classes()), mostly(1)).text()
    assert "The class is 1 (87%) in emulator and 1 (87%) in reference." in text


def test_a_class_may_have_a_name() -> None:
    bundle = bundled(classes({"kind": "class", "names": ["cat", "dog", "owl"]}))
    report = nd.verify(bundle, mostly(2), labels=ClassLabel("owl"))
    assert report.task is not None
    assert report.task.left.error == 0
    assert "the label is 'owl'" in " ".join(report.text().split())


@given(st.lists(st.integers(0, 5), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_class_is_the_one_neuron_that_gives_most(counts: list[int]) -> None:
    found = decided([float(c) for c in counts])
    most = [i for i, c in enumerate(counts) if c == max(counts)]
    assert found == (most[0] if len(most) == 1 and max(counts) else None)


def test_votes_of_potentials_count_in_the_models_units() -> None:
    output = Recording.from_dense(np.array([[8, 3], [4, 3]]))
    assert votes(output, np.array([4, 1])) == (3.0, 6.0)


def test_a_right_class_that_the_chip_lost_is_a_warning() -> None:
    lost = Task("class", "n", Answer(1, (0, 3), 1.0), Answer(0, (2, 1), 0.0), 1.0, label=0)
    (finding,) = lost.findings()
    assert (finding.severity, finding.code) == ("warning", "VERIFY-TASK-LOST")
    assert "1 (100%), not 0" in finding.what
    undecided = Task("class", "n", Answer(None, (2, 2), 1.0), Answer(0, (2, 1), 0.0), 1.0, label=0)
    assert "undecided" in next(undecided.findings()).what


def test_several_outputs_or_maps_without_a_readout_are_no_class() -> None:
    assert nd.verify(bundled(maps({})), moving()).task is None


# --- places -------------------------------------------------------------------


def truth(recording: Recording) -> Array:
    """Return the answer of the model without its lag: the pixel that is on."""
    return np.array([[0.5 + 2 * (t // 8 % 6), 0.5 + 2 * 2] for t in range(recording.steps)])


def labelled(steps: Array, place: Array, seconds: bool = False) -> PlaceLabels:
    return PlaceLabels(steps.astype(float), seconds, place.reshape(len(steps), 1, 2))


@pytest.mark.parametrize("chip", ["emulator", "loihi2"])
def test_places_are_followed_and_measured_in_pixels(chip: str) -> None:
    settled = np.arange(5, STEPS, 8)  # the pixel has been on for some steps
    bundle, recording = bundled(maps(), chip), moving()
    right = truth(recording)[settled]
    found = asked(bundle, recording, labels=labelled(settled, right))
    assert (found.kind, found.steps, found.beyond) == ("places", len(settled), 0)
    assert found.right.error is not None
    assert found.left.error is not None
    assert found.right.error < 0.5
    assert found.left.error < found.right.error + 0.2
    assert found.change < 0.2
    moved = asked(bundle, recording, labels=labelled(settled, right + np.array([3, 4])))
    assert moved.right.error == pytest.approx(5, abs=0.6)
    assert moved.right.far is not None
    assert moved.right.far >= moved.right.error


def test_labels_in_seconds_fall_into_the_step_that_holds_them() -> None:
    held = labelled(np.array([0.0, 0.0029999, 0.003, 0.0399]), np.zeros((4, 2)), seconds=True)
    assert held.steps(1e-3).tolist() == [0, 2, 3, 39]
    with pytest.raises(InputError, match="LABELS-TIME"):
        held.steps(None)


def test_labels_beyond_the_end_are_told_and_without_any_within_refused() -> None:
    bundle, recording = bundled(maps()), moving()
    places = np.zeros((3, 2))
    report = nd.verify(bundle, recording, labels=labelled(np.array([1, 50, 60]), places))
    assert report.task is not None
    assert (report.task.steps, report.task.beyond) == (1, 2)
    assert "VERIFY-LABELS-BEYOND" in {f.code for f in report.findings}
    with pytest.raises(InputError, match="LABELS-NONE"):
        nd.verify(bundle, recording, labels=labelled(np.array([50]), places[:1]))


# --- limits -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"task_error": 6.0}, None),
        ({"task_error": 4.0}, "VERIFY-TASK-ERROR"),
        ({"task_change": 1.0}, None),
        ({"task_change": 0.0}, "VERIFY-TASK-CHANGE"),
    ],
)
def test_limits_hold_the_task(limits: dict[str, float], code: str | None) -> None:
    steps = np.arange(5, STEPS, 8)
    labels = labelled(steps, truth(moving())[steps] + np.array([3, 4]))
    held = Limits(exact=False, value_error=9, **limits)
    report = nd.verify(bundled(maps()), moving(), limits=held, labels=labels)
    codes = [f.code for f in report.findings if f.severity == "error"]
    assert codes == ([] if code is None else [code])


def test_a_wrong_class_breaks_its_limit() -> None:
    held = Limits(exact=False, task_error=0)
    report = nd.verify(bundled(classes()), mostly(1), limits=held, labels=ClassLabel("2"))
    (finding,) = (f for f in report.findings if f.severity == "error")
    assert (finding.code, finding.layer) == ("VERIFY-TASK-ERROR", "n")
    assert "not the label 2" in finding.what


@pytest.mark.parametrize("limit", ["task_error", "task_change"])
def test_a_limit_of_what_cannot_be_known_is_refused_before_the_runs(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrf_deploy.verification.verify.run_engine", None)
    with pytest.raises(UsageError, match="LIMITS-TASK"):
        nd.verify(bundled(maps({})), moving(), limits=Limits(exact=False, **{limit: 1.0}))


# --- files --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("class\n4\n", ClassLabel("4")),
        ("Class \r\n owl\r\n\r\n", ClassLabel("owl")),
        ("step,x,y\n3,1.5,2\n", labelled(np.array([3]), np.array([1.5, 2]))),
        ("t,x,y\n0.25,1.5,2\n", labelled(np.array([0.25]), np.array([1.5, 2]), True)),
    ],
)
def test_a_file_says_a_class_or_places(text: str, labels: Labels) -> None:
    found = parse_labels(text)
    if isinstance(labels, ClassLabel):
        assert found == labels
    else:
        assert isinstance(found, PlaceLabels)
        assert found.seconds == labels.seconds
        assert np.array_equal(found.when, labels.when)
        assert np.array_equal(found.place, labels.place)


def test_several_maps_have_a_pair_of_columns_each() -> None:
    found = parse_labels("step,x0,y0,x1,y1\n0,1,2,3,4\n")
    assert isinstance(found, PlaceLabels)
    assert found.place.tolist() == [[[1, 2], [3, 4]]]
    with pytest.raises(InputError, match="LABELS-MAPS"):
        nd.verify(bundled(maps()), moving(), labels=found)


@pytest.mark.parametrize(
    "text",
    ["", "4\n", "class\n", "class\n1\n2\n", "class\n1,2\n", "step\n1\n", "step,x\n1,2\n",
     "step,x,y\n", "step,y,x\n1,2,3\n", "step,x,y\n1,2\n", "step,x,y\n1,2,b\n",
     "step,x,y\n1.5,2,3\n", "step,x,y\n-1,2,3\n", "t,x,y\nnan,2,3\n", "t,x,y\n1,2,inf\n",
     "\x00\n", "t,x,y,x\n0,1,2,3\n"],
)  # fmt: skip
def test_a_file_that_says_neither_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_labels(text)
    assert {f.code for f in refused.value.findings} == {"LABELS-MALFORMED"}


def test_every_wrong_line_is_named_at_once() -> None:
    with pytest.raises(InputError) as refused:
        parse_labels("step,x,y\n0,1,2\n1,a,2\n2,1\n-3,0,0\n")
    assert [f.what.split()[1] for f in refused.value.findings] == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("network", "labels", "code"),
    [
        (classes(), ClassLabel("3"), "LABELS-CLASS"),
        (classes(), ClassLabel("owl"), "LABELS-CLASS"),
        (classes(), labelled(np.arange(2), np.zeros((2, 2))), "LABELS-KIND"),
        (maps(), ClassLabel("1"), "LABELS-KIND"),
        (maps({}), ClassLabel("1"), "LABELS-OUTPUT"),
        (maps({**READOUT, "stride": "wide"}), labelled(np.arange(2), np.zeros((2, 2))),
         "READOUT-NUMBER"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_the_model_are_refused(
    network: Network, labels: Labels, code: str
) -> None:
    recording = mostly(0) if network["in"].shape == (3,) else moving()
    with pytest.raises(NrfError, match=code):
        nd.verify(bundled(network), recording, labels=labels)


# --- the command line ---------------------------------------------------------


def test_the_command_line_takes_labels_and_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nrf_deploy.io.recordings import write

    files = {n: str(tmp_path / n) for n in ("m.nrfb", "e.npz", "l.csv", "l.toml", "r.html")}
    nd.save(bundled(classes()), files["m.nrfb"])
    write(mostly(1), files["e.npz"])
    Path(files["l.csv"]).write_text("class\n1\n")
    Path(files["l.toml"]).write_text("task_error = 0\n")
    words = ["verify", files["m.nrfb"], "--input", files["e.npz"], "--labels", files["l.csv"]]
    assert main([*words, "--limits", files["l.toml"], "--report", files["r.html"]]) == 0
    said = capsys.readouterr().out
    assert said.count("The class is") == 0
    _, _, verdict = said.partition("verdict: ")
    assert " ".join(verdict.split()).startswith("the class is 1 (")
    assert "the label is 1 passed: exact" in " ".join(verdict.split())
    assert "the label is 1." in Path(files["r.html"]).read_text()
    assert main([*words, "--json"]) == 0
    told = answer(capsys)["report"]
    assert told["task"]["left"]["error"] == 0
    assert told["context"]["labels"] == "l.csv"
    Path(files["l.csv"]).write_text("class\n2\n")
    assert main([*words, "--limits", files["l.toml"]]) == 1
    assert "VERIFY-TASK-ERROR" in capsys.readouterr().out
    Path(files["l.csv"]).write_text("neither\n")
    assert main(words) == INPUT
    assert "LABELS-MALFORMED" in refusal(capsys)
    assert main([*words[:-1], str(tmp_path / "none.csv")]) == USAGE
    refusal(capsys)


def test_a_tracker_is_held_against_the_truth(tmp_path: Path) -> None:
    """A shipped model, whose readout says places, with labels from a file."""
    pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
    from nrf_deploy.api.export import export
    from nrf_models.covariant import shipped

    model = export("lif-tracker", tmp_path / "m.nir")
    recording, places = shipped.lif.demo_truth(seed=0, steps=80, speed=0.5)
    lines = [f"{t},{x},{y}" for t, (x, y) in enumerate(places[:, 0].tolist())][60:]
    labels = parse_labels("\n".join(["step,x,y", *lines]))
    found = asked(nd.compile(model, "loihi2"), recording, labels=labels)
    assert found.steps == 20
    assert found.right.error is not None
    assert found.right.error < 3
    assert found.left.error is not None
    assert found.left.error < found.right.error + 1
