"""From a legalised network and a scheme to integers. There is no freedom left here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy import program as chip_program
from nrf_deploy.findings import Finding, warning
from nrf_deploy.layers import Layers, Link, layers
from nrf_deploy.network import Array, Conv, Input, Linear, Network, Output, Pool, Population, Scale
from nrf_deploy.program import Dense, Origin, Port, Program, Sparse, Synapses
from nrf_deploy.quantise.scheme import ConnectionScheme, Scheme

from .chip import STATE_LIMIT, STATE_SHIFT, Chip
from .drive import constant, mantissa_and_exponent
from .latency import latencies, wait
from .neuron import neuron


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
            name = link.name if alone else f"{link.name} (after {steps})"
            synapses.append(
                _synapses(network, link, name, source, targets, scheme.connections[link.name], chip)
            )
    populations = [
        _population(network, view, stop, scheme, latency[stop], chip)
        for stop in view.stops
        if isinstance(network[stop], Population | Pool)
    ]
    program = Program(
        arithmetic="loihi",
        ports=tuple(
            Port(name=n.name, shape=n.shape, peak=chip.largest_payload) for n in network.of(Input)
        ),
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
    return program, [f for origin in program.origins for f in _warm_up(program, origin)]


def _warm_up(program: Program, origin: Origin) -> Iterator[Finding]:
    """Does the start lead to the model's first potential, without a spike on the way?"""
    population = program.population(origin.population)
    if population.model == "li":
        yield from _early_values(program, population, origin)
        return
    p = {key: np.asarray(value) for key, value in population.params.items()}
    bias, v, early = p["bias_mant"] << p["bias_exp"], p["v0"], np.array(False)
    for _ in range(origin.latency):
        v = shr0(v * (4096 - p["dv"])) + bias
        early = early | (v > p["vth"] << STATE_SHIFT)
    if np.any(early):
        yield warning(
            "LOIHI-EARLY-SPIKES",
            f"{int(np.sum(np.broadcast_to(early, population.shape)))} neurons spike before the "
            "first input can reach them",
            layer=population.name,
            why=f"its bias works from the first step, its input comes {origin.latency} steps later",
            fix="ignore the first spikes, or use smaller biases in this layer",
        )


def _early_values(
    program: Program, population: chip_program.Population, origin: Origin
) -> Iterator[Finding]:
    """Payloads that leave before the model's first step reach the next layer too early."""
    p = {key: np.asarray(value) for key, value in population.params.items()}
    bias, v, sent = p["bias_mant"] << p["bias_exp"], p["v0"], 0
    for _ in range(origin.latency):
        v = shr0(v * (4096 - p["dv"])) + bias
        sent = max(sent, int(np.abs((v + (1 << p["shift"] >> 1)) >> p["shift"]).max()))
    if sent and program.out_of(population.name):
        yield warning(
            "LOIHI-EARLY-VALUES",
            f"it sends payloads up to {sent} before the first input can reach it",
            layer=population.name,
            why="its bias (or v_leak) works from the first step, its input comes "
            f"{origin.latency} steps later; the layer behind it starts with these values",
            fix="let the layer behind forget them (a leak), or use no bias and v_leak = 0 here",
        )


def _outputs(network: Network) -> Iterator[str]:
    """The populations that feed an Output, seen through Flatten."""
    for output in network.of(Output):
        for name in network.sources(output.name):
            while not isinstance(network[name], Population | Input):
                name = network.sources(name)[0]
            if isinstance(network[name], Population):
                yield name


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
    name = f"{source}~"
    if name not in relays:
        shape, bits = network[origin].shape, _message_bits(network, origin, chip)
        fires_at_once = {"du": 4095, "dv": 0, "vth": 0, "bias_mant": 0, "bias_exp": 0}
        relays[name] = chip_program.Population(
            name=name,
            shape=shape,
            model="pass" if bits else "lif",
            params={} if bits else fires_at_once,
        )
        synapses.append(_one_to_one(name, source, (name,), shape, np.array(1), bits, {}))
    return name


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
    network: Network, view: Layers, name: str, scheme: Scheme, latency: int, chip: Chip
) -> chip_program.Population:
    node = network[name]
    if not isinstance(node, Population):
        return chip_program.Population(name=name, shape=node.shape, model="pass", params={})
    form = neuron(node, network.dt)
    numbers = scheme.populations[name]
    scale = np.asarray(numbers.scale["v"], np.float64)
    mantissa, exponent = mantissa_and_exponent(constant(view, name, form) * scale, chip)
    late = constant(view, name, form, late_only=True) * scale
    keep = 4096 - np.asarray(numbers.params["dv"])
    first = shr0(np.rint(form.first * scale).astype(np.int64) * keep) - np.rint(late).astype(int)
    params = dict(numbers.params) | {
        "bias_mant": mantissa,
        "bias_exp": exponent,
        "v0": before(first, mantissa << exponent, keep, latency),
    }
    return chip_program.Population(
        name=name,
        shape=node.shape,
        model="lif" if node.spikes else "li",
        params={key: _compact(value) for key, value in params.items()},
    )


def _compact(x: Array | int) -> Array | int:
    x = np.asarray(x)
    return int(x.flat[0]) if np.all(x == x.flat[0]) else x


def shr0(x: Array) -> Array:
    return np.asarray(np.sign(x) * (np.abs(x) >> 12))


def before(decayed: Array, bias: Array, keep: Array, latency: int) -> Array:
    """The potential to start from, so that bias and input are in step.

    A population with latency L stands still in the model while the chip's bias already
    works for L steps. It must start where those L steps lead to the model's first potential;
    `decayed` is that potential after the decay of the model's first step. A step is
    v -> shr0(v * keep) + bias; since keep <= 4096, shr0 takes every integer as a value, so
    such a v exists, and of several the one nearest to 0 is taken. (Where the leak is so
    fast that it lies beyond 24 bits, the leak forgets the difference.)
    """
    v = np.broadcast_to(decayed, np.broadcast_shapes(decayed.shape, bias.shape))
    v = _undecayed(v, keep)
    for _ in range(latency):
        v = _undecayed(v - bias, keep)
    return v


def _undecayed(v: Array, keep: Array) -> Array:
    v = np.sign(v) * -(-(np.abs(v) << 12) // keep)
    return np.asarray(np.clip(v, -STATE_LIMIT, STATE_LIMIT))
