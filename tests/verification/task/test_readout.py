"""From maps to coordinates, on the host."""

from __future__ import annotations

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.task.readout import coordinates, track


def peaked(*places: tuple[int, int], high: float = 50.0) -> np.ndarray:
    maps = np.zeros((len(places), 1, 8, 8))
    for t, (x, y) in enumerate(places):
        maps[t, 0, y, x] = high
    return maps


def test_a_peak_is_found_where_it_is_on_the_sensor() -> None:
    found = coordinates(peaked((2, 5), (7, 0)), {"kind": "dsnt", "stride": 4, "offset": 1.5})
    np.testing.assert_allclose(found[:, 0], [[9.5, 21.5], [29.5, 1.5]])


def test_sharpness_decides_how_far_the_rest_counts() -> None:
    maps = peaked((7, 3), high=1.0)
    soft, hard = (coordinates(maps, {"kind": "dsnt", "sharpness": s})[0, 0] for s in (1, 100))
    assert soft[0] == pytest.approx(3.5, abs=0.2)
    assert hard[0] == pytest.approx(7)


def test_a_leak_holds_coordinates_back() -> None:
    maps = peaked((0, 0), (4, 0), (4, 0))
    found = coordinates(maps, {"kind": "dsnt", "leak": 0.75})[:, 0, 0]
    np.testing.assert_allclose(found, [0, 1, 1.75], atol=1e-9)


def test_integers_of_a_chip_are_read_in_their_own_units() -> None:
    maps = peaked((2, 5))
    recorded = Recording.from_dense((maps * 64).astype(np.int64))
    wanted = coordinates(maps, {"kind": "dsnt"})
    np.testing.assert_allclose(track(recorded, {"kind": "dsnt"}, 64), wanted)


@pytest.mark.parametrize(
    "readout",
    [{}, {"kind": "map"}, {"kind": "dsnt", "stride": "4"}, {"kind": "dsnt", "leak": np.nan}],
)
def test_a_readout_that_is_not_one_is_refused(readout: dict[str, object]) -> None:
    with pytest.raises(InputError):
        coordinates(peaked((0, 0)), readout)
