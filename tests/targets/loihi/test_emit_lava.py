"""The program that we write for Lava is the network that we run: in every spike and state.

It runs here as it will elsewhere: in Lava's own environment, in a folder of its own, with
nothing of ours on the path.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle.pipeline import compile
from nrf_deploy.diagnostics.findings import TargetError, UsageError
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.sdk import environments
from nrf_deploy.io.model import read
from nrf_deploy.io.recordings import read as read_recording
from nrf_deploy.io.recordings import write as write_recording
from nrf_deploy.ir.program import Conv, Dense, Origin, Population, Port, Program, Sparse
from nrf_deploy.ir.recording import Recording, Trace
from nrf_loihi.arithmetic.neurons import MODELS
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_loihi.lava import engine
from nrf_loihi.lava.emit_axes import flat_order, route, turned
from nrf_loihi.lava.emit_lava import emit
from tests.builders.loihi_programs import IN_LAVA, Case, cases, describe

ONE_AFTER_THE_OTHER = """
import runpy, sys
for line in open(sys.argv[1]):
    sys.argv = line.split()
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A start of Lava costs seconds, a small network none."""


def run_scripts(calls: Sequence[Sequence[str]], folder: Path) -> None:
    """Run each call, a script and its arguments; nothing of ours can be imported there."""
    there = environments.status(engine.sdk)
    if there.python is None:
        pytest.skip(f"Lava is not installed: {there.todo}")
    (folder / "calls.txt").write_text("".join(" ".join(call) + "\n" for call in calls))
    done = subprocess.run(
        [there.python, "-I", "-c", ONE_AFTER_THE_OTHER, "calls.txt"],
        cwd=folder,
        env=environments.clean_environ(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-12000:]


def run_emitted(cases: Sequence[Case], folder: Path) -> list[Trace]:
    """Run every case as golden does: outputs, and the states of all stateful layers."""
    calls = []
    for number, case in enumerate(cases):
        emit(case.program, folder / f"net{number}")
        write_recording(case.recording, folder / f"in{number}.npz")
        calls.append([f"net{number}/network.py", f"in{number}.npz", f"out{number}.npz"])
        for name in stateful(case.program):
            calls[-1] += ["--states", name]
    run_scripts(calls, folder)
    return [
        results(folder / f"net{n}" / "network.py", folder / f"out{n}.npz")
        for n in range(len(cases))
    ]


def stateful(program: Program) -> list[str]:
    return [p.name for p in program.populations if MODELS[p.model].states]


def results(script: Path, output: Path) -> Trace:
    """Return the output of a script, from the files that its table of layers names."""
    layers, outputs = constant(script, "LAYERS"), constant(script, "OUTPUTS")
    read_back, states = {}, {}
    for layer, (label, shape, _) in layers.items():
        file = output.with_name(f"{output.stem}.{label}.npz") if len(outputs) > 1 else output
        if layer in outputs:
            read_back[layer], _ = read_recording(file, shape=shape)
        if (file := output.with_name(f"{output.stem}.{label}.states.npz")).exists():
            with np.load(file) as arrays:
                states[layer] = dict(arrays)
    return Trace("script", read_back, states, {})


def constant(script: Path, name: str) -> Any:
    """Return a constant at the head of a script."""
    for line in ast.parse(script.read_text()).body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == name:
            return ast.literal_eval(line.value)
    raise AssertionError(f"{script} says no {name}")


def run_golden(case: Case) -> Trace:
    return golden.run(
        case.program,
        LoihiArithmetic(),
        case.recording,
        record=case.program.outputs,
        states=stateful(case.program),
        steps=case.recording.steps + case.program.latency,
    )


def difference(ours: Trace, theirs: Trace) -> str | None:
    assert ours.outputs.keys() == theirs.outputs.keys()
    assert ours.states.keys() == theirs.states.keys()
    for name, recording in ours.outputs.items():
        if not recording.same(theirs.outputs[name]):
            return f"the output of {name}"
    for name, variables in ours.states.items():
        for variable, values in variables.items():
            if not np.array_equal(values, theirs.states[name][variable]):
                return f"{variable} of {name}"
    return None


# --- the same network -----------------------------------------------------


def random_cases(number: int, seed: int) -> list[Case]:
    """Draw cases that record the output of all populations."""
    drawn: dict[str, Case] = {}

    @hypothesis.seed(seed)
    @settings(
        max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(cases())
    def each(case: Case) -> None:
        everything = tuple(p.name for p in case.program.populations)
        program = dataclasses.replace(case.program, outputs=everything)
        drawn[repr(case)] = Case(program, case.recording)

    each()
    return list(drawn.values())


def test_random_programs_run_alike_as_scripts(tmp_path: Path) -> None:
    drawn = random_cases(24, seed=5)
    models = {p.model for case in drawn for p in case.program.populations}
    assert models == set(IN_LAVA), "choose a seed that draws every model"
    traces = run_emitted(drawn, tmp_path)
    for number, (case, trace) in enumerate(zip(drawn, traces, strict=True)):
        found = difference(run_golden(case), trace)
        assert found is None, f"{number}: {found} differs\n{describe(case.program)}"


def test_a_network_of_all_shapes_runs_alike(tmp_path: Path) -> None:
    """Images into vectors and back, one set of weights for several shapes, two inputs, a
    relay, a loop, a part of its own and a pass with two arrivals."""
    case = all_shapes(np.random.default_rng(5))
    (trace,) = run_emitted([case], tmp_path)
    expected = run_golden(case)
    assert all(r.counts().any() for r in expected.outputs.values()), "silence proves nothing"
    assert difference(expected, trace) is None


def all_shapes(rng: np.random.Generator) -> Case:
    image, table, line = (2, 3, 4), (4, 6), (24,)
    lif = {"du": 1000, "dv": 200, "vth": 60}

    def population(
        name: str, shape: tuple[int, ...], model: str = "lif", **more: object
    ) -> Population:
        return Population(name=name, shape=shape, model=model, params={**lif, **more})

    def through(name: str, shape: tuple[int, ...]) -> Population:
        return Population(name=name, shape=shape, model="pass", params={})

    def dense(
        name: str,
        source: str,
        here: tuple[int, ...],
        targets: tuple[str, ...],
        there: tuple[int, ...],
    ) -> Dense:
        return Dense(
            name=name,
            source=source,
            targets=targets,
            weight=rng.integers(-60, 100, (math.prod(there), math.prod(here))),
            source_shape=here,
            target_shape=there,
        )

    def conv(name: str, source: str, *targets: str, bits: int = 0) -> Conv:
        return Conv(
            name=name,
            source=source,
            targets=targets,
            weight=rng.integers(-20, 40, (2, 2, 3, 2)),
            input_size=(3, 4),
            stride=(1, 1),
            padding=((1, 1), (1, 0)),
            dilation=(1, 1),
            params={"num_message_bits": bits},
        )

    row, column = np.nonzero(rng.random((24, 24)) < 0.5)
    sparse = Sparse(
        name="back",
        source="table",
        targets=("image",),
        weight=rng.integers(-60, 60, len(row)),
        row=row,
        column=column,
        delay=3,
        source_shape=table,
        target_shape=image,
    )
    own = {"vth": rng.integers(20, 60, image), "bias_mant": rng.integers(0, 90, image)}
    program = Program(
        arithmetic="loihi",
        ports=(Port(name="eye", shape=image), Port(name="ear", shape=(1, 5))),
        synapses=(
            conv("c", "eye", "image", "flat_image"),
            dense("d", "ear", (1, 5), ("table", "line", "image"), line),
            dense("e", "image", image, ("table",), table),
            conv("f", "table", "sum", "line"),
            conv("g", "image", "sum"),
            conv("h", "sum", "after", bits=8),
            dense("i", "sum", image, ("after", "line"), image),
            sparse,
        ),
        populations=(
            population("image", image, **own, v0=rng.integers(-900, 900, image)),
            population("flat_image", line, vth=rng.integers(20, 60, line)),
            population("table", table, du=rng.integers(0, 4096, table)),
            population("line", line),
            through("sum", line),
            population("after", (3, 4, 2), model="lif"),
            population("alone", image, bias_mant=rng.integers(0, 90, image), bias_exp=3),
        ),
        outputs=("image", "flat_image", "table", "line", "sum", "after", "alone"),
        origins=(Origin(population="after", node="after", latency=3, scale={}),),
    )
    frames = (rng.random((20, 29)) < 0.3).astype(np.int64)
    return Case(program, Recording.from_dense(frames))


# --- networks that were trained -------------------------------------------


def test_the_nmnist_network_runs_alike(shared: Path, tmp_path: Path) -> None:
    bundle = compile(
        read(shared / "conformance" / "nir" / "cnn_sinabs.nir", dt=1.0, producer="nir"), "loihi2"
    )
    digit, _ = read_recording(
        shared / "recordings" / "nmnist_sample.npz", shape=(2, 34, 34), bin=1e-3
    )
    case = Case(bundle.program, digit)
    (trace,) = run_emitted([case], tmp_path)
    expected = run_golden(case)
    assert expected.outputs["12"].counts().sum() > 100
    assert difference(expected, trace) is None


def test_the_demo_model_runs_alike_and_its_steps_are_aligned(tmp_path: Path) -> None:
    pytest.importorskip("norse", reason="the demo model needs the extra [models]")
    from nrf_deploy.api import shipped
    from nrf_deploy.api.export import export

    model = export("covariant-frontend", tmp_path / "front.nir")
    case = Case(
        compile(model, "loihi2").program,
        shipped.module("covariant-frontend").demo_recording(0, 60),
    )
    (trace,) = run_emitted([case], tmp_path)
    expected = run_golden(case)
    assert expected.outputs["map"].counts().any()
    assert difference(expected, trace) is None

    np.save(tmp_path / "frames.npy", case.recording.dense())
    run_scripts([["net0/network.py", "frames.npy", "aligned.npz", "--aligned"]], tmp_path)
    aligned, _ = read_recording(tmp_path / "aligned.npz")
    assert np.array_equal(aligned.dense(), expected.outputs["map"].shifted(3).dense())


# --- the text -------------------------------------------------------------


def relay(name: str = "relay", **params: int) -> Program:
    return Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(2, 3, 4)),),
        synapses=(
            Dense(
                name="w",
                source="in",
                targets=(name,),
                weight=np.arange(48).reshape(2, 24),
                source_shape=(2, 3, 4),
                target_shape=(2,),
            ),
        ),
        populations=(
            Population(
                name=name, shape=(2,), model="lif", params={"du": 4095, "dv": 0, "vth": 1, **params}
            ),
        ),
        outputs=(name,),
        origins=(Origin(population=name, node=name, latency=1, scale={}),),
    )


def test_a_layer_reads_as_a_person_would_write_it(tmp_path: Path) -> None:
    emit(relay(bias_mant=5), tmp_path / "out")
    text = (tmp_path / "out" / "network.py").read_text()
    build = text[text.index("    # input") : text.index("    return parts")]
    assert (
        build
        == """\
    # input "in": 4 x 3 x 2
    source_in = Source(
        recording,
        first=0,
        shape=(4, 3, 2),
        peak=1,
    )

    # layer "relay": 2; steps behind the input: 1
    w = Dense(
        weights=a["w.weights"],
    )
    relay = LIF(
        shape=(2,),
        du=4095,
        dv=0,
        bias_mant=5,
        vth=1,
    )

    # Each connection takes one step.
    source_in.s_out.reshape((24,)).connect(w.s_in)
    w.a_out.connect(relay.a_in)

    parts = [source_in]
    spikes = {"relay": [relay.s_out]}
    states = {"relay": [relay.u, relay.v]}
