"""The public yardstick: SANA-FE's DVS-gesture network, whose number of firings is published."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nrf_deploy.emulator.engine import Engine
from nrf_loihi.arithmetic import LoihiArithmetic
from nrf_loihi.kernels import LoihiKernels

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def yardstick() -> ModuleType:
    spec = importlib.util.spec_from_file_location("yardstick", BENCHMARKS / "yardstick.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["yardstick"] = module
    spec.loader.exec_module(module)
    return module


def test_365277_firings_in_1000_steps(yardstick: ModuleType) -> None:
    path = yardstick.find()
    if path is None:
        pytest.skip("the network comes with SANA-FE, which is absent: pip install sanafe==2.2.9")
    engine = Engine(yardstick.program(path), LoihiArithmetic(), LoihiKernels())
    outputs = engine.run(yardstick.silence()).outputs
    assert tuple(len(r.index) for r in outputs.values()) == yardstick.FIRINGS_OF_LAYERS
    assert sum(yardstick.FIRINGS_OF_LAYERS) == yardstick.FIRINGS == 365_277
