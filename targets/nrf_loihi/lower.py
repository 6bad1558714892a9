"""From a legalised network and a scheme to integers. There is no freedom left here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy import program as chip_program
from nrf_deploy.findings import Finding
from nrf_deploy.layers import Layers, Link, fresh, layers
from nrf_deploy.network import Array, Conv, Input, Linear, Network, Output, Pool, Population, Scale
from nrf_deploy.program import Dense, Origin, Port, Program, Sparse, Synapses
from nrf_deploy.quantise.scheme import ConnectionScheme, Scheme

from . import firing
from .arithmetic import shr0
from .chip import Chip
from .drive import constant, mantissa_and_exponent
from .latency import latencies, wait
from .neuron import neuron
from .peak import with_peak
from .start import Start, before


def lower(network: Network, scheme: Scheme, chip: Chip) -> tuple[Program, list[Finding]]:
    view = layers(network)
    latency, _ = latencies(network, view)
    relays: dict[str, chip_program.Population] = {}
    synapses: list[Synapses] = []
    for link in view.links:
        for steps in sorted({wait(latency, link.source, t, link.back) for t in link.targets}):
            targets = tuple(
                t for t in link.targets if wait(latency, link.source, t, link.back) == steps
            )
            source = link.source
            for _ in range(steps):
                source = _relay(network, link.source, source, chip, relays, synapses)
            alone = len(targets) == len(link.targets)
            name = link.name if alone else fresh(network, f"{link.name} (after {steps})")
            synapses.append(
                _synapses(network, link, name, source, targets, scheme.connections[link.name], chip)
            )
    starts = {
        stop: _population(network, view, node, scheme, latency[stop], chip)
        for stop in view.stops
        if isinstance(node := network[stop], Population)
    }
    populations = (
        starts[stop].population
        if stop in starts
        else chip_program.Population(name=stop, shape=network[stop].shape, model="pass", params={})
        for stop in view.stops
        if isinstance(network[stop], Population | Pool)
    )
    program = Program(
        arithmetic="loihi",
        ports=tuple(Port(name=n.name, shape=n.shape) for n in network.of(Input)),
        synapses=tuple(synapses),
        populations=(*relays.values(), *populations),
        outputs=tuple(dict.fromkeys(_outputs(network))),
        origins=tuple(
            Origin(
                population=stop,
                node=stop,
                latency=latency[stop],
                scale=scheme.populations[stop].scale if stop in scheme.populations else {},
            )
            for stop in view.stops
            if isinstance(network[stop], Population)
        ),
    )
    program, said = with_peak(program, scheme.largest_input, chip)
    for stop, start in starts.items():
        said += [*firing.said(network[stop], start.population), *start.said()]
    return program, said


def _outputs(network: Network) -> Iterator[str]:
    """The populations that feed an Output, seen through what only passes them on."""

    def behind(name: str) -> Iterator[str]:
        for source in network.sources(name):
            if isinstance(network[source], Population):
                yield source
            elif not isinstance(network[source], Input):
                yield from behind(source)

    for output in network.of(Output):
        yield from behind(output.name)


def _message_bits(network: Network, source: str, chip: Chip) -> int:
    """Spikes are binary; potentials, counts from outside and pool sums are payloads."""
    node = network[source]
    return 0 if isinstance(node, Population) and node.spikes else chip.graded_bits


def _relay(
    network: Network,
    origin: str,
    source: str,
    chip: Chip,
    relays: dict[str, chip_program.Population],
    synapses: list[Synapses],
) -> str:
    """A population that repeats `source` one step later; made once and shared."""
    if source not in relays:
        name = f"{source}~"
        while name in network or any(name == relay.name for relay in relays.values()):
            name += "~"
        shape, bits = network[origin].shape, _message_bits(network, origin, chip)
        fires_at_once = {"du": 4095, "dv": 0, "vth": 0, "bias_mant": 0, "bias_exp": 0}
        relays[source] = chip_program.Population(
            name=name,
            shape=shape,
            model="pass" if bits else "lif",
            params={} if bits else fires_at_once,
        )
        synapses.append(_one_to_one(name, source, (name,), shape, np.array(1), bits, {}))
    return relays[source].name


def _one_to_one(
    name: str,
    source: str,
    targets: tuple[str, ...],
    shape: tuple[int, ...],
    weight: Array,
    bits: int,
    params: dict[str, int],
) -> Sparse:
    size = int(np.prod(shape))
    return Sparse(
        name=name,
        source=source,
        targets=targets,
        weight=np.broadcast_to(weight, size).astype(np.int64),
        params={"num_message_bits": bits, **params},
        source_shape=shape,
        target_shape=shape,
        row=np.arange(size),
        column=np.arange(size),
    )


def _synapses(
    network: Network,
    link: Link,
    name: str,
    source: str,
    targets: tuple[str, ...],
    scheme: ConnectionScheme,
    chip: Chip,
) -> Synapses:
    bits = _message_bits(network, link.source, chip)
    weight = scheme.weight
    shifted = {"weight_exp": scheme.exponent} if scheme.exponent else {}
    node = link.node
    match node:
        case Linear():
            return Dense(
                name=name,
                source=source,
                targets=targets,
                weight=weight,
                params={
                    "num_message_bits": bits,
                    "num_weight_bits": scheme.weight_bits,
                    **shifted,
                },
                source_shape=network[link.source].shape,
                target_shape=node.shape,
            )
        case Conv():
            return _convolution(name, source, targets, bits, scheme.held, node)
        case Pool():
            channels = node.shape[0]
            as_conv = Conv(
                name=name,
                weight=scheme.held,
                input_size=node.input_shape[1:],
                stride=node.stride,
                padding=node.padding,
                dilation=(1,) * len(node.window),
                groups=channels,
            )
            return _convolution(name, source, targets, bits, scheme.held, as_conv)
        case Scale() | None:
            shape = network[link.source].shape
            return _one_to_one(name, source, targets, shape, weight, bits, shifted)
    raise TypeError(f"{link.name}: {node.kind} cannot be lowered")


def _convolution(
    name: str, source: str, targets: tuple[str, ...], bits: int, weight: Array, node: Conv
) -> chip_program.Conv:
    """A one-dimensional convolution is one over (1, length)."""
    flat = (1,) * (2 - len(node.kernel))
    return chip_program.Conv(
        name=name,
        source=source,
        targets=targets,
        weight=np.ascontiguousarray(weight.reshape(*weight.shape[:2], *flat, *node.kernel)),
        params={"num_message_bits": bits},
        input_size=(*flat, *node.input_size),
        stride=(*flat, *node.stride),
        padding=(*((0, 0) for _ in flat), *node.padding),
        dilation=(*flat, *node.dilation),
        groups=node.groups,
    )


def _population(
    network: Network, view: Layers, node: Population, scheme: Scheme, latency: int, chip: Chip
) -> Start:
    name, form = node.name, neuron(node, network.dt)
    numbers = scheme.populations[name]
    scale = np.asarray(numbers.scale["v"], np.float64)
    mantissa, exponent = mantissa_and_exponent(constant(view, name, form) * scale, chip)
    late = constant(view, name, form, late_only=True) * scale
    keep = 4096 - np.asarray(numbers.params["dv"])
    first = np.rint(form.first * scale).astype(np.int64)
    decayed = shr0(first * keep, 12) - np.rint(late).astype(np.int64)
    params = dict(numbers.params) | {
        "bias_mant": mantissa,
        "bias_exp": exponent,
        "v0": before(decayed, mantissa << exponent, keep, latency),
    }
    population = chip_program.Population(
        name=name,
        shape=node.shape,
        model="lif" if node.spikes else "li",
        params={key: _compact(value) for key, value in params.items()},
    )
    feeds_on = any(link.source == name for link in view.links)
    return Start(population, latency, decayed, feeds_on)


def _compact(x: Array | int) -> Array | int:
    x = np.asarray(x)
    return int(x.flat[0]) if np.all(x == x.flat[0]) else x
