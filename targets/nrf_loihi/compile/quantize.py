"""Gains, integer weights, decays and thresholds, chosen together.

A group's gain g decides its weights (g * w on the grid); S = g / drive, thresholds and
biases follow. What is made small is what the rules name: with data, the places where the
spikes of a layer differ from the model's (the error in weights breaks ties); without,
the relative squared errors of weights and thresholds. Neurons of different channels do not
touch each other, so one trial of a gain is a trial for every channel at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.compiler.quantize.groups import (
    Group,
    by_spikes,
    fitted,
    groups,
    rows,
    ruled,
    shaped,
)
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.scheme import (
    ConnectionScheme,
    PopulationScheme,
    Scheme,
    single,
    whole,
)
from nrf_deploy.compiler.quantize.signals import Signals, distance
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import Array, AvgPool, Network, SumPool, exact
from nrf_deploy.ir.recording import Recording

from ..chip import STATE_SHIFT, Chip
from .analogue import Reaches
from .constant_input import constant_input
from .exponents import exponents, in_steps
from .neuron import anchored_faults, decays
from .quantization_report import group_findings
from .ranges import Observed
from .subtracting import mirrors
from .task import Task, Weights, clearly_less, grid_of, largest, mismatches, spikes

LOOKED_AT = 8
GAINS = 2.0 ** np.linspace(0.4, -1, 22)  # of the largest gain without clipping
THRESHOLDS = 1 + np.array([-0.06, -0.04, -0.025, -0.015, -0.007, 0.007, 0.015, 0.025, 0.04, 0.06])


def quantise(
    network: Network,
    chip: Chip,
    calibration: Recording | None,
    rules: Rules,
    progress: Progress,
) -> tuple[Scheme, list[Finding]]:
    peak = 1 if calibration is None else int(np.abs(calibration.value).max(initial=1))
    view = layers(network, through_delays=True)
    wanted = any(rules.by_spikes(ruled(k)) for k in view.links)
    data = Signals(network, view, calibration) if calibration and wanted else None
    connections: dict[str, ConnectionScheme] = {}
    populations: dict[str, PopulationScheme] = {}
    findings: list[Finding] = []
    every = list(groups(network, view))
    forms = {p.name: neuron(p, network.dt) for g in every for p in g.populations}
    mirrored = [p.name for g in every for p in g.populations if mirrors(p)]
    rates = decays(forms, rules, mirrored)
    reaches = Reaches.of(network, view, forms, rates, peak, calibration)
    if findings := [f for name in forms for f in reaches.unbounded(name)]:
        return Scheme(rules=rules), findings
    findings += anchored_faults(forms, rates, network.dt, mirrored)
    for link in view.links:
        if exact(network[link.targets[0]], SumPool, AvgPool):  # kept as a layer, it counts spikes
            ones = shaped(link, rows(link, None).astype(np.int64), 0)
            connections[link.name] = ConnectionScheme(np.array(1.0), ones, chip.weight_bits)
    for done, group in enumerate(every):
        progress(done, len(every))
        names = [p.name for p in group.populations]
        channels = _channels(group, chip, rules)
        floats = {k.name: reaches.per_payload(k, rows(k, channels)) for k in group.links}
        bits = {k.name: rules.bits(ruled(k), chip.weight_bits) for k in group.links}
        task = Task(
            group=group,
            chip=chip,
            calibration=data,
            forms={n: forms[n] for n in names},
            constants={p.name: constant_input(view, p, forms[p.name]) for p in group.populations},
            channels=channels,
            floats=floats,
            grids={k.name: grid_of(floats[k.name], bits[k.name]) for k in group.links},
            params={n: rates[n] for n in names},
            reaches=reaches,
        )
        steps = exponents(task, _fixed(group, rules), _gain(group, rules))
        task.grids |= {n: in_steps(task.grids[n], e) for n, e in steps.items()}
        gain, weights = _weights(task, rules)
        for link in group.links:
            size, exponent = int(np.prod(network[link.targets[0]].shape)), steps[link.name]
            connections[link.name] = ConnectionScheme(
                single(gain),
                shaped(link, weights[link.name] >> exponent, size),
                bits[link.name],
                exponent,
            )
        observed = {}
        for name in names:
            params, seen = _population(task, name, gain, weights, rules)
            observed[name] = seen
            scale = task.neurons(gain, name) / forms[name].drive * 2**STATE_SHIFT
            kept = {key: whole(params[key]) for key in ("du", "dv", "vth") if key in params}
            scales = {"v": single(scale)}
            if forms[name].threshold is None:
                payload = reaches.payload(name, scale)
                kept["shift"], scales["output"] = whole(payload["shift"]), single(payload["unit"])
                stored = {k.name: connections[k.name].held for k in group.links}
                findings += reaches.judged(name, stored, scale, kept)
                if data is not None:
                    data.chip[name] = reaches.sent(name, data.model[name])
            populations[name] = PopulationScheme(kept, scales)
        data_help = calibration is None and by_spikes(group, rules)
        findings += group_findings(
            task, gain, weights, bits, populations, observed, peak, network, data_help
        )
    largest_input = 0 if calibration is None else peak
    return Scheme(connections, populations, rules, largest_input), findings


def _fixed(group: Group, rules: Rules) -> dict[str, int]:
    named = {k.name: rules.exponent(ruled(k)) for k in group.links}
    return {name: e for name, e in named.items() if e is not None}


def _gain(group: Group, rules: Rules) -> float | None:
    named = (rules.gain(ruled(k)) for k in group.links)
    return min((g for g in named if g is not None), default=None)


def _channels(group: Group, chip: Chip, rules: Rules) -> int | None:
    """Return the number of channels, each with its gain; None where one gain is for all."""
    own = {rules.channels(ruled(k)) for k in group.links}
    if False in own or _gain(group, rules) is not None or not fitted(group, rules):
        return None
    return group.channels if chip.thresholds_a_neuron else None


def _weights(task: Task, rules: Rules) -> tuple[Array, Weights]:
    """Return the gain, and the integer weights."""
    fits, cap = largest(task)
    named = _gain(task.group, rules)
    if named is not None:
        gain = np.array([named])
        return gain, task.nearest(gain)
    if not fitted(task.group, rules):
        gain = np.minimum(fits, cap)
        return gain, task.nearest(gain)
    trials = [np.minimum(fits * factor, cap) for factor in GAINS]
    dyadic = 2.0 ** np.floor(np.log2(np.minimum(fits, cap)))  # loses nothing of w = k / 2**n
    trials += [dyadic, dyadic / 2]
    errors = np.array([task.error(gain, task.nearest(gain)) for gain in trials])
    gain = np.choose(errors.argmin(axis=0), trials)
    weights = task.nearest(gain)
    if task.calibration is None or not by_spikes(task.group, rules):
        return gain, weights
    return _by_spikes(task, trials, cap, gain, weights)


def _by_spikes(
    task: Task, trials: list[Array], cap: Array, gain: Array, weights: Weights
) -> tuple[Array, Weights]:
    """Return the choice by weights, or by errors between spikes where that is nearer."""
    seen = task.moments()
    tried = []
    for trial in trials:
        rounded = task.compensated(trial, seen)
        refit = np.minimum(task.refitted(trial, rounded, seen), cap)
        tried.append((task.cost(refit, rounded, seen), refit, rounded))
    order = np.argsort([cost for cost, _, _ in tried], axis=0)
    best = task.distance(gain, weights)
    for rank in order[:LOOKED_AT]:
        refit = np.choose(rank, [g for _, g, _ in tried])
        rounded = weights
        for k, (_, _, w) in enumerate(tried):
            rounded = task.chosen(rank == k, w, rounded)
        finer = task.descended(refit, rounded, seen)
        for g, w in (
            (refit, rounded),
            (np.minimum(task.refitted(refit, finer, seen), cap), finer),
        ):
            far = task.distance(g, w)
            gain, weights = np.where(far < best, g, gain), task.chosen(far < best, w, weights)
            best = np.minimum(far, best)
    return gain, weights


def _population(
    task: Task, name: str, gain: Array, weights: Weights, rules: Rules
) -> tuple[Mapping[str, Array | int], Observed | None]:
    """Return decays and thresholds, and the spikes on the data."""
    params = task.params[name] | task.integers(name, gain)
    if task.calibration is None:
        return params, None
    arriving = task.arriving(name, gain, weights)
    population, form = task.group[name], task.forms[name]
    if form.threshold is None:
        task.calibration.chip[name] = task.calibration.model[name]
        return params, None
    wanted = task.calibration.model[name]
    if by_spikes(task.group, rules) and not mirrors(population):
        params |= _neighbours(task, name, gain, arriving)
    fired = spikes(population, params, arriving, task.back(name, gain))
    task.calibration.chip[name] = fired
    return params, Observed(
        int(mismatches(fired, wanted).sum()), int((wanted != 0).sum()), arriving
    )


def _neighbours(task: Task, name: str, gain: Array, arriving: Array) -> Mapping[str, Array | int]:
    """Return the decays and thresholds beside the nearest that spike clearly more alike."""
    assert task.calibration is not None
    population, form = task.group[name], task.forms[name]
    wanted = task.calibration.model[name]
    params = task.params[name] | task.integers(name, gain)

    def tried(trial: Mapping[str, Array | int]) -> Array:
        return task.a_channel(distance(spikes(population, trial, arriving), wanted))

    best, dv = tried(params), np.asarray(params["dv"])
    if np.all(form.decay > 0):
        for near in (dv - 1, dv + 1):
            trial = params | {"dv": near}
            if np.all((near > 0) & (near < 4096)) and clearly_less(tried(trial).sum(), best.sum()):
                params, best = trial, tried(trial)
    vth, start = np.asarray(params["vth"]), best
    for factor in THRESHOLDS:
        trial = params | {"vth": task.integers(name, gain, factor)["vth"]}
        far = tried(trial)
        better = clearly_less(far, start) & (far < best)
        chosen = task.neurons(better.astype(float), name) > 0
        vth, best = np.where(chosen, trial["vth"], vth), np.where(better, far, best)
    return params | {"vth": vth}
