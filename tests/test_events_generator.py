"""The generated events are what a sensor of integrate-and-fire pixels would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nrf_models.covariant.events import INSIDE, Scene, light, path, record

STEPS = 60
SILENT = Scene(noise=0.0)


@pytest.mark.parametrize("outline", INSIDE)
def test_events_add_up_to_the_change_of_light(outline: str) -> None:
    """Up to one threshold a pixel, which is still waiting in it."""
    scene = replace(SILENT, outline=outline)  # type: ignore[arg-type]
    recording, _ = record(scene, STEPS)
    frames = recording.dense().sum(axis=0)
    places = path(scene, STEPS)
    change = light(scene, *places[-1]) - light(scene, *places[0])
    seen = scene.threshold * (frames[0].astype(float) - frames[1])
    assert np.abs(seen - change).max() <= scene.threshold + 1e-9
    assert frames.sum() > 100


def test_the_front_is_on_and_the_back_is_off() -> None:
    recording, places = record(replace(SILENT, velocity=(0.3, 0.0), start=(8, 16)), STEPS)
    on, off = recording.dense()[30:].sum(axis=0)
    x = np.arange(32)
    assert (on.sum(0) * x).sum() / on.sum() > places[45, 0] > (off.sum(0) * x).sum() / off.sum()


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(2, 10))
@settings(max_examples=20, deadline=None)
def test_the_shape_stays_on_the_sensor_and_never_jumps(vx: float, vy: float, radius: float) -> None:
    places = path(replace(SILENT, velocity=(vx, vy), radius=radius, start=(11, 12)), 200)
    assert places.min() >= radius - 1e-9
    assert places.max() <= 31 - radius + 1e-9
    assert (np.abs(np.diff(places, axis=0)) <= np.abs([vx, vy]) + 1e-9).all()


def test_the_shape_moves_straight_and_bounces_off_the_border() -> None:
    places = path(replace(SILENT, velocity=(1.0, -0.5), radius=5.0, start=(20, 20)), 10)
    np.testing.assert_allclose(places[:, 0], [20, 21, 22, 23, 24, 25, 26, 25, 24, 23, 22])
    np.testing.assert_allclose(places[:, 1], 20 - 0.5 * np.arange(11))


def test_a_still_scene_is_silent_but_for_noise() -> None:
    still = replace(SILENT, velocity=(0.0, 0.0))
    assert len(record(still, STEPS)[0].index) == 0
    noisy, _ = record(replace(still, noise=0.01), STEPS)
    assert len(noisy.index) / (STEPS * noisy.size) == pytest.approx(0.01, rel=0.1)


def test_the_seed_decides() -> None:
    first, places = record(Scene(), STEPS, seed=3)
    again, _ = record(Scene(), STEPS, seed=3)
    other, _ = record(Scene(), STEPS, seed=4)
    assert first.same(again)
    assert not first.same(other)
    assert first.shape == (2, 32, 32)
    assert first.dt == 1e-3
    assert set(np.unique(first.value)) == {1}
    assert places.shape == (STEPS, 2)


def test_light_is_the_covered_part_of_a_pixel() -> None:
    covered = light(replace(SILENT, outline="square", radius=2.0, upsampling=8), 10.25, 10.0)
    assert covered.sum() == pytest.approx(16.0, rel=0.02)
    assert covered[10, 8] == pytest.approx(0.25, abs=0.13)
    assert covered[10, 10] == 1.0


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        path(replace(SILENT, radius=16.0), 10)
