"""Fields that move with an image see in it what fields at rest see in an image at rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_models.covariant.receptive_fields import Field, described, kernel, size_needed
from nrf_models.covariant.velocity import Moving, exponential, reach, taps

Map = np.ndarray[Any, Any]

SIZE, STEPS, TAPS = 32, 8, 5
TEMPORAL = exponential(2.0, TAPS)
bounded = settings(max_examples=20, deadline=None, derandomize=True)
whole = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
fields = st.builds(
    Field,
    scale=st.floats(0.6, 2),
    angle=st.floats(0, math.pi),
    ratio=st.floats(1, 1.3),
    along=st.integers(0, 2),
    across=st.integers(0, 1),
)


def response(kernels: Sequence[Map], frames: Map) -> Map:
    """Return (steps, y, x) of one field, on an image with periodic borders."""
    out = np.zeros(frames.shape)
    for d, k in enumerate(kernels):
        at = (np.arange(len(k)) - len(k) // 2) % SIZE
        wrapped = np.zeros((SIZE, SIZE))
        np.add.at(wrapped, (at[:, None], at), k)
        seen = np.fft.rfft2(frames[: len(frames) - d]) * np.fft.rfft2(wrapped)
        out[d:] += np.fft.irfft2(seen, (SIZE, SIZE))
    return out


def one(moving: Moving, temporal: Map) -> list[Map]:
    return [k[0] for k in taps([moving], temporal)]


def moved(frames: Map, w: tuple[float, float]) -> Map:
    """Move an image: x' = x + w t, to the nearest pixel."""
    places = [(math.floor(w[1] * t + 0.5), math.floor(w[0] * t + 0.5)) for t in range(len(frames))]
    return np.stack([np.roll(f, at, (0, 1)) for f, at in zip(frames, places, strict=True)])


def events(seed: int) -> Map:
    return np.random.default_rng(seed).random((STEPS, SIZE, SIZE)) < 0.02


def away(u: Moving, v: Moving, w: tuple[float, float], still: Map, going: Map, at: int) -> float:
    """Return the distance of v on the moving image from u on the other, for an integer w t."""
    here = response(one(u, TEMPORAL), still)[at]
    there = response(one(v, TEMPORAL), going)[at]
    back = np.roll(there, (-int(w[1] * at), -int(w[0] * at)), (0, 1))
    return float(np.linalg.norm(back - here) / np.linalg.norm(here))


@given(fields, whole, whole, st.integers(0, 99))
@bounded
def test_whole_velocities_are_exactly_covariant(
    field: Field, u: tuple[int, int], w: tuple[int, int], seed: int
) -> None:
    """The field with u + w on the moved image, at the moved place: to float precision."""
    there, frames = (u[0] + w[0], u[1] + w[1]), events(seed)
    here, other = Moving(field, u), Moving(field, there)
    assert away(here, other, w, frames, moved(frames, w), STEPS - 1) < 1e-12
    if w != (0, 0):
        assert away(here, here, w, frames, moved(frames, w), STEPS - 1) > 0.1, "not adapted"


@given(fields, whole)
@bounded
def test_the_taps_of_a_whole_velocity_are_one_kernel_moved(
    field: Field, u: tuple[int, int]
) -> None:
    """The same bits, so that whatever rounds the weights keeps the relation."""
    size = size_needed(field)
    for d, k in enumerate(one(Moving(field, u), np.ones(TAPS))):
        far = len(k) // 2
        y, x = far + u[1] * d - size // 2, far + u[0] * d - size // 2
        np.testing.assert_array_equal(k[y : y + size, x : x + size], kernel(field, size))
        assert np.count_nonzero(k) <= size**2


