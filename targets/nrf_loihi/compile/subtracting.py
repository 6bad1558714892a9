"""Resets by subtraction, and neurons without a reset, on a chip that resets to 0.

The chip resets v, and keeps u. So u integrates in place of v, and v mirrors it: with
du = 4096 k - 1, dv = 4095 and the same input

    u' = trunc(u (4095 - du) / 4096) + 64 (a - c s)      s: the spike of the step before
    v' = trunc(v / 4096) + u'                            a spike where v' > 64 vth, then v' = 0

A synapse of each neuron to itself holds -c. It takes one step, as every synapse does, and that is
when the subtraction is due:

    reset      model, with d = 1 - k and an amount w              c
    late       v' = d v + x - w s                                 w
    subtract   v' = d (v - w s) + x                               d w
    none       v' = d v + x                                       none

What it loses: 1/4096 of v stays in v, so that it is up to |v|/4096 above u, and u is cut to
64ths in each step. The largest memory of a current is du = 0: an integrator forgets 1/4096 of
itself in each step. Biases and resting drive must arrive as inputs do (constant_input.py).

A current does not end at 24 bits, it wraps. So its range decides the gain: it is bounded by the
weights and the leak, and by MARGIN times what the model's potential reaches on the calibration
data. The smaller one counts.

Where a filter needs the current (CurrentLeaky) there is no such form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.compiler.quantize.signal_bounds import Reach, through, weight_of
from nrf_deploy.compiler.quantize.signals import ELEMENTS
from nrf_deploy.diagnostics.findings import Finding, error, info, warning
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import Array, Network, Node, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Integrator, Leaky, Spikes

from ..chip import DECAY_BITS, STATE_LIMIT, STATE_SHIFT

SUBTRACTS = frozenset(("subtract", "late"))
RESETS = SUBTRACTS | {"none"}
WHOLE = 1 << DECAY_BITS
AT = -(2**STATE_SHIFT - 1)
"""The bias with which v - 64 < 64 vth becomes v <= 64 vth: a spike at the threshold itself."""


def mirrors(node: Node) -> bool:
    """Return True for neurons whose current integrates in place of their potential."""
    if type(node) is not Population or type(node.rule) is not Spikes:
        return False
    rule = node.rule
    plain = rule.reset in RESETS and rule.refractory is None
    return plain and type(node.membrane) in (Integrator, Leaky)


def kept(params: Mapping[str, Array | int]) -> Array:
    """Return the part of a current that stays in a step, in 4096ths."""
    return np.asarray(WHOLE - 1 - np.asarray(params["du"]))


def taken(node: Population, params: Mapping[str, Array | int], scale: Array) -> Array:
    """Return what a spike takes off in the step behind it (the c above), in whole weight units."""
    return np.asarray(np.rint(exactly_taken(node, params, scale)).astype(np.int64))


def exactly_taken(node: Population, params: Mapping[str, Array | int], scale: Array) -> Array:
    """Return what a spike takes off in the step behind it, in weight units and not rounded.

    Args:
        node: The population.
        params: `du` as the chip holds it.
        scale: Weight units of one unit of the potential.
    """
    rule = node.rule
    if not mirrors(node) or type(rule) is not Spikes or rule.reset not in SUBTRACTS:
        return np.zeros(node.shape)
    amount = amount_of(node) * scale
    return np.asarray(amount * (kept(params) / WHOLE) if rule.reset == "subtract" else amount)


def threshold_and_bias(node: Population, wanted: Array) -> tuple[Array, Array]:
    """Return vth and the bias of mirrored neurons, for a threshold in weight units.

    Integrators meet their threshold in whole units, and lose less than one before they are
    there: at fires one unit lower. With a leak, v counts 64ths, and a bias moves the test by
    all but one of them.
    """
    rule = node.rule
    assert type(rule) is Spikes
    nearest = np.rint(wanted).astype(np.int64)
    none = np.zeros_like(nearest)
    if rule.fires == "above":
        return nearest, none
    if type(node.membrane) is Integrator:
        return np.ceil(wanted * (1 - 1e-9)).astype(np.int64) - 1, none
    return nearest - 1, none + AT


# --- the range of the current --------------------------------------------------------


def reaches(
    network: Network,
    view: Layers,
    forms: Mapping[str, Neuron],
    rates: Mapping[str, Mapping[str, Array | int]],
    arrives: Mapping[str, Array],
    peaks: Mapping[str, Array],
    calibration: Recording | None,
) -> dict[str, Reach]:
    """Return how far the potential of each mirrored population can go, in the model's units.

    Args:
        network: The legalised network.
        view: Its layers.
        forms: The neurons in floats.
        rates: du of each population.
        arrives: The constant input of each, in the units of weighted inputs.
        peaks: What each stop sends at most.
        calibration: Typical data, or None.
    """
    nodes = [n for n in network.of(Population) if n.name in forms and mirrors(n)]
    seen = _seen(network, nodes, calibration)
    ranges = {}
    for node in nodes:
        form, amount = forms[node.name], amount_of(node)
        totals = []
        for sign in (1, -1):
            total = np.maximum(sign * arrives[node.name], 0)
            for link in view.into(node.name):
                sums = _one_sided(network, link, peaks[link.source], sign)
                total = total + sums.reshape(node.shape)
            totals.append(total)
        leak = 1 - kept(rates[node.name]) / WHOLE
        steady = form.drive * np.maximum(*totals) / leak
        bound = np.maximum(steady, np.abs(form.first)) + amount
        largest = seen.get(node.name)
        ranges[node.name] = Reach(bound, None if largest is None else largest + amount.max())
    return ranges


def amount_of(node: Population) -> Array:
    """Return what a spike subtracts, in the units of the potential."""
    rule = node.rule
    assert type(rule) is Spikes
    amount = rule.taken if rule.reset in SUBTRACTS else np.zeros(())
    return np.broadcast_to(np.asarray(amount, np.float64), node.shape)


def _one_sided(network: Network, link: Link, peak: Array, sign: int) -> Array:
    """Return the largest sums of one sign; only spikes are known not to be negative."""
    source = network[link.source]
    spikes = type(source) is Population and source.spikes
    if not spikes or weight_of(link).size == 1:
        return through(link, peak)
    return through(link, peak, np.maximum(sign * weight_of(link), 0))


def _seen(
    network: Network, nodes: list[Population], calibration: Recording | None
) -> dict[str, float]:
    """Return the largest |v| of each population on the data, cut like those of a fit."""
    if calibration is None or not nodes:
        return {}
    names, largest = [n.name for n in nodes], sum(int(np.prod(n.shape)) for n in nodes)
    steps = min(calibration.steps, max(16, ELEMENTS // largest))
    trace = run(network, calibration, record=[], states=names, steps=steps)
    return {n: float(np.abs(trace.states[n]["v"]).max(initial=0)) for n in names}


def unbounded(node: Population, reach: Reach) -> Iterator[Finding]:
    """Refuse an integrator whose current has no bound, where no data show its range."""
    if type(node.membrane) is Integrator and reach.seen is None:
        yield error(
            "LOIHI-RESET-UNBOUNDED",
            "the potential can grow for ever, and its range is not known",
            layer=node.name,
            why="the current holds it here, which wraps at 2^23 and starts again at the other "
            "end; without a leak no gain is small enough for every input",
            fix="give typical input of full length with --calibrate, or use neurons with a leak",
        )


def mirrored_as(
    node: Population, params: Mapping[str, Array | int], scale: Array, reach: Reach
) -> Finding:
    """Return how the reset is done, and what it costs.

    Args:
        node: The population.
        params: `du` as the chip holds it.
        scale: 64ths of a weight unit in one unit of the potential.
        reach: The range of the potential.
    """
    amounts = taken(node, params, scale / 2**STATE_SHIFT)
    how = "the current integrates, and the potential mirrors it to 1/4096"
    if amounts.any():
        how += f"; a synapse of each neuron to itself takes off up to {amounts.max()} units"
    if type(node.membrane) is Integrator:
        how += "; the current forgets 1/4096 of itself a step, the least that it can"
    shown = reach.bound if reach.seen is None else np.full(node.shape, reach.seen)
    room = STATE_LIMIT / max(float((scale * shown).max()), 1.0)
    on = "the bound" if reach.seen is None else "the data"
    what = f"{how}. |v| is {reach}; the current wraps at {room:.3g} times {on}"
    if type(node.membrane) is Integrator and reach.seen is not None:
        return warning(
            "LOIHI-RESET-MIRRORED",
            what,
            layer=node.name,
            why="an integrator has no bound: a longer or stronger input than the one of "
            "--calibrate can wrap it, and it then spikes without end",
            fix="calibrate on input as long and as strong as any that the chip will get",
        )
    return info("LOIHI-RESET-MIRRORED", what, layer=node.name)
