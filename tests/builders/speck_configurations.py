"""Chip configurations for the tests: a sound one, and what can be wrong with it.

`BROKEN` holds (name, configuration, our code, what samna 0.7.1.0 does: "refuses", "accepts",
or "dies" where it crashes or reads another number than was written).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nrf_speck.configuration.configuration import Configuration, Core, Destination, Sensor


def core(
    index: int,
    features_in: int,
    size: tuple[int, int],
    features: int,
    kernel: int,
    *,
    padding: int = 0,
    stride: int = 1,
    **more: Any,
) -> Core:
    """Build a core whose arrays fit its dimensions, with random weights."""
    rng = np.random.default_rng(index)
    out = (features, *((n - kernel + 2 * padding) // stride + 1 for n in size))
    made: dict[str, Any] = {
        "weights": rng.integers(-128, 128, (features, features_in, kernel, kernel)),
        "biases": np.zeros(features, np.int64),
        "initial": rng.integers(-90, 90, out),
        "threshold_high": 100,
        "threshold_low": -100,
        "monitored": True,
    }
    return Core(
        index=index,
        layer=f"layer {index}",
        input_shape=(features_in, *size),
        output_shape=out,
        kernel=kernel,
        padding=(padding, padding),
        stride=(stride, stride),
        **{**made, **more},
    )


def chip(*cores: Core, name: str = "speck2b", **more: Any) -> Configuration:
    return Configuration(chip=name, cores=cores, **more)


def to(index: int, **more: int) -> tuple[Destination, ...]:
    return (Destination(core=index, **more),)


FIRST = core(0, 2, (8, 12), 4, 3, padding=1, destinations=to(3, pooling=2))
SECOND = core(3, 4, (4, 6), 5, 3, padding=1, leaks=True, biases=np.array([1, -300, 0, 5, 9]))
SOUND = chip(FIRST, SECOND)
WIDE = core(0, 2, (64, 64), 3, 3, padding=1, stride=2)


def first(**changed: Any) -> Configuration:
    return chip(replace(FIRST, **changed), SECOND)


def second(**changed: Any) -> Configuration:
    return chip(FIRST, replace(SECOND, **changed))


def sensing(destination: Core = WIDE, **sensor: Any) -> Configuration:
    made = {"passes": True, "pooling": (2, 2), "destinations": (0,)}
    return chip(destination, sensor=Sensor(**{**made, **sensor}))


def joined(*shifts: int, features: int = 4) -> Configuration:
    """Build cores that feed core 8 with four features each."""
    sources = [
        core(i, 2, (8, 8), 4, 3, padding=1, destinations=to(8, shift=shift))
        for i, shift in enumerate(shifts)
    ]
    return chip(*sources, core(8, features, (8, 8), 2, 3))


def altered(array: np.ndarray, value: int) -> np.ndarray:
    changed = array.copy()
    changed.flat[0] = value
    return changed


def grown(array: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate([array, array.take([0], axis)], axis)


def ring(*indices: int) -> Configuration:
    following = dict(zip(indices, (*indices[1:], indices[0]), strict=True))
    return chip(
        *(core(i, 2, (6, 6), 2, 3, padding=1, destinations=to(following[i])) for i in indices)
    )


def alone(**more: Any) -> Configuration:
    return chip(replace(core(0, 2, (6, 6), 2, 3, padding=1), **more))


Case = tuple[str, Configuration, str, str]
R, A, D = "refuses", "accepts", "dies"

BROKEN: list[Case] = [
    # dimensions
    ("stride 3", chip(core(0, 2, (8, 8), 2, 2, stride=3)), "STRIDE", R),
    ("stride 16", chip(core(0, 2, (8, 8), 2, 2, stride=16)), "STRIDE", R),
    ("stride of one axis", alone(stride=(1, 5), output_shape=(2, 6, 2)), "STRIDE", R),
    ("stride 0", alone(stride=(0, 1)), "STRIDE", R),
    ("padding 8", chip(core(0, 2, (4, 4), 2, 3, padding=8)), "PADDING", R),
    ("padding -1", alone(padding=(-1, 0)), "VALUE", D),
    ("kernel 17", chip(core(0, 1, (20, 20), 1, 17)), "KERNEL", R),
    ("kernel 0", alone(kernel=0, weights=np.zeros((2, 2, 0, 0), np.int64)), "KERNEL", R),
    ("input 129", chip(core(0, 1, (129, 8), 1, 3, stride=4)), "INPUT-SIZE", R),
    ("input 129 wide", chip(core(0, 1, (8, 129), 1, 3, stride=4)), "INPUT-SIZE", R),
    ("output 65", chip(core(0, 1, (65, 8), 1, 1)), "OUTPUT-SIZE", R),
    ("output 128", chip(core(0, 1, (8, 128), 1, 1)), "OUTPUT-SIZE", R),
    ("1025 features", chip(core(0, 1, (1, 1), 1025, 1)), "FEATURES", R),
    ("1025 inputs", chip(core(0, 1025, (1, 1), 1, 1)), "FEATURES", R),
    ("output too large", second(output_shape=(5, 5, 6)), "OUTPUT-SHAPE", R),
    ("output too small", second(output_shape=(5, 4, 5)), "OUTPUT-SHAPE", R),
    ("x and y swapped", second(output_shape=(5, 6, 4)), "OUTPUT-SHAPE", R),
    # arrays
    ("weights of one more input", first(weights=grown(FIRST.weights, 1)), "ARRAY", R),
    ("weights of one more output", first(weights=grown(FIRST.weights, 0)), "ARRAY", R),
    ("weights not square", first(weights=grown(FIRST.weights, 2)), "ARRAY", R),
    ("a bias too many", first(biases=grown(FIRST.biases, 0)), "ARRAY", R),
    ("states turned", first(initial=FIRST.initial.swapaxes(1, 2)), "ARRAY", R),
    ("states of another layer", first(initial=SECOND.initial), "ARRAY", R),
    # values
    ("weight 128", first(weights=altered(FIRST.weights, 128)), "VALUE", D),
    ("weight -129", first(weights=altered(FIRST.weights, -129)), "VALUE", D),
    ("weight 300", first(weights=altered(FIRST.weights, 300)), "VALUE", D),
    ("weights of floats", first(weights=FIRST.weights / 2), "VALUE", D),
    ("bias 32768", second(biases=altered(SECOND.biases, 32768)), "VALUE", D),
    ("bias -32769", second(biases=altered(SECOND.biases, -32769)), "VALUE", D),
    ("state 32768", first(initial=altered(FIRST.initial, 32768)), "VALUE", D),
    ("threshold -1", first(threshold_high=-1), "THRESHOLD", R),
    ("threshold 32768", first(threshold_high=32768), "VALUE", D),
    ("threshold 70000", first(threshold_high=70000), "VALUE", D),
    ("lower bound 1", first(threshold_low=1), "THRESHOLD-LOW", R),
    ("lower bound -32769", first(threshold_low=-32769), "VALUE", D),
    ("pooling 258", first(destinations=to(3, pooling=258)), "VALUE", D),
    ("input 256", alone(input_shape=(2, 256, 6)), "VALUE", D),
    # memory
    ("kernel memory, small core", chip(core(0, 16, (4, 4), 128, 3)), "MEMORY", R),
    ("kernel memory, middle core", chip(core(4, 32, (4, 4), 128, 3)), "MEMORY", R),
    ("kernel memory, large core", chip(core(6, 64, (4, 4), 128, 3)), "MEMORY", R),
    ("kernel rounded up", chip(core(7, 17, (5, 5), 33, 4)), "MEMORY", R),
    ("neuron memory, large core", chip(core(2, 1, (64, 64), 17, 1)), "MEMORY", R),
    ("neuron memory, small core", chip(core(8, 1, (64, 64), 5, 1)), "MEMORY", R),
    ("neurons rounded up", chip(core(8, 1, (33, 33), 5, 1)), "MEMORY", R),
    # wires
    ("pooling 3", first(destinations=to(3, pooling=3)), "POOLING", R),
    ("pooling 16", first(destinations=to(3, pooling=16)), "POOLING", R),
    ("pooling 0", first(destinations=to(3, pooling=0)), "POOLING", D),
    ("destination 9", first(destinations=to(9)), "DESTINATION", D),
    ("destination 12, without a readout", first(destinations=to(12)), "DESTINATION", D),
    ("destination -1", first(destinations=to(-1)), "DESTINATION", D),
    ("three destinations", first(destinations=to(3, pooling=2) * 3), "FAN-OUT", D),
    ("two layers on a core", chip(FIRST, replace(SECOND, index=0)), "CORE-TWICE", D),
    ("a core that does not exist", chip(replace(FIRST, index=9, destinations=())), "CORE", D),
    ("wire of another size", first(destinations=to(3, pooling=4)), "WIRE-SIZE", R),
    ("wire to an idle core", first(destinations=to(5)), "WIRE-SIZE", R),
    ("too few features", joined(0, features=5), "WIRE-FEATURES", R),
    ("too many features", joined(0, features=3), "WIRE-FEATURES", R),
    ("features from 1 on", joined(1, features=5), "WIRE-START", R),
    ("two sources added", joined(0, 0), "WIRE-SHIFT", R),
    ("two sources overlap", joined(0, 3, features=7), "WIRE-SHIFT", R),
    ("a gap between sources", joined(0, 5, features=9), "WIRE-SHIFT", R),
    ("shift 1024", joined(0, 1024, features=1024), "SHIFT", R),
    ("the same wire twice", first(destinations=to(3, pooling=2) * 2), "WIRE-SHIFT", R),
    # the sensor
    ("sensor pools by 3", sensing(pooling=(3, 3)), "SENSOR", R),
    ("sensor pools by 8", sensing(pooling=(2, 8)), "SENSOR", R),
    ("sensor pools by 0", sensing(pooling=(0, 2)), "SENSOR", D),
    ("sensor cut 128", sensing(cut=(127, 128)), "SENSOR", R),
    ("sensor origin 128", sensing(origin=(128, 0), destinations=()), "SENSOR", R),
    ("sensor of another size", sensing(pooling=(1, 1)), "WIRE-SIZE", R),
    ("sensor one pixel short", sensing(cut=(125, 127)), "WIRE-SIZE", R),
    ("one polarity too few", sensing(merge=True), "WIRE-FEATURES", R),
    ("sensor to core 9", sensing(destinations=(9,)), "DESTINATION", D),
    ("sensor twice to a core", sensing(destinations=(0, 0)), "WIRE-SHIFT", R),
    # what samna accepts
    ("a core feeds itself", ring(4), "CYCLE", A),
    ("a ring of two", ring(0, 1), "CYCLE", A),
    ("a ring of three", ring(0, 5, 2), "CYCLE", A),
    ("threshold 0", alone(threshold_high=0, initial=np.full((2, 6, 6), -1)), "THRESHOLD-ZERO", A),
    ("lower bound 0", alone(threshold_low=0, initial=np.ones((2, 6, 6), int)),
     "THRESHOLD-LOW-ZERO", A),
    ("biases without leak", alone(biases=np.array([0, 7])), "BIAS-UNUSED", A),
    ("state at the threshold", alone(initial=np.full((2, 6, 6), 100)), "STATE", A),
    ("state below the bound", alone(initial=np.full((2, 6, 6), -101)), "STATE", A),
    ("weight over twice the threshold", alone(threshold_high=50, initial=np.zeros((2, 6, 6), int)),
     "WEIGHT-LARGE", A),
    ("a membrane that overflows", alone(threshold_high=32700), "OVERFLOW", A),
    ("cut before origin", sensing(cut=(9, 9), origin=(10, 10), destinations=()), "SENSOR-CUT", A),
    ("diagonal, not square", sensing(core(0, 2, (64, 32), 3, 3), cut=(127, 63), diagonal=True),
     "SENSOR-DIAGONAL", A),
    ("odd border before pooling",
     chip(core(0, 2, (9, 9), 4, 3, padding=1, destinations=to(1, pooling=2)),
          core(1, 4, (4, 4), 2, 3)), "POOL-BORDER", A),
    ("pooling 8",
     chip(core(0, 2, (16, 16), 4, 3, padding=1, destinations=to(1, pooling=8)),
          core(1, 4, (2, 2), 2, 1)), "POOLING-8", A),
    ("spikes without a target", alone(monitored=False), "UNHEARD", A),
]  # fmt: skip
