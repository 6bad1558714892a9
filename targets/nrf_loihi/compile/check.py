"""The chip's verdict on a legalised network, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.passes.approximate import Approximate
from nrf_deploy.compiler.passes.exact_decay import ExactDecay
from nrf_deploy.compiler.passes.subtract_as_zero_reset import SubtractAsZeroReset
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.compiler.quantize.signal_bounds import feeds_on
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.capabilities import unknown
from nrf_deploy.ir.layer_view import Layers, Link, layers
from nrf_deploy.ir.network import (
    AvgPool,
    Conv,
    Network,
    Node,
    Population,
    SumPool,
    exact,
)
from nrf_deploy.neurons import Spikes

from ..arithmetic.neurons import MODELS, domain, runs_on
from ..chip import PREFIX, STATE_LIMIT, Chip
from ..lava.window import INT8_MAX, Window
from .firing import fires_at
from .latency import latencies
from .neuron import decay_faults, rounded_decays
from .subtracting import SUBTRACTS, mirrors

CHOICES: tuple[Approximate, ...] = (SubtractAsZeroReset(), ExactDecay())
SUBTRACT = SubtractAsZeroReset.choice


INSTEAD = {
    "MaxPool": "an average pool, or the max pool behind the neurons: there it is an OR of spikes",
    "Delay": "one delay, in whole steps, for the whole signal of an input or of neurons, and "
    "weights or neurons behind it",
}


def check(network: Network, chip: Chip) -> list[Finding]:
    """Return what the chip cannot hold of a legalised network, for every layer."""
    if foreign := unknown(network, domain(chip), chip.name):
        return foreign
    view = layers(network, through_delays=True)
    findings = [
        *checks.without_neurons(
            PREFIX,
            network,
            view,
            why="a core turns each sum of weights into spikes or potentials of neurons",
            fix="end the layer in neurons, and count the spikes of the last one; or merge the "
            "connection into its neighbour",
        ),
        *checks.loops(
            PREFIX,
            view,
            latencies(view),
            "the chip",
            "feed a population back to itself, or train with a delay of one step in each layer of "
            "the loop",
        ),
    ]
    for node in network.nodes:
        findings += _node(node, network, view, chip)
    for link in view.links:
        findings += _link(link, network, chip)
    return findings


def _node(node: Node, network: Network, view: Layers, chip: Chip) -> Iterator[Finding]:
    if type(node) is Population:
        yield from _population(node, network.dt, chip)
        if not node.spikes and feeds_on(view, node.name):
            yield from _inner(node, network, chip)
    elif node.kind in INSTEAD and node.name in view.stops:
        yield checks.kind(PREFIX, node, chip.name, fix=f"use {INSTEAD[node.kind]}")


def _inner(node: Population, network: Network, chip: Chip) -> Iterator[Finding]:
    """Refuse a layer without spikes that feeds another one, where the chip cannot hold it."""
    if not chip.graded_bits:
        yield error(
            "LOIHI-GRADED",
            f"{node.kind} feeds another layer with its potential; {chip.name} has binary spikes",
            layer=node.name,
            why="a potential leaves a core as the payload of a graded spike",
            fix="choose loihi2, or train with spiking neurons here",
        )
    yield from checks.graded_loop(PREFIX, node, network)


def _reset(node: Population, rule: Spikes, chip: Chip) -> Iterator[Finding]:
    if mirrors(node):
        return
    if rule.reset in SUBTRACTS:
        why = f"{chip.name} sets the potential to 0 after a spike, and only a current could "
        why += "integrate in its place; "
        why += (
            "a current here goes on while the neurons rest"
            if rule.refractory is not None
            else "here the current filters the input"
        )
        yield checks.reset_subtract(
            PREFIX,
            node.name,
            why=why,
            fix=f"allow a reset to 0 instead (--allow {SUBTRACT}, with --calibrate to know its "
            "cost), or train with a reset to a value (Norse: reset_value)"
            + (
                ", or without a filtered current (LIF, Leaky)"
                if rule.refractory is None
                else ", or without a rest"
            ),
        )
    elif rule.reset == "none":
        yield error(
            "LOIHI-RESET-NONE",
            "the neurons do not reset their potential when they spike",
            layer=node.name,
            why=f"{chip.name} sets it to 0 after a spike, and only a current could integrate in "
            "its place; here the current filters the input, or goes on while the neurons rest",
            fix="train with a reset to a value, or without a filtered current and a rest",
        )
    elif np.any(rule.reset_to != 0):
        yield checks.reset_value(
            PREFIX,
            node.name,
            _example(rule.reset_to),
            why=f"{chip.name} sets the potential to 0 after a spike",
            fix="let the pass shift_reset move the potential's origin (compile does)",
        )


def _population(node: Population, dt: float, chip: Chip) -> Iterator[Finding]:
    if type(node.rule) is Spikes:
        yield from _reset(node, node.rule, chip)
    yield from _held(node)
    form = neuron(node, dt)
    yield from checks.drive(PREFIX, node.name, form.drive)
    low = form.threshold is not None and form.threshold.min()
    if form.threshold is not None and (low < 0 or (low == 0 and fires_at(node))):
        yield error(
            "LOIHI-THRESHOLD-NEGATIVE",
            f"v_threshold is {low:.4g}; it must be "
            f"{'above' if fires_at(node) else 'at least'} 0, counted from the reset",
            layer=node.name,
            why="the chip's thresholds have no sign",
            fix="raise the threshold above the reset potential",
        )
    own = mirrors(node)
    params = rounded_decays(form, mirrored=own)
    yield from decay_faults(node.name, form, params, dt, mirrored=own)


def _held(node: Population) -> Iterator[Finding]:
    """Refuse numbers of the rule that the neuron model cannot hold."""
    model, more = runs_on(node)
    for name, value in more.items():
        declared = MODELS[model].parameters[name]
        low, high = max(declared.low, -STATE_LIMIT), min(declared.high, STATE_LIMIT)
        if np.any((np.asarray(value) < low) | (np.asarray(value) > high)):
            yield error(
                "LOIHI-RULE-RANGE",
                f"{name} is {_example(value)}; expected {low} to {high}",
                layer=node.name,
                why="the neurons hold it in a state of 24 bits",
                fix=f"train with a {name} within these limits",
            )


def _example(x: object) -> str:
    flat = np.ravel(np.asarray(x))
    return f"{flat[np.argmax(np.abs(flat))]:.4g}"


def _link(link: Link, network: Network, chip: Chip) -> Iterator[Finding]:
    node = link.node
    yield from checks.all_zero(PREFIX, link)
    yield from checks.delay(
        PREFIX,
        link.name,
        link.delay,
        chip.cores * chip.chips * chip.neuron_groups,
        why="each step of a delay is a layer of relays, and a core holds "
        f"{chip.neuron_groups} layers",
        fix="use a larger dt, or a slow neuron in place of the delay",
        unit="relays of a step each",
    )
    kept_pool = exact(network[link.source], SumPool, AvgPool)
    if kept_pool and not chip.graded_bits:
        yield error(
            "LOIHI-POOL-KEPT",
            f"the pool {link.source!r} could not be folded, and {chip.name} has binary spikes",
            layer=link.source,
            why="a pool's sums need graded spikes",
            fix="use even sizes before the pool and no padding, or choose loihi2",
        )
    if exact(node, Conv, SumPool, AvgPool):
        yield from _convolution(link, node, chip)


def _convolution(link: Link, node: Conv | SumPool | AvgPool, chip: Chip) -> Iterator[Finding]:
    seen = _window(node)
    for what, value in seen.too_large().items():
        yield error(
            "LOIHI-CONV-RANGE",
            f"{what} is {value}; at most {INT8_MAX} can be said",
            layer=link.name,
            why="Lava holds it in 8 bits, and a larger one gives zeros or a crash"
            + ("" if seen is seen.evenly_padded() else "; unequal padding widens the kernel"),
            fix="split the layer" if what == "groups" else f"use a smaller {what}",
        )


def _window(node: Conv | SumPool | AvgPool) -> Window:
    if exact(node, Conv):
        return Window(node.kernel, node.stride, node.padding, node.dilation, node.groups)
    assert exact(node, SumPool, AvgPool)
    return Window(node.window, node.stride, node.padding, (1,) * len(node.window), node.shape[0])
