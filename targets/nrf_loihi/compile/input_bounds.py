"""The largest input that a program takes.

A payload may have 24 bits, but so have the currents that it drives. The largest input that
cannot make one wrap, whatever else arrives, follows from the integers alone; recorded data
may go further, because they never drive a layer with everything at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.engines.emulator.golden import correlate
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Sparse, Synapses

from ..arithmetic.integers import VTH_MAX
from ..arithmetic.neurons import MODELS
from ..arithmetic.rules import held_weights, sign_mode
from ..chip import STATE_LIMIT, STATE_SHIFT, Chip


@dataclass(frozen=True, eq=False)
class Line:
    """A bound on a magnitude, fixed + slope * (the largest input), for each neuron."""

    fixed: Array
    slope: Array


def with_peak(program: Program, seen: int, chip: Chip) -> tuple[Program, list[Finding]]:
    """Return the program with its ports' range; `seen` is the largest calibration input."""
    if not chip.graded_bits:
        return _with_ports(program, 1, 0), []
    safe, layer = min(_limits(program), default=(chip.largest_payload, None))
    peak = min(chip.largest_payload, max(1, safe, seen))
    if peak == chip.largest_payload:
        return _with_ports(program, peak, -peak), []
    what = f"input values from {-peak} to {peak} are taken"
    if seen > max(1, safe):
        why = f"the calibration data reach {seen}; whatever the input, {max(safe, 0)} is safe"
    else:
        why = "from larger ones a state of 24 bits could overflow, if all came at once"
    fix = "for larger input compile with --calibrate and a recording that holds it"
    finding = info("LOIHI-INPUT-PEAK", what, layer=layer, why=why, fix=fix)
    return _with_ports(program, peak, -peak), [finding]


def _with_ports(program: Program, peak: int, lowest: int) -> Program:
    ports = tuple(replace(port, peak=peak, lowest=lowest) for port in program.ports)
    return replace(program, ports=ports)


def _limits(program: Program) -> Iterator[tuple[int, str]]:
    """Return the largest input with which this population cannot overflow, and its name."""
    ports = {p.name: p for p in program.ports}

    @cache
    def sent(name: str) -> Line:
        if name in ports:
            size = int(np.prod(ports[name].shape))
            return Line(np.zeros(size, np.int64), np.ones(size, np.int64))
        population = program.population(name)
        sends = MODELS[population.model].sends
        if sends == "what arrives":
            return arriving(name)
        limit = np.ones(population.shape, np.int64)
        if sends == "potential":
            limit = limit * (VTH_MAX << STATE_SHIFT) >> population.params["shift"]
        return Line(limit.ravel(), np.zeros(population.size, np.int64))

    @cache
    def arriving(name: str) -> Line:
        size = program.population(name).size
        fixed, slope = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for s in program.into(name):
            line = sent(s.source)
            graded = s.params.get("num_message_bits", 0) > 0
            fixed += _through(s, line.fixed if graded else line.fixed + line.slope != 0)
            slope += _through(s, line.slope) if graded else 0
        return Line(fixed, slope)

    for population in program.populations:
        if any(sent(s.source).slope.any() for s in program.into(population.name)):
            line = arriving(population.name)
            room = _room(population).ravel() - line.fixed
            driven = line.slope > 0
            if driven.any():
                yield int((room[driven] // line.slope[driven]).min()), population.name


def _room(population: Population) -> Array:
    """Return the largest sum that can arrive in every step without an overflow."""
    full, sends = np.ones(population.shape), MODELS[population.model].sends
    if sends == "what arrives":
        return full * STATE_LIMIT
    p = {key: np.asarray(value) for key, value in population.params.items()}
    kept = full * (p["du"] + 1) / 4096 / 2**STATE_SHIFT
    room = kept * STATE_LIMIT
    if sends == "potential":
        bias = np.abs(p["bias_mant"] << p["bias_exp"])
        highest = ((VTH_MAX << STATE_SHIFT) - 1) * p["dv"] / 4096
        room = np.minimum(room, kept * (highest - bias))
    return np.asarray(room)


def _through(s: Synapses, limit: Array) -> Array:
    """Return the largest sums that values of up to `most` can make."""
    limit = limit.astype(np.int64)
    if isinstance(s, Conv):
        return correlate(s, np.abs(s.weight), limit).ravel()
    stored = np.abs(held_weights(s.weight, sign_mode(s), int(s.params.get("num_weight_bits", 8))))
    if isinstance(s, Dense):
        total = stored @ limit
    else:
        assert isinstance(s, Sparse)
        total = np.zeros(int(np.prod(s.target_shape)), np.int64)
        np.add.at(total, s.row, stored * limit[s.column])
    return np.asarray(total << int(s.params.get("weight_exp", 0)))
