"""The machine's verdict on a legalised network, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.passes.subtract_as_zero_reset import SubtractAsZeroReset
from nrf_deploy.compiler.quantize.signal_bounds import analogue
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.capabilities import unknown
from nrf_deploy.ir.delays import delay_faults, delay_steps
from nrf_deploy.ir.layer_view import Layers, layers, with_max_pools
from nrf_deploy.ir.network import Delay, MaxPool, Network, Population, SumPool, exact

from ..arithmetic.models import DOMAIN
from ..settings import PREFIX, Settings
from .latency import latencies
from .ranges import analogue_inside
from .units import Unit, rounded_decay


def check(network: Network, s: Settings) -> list[Finding]:
    """Return what the machine cannot hold of a legalised network, for every layer."""
    if foreign := unknown(network, DOMAIN, "this machine"):
        return foreign
    view = with_max_pools(network, layers(network))
    if pools := [n.name for n in network.of(MaxPool) if n.name in view.stops]:
        return [_max_pool(name) for name in pools]
    loops = checks.loops(
        PREFIX,
        view,
        latencies(view, s),
        "this machine",
        "set latency = 0, or train with a delay of one step in each layer of the loop",
    )
    findings = [*_structure(network, view), *loops]
    for node in network.nodes:
        if type(node) is Population:
            findings += _population(Unit.of(network, view, node.name), s)
            if analogue_inside(network, view, node.name):
                findings += checks.graded_loop(PREFIX, node, network)
        elif type(node) is Delay:
            findings += _delay(node, network, view, s)
    return findings


def _max_pool(name: str) -> Finding:
    return error(
        "EMULATOR-MAX-POOL",
        "this max pool is not between one convolution and one layer of neurons",
        layer=name,
        why="the largest sum is taken in the units of the weights of one layer of neurons; spikes "
        "have an OR instead, where each neuron gives at most one a step",
        fix="put it right behind a convolution, or behind neurons that spike once a step; or use "
        "an AvgPool",
    )


def _structure(network: Network, view: Layers) -> Iterator[Finding]:
    why = "sums of weights become spikes or potentials; no layer is without neurons"
    fix = "end the layer in neurons, or merge the connection into its neighbour"
    yield from checks.without_neurons(PREFIX, network, view, why, fix)
    for link in view.links:
        ends = [network[t] for t in link.targets]
        bare = link.node is None or exact(link.node, SumPool)
        if not bare and any(exact(end, SumPool, Delay) for end in ends):
            what = "weights lead to a pool or a delay without neurons"
            yield checks.no_population(PREFIX, link.name, what, why, fix)
        yield from checks.all_zero(PREFIX, link)
        passed = exact(ends[0], SumPool, Delay)
        if passed and analogue(network, link.source) and len(view.into(link.targets[0])) > 1:
            yield checks.graded_sum(PREFIX, link.targets[0])


def _population(unit: Unit, s: Settings) -> Iterator[Finding]:
    name, form = unit.node.name, unit.form
    if unit.reset_matters:
        yield from _reset(unit, s)
    yield from checks.drive(PREFIX, name, form.drive)
    if s.leak == "subtractive" and not unit.spiking and np.any(form.decay):
        yield error(
            "EMULATOR-LEAK-KIND",
            f"{unit.node.kind} has a leak by a time constant; this machine subtracts an amount",
            layer=name,
            why="without a threshold there is no range over which to match the two",
            fix='set leak = "exponential", or use neurons without a leak',
        )
    for what, decay in unit.decays(s):
        integers, bits = rounded_decay(decay, s), s.decay_bits
        yield from checks.decays(
            PREFIX, name, what, decay, integers, bits, unit.dt, option="decay_bits"
        )


def _reset(unit: Unit, s: Settings) -> Iterator[Finding]:
    if unit.subtracts and s.reset == "value":
        yield checks.reset_subtract(
            PREFIX,
            unit.node.name,
            why="these settings only set the potential to a value",
            fix=f'set reset = "both" (or allow --allow {SubtractAsZeroReset.choice}, with '
            "--calibrate to know its cost)",
        )
    if unit.keeps and s.reset != "both":
        yield error(
            "EMULATOR-RESET-NONE",
            "a spike leaves the potential as it is; these settings reset it",
            layer=unit.node.name,
            why=f'reset = "{s.reset}" is what every spike does on this machine',
            fix='set reset = "both", or train with that reset',
        )
    elif not unit.subtracts and s.reset == "subtract":
        yield checks.reset_value(
            PREFIX,
            unit.node.name,
            "a value",
            why="these settings only subtract the threshold",
            fix='set reset = "both", or train with a reset by subtraction',
        )


def _delay(node: Delay, network: Network, view: Layers, s: Settings) -> Iterator[Finding]:
    faults = list(delay_faults(node, network.dt))
    yield from faults
    if node.name not in view.stops or faults or s.longest_delay is None:
        return
    steps = int(delay_steps(node, network.dt).max(initial=0))
    yield from checks.delay(
        PREFIX,
        node.name,
        steps,
        s.longest_delay,
        why="these settings say so",
        fix=f"set longest_delay = {steps}, or use a larger dt",
    )
