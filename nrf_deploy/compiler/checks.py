"""Checks that several chips share: one function for each finding.

A finding's code is the chip's prefix and the word here: `all_zero("LOIHI", link)` reports
LOIHI-ALL-ZERO. Facts about a chip are arguments: its limits, its reasons, its ways out. A check of
rounding takes the numbers of the model and the integers that the chip holds, which one function
of the target makes: a second formula for the same integer could disagree with the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error, info, warning
from nrf_deploy.diagnostics.text import several
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import Array, Network, Node, Output, Population

from .quantize.signal_bounds import FEW_LEVELS, in_a_loop

COARSE_DECAY = 0.01
"""A relative error of a decay above which a warning is due."""


def no_population(prefix: str, layer: str, what: str, why: str, fix: str) -> Finding:
    """Return the refusal of a connection that does not end in neurons."""
    return error(f"{prefix}-NO-POPULATION", what, layer=layer, why=why, fix=fix)


def without_neurons(
    prefix: str, network: Network, view: Layers, why: str, fix: str
) -> Iterator[Finding]:
    """Refuse every connection that leads to an output, or to no single population."""
    for name in view.loose:
        what = "the connection does not lead from a signal to one population of neurons"
        yield no_population(prefix, name, what, why, fix)
    for link in view.links:
        if outputs := [t for t in link.targets if type(network[t]) is Output]:
            names = ", ".join(map(repr, outputs))
            what = f"the connection leads to the output {names} without neurons"
            yield no_population(prefix, link.name, what, why, fix)


def all_zero(prefix: str, link: Link) -> Iterator[Finding]:
    """Refuse a connection of which every weight is 0 in the model."""
    weight = getattr(link.node, "weight", None)
    if weight is not None and not np.any(weight):
        yield error(
            f"{prefix}-ALL-ZERO",
            "every weight is 0",
            layer=link.name,
            why="the layer can never pass anything on",
            fix="check that the weights were loaded; remove the layer if it is intended",
        )


def loops(
    prefix: str, view: Layers, latency: Mapping[str, int], machine: str, fix: str
) -> Iterator[Finding]:
    """Refuse every loop that takes more steps on the machine than the one of the model.

    Args:
        prefix: The prefix of the chip's codes.
        view: The layers of the network.
        latency: Steps by which each stop is later than in the model.
        machine: The machine in words, such as "the chip".
        fix: How to avoid it.
    """
    for link in view.links:
        for target in link.targets if link.back else ():
            late = latency[link.source] - latency[target] - link.delay
            if late > 0:
                yield back(
                    prefix,
                    link,
                    repr(target),
                    f"is {several(late, 'step')} too long",
                    why=f"each layer of connections in the loop takes a step on {machine}, while "
                    "the model waits one step in the whole loop",
                    fix=fix,
                )


def back(prefix: str, link: Link, targets: str, fault: str, why: str, fix: str) -> Finding:
    """Return the refusal of a connection that closes a loop."""
    what = f"the connection back from {link.source!r} to {targets} {fault}"
    return error(f"{prefix}-LOOP", what, layer=link.name, why=why, fix=fix)


def delay(
    prefix: str, layer: str, steps: int, longest: int, why: str, fix: str, unit: str = "steps"
) -> Iterator[Finding]:
    """Refuse a delay of more steps than the longest one of the chip."""
    if steps > longest:
        what = f"the delay is {steps} steps; expected at most {longest} {unit}"
        yield error(f"{prefix}-DELAY", what, layer=layer, why=why, fix=fix)


def kind(prefix: str, node: Node, chip: str, fix: str, why: str = "") -> Finding:
    """Return the refusal of a node of which the chip has no exact form."""
    what = f"{node.kind} has no exact form on {chip}"
    return error(f"{prefix}-KIND", what, layer=node.name, why=why, fix=fix)


def drive(prefix: str, layer: str, adds: Array) -> Iterator[Finding]:
    """Refuse neurons whose potential does not rise by a positive input.

    Args:
        prefix: The prefix of the chip's codes.
        layer: The population.
        adds: Per neuron, what an input of 1 adds to v in a step.
    """
    if np.any(adds <= 0):
        yield error(
            f"{prefix}-DRIVE",
            f"an input of 1 adds {adds.min():.4g} to v; expected more than 0",
            layer=layer,
            why="weights and thresholds are scaled by it",
            fix="make r (and w_in) positive and put the sign into the weights",
        )


def reset_subtract(prefix: str, layer: str, why: str, fix: str) -> Finding:
    """Return the refusal of a reset by subtraction."""
    what = "the neurons subtract their threshold when they spike"
    return error(f"{prefix}-RESET-SUBTRACT", what, layer=layer, why=why, fix=fix)


def reset_value(prefix: str, layer: str, to: str, why: str, fix: str) -> Finding:
    """Return the refusal of a reset to a value."""
    what = f"the neurons set their potential to {to} when they spike"
    return error(f"{prefix}-RESET-VALUE", what, layer=layer, why=why, fix=fix)


def graded_loop(prefix: str, node: Population, network: Network) -> Iterator[Finding]:
    """Refuse neurons that send their potential and lie in a loop."""
    if in_a_loop(network, node.name):
        yield error(
            f"{prefix}-GRADED-LOOP",
            f"{node.kind} feeds itself, directly or through others",
            layer=node.name,
            why="the number of units that its payload counts would depend on itself",
            fix="train the loop with spiking neurons",
        )


def graded_units(prefix: str, layer: str, behind: str) -> Finding:
    """Return the refusal of payloads of several units before shared weights."""
    return error(
        f"{prefix}-GRADED-UNITS",
        "its neurons differ, and so would the units of their payloads",
        layer=layer,
        why=f"the neurons behind {behind!r} share weights",
        fix="use one tau and r per channel in this layer",
    )


def graded_sum(prefix: str, layer: str) -> Finding:
    """Return the refusal of a sum of payloads and other signals without weights."""
    return error(
        f"{prefix}-GRADED-UNITS",
        "potentials meet other signals in a pool or a delay",
        layer=layer,
        why="payloads of different units cannot be added without weights",
        fix="put neurons where they meet",
    )


def cores(prefix: str, need: str, chip: str, limit: int, why: str, fix: str) -> Finding:
    """Return the refusal of a program that needs more cores than the chip has."""
    return error(f"{prefix}-CORES", f"{need}; {chip} has {limit}", why=why, fix=fix)


def decays(
    prefix: str,
    layer: str,
    name: str,
    decay: Array,
    integers: Array,
    bits: int,
    dt: float,
    *,
    option: str | None = None,
    anchored: bool = False,
) -> Iterator[Finding]:
    """Report a decay that is lost, or more than 1 % off.

    Args:
        prefix: The prefix of the chip's codes.
        layer: The population.
        name: The time constant in words.
        decay: Per neuron, the part that the model loses in a step.
        integers: Per neuron, the part that the chip loses, in units of 1 / 2**bits.
        bits: Bits of a decay.
        dt: The time of a step.
        option: The setting that gives a decay more bits, where there is one.
        anchored: The decay follows from the slowest one of its ladder.
    """
    leaks = decay > 0
    lost = leaks & (integers == 0)
    limit = 2.0 ** -(bits + 1)
    if lost.any():
        least = float(decay[lost].min())
        ways = [f"set {option} to at least {int(np.ceil(-np.log2(least)))}"] if option else []
        yield error(
            f"{prefix}-DECAY-ZERO",
            f"{name} of {dt / least:.4g} rounds to a decay of 0 a step",
            layer=layer,
            why=f"decays have {bits} bits: a leak below {limit:.4g} a step is lost",
            fix=", ".join([*ways, f"use {name} below {dt / limit:.4g}, or a larger dt"]),
        )
        return
    error_of = np.abs(integers / 2.0**bits - decay)[leaks] / decay[leaks]
    if (off := float(error_of.max(initial=0))) > COARSE_DECAY:
        why = f"a decay is an integer multiple of 1/{2**bits} a step"
        ladder = ', with decay = "anchored"' if anchored else ""
        yield warning(
            f"{prefix}-DECAY-COARSE",
            f"{name}: the {bits}-bit decay is up to {off:.1%} off{ladder}",
            layer=layer,
            why=why,
            fix=(f"more {option}, " if option else "")
            + "a larger dt or a smaller time constant rounds better",
        )


def threshold_lost(
    prefix: str, layer: str, threshold: Array, integers: Array, unit: float, fix: str
) -> Iterator[Finding]:
    """Refuse thresholds above 0 that the chip holds as 0.

    Args:
        prefix: The prefix of the chip's codes.
        layer: The population.
        threshold: Per neuron, in the units of v.
        integers: Per neuron, what the chip holds.
        unit: Integer units of one unit of v.
        fix: How to avoid it.
    """
    lost = (threshold > 0) & (integers == 0)
    if lost.any():
        yield error(
            f"{prefix}-THRESHOLD-LOST",
            f"a threshold of {threshold[lost].min():.4g} rounds to 0",
            layer=layer,
            why=f"one unit of v is {unit:.4g} integer units here",
            fix=fix,
        )


def biases_lost(
    prefix: str, layer: str, exact: Array, integers: Array, fix: str, per: str = "step"
) -> Iterator[Finding]:
    """Warn of biases that the chip holds as 0.

    Args:
        prefix: The prefix of the chip's codes.
        layer: The population.
        exact: Per neuron, the bias in integer units before it is rounded.
        integers: Per neuron, what the chip holds.
        fix: How to avoid it.
        per: What a bias is added in.
    """
    lost = (exact != 0) & (integers == 0)
    if lost.any():
        yield warning(
            f"{prefix}-BIAS-LOST",
            f"{int(lost.sum())} of {int((exact != 0).sum())} biases round to 0",
            layer=layer,
            why=f"the largest of them is {np.abs(exact[lost]).max():.3g} integer units a {per}",
            fix=fix,
        )


def weights_lost(
    prefix: str, layer: str, floats: Array, integers: Array, why: str, fix: str
) -> Iterator[Finding]:
    """Refuse a connection of which every weight rounds to 0."""
    if not integers.any():
        what = f"every weight rounds to 0; the largest is {np.abs(floats).max():.4g}"
        yield error(f"{prefix}-ALL-ZERO", what, layer=layer, why=why, fix=fix)


def relative_error(floats: Array, rounded: Array) -> float:
    """Return the norm of the difference over the norm of `floats`."""
    return float(np.linalg.norm(rounded - floats)) / max(float(np.linalg.norm(floats)), 1e-300)


def weights(
    prefix: str,
    layer: str,
    integers: Array,
    off: float,
    clipped: int | None = None,
    more: str = "",
) -> Finding:
    """Return what rounding did to the weights of a connection.

    Args:
        prefix: The prefix of the chip's codes.
        layer: The connection.
        integers: The weights that the chip holds.
        off: Their relative error.
        clipped: The number of weights beyond the grid, where weights can be.
        more: Further facts about the integers.
    """
    edge = "" if clipped is None else f", {clipped} end at the edge of the grid"
    return info(
        f"{prefix}-WEIGHTS",
        f"{int(np.abs(integers).max())} is the largest of its integer weights, "
        f"{int((integers == 0).sum())} of {integers.size} are 0{edge}; off by {off:.2%}{more}",
        layer=layer,
    )


def payload(
    prefix: str, layer: str, levels: float, why: str, fix: str, sent: str = ""
) -> Iterator[Finding]:
    """Report the payloads of neurons that send their potential.

    Args:
        prefix: The prefix of the chip's codes.
        layer: The population.
        levels: The largest payload.
        why: What payloads share their bits with.
        fix: How to make payloads finer.
        sent: The payload in words, where it is of interest even if it is fine enough.
    """
    what = f"payloads up to {levels:.4g}"
    what = f"sends {sent}: {what}" if sent else f"sends {what}"
    if levels < FEW_LEVELS:
        what += " tell few values apart"
        yield warning(f"{prefix}-PAYLOAD", what, layer=layer, why=why, fix=fix)
    elif sent:
        yield info(f"{prefix}-PAYLOAD", what, layer=layer)


def fit(prefix: str, layer: str, measured: str, spikes: int, more: str = "") -> Finding:
    """Return how the integers do on the calibration data, against the model's spikes."""
    what = f"{measured} for the model's {spikes:,} spikes on the calibration data{more}"
    return info(f"{prefix}-FIT", what, layer=layer)
