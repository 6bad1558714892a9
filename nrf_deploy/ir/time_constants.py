"""Checks of time constants against the time step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.neurons import MEMBRANES

from .network import Array, Network, Population
from .nodes import first

TIMES = tuple(
    sorted(
        {
            f.name
            for membrane in MEMBRANES
            for f in dataclasses.fields(membrane)
            if f.metadata.get("unit") == "time"
        }
    )
)
"""The parameters of membranes that are times."""


def faults(layer: str, key: str, tau: Array, dt: float | None) -> Iterator[Finding]:
    """Yield the faults of the time constants of a layer; `dt` is None if it is not known."""
    if (tau <= 0).any():
        where = first(tau <= 0)
        yield error(
            "NIR-TAU",
            f"{key} is {tau[where]}",
            why="a time constant is a positive time",
            layer=layer,
            neuron=where,
        )
    elif dt is not None and (short := tau < tau.dtype.type(dt)).any():
        where = first(short)
        yield error(
            "NIR-TAU-DT",
            f"{key} is {tau[where]:g}, dt is {dt:g} ({short.sum()} of {short.size} neurons)",
            why="a neuron that decays within one step has no meaning in steps of dt",
            fix="give a smaller --dt (is it in the same unit?) or train with a longer constant",
            layer=layer,
            neuron=where,
        )


def step_faults(dt: float, source: str, entry: object = None) -> Iterator[Finding]:
    """Refuse a time step that is not positive; `entry` is its text in a file, if not a number."""
    if not (math.isfinite(dt) and dt > 0):
        text = f"{dt:g}" if isinstance(entry, float | None) else f"{entry!r:.40}"
        what = f"dt is {text} according to {source}"
        yield error("NIR-DT-INVALID", what, why="a step takes finite, positive time")


def timeless(network: Network) -> list[Finding]:
    """Return the faults of the time step and of all time constants of a network."""
    if findings := list(step_faults(network.dt, "the network")):
        return findings
    return [
        finding
        for node in network.of(Population)
        for part in node.every_part()
        for key, unit, tau in part.numbers()
        if unit == "time"
        for finding in faults(node.name, key, tau, network.dt)
    ]
