"""Gains, and the integers that follow from them.

A gain is tried at many sizes, one a channel where channels do not meet. The one with the
smallest relative squared error in weights and thresholds is taken; with data, the best few of
these are run on what arrives at the layer, and one that spikes clearly more like the model
replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.grid import Grid, loss
from nrf_deploy.compiler.quantize.groups import (
    Group,
    by_spikes,
    fitted,
    groups,
    rows,
    ruled,
    shaped,
)
from nrf_deploy.compiler.quantize.rule_checks import unheard
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.scheme import (
    ConnectionScheme,
    PopulationScheme,
    Scheme,
    single,
    whole,
)
from nrf_deploy.compiler.quantize.signals import Signals, count_distance, distance
from nrf_deploy.diagnostics.findings import Finding, warning
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.ir.layer_view import Link, layers, with_max_pools
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.ir.program import Population as Held
from nrf_deploy.ir.recording import Recording

from ..arithmetic.models import MODELS
from ..arithmetic.rules import FixedArithmetic
from ..arithmetic.steps import ROUNDING
from ..settings import PREFIX, Settings
from .ranges import Ranges, analogue_inside, per_payload
from .rounding_loss import losses
from .units import Unit, anchored_decays, in_ratio, integers
from .unused_bits import Unused, unused, unused_findings

GAINS = 2.0 ** np.linspace(0.4, -1, 22)  # of the largest gain without clipping
TRIED = 3  # gains that are run on data

Weights = dict[str, Array]


def quantise(
    network: Network,
    s: Settings,
    calibration: Recording | None,
    rules: Rules,
    progress: Progress,
    own_bits: bool = False,
) -> tuple[Scheme, list[Finding]]:
    """Return the scheme and its findings.

    `own_bits`: the user chose the bits, so weights that cannot use theirs are reported.
    """
    peak = 1 if calibration is None else int(np.abs(calibration.value).max(initial=1))
    every, ranges = _prepared(network, s, calibration, rules, peak)
    view, units = ranges.view, ranges.units_of
    if findings := [*unheard(rules, s.lacking), *ranges.unbounded()]:
        return Scheme(rules=rules), findings
    findings += [f for unit in units.values() for f in anchored_decays(unit, s, rules)]
    wanted = any(rules.by_spikes(ruled(k)) for k in view.links)
    signals = Signals(network, view, calibration) if calibration and wanted else None
    connections = {
        k.name: ConnectionScheme(np.array(1.0), _ones(k, network), s.weight_bits)
        for k in view.links
        if type(network[k.targets[0]]) is not Population
    }
    populations: dict[str, PopulationScheme] = {}
    losing: list[Unused] = []
    for done, group in enumerate(every):
        progress(done, len(every))
        task = _task(group, s, rules, network, units, ranges, signals)
        if isinstance(task, Finding):
            findings.append(task)
            continue
        gain = task.chosen(rules)
        weights = task.nearest(gain)
        stored = {}
        for link in group.links:
            size = int(np.prod(network[link.targets[0]].shape))
            stored[link.name] = shaped(link, weights[link.name], size)
            bits = task.bits[link.name]
            connections[link.name] = ConnectionScheme(single(gain), stored[link.name], bits)
        for p in group.populations:
            populations[p.name] = _population(units[p.name], gain, s, ranges)
            lost = list(losses(units[p.name], populations[p.name], s))
            findings += [*lost, *ranges.judged(p.name, stored, s)]
            if signals is not None and not any(f.severity == "error" for f in lost):
                signals.chip[p.name] = task.run(p.name, gain, weights)
                findings += _fitted(units[p.name], signals)
        findings += task.said(gain, weights)
        losing += [] if task.fixed or (lost_bits := unused(task)) is None else [lost_bits]
    for stop, passed in ranges.units.items():
        if stop not in units:
            populations[stop] = PopulationScheme({}, {"output": single(passed)})
    findings += unused_findings(losing, s) if own_bits else ()
    return Scheme(connections, populations, rules, 0 if calibration is None else peak), findings


def tasks(
    network: Network, s: Settings, calibration: Recording | None, rules: Rules
) -> Iterator[Task]:
    """Yield each group of layers with the gain that weights and thresholds allow; run no spikes."""
    peak = 1 if calibration is None else int(np.abs(calibration.value).max(initial=1))
    every, ranges = _prepared(network, s, calibration, rules, peak)
    for group in every if not any(ranges.unbounded()) else ():
        task = _task(group, s, rules, network, ranges.units_of, ranges, None)
        if not isinstance(task, Finding):
            gain = task.chosen(rules)
            for p in group.populations:
                _population(ranges.units_of[p.name], gain, s, ranges)  # units of its payloads
            yield task


def _prepared(
    network: Network, s: Settings, calibration: Recording | None, rules: Rules, peak: int
) -> tuple[list[Group], Ranges]:
    view = with_max_pools(network, layers(network))
    every = list(groups(network, view))
    units = {p.name: Unit.of(network, view, p.name) for g in every for p in g.populations}
    units |= in_ratio(units, s, rules)
    return every, Ranges.of(network, view, units, peak, calibration)


def _ones(link: Link, network: Network) -> Array:
    """Return weights of 1 for a connection that leads to a pool or a delay."""
    size = int(np.prod(network[link.targets[0]].shape))
    return shaped(link, rows(link, None).astype(np.int64), size)


def _population(unit: Unit, gain: Array, s: Settings, ranges: Ranges) -> PopulationScheme:
    params, scale = integers(unit, gain, s), unit.scale(gain, s)
    scales = {"v": single(scale)}
    if unit.current:
        scales["i"] = single(scale * unit.current_drive)
    for state, counts in MODELS[unit.model].counts.items():
        scales[state] = single(scale) if counts == "potential" else np.ones(())
    if not unit.spiking:
        inside = any(k.source == unit.node.name for k in ranges.view.links)
        shift, sent = ranges.sent(unit.node.name, scale, s) if inside else (0, scale)
        params |= {
            "shift": shift,
            "message_bits": s.message_bits if inside else s.state_bits,
            "message_rounding": ROUNDING[s.message_rounding],
        }
        scales["output"] = single(sent)
    return PopulationScheme({k: whole(v) for k, v in params.items()}, scales)


def _fitted(unit: Unit, signals: Signals) -> Iterator[Finding]:
    if not unit.spiking:
        return
    got, wanted = signals.chip[unit.node.name], signals.model[unit.node.name]
    measured = f"{int((got != wanted).sum()):,} mismatches"
    yield checks.fit(PREFIX, unit.node.name, measured, int(wanted.sum()))


# --- one group -----------------------------------------------------------------


@dataclass(eq=False)
class Task:
    group: Group
    s: Settings
    units: Mapping[str, Unit]
    ranges: Ranges
    signals: Signals | None
    channels: int | None
    floats: Weights
    bits: dict[str, int]
    fixed: bool  # the scheme sets the gain

    def grid(self, link: str) -> Grid:
        limit = 2 ** (self.bits[link] - 1) - 1
        return Grid(1, -limit, limit)

    def a_channel(self, x: Array) -> Array:
        """Return one number a channel, or one for all."""
        return x if self.channels else np.array([x.sum()])

    def least(self, x: Array) -> Array:
        x = x.reshape(len(x), -1).min(axis=1)
        return x if self.channels else np.array([x.min(initial=np.inf)])

    def a_row(self, gain: Array, link: str) -> Array:
        return np.broadcast_to(gain, len(self.floats[link]))

    def nearest(self, gain: Array) -> Weights:
        return {n: self.grid(n).round(w, self.a_row(gain, n)) for n, w in self.floats.items()}

    def error(self, gain: Array) -> Array:
        """Return relative squared errors of weights and thresholds, a channel (or in all)."""
        total = np.zeros(self.channels or 1)
        for name, rounded in self.nearest(gain).items():
            total += self.a_channel(loss(self.floats[name], rounded, self.a_row(gain, name)))
        for p in self.group.populations:
            unit = self.units[p.name]
            if unit.form.threshold is not None:
                exact = unit.scale(gain, self.s) * unit.form.threshold
                off = np.square((np.rint(exact) - exact) / np.maximum(np.abs(exact), 1e-12))
                total += self.a_channel(off.reshape(len(off), -1).mean(axis=1))
        return total

    def limits(self) -> tuple[Array, Array]:
        """Return the gain at which the largest weight just fits, and the largest for all else."""
        fits, cap = (np.full(self.channels or 1, np.inf) for _ in range(2))
        for name, w in self.floats.items():
            fits = np.minimum(fits, self.least(self.grid(name).largest_gain(w)))
        for p in self.group.populations:
            cap = np.minimum(cap, self.least(self.ranges.cap(p.name, self.s)))
        both = np.minimum(fits, cap)
        usual = np.median(both[np.isfinite(both)]) if np.isfinite(both).any() else 1.0
        return np.where(np.isfinite(fits), fits, usual), cap

    def chosen(self, rules: Rules) -> Array:
        fixed = [g for k in self.group.links if (g := rules.gain(ruled(k))) is not None]
        if fixed:
            return np.array([float(min(fixed))])
        fits, cap = self.limits()
        if not fitted(self.group, rules):
            return np.minimum(fits, cap)
        trials = [np.minimum(fits * factor, cap) for factor in GAINS]
        dyadic = 2.0 ** np.floor(np.log2(np.minimum(fits, cap)))  # loses nothing of k / 2**n
        trials += [dyadic, dyadic / 2]
        errors = np.array([self.error(gain) for gain in trials])
        order = errors.argsort(axis=0, kind="stable")
        ranked = np.take_along_axis(np.array(trials), order, axis=0)
        spiking = any(self.units[p.name].spiking for p in self.group.populations)
        if self.signals is None or not spiking or not by_spikes(self.group, rules):
            return np.asarray(ranked[0])
        return self._by_spikes(ranked[:TRIED])

    def _by_spikes(self, ranked: Array) -> Array:
        gain, best = ranked[0], self.distance(ranked[0])
        start = best
        for trial in ranked[1:]:
            far = self.distance(trial)
            better = (far < start - 3 * np.sqrt(start)) & (far < best)
            gain, best = np.where(better, trial, gain), np.where(better, far, best)
        return np.asarray(gain)

    def distance(self, gain: Array) -> Array:
        assert self.signals is not None
        total, weights = np.zeros(self.channels or 1), self.nearest(gain)
        for p in self.group.populations:
            if self.units[p.name].spiking:
                wanted, unit = self.signals.model[p.name], self.units[p.name]
                apart = count_distance if unit.many else distance
                total += self.a_channel(apart(self.run(p.name, gain, weights), wanted))
        return total

    def run(self, name: str, gain: Array, weights: Weights) -> Array:
        """Return (steps, *shape) of one population's outputs, by the normative arithmetic."""
        assert self.signals is not None
        unit = self.units[name]
        total = np.zeros((self.signals.steps, *unit.node.shape), np.int64)
        for link in self.group.links:
            if name in link.targets:
                own = shaped(link, weights[link.name], total[0].size)
                total += self.signals.sums(link, own, unit.node.shape)
        params = dict(_population(unit, gain, self.s, self.ranges).params)
        rules, stored = (
            FixedArithmetic(),
            Held(name=name, shape=unit.node.shape, model=unit.model, params=params),
        )
        state, out = rules.start(stored), np.empty(total.shape, np.int64)
        for t, sums in enumerate(total):
            out[t], state = rules.step(stored, state, sums, t)
        return out

    def said(self, gain: Array, weights: Weights) -> Iterator[Finding]:
        for link in self.group.links:
            floats, integers = self.floats[link.name], weights[link.name]
            lost_bits = None if self.fixed or integers.any() else unused(self)
            yield from checks.weights_lost(
                PREFIX,
                link.name,
                floats,
                integers,
                why=f"with a larger gain, {lost_bits.full(self.s)}"
                if lost_bits
                else "it counts in the units of the larger weights that meet it in "
                f"{', '.join(link.targets)}",
                fix=lost_bits.way_out(self.s)
                if lost_bits
                else "use more weight_bits, or make the weights that meet there alike in size",
            )
            off = checks.relative_error(floats, integers / self.a_row(gain, link.name)[:, None])
            yield checks.weights(PREFIX, link.name, integers, off)
        limit = self.limits()[1]
        if np.any(gain > limit * 1.1):
            yield warning(
                "EMULATOR-GAIN",
                f"the gain {gain.max():.6g} may take thresholds or states beyond their bits",
                layer=self.group.links[0].name,
                why=f"what they hold allows about {limit.min():.6g}",
                fix="leave the gain out of the scheme, or set a smaller one",
            )


def _task(
    group: Group,
    s: Settings,
    rules: Rules,
    network: Network,
    units: Mapping[str, Unit],
    ranges: Ranges,
    signals: Signals | None,
) -> Task | Finding:
    own = {rules.channels(ruled(k)) for k in group.links}
    fixed = any(rules.gain(ruled(k)) is not None for k in group.links)
    inside = any(analogue_inside(network, ranges.view, p.name) for p in group.populations)
    together = False in own or fixed or inside or not fitted(group, rules)
    channels = None if together else group.channels
    floats: Weights = {}
    for link in group.links:
        sent = per_payload(ranges, link, rows(link, channels))
        if sent is None:
            return checks.graded_units(PREFIX, link.source, link.name)
        floats[link.name] = sent
    bits = {k.name: rules.bits(ruled(k), s.weight_bits) for k in group.links}
    return Task(group, s, units, ranges, signals, channels, floats, bits, fixed)
