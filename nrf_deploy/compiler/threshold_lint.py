"""Lint for thresholds that do not follow the time constants of their ladder.

An event lifts a potential by gain = r dt/tau. A channel that is S times slower needs S times
the spikes for the same potential where its threshold is the same, and a stretch in time then
removes spikes. With thresholds in proportion to the gain it removes none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, warning
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.ir.temporal_channels import Rung, gain, rungs
from nrf_deploy.neurons import Spikes

SAME = 1e-3  # relative: thresholds in units of the gain that count as equal


def thresholds(network: Network, lost: Mapping[str, float] | None = None) -> list[Finding]:
    """Return a warning for each rung; `lost` holds the measured losses by the faster channel."""
    return [
        _finding(network, rung, (lost or {}).get(rung.faster))
        for rung in rungs(network)
        if not _follows(network, rung)
    ]


def _follows(network: Network, rung: Rung) -> bool:
    if not _tests(network, rung.faster):
        return True
    ours, theirs = (_events(network, n) for n in (rung.faster, rung.slower))
    return bool(np.allclose(ours, theirs, rtol=SAME, atol=0, equal_nan=True))


def _tests(network: Network, name: str) -> bool:
    node = network[name]
    return type(node) is Population and type(node.rule) is Spikes


def _events(network: Network, name: str) -> Array:
    """Return how far the threshold is from rest in units of what one event adds."""
    node = network[name]
    assert type(node) is Population
    assert type(node.rule) is Spikes
    rest = node.membrane.start(node.rule)["v"]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.ravel(node.rule.threshold - rest) / gain(network, name))


def _finding(network: Network, rung: Rung, lost: float | None) -> Finding:
    ours, theirs = (float(np.mean(_events(network, n))) for n in (rung.faster, rung.slower))
    measured = "" if lost is None else f"; under this stretch it loses {lost:.0%} of its spikes"
    return warning(
        "COVARIANCE-THRESHOLD",
        f"it fires at {ours:.3g} events of weight 1, and its slower channel {rung.slower!r}, with "
        f"{rung.stretch} times the time constant, at {theirs:.3g}{measured}",
        why="the threshold does not follow dt/tau, so a slower scene gives other spikes in the "
        "slower channel",
        fix="make v_threshold proportional to r dt/tau in every channel (NIR: r = tau/dt, one "
        "v_threshold), and train so",
        layer=rung.faster,
    )
