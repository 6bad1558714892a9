"""Dialects: files as other frameworks write them give the outputs of those frameworks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import Finding, InputError
from nrf_deploy.engines.reference.run import run
from nrf_deploy.io import nir
from nrf_deploy.io.nir.dialects import DIALECTS
from nrf_deploy.io.nir.dialects.base import shortest
from nrf_deploy.ir.network import Array, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Leaky
from tests.builders import producers as p
from tests.builders.nir_files import Tree, chain, port, save

Case = tuple[Tree, dict[str, Any], p.Step]


def output(path: str, name: str, x: Array, **how: Any) -> Array:
    """Return the output of a layer, which is the same after writing and reading the model."""
    network = nd.read(path, **how).network
    written, _ = nir.read(io.BytesIO(nir.checked(network)))
    traces = [run(n, Recording.from_dense(x), record=[name]) for n in (network, written)]
    first, again = (np.asarray(t.outputs[name].dense(), np.float32) for t in traces)
    np.testing.assert_array_equal(first, again)
    return first


def refused(path: str, **how: Any) -> list[Finding]:
    with pytest.raises(InputError) as caught:
        nd.read(path, **how)
    return [f for f in caught.value.findings if f.severity == "error"]


# --- equal to the framework's equations ------------------------------------------------------

MIXED = np.array([1, 0.5, 1, 0.9, 0], np.float32)
SNNTORCH: dict[str, Case] = {
    "late": (p.leaky(), {}, p.by_snntorch("late")),
    "late by 1 ms": (p.leaky(), {"dt": 1e-3}, p.by_snntorch("late")),
    "doubled": (p.leaky(), {"reset": "doubled"}, p.by_snntorch("doubled")),
    "zero": (p.leaky(), {"reset": "value"}, p.by_snntorch("value")),
    "none": (p.leaky(), {"reset": {"1": "none"}}, p.by_snntorch("none")),
    "synaptic": (p.synaptic(), {}, p.by_snntorch("late", alpha=p.ALPHA)),
    "beta 1 and others": (p.leaky(MIXED), {}, p.by_snntorch("late", MIXED)),
    "beta 1": (p.leaky(p.ZERO + 1), {}, p.by_snntorch("late", p.ZERO + 1)),
    "beta 0": (p.leaky(p.ZERO), {}, p.by_snntorch("late", p.ZERO)),
}


@pytest.mark.parametrize("case", SNNTORCH)
def test_snntorch(tmp_path: Path, case: str) -> None:
    tree, how, step = SNNTORCH[case]
    path, x = p.file(tmp_path / "m.nir", tree, p.SNNTORCH), p.frames()
    expected = p.expected(step, x)
    assert 50 < expected.sum() < 900
    np.testing.assert_array_equal(output(path, "1", x, producer="snntorch", **how), expected)


@pytest.mark.parametrize("typed", [1e-3, 1 / 3000, 1 / 0.03, 137, 0.0625])
def test_the_shortest_number_of_a_float32_is_the_one_that_was_typed(typed: float) -> None:
    for near in (np.float32(typed), np.float32(typed) * np.float32(1 + 2e-7)):
        assert shortest(float(near)) == typed


def test_a_beta_that_was_typed_comes_back(tmp_path: Path) -> None:
    """Float32 loses the last bits of 1 - 1e-4/tau below 0.75."""
    for k, typed in enumerate(([0.05, 0.1, 0.2, 0.3, 0.4], [0.6, 0.7, 0.123, 0.85, 0.99])):
        beta = np.array(typed, np.float32)
        path = p.file(tmp_path / f"{k}.nir", p.leaky(beta), p.SNNTORCH)
        (node,) = nd.read(path, producer="snntorch").network.of(Population)
        assert isinstance(node.membrane, Leaky)
        kept = np.float32(1 - 1e-4 / node.membrane.tau)
        np.testing.assert_array_equal(kept, beta)


SINABS: dict[str, Case] = {
    "IAF, its reader's floor": (p.iaf(), {}, p.by_sinabs(floor=-1)),
    "IAF without a floor": (p.iaf(), {"floor": "none"}, p.by_sinabs()),
    "IAF, another floor": (p.iaf(), {"floor": {"1": -0.5}, "dt": 1}, p.by_sinabs(floor=-0.5)),
    "LIF": (p.lif(), {"dt": 1e-3}, p.by_sinabs(5)),
    "ExpLeak": (p.lif("LI"), {}, p.by_sinabs(5, norm=False, spikes=False)),
}


@pytest.mark.parametrize("case", SINABS)
def test_sinabs(tmp_path: Path, case: str) -> None:
    tree, how, step = SINABS[case]
    path, x = p.file(tmp_path / "m.nir", tree, p.SINABS), p.frames()
    expected = p.expected(step, x)
    assert np.abs(expected).sum() > 5
    np.testing.assert_array_equal(output(path, "1", x, producer="sinabs", **how), expected)


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF", "LI"])
def test_norse(tmp_path: Path, kind: str) -> None:
    path, x = p.file(tmp_path / "m.nir", p.norse(kind), p.NORSE, (1, 3)), p.frames()
    expected = p.expected(p.by_norse(kind), x)
    assert expected.sum() > 5
    np.testing.assert_array_equal(output(path, "1", x, producer="norse"), expected)


PLIF = 1 / float(np.float32(0.27027026))
SPIKINGJELLY: dict[str, Case] = {
    "IF": (p.jelly_if(), {}, p.by_spikingjelly()),
    "IF from v_reset": (p.jelly_if(-0.25), {}, p.by_spikingjelly(reset=-0.25)),
    "LIF": (p.jelly_lif(3.7), {"dt": 1e-4}, p.by_spikingjelly(3.7)),
    "LIF without decay_input": (
        p.jelly_lif(3.7, False, -0.25), {}, p.by_spikingjelly(3.7, decay_input=False, reset=-0.25)
    ),
    "PLIF": (p.jelly_lif(PLIF), {"dt": 1e-4}, p.by_spikingjelly(PLIF, learned=True)),
    "PLIF without decay_input": (
        p.jelly_lif(PLIF, False), {}, p.by_spikingjelly(PLIF, learned=True, decay_input=False)
    ),
    "CUBA": (p.jelly_cuba(0.5, 0.75), {}, p.by_spikingjelly(cuba=(0.5, 0.75))),
    "CUBA from v_reset": (
        p.jelly_cuba(0.3, 0.9, -0.2), {}, p.by_spikingjelly(cuba=(0.3, 0.9), reset=-0.2)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SPIKINGJELLY)
def test_spikingjelly(tmp_path: Path, case: str) -> None:
    tree, how, step = SPIKINGJELLY[case]
    path, x = p.file(tmp_path / "m.nir", tree, p.SPIKINGJELLY), p.frames()
    expected = p.expected(step, x)
    assert expected.sum() > 15
    np.testing.assert_array_equal(output(path, "_1", x, producer="spikingjelly", **how), expected)


def test_lif_and_plif_of_spikingjelly_are_told_apart(tmp_path: Path) -> None:
    orders = []
    for tau in (3.7, PLIF, 2.0, 1.6):
        path = p.file(tmp_path / f"{tau}.nir", p.jelly_lif(tau), p.SPIKINGJELLY)
        (node,) = nd.read(path, 1e-4, producer="spikingjelly").network.of(Population)
        assert isinstance(node.membrane, Leaky)
        orders.append(node.membrane.order)
    assert orders == ["divided", "multiplied", "divided", "divided"]


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
@pytest.mark.parametrize("dt", [1e-3, 5e-3])
def test_rockpool(tmp_path: Path, kind: str, dt: float) -> None:
    path, x = p.file(tmp_path / "m.nir", p.rockpool(kind, dt), p.ROCKPOOL, (1, 1, 3)), p.frames()
    expected = p.expected(p.by_rockpool(kind, dt), x)
    assert expected.max() > 1
    assert nd.read(path, producer="rockpool").network.dt == dt
    np.testing.assert_array_equal(output(path, "1_LIFTorch", x, producer="rockpool"), expected)


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_spyx(tmp_path: Path, kind: str) -> None:
    path, x = p.file(tmp_path / "m.nir", p.spyx(kind), p.SPYX), p.frames()
    expected = p.expected(p.by_spyx(kind), x)
    assert expected.sum() > 50
    np.testing.assert_array_equal(output(path, "layer_1.delay", x, producer="spyx"), expected)


def test_the_input_of_a_recurrent_layer_of_spyx_goes_to_its_neurons(tmp_path: Path) -> None:
    back = np.random.default_rng(5).integers(-3, 2, (p.N, p.N)).astype(np.float32) / 4
    path, x = p.spyx_recurrent(tmp_path / "m.nir", back), p.frames()
    expected = p.expected(p.by_spyx("LIF", back), x)
    assert expected.sum() > 50
    name = "layer_1.layer_1.lif.delay"
    np.testing.assert_array_equal(output(path, name, x, producer="spyx"), expected)


def test_a_layer_that_the_exporter_of_spyx_left_out_is_named(tmp_path: Path) -> None:
    path = p.file(tmp_path / "m.nir", p.spyx("LIF"), ("input", "layer_0", "layer_2", "output"))
    (finding,) = refused(path, producer="spyx")
    assert finding.code == "NIR-LEFT-OUT"
    assert finding.what == f"{path}: layer_1 is not in the file"


def test_neurons_behind_flattened_images_of_spyx_are_refused(tmp_path: Path) -> None:
    """Their order is not that of the file, which has the channels first."""
    flat = {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array([p.N, 1, 1])}
    ends = port("Input", p.N, 1, 1), port("Output", p.N)
    names = ["input", "layer_0", "layer_1", "output"]
    tree = chain(ends[0], flat, p.spyx("IF"), ends[1], dt=None, names=names)
    (finding,) = refused(str(save(tmp_path / "m.nir", tree)), producer="spyx")
    assert (finding.code, finding.layer) == ("NIR-FLATTEN", "layer_0")


def test_the_digit_network_of_sinabs_has_its_own_counts(shared: Path) -> None:
    """The counts of sinabs 3.1.3 on the same recording, with the floor of its training."""
    model = nd.read(shared / "conformance/nir/cnn_sinabs.nir", producer="sinabs")
    file = shared / "recordings/nmnist_sample.npz"
    digit = nd.read_recording(file, model, bin=1e-3, origin="first")
    layers = ["1", "3", "6", "10", "12"]
    trace = run(model.network, digit, record=layers)
    counts = [int(trace.outputs[name].dense().sum()) for name in layers]
    assert counts == [10942, 26231, 22115, 24268, 1733]


# --- units of time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("producer", "tree", "step", "counts"),
    [
        ("snntorch", p.leaky(), 1e-4, True),
        ("sinabs", p.lif(), 1, True),
        ("spyx", p.spyx("LIF"), 1, True),
        ("norse", p.norse("LIF"), 1e-3, False),
        ("rockpool", p.rockpool("LIF"), 1e-3, False),
        ("spikingjelly", p.jelly_if(), 1e-4, False),
        ("spikingjelly", p.jelly_lif(2.5, False), 1e-4, False),
        ("spikingjelly", p.jelly_cuba(0.5, 0.5, dt=2e-3), 2e-3, False),
    ],
)
def test_the_producer_states_the_time_step(
    tmp_path: Path, producer: Any, tree: Tree, step: float, counts: bool
) -> None:
    path = p.file(tmp_path / "m.nir", tree, p.SINABS)
    assert nd.read(path, producer=producer).network.dt == step
    assert nd.read(path, step, producer=producer).network.dt == step
    if counts:
        assert nd.read(path, 0.25, producer=producer).network.dt == 0.25
        return
    (finding,) = refused(path, producer=producer, dt=0.25)
    assert finding.code == "NIR-DT-CONFLICT"
    assert f"dt is 0.25 according to the caller; a file of {DIALECTS[producer].framework}" in (
        finding.what
    )


def test_a_file_of_spikingjelly_that_does_not_hold_its_time_step_needs_it(tmp_path: Path) -> None:
    path = p.file(tmp_path / "m.nir", p.jelly_lif(2.0), p.SPIKINGJELLY)
    (finding,) = refused(path, producer="spikingjelly")
    assert finding.code == "NIR-DT-MISSING"
    assert nd.read(path, 1e-4, producer="spikingjelly").network.dt == 1e-4


def test_neurons_that_imply_several_time_steps_are_refused(tmp_path: Path) -> None:
    tree = p.jelly_if() | {"r": np.array([1e3, 1e3, 1e3, 1e4, 1e3])}
    (finding,) = refused(p.file(tmp_path / "m.nir", tree, p.SPIKINGJELLY), producer="spikingjelly")
    assert "the neurons imply time steps from 0.0001 to 0.001" in finding.what
