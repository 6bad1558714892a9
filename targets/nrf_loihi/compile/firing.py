"""Neurons that fire at their threshold, v >= T, on a chip that asks for v > T.

A threshold is a whole number of weight units, v counts 64ths of one. Where v moves in whole
units only (no leak, no memory of the current, biases and start in whole units)

    v >= T    is    v > ceil(T) - 1        in units, and exactly so.

Elsewhere v has steps between two thresholds, and ceil(T) - 1 would fire up to a unit early.
There T stays as it is, and only a v that meets it to the 64th fires a step late.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, info, warning
from nrf_deploy.ir.network import Array, Node, Population
from nrf_deploy.ir.program import Params
from nrf_deploy.ir.program import Population as Cells
from nrf_deploy.neurons import Spikes

from ..chip import STATE_SHIFT
from .subtracting import mirrors

UNIT = 1 << STATE_SHIFT
SLACK = 1e-9  # of a threshold: what float64 loses in its scale


def fires_at(node: Node) -> bool:
    """Return True if the node is a population that spikes at its threshold."""
    return type(node) is Population and type(node.rule) is Spikes and "fires=at" in node.features


def nearest(exact: Array) -> Array:
    """Return the integer number of weight units nearest to a threshold."""
    return np.asarray(np.rint(exact).astype(np.int64))


def rounded(node: Node, exact: Array, params: Params) -> Array:
    """Return the threshold that the chip holds for `exact` weight units."""
    if not fires_at(node):
        return nearest(exact)
    lowest_over = np.ceil(exact * (1 - SLACK)).astype(np.int64)
    return np.where(_whole(params), lowest_over - 1, nearest(exact))


def least_to_fire(node: Node, params: Params) -> Array:
    """Return the threshold as the model counts it: 1 above the chip's where v >= T is v > T - 1."""
    vth = np.asarray(params["vth"])
    if mirrors(node):
        return vth + fires_at(node)
    return np.asarray(vth + _whole(params)) if fires_at(node) else vth


def _whole(params: Params) -> Array:
    """Return True for neurons whose v moves in whole units."""
    p = {key: np.asarray(value) for key, value in params.items()}
    steps = [p["bias_mant"] << p["bias_exp"], p["v0"]]
    whole = (p["dv"] == 0) & (p["du"] == 4095)
    for step in steps:
        whole = whole & (step % UNIT == 0)
    return np.asarray(whole)


def findings(node: Node, cells: Cells) -> Iterator[Finding]:
    """Report neurons whose v can meet its threshold without firing, as the model's would."""
    if not fires_at(node) or mirrors(node) or (whole := _whole(cells.params)).all():
        return
    leaks = np.all((np.asarray(cells.params["dv"]) > 0) | whole)
    yield (info if leaks else warning)(
        "LOIHI-FIRES-AT",
        f"{int((~np.broadcast_to(whole, cells.shape)).sum())} neurons fire above their "
        "threshold, in the model at it",
        layer=cells.name,
        why="the chip asks for v > threshold, and v counts 64ths of a threshold's unit here: a "
        "lower one would fire too early more often than this one too late",
        fix="" if leaks else "use no bias here, or one that is a whole number of weight units",
    )
