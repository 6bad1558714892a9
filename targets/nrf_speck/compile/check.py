"""The chip's verdict on a legalised network, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.lowering import outputs
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.capabilities import unknown
from nrf_deploy.ir.layer_view import Layers, layers
from nrf_deploy.ir.network import (
    Delay,
    MaxPool,
    Network,
    Node,
    Output,
    Pool,
    Population,
    Threshold,
)
from nrf_deploy.neurons import Leaky, Spikes

from ..arithmetic.models import DOMAIN, runs_on
from ..chip import PREFIX, Chip
from ..passes.exact import INSIDE, LEAK, READ
from ..passes.linear_leak import SHORT, shortest
from .branches import branches, disagreement, wires
from .check_connections import link_faults
from .core_units import UnevenError, Unit


def check(network: Network, chip: Chip) -> list[Finding]:
    """Return what the chip cannot hold of a legalised network, for every layer."""
    if foreign := unknown(network, DOMAIN, chip.name):
        return foreign
    view = layers(network)
    findings = [*_structure(network, view)]
    for node in network.nodes:
        findings += _node(node, network, view, chip)
    faulty: set[str] = set()
    for link in view.links:
        faults = list(link_faults(network, view, link, chip))
        findings += faults
        faulty |= set(link.targets) if any(f.severity == "error" for f in faults) else set()
    for stop in view.stops:
        node = network[stop]
        ways = {stop, *(link.source for link in view.into(stop))}
        if runs_on(node) is not None and not ways & faulty and not _unmapped(node):
            findings += _core(network, view, stop, chip)
    return [*findings, *_fan_out(network, view, chip)]


def _unmapped(node: Node) -> bool:
    return len(node.shape) not in (1, 3)


def _structure(network: Network, view: Layers) -> Iterator[Finding]:
    why = "each core ends in neurons, and what leaves it are spikes"
    fix = (
        "end the layer in IF neurons and count their spikes, or merge the connection into its "
        "neighbour"
    )
    yield from checks.without_neurons(PREFIX, network, view, why, fix)
    for name in outputs(network, [n for n in view.stops if not isinstance(network[n], Output)]):
        if isinstance(network[name], Pool):
            what = "the pool leads to an output as well as to neurons"
            yield checks.no_population(PREFIX, name, what, why, fix)
    for link in view.links:
        if link.back:
            yield checks.back(
                PREFIX,
                link,
                ", ".join(map(repr, link.targets)),
                "closes a loop",
                why="the chip has no time steps: spikes would chase each other round the loop",
                fix="train without recurrent connections",
            )


def _node(node: Node, network: Network, view: Layers, chip: Chip) -> Iterator[Finding]:
    if type(node) is Population:
        ran = runs_on(node)
        if ran is None:
            yield _kind(node, network, view, chip)
        if not view.into(node.name):
            yield error(
                "SPECK-NO-INPUT",
                "nothing leads to these neurons",
                layer=node.name,
                why="a core begins with a convolution of what arrives",
                fix="remove the layer, or connect it",
            )
        if _unmapped(node):
            yield error(
                "SPECK-AXES",
                f"its neurons lie along {len(node.shape)} axes {node.shape}",
                layer=node.name,
                why="a core holds features of a map (f, y, x), or one neuron a feature",
                fix="use layers over (channels, y, x)",
            )
        if ran is not None:
            yield from _firing(node, ran[1])
            yield from checks.drive(PREFIX, node.name, neuron(node, network.dt).drive)
            yield from _short(node, network.dt)
    elif type(node) in DOMAIN.explained:
        yield checks.kind(PREFIX, node, chip.name, *reversed(INSTEAD[type(node)]))


INSTEAD: Mapping[type[Node], tuple[str, str]] = {
    Threshold: ("only neurons give spikes here", "use IF neurons"),
    Delay: ("events go straight on", "leave the delay out"),
    MaxPool: (
        "an event cannot know whether another place of its window spikes in the same step",
        "use a SumPool or an AvgPool (sl.SumPool2d in sinabs)",
    ),
}
"""Nodes that no core has: the reason, and what to use instead."""


def _kind(node: Population, network: Network, view: Layers, chip: Chip) -> Finding:
    feeds = any(link.source == node.name for link in view.links)
    membrane = node.membrane
    if type(membrane) is Leaky and node.spikes:
        why = "neurons here have no exponential leak: a clock takes the same off each time"
        fix = (
            f"allow a linear leak (--allow {LEAK}, with --calibrate to know its cost), or train IF"
        )
    elif not node.spikes:
        why = "what leaves a core are spikes, not potentials"
        fix = "train IF neurons here"
        rests_at_0 = type(membrane) is Leaky and not np.any(membrane.v_leak)
        if rests_at_0 and feeds:
            fix = f"allow a rate code (--allow {INSIDE}), or train IF neurons here"
        elif rests_at_0:
            fix = (
                f"allow that the host counts spikes instead (--allow {READ}), or end in IF neurons"
            )
    else:
        why = "neurons here have no filter for their current"
        fix = "train IF neurons, or LIF neurons and --allow " + LEAK
    return checks.kind(PREFIX, node, chip.name, fix, why)


def _short(node: Population, dt: float) -> Iterator[Finding]:
    steps = shortest(node, dt)
    if steps is not None and steps < SHORT:
        yield warning(
            "SPECK-LEAK-SHORT",
            f"tau is {steps:.4g} steps: a linear leak is far from the exponential one here",
            layer=node.name,
            why=f"below {SHORT} steps spike counts were found up to 64 % off where spikes are rare",
            fix="compare with the model on typical data (nrf-deploy verify), or train IF neurons",
        )


def _firing(node: Population, rule: Spikes) -> Iterator[Finding]:
    worst = float(np.min(rule.threshold))
    if worst <= 0:
        yield error(
            "SPECK-THRESHOLD",
            f"v_threshold is {worst:.4g}; it must be above 0",
            layer=node.name,
            why="such neurons spike at every event",
            fix="raise it above the reset",
        )
    yield from _after_a_spike(node, rule)
    yield from _first(node, rule)


def _first(node: Population, rule: Spikes) -> Iterator[Finding]:
    """Refuse first potentials that a core would change, or that spike at any event."""
    if node.membrane.v0 is None:
        return
    first = np.broadcast_to(node.membrane.v0, node.shape)
    above, below = first >= rule.threshold, np.zeros(node.shape, bool)
    if rule.floor is not None:
        below = first < rule.floor
    for wrong, limit in ((above, "below v_threshold"), (below, "v_floor or more")):
        if np.any(wrong):
            yield error(
                "SPECK-FIRST",
                f"the first potential is {float(first[wrong].flat[0]):.4g}; expected {limit}",
                layer=node.name,
                why="a core tests its neurons when an event comes, whatever its weight",
                fix="start the neurons inside their range, or let input bring them there",
            )


def _after_a_spike(node: Population, rule: Spikes) -> Iterator[Finding]:
    """Refuse resets and floors whose origin no rewrite could move to 0."""
    if rule.reset == "value" and np.any(rule.reset_to):
        yield checks.reset_value(
            PREFIX,
            node.name,
            f"{np.ravel(rule.reset_to)[0]:.4g}",
            why="a spike sets a neuron to 0, or subtracts the threshold",
            fix="train with a reset to 0",
        )
    if rule.floor is not None and np.any(rule.floor > 0):
        yield error(
            "SPECK-FLOOR",
            f"v_floor is {np.max(rule.floor):.4g} above the potential after a reset",
            layer=node.name,
            why="the lowest potential of a core is 0 or below",
            fix="train with a floor that is not above the reset",
        )


def _core(network: Network, view: Layers, name: str, chip: Chip) -> Iterator[Finding]:
    node = network[name]
    ran = runs_on(node)
    assert type(node) is Population
    assert ran is not None
    parts = branches(network, view, name)
    if not parts:
        return
    why = disagreement(parts)
    if why:
        yield error(
            "SPECK-BRANCHES",
            f"{len(parts)} connections add up here, and {why}",
            layer=name,
            why="a core has one convolution: features of several sources lie beside each other",
            fix="give them one stride, one size of input, and kernels centred in each other",
        )
    sound = not any(_firing(node, ran[1])) and np.all(neuron(node, network.dt).drive > 0)
    if sound:
        try:
            Unit.of(network, view, name)
        except UnevenError as what:
            yield error(
                "SPECK-UNEVEN",
                str(what),
                layer=name,
                why="a core has one threshold and one lower bound, a feature its weights and bias",
                fix="train with one value for all neurons, or one a channel",
            )
    features = sum(b.input_shape[0] for b in parts)
    if features > chip.features:
        yield _features(name, features, chip, "take in")


def _features(layer: str, features: int, chip: Chip, what: str) -> Finding:
    return error(
        "SPECK-FEATURES",
        f"{features} features {what}; at most {chip.features} fit",
        layer=layer,
        fix="use fewer channels; a Linear has one for each of its inputs or outputs",
    )


def _fan_out(network: Network, view: Layers, chip: Chip) -> Iterator[Finding]:
    ways: dict[str, set[tuple[str, int]]] = {}
    for link in view.links:
        for source, pooling in wires(network, view, link):
            to = {t for t in link.targets if type(network[t]) is Population}
            ways.setdefault(source, set()).update((t, pooling) for t in to)
    for source, reached in ways.items():
        if type(network[source]) is Population and len(reached) > chip.destinations:
            names = ", ".join(repr(t) for t, _ in sorted(reached))
            yield error(
                "SPECK-FAN-OUT",
                f"it feeds {len(reached)} cores ({names}); a core has {chip.destinations} "
                "destinations",
                layer=source,
                fix="repeat the layer, or feed the same core",
            )
