"""The front end of velocity-adapted fields: it tells motions apart, and a chip keeps it exact."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.pipeline import latency
from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Delay, Network
from nrf_deploy.ir.recording import Recording
from nrf_deploy.torch import from_torch
from nrf_models.covariant import velocity_frontend as model
from nrf_models.covariant.events import record

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")
pytest.importorskip("norse.torch", reason="norse is absent: pip install '.[models]'")

SMALL, STEPS = 18, 8


@pytest.fixture(scope="module")
def network() -> Network:
    built = model.build(SMALL)
    network, findings, _ = from_torch(built, built.input_shape)
    assert findings == []
    return network


def noise(steps: int = STEPS, seed: int = 0) -> np.ndarray[Any, Any]:
    """Draw spots of 3 x 3 pixels, to which fields respond."""
    spots = np.random.default_rng(seed).random((steps, 2, SMALL // 3, SMALL // 3)) < 0.08
    return np.kron(spots, np.ones((1, 1, 3, 3))) > 0


def both(w: tuple[int, int]) -> tuple[Recording, Recording]:
    """Draw the same events at rest and in motion; those that leave the frame are in neither."""
    still, going = np.zeros((2, STEPS, 2, SMALL, SMALL), np.int64)
    for t, frame in enumerate(noise()):
        here, there = overlap(w, t)
        still[t][here] = going[t][there] = frame[here]
    return Recording.from_dense(still, 1e-3), Recording.from_dense(going, 1e-3)


def overlap(w: tuple[int, int], t: int) -> tuple[Any, Any]:
    """Return the places in the frame before and after w t, and the same places moved."""
    before, after = [], []
    for shift in (w[1] * t, w[0] * t):
        before.append(slice(max(0, -shift), SMALL - max(0, shift)))
        after.append(slice(max(0, shift), SMALL - max(0, -shift)))
    return (..., *before), (..., *after)


def pairs(network: Network, w: tuple[int, int]) -> list[tuple[int, int]]:
    """Return channels that differ in their velocities by w, and in nothing else."""
    seen = network.receptive_fields["field_lif"]["channels"]
    wanted = [{**c, "velocity": list(np.add(c["velocity"], w))} for c in seen]
    return [(k, seen.index(c)) for k, c in enumerate(wanted) if c in seen]


@pytest.mark.parametrize("w", [(1, 0), (0, -1), (2, 0), (1, 1)])
@pytest.mark.parametrize("run_by", ["reference", "emulator", "loihi2"])
def test_spikes_are_covariant_under_motion_to_the_last_one(
    network: Network, w: tuple[int, int], run_by: str
) -> None:
    """In float, and in the integers of a chip. An unadapted channel sees something else."""
    engine = "reference" if run_by == "reference" else "emulator"
    bundle = nd.compile(network, "loihi2" if run_by == "loihi2" else "emulator")
    behind = latency(bundle, engine).get("field_lif", 0)
    still, going = (
        nd.run(bundle, r, engine, layer=["field_lif"])
        .outputs["field_lif"]
        .shifted(behind)
        .until(STEPS)
        .dense()
        for r in both(w)
    )
    found = pairs(network, w)
    assert found
    spikes = moved = unadapted = 0
    for t in range(STEPS):
        here, there = overlap(w, t)
        for k, other in found:
            spikes += int(still[t, k][here].sum())
            moved += int((still[t, k][here] != going[t, other][there]).sum())
            unadapted += int((still[t, k][here] != going[t, k][there]).sum())
    assert spikes > 50
    assert moved == 0
    assert unadapted > 0.2 * spikes


@pytest.mark.parametrize("seed", range(2))
def test_the_channel_of_the_true_velocity_spikes_most(seed: int) -> None:
    built = model.build()
    network, _, _ = from_torch(built, built.input_shape)
    recording, places = record(model.demo_scene(seed), 36, seed)
    outputs = nd.run(nd.compile(network, "emulator"), recording).outputs
    going = np.round(np.diff(places, axis=0, prepend=places[:1]), 6)
    for name, per in (("field_lif", len(model.DIRECTIONS)), ("motion", 1)):
        counts = outputs[name].dense().sum(axis=(2, 3)).reshape(36, -1, per).sum(axis=2)
        for k, velocity in enumerate(model.VELOCITIES):
            at = np.flatnonzero((going == velocity).all(axis=1))[8:]  # the delays have filled
            if len(at) > 10:
                assert counts[at].sum(axis=0).argmax() == k, (name, velocity)


def test_its_fields_are_those_it_describes(network: Network) -> None:
    channels = network.receptive_fields["field_lif"]["channels"]
    assert len(channels) == network["field_lif"].shape[0] == 10
    assert [c["velocity"] for c in channels[::2]] == [list(map(float, v)) for v in model.VELOCITIES]


def test_the_reference_runs_it_as_torch_does(network: Network) -> None:
    built, state, spikes = model.build(SMALL), None, []
    frames = noise(10)
    with torch.no_grad():
        for frame in torch.from_numpy(frames.astype(np.float32)):
            z, state = built(frame[None], state)
            spikes.append(z.numpy()[0])
    ours = (
        run(network, Recording.from_dense(frames.astype(np.int64), 1e-3)).outputs["motion"].dense()
    )
    assert np.count_nonzero(ours) > 10
    assert np.count_nonzero(ours != np.stack(spikes)) <= 0.02 * np.count_nonzero(ours)


def test_what_it_says_of_its_fields_survives_file_and_bundle(
    network: Network, tmp_path: Path
) -> None:
    from nrf_deploy.io import nir

    nir.write(network, tmp_path / "m.nir")
    again = nd.read(tmp_path / "m.nir")
    assert again.network.receptive_fields == network.receptive_fields
    assert len(list(again.network.of(Delay))) == 5
    nd.save(nd.compile(again, "emulator"), tmp_path / "m.nrfb")
    assert nd.load(tmp_path / "m.nrfb").network.receptive_fields == network.receptive_fields


def test_its_recording_needs_no_torch() -> None:
    code = (
        "import sys; from nrf_models.covariant import velocity_frontend as m; "
        "m.demo_recording(0, 3); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- the delays it is made of ----------------------------------------------------


def delayed(steps: int, twice: bool = False) -> Any:
    import norse.torch as norse

    from nrf_deploy.torch.delay import Delay as Late

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.linear = Late(steps), torch.nn.Linear(3, 3, bias=False)
            self.cell = norse.LIFBoxCell(dt=1e-3)

        def forward(self, x: Any, state: Any = None) -> Any:
            late, cell = (None, None) if state is None else state
            y, late = self.late(x, late)
            if twice:
                y, late = self.late(y, None)
            z, cell = self.cell(self.linear(y), cell)
            return z, (late, cell)

    return Model().eval()


def test_a_delay_is_exported_as_one() -> None:
    network, findings, _ = from_torch(delayed(3), (3,))
    assert findings == []
    np.testing.assert_allclose(network["late"].delay, 3e-3)  # type: ignore[attr-defined]


def test_a_delay_is_used_once_and_lasts() -> None:
    with pytest.raises(NrfError) as refusal:
        from_torch(delayed(1, twice=True), (3,))
    assert [f.code for f in refusal.value.findings] == ["EXPORT-STATE-SHARED"]
    with pytest.raises(ValueError, match="at least one"):
        delayed(0)


def test_data_that_no_file_can_hold_is_refused() -> None:
    built = delayed(1)
    built.receptive_fields = {"cell": {1, 2}}
    with pytest.raises(NrfError) as refusal:
        from_torch(built, (3,))
    assert [f.code for f in refusal.value.findings] == ["EXPORT-RECEPTIVE-FIELDS"]