"""
    )


def test_the_weights_of_an_image_are_in_the_order_of_the_axes_that_the_readme_says(
    tmp_path: Path,
) -> None:
    emit(relay(), tmp_path / "out")
    assert "X, Y, C" in (tmp_path / "out" / "README.txt").read_text()
    with np.load(tmp_path / "out" / "arrays.npz", allow_pickle=False) as arrays:
        weights = arrays["w.weights"].reshape(2, 4, 3, 2)  # of each neuron: X, Y, C
    assert np.array_equal(weights[1].transpose(2, 1, 0), 24 + np.arange(24).reshape(2, 3, 4))


def test_the_same_program_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        emit(all_shapes(np.random.default_rng(1)).program, tmp_path / name)
    for file in ("network.py", "arrays.npz", "README.txt"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@given(cases())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_script_is_sound_python_of_80_columns(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        emit(case.program, Path(folder) / "out")
        text = (Path(folder) / "out" / "network.py").read_text()
    ast.parse(text)
    assert max(map(len, text.splitlines())) <= 80
    assert "\n\n\n\n" not in text


@given(st.text(min_size=1))
@settings(max_examples=50, deadline=None)
def test_no_name_leaves_its_comment_or_its_quotes(name: str) -> None:
    hypothesis.assume(name != "in")
    with tempfile.TemporaryDirectory() as folder:
        emit(relay(name), Path(folder) / "out")
        text = (Path(folder) / "out" / "network.py").read_text()
        assert constant(Path(folder) / "out" / "network.py", "OUTPUTS") == [name]
    assert kinds(text) == kinds(emitted_plain())


def kinds(text: str) -> list[type]:
    """Return the syntax of a script without its names."""
    return [type(node) for node in ast.walk(ast.parse(text))]


@cache
def emitted_plain() -> str:
    with tempfile.TemporaryDirectory() as folder:
        emit(relay(), Path(folder) / "out")
        return (Path(folder) / "out" / "network.py").read_text()


@given(
    source=st.sampled_from([(24,), (2, 3, 4), (4, 6), (24, 1, 1), (2, 1, 12), (4, 3, 2)]),
    target=st.sampled_from([(24,), (2, 3, 4), (4, 6), (1, 24), (2, 12), (6, 2, 2)]),
)
def test_turns_bring_each_neuron_to_its_place(
    source: tuple[int, ...], target: tuple[int, ...]
) -> None:
    sent = turned(np.arange(24).reshape(source), source)
    x = sent
    for turn in route(sent.shape, source, target[::-1], target):
        method, argument = turn[1:-1].split("(", 1)
        x = getattr(x, method)(ast.literal_eval(argument))
    assert np.array_equal(x, turned(np.arange(24).reshape(target), target))
    assert np.array_equal(sent.ravel(), flat_order(source))


# --- the folder -----------------------------------------------------------


def test_a_folder_of_ours_is_replaced_and_another_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    emit(relay(), out)
    emit(relay("other"), out)
    assert '"other"' in (out / "network.py").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing is left beside it"

    (out / "results.npz").write_text("dear")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError, match=r"results\.npz"):
        emit(relay(), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_files_of_our_names_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text("mine")
    with pytest.raises(UsageError, match="OUTPUT-NOT-EMPTY"):
        emit(relay(), tmp_path)
    assert (tmp_path / "network.py").read_text() == "mine"


@pytest.mark.parametrize("place", ["file", "file/out", "missing/out"])
def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="OUTPUT-UNWRITABLE"):
        emit(relay(), tmp_path / place)


def test_what_lava_cannot_express_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    program = relay()
    late = dataclasses.replace(program.synapses[0], delay=80)
    with pytest.raises(TargetError, match="LAVA-DELAY"):
        emit(dataclasses.replace(program, synapses=(late,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_input_of_another_kind_is_refused_by_the_script(tmp_path: Path) -> None:
    emit(relay(), tmp_path / "net0")
    np.save(tmp_path / "small.npy", np.zeros((4, 2, 2, 2), np.int64))
    with pytest.raises(AssertionError, match=r"has the shape \(2, 2, 2\); expected \(2, 3, 4\)"):
        run_scripts([["net0/network.py", "small.npy", "out.npz"]], tmp_path)


def test_a_broken_off_write_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit(relay(), tmp_path / "out")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        emit(relay("other"), tmp_path / "out")
    assert '"relay"' in (tmp_path / "out" / "network.py").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
