"""The generated events are what a sensor of integrate-and-fire pixels would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_models.covariant.events import OUTLINES, Scene, Shape, dense, light, record

STEPS = 60


def scene(*, noise: float = 0.0, size: int = 32, upsampling: int = 4, **shape: object) -> Scene:
    return Scene(size, (Shape(**shape),), noise=noise, upsampling=upsampling)  # type: ignore[arg-type]


MOTIONS = {
    "straight": {},
    "turning": {"spin": 0.05, "angle": 0.3},
    "growing": {"growth": 1.02},
    "sheared": {"shear": 0.5, "shear_rate": 0.1},
}


@pytest.mark.parametrize("outline", OUTLINES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_events_add_up_to_the_change_of_light(outline: str, motion: str) -> None:
    """Up to one threshold a pixel, which is still waiting in it."""
    shown = replace(scene(outline=outline, **MOTIONS[motion]), threshold=1.0)
    frames, _ = dense(shown, STEPS)
    events = frames.sum(axis=0)
    change = light(shown, STEPS) - light(shown)
    seen = shown.threshold * (events[0].astype(float) - events[1])
    assert np.abs(seen - change).max() <= shown.threshold + 1e-9
    assert events.sum() > 40


def test_the_front_is_on_and_the_back_is_off() -> None:
    recording, places = record(scene(velocity=(0.3, 0.0), start=(8, 16)), STEPS)
    on, off = recording.dense()[30:].sum(axis=0)
    x = np.arange(32)
    assert (on.sum(0) * x).sum() / on.sum() > places[45, 0] > (off.sum(0) * x).sum() / off.sum()


def test_twice_the_velocity_gives_the_same_events_in_half_the_time() -> None:
    """A pixel's events count the light that went by, whatever its speed."""
    slow, _ = dense(scene(velocity=(0.1, 0.04)), 100)
    fast, _ = dense(scene(velocity=(0.2, 0.08)), 50)
    assert fast.sum() == pytest.approx(slow.sum(), rel=0.1)
    away = np.abs(fast.sum(axis=0).astype(int) - slow.sum(axis=0))
    assert away.max() <= 1


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(2, 10))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_shape_stays_on_the_sensor_and_never_jumps(vx: float, vy: float, radius: float) -> None:
    places = Shape(velocity=(vx, vy), radius=radius, start=(11, 12)).path(32, 200)
    assert places.min() >= radius - 1e-9
    assert places.max() <= 31 - radius + 1e-9
    assert (np.abs(np.diff(places, axis=0)) <= np.abs([vx, vy]) + 1e-9).all()


@pytest.mark.parametrize("outline", OUTLINES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_no_part_of_it_leaves_the_sensor(outline: str, motion: str) -> None:
    """Its light is fully on the sensor at every step, up to the size that it has then."""
    shape = Shape(outline=outline, velocity=(0.9, 0.7), radius=4, **MOTIONS[motion])  # type: ignore[arg-type]
    shown = Scene(32, (shape,), upsampling=8)
    areas = np.abs(np.linalg.det(shape.matrices(120)))
    seen = [light(shown, t).sum() / areas[t] for t in range(0, 120, 7)]
    assert np.allclose(seen, seen[0], rtol=0.03)


def test_the_shape_moves_straight_and_bounces_off_the_border() -> None:
    places = Shape(velocity=(1.0, -0.5), radius=5.0, start=(20, 20)).path(32, 10)
    np.testing.assert_allclose(places[:, 0], [20, 21, 22, 23, 24, 25, 26, 25, 24, 23, 22])
    np.testing.assert_allclose(places[:, 1], 20 - 0.5 * np.arange(11))


def test_growth_bounces_and_shear_swings() -> None:
    grown = Shape(radius=1, growth=1.1, most=1.5).matrices(40)[:, 0, 0]
    assert grown.max() == pytest.approx(1.5, rel=0.1)
    assert grown.min() == pytest.approx(1.0, rel=0.1)
    np.testing.assert_allclose(grown[:4], 1.1 ** np.arange(4))
    sheared = Shape(radius=2, shear=0.5, shear_rate=np.pi / 10).matrices(20)[:, 0, 1] / 2
    np.testing.assert_allclose(sheared[[0, 5, 15]], [0, 0.5, -0.5], atol=1e-12)


VELOCITIES = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56)


@pytest.mark.parametrize("velocity", VELOCITIES)
def test_a_disc_gives_the_light_that_it_sweeps_over(velocity: float) -> None:
    """Its width times its way: ON in front, and as much OFF behind. Each pixel that it touched
    keeps less than a threshold, and those in front are still at it."""
    threshold = max(0.1, velocity / 4)
    radius, steps = 6.0, round(24 / velocity)
    shape = Shape(radius=radius, start=(10.0, 32.0), velocity=(velocity, 0.0))
    frames, _ = dense(Scene(64, (shape,), threshold, noise=0.0, upsampling=8), steps)
    swept = 2 * radius * velocity * steps
    touched = (2 * radius + 2) * (velocity * steps + 2)
    in_front = 2 * radius * max(velocity, 1)
    on, off = threshold * frames.sum(axis=(0, 2, 3))
    assert swept - threshold * touched - in_front < on <= swept * 1.01
    assert swept - threshold * touched - in_front < off <= swept * 1.01 + threshold * touched


def test_a_pixel_that_is_too_slow_falls_behind() -> None:
    """One event a step: ten for each edge cannot pass while a fast disc is over a pixel."""
    shape = Shape(radius=6.0, start=(10.0, 32.0), velocity=(2.56, 0.0))
    frames, _ = dense(Scene(64, (shape,), 0.1, noise=0.0), 10)
    assert 0 < frames.sum() < 2 * 0.5 * 12 * 25.6 / 0.1


