"""One integer a core: its threshold T, in whose units weights and biases are held.

Weights are round(T w r dt / theta) with 8 bits, biases and thresholds have 16. T is an
integer, so thresholds lose nothing; what is lost is what weights and biases lose to rounding,
or, where a T is tried that is too large for the largest weights, to clipping. With data the T
is taken with which the layer, fed as it will be on the chip, spikes most like the model;
without, the one with the least squared error of weights and biases.

A neuron whose leak was rewritten is no longer the model's anyway: there the data may move its
threshold too. Every other threshold is the model's; where spikes are counted, T is chosen by
weights alone, since the threshold says what a spike stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.grid import Grid, compensated, descended, factor
from nrf_deploy.compiler.quantize.groups import ruled
from nrf_deploy.compiler.quantize.rule_checks import unheard
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.scheme import ConnectionScheme, PopulationScheme, Scheme, whole
from nrf_deploy.diagnostics.findings import Finding, error, info
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.ir.layer_view import Layers, layers
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.ir.recording import Recording

from ..chip import LEAST, MOST, PREFIX, Chip
from . import sinabs_rule
from .branches import Branch, branches, key, rows
from .core_units import Unit
from .trial_runs import Fit

LOOKED_AT = 8
"""Choices of T that are tried on data."""
TRIED = 96
"""Choices of T whose error is looked at, from a third of the one that just fits."""

LACKING = {
    "decay": "a leak takes the same off each time here, and has no ratio to keep",
    "exponent": "weights count single units of a core's threshold",
    "per_channel": "a core has one threshold for all its features",
}
"""By the rules' keys: why these chips do not have it."""

Rows = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Core:
    """A population with what leads to it, in units of its threshold."""

    name: str
    unit: Unit
    parts: tuple[Branch, ...]
    floats: Rows  # key -> (features, weights of a feature)
    bits: int

    @staticmethod
    def of(network: Network, view: Layers, name: str, rules: Rules, most_bits: int) -> Core:
        unit, parts = Unit.of(network, view, name), branches(network, view, name)
        floats = {key(b.link, name): rows(b) * unit.drive[:, None] for b in parts}
        bits = min(rules.bits(ruled(b.link), most_bits) for b in parts)
        return Core(name, unit, parts, floats, bits)

    @property
    def grid(self) -> tuple[int, int]:
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    def integers(self, gain: int) -> Rows:
        low, high = self.grid
        return {
            n: np.clip(np.rint(w * gain), low, high).astype(np.int64)
            for n, w in self.floats.items()
        }

    def balanced(self, gain: int, seen: Mapping[str, Array]) -> Rows:
        """Round weights so that errors cancel, where the moments of their inputs are known."""
        balanced, grid = self.integers(gain), Grid(1, *self.grid)
        for name, m in seen.items():
            gains = np.full(len(balanced[name]), float(gain))
            rounded = compensated(self.floats[name], gains, grid, factor(m))
            balanced[name] = descended(self.floats[name], gains, grid, m, rounded)
        return balanced

    @property
    def fits(self) -> float:
        """The T with which the largest weight just fits."""
        low, high = self.grid
        largest = max(float(w.max(initial=0)) for w in self.floats.values())
        least = min(float(w.min(initial=0)) for w in self.floats.values())
        by_largest = high / largest if largest > 0 else np.inf
        return min(by_largest, low / least if least < 0 else np.inf)

    def error(self, gain: int) -> float:
        """Return the squared error of weights and biases over their squares."""
        rounded = self.integers(gain)
        off = sum(float(np.square(rounded[n] / gain - w).sum()) for n, w in self.floats.items())
        power = sum(float(np.square(w).sum()) for w in self.floats.values())
        bias = np.square(self.unit.biases(gain) / gain - self.unit.bias).sum()
        own = np.square(self.unit.bias).sum()
        return off / max(power, 1e-300) + float(bias) / max(float(own), 1e-300)


def quantise(
    network: Network,
    chip: Chip,
    calibration: Recording | None,
    rules: Rules,
    progress: Progress,
) -> tuple[Scheme, list[Finding]]:
    view = layers(network)
    if findings := list(unheard(rules, LACKING)):
        return Scheme(rules=rules), findings
    names = [stop for stop in view.stops if type(network[stop]) is Population]
    by_spikes = any(rules.by_spikes(ruled(k)) for k in view.links)
    data = Fit(network, view, calibration) if calibration is not None and by_spikes else None
    connections: dict[str, ConnectionScheme] = {}
    populations: dict[str, PopulationScheme] = {}
    for done, name in enumerate(names):
        progress(done, len(names))
        if sinabs_rule.follows(parts := branches(network, view, name), rules):
            integers, reported = sinabs_rule.core(network, view, name, parts, rules)
            findings += reported
            if integers is not None:
                connections |= integers.connections
                populations[name] = neurons = integers.population
                if data is not None:
                    findings.append(data.settle(parts, name, neurons.params, integers.weights))
            continue
        core = Core.of(network, view, name, rules, chip.weight_bits)
        if faults := list(gain_faults(core, rules)):
            findings += faults
            continue
        counted = core.unit.worth is not None
        gain, rounded = chosen(core, rules, None if counted else data)
        findings += losses(core, gain, rounded)
        for n, weights in rounded.items():
            connections[n] = ConnectionScheme(np.array(float(gain)), weights, core.bits)
        params = core.unit.params(gain)
        if data is not None:
            if core.unit.leaks and not counted:
                params, notes = data.tuned(core.parts, name, params, rounded)
                findings += [*notes, *data.sparse(name)]
            findings.append(data.settle(core.parts, name, params, rounded))
        populations[name] = PopulationScheme(
            {k: whole(v) for k, v in params.items()}, core.unit.scales(gain)
        )
    return Scheme(connections, populations, rules, _largest(calibration)), findings


