"""Edges that lead back, closed as a Network closes them.

A Network finds the edges that close its cycles itself, and each carries one step of delay. What a
module takes from an earlier step must be such an edge; a signal of an earlier step that closes no
cycle goes through a Delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError, error, refuse
from nrf_deploy.ir.network import (
    Connection,
    Delay,
    Edge,
    LoopStart,
    Network,
    Population,
    gives_values,
)

from .called import unused

FIX = "start the signal that leads back with None, or with zeros, in all loops alike"


def closed(
    network: Network,
    lags: Mapping[Edge, int],
    start: Mapping[Edge, str],
    inner: Mapping[Edge, bool],
    pieces: Iterable[LoopStart],
) -> Network:
    """Return the network with its loops as the module has them; refuse other loops.

    Args:
        network: All nodes, and all edges in their order.
        lags: How many steps the source lies back, of edges between layers.
        start: How the module starts an edge with a lag: "bias", "zero" or both.
        inner: Edges inside a layer, and whether the layer means them to lead back.
        pieces: The starts of loops inside layers.
    """
    delayed = dict[Edge, int]()
    for _ in range(len(lags) + 1):
        trial = _with_delays(network, delayed)
        back = trial.back_edges
        more = {
            edge: lag - (edge in back)
            for edge, lag in lags.items()
            if edge not in delayed and lag > (edge in back)
        }
        if not more:
            break
        delayed |= more
    lags, delayed = _biases_before_delays(network, dict(lags), delayed, start)
    trial = _with_delays(network, delayed)
    wrong = [e for e, lag in lags.items() if not lag and e in back]
    wrong += [e for e, leads in inner.items() if leads != (e in back)]
    if wrong:
        source, target = wrong[0]
        raise TargetError(
            error(
                "EXPORT-LOOP",
                f"the loop through {source!r} and {target!r} is closed at another place than here",
                layer=target,
                why="the edge that closes a loop is found from the input on, and here it would be "
                "one that the module follows within a step",
                fix="let the input enter the loop at the layer that takes the spikes fed back",
            )
        )
    refuse(_values_back(trial), TargetError)
    led_back = {e: s for e, s in start.items() if lags.get(e)}
    return _started(trial, led_back, delayed, list(pieces))


def _biases_before_delays(
    network: Network, lags: dict[Edge, int], delayed: dict[Edge, int], start: Mapping[Edge, str]
) -> tuple[dict[Edge, int], dict[Edge, int]]:
    """Move a Delay in front of a connection that gives its bias while the Delay is empty."""
    moved = dict(delayed)
    for edge, steps in delayed.items():
        source, _ = edge
        private = network.targets(source) == (edge[1],) and isinstance(network[source], Connection)
        if start.get(edge) == "bias" and steps == lags[edge] and private:
            del moved[edge]
            lags[edge] = 0
            for before in network.sources(source):
                lags[before, source] = lags.get((before, source), 0) + steps
                moved[before, source] = lags[before, source]
    return lags, moved


def _with_delays(network: Network, delayed: Mapping[Edge, int]) -> Network:
    """Put a Delay into each of these edges."""
    nodes, names = list(network.nodes), {n.name for n in network.nodes}
    edges: list[Edge] = []
    for edge in network.edges:
        if (steps := delayed.get(edge, 0)) < 1:
            edges.append(edge)
            continue
        source, target = edge
        name = unused(f"{source}.delay", names)
        names.add(name)
        shape = network[source].shape
        nodes.append(Delay(name=name, delay=np.full(shape, steps * network.dt)))
        edges += [(source, name), (name, target)]
    return replace(network, nodes=tuple(nodes), edges=tuple(edges))


def _values_back(network: Network) -> Iterator[Finding]:
    """Yield a fault for each population whose value, not spikes, leads back."""
    for name in {n for source, _ in network.back_edges for n in _origins(network, source)}:
        node = network[name]
        if type(node) is Population and gives_values(node):
            yield error(
                "EXPORT-FEEDBACK",
                "its potential is fed back",
                layer=name,
                why="only spikes lead back: a potential has no first value that chips agree on",
                fix="feed back the spikes of a population",
            )


def _origins(network: Network, name: str) -> set[str]:
    """Return the populations before an edge, through all nodes without neurons."""
    reached: set[str] = set()
    ahead = [name]
    while ahead:
        here = ahead.pop()
        if here not in reached:
            reached.add(here)
            if type(network[here]) is not Population:
                ahead += network.sources(here)
    return reached


def _biased(network: Network, name: str) -> bool:
    """Return True if a connection between the spikes and this output adds a bias."""
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        here: Any = network[ahead.pop()]
        if here.name in seen or not isinstance(here, Connection):
            continue
        seen.add(here.name)
        bias = getattr(here, "bias", None)
        if bias is not None and bias.any():
            return True
        ahead += network.sources(here.name)
    return False


def _started(
    network: Network,
    start: Mapping[Edge, str],
    delayed: Mapping[Edge, int],
    pieces: Sequence[LoopStart],
) -> Network:
    """Set the start of the loops, where a bias stands in them; refuse a mixture."""
    wanted: dict[str, str] = dict.fromkeys(pieces, "inside a layer")
    for (source, target), kind in start.items():
        if not _biased(network, source):
            continue
        if kind == "bias" and (source, target) in delayed:
            kind = "bias/zero"
        wanted[kind] = f"from {source!r} to {target!r}"
    if len(wanted) > 1 or "bias/zero" in wanted:
        raise TargetError(
            error(
                "EXPORT-LOOP-START",
                f"loops start in different ways ({', '.join(wanted.values())})",
                why="before the first step all of them carry either their bias or zero",
                fix=FIX,
            )
        )
    chosen: Any = next(iter(wanted), "bias")
    return replace(network, loop_start=chosen)
