"""From a legalised network and a scheme to a program. There is no freedom left here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nrf_deploy.compiler.lowering import outputs, synapses
from nrf_deploy.compiler.quantize.scheme import Scheme
from nrf_deploy.compiler.quantize.signal_bounds import counts
from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.ir import program as chip
from nrf_deploy.ir.delays import delay_steps
from nrf_deploy.ir.layer_view import Link, layers, with_max_pools
from nrf_deploy.ir.network import Delay, Input, Network, Node, Output, Population, exact
from nrf_deploy.ir.program import Origin, Port, Program

from ..arithmetic.models import PASSING, runs_on
from ..place import need
from ..settings import Settings
from .latency import delay, latencies
from .max_pools import between, parts
from .units import machine


def lower(network: Network, scheme: Scheme, s: Settings) -> tuple[Program, list[Finding]]:
    view = with_max_pools(network, layers(network))
    latency = latencies(view, s)
    populations: list[chip.Population] = []
    for stop in view.stops:
        node = network[stop]
        if type(node) is Population:
            for link in (link for link in view.into(stop) if link.pool is not None):
                populations += parts(link, s)
            populations.append(_population(node, scheme, latency[stop]))
        elif not exact(node, Input, Output):
            populations.append(_passing(node, s))
    leaving = outputs(network, [p.name for p in populations])
    program = Program(
        arithmetic="fixed",
        ports=tuple(
            Port(name=n.name, shape=n.shape, peak=s.largest_payload) for n in network.of(Input)
        ),
        synapses=tuple(
            lowered for link in view.links for lowered in _synapses(network, link, scheme, latency)
        ),
        populations=tuple(populations),
        outputs=leaving,
        origins=tuple(
            Origin(
                population=stop,
                node=stop,
                latency=latency[stop],
                scale=scheme.populations[stop].scale if stop in scheme.populations else {},
            )
            for stop in view.stops
            if type(network[stop]) is Population or stop in leaving
        ),
    )
    used = need(program, s)
    finding = info(
        "EMULATOR-NEED",
        f"{used['neurons']:,} neurons, {used['weights']:,} weights, {used['memory_bytes']:,} bytes",
        why="weights (a convolution's once) and states, at the bits that the settings give them",
    )
    return program, [finding]


def _population(node: Population, scheme: Scheme, latency: int) -> chip.Population:
    params = {**scheme.populations[node.name].params, "wait": latency}
    return chip.Population(name=node.name, shape=node.shape, model=runs_on(node), params=params)


def _passing(node: Node, s: Settings) -> chip.Population:
    """Lower a pool that could not be folded, or a delay: it passes on what arrives."""
    shared = machine(s)
    params = {name: shared[name] for name in ("sum_bits", "wrap")}
    return chip.Population(name=node.name, shape=node.shape, model=PASSING, params=params)


def _synapses(
    network: Network, link: Link, scheme: Scheme, latency: dict[str, int]
) -> Iterator[chip.Synapses]:
    """Yield synapses for each length of the way to the targets, and of a delay's elements."""
    source, weight = network[link.source], scheme.connections[link.name].weight
    ones = type(source) is Population and source.spikes and not counts(network, link.source)
    params = {"graded": int(not ones)}
    waits = {t: delay(latency, link, t) for t in link.targets}
    for steps in sorted(set(waits.values())):
        targets = tuple(t for t in link.targets if waits[t] == steps)
        name = link.name if len(targets) == len(waits) else f"{link.name} (after {steps})"
        ends = {"name": name, "source": link.source, "targets": targets, "delay": steps}
        lowered = synapses(link, ends, weight, source.shape, params)
        end = network[targets[0]]
        if link.pool is not None:
            yield replace(lowered, targets=(link.pool.name,))
            yield from between(link, targets)
        elif type(end) is Delay and isinstance(lowered, chip.Sparse):
            yield from _delayed(lowered, delay_steps(end, network.dt).ravel())
        else:
            yield lowered


def _delayed(lowered: chip.Sparse, more: np.ndarray) -> Iterator[chip.Sparse]:
    for steps in np.unique(more).tolist():
        here = more[lowered.row] == steps
        whole = bool(here.all())
        yield chip.Sparse(
            name=lowered.name if whole else f"{lowered.name} (delay {steps})",
            source=lowered.source,
            targets=lowered.targets,
            weight=lowered.weight[here],
            delay=lowered.delay + steps,
            params=lowered.params,
            source_shape=lowered.source_shape,
            target_shape=lowered.target_shape,
            row=lowered.row[here],
            column=lowered.column[here],
        )