def _largest(calibration: Recording | None) -> int:
    return 0 if calibration is None else int(np.abs(calibration.value).max(initial=1))


def named(core: Core, rules: Rules) -> float | None:
    """Return the T of the scheme; None if it has none."""
    every = (rules.gain(ruled(b.link)) for b in core.parts)
    return min((g for g in every if g is not None), default=None)


def gain_faults(core: Core, rules: Rules) -> Iterator[Finding]:
    gain = named(core, rules)
    if gain is not None and (gain != int(gain) or not 1 <= gain <= core.unit.most):
        yield error(
            "SPECK-GAIN",
            f"the scheme asks for a gain of {gain:g}",
            layer=core.name,
            why="the gain is the threshold that a core holds: one whole number from 1 to "
            f"{core.unit.most} here, as far as 16 bits hold thresholds and biases",
            fix="ask for such a number, or leave the gain out of the scheme",
        )


def chosen(core: Core, rules: Rules, data: Fit | None) -> tuple[int, Rows]:
    """Return T, and the weights."""
    limit, fits = core.unit.most, core.fits
    if (gain := named(core, rules)) is not None:
        return int(gain), core.integers(int(gain))
    just = max(1, int(min(fits, limit)))
    if not all(rules.fits(ruled(b.link)) for b in core.parts):
        return just, core.integers(just)
    trials = sorted(candidates(just, limit), key=lambda g: (core.error(g), g))
    if data is None or not all(rules.by_spikes(ruled(b.link)) for b in core.parts):
        return trials[0], core.integers(trials[0])
    seen = data.moments(core.parts, core.name, core.unit.subtracts)
    tried = [
        (g, rounded)
        for g in trials[:LOOKED_AT]
        for rounded in (core.integers(g), core.balanced(g, seen))
    ]
    far = [
        data.distance(core.parts, core.name, core.unit.params(g), rounded) for g, rounded in tried
    ]
    return tried[int(np.argmin(far))]


def candidates(just: int, limit: int) -> list[int]:
    """List integers around the T that just fits: all, or TRIED in equal ratios."""
    low, high = max(1, just // 3), max(1, min(limit, just + just // 4))
    if high - low < TRIED:
        return list(range(low, high + 1))
    spread = np.geomspace(low, high, TRIED)
    return sorted({int(g) for g in np.rint(spread)} | {just})


def losses(core: Core, gain: int, integers: Mapping[str, Array]) -> Iterator[Finding]:
    """Report what rounding took from weights and biases, and refuse what is beyond use."""
    low, high = core.grid
    for name, rounded in integers.items():
        floats = core.floats[name]
        lost = list(
            checks.weights_lost(
                PREFIX,
                name,
                floats * gain,
                rounded,
                why=f"it counts in units of the threshold, which has {gain} of them here and 16 "
                "bits",
                fix="make the weights larger against the threshold, or those that meet there more "
                "alike in size",
            )
        )
        yield from lost
        if lost:
            continue
        exact = floats * gain
        clipped = int(((exact > high + 0.5) | (exact < low - 0.5)).sum())
        off = checks.relative_error(floats, rounded / gain)
        if off > 0.5:
            yield error(
                "SPECK-SATURATES",
                f"{clipped} of {rounded.size} weights end at {low} or {high}: off by {off:.0%}",
                layer=name,
                why=f"the largest is {np.abs(floats).max():.4g} thresholds, and a threshold "
                f"counts {gain}; biases allow at most {core.unit.most}",
                fix="train with weights below some 30 thresholds, or with smaller biases",
            )
            continue
        threshold = f"; the threshold is {gain}"
        yield checks.weights(PREFIX, name, rounded, off, clipped, threshold)
    yield from _biases(core, gain)
    yield from _floor(core, gain)


def _floor(core: Core, gain: int) -> Iterator[Finding]:
    """Report a floor that the lower bound of a core does not hold.

    The floors of rewrites are left out: the rewrite names what it changes.
    """
    floor, unit = core.unit.floor, core.unit
    if floor is None or unit.worth is not None or unit.leaks:
        return
    stored = unit.low(gain) - unit.origin
    if abs(stored - floor * gain) > 0.5:
        yield info(
            "SPECK-FLOOR-MOVED",
            f"the floor is {stored / gain:.4g} thresholds on the chip and {floor:.4g} in the model",
            layer=core.name,
            why="a lower bound of 0 does not work on the chip (data sheet), and 16 bits hold "
            f"at least {LEAST}; the threshold counts {gain}",
        )


def _biases(core: Core, gain: int) -> Iterator[Finding]:
    exact, integers = core.unit.bias * gain, core.unit.biases(gain)
    fix = "smaller weights in this layer leave its threshold more units"
    yield from checks.biases_lost(PREFIX, core.name, exact, integers, fix, per="tick")
    if np.any(np.abs(exact - integers) > 0.5):
        yield error(
            "SPECK-BIAS-RANGE",
            f"a bias is {np.abs(core.unit.bias).max():.4g} thresholds a step; 16 bits hold "
            f"{MOST / gain:.4g}",
            layer=core.name,
            fix="use smaller biases",
        )
