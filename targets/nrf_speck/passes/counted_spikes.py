"""Approximate rewrites of a potential that is read to spikes that are counted.

An LI neuron follows its input: v is r x after a filter of length tau. An IF neuron with
v += dt/tau r x that subtracts its threshold theta emits one spike per theta, so over any period

    sum of v dt/tau  ~  theta times the number of spikes

and a spike is worth theta tau/dt of the value. theta is the largest amount that one event adds
(a weight times the worth of the event) or, if that is larger, that a bias adds in a step: an
event and a tick then cause at most one spike each, which is the limit of the chip. The targets
of the layer receive spikes of this worth instead of its value.

Values below 0 cause no spikes, the filter is lost, and amounts below theta stay in the
potential. Negative amounts stay there too, until positive ones cancel them: the sum is therefore
right for values of both signs. A rectified LI loses them, at the latest with its filter; here its
potential stays above -theta (or above the amount that a bias subtracts in a step), the worth of
one spike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.passes import Done, register
from nrf_deploy.compiler.passes.approximate import Approximate
from nrf_deploy.compiler.passes.base import Left, Outcome
from nrf_deploy.compiler.passes.graph_edits import fresh, insert_after, replace
from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.neuron import linear_features, neuron
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
    """Rewrite of an LI that feeds other layers to an IF whose spikes carry its value.

    Layers are rewritten in order, since the worth of their spikes determines the next theta.
    """

    name = "rate_code"
    choice = "rate-code"
    about = "the number of spikes carries a value from layer to layer"

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
        return Done(network, f"each spike carries {_range(worth)}")


@register
@dataclass(frozen=True)
class SpikeCount(Approximate):
    """Rewrite of an LI whose value leaves the model to an IF whose spikes the host counts."""

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
        what = f"each spike stands for {_range(worth)} of the value, summed over the steps"
        return Done(replace(network, neurons), what)


FOLLOWS = (
    Accepts(
        "counted",
        frozenset((Leaky,)),
        Value,
        linear_features((Leaky,), Value) | {"rectified"},
    ),
)
"""Neurons whose value is their potential, which spikes can represent."""


def _follows(node: Node) -> Leaky | None:
    """Return the membrane of neurons whose value spikes can represent."""
    if type(node) is not Population or accepted(node, FOLLOWS) is None:
        return None
    return node.membrane if type(node.membrane) is Leaky else None


def _rests_at_0(node: Node) -> bool:
    membrane = _follows(node)
    return membrane is not None and not np.any(membrane.v_leak)


def _counted(network: Network, name: str) -> tuple[Population, Array]:
    """Return the neurons whose spikes represent the value, and the worth of a spike."""
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
    integrator = Integrator(r=membrane.r / membrane.tau.astype(np.float64), v0=membrane.v0)
    return Population(name=name, membrane=integrator, rule=rule), worth


def _range(worth: Array) -> str:
    low, high = float(worth.min()), float(worth.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _largest(network: Network, name: str) -> float:
    """Return the largest input that one event causes; a direct connection adds the event.

    Return 0 if events only subtract: then no spike is counted, whatever the threshold.
    """
    largest = 0.0
    for source in network.sources(name):
        node = network[source]
        if exact(node, Conv, Linear):
            weight = float(node.weight.max(initial=0))
            largest = max(
                largest, *(weight * _carried(network, s) for s in network.sources(source))
            )
        else:
            largest = max(largest, _carried(network, source))
    return largest


def _carried(network: Network, name: str) -> float:
    """Return the worth of an event at the output of this node."""
    node = network[name]
    if not exact(node, Scale, Flatten, SumPool):
        return 1.0
    factor = max(float(node.scale.max(initial=0)), 0.0) if exact(node, Scale) else 1.0
    return factor * max(_carried(network, s) for s in network.sources(name))


def _feeds_on(network: Network, name: str) -> bool:
    """Return whether a node has targets other than an Output."""
    return any(
        _feeds_on(network, t) if exact(network[t], Flatten) else True
        for t in network.targets(name)
        if not exact(network[t], Output)
    )
