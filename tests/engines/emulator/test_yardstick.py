"""The public yardstick: SANA-FE's DVS-gesture network, whose number of firings is published."""

from __future__ import annotations

import pytest

from nrf_deploy.diagnostics.findings import MissingError
from nrf_peers import yardstick


def test_365277_firings_in_1000_steps() -> None:
    try:
        problem = yardstick.problem()
    except MissingError as missing:
        pytest.skip(str(missing))
    outputs = problem.engine.run(problem.recording).outputs
    assert tuple(len(r.index) for r in outputs.values()) == yardstick.FIRINGS_OF_LAYERS
    assert sum(yardstick.FIRINGS_OF_LAYERS) == yardstick.FIRINGS == 365_277
