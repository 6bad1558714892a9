"""The trackers: one description, trained form and exported form alike, nothing lost on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")

from nrf_deploy.diagnostics.findings import InputError  # noqa: E402
from nrf_deploy.verification.task.readout import coordinates  # noqa: E402
from nrf_models.covariant import checkpoint  # noqa: E402
from nrf_models.covariant.description import (  # noqa: E402
    NEURONS,
    Block,
    Config,
    Tracker,
    Training,
    config_from,
    config_of,
)
from nrf_models.covariant.errors import errors  # noqa: E402
from nrf_models.covariant.networks import TrackerNet  # noqa: E402
from nrf_models.covariant.scenes import batch  # noqa: E402
from nrf_models.covariant.stepwise import stepwise  # noqa: E402
from nrf_models.covariant.train import train  # noqa: E402

torch.set_num_threads(1)
CONFIGS = Path(checkpoint.__file__).parent / "configs"
SMALL = Tracker(
    size=24,
    blocks=(Block(6, 7, pool=2, stride=2), Block(4, 3)),
    head=3,
    scales=(0.5, 1.0),
    threshold=1.0,
)
SHORT = Training(batches=3, batch=2, warm_up=4, steps=6, radii=(3.0, 5.0), threshold=0.5)


def noise(tracker: Tracker, steps: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (1, steps, 2, tracker.size, tracker.size)
    return (torch.rand(shape, generator=generator) < 0.1).float()


def used(tracker: Tracker) -> TrackerNet:
    """Build a network whose running statistics of BatchNorm are not the initial ones."""
    net = TrackerNet(tracker)
    for seed in range(3):
        torch.manual_seed(seed)
        net.train()(noise(tracker) * (seed + 1))
    return net.eval()


@pytest.mark.parametrize(
    "kind",
    [{"neuron": "li"}, {"neuron": "lif"}, {"share": False}, {"norm": "batch"}],
    ids=lambda kind: "-".join(map(str, kind.values())),
)
def test_norse_cells_step_by_step_give_what_was_trained(kind: dict[str, object]) -> None:
    net = used(replace(SMALL, threshold=0.3, **kind)).double()  # type: ignore[arg-type]
    cells, x, state, found = stepwise(net).double(), noise(SMALL).double(), None, []
    with torch.no_grad():
        wanted = net(x)[0] / net.sharpness
        for t in range(x.shape[1]):
            y, state = cells(x[:, t], state)
            found.append(y)
    torch.testing.assert_close(torch.stack(found, 1), wanted, rtol=1e-9, atol=1e-9)
    assert wanted.std() > 1e-3


def test_a_stretch_of_time_may_be_cut_anywhere() -> None:
    net = used(SMALL)
    x = noise(SMALL)
    with torch.no_grad():
        whole = net(x)[0]
        first, states, _ = net(x[:, :5])
        second = net(x[:, 5:], states)[0]
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


@pytest.mark.parametrize("neuron", NEURONS)
def test_every_kind_learns_something_in_a_few_batches(neuron: str, tmp_path: Path) -> None:
    config = Config(replace(SMALL, neuron=neuron), replace(SHORT, batches=25))  # type: ignore[arg-type]
    said: list[float] = []
    train(config, tmp_path / "x.safetensors", lambda p: said.append(p.loss))
    assert np.mean(said[-5:]) < np.mean(said[:5])


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(SMALL, replace(SHORT, batches=6))
    monkeypatch.setattr("nrf_models.covariant.train.EVERY", 2)
    whole = train(config, tmp_path / "whole.safetensors")

    def interrupt(progress: object) -> None:
        if getattr(progress, "number", 0) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut.safetensors", interrupt)
    again = train(config, tmp_path / "cut.safetensors")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_a_checkpoint_keeps_configuration_and_time_constants(tmp_path: Path) -> None:
    net = TrackerNet(replace(SMALL, time="uniform", seed=3))
    config = Config(net.tracker, SHORT)
    checkpoint.write(tmp_path / "x.safetensors", config, net, notes={"error": 1.5})
    kept = checkpoint.read(tmp_path / "x.safetensors")
    assert kept.config == config
    assert kept.notes == {"error": 1.5}
    for ours, theirs in zip(net.neurons, kept.net.neurons, strict=True):
        assert torch.equal(ours.gain, theirs.gain)


@pytest.mark.parametrize("damage", ["empty", "truncated", "other", "version", "tensors"])
def test_a_broken_checkpoint_is_refused(damage: str, tmp_path: Path) -> None:
    path, config = tmp_path / "x.safetensors", Config(SMALL, SHORT)
    checkpoint.write(path, config, TrackerNet(SMALL))
    data = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "other":
            path.write_bytes(b"PK" + data[2:])
        case "version":
            path.write_bytes(data.replace(b'"version":"1"', b'"version":"9"'))
        case "tensors":
            path.write_bytes(data.replace(b"net.head.weight", b"net.toad.weight"))
    with pytest.raises(InputError, match="CHECKPOINT-UNREADABLE"):
        checkpoint.read(path)


def test_another_configuration_does_not_go_on_in_the_same_file(tmp_path: Path) -> None:
    train(Config(SMALL, SHORT), tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="another configuration"):
        train(Config(SMALL, replace(SHORT, seed=1)), tmp_path / "x.safetensors")


@pytest.mark.parametrize("motion", ["straight", "rotation", "scaling", "shear"])
def test_every_motion_stays_on_the_sensor(motion: str) -> None:
    training = replace(SHORT, motions=(motion,), steps=40)
    drawn = batch(replace(SMALL, shapes=2), training, (1,))
    assert drawn.events.any()
    assert drawn.places.shape == (2, 44, 2, 2)
    assert drawn.places.min() >= 0
    assert drawn.places.max() <= 23


def test_errors_are_those_of_the_readout() -> None:
    """A network that says the middle is as wrong as the middle is."""
    net = TrackerNet(SMALL).eval()
    with torch.no_grad():
        net.head.weight.zero_()
    away = errors(net, Config(SMALL, SHORT), 0.3, 4)
    middle = coordinates(np.zeros((1, 1, 6, 6)), {"kind": "dsnt", "stride": 4, "offset": 0.5})
    assert middle.tolist() == [[[10.5, 10.5]]]
    assert away.shape == (4,)
    assert 0 < away.mean() < 12


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.stem)
def test_the_shipped_configurations_are_sound(path: Path) -> None:
    tracker = config_of(path).tracker
    assert tracker.neuron in path.stem
    assert tracker.offset == (0.5 if tracker.size == 64 else 3.5)
    if tracker.size == 64:
        assert tracker.lint() == []
    else:
        weights = sum(p.numel() for n, p in TrackerNet(tracker).named_parameters() if "conv" in n)
        assert weights / tracker.channels == pytest.approx(1.05e6, rel=0.1)
        assert len(tracker.fields()) == 144


def test_what_a_configuration_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[tracker\] has no 'neurons'"):
        config_from({"tracker": {"neurons": "lif"}})
    with pytest.raises(ValueError, match="a configuration has no 'train'"):
        config_from({"train": {}})
    with pytest.raises(ValueError, match="no middle"):
        config_from({"tracker": {"head": 4}})
    with pytest.raises(ValueError, match="shorter than a step"):
        config_from({"tracker": {"time_constants": [0.5, 2.0]}})


def test_fields_of_theory_stand_in_the_first_block() -> None:
    theory, uniform = (
        TrackerNet(replace(SMALL, space=space)).convs[0][0].conv.weight.detach()
        for space in ("theory", "uniform")
    )
    for weight, low in ((theory, True), (uniform, False)):
        on, off = weight[:, 0].flatten(1), weight[:, 1].flatten(1)
        alike = torch.nn.functional.cosine_similarity(on, off).abs()
        assert bool((alike > 0.999).all()) is low
