"""Recordings that users made in their framework: what is read, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Array, Delay, Network
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness
from nrf_deploy.witness.recorded import read_recorded
from nrf_deploy.witness.replay import replay
from tests.builders.witnesses import two_layers, witness_of

NETWORK = two_layers()


def arrays_of(witness: Witness) -> dict[str, Array]:
    shown = {f"potential:{n}": v for n, v in witness.potentials.items()}
    outputs = {n: r.dense().astype(np.float32) for n, r in witness.outputs.items()}
    return {"input": witness.input.dense(), **outputs, **shown}


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "trained.npz", **arrays)
    return path / "trained.npz"


def test_a_recording_is_read_as_a_witness(tmp_path: Path) -> None:
    witness = witness_of(NETWORK)
    path = saved(tmp_path, **arrays_of(witness), producer="snntorch", version="1.0")
    (read,) = read_recorded(path, NETWORK)
    assert (read.producer, read.version) == ("snntorch", "1.0")
    assert read.input.same(witness.input)
    assert all(read.outputs[n].same(r) for n, r in witness.outputs.items())
    assert np.array_equal(read.potentials["n1"], witness.potentials["n1"])
    assert replay(NETWORK, [read]).first is None


@pytest.mark.parametrize("axes", [None, "samples steps", "steps samples"])
def test_several_samples_are_read_in_either_order_of_axes(tmp_path: Path, axes: Any) -> None:
    parts = [arrays_of(witness_of(NETWORK, seed)) for seed in range(3)]
    where = 1 if axes == "steps samples" else 0
    joined = {key: np.stack([p[key] for p in parts], where) for key in parts[0]}
    path = saved(tmp_path, **joined, **({} if axes is None else {"axes": axes}))
    samples = read_recorded(path, NETWORK)
    assert len(samples) == 3
    result = replay(NETWORK, samples)
    assert result.first is None
    assert result.trained.steps == 96


def test_a_flat_layer_gets_the_shape_of_the_model(tmp_path: Path) -> None:
    shaped = np.zeros((3, 2, 2), np.int64)
    shaped[1, 0, 1] = 1

    def network(shape: tuple[int, ...]) -> Network:
        nodes = [n for n in NETWORK.nodes if n.name in ("in", "out")]
        return replace(NETWORK, nodes=(replace(nodes[0], port_shape=shape), *NETWORK.nodes[1:]))

    outputs = {"n1": np.zeros((3, 8), bool), "n2": np.zeros((3, 4), bool)}
    path = saved(tmp_path, input=shaped.reshape(3, 4), **outputs)
    (read,) = read_recorded(path, network((2, 2)))
    assert read.input.same(Recording.from_dense(shaped))


def test_the_input_can_be_another_recording(tmp_path: Path) -> None:
    witness = witness_of(NETWORK)
    arrays = arrays_of(witness)
    del arrays["input"]
    (read,) = read_recorded(saved(tmp_path, **arrays), NETWORK, witness.input)
    assert replay(NETWORK, [read]).first is None


def test_every_input_of_several_is_stacked(tmp_path: Path) -> None:
    first = NETWORK.nodes[0]
    second = replace(first, name="in2")
    network = replace(
        NETWORK, nodes=(first, second, *NETWORK.nodes[1:]), edges=(*NETWORK.edges, ("in2", "fc1"))
    )
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 2, (4, 5)) for _ in range(2))
    spikes = np.zeros((4, 8), np.int64)
    (read,) = read_recorded(
        saved(tmp_path, **{"input:in": a, "input:in2": b, "n1": spikes}), network
    )
    assert np.array_equal(read.input.dense(), np.concatenate([a, b], 1))


def wrong(**changes: Any) -> dict[str, Any]:
    arrays: dict[str, Any] = {"input": np.zeros((4, 5)), "n1": np.zeros((4, 8))}
    return {k: v for k, v in (arrays | changes).items() if v is not ...}


BAD = {
    "an unknown layer": (wrong(n9=np.zeros((4, 8))), r"(?s)no layer 'n9'.*n1 \(8,\)"),
    "no layer": (wrong(n1=...), "no output of a layer"),
    "no input": (wrong(input=...), "it has no array 'input'"),
    "another shape": (wrong(n1=np.zeros((4, 7))), r"\(4, 7\); expected \(steps"),
    "other steps": (wrong(n1=np.zeros((5, 8))), "samples and steps differ: input 1 x 4, n1 1 x 5"),
    "potentials for spikes": (wrong(n1=np.full((4, 8), 0.5)), "not counts"),
    "negative spikes": (wrong(n1=np.full((4, 8), -1)), "negative number of spikes"),
    "NaN": (wrong(input=np.full((4, 5), np.nan)), "NaN or infinite"),
    "NaN as a spike": (wrong(n1=np.full((4, 8), np.nan)), "not counts"),
    "no step": (wrong(input=np.zeros((0, 5)), n1=np.zeros((0, 8))), "samples of 0 steps"),
    "a batch of one behind the steps": (
        wrong(input=np.zeros((4, 1, 5)), n1=np.zeros((4, 1, 8))), "write axes='steps samples'"
    ),
    "unknown axes": (wrong(axes="time"), "axes is 'time'"),
    "potentials of no layer": (wrong(**{"potential:n9": np.zeros((4, 8))}), "no layer 'n9'"),
    "potentials without spikes": (
        wrong(**{"potential:n2": np.zeros((4, 4))}), "potentials of 'n2', which has no output"
    ),
    "complex numbers": (wrong(n1=np.zeros((4, 8), complex)), "complex"),
    "objects": (wrong(n1=np.array([None])), "pickle"),
    "text": (wrong(n1=np.array("spikes")), "plain numbers"),
    "a long text": (wrong(producer="x" * 5000), "more than 400 characters"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_a_recording_of_the_model_is_refused(tmp_path: Path, case: str) -> None:
    arrays, text = BAD[case]
    path = saved(tmp_path, **arrays)
    with pytest.raises(InputError, match=text) as refusal:
        read_recorded(path, NETWORK)
    assert "trained.npz" in str(refusal.value)


def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="WITNESS-FILE"):
        read_recorded(tmp_path / "a.npz", NETWORK)


def test_a_second_input_is_refused(tmp_path: Path) -> None:
    witness = witness_of(NETWORK)
    path = saved(tmp_path, **arrays_of(witness))
    with pytest.raises(InputError, match="leave input= out"):
        read_recorded(path, NETWORK, witness.input)


def test_a_layer_whose_spikes_leave_late_is_compared_behind_its_delay(tmp_path: Path) -> None:
    late = Delay(name="n2.delay", delay=np.ones(4, np.float32))
    edges = tuple(e for e in NETWORK.edges if e != ("n2", "out"))
    edges = (*edges, ("n2", "n2.delay"), ("n2.delay", "out"))
    network = replace(NETWORK, nodes=(*NETWORK.nodes, late), edges=edges)
    recording = witness_of(NETWORK).input
    trace = run(network, recording, record=["n1", "n2.delay"])
    given = {"n1": trace.outputs["n1"].dense(), "n2": trace.outputs["n2.delay"].dense()}
    (read,) = read_recorded(saved(tmp_path, input=recording.dense(), **given), network)
    assert list(read.outputs) == ["n1", "n2.delay"]
    assert replay(network, [read]).first is None
