"""Batches of scenes: from the seed alone, kept on disk whole or made anew, never waited for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.ir.network import Array
from nrf_models.covariant import scenes
from nrf_models.covariant.description import Block, Tracker, Training
from nrf_models.covariant.events import dense
from nrf_models.covariant.scenes import batch, batches, scene

SMALL = Tracker(size=24, blocks=(Block(6, 7, pool=2, stride=2), Block(4, 3)), head=3)
SHORT = Training(batches=5, batch=2, warm_up=4, steps=6, radii=(3.0, 5.0), threshold=0.5)


def whole(folder: Path | None, first: int = 0, workers: int = 2) -> dict[int, Array]:
    return {k: b.events for k, b in batches(SMALL, SHORT, first, folder, workers)}


def test_a_batch_depends_on_its_seed_and_on_nothing_else() -> None:
    first = batch(SMALL, SHORT, (0, 1, 0)).events
    assert np.array_equal(first, batch(SMALL, SHORT, (0, 1, 0)).events)
    assert not np.array_equal(first, batch(SMALL, SHORT, (0, 1, 1)).events)


def test_a_list_of_events_is_the_frames_that_the_sensor_gave() -> None:
    drawn = batch(SMALL, SHORT, (3,))
    for k in range(SHORT.batch):
        rng = np.random.default_rng([3, k])
        frames, places = dense(scene(SMALL, SHORT, rng), 10, int(rng.integers(2**31)))
        assert np.array_equal(drawn.events[k], frames)
        assert np.array_equal(drawn.places[k], places)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order_whoever_makes_them(workers: int, tmp_path: Path) -> None:
    wanted = {k: batch(SMALL, SHORT, (SHORT.seed, 1, k)).events for k in range(5)}
    for folder in (None, tmp_path, tmp_path):  # made, made and kept, read
        found = whole(folder, workers=workers)
        assert list(found) == list(range(5))
        assert all(np.array_equal(found[k], wanted[k]) for k in wanted)
    assert list(whole(tmp_path, first=3)) == [3, 4]


def test_a_kept_batch_is_mapped_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = dict(batches(SMALL, SHORT, folder=tmp_path))
    monkeypatch.setattr(scenes, "batch", None)
    read = dict(batches(SMALL, SHORT, folder=tmp_path))
    assert isinstance(read[0].at, np.memmap)
    assert read[0].at.dtype == np.int32
    assert np.array_equal(read[4].places, made[4].places)


@pytest.mark.parametrize(
    "other", [replace(SHORT, seed=1), replace(SHORT, noise=0.01), replace(SHORT, batch=3)]
)
def test_other_scenes_have_other_files(other: Training, tmp_path: Path) -> None:
    list(batches(SMALL, SHORT, folder=tmp_path))
    found = dict(batches(SMALL, other, folder=tmp_path))
    assert np.array_equal(found[0].events, batch(SMALL, other, (other.seed, 1, 0)).events)
    assert len(list(tmp_path.iterdir())) == 2 * 2 * SHORT.batches


def test_more_batches_go_on_with_the_files_of_fewer(tmp_path: Path) -> None:
    list(batches(SMALL, SHORT, folder=tmp_path))
    list(batches(SMALL, replace(SHORT, batches=7), folder=tmp_path))
    assert len(list(tmp_path.iterdir())) == 2 * 7


@pytest.mark.parametrize("damage", ["cut", "beyond", "disorder", "kind", "places"])
def test_a_damaged_file_is_refused_and_named(damage: str, tmp_path: Path) -> None:
    list(batches(SMALL, SHORT, folder=tmp_path))
    path = max(tmp_path.glob("*-events.npy"), key=lambda p: p.stat().st_size)
    at = np.load(path)
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-4])
        case "beyond":
            np.save(path, np.append(at, 2 * 10 * 2 * 24 * 24).astype(np.int32))
        case "disorder":
            np.save(path, at[::-1])
        case "kind":
            np.save(path, at.astype(float))
        case "places":
            path = tmp_path / path.name.replace("events", "places")
            np.save(path, np.zeros((1, 10, 1, 2)))
    with pytest.raises(ValueError, match=path.stem):
        list(batches(SMALL, SHORT, folder=tmp_path))


def test_what_was_made_without_its_places_being_safe_is_made_anew(tmp_path: Path) -> None:
    """Places are written first: a kill between the two files leaves places alone."""
    list(batches(SMALL, SHORT, folder=tmp_path))
    for path in tmp_path.glob("*-events.npy"):
        path.unlink()
    assert len(whole(tmp_path)) == SHORT.batches
    assert len(list(tmp_path.glob("*-events.npy"))) == SHORT.batches


def test_a_shape_that_cannot_fit_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        list(batches(SMALL, replace(SHORT, radii=(20.0, 21.0)), folder=tmp_path))
    assert not list(tmp_path.iterdir())


def test_each_shape_of_a_scene_has_its_outline_and_its_place() -> None:
    drawn = scene(replace(SMALL, shapes=3), SHORT, np.random.default_rng(0))
    assert [s.outline for s in drawn.shapes] == ["disc", "square", "triangle"]
    places = batch(replace(SMALL, shapes=3), SHORT, (0,)).places
    assert places.shape == (2, 10, 3, 2)
    assert places.std(axis=2).min() > 0
