"""A potential that is read becomes spikes that are counted. This is not exact.

An LI neuron follows its input: v is r x, seen through a filter of length tau. An IF neuron
with v += dt/tau r x that subtracts its threshold theta fires so often that each spike stands
for theta of it, so over any stretch of time

    sum of v dt/tau  ~  theta times the number of spikes

and a spike is worth theta tau/dt of the value. theta is the most that one event adds, a weight
times what the event is worth, or, where that is more, what a bias adds in a step: so an event
and a tick make at most one spike each, which is all that the chip has for them. What the layer
fed with its value is fed with spikes of their worth.

Values below 0 have no spikes, the filter is gone, and what is below theta waits. What is
below 0 waits as well, until as much has come above it: so the sum stays right where values
have both signs. A rectified LI forgets it, at the latest with its filter; here its potential stays
above -theta (or above what a bias takes in a step), which is one spike's worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.passes import Done, register
from nrf_deploy.compiler.passes.approximate import Approximate
from nrf_deploy.compiler.passes.base import Left, Outcome
from nrf_deploy.compiler.passes.graph_edits import fresh, insert_after, replace
from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.ir.capabilities import Accepts, accepted
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import (
    Array,
    Conv,
    Flatten,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Scale,
    SumPool,
    exact,
)
from nrf_deploy.neurons import Integrator, Leaky, Spikes, Value

RESTS = "its rest is not 0"


@register
@dataclass(frozen=True)
class RateCode(Approximate):
    """An LI that feeds other layers becomes an IF, whose spikes carry its value. The first layer
    comes first: what its spikes carry decides how coarse the next ones are."""

    name = "rate_code"
    choice = "rate-code"
    about = "spikes carry a value from layer to layer, as many as it is large"

    def at(self, network: Network, node: Node) -> Outcome:
        membrane = _follows(node)
        if membrane is None or not _feeds_on(network, node.name):
            return None
        if np.any(membrane.v_leak):
            return Left(RESTS)
        ready = (n for n in network.order if _rests_at_0(network[n]) and _feeds_on(network, n))
        if node.name != next(ready):
            return None
        neurons, worth = _counted(network, node.name)
        network = replace(network, neurons)
        scale = Scale(name=fresh(network, f"{node.name}.worth"), scale=worth)
        network = insert_after(network, node.name, scale)
        return Done(network, f"each spike carries {_told(worth)}")


@register
@dataclass(frozen=True)
class SpikeCount(Approximate):
    """An LI whose value leaves the model becomes an IF whose spikes the host counts."""

    name = "spike_count"
    choice = "spike-count"
    about = "the host counts spikes of the last layer instead of reading its potential"

    def at(self, network: Network, node: Node) -> Outcome:
        membrane = _follows(node)
        if membrane is None or _feeds_on(network, node.name):
            return None
        if np.any(membrane.v_leak):
            return Left(RESTS)
        neurons, worth = _counted(network, node.name)
        what = f"each spike stands for {_told(worth)} of the value, summed over the steps"
        return Done(replace(network, neurons), what)


FOLLOWS = (Accepts("counted", frozenset((Leaky,)), Value, frozenset(("rectified",))),)
"""Neurons whose value is their potential, as spikes can stand for it."""


def _follows(node: Node) -> Leaky | None:
    """Return the membrane of neurons whose value spikes can stand for."""
    if type(node) is not Population or accepted(node, FOLLOWS) is None:
        return None
    return node.membrane if type(node.membrane) is Leaky else None


def _rests_at_0(node: Node) -> bool:
    membrane = _follows(node)
    return membrane is not None and not np.any(membrane.v_leak)


def _counted(network: Network, name: str) -> tuple[Population, Array]:
    """Return the neurons whose spikes stand for the value, and what a spike is worth."""
    node, membrane = network[name], _follows(network[name])
    assert type(node) is Population
    assert membrane is not None
    share = network.dt / membrane.tau.astype(np.float64)
    drive = float((share * membrane.r).max())
    bias = constant(layers(network), name, neuron(node, network.dt))
    theta = max(drive * _largest(network, name), float(bias.max())) or drive
    floor = np.full(node.shape, -np.inf)
    if type(node.rule) is Value and node.rule.rectified:
        floor = np.minimum(-theta, bias)
    worth = theta / share
    rule = Spikes(
        threshold=np.full(node.shape, theta),
        reset_to=np.zeros(node.shape),
        reset="subtract",
        fires="at",
        per_step="many",
        floor=floor,
        worth=worth,
    )
    integrator = Integrator(r=membrane.r / membrane.tau.astype(np.float64))
    return Population(name=name, membrane=integrator, rule=rule), worth


def _told(worth: Array) -> str:
    low, high = float(worth.min()), float(worth.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _largest(network: Network, name: str) -> float:
    """The most that one event adds to what arrives here; a direct connection adds the event.
    0 where events only take away: then no spike is ever counted, whatever the threshold."""
    found = 0.0
    for source in network.sources(name):
        node = network[source]
        if exact(node, Conv, Linear):
            weight = float(node.weight.max(initial=0))
            found = max(found, *(weight * _carried(network, s) for s in network.sources(source)))
        else:
            found = max(found, _carried(network, source))
    return found


def _carried(network: Network, name: str) -> float:
    """What an event is worth when it leaves this node."""
    node = network[name]
    if not exact(node, Scale, Flatten, SumPool):
        return 1.0
    factor = max(float(node.scale.max(initial=0)), 0.0) if exact(node, Scale) else 1.0
    return factor * max(_carried(network, s) for s in network.sources(name))


def _feeds_on(network: Network, name: str) -> bool:
    """Does anything but an Output hear it?"""
    return any(
        _feeds_on(network, t) if exact(network[t], Flatten) else True
        for t in network.targets(name)
        if not exact(network[t], Output)
    )
