"""A calibrated bundle is the same bytes on every machine: BLAS threads and kernels change none.

OpenBLAS sums in another order with another number of threads, and on another CPU. The variables
that choose both stand in for other machines.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMPILE = """if True:
    import hashlib, sys
    import numpy as np
    import nrf_deploy as nd
    from nrf_deploy.ir.network import LIF, Conv, Flatten, IF, Input, Linear, Network, Output

    rng, chip = np.random.default_rng(3), sys.argv[1]

    def neurons(name, shape):
        full = lambda x: np.full(shape, x, np.float32)
        same = {"name": name, "r": full(1), "v_threshold": full(1), "v_reset": full(0)}
        if chip.startswith("speck"):
            return IF(**same)
        return LIF(**(same | {"r": full(4)}), tau=full(5.0), v_leak=full(0))

    kernel = rng.normal(0, 0.4, (6, 2, 5, 5)).astype(np.float32)
    conv = Conv(name="c", input_size=(12, 12), weight=kernel, bias=None, stride=(4, 4),
                padding=((2, 2), (2, 2)), dilation=(1, 1), groups=1)
    weight = rng.normal(0, 0.2, (7, 6 * 3 * 3)).astype(np.float32)
    nodes = (
        Input(name="x", port_shape=(2, 12, 12)), conv, neurons("a", (6, 3, 3)),
        Flatten(name="f", flat_input=(6, 3, 3), start=0, end=-1),
        Linear(name="w", weight=weight), neurons("b", (7,)), Output(name="y", port_shape=(7,)),
    )
    names = [n.name for n in nodes]
    model = Network(nodes, tuple(zip(names, names[1:])), 1.0)
    data = nd.Recording.from_dense((rng.random((40, 2, 12, 12)) < 0.1).astype(np.int64), 1.0)
    nd.save(nd.compile(model, chip, data), "made.nrfb")
    with open("made.nrfb", "rb") as stream:
        print(hashlib.sha256(stream.read()).hexdigest())
"""

MACHINES = {
    "one thread": {"OPENBLAS_NUM_THREADS": "1"},
    "two threads": {"OPENBLAS_NUM_THREADS": "2"},
    "a CPU of 2004": {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Prescott"},
    "a CPU of 2013": {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"},
}


@pytest.mark.parametrize("chip", ["loihi2", "emulator", "speck2b"])
def test_a_calibrated_bundle_is_the_same_bytes_on_every_machine(chip: str, tmp_path) -> None:
    hashes = {
        name: subprocess.run(
            [sys.executable, "-c", COMPILE, chip],
            cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=True,
        ).stdout
        for name, own in MACHINES.items()
    }  # fmt: skip
    assert len(set(hashes.values())) == 1, hashes
