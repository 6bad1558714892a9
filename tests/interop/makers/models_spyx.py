"""Models of Spyx 1.0.0 (JAX, run eagerly): IF, LIF, CuBaLIF, their recurrent forms, PSU_LIF."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import kit
import nir
import numpy as np
import spyx.nn as snn
from flax import nnx
from spyx.nir import to_nir

RNGS = nnx.Rngs(0)


def linear(n: int, m: int, seed: int, draw: Any, bias: bool = True) -> Any:
    """Return a Linear, whose kernel is (inputs, outputs)."""
    layer = nnx.Linear(n, m, use_bias=bias, rngs=RNGS)
    layer.kernel[...] = jnp.asarray(draw((n, m), seed))
    if bias:
        layer.bias[...] = jnp.asarray(draw((m,), seed + 50))
    return layer


def mlp(
    first: Callable[[int], Any],
    last: Callable[[int], Any],
    draw: Any = kit.weights,
    bias: bool = True,
):
    def build() -> tuple[Any, tuple[int, ...]]:
        return snn.Sequential(
            linear(6, 8, 1, draw, bias), first(8), linear(8, 4, 2, draw, bias), last(4)
        ), (6,)

    return build


def of(kind: Any, **options: Any) -> Callable[[int], Any]:
    return lambda n: kind((n,), **options, rngs=RNGS)


def spread(neuron: Callable[[int], Any], low: float, high: float) -> Callable[[int], Any]:
    """Give each neuron a beta of its own, as training does."""

    def made(n: int) -> Any:
        layer = neuron(n)
        layer.beta = nnx.Param(jnp.linspace(low, high, n, dtype=jnp.float32))
        return layer

    return made


def recurrent(neuron: Callable[[int], Any], draw: Any = kit.weights) -> Callable[[int], Any]:
    def made(n: int) -> Any:
        layer = neuron(n)
        layer.recurrent_w[...] = jnp.asarray(draw((n, n), 9))
        return layer

    return made


def images(flat: bool) -> Callable[[], tuple[Any, tuple[int, ...]]]:
    """Return a builder of a net of images; Spyx has the channels last, the file has them first."""

    def build() -> tuple[Any, tuple[int, ...]]:
        first = convolution(2, 3, (2, 1), 1)
        pool = snn.SumPool((2, 1), (1, 2), "VALID")
        if flat:
            rest = [
                snn.Flatten(),
                linear(27, 3, 2, functools.partial(kit.weights, scale=0.2, mean=0.0)),
                snn.IF((3,), rngs=RNGS),
            ]
        else:
            rest = [convolution(3, 2, (1, 1), 3), snn.IF((2, 2, 2), rngs=RNGS)]
        return snn.Sequential(first, snn.IF((4, 5, 3), rngs=RNGS), pool, *rest), (2, 9, 6)

    return build


def convolution(n: int, m: int, strides: tuple[int, int], seed: int) -> Any:
    layer = nnx.Conv(n, m, (2, 2), strides=strides, padding="VALID", rngs=RNGS)
    layer.kernel[...] = jnp.asarray(kit.weights((2, 2, n, m), seed))
    layer.bias[...] = jnp.asarray(kit.weights((m,), seed + 50))
    return layer


Case = functools.partial(kit.Case)
IF, LIF, CUBA, PSU = (functools.partial(of, k) for k in (snn.IF, snn.LIF, snn.CuBaLIF, snn.PSU_LIF))
Q = kit.quarters

CASES = [
    Case("if_late", mlp(IF(), IF()), "IF"),
    Case("if_quarters", mlp(IF(), IF(), Q), "IF, ties", "quarters"),
    Case("lif_late", mlp(LIF(beta=0.9), LIF(beta=0.5)), "LIF"),
    Case("lif_strong", mlp(LIF(beta=0.9), LIF(beta=0.8)), "LIF", "strong"),
    Case(
        "lif_negative",
        mlp(LIF(beta=0.9, threshold=0.5), LIF(beta=0.97)),
        "LIF, threshold 0.5",
        "negative",
    ),
    Case("lif_quarters", mlp(LIF(beta=0.5), LIF(beta=0.75), Q), "LIF, ties", "quarters"),
    Case(
        "lif_spread",
        mlp(spread(LIF(beta=0.5), 0.3, 0.97), LIF(beta=0.9)),
        "LIF, beta by neuron",
        "real",
    ),
    Case(
        "cuba",
        mlp(CUBA(alpha=0.7, beta=0.9), CUBA(alpha=0.5, beta=0.8)),
        "CuBaLIF",
        inputs="negative",
    ),
    Case(
        "cuba_quarters",
        mlp(CUBA(alpha=0.5, beta=0.5), CUBA(alpha=0.75, beta=0.5), Q),
        "CuBaLIF, ties",
        "quarters",
    ),
    Case("psu_lif", mlp(PSU(beta=0.9), PSU(beta=0.5)), "PSU_LIF: no reset", inputs="real"),
    Case("rif", mlp(recurrent(of(snn.RIF)), IF(), bias=False), "RIF"),
    Case("rlif", mlp(recurrent(of(snn.RLIF, beta=0.9)), LIF(beta=0.9)), "RLIF", inputs="negative"),
    Case(
        "rlif_quarters",
        mlp(recurrent(of(snn.RLIF, beta=0.5), Q), LIF(beta=0.5), Q),
        "RLIF, ties",
        "quarters",
    ),
    Case("rcuba", mlp(recurrent(of(snn.RCuBaLIF, alpha=0.7, beta=0.9)), LIF(beta=0.9)), "RCuBaLIF"),
    Case("conv_flatten", images(True), "conv, SumPool, Flatten, Linear", "negative"),
    Case("conv_conv", images(False), "conv of two sizes, SumPool, conv", "negative"),
    Case(
        "leak_last",
        mlp(LIF(beta=0.9), of(snn.LI, beta=0.8)),
        "LI last, a readout",
        lost="last layer",
    ),
    Case(
        "adaptive",
        mlp(of(snn.ALIF, beta=0.9, gamma=0.9), LIF(beta=0.9)),
        "ALIF",
    ),
]
READOUTS = (snn.LI,)


def run(case: kit.Case, net: Any, x: np.ndarray) -> kit.Run:
    """Run each layer eagerly: compiled code fuses a multiplication and an addition."""
    layers = [(f"layer_{i}", layer) for i, layer in enumerate(net.layers)]
    states = {n: layer.initial_state(1) for n, layer in layers if hasattr(layer, "initial_state")}
    outputs: dict[str, list[np.ndarray]] = {n: [] for n in states}
    potentials: dict[str, list[np.ndarray]] = {n: [] for n in states}
    for frame in x:
        y = jnp.asarray(_last(frame[None]))
        for name, layer in layers:
            if name not in states:
                y = layer(y)
                continue
            y, states[name] = layer(y, states[name])
            outputs[name].append(_first(np.asarray(y)[0]))
            potentials[name].append(_first(np.asarray(states[name])[0, ..., : y.shape[-1]]))
    whole = {k: np.stack(v) for k, v in outputs.items()}
    values = {n: whole.pop(n) for n, layer in layers if isinstance(layer, READOUTS)}
    return kit.Run(whole, values, {k: np.stack(v) for k, v in potentials.items()})


def _last(images: np.ndarray) -> np.ndarray:
    """Return images with their channels last, as Spyx takes them; vectors as they are."""
    return np.moveaxis(images, 1, -1) if images.ndim == 4 else images


def _first(image: np.ndarray) -> np.ndarray:
    """Return an image with its channels first, as the file has them; a vector as it is."""
    return np.moveaxis(image, -1, 0) if image.ndim == 3 else image


def export(case: kit.Case, net: Any, shape: tuple[int, ...], path: Path) -> None:
    last = net.layers[-1]
    outputs = getattr(last, "hidden_shape", None) or last.layer_shape
    outputs = (outputs[-1], *outputs[:-1])  # the channels first
    graph = to_nir(net, {"input": np.array(shape)}, {"output": np.array(outputs)})
    nir.write(path, graph)


kit.factories(CASES, globals())

if __name__ == "__main__":
    kit.make(CASES, "spyx", version("spyx"), run, export)
