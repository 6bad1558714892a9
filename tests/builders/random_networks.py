"""Random networks and recordings for property tests.

Both are functions of a seed and of options, so that a failing example can be called
again by hand. Weights are multiples of 2^-8 and small, so that every sum of a spiking
network is exact in float32 whatever its order: two implementations that agree must
agree bit for bit. The options `neurons` and `connections` say which kinds may appear.

    @given(networks(neurons=("LIF",), recurrent=False), st.integers(0, 99))
    def test_something(network, seed):
        recording = random_recording(network, seed, steps=40)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nrf_deploy.ir.network import (
    IF,
    LI,
    LIF,
    Array,
    AvgPool,
    Conv,
    CubaLI,
    CubaLIF,
    Edge,
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
    Shape,
    SumPool,
)
from nrf_deploy.ir.recording import Recording

SPIKING = ("LIF", "CubaLIF", "IF")
GRADED = ("LI", "CubaLI", "I")
CONNECTIONS = ("Linear", "Conv", "SumPool", "AvgPool", "Scale")


def networks(**options: Any) -> st.SearchStrategy[Network]:
    """Draw networks of one to four layers; the options are those of random_network."""
    seeds = st.integers(0, 2**32 - 1)
    layers = options.pop("layers", st.integers(1, 4))
    fixed = {name: st.just(value) for name, value in options.items()}
    return st.builds(random_network, seed=seeds, layers=layers, **fixed)


def random_network(
    seed: int,
    layers: int = 3,
    *,
    neurons: Sequence[str] = SPIKING,
    connections: Sequence[str] = CONNECTIONS,
    resets: Sequence[str] = ("value", "subtract"),
    leak: bool = True,
    unit_gain: bool = False,
    residual: bool = True,
    recurrent: bool = True,
    readout: Sequence[str] = (*GRADED, ""),
    one_axis: bool = True,
    dt: float = 0.001,
) -> Network:
    """Build a chain of layers, each [pool or scale,] linear or convolution, population.

    `leak`: v_leak and v_reset differ from zero. `unit_gain`: r, dt*r (IF) and
    dt/tau_syn*w_in (Cuba) are 1, as in a network from Norse. `residual`: a population may
    be added to the next layer's input current. `recurrent`: a layer may feed back on itself.
    `readout`: kinds of a graded last layer; "" stands for none. `one_axis`: the space may
    have one axis instead of two. Populations are called n0, n1, ...
    """
    build = _Builder(np.random.default_rng(seed), dt, leak, unit_gain, resets)
    rng = build.rng
    space: Shape = (int(rng.integers(8, 20)),)
    if not one_axis or rng.random() < 0.7:
        space = (int(rng.integers(5, 9)), int(rng.integers(5, 9)))
    if "Conv" not in connections and rng.random() < 0.5:
        space = ()
    shape: Shape = (int(rng.integers(1, 4)), *space) if space else (int(rng.integers(4, 20)),)
    here = build.add(Input(name="input", port_shape=shape))
    for depth in range(layers):
        kind = str(rng.choice(list(neurons)))
        here = build.layer(here, f"n{depth}", kind, connections, residual, recurrent)
    last = str(rng.choice(list(readout)))
    if last:
        here = build.layer(here, f"n{layers}", last, connections, False, False)
    build.add(Output(name="output", port_shape=build[here].shape), here)
    return Network(tuple(build.nodes), tuple(build.edges), dt)


def random_recording(network: Network, seed: int, steps: int, rate: float = 0.2) -> Recording:
    """Draw spikes (values of 1) for all inputs of a network, with a few silent steps."""
    rng = np.random.default_rng(seed)
    inputs = list(network.of(Input))
    size = sum(math.prod(n.shape) for n in inputs)
    frames = (rng.random((steps, size)) < rate) & (rng.random((steps, 1)) < 0.8)
    shape = inputs[0].shape if len(inputs) == 1 else (size,)
    return Recording.from_dense(frames.reshape(steps, *shape), network.dt)


def dyadic(rng: np.random.Generator, shape: Shape, low: float, high: float) -> Array:
    """Draw float32 multiples of 2^-8 between low and high."""
    return (rng.integers(round(low * 256), round(high * 256) + 1, shape) / 256).astype(np.float32)


class _Builder:
    def __init__(
        self,
        rng: np.random.Generator,
        dt: float,
        leak: bool,
        unit_gain: bool,
        resets: Sequence[str],
    ):
        self.rng, self.dt, self.leak, self.unit_gain, self.resets = rng, dt, leak, unit_gain, resets
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []

    def __getitem__(self, name: str) -> Node:
        return next(n for n in self.nodes if n.name == name)

    def add(self, node: Node, *sources: str) -> str:
        self.nodes.append(node)
        self.edges += [(s, node.name) for s in sources]
        return node.name

    def layer(
        self,
        source: str,
        name: str,
        kind: str,
        connections: Sequence[str],
        residual: bool,
        recurrent: bool,
    ) -> str:
        """Add [pool or scale,] linear or convolution, population; return the population's name."""
        here = self.before(source, name, connections)
        shape = self[here].shape
        weighted = [c for c in connections if c == "Linear" or (c == "Conv" and len(shape) > 1)]
        if weighted and self.rng.choice(weighted) == "Conv":
            here = self.add(self.conv(f"{name}_conv", shape), here)
        else:
            if len(shape) > 1:
                flat = Flatten(name=f"{name}_flat", flat_input=shape, start=0, end=-1)
                here = self.add(flat, here)
            outputs = int(self.rng.integers(2, 16))
            here = self.add(self.linear(f"{name}_linear", math.prod(shape), outputs), here)
        shape = self[here].shape
        self.add(self.population(name, kind, shape), here)
        if residual and self[source].shape == shape and self.rng.random() < 0.6:
            self.edges.append((source, name))
        if recurrent and self.rng.random() < 0.3:
            self.feed_back(name, shape)
        return name

    def before(self, source: str, name: str, connections: Sequence[str]) -> str:
        """Add a pool or a scale in some cases between a source and the next layer's weights."""
        shape = self[source].shape
        possible = [c for c in connections if c == "Scale" or (c.endswith("Pool") and shape[1:])]
        if not possible or self.rng.random() < 0.5:
            return source
        kind = str(self.rng.choice(possible))
        if kind == "Scale":
            scale = (self.rng.integers(1, 9, shape) / 4).astype(np.float32)
            return self.add(Scale(name=f"{name}_scale", scale=scale), source)
        if min(shape[1:]) < 4:
            return source
        pool: type[Pool] = SumPool if kind == "SumPool" else AvgPool
        padding = int(self.rng.integers(0, 2))
        axes = len(shape) - 1
        node = pool(
            name=f"{name}_pool",
            pool_input=shape,
            window=(2,) * axes,
            stride=(2,) * axes,
            padding=((padding, padding),) * axes,
        )
        return self.add(node, source)

    def linear(self, name: str, inputs: int, outputs: int) -> Linear:
        bias = dyadic(self.rng, (outputs,), -0.1, 0.2) if self.rng.random() < 0.5 else None
        return Linear(name=name, weight=self.weight((outputs, inputs), inputs), bias=bias)

    def conv(self, name: str, shape: Shape) -> Conv:
        """Draw a stride, padding, dilation and grouping that leave at least one position."""
        rng, space = self.rng, shape[1:]
        kernel = tuple(int(rng.integers(1, min(4, size) + 1)) for size in space)
        dilation = tuple(
            int(rng.integers(1, 3)) if 2 * (k - 1) < size else 1
            for k, size in zip(kernel, space, strict=True)
        )
        stride = tuple(int(rng.integers(1, 3)) for _ in space)
        padding = tuple((int(rng.integers(0, 2)), int(rng.integers(0, 2))) for _ in space)
        divisors = [g for g in range(1, shape[0] + 1) if shape[0] % g == 0]
        groups = int(rng.choice(divisors))
        outputs = groups * int(rng.integers(1, 3))
        fan_in = shape[0] // groups * math.prod(kernel)
        conv = Conv(
            name=name,
            weight=self.weight((outputs, shape[0] // groups, *kernel), fan_in),
            input_size=space,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        bias_shape = [None, (outputs,), conv.shape][int(rng.integers(3))]
        if bias_shape is None:
            return conv
        return replace(conv, bias=dyadic(rng, bias_shape, -0.1, 0.2))

    def feed_back(self, name: str, shape: Shape) -> None:
        if len(shape) == 1:
            back: Node = self.linear(f"{name}_back", shape[0], shape[0])
        else:
            scale = dyadic(self.rng, shape, -1.0, 0.5)
            back = Scale(name=f"{name}_back", scale=scale)
        self.add(back, name)
        self.edges.append((back.name, name))

    def weight(self, shape: Shape, fan_in: int) -> Array:
        reach = min(2.0, 4.0 / math.sqrt(fan_in))
        return dyadic(self.rng, shape, -0.5 * reach, reach)

    def population(self, name: str, kind: str, shape: Shape) -> Population:
        rng = self.rng
        tau = self.tau(shape, 3, 30)
        leak = dyadic(rng, shape, -0.1, 0.1) if self.leak else np.zeros(shape, np.float32)
        unit: Array = np.ones(shape, np.float32)
        r: Array = unit if self.unit_gain else (rng.integers(2, 9, shape) / 4).astype(np.float32)
        v: dict[str, Any] = {"name": name, "r": r, "v_leak": leak}
        fire: dict[str, Any] = {
            "v_threshold": dyadic(rng, shape, 0.1, 0.6),
            "v_reset": dyadic(rng, shape, -0.1, 0.05) if self.leak else 0 * unit,
            "reset": str(rng.choice(list(self.resets))),
        }
        if kind in ("LI", "LIF"):
            v |= {"tau": tau}
            return LIF(**v, **fire) if kind == "LIF" else LI(**v)
        if kind in ("CubaLI", "CubaLIF"):
            fire["v_threshold"] = dyadic(rng, shape, 0.3, 2.0)
            tau_syn = self.tau(shape, 2, 15)
            w_in = tau_syn / self.dt * (1 if self.unit_gain else r)
            v |= {"tau_mem": tau, "tau_syn": tau_syn, "w_in": w_in}
            return CubaLIF(**v, **fire) if kind == "CubaLIF" else CubaLI(**v)
        r = r.astype(np.float64) / self.dt
        fire["v_threshold"] = dyadic(rng, shape, 0.5, 3.0)
        return IF(name=name, r=r, **fire) if kind == "IF" else I(name=name, r=r)

    def tau(self, shape: Shape, low: float, high: float) -> Array:
        """Draw time constants in steps, as a model from Norse has them: 1/float32."""
        inverse = (1 / (self.dt * self.rng.uniform(low, high, shape))).astype(np.float32)
        return 1.0 / inverse.astype(np.float64)
