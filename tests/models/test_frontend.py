"""The covariant front end: sound, alive, and covariant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.engines.reference import run
from nrf_deploy.io import nir
from nrf_deploy.ir.network import LI, LIF, Conv, Input, Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Leaky, Spikes
from nrf_deploy.torch import from_torch
from nrf_models.covariant import frontend
from nrf_models.covariant.events import record
from nrf_models.covariant.receptive_fields import truncated

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
pytest.importorskip("norse.torch", reason="norse is absent: pip install '.[models]'")

STEPS = 200


@pytest.fixture(scope="module")
def model() -> Any:
    return frontend.build()


@pytest.fixture(scope="module")
def network(model: Any) -> Network:
    network, findings, _ = from_torch(model, model.input_shape)
    assert findings == []
    return network


def test_its_kernels_are_large_enough() -> None:
    assert truncated(frontend.fields(), frontend.field_weights().shape[-1]) == []
    assert truncated([frontend.POOL], frontend.pool_weights().shape[-1]) == []


def test_one_convolution_feeds_a_ladder_of_populations(network: Network) -> None:
    assert network.targets("fields") == ("field_lif.0", "field_lif.1", "field_lif.2")
    assert network.sources("map") == ("merge.0", "merge.1", "merge.2")
    taus = [network[f"field_lif.{k}"].membrane.tau.flat[0] for k in range(3)]  # type: ignore[attr-defined]
    np.testing.assert_allclose(taus, [4e-3, 8e-3, 16e-3], rtol=1e-6)


def test_even_light_gives_the_fields_nothing() -> None:
    assert np.abs(frontend.field_weights().sum(axis=(2, 3))).max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_every_layer_is_alive_and_none_is_always_on(network: Network, seed: int) -> None:
    trace = run(network, frontend.demo_recording(seed, STEPS))
    assert set(trace.outputs) == {n.name for n in network.of(Population)}
    for name, output in trace.outputs.items():
        rate = len(output.index) / output.steps / output.size
        assert 0.005 < rate < 0.2, name
        assert output.counts().max() < 0.8 * STEPS, name


def test_the_reference_runs_it_as_norse_does(model: Any, network: Network) -> None:
    """The weights are not dyadic numbers: sums may round differently, and a spike may move."""
    recording = frontend.demo_recording(0, STEPS)
    trace = run(network, recording)
    state, spikes = None, []
    with torch.no_grad():
        for frame in torch.from_numpy(recording.dense().astype(np.float32)):
            z, state = model(frame[None], state)
            spikes.append(z.numpy()[0])
    ours = trace.outputs["map"].dense()
    assert np.count_nonzero(ours != np.stack(spikes)) <= 0.01 * np.count_nonzero(ours)


@pytest.mark.parametrize("seed", range(2))
def test_the_map_shows_where_the_disc_is(network: Network, seed: int) -> None:
    """The middle of the spikes of the last 40 steps is where it was 20 steps ago."""
    recording, places = record(frontend.demo_scene(seed), 300, seed)
    total = np.cumsum(run(network, recording).outputs["map"].dense()[:, 0], axis=0)
    window = total[40:] - total[:-40]
    pixel = np.arange(8) * network.readout["stride"]
    count = window.sum(axis=(1, 2))
    x = (window * pixel).sum(axis=(1, 2)) / count
    y = (window * pixel[:, None]).sum(axis=(1, 2)) / count
    distance = np.hypot(x - places[20:-20, 0], y - places[20:-20, 1])
    assert distance.mean() < 1.5
    assert distance.max() < 5


def test_it_survives_the_file(network: Network, tmp_path: Path) -> None:
    nir.write(network, tmp_path / "front.nir")
    again, _ = nir.read(tmp_path / "front.nir")
    recording = frontend.demo_recording(0, 60)
    ours, theirs = run(network, recording), run(again, recording)
    assert all(ours.outputs[n].same(theirs.outputs[n]) for n in ours.outputs)
    assert again.readout == network.readout


def test_its_size_is_a_parameter() -> None:
    model = frontend.build(48)
    network, _, _ = from_torch(model, model.input_shape)
    assert network["map"].shape == (1, 12, 12)


def test_recordings_need_no_torch() -> None:
    """The base install makes the input of the demo."""
    code = (
        "import sys; from nrf_models.covariant import frontend; frontend.demo_recording(0, 3); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- covariance in time --------------------------------------------------------

STRETCH = 2


def first_layer(network: Network, spiking: bool) -> Network:
    """Build the fields and their ladder, with a gain of one for an event: r = 1/(1 - a)."""
    populations: list[Population] = []
    for k in range(3):
        lif = network[f"field_lif.{k}"]
        assert type(lif) is Population
        assert type(lif.membrane) is Leaky
        assert type(lif.rule) is Spikes
        r = -1 / np.expm1(-network.dt / lif.membrane.tau)
        leaky = {"name": lif.name, "tau": lif.membrane.tau, "r": r, "v_leak": lif.membrane.v_leak}
        threshold = np.full(lif.shape, frontend.FIELD_THRESHOLD)
        fire = {"v_threshold": threshold, "v_reset": lif.rule.reset_to}
        populations.append(LIF(**leaky, **fire) if spiking else LI(**leaky))
    ports = tuple(network.of(Input))
    fields: Conv = network["fields"]  # type: ignore[assignment]
    edges = ((ports[0].name, "fields"), *(("fields", p.name) for p in populations))
    return Network((*ports, fields, *populations), edges, network.dt)


def stretched(recording: Recording) -> Recording:
    """Stretch the events: STRETCH - 1 steps of silence follow each step."""
    frames = recording.dense()
    slow = np.zeros((STRETCH * len(frames), *recording.shape), frames.dtype)
    slow[::STRETCH] = frames
    return Recording.from_dense(slow, recording.dt)


def z_error(network: Network, recording: Recording, decay: Any) -> float:
    """Return the distance of channel k+1 on the stretched input from channel k on the original."""
    names = [p.name for p in network.of(Population)]
    here = run(network, recording, decay=decay).outputs
    there = run(network, stretched(recording), decay=decay).outputs
    errors = []
    for k in range(2):
        v = here[names[k]].dense().astype(float)
        w = there[names[k + 1]].dense().astype(float)
        errors.append(np.linalg.norm(w[::STRETCH] - v) / np.linalg.norm(v))
    return float(max(errors))


def test_time_scaling_moves_the_response_to_the_next_rung(network: Network) -> None:
    """Exact decay is covariant to rounding; Norse's Euler step is not, by several percent."""
    recording = frontend.demo_recording(0, 60)
    layer = first_layer(network, spiking=False)
    assert z_error(layer, recording, "exact") < 1e-6
    assert z_error(layer, recording, "euler") > 0.01


def test_spikes_move_to_the_next_rung_too(network: Network) -> None:
    layer = first_layer(network, spiking=True)
    recording = frontend.demo_recording(0, 120)
    assert z_error(layer, recording, "exact") < 0.05
    slow = run(layer, stretched(recording), decay="exact").outputs["field_lif.1"].dense()
    assert slow[::STRETCH].any()
    assert not slow[1::STRETCH].any(), "a spike where no event was"


def test_scenes_come_from_the_seed() -> None:
    assert frontend.demo_scene(1) == frontend.demo_scene(1)
    assert frontend.demo_scene(1) != frontend.demo_scene(2)
