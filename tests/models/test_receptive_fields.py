"""The kernels are the derivatives they claim to be, and transform as the theory says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_models.covariant.description import Tracker
from nrf_models.covariant.receptive_fields import (
    PAPER,
    Field,
    bank,
    kernel,
    size_needed,
    time_constants,
    truncated,
)

Map = np.ndarray[Any, Any]

fields = st.builds(
    Field,
    scale=st.floats(1.5, 6),
    angle=st.floats(0, 2 * math.pi),
    ratio=st.floats(1, 1.4),
    along=st.integers(0, 2),
    across=st.integers(0, 2),
)
bounded = settings(max_examples=30, deadline=None)


def wide(field: Field, samples: int = 1) -> Map:
    """Build the field with twice the reach required, so that truncation has no effect."""
    return kernel(field, 2 * size_needed(field) + 1, samples)


def axes(k: Map) -> tuple[Map, Map]:
    at = np.arange(len(k)) - len(k) // 2
    return at[None, :], at[:, None]


@given(fields, st.sampled_from([1, 3]))
@bounded
def test_a_gaussian_sums_to_one_and_a_derivative_to_zero(field: Field, samples: int) -> None:
    order = field.along + field.across
    total = kernel(field, size_needed(field), samples).sum()
    assert total == pytest.approx(1.0 if order == 0 else 0.0, abs=1e-12)


@given(st.floats(1.5, 6), st.floats(0, math.pi), st.floats(1, 1.4), st.sampled_from([1, 4]))
@bounded
def test_a_gaussian_has_the_covariance_that_is_asked_for(
    scale: float, angle: float, ratio: float, samples: int
) -> None:
    """Integrated over pixels or not."""
    field = Field(scale, angle, ratio)
    k = wide(field, samples)
    x, y = axes(k)
    moments = [[(k * x * x).sum(), (k * x * y).sum()], [(k * x * y).sum(), (k * y * y).sum()]]
    np.testing.assert_allclose(moments, field.covariance, atol=1e-4 * scale)


@given(fields)
@bounded
def test_derivatives_are_even_or_odd(field: Field) -> None:
    k = kernel(field, size_needed(field))
    sign = (-1) ** (field.along + field.across)
    np.testing.assert_allclose(k[::-1, ::-1], sign * k, atol=1e-12)


@given(fields)
@bounded
def test_a_quarter_turn_of_the_field_is_a_quarter_turn_of_the_kernel(field: Field) -> None:
    """From x towards y, which on a grid whose y points down is np.rot90 backwards."""
    turned = Field(field.scale, field.angle + math.pi / 2, field.ratio, field.along, field.across)
    size = size_needed(field)
    np.testing.assert_allclose(kernel(turned, size), np.rot90(kernel(field, size), -1), atol=1e-12)


@given(st.floats(1, 6), st.floats(0, 2 * math.pi))
@bounded
def test_first_derivatives_steer(scale: float, angle: float) -> None:
    """The derivative in any direction is a mixture of those along x and y."""
    size = size_needed(Field(scale))
    along_x, along_y, mixed = (
        kernel(Field(scale, a, along=1), size) for a in (0.0, math.pi / 2, angle)
    )
    np.testing.assert_allclose(
        mixed, math.cos(angle) * along_x + math.sin(angle) * along_y, atol=1e-12
    )


@given(fields)
@bounded
def test_a_derivative_takes_polynomials_to_their_derivative(field: Field) -> None:
    """The convolution with u^m v^n, differentiated m times along u and n times along v,
    is m! n! sigma^(m+n) everywhere: signs, normalisation and directions in one number."""
    k = wide(field)
    x, y = axes(k)
    c, s = math.cos(field.angle), math.sin(field.angle)
    u, v = c * x + s * y, c * y - s * x
    m, n = field.along, field.across
    response = (k * (-u) ** m * (-v) ** n).sum()  # at 0: f(0 - x)
    wanted = math.factorial(m) * math.factorial(n) * field.sigma ** (m + n)
    assert response == pytest.approx(wanted, rel=1e-3)


def response(field: Field, blob: float, at: tuple[int, int]) -> float:
    """Return the field's response at (x, y) to exp(-r^2/(2 blob)) around the origin."""
    k = kernel(field, size_needed(field))
    x, y = axes(k)
    return float((k * np.exp(-((at[0] - x) ** 2 + (at[1] - y) ** 2) / (2 * blob))).sum())


@pytest.mark.parametrize("order", [(1, 0), (0, 1), (1, 1), (2, 0)])
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
def test_responses_are_covariant_under_scaling(order: tuple[int, int], angle: float) -> None:
    """An image k times larger, seen k times as far out at k^2 times the variance."""
    m, n = order
    k, places = 2, [(2, 1), (-1, 2), (0, 3), (1, 0)]
    small = [response(Field(2.0, angle, 1.22, m, n), 3.0, place) for place in places]
    large = [
        response(Field(2.0 * k**2, angle, 1.22, m, n), 3.0 * k**2, (k * x, k * y))
        for x, y in places
    ]
    peak = np.abs(small).max()
    assert peak > 0.02
    np.testing.assert_allclose(large, small, atol=0.005 * peak)