@given(st.floats(1, 3), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
@bounded
def test_the_middle_of_tap_d_is_at_u_d(scale: float, x: float, y: float) -> None:
    for d, k in enumerate(one(Moving(Field(scale), (x, y)), np.ones(TAPS))):
        at = np.arange(len(k)) - len(k) // 2
        assert k.sum() == pytest.approx(1)
        assert (k.sum(0) * at).sum() == pytest.approx(x * d, abs=5e-3)
        assert (k.sum(1) * at).sum() == pytest.approx(y * d, abs=5e-3)


def blob(at: float) -> Map:
    x = np.arange(SIZE) - SIZE // 2
    return np.asarray(np.exp(-((x - at) ** 2 + x[:, None] ** 2) / 8))


HALF = (0.5, 0.0)


@pytest.mark.parametrize(
    ("scale", "error"), [(0.25, 0.119), (0.5, 2.4e-3), (1.0, 9e-5), (4.0, 6e-4)]
)
def test_between_pixels_a_smooth_image_is_seen_nearly_covariantly(
    scale: float, error: float
) -> None:
    """The image stands where it should: what is left is sampling, below a pixel's width,
    and the cut at 3.5 standard deviations."""
    field = Field(scale, along=1)
    still, going = (np.stack([blob(u * t) for t in range(STEPS + 1)]) for u in (0, 0.5))
    adapted = away(Moving(field), Moving(field, HALF), HALF, still, going, STEPS)
    assert adapted == pytest.approx(error, rel=0.1)
    assert away(Moving(field), Moving(field), HALF, still, going, STEPS) > 2 * adapted


@pytest.mark.parametrize(("scale", "error"), [(0.5, 0.5), (1.0, 0.35), (4.0, 0.15)])
def test_events_between_pixels_are_far_from_it(scale: float, error: float) -> None:
    """Their places are rounded, by up to half a pixel: the broader the field, the better."""
    field, frames = Field(scale, along=1), events(3)
    found = away(Moving(field), Moving(field, HALF), HALF, frames, moved(frames, HALF), 6)
    assert found == pytest.approx(error, rel=0.15)


@given(fields, whole, st.integers(0, 99))
@bounded
def test_an_exponential_is_also_a_potential_that_travels(
    field: Field, u: tuple[int, int], seed: int
) -> None:
    """v(x, t) = a v(x - u, t - 1) + (g * f)(x, t), while no tap is missing."""
    frames, decay = events(seed)[:TAPS], math.exp(-1 / 2.0)
    now = response([kernel(field, size_needed(field))], frames.astype(float))
    v, travelled = np.zeros((SIZE, SIZE)), []
    for frame in now:
        v = decay * np.roll(v, (u[1], u[0]), (0, 1)) + frame
        travelled.append(v)
    taken = response(one(Moving(field, u), decay ** np.arange(TAPS)), frames)
    np.testing.assert_allclose(taken, travelled, atol=1e-12)


def test_a_stack_reaches_as_far_as_its_fastest_field() -> None:
    fast, slow = Moving(Field(1.0), (2.0, 0.0)), Moving(Field(4.0))
    assert [reach([fast, slow], d) for d in range(4)] == [7, 7, 8, 10]
    assert [k.shape for k in taps([fast, slow], np.ones(3))] == [
        (2, 15, 15),
        (2, 15, 15),
        (2, 17, 17),
    ]


def test_temporal_kernels_have_unit_mass_and_a_time_constant() -> None:
    h = exponential(3.0, 40)
    assert h.sum() == pytest.approx(1)
    np.testing.assert_allclose(h[1:] / h[:-1], math.exp(-1 / 3))
    for constant, count in ((0.0, 4), (2.0, 0)):
        with pytest.raises(ValueError, match="no kernel"):
            exponential(constant, count)


def test_a_description_is_plain_data() -> None:
    seen = described([Field(2.0, 0.5, 1.22, 1, 0)], 2, [(1, 0)])
    assert seen == {
        "stride": 2,
        "offset": 0.0,
        "channels": [
            {
                "scale": 2.0,
                "angle": 0.5,
                "ratio": 1.22,
                "along": 1,
                "across": 0,
                "velocity": [1.0, 0.0],
            }
        ],
    }
    assert described([Field(1.0)])["channels"][0]["velocity"] == [0.0, 0.0]
