"""The verbs as Python functions: the README's example, what they take, what they print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.pipeline import check
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.io import nir as nir_io
from nrf_deploy.ir.network import IF, Flatten, Input, Linear, Network, Output

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a model without a time step and a camera's events, as the README names them."""
    import nir

    two = np.ones(2, np.float32)
    network = Network(
        (
            Input(name="in", port_shape=(2, 2, 2)),
            Flatten(name="flat", flat_input=(2, 2, 2), start=0, end=-1),
            Linear(name="w", weight=np.ones((2, 8), np.float32)),
            IF(name="if", r=two * 1000, v_threshold=two * 2, v_reset=two * 0),
            Output(name="out", port_shape=(2,)),
        ),
        (("in", "flat"), ("flat", "w"), ("w", "if"), ("if", "out")),
        dt=1e-3,
    )
    nir_io.write(network, tmp_path / "model.nir")
    graph = nir.read(tmp_path / "model.nir")
    graph.metadata = {}
    nir.write(tmp_path / "model.nir", graph)
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 50_000, 300))
    x, y, p = rng.integers(0, 2, (3, 300))
    np.savez(tmp_path / "events.npz", t=t, x=x, y=y, p=p)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_of_the_readme_runs_as_it_stands(folder: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    held: dict[str, object] = {}
    exec(example, held)
    assert held["report"].passed in (True, False)  # type: ignore[attr-defined]
    assert (folder / "model.nrfb").is_file()


def test_the_chunks_of_the_engine_s_example_are_one_run(folder: Path) -> None:
    bundle = nd.compile(nd.read("model.nir", dt=1e-3), "loihi2")
    nd.save(bundle, "model.nrfb")
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/engine.md").read_text(), re.DOTALL
    )
    held: dict[str, Any] = {}
    exec(example, held)
    chunks = [held[name].outputs["if"].dense() for name in ("first", "second", "rest")]
    assert [len(c) for c in chunks[::2]] == [20, 5]
    whole = nd.run(bundle, nd.read_recording("events.npz", bundle, bin=1e-3)).outputs["if"].dense()
    assert whole.any()
    assert np.array_equal(np.concatenate(chunks)[: len(whole)], whole)


def test_the_verbs_take_paths(folder: Path) -> None:
    bundle = nd.compile(nd.read("model.nir", dt=1e-3), "loihi2")
    nd.save(bundle, "model.nrfb")
    recording = nd.read_recording("events.npz", "model.nrfb", bin=1e-3)
    assert nd.run("model.nrfb", recording).outputs["if"].shape == (2,)
    assert nd.verify(Path("model.nrfb"), recording).passed
    with pytest.raises(nd.NrfError, match=r"model\.nir") as e:
        nd.compile("model.nir", "loihi2")
    assert e.value.findings[0].code == "NIR-DT-MISSING"


def test_a_wrong_argument_is_told_what_to_pass(folder: Path) -> None:
    model = nd.read("model.nir", dt=1e-3)
    bundle = nd.compile(model, "loihi2")
    for wrong, says in (
        (lambda: nd.run(model, None), "nrf_deploy.compile"),
        (lambda: nd.run(bundle, "events.npz"), "nrf_deploy.read_recording"),
        (lambda: nd.verify(bundle, np.ones(3)), "nrf_deploy.read_recording"),
        (lambda: nd.compile(3, "loihi2"), "nrf_deploy.read("),
        (lambda: nd.run("model.nir", None), "compile it first"),
    ):
        with pytest.raises(UsageError) as e:
            wrong()
        assert says in e.value.findings[0].fix


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("bin", "1ms", "seconds"),
        ("start", "0.1", "seconds"),
        ("until", True, "seconds"),
        ("clip", 1.5, "whole number"),
        ("downsample", 2.5, "whole number"),
        ("crop", (0, 0), "four whole numbers"),
        ("crop", (0, 0, 1.5, 2), "four whole numbers"),
        ("crop", "0,0,1,1", "four whole numbers"),
    ],
)
def test_an_option_of_another_kind_is_refused_before_reading(
    folder: Path, name: str, given: object, wanted: str
) -> None:
    model = nd.read("model.nir", dt=1e-3)
    with pytest.raises(UsageError) as e:
        nd.read_recording("events.npz", model, **{"bin": 1e-3, name: given})  # type: ignore[arg-type]
    (finding,) = e.value.findings
    assert (finding.code, wanted in finding.what) == ("ARGUMENT-TYPE", True)
    assert finding.what.startswith(f"{name}=")


def test_numbers_of_numpy_are_numbers(folder: Path) -> None:
    model = nd.read("model.nir", dt=1e-3)
    plain = nd.read_recording("events.npz", model, bin=1e-3, clip=9)
    assert nd.read_recording("events.npz", model, bin=np.float64(1e-3), clip=np.int64(9)).same(
        plain
    )


def test_a_long_argument_is_shown_in_one_line(folder: Path) -> None:
    with pytest.raises(UsageError) as e:
        nd.run(nd.compile(nd.read("model.nir", dt=1e-3), "loihi2"), np.zeros((9, 9)))  # type: ignore[arg-type]
    assert "\n" not in e.value.findings[0].what


def test_what_reading_has_to_say_is_a_python_warning(folder: Path) -> None:
    model = nd.read("model.nir", dt=1e-3)
    with pytest.warns(UserWarning, match="RECORDING-BIN-DIFFERS"):
        nd.read_recording("events.npz", model, bin=2e-3)
    with pytest.warns(UserWarning, match="RECORDING-CLIPPED"):
        clipped = nd.read_recording("events.npz", model, bin=1e-3, clip=1)
    assert clipped.value.max() == 1


def test_everything_prints_as_one_line(folder: Path) -> None:
    model = nd.read("model.nir", dt=1e-3)
    verdict = check(model, "loihi2")
    bundle = nd.compile(model, "loihi2")
    recording = nd.read_recording("events.npz", bundle, bin=1e-3)
    trace, report = nd.run(bundle, recording), nd.verify(bundle, recording)
    nouns = (model, model.network, verdict, bundle, bundle.program, recording, trace, report)
    for noun in nouns:
        assert re.fullmatch(r"<[^\n]{5,200}>", repr(noun))


def test_dir_lists_what_is_meant_to_be_used() -> None:
    assert dir(nd) == sorted(nd.__all__)