@pytest.mark.parametrize("order", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_the_published_convention_grows_with_scale(order: tuple[int, int]) -> None:
    """Twice the sigma: a gain of 1 with sigma^(m+n), of 2^(m+n) with the variance."""
    m, n = order
    small, large = Field(2.0, 0.3, 1.22, m, n), Field(8.0, 0.3, 1.22, m, n)
    size = size_needed(large)
    gains = {}
    for convention in ("sigma", "published"):
        near, far = bank([small, large], size, convention=convention)  # type: ignore[arg-type]
        x, y = axes(near)
        places = [
            np.exp(-((x - 2) ** 2 + (y - 1) ** 2) / 4),
            np.exp(-((x - 4) ** 2 + (y - 2) ** 2) / 16),
        ]
        gains[convention] = (far * places[1]).sum() / (near * places[0]).sum()
    assert gains["sigma"] == pytest.approx(1, abs=0.01)
    assert gains["published"] == pytest.approx(2.0 ** (m + n), rel=0.01)


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match="none of sigma, published"):
        kernel(Field(1.0), 9, convention="gamma")  # type: ignore[arg-type]


def test_the_papers_family_has_144_fields() -> None:
    """Four scales; one angle at ratio 1, four at the other two ratios; four orders."""
    assert len(PAPER) == len(set(PAPER)) == 4 * (1 + 4 + 4) * 4
    paper = Tracker(scales=(1.0, 2.0, 4.0, 8.0), ratios=(1.0, 1.22, 1.5))
    assert paper.fields() == PAPER


@given(fields, st.sampled_from([1, 3]), st.tuples(*[st.integers(-2, 2)] * 2))
@bounded
def test_a_field_beside_the_middle_is_the_field_moved(
    field: Field, samples: int, place: tuple[int, int]
) -> None:
    """To the last bit where the shift is whole, and the frame holds it."""
    x, y = place
    size = 2 * size_needed(field) + 9
    moved = kernel(field, size, samples, middle=(x, y))
    back = np.roll(moved, (-y, -x), (0, 1))
    np.testing.assert_allclose(back, kernel(field, size, samples), atol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "along", "across", "short"),
    [
        (1.0, 1, 0, 0.18),
        (1.22, 1, 0, 0.33),
        (1.5, 1, 0, 0.52),
        (1.0, 1, 1, 0.30),
        (1.5, 1, 1, 0.53),
    ],
)
def test_nine_pixels_are_too_few_at_sigma_2(
    ratio: float, along: int, across: int, short: float
) -> None:
    """The paper's first layer: by this part its answer to a ramp is too weak."""
    field = Field(4.0, 0.0, ratio, along, across)

    def answer(size: int) -> float:
        k = kernel(field, size)
        x, y = axes(k)
        return float((k * (-x) ** along * (-y) ** across).sum())

    right = field.sigma ** (along + across)
    assert 1 - answer(9) / right == pytest.approx(short, abs=0.01)
    assert answer(size_needed(field)) == pytest.approx(right, rel=0.01)
    (told,) = truncated([Field(0.5), field], 9)
    assert "cuts off 1 of 2 fields" in told.what
    assert f"needs {size_needed(field)}" in told.what


def test_a_kernel_that_is_too_small_breaks_covariance_and_is_told() -> None:
    field = Field(4.0, along=1)
    wanted = wide(field)
    x, _ = axes(wanted)
    edge = (x < 0).astype(float)
    full = (wanted * edge).sum()
    cut = kernel(field, 7)
    short = (cut * (axes(cut)[0] < 0)).sum()
    assert abs(short / full - 1) > 0.1
    assert [f.code for f in truncated([field, Field(0.5)], 7)] == ["COVARIANT-TRUNCATED"]
    assert truncated([field], size_needed(field)) == []


@given(fields)
@bounded
def test_the_size_that_is_needed_holds_the_long_axis(field: Field) -> None:
    size = size_needed(field)
    assert size % 2 == 1
    assert size // 2 >= 3.5 * field.sigma * field.ratio


def test_small_fields_stand_in_the_middle_of_a_bank() -> None:
    narrow, broad = Field(1.0, along=1), Field(4.0, along=1)
    both = bank([narrow, broad], size_needed(broad))
    assert both.shape == (2, 15, 15)
    np.testing.assert_allclose(both[0, 3:-3, 3:-3], kernel(narrow, 9), atol=1e-4)


def test_impossible_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        kernel(Field(1.0), 8)
    with pytest.raises(ValueError, match="narrower than a pixel"):
        kernel(Field(0.1, ratio=2.0), 9, samples=3)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 10), st.integers(1, 8))
@bounded
def test_time_constants_form_a_ladder(slowest: float, ratio: float, count: int) -> None:
    ladder = time_constants(slowest, ratio, count)
    assert len(ladder) == count
    assert ladder[-1] == slowest
    np.testing.assert_allclose(np.divide(ladder[1:], ladder[:-1]), ratio)


def test_a_ladder_needs_rungs() -> None:
    with pytest.raises(ValueError, match="no ladder"):
        time_constants(1.0, 1.0, 3)
