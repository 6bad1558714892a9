"""Spyx: a spike leaves one step late, and the potential loses the threshold when it leaves.

    s = 1 where v_before > th
    IF      v = v + x - s*th            LIF  v = beta*v + x - s*th
    CuBaLIF v = v - s*th;  i = alpha*i + x;  v = beta*v + i
    PSU_LIF v = beta*v + x, and s = 1 where v > th: no reset, and no delay

With the spike told where it arises, the reset of IF and LIF is one step late (reset "late") and
that of CuBaLIF is at once ("subtract"); a Delay of one step behind each layer of neurons tells it
where Spyx does. The exporter writes tau = dt/(1 - beta), r = beta, tau_syn = dt/(1 - alpha), with
w_in = 1 by default, in units in which dt is 1 unless the user gave another. So beta is r itself,
and dt = tau*(1 - r). Euler's step in the order "scaled" has d = beta and a gain of 1; r as NIR
defines it would be 1/(1 - beta). PSU_LIF is an LI (r = 1, beta = 1 - dt/tau) and a Threshold.

RIF, RLIF and RCuBaLIF are subgraphs whose edges lead from the input into the recurrent weights:
the input goes to the neurons, and the recurrent weights get their spikes, in the step in which they
leave: without the Delay.

Spyx has the channels of images last; its exporter writes convolutions and neurons with them first,
as NIR has them, and leaves Flatten and the columns of the Linear behind it: these are reordered.

Compiled by XLA a state may differ by up to 4e-6, since it fuses
multiplications and additions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.ir.network import Array, Delay, Edge, Flatten, Linear, Node, Population
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane

from ..graph import RawGraph, RawNode
from .base import (
    Clock,
    Defaults,
    Dialect,
    ForeignError,
    Mark,
    Values,
    agreed,
    decay_time,
    demand,
    double,
    field,
    rounded,
)

TIMES = {"IF": "", "LIF": "tau", "CubaLIF": "tau_mem", "LI": ""}
NAMES = re.compile(r"layer_\d+(_threshold|\.layer_\d+\.(lif|w_rec))?")


class Spyx(Dialect):
    """The reading of files that Spyx wrote."""

    name = "spyx"
    framework = "Spyx"
    rule = Defaults("late", "above")
    kinds = tuple(TIMES)
    means = (
        "a spike leaves one step late, at v > v_threshold, and v_threshold is subtracted when it "
        "leaves"
    )
    lost = (
        "dilation and groups of convolutions, how SumPool pads (SAME), and a last layer that its "
        "exporter does not know (such as LI)"
    )
    counts = True
    infinite = frozenset(("tau", "tau_mem"))

    def defaults(self, kind: str) -> Defaults:
        return Defaults("subtract", "above") if kind == "CubaLIF" else self.rule

    def own_step(self, nodes: Sequence[RawNode]) -> float | None:
        own = agreed([x for node in nodes for x in _steps(node)], self.framework)
        return 1.0 if own is None else own

    def membrane(self, kind: str, values: Values, clock: Clock) -> Membrane:
        if kind == "IF":
            demand(values, "r", 1, self.framework)
            return Integrator(r=np.full(values["r"].shape, 1 / clock.step))
        demand(values, "v_leak", 0, self.framework)
        if kind == "LI":
            demand(values, "r", 1, self.framework)
            beta = np.clip(rounded(1 - clock.file / double(values, "tau")), 0, 1)
        else:
            beta = _beta(values, TIMES[kind], clock)
        mem = decay_time(beta, clock.step)
        gain = mem / clock.step
        if kind != "CubaLIF":
            if (beta == 1).all():
                return Integrator(r=np.full(beta.shape, 1 / clock.step))
            return Leaky(tau=mem, r=gain, v_leak=values["v_leak"], order="scaled")
        demand(values, "w_in", 1, self.framework)
        alpha = np.clip(rounded(1 - clock.file / double(values, "tau_syn")), 0, 1)
        if (alpha == 1).any():
            raise ForeignError("alpha is 1: the current of these neurons never decays")
        syn = decay_time(alpha, clock.step)
        return CurrentLeaky(
            tau_syn=syn,
            tau_mem=mem,
            r=gain,
            v_leak=values["v_leak"],
            w_in=syn / clock.step,
            order="scaled",
        )

    def mark(self, graph: RawGraph) -> Mark | None:
        inside = [n for n in graph.nodes.values() if n.kind not in ("Input", "Output")]
        neurons = [n for n in inside if n.kind in TIMES]
        if not neurons or not all(NAMES.fullmatch(n.name) for n in inside):
            return None
        try:
            steps = agreed([x for n in neurons for x in _steps(n)], self.framework)
        except ForeignError:
            return None
        if steps is None:
            return Mark("likely", "nodes are called layer_N")
        return Mark("surely", "nodes are called layer_N, and r is 1 - dt/tau in every neuron")

    def mend(self, graph: RawGraph) -> None:
        edges = graph.edges
        for k, (source, target) in enumerate(edges):
            inner = graph.nodes[source].kind == "Input" and graph.nodes[source].inner
            if inner and target.endswith(".w_rec"):
                neurons = target.removesuffix("w_rec") + "lif"
                if (target, neurons) in edges and (neurons, target) in edges:
                    edges[k] = (source, neurons)

    def left_out(self, graph: RawGraph) -> Sequence[str]:
        """Return the missing numbers: layers are counted, and unknown ones are left out."""
        matches = [re.match(r"layer_(\d+)", name) for name in graph.nodes]
        numbers = {int(m[1]) for m in matches if m}
        return [f"layer_{n}" for n in range(max(numbers, default=0)) if n not in numbers]

    def finish(
        self, nodes: dict[str, Node], names: list[str], edges: list[Edge], clock: Clock
    ) -> tuple[list[str], list[Edge]]:
        _channels_first(nodes, edges)
        order: list[str] = []
        for name in names:
            order.append(name)
            node = nodes[name]
            if type(node) is not Population or not node.spikes:
                continue
            late = f"{name}.delay"
            while late in nodes:
                late += "_"
            nodes[late] = Delay(name=late, delay=np.full(node.shape, clock.step))
            order.append(late)
            back = {s for s, t in edges if t == name and type(nodes[s]) is Linear}
            edges = [(late, t) if s == name and t not in back else (s, t) for s, t in edges]
            edges.append((name, late))
        return order, edges


def _channels_first(nodes: dict[str, Node], edges: list[Edge]) -> None:
    """Reorder the columns of each Linear behind a Flatten of images; refuse other targets."""
    for source, name in edges:
        flat, node = nodes[source], nodes[name]
        if type(flat) is not Flatten or len(flat.input_shape) < 2:
            continue
        if type(node) is not Linear:
            raise InputError(
                error(
                    "NIR-FLATTEN",
                    "Spyx flattens images with their channels last, and only a Linear may follow",
                    layer=source,
                    fix="put a Linear behind Flatten",
                )
            )
        places = np.moveaxis(np.arange(math.prod(flat.shape)).reshape(flat.input_shape), 0, -1)
        weight = np.empty_like(node.weight)
        weight[:, places.ravel()] = node.weight
        nodes[name] = replace(node, weight=weight)


def _steps(node: RawNode) -> list[Array]:
    """Return the length of a step that the parameters of one node imply."""
    if not TIMES.get(node.kind):
        return []
    tau, r = field(node, TIMES[node.kind]), field(node, "r")
    if tau is None or r is None or tau.shape != r.shape:
        return []
    finite = np.isfinite(tau) & (r < 1)
    return [tau[finite] * (1 - r[finite])] if finite.any() else []


def _beta(values: Values, tau: str, clock: Clock) -> Array:
    """Return beta, which is r; refuse neurons whose time constant is of another beta."""
    beta = double(values, "r")
    off = ~np.isclose(beta, 1 - clock.file / double(values, tau), rtol=0, atol=1e-5)
    if off.any() or (beta < 0).any() or (beta > 1).any():
        where = off | (beta < 0) | (beta > 1)
        raise ForeignError(f"r is {beta[where].flat[0]:g}; Spyx writes 1 - dt/{tau}")
    return rounded(beta)
