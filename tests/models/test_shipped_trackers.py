"""The trained trackers that ship: on the chips they find what the float model finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")

import nrf_deploy as nd  # noqa: E402
from nrf_deploy.api.export import export  # noqa: E402
from nrf_deploy.torch import from_torch  # noqa: E402
from nrf_deploy.verification.task.readout import followed  # noqa: E402
from nrf_models.covariant import checkpoint, shipped  # noqa: E402
from nrf_models.covariant.stepwise import stepwise  # noqa: E402
from nrf_research.card import card  # noqa: E402

WEIGHTS = Path(checkpoint.__file__).parent / "weights"
SETTLED = 60  # steps until the slowest neurons have filled


@pytest.mark.parametrize(
    ("chip", "name"),
    [
        ("loihi2", "lif-tracker"),
        pytest.param("loihi2", "li-tracker", marks=pytest.mark.conformance),  # 26 s
        ("emulator", "lif-tracker"),
        ("emulator", "li-tracker"),
    ],
)
def test_the_chip_tracks_as_the_float_model_does(name: str, chip: str, tmp_path: Path) -> None:
    tracker = {"lif-tracker": shipped.lif, "li-tracker": shipped.li}[name]
    model = export(name, tmp_path / "m.nir")
    recording, truth = tracker.demo_truth(seed=0, steps=160, speed=0.5)
    typical, _ = tracker.demo_truth(seed=1, steps=60)
    bundle = nd.compile(model, chip, typical)
    away = {
        engine: np.linalg.norm(followed(bundle, recording, engine) - truth, axis=-1)[SETTLED:]
        for engine in ("reference", "emulator")
    }
    assert away["reference"].mean() < 3
    assert away["emulator"].mean() < away["reference"].mean() + 1


def test_counted_spikes_track_as_the_float_model_does() -> None:
    """Speck has no values, only spikes: how many stand for 1 decides how sharp its last map is."""
    tracker = shipped.Shipped("relu-0")
    module = tracker.build()
    network, _, _ = from_torch(module, module.input_shape, None)
    recording, truth = tracker.demo_truth(seed=100, steps=100, speed=0.64)
    choices = ("rate-code", "spike-count")
    bundle = nd.compile(network, "speck2b", tracker.demo_recording(1, 60), allow=choices)
    away = {
        engine: np.linalg.norm(followed(bundle, recording, engine) - truth, axis=-1)
        for engine in ("reference", "emulator")
    }
    assert away["reference"][tracker.settled :].mean() < 3
    assert away["emulator"][tracker.settled :].mean() < 3


def test_the_card_is_what_the_checkpoints_say() -> None:
    assert (WEIGHTS / "README.md").read_text("utf-8") == card(WEIGHTS)
    assert len(list(WEIGHTS.glob("*.safetensors"))) >= 12


def test_weights_are_small_and_hold_no_optimiser() -> None:
    for path in WEIGHTS.glob("*.safetensors"):
        assert path.stat().st_size < 200_000
        assert not checkpoint.read(path).extra


def test_recordings_come_from_the_seed() -> None:
    first, truth = shipped.lif.demo_truth(3, 50)
    again, _ = shipped.lif.demo_truth(3, 50)
    assert first.same(again)
    assert truth.shape == (50, 1, 2)
    assert shipped.lif.demo_recording(3, 50).same(first)


@pytest.mark.parametrize(
    ("chip", "most"),
    [("emulator", 0.05), pytest.param("loihi2", 0.1, marks=pytest.mark.conformance)],
)
def test_payloads_keep_what_is_slow_and_small(chip: str, most: float, tmp_path: Path) -> None:
    """A payload that is cut off toward zero loses a slow disc's small potentials altogether."""
    model = export("li-tracker", tmp_path / "m.nir")
    recording, _ = shipped.li.demo_truth(seed=100, steps=120, speed=0.16)
    bundle = nd.compile(model, chip, shipped.li.demo_recording(seed=1, steps=80))
    (head,) = bundle.program.outputs
    compared = nd.verify(bundle, recording).comparison.layers
    (off,) = (c.value_error for c in compared if c.layer == head)
    assert off is not None
    assert off < most


def test_what_has_no_memory_is_an_integrator_of_one_step() -> None:
    net = checkpoint.read(WEIGHTS / "relu-0.safetensors").net.double()
    frames = shipped.li.demo_recording(0, 3).dense().astype(float)
    x, cells, state = torch.from_numpy(frames)[None], stepwise(net).double(), None
    with torch.no_grad():
        wanted = net(x)[0] / net.sharpness
        for t in range(3):
            found, state = cells(x[:, t], state)
            torch.testing.assert_close(found, wanted[:, t])


def test_frames_side_by_side_are_held_by_no_neuron() -> None:
    with pytest.raises(ValueError, match="8 frames at once"):
        shipped.Shipped("relu-frames-0").build()
