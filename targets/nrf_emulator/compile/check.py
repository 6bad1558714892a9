"""What of a legalised network this machine can hold, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.compiler.passes.subtract_as_zero_reset import SubtractAsZeroReset
from nrf_deploy.compiler.quantize.signal_bounds import analogue, in_a_loop
from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.capabilities import unknown
from nrf_deploy.ir.delays import delay_faults, delay_steps
from nrf_deploy.ir.layer_view import Layers, layers
from nrf_deploy.ir.network import Delay, Network, Output, Population, SumPool, exact

from ..arithmetic.models import DOMAIN
from ..settings import Settings
from .latency import loops
from .ranges import analogue_inside
from .units import Unit


def check(network: Network, s: Settings) -> list[Finding]:
    if foreign := unknown(network, DOMAIN, "this machine"):
        return foreign
    view = layers(network)
    findings = [*_structure(network, view), *loops(view, s)]
    for node in network.nodes:
        if type(node) is Population:
            findings += _population(Unit.of(network, view, node.name), network.dt, s)
            if analogue_inside(network, view, node.name) and in_a_loop(network, node.name):
                findings.append(_graded_loop(node))
        elif type(node) is Delay:
            findings += _delay(node, network, view, s)
    return findings


def _structure(network: Network, view: Layers) -> Iterator[Finding]:
    def no_population(name: str, what: str) -> Finding:
        return error(
            "EMULATOR-NO-POPULATION",
            what,
            layer=name,
            why="sums of weights become spikes or potentials; no layer is without neurons",
            fix="end the layer in neurons, or merge the connection into its neighbour",
        )

    for name in view.loose:
        yield no_population(name, "the connection does not lead to one population of neurons")
    for link in view.links:
        ends = [network[t] for t in link.targets]
        if any(type(end) is Output for end in ends):
            yield no_population(link.name, "the connection leads to an output without neurons")
        bare = link.node is None or exact(link.node, SumPool)
        if not bare and any(exact(end, SumPool, Delay) for end in ends):
            yield no_population(link.name, "weights lead to a pool or a delay without neurons")
        weight = getattr(link.node, "weight", None)
        if weight is not None and not np.any(weight):
            yield error(
                "EMULATOR-ALL-ZERO",
                "every weight is zero",
                layer=link.name,
                why="the layer can never pass anything on",
                fix="check that the weights were loaded; remove the layer if it is meant",
            )
        passed = exact(ends[0], SumPool, Delay)
        if passed and analogue(network, link.source) and len(view.into(link.targets[0])) > 1:
            yield error(
                "EMULATOR-GRADED-UNITS",
                "potentials meet other signals in a pool or a delay",
                layer=link.targets[0],
                why="payloads of different units cannot be added without weights",
                fix="put neurons where they meet",
            )


def _population(unit: Unit, dt: float, s: Settings) -> Iterator[Finding]:
    name, form = unit.node.name, unit.form
    if unit.spiking and not unit.forgets:
        yield from _reset(unit, s)
    if np.any(form.drive <= 0):
        yield error(
            "EMULATOR-DRIVE",
            f"an input of 1 adds {form.drive.min():.4g} to v; it must be above 0",
            layer=name,
            why="weights and thresholds are scaled by it",
            fix="make r (and w_in) positive and put the sign into the weights",
        )
    if s.leak == "subtractive" and not unit.spiking and np.any(form.decay):
        yield error(
            "EMULATOR-LEAK-KIND",
            f"{unit.node.kind} has a leak by a time constant; this machine subtracts an amount",
            layer=name,
            why="without a threshold there is no range over which to match the two",
            fix='set leak = "exponential", or use neurons without a leak',
        )
    decays = [("tau_syn", form.current_decay)]
    if s.leak == "exponential":
        decays.append(("tau", form.decay))
    decays += [
        (f"{what} of {type(part).__name__}", dt / x.astype(np.float64))
        for part in [p for _, p in unit.node.rule.parts()]
        for what, counts, x in part.numbers()
        if counts == "time"
    ]
    for what, decay in decays:
        yield from _decay(name, what, decay, dt, s)


def _decay(name: str, what: str, decay: np.ndarray, dt: float, s: Settings) -> Iterator[Finding]:
    steps = np.rint(decay * 2**s.decay_bits)
    lost = (decay > 0) & (steps == 0)
    if lost.any():
        yield error(
            "EMULATOR-DECAY-ZERO",
            f"{what} of {dt / decay[lost].min():.4g} rounds to a decay of 0 a step",
            layer=name,
            why=f"decays have {s.decay_bits} bits",
            fix=f"set decay_bits to at least {_bits_for(decay[lost].min())}, or use a larger dt",
        )
        return
    off = np.max(np.abs(steps / 2**s.decay_bits - decay)[decay > 0] / decay[decay > 0], initial=0)
    if off > 0.01:
        yield warning(
            "EMULATOR-DECAY-COARSE",
            f"{what}: the {s.decay_bits}-bit decay is up to {off:.1%} off",
            layer=name,
            fix="more decay_bits, a larger dt or a smaller time constant round better",
        )


def _bits_for(decay: float) -> int:
    return int(np.ceil(-np.log2(decay)))


def _reset(unit: Unit, s: Settings) -> Iterator[Finding]:
    if unit.subtracts and s.reset == "value":
        yield error(
            "EMULATOR-RESET-SUBTRACT",
            "the neurons subtract their threshold when they spike",
            layer=unit.node.name,
            why="these settings only set the potential to a value",
            fix=f'set reset = "both" (or allow --allow {SubtractAsZeroReset.choice}, with '
            "--calibrate to know its cost)",
        )
    if not unit.subtracts and s.reset == "subtract":
        yield error(
            "EMULATOR-RESET-VALUE",
            "the neurons set their potential to a value when they spike",
            layer=unit.node.name,
            why="these settings only subtract the threshold",
            fix='set reset = "both", or train with a reset by subtraction',
        )


def _graded_loop(node: Population) -> Finding:
    return error(
        "EMULATOR-GRADED-LOOP",
        f"{node.kind} feeds itself, directly or through others",
        layer=node.name,
        why="how many units its payload counts would depend on itself",
        fix="train the loop with spiking neurons",
    )


def _delay(node: Delay, network: Network, view: Layers, s: Settings) -> Iterator[Finding]:
    faults = list(delay_faults(node, network.dt))
    yield from faults
    if node.name not in view.stops or faults or s.longest_delay is None:
        return
    longest = int(delay_steps(node, network.dt).max(initial=0))
    if longest > s.longest_delay:
        yield error(
            "EMULATOR-DELAY",
            f"a delay of {longest} steps; the longest is {s.longest_delay}",
            layer=node.name,
            fix=f"set longest_delay = {longest}, or use a larger dt",
        )
