"""Delays in steps, and the refusal of those that are not integers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error

from .network import Array, Delay


def delay_steps(node: Delay, dt: float) -> Array:
    return np.rint(node.delay.astype(np.float64) / dt).astype(np.int64)


def delay_faults(node: Delay, dt: float) -> Iterator[Finding]:
    """Refuse delays that are not an integer of steps, to the precision of a float32."""
    exact = node.delay.astype(np.float64) / dt
    wrong = np.argwhere(
        (exact < 0) | (np.abs(exact - np.rint(exact)) > 1e-6 * np.maximum(exact, 1))
    )
    if len(wrong):
        where = tuple(int(i) for i in wrong[0])
        yield error(
            "REF-DELAY",
            f"a delay of {node.delay[where]} is {exact[where]} steps of {dt}",
            why="a delay can only be an integer number of steps",
            fix="choose a dt that divides every delay",
            layer=node.name,
            neuron=where,
        )
