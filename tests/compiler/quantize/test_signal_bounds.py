"""Bits of a sum, shared between payload and weight."""

from __future__ import annotations

import numpy as np
import pytest

from nrf_deploy.compiler.quantize.signal_bounds import Reach, payload_levels, usual
from nrf_deploy.ir.layer_view import Link
from nrf_deploy.ir.network import Linear

GAIN, LARGEST = 1000.0, 127


def link(weight: np.ndarray) -> Link:
    return Link("w", Linear(name="w", weight=weight), "a", ("b",), back=0)


def reach(typical: float | None, seen: float = 2.0) -> Reach:
    return Reach(np.full(3, 8.0), seen, typical)


def test_a_zero_is_exact_in_every_unit_and_does_not_count() -> None:
    assert usual(np.array([0.0, -2.0, 4.0, 0.0])) == 3.0
    assert usual(np.zeros(3)) == 0.0


@pytest.mark.parametrize("typical", [0.05, 0.2, 1.0])
def test_a_typical_payload_and_a_typical_weight_are_alike_in_size(typical: float) -> None:
    weight = np.array([[0.1, -0.1, 0.2]])
    value = reach(typical)
    unit = payload_levels(link(weight), GAIN, value, LARGEST) / value.allowed.max()
    assert unit * typical == pytest.approx(GAIN / unit * usual(weight))


def test_no_weight_is_beyond_its_range() -> None:
    value = reach(1.0)
    unit = payload_levels(link(np.array([[50.0, 0.1, 0.1]])), GAIN, value, LARGEST) / 8
    assert GAIN / unit * 50 <= LARGEST + 1e-9


def test_without_data_the_largest_ones_have_to_do() -> None:
    value = Reach(np.full(3, 2.0), None)
    unit = payload_levels(link(np.array([[0.5, 0.1, 0.1]])), GAIN, value, LARGEST) / 2
    assert unit * 2 == pytest.approx(GAIN / unit * 0.5)


def test_a_layer_that_never_moved_has_a_level() -> None:
    assert payload_levels(link(np.zeros((1, 3))), GAIN, Reach(np.zeros(3), 0.0, 0.0), LARGEST) == 1