@pytest.mark.parametrize("velocity", [0.08, 0.16])
def test_the_upsampled_grid_makes_a_slope_of_an_edge(velocity: float) -> None:
    """On the pixels' own grid all light of an edge comes at once, and then none for long."""
    silence = {}
    for upsampling in (1, 8):
        shape = Shape("square", radius=8.0, start=(12.0, 32.0), velocity=(velocity, 0.0))
        frames, _ = dense(Scene(64, (shape,), 0.5, noise=0.0, upsampling=upsampling), 200)
        silence[upsampling] = np.diff(np.flatnonzero(frames[:, 0].any(axis=(1, 2)))).max()
    assert silence[8] < 0.7 * silence[1]


def test_growth_is_on_and_shrinking_is_off() -> None:
    growing = Shape(radius=5, start=(16, 16), velocity=(0.0, 0.0), growth=1.02, most=1.5)
    shown = Scene(32, (growing,), noise=0.0, threshold=0.24, upsampling=8)
    until = round(np.log(1.5) / np.log(1.02))
    frames, _ = dense(shown, 2 * until)
    on, off = frames[:until].sum(axis=(0, 2, 3)), frames[until:].sum(axis=(0, 2, 3))
    assert on[1] == 0
    assert off[0] < 0.03 * on[0]
    assert on[0] == pytest.approx(np.pi * 25 * (1.5**2 - 1) * 4, rel=0.15)
    assert off[1] == pytest.approx(on[0], rel=0.1)


def test_turning_moves_only_what_is_not_round() -> None:
    turned = {
        outline: dense(
            scene(outline=outline, radius=6.0, start=(16, 16), velocity=(0.0, 0.0), spin=0.05), 80
        )[0].sum(axis=(0, 2, 3))
        for outline in OUTLINES
    }
    assert turned["disc"].sum() == 0
    for outline in ("square", "triangle"):
        assert turned[outline].min() > 100
        assert turned[outline][0] == pytest.approx(turned[outline][1], rel=0.1)


def test_shear_keeps_the_area_and_spares_the_middle() -> None:
    shown = scene(
        outline="square",
        radius=8.0,
        start=(24, 24),
        velocity=(0.0, 0.0),
        size=48,
        shear=0.4,
        shear_rate=0.1,
    )
    frames, _ = dense(shown, 126)
    on, off = frames.sum(axis=(0, 2, 3))
    assert on == pytest.approx(off, rel=0.05)
    rows = frames.sum(axis=(0, 1, 3))
    assert rows[17] > 3 * rows[23] > 0 or rows[23] == 0 < rows[17]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_pixel_adds_light_up_and_gives_one_event_a_step_at_most(sign: float) -> None:
    """An edge that crosses a pixel in a step leaves nine tenths in it, given one by one."""
    shape = Shape("square", radius=4.0, start=(10.0, 16.0), velocity=(sign * 1.0, 0.0))
    frames, _ = dense(Scene(32, (shape,), threshold=0.1, noise=0.0, upsampling=2), 20)
    row = frames[:, :, 16]
    ahead = 15 if sign > 0 else 5
    assert frames.sum(axis=1).max() == 1
    fired = np.flatnonzero(row[:, 0, ahead])
    assert len(fired) >= 8
    assert np.all(np.diff(fired[:8]) == 1)


def test_a_still_scene_is_silent_but_for_noise() -> None:
    still = scene(velocity=(0.0, 0.0))
    assert len(record(still, STEPS)[0].index) == 0
    noisy, _ = record(replace(still, noise=0.01), STEPS)
    assert len(noisy.index) / (STEPS * noisy.size) == pytest.approx(0.01, rel=0.1)


def test_noise_is_independent_of_place_time_and_polarity() -> None:
    frames, _ = dense(scene(velocity=(0.0, 0.0), noise=0.02, size=24), 400, seed=5)
    for axes in ((1, 2, 3), (0, 1)):
        counts = frames.sum(axis=axes)
        assert counts.var() / counts.mean() == pytest.approx(1 - 0.02, abs=0.2)
    assert frames[:, 0].mean() == pytest.approx(frames[:, 1].mean(), rel=0.05)
    assert np.corrcoef(frames[:, 0].ravel(), frames[:, 1].ravel())[0, 1] == pytest.approx(
        0, abs=0.02
    )


def test_all_places_are_noisy_where_the_chance_is_one() -> None:
    assert dense(scene(noise=1.0), 3)[0].all()


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


def test_several_shapes_are_one_where_they_overlap() -> None:
    one, two = Shape(start=(12, 12), radius=6), Shape("square", start=(16, 16), radius=5)
    both = light(Scene(32, (one, two)))
    alone = [light(Scene(32, (s,))) for s in (one, two)]
    assert both.max() == 1
    assert np.all(both >= np.maximum(*alone) - 1e-9)
    assert both.sum() < sum(a.sum() for a in alone)
    assert record(Scene(32, (one, two)), 7)[1].shape == (7, 2, 2)


def test_light_is_the_covered_part_of_a_pixel() -> None:
    covered = light(scene(outline="square", radius=2.0, upsampling=8, start=(10.25, 10.0)))
    assert covered.sum() == pytest.approx(16.0, rel=0.02)
    assert covered[10, 8] == pytest.approx(0.25, abs=0.13)
    assert covered[10, 10] == 1.0


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        record(scene(radius=16.0), 10)
