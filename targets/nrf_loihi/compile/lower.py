"""From a legalised network and a scheme to integers. There is no freedom left here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nrf_deploy.compiler.lowering import outputs
from nrf_deploy.compiler.lowering import synapses as synapses_of
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.compiler.quantize.scheme import ConnectionScheme, Scheme
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir import program as chip_program
from nrf_deploy.ir.layer_view import Layers, Link, fresh, layers
from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Conv,
    Input,
    Linear,
    Network,
    Population,
    SumPool,
    exact,
)
from nrf_deploy.ir.program import Origin, Port, Program, Synapses

from ..arithmetic.integers import shr0
from ..arithmetic.neurons import PASS, relay, runs_on
from ..chip import STATE_SHIFT, Chip
from . import firing
from .constant_input import AlwaysOn, constant_input, reset_synapses
from .initial_state import Start, before, currents
from .input_bounds import with_peak
from .latency import latencies, wait
from .neuron import mantissa_and_exponent
from .subtracting import kept, mirrors, taken, threshold_and_bias


def lower(network: Network, scheme: Scheme, chip: Chip) -> tuple[Program, list[Finding]]:
    view = layers(network, through_delays=True)
    latency = latencies(view)
    relays: dict[str, chip_program.Population] = {}
    synapses: list[Synapses] = []
    for link in view.links:
        waits = {t: wait(latency, link, t) for t in link.targets}
        for steps in sorted(set(waits.values())):
            targets = tuple(t for t in link.targets if waits[t] == steps)
            source = link.source
            for _ in range(steps):
                source = _relay(network, link.source, source, chip, relays, synapses)
            together = len(targets) == len(link.targets)
            name = link.name if together else fresh(network, f"{link.name} (after {steps})")
            ends = {"name": name, "source": source, "targets": targets}
            synapses.append(_synapses(network, link, ends, scheme.connections[link.name], chip))
    taken = {*(n.name for n in network.nodes), *(r.name for r in relays.values())}
    always = AlwaysOn({*taken, *(s.name for s in synapses)})
    starts = {
        stop: _population(network, view, node, scheme, latency[stop], chip, always)
        for stop in view.stops
        if type(node := network[stop]) is Population
    }
    resets = [
        s
        for start in starts.values()
        for s in reset_synapses(start.population, start.back, always.fresh)
    ]
    populations = (
        starts[stop].population
        if stop in starts
        else chip_program.Population(name=stop, shape=network[stop].shape, model=PASS, params={})
        for stop in view.stops
        if stop in starts or exact(network[stop], SumPool, AvgPool)
    )
    program = Program(
        arithmetic="loihi",
        ports=tuple(Port(name=n.name, shape=n.shape) for n in network.of(Input)),
        synapses=(*synapses, *always.synapses, *resets),
        populations=(*relays.values(), *always.populations, *populations),
        outputs=outputs(network, starts),
        origins=tuple(
            Origin(
                population=stop,
                node=stop,
                latency=latency[stop],
                scale={
                    state: units
                    for state, units in scheme.populations[stop].scale.items()
                    if not (state == "v" and starts[stop].mirrored)  # 0 where the model's is not
                },
            )
            for stop in view.stops
            if stop in starts
        ),
    )
    program, findings = with_peak(program, scheme.largest_input, chip)
    for stop, start in starts.items():
        findings += [*firing.findings(network[stop], start.population), *start.said()]
    return program, findings


def _message_bits(network: Network, source: str, chip: Chip) -> int:
    """Return the bits of a message: 0 of a spike; potentials, inputs and sums are payloads."""
    node = network[source]
    return 0 if type(node) is Population and node.spikes else chip.graded_bits


def _relay(
    network: Network,
    origin: str,
    source: str,
    chip: Chip,
    relays: dict[str, chip_program.Population],
    synapses: list[Synapses],
) -> str:
    """Return the population that repeats `source` one step later; add it if there is none."""
    if source not in relays:
        name = f"{source}~"
        while name in network or any(name == relay.name for relay in relays.values()):
            name += "~"
        shape, bits = network[origin].shape, _message_bits(network, origin, chip)
        model, numbers = relay(payloads=bits > 0)
        relays[source] = chip_program.Population(
            name=name, shape=shape, model=model, params=numbers
        )
        link, ends = Link(name, None, source, (name,), 0), {"source": source, "targets": (name,)}
        params = {"num_message_bits": bits}
        synapses.append(synapses_of(link, {"name": name, **ends}, np.array(1), shape, params))
    return relays[source].name


def _synapses(
    network: Network,
    link: Link,
    ends: Mapping[str, Any],
    scheme: ConnectionScheme,
    chip: Chip,
) -> Synapses:
    """Lower a link. A convolution has no exponent: its weights contain it already."""
    params = {"num_message_bits": _message_bits(network, link.source, chip)}
    weight = scheme.weight
    if exact(link.node, Conv, SumPool, AvgPool):
        weight = scheme.held
    elif scheme.exponent:
        params["weight_exp"] = scheme.exponent
    if exact(link.node, Linear):
        params["num_weight_bits"] = scheme.weight_bits
    return synapses_of(link, ends, weight, network[link.source].shape, params)


def _population(
    network: Network,
    view: Layers,
    node: Population,
    scheme: Scheme,
    latency: int,
    chip: Chip,
    always: AlwaysOn,
) -> Start:
    name, form = node.name, neuron(node, network.dt)
    const = constant_input(view, node, form)
    numbers = scheme.populations[name]
    scale = np.asarray(numbers.scale["v"], np.float64)
    every, missing = const.integers(scale * form.drive / 2**STATE_SHIFT)
    sourced = [
        *always.feed(name, node.shape, every - missing, latency),
        *always.feed(name, node.shape, missing, latency + 1),
    ]
    mirrored, du = mirrors(node), numbers.params["du"]
    register = const.register * scale
    if mirrored:
        _, register = threshold_and_bias(node, np.zeros(node.shape))
    rest = const.register_of_rest(scale * form.drive / 2**STATE_SHIFT, du)
    mantissa, exponent = mantissa_and_exponent(register + rest, chip)
    bias, late = mantissa << exponent, const.register_late * scale
    first = np.rint(form.first * scale).astype(np.int64)
    moved = np.where(rest != 0, np.rint(register).astype(np.int64) - bias, 0)
    current = moved + first if mirrored else moved  # u before the model's first step
    keep, keep_u = 4096 - np.asarray(numbers.params["dv"]), kept(numbers.params)
    decayed = shr0(first * keep, 12) - np.rint(late).astype(np.int64)
    model, more = runs_on(node)
    params = {**numbers.params, "bias_mant": mantissa, "bias_exp": exponent}
    u0 = before(shr0(current * keep_u, 12), 0 * bias, keep_u, latency)
    if mirrored:
        decayed = shr0(current * keep_u, 12)
        params |= {"u0": u0, "v0": 0}
    else:
        params["v0"] = before(decayed, bias, keep, latency, currents(u0, keep_u, latency))
        params |= {"u0": u0} if u0.any() else {}
    params |= more
    population = chip_program.Population(
        name=name,
        shape=node.shape,
        model=model,
        params={key: _compact(value) for key, value in params.items()},
    )
    feeds_on = any(link.source == name for link in view.links)
    back = taken(node, numbers.params, scale / 2**STATE_SHIFT)
    return Start(population, latency, decayed, feeds_on, tuple(sourced), mirrored, back)


def _compact(x: Array | int) -> Array | int:
    x = np.asarray(x)
    return int(x.flat[0]) if np.all(x == x.flat[0]) else x
