"""Networks to rewrite, and what they mean, written apart from the code under test.

Weights are small dyadic numbers, so that every sum here and in the rewrites is exact in
float64 and results can be compared with `==`.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import Pass
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.network import (
    IF,
    LI,
    LIF,
    Array,
    AvgPool,
    Connection,
    Conv,
    CubaLI,
    CubaLIF,
    Delay,
    Flatten,
    I,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Pool,
    Population,
    Scale,
    SumPool,
    Threshold,
)
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky

# --- what a network means ----------------------------------------------------


def meaning(network: Network, signal: Array) -> dict[str, Array]:
    """Return the input of each population (times its input factor) and Output, step by step.

    A population passes its input on, so that everything after it is tested too; the neurons
    are not part of a connection.
    """
    last = _silent(network)
    past: dict[str, list[Array]] = {n.name: [] for n in network.nodes}
    told: dict[str, list[Array]] = {n.name: [] for n in network.of(Population, Output, Threshold)}
    for frame in signal:
        now: dict[str, Array] = {}
        for name in network.order:
            node = network[name]
            x = np.zeros(node.input_shape)
            for s in network.sources(name):
                x = x + (last[s] if (s, name) in network.back_edges else now[s])
            now[name] = frame if isinstance(node, Input) else _value(node, x, past[name])
            past[name].append(x)
            if name in told:
                told[name].append(now[name])
        last = now
    return {name: np.array(values) for name, values in told.items()}


def _silent(network: Network) -> dict[str, Array]:
    """Return the feedback before the first step: a connection without a spike gives its biases."""
    given: dict[str, Array] = {n.name: np.zeros(n.shape) for n in network.nodes}
    if network.loop_start == "bias":
        for _ in network.nodes:  # a value has come through every way of connections by then
            for node in network.of(Connection):
                x = sum((given[s] for s in network.sources(node.name)), np.zeros(node.input_shape))
                given[node.name] = _value(node, x, [])
    return given


def _value(node: Node, x: Array, past: list[Array]) -> Array:
    if isinstance(node, Linear):
        return node.weight @ x + (0 if node.bias is None else node.bias)
    if isinstance(node, Conv):
        return convolved(node, x)
    if isinstance(node, Pool):
        return pooled(node, x)
    if isinstance(node, Flatten):
        return x.reshape(node.shape)
    if isinstance(node, Scale):
        return node.scale * x
    if isinstance(node, Delay):
        steps = int(node.delay.flat[0])
        return past[-steps] if len(past) >= steps else np.zeros(node.shape)
    if isinstance(node, Threshold):
        return (x > node.threshold).astype(float)
    if type(node) is Population and type(node.membrane) is CurrentLeaky:
        return node.membrane.w_in * x
    if type(node) is Population:
        assert type(node.membrane) in (Integrator, Leaky)
        return node.membrane.r * x  # type: ignore[attr-defined]
    return x


def convolved(conv: Conv, x: Array) -> Array:
    """Convolve by the definition, one output at a time."""
    padded = np.pad(x, ((0, 0), *conv.padding))
    y = np.zeros(conv.shape)
    part = conv.weight.shape[1]
    per_group = conv.weight.shape[0] // conv.groups
    for o, *at in np.ndindex(conv.shape):
        first = o // per_group * part
        for tap in np.ndindex(conv.kernel):
            place = tuple(a * s + t * d for a, s, t, d in
                          zip(at, conv.stride, tap, conv.dilation, strict=True))  # fmt: skip
            y[o, *at] += conv.weight[o, :, *tap] @ padded[first : first + part, *place]
    if conv.bias is not None:
        full = conv.bias.ndim > 1
        y += conv.bias if full else conv.bias.reshape(-1, *(1,) * len(conv.kernel))
    return y


def pooled(pool: Pool, x: Array) -> Array:
    padded = np.pad(x, ((0, 0), *pool.padding))
    y = np.zeros(pool.shape)
    for c, *at in np.ndindex(pool.shape):
        seen = tuple(slice(a * s, a * s + k) for a, s, k in
                     zip(at, pool.stride, pool.window, strict=True))  # fmt: skip
        y[c, *at] = padded[c, *seen].mean() if isinstance(pool, AvgPool) else padded[c, *seen].sum()
    return y


# --- small pieces -------------------------------------------------------------


def dyadic(shape: tuple[int, ...], seed: int, steps: int = 1) -> Array:
    """Draw integers -3 .. 3 over `steps` (a power of two); never all zero."""
    values = np.random.default_rng(seed).integers(-3, 4, shape)
    values.flat[0] = 1 + seed % 3
    return values / steps


def signal(network: Network, seed: int = 0, steps: int = 3) -> Array:
    (given,) = network.of(Input)
    return np.random.default_rng(seed).integers(-2, 3, (steps, *given.shape)).astype(float)


def lif(name: str, shape: tuple[int, ...], **more: Any) -> Population:
    full = {
        k: np.full(shape, v)
        for k, v in {
            "tau": 2.0,
            "r": 1.0,
            "v_leak": 0.0,
            "v_threshold": 1.0,
            "v_reset": 0.0,
        }.items()
    }
    return LIF(name=name, **(full | more))  # fmt: skip


def population(kind: Callable[..., Population], name: str, shape: tuple[int, ...]) -> Population:
    given = {"tau": 2.0, "tau_syn": 2.0, "tau_mem": 2.0, "w_in": 2.0, "v_threshold": 1.0,
             "v_reset": 0.0, "v_leak": 0.0, "r": 1.0}  # fmt: skip
    fields = inspect.signature(kind).parameters.keys() & given.keys()
    return kind(name=name, **{f: np.full(shape, given[f]) for f in fields})


POPULATIONS = (LIF, LI, IF, I, CubaLI, CubaLIF)


def conv(name: str, weight: Array, size: tuple[int, ...], **more: Any) -> Conv:
    axes = len(size)
    plain = {"stride": (1,) * axes, "padding": ((0, 0),) * axes, "dilation": (1,) * axes}
    return Conv(name=name, weight=weight, input_size=size, **(plain | more))


def batch_norm(name: str, shape: tuple[int, ...], seed: int = 0) -> Conv:
    ones = (1,) * (len(shape) - 1)
    return conv(name, dyadic((shape[0], 1, *ones), seed, 2), shape[1:], groups=shape[0],
                bias=dyadic((shape[0],), seed + 1, 4))  # fmt: skip


def flatten(name: str, shape: tuple[int, ...]) -> Flatten:
    return Flatten(name=name, flat_input=shape, start=0, end=-1)


def chain(*nodes: Node, extra: tuple[tuple[str, str], ...] = ()) -> Network:
    """Build Input, the nodes in a row, and an Output; `extra`: further edges."""
    ends = (
        Input(name="in", port_shape=nodes[0].input_shape),
        *nodes,
        Output(name="out", port_shape=nodes[-1].shape),
    )
    names = [n.name for n in ends]
    return Network(nodes=ends, edges=(*itertools.pairwise(names), *extra), dt=1.0)


def graph(nodes: tuple[Node, ...], *edges: str) -> Network:
    """Build a network from edges such as "a b"."""
    pairs = tuple((e.split()[0], e.split()[1]) for e in edges)
    return Network(nodes=nodes, edges=pairs, dt=1.0)


# --- what tests say ------------------------------------------------------------


def kinds(network: Network) -> list[str]:
    return [n.kind for n in network.nodes]


def same(before: Network, after: Network, given: Array | None = None) -> bool:
    given = signal(before) if given is None else given
    a, b = meaning(before, given), meaning(after, given)
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def left(findings: list[Finding]) -> Mapping[str, str]:
    """Return the reasons why layers were not rewritten, by layer."""
    return {str(f.layer): f.why for f in findings if f.severity == "warning"}


def rewritten(rewrite: Pass, network: Network) -> Network:
    """Return the result of a pass that changes something and leaves no layer unchanged."""
    after, findings = rewrite.apply(network)
    assert not left(findings)
    assert after is not network
    assert {f.severity for f in findings} == {"info"}
    return after


# --- random geometry ------------------------------------------------------------

seeds = st.integers(0, 2**16)


@st.composite
def sizes(draw: st.DrawFn, low: int = 3, high: int = 7) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(low, high), min_size=1, max_size=2)))


@st.composite
def convs(draw: st.DrawFn, name: str, shape: tuple[int, ...], padded: bool = True) -> Conv:
    """Draw a convolution that fits: odd sizes, strides, one-sided padding, dilation, groups."""
    axes = len(shape) - 1
    channels = shape[0]
    groups = draw(st.sampled_from([g for g in (1, 2, 3, 4) if channels % g == 0]))
    out = groups * draw(st.integers(1, 2))
    pads = st.tuples(st.integers(0, 2), st.integers(0, 2)) if padded else st.just((0, 0))
    each = {
        "stride": tuple(draw(st.integers(1, 3)) for _ in range(axes)),
        "padding": tuple(draw(pads) for _ in range(axes)),
        "dilation": tuple(draw(st.integers(1, 2)) for _ in range(axes)),
    }
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    node = conv(
        name,
        dyadic((out, channels // groups, *kernel), draw(seeds)),
        shape[1:],
        groups=groups,
        **each,
    )
    assume(min(node.shape) > 0)
    forms = {"none": None, "channel": (out,), "map": node.shape}
    bias = forms[draw(st.sampled_from(sorted(forms)))]
    return dataclasses.replace(node, bias=None if bias is None else dyadic(bias, draw(seeds), 2))


@st.composite
def pools(draw: st.DrawFn, name: str, shape: tuple[int, ...], kind: type[Pool] = SumPool) -> Any:
    axes = range(len(shape) - 1)
    sides = st.sampled_from([1, 2, 2, 3] if kind is SumPool else [1, 2])
    pads = st.tuples(st.integers(0, 1), st.integers(0, 1))
    node = kind(
        name=name,
        pool_input=shape,
        window=tuple(draw(sides) for _ in axes),
        stride=tuple(draw(st.integers(1, 3)) for _ in axes),
        padding=tuple(draw(st.sampled_from([(0, 0), draw(pads)])) for _ in axes),
    )  # fmt: skip
    assume(min(node.shape) > 0)
    return node


def scale_for(shape: tuple[int, ...], seed: int, everywhere: bool) -> Array:
    """Draw powers of two with signs; one for each channel if not `everywhere`."""
    rng = np.random.default_rng(seed)
    form = shape if everywhere else (shape[0], *(1,) * (len(shape) - 1))
    return np.broadcast_to(rng.choice([-2.0, -0.5, 0.25, 1.0, 2.0], form), shape).copy()


@st.composite
def connections(draw: st.DrawFn, name: str, shape: tuple[int, ...]) -> Connection:
    """Draw a connection that takes `shape`."""
    flat = ["linear", "scale", "flatten"]
    choice = draw(st.sampled_from(flat if len(shape) == 1 else
                  ["conv", "conv", "affine", "sum", "mean", "scale", "flatten"]))  # fmt: skip
    if choice == "linear":
        out = draw(st.integers(1, 4))
        bias = dyadic((out,), draw(seeds), 2) if draw(st.booleans()) else None
        return Linear(name=name, weight=dyadic((out, *shape), draw(seeds)), bias=bias)
    if choice == "scale":
        return Scale(name=name, scale=scale_for(shape, draw(seeds), draw(st.booleans())))
    if choice == "flatten":
        return flatten(name, shape)
    if choice == "affine":
        return batch_norm(name, shape, draw(seeds))
    if choice == "conv":
        return draw(convs(name, shape))
    return draw(pools(name, shape, SumPool if choice == "sum" else AvgPool))


@st.composite
def networks(draw: st.DrawFn, most: int = 5, loops: bool = True) -> Network:
    """Draw connections and populations with fan-out, fan-in and in some cases a loop."""
    nodes: list[Node] = [Input(name="in", port_shape=(draw(st.sampled_from([1, 2, 4])),
                                                      *draw(sizes())))]  # fmt: skip
    edges: list[tuple[str, str]] = []
    for k in range(draw(st.integers(1, most))):
        source = draw(st.sampled_from(nodes[-2:]))
        if draw(st.integers(0, 4)) == 0:
            kind = draw(st.sampled_from(POPULATIONS))
            node: Node = population(kind, f"p{k}", source.shape)
        else:
            node = draw(connections(f"c{k}", source.shape))
        fits = [n for n in nodes if n.shape == node.input_shape and n is not source]
        more = [draw(st.sampled_from(fits))] if fits and draw(st.booleans()) else []
        edges += [(s.name, node.name) for s in (source, *more)]
        nodes.append(node)
    for node in [n for n in nodes if isinstance(n, Connection)]:
        if all(s != node.name for s, _ in edges) or draw(st.integers(0, 3)) == 0:
            end = population(draw(st.sampled_from(POPULATIONS)), f"p.{node.name}", node.shape)
            nodes.append(end)
            edges.append((node.name, end.name))
    if loops:
        back = [(a.name, b.name) for a, b in itertools.permutations(nodes, 2)
                if a.shape == b.input_shape and not isinstance(b, Input)
                and (a.name, b.name) not in edges]  # fmt: skip
        if back and draw(st.booleans()):
            edges.append(draw(st.sampled_from(back)))
    return Network(nodes=tuple(nodes), edges=tuple(edges), dt=1.0)
