"""Random configurations with a fault or two, or none: single fields moved to the edge of what
they may be, and beyond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nrf_speck.configuration.configuration import Configuration, Core, Destination, Sensor

from .speck_configurations import core, grown
from .speck_cores import forked, random_chain

Rng = np.random.Generator
EDGES = {
    "stride": (0, 1, 2, 3, 4, 8, 16),
    "padding": (0, 1, 2, 7, 8),
    "kernel": (0, 1, 2, 3, 16, 17),
    "size": (0, 1, 2, 4, 63, 64, 65, 127, 128, 129),
    "features": (0, 1, 2, 4, 5, 1024, 1025),
    "threshold_high": (-1, 0, 1, 32767),
    "threshold_low": (-32768, -1, 0, 1),
    "pooling": (1, 2, 3, 4, 8, 16),
    "shift": (0, 1, 2, 3, 1023, 1024),
    "pixel": (0, 1, 63, 126, 127, 128),
}
LARGEST = 60_000
"""Elements of an array: what is larger takes long and says nothing new."""


def mutated(seed: int, chip: str) -> Configuration:
    """Draw a sound network with up to two fields changed; in some cases a camera feeds it."""
    rng = np.random.default_rng(seed)
    cores = forked(seed) if rng.random() < 0.3 else random_chain(seed)
    cores = moved(cores, rng)
    sensor = Sensor()
    if rng.random() < 0.3:
        first, sensor = watched(rng, cores[0].index)
        cores = (first,)
    for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
        at = int(rng.integers(len(cores)))
        change = CHANGES[int(rng.integers(len(CHANGES)))]
        cores = (*cores[:at], change(cores[at], rng), *cores[at + 1 :])
        if sensor.destinations and rng.random() < 0.5:
            sensor = changed_sensor(sensor, rng)
    return Configuration(chip=chip, cores=cores, sensor=sensor)


def moved(cores: tuple[Core, ...], rng: Rng) -> tuple[Core, ...]:
    """Move the cores to other ones, some of which are too small."""
    places = rng.permutation(9)[: len(cores)].tolist()
    return tuple(
        replace(
            c,
            index=places[c.index],
            destinations=tuple(replace(d, core=places[d.core]) for d in c.destinations),
        )
        for c in cores
    )


def watched(rng: Rng, index: int) -> tuple[Core, Sensor]:
    """Add a core behind the camera, which crops a rectangle and pools."""
    pooling = tuple(rng.choice([1, 2, 4], 2).tolist())
    size = tuple(rng.integers(4, 20, 2).tolist())
    origin = tuple(rng.integers(0, 40, 2).tolist())
    rest = (int(rng.integers(0, p)) for p in pooling)
    ends = zip(origin, size, pooling, rest, strict=True)
    cut = tuple(o + n * p + r - 1 for o, n, p, r in ends)
    merge = bool(rng.integers(2))
    first = core(index, 1 if merge else 2, (size[0], size[1]), 3, 3)
    sensor = Sensor(
        passes=True, destinations=(index,), origin=origin, cut=cut, pooling=pooling, merge=merge
    )
    return first, sensor


def changed_sensor(sensor: Sensor, rng: Rng) -> Sensor:
    name = str(rng.choice(["origin", "cut", "pooling", "merge", "destinations"]))
    if name == "merge":
        return replace(sensor, merge=not sensor.merge)
    if name == "destinations":
        return replace(sensor, destinations=(int(rng.integers(9)),))
    edges = EDGES["pixel"] if name != "pooling" else (1, 2, 3, 4, 8)
    pair = list(getattr(sensor, name))
    pair[int(rng.integers(2))] = int(rng.choice(edges))
    return replace(sensor, **{name: tuple(pair)})


def _dimension(c: Core, rng: Rng) -> Core:
    """Change a dimension, with arrays that fit it or without."""
    name = str(rng.choice(["stride", "padding", "kernel", "input_shape", "output_shape"]))
    if name == "kernel":
        made = replace(c, kernel=int(rng.choice(EDGES["kernel"])))
    else:
        values = list(getattr(c, name))
        axis = int(rng.integers(len(values)))
        wide = name.endswith("shape")
        edges = EDGES["features" if wide and axis == 0 else "size" if wide else name]
        values[axis] = int(rng.choice(edges))
        made = replace(c, **{name: tuple(values)})
    return fitted(made) if rng.random() < 0.7 else made


def fitted(c: Core) -> Core:
    """Set outputs and arrays to the dimensions."""
    features = c.output_shape[0]
    sizes = tuple(max(n, 0) for n in c.convolved_size)
    made = replace(c, output_shape=(features, *sizes))
    shapes = {
        "weights": (features, c.input_shape[0], c.kernel, c.kernel),
        "biases": (features,),
        "initial": made.output_shape,
    }
    return replace(made, **{name: np.zeros(shape, np.int64) for name, shape in shapes.items()})


def _array(c: Core, rng: Rng) -> Core:
    name = str(rng.choice(["weights", "biases", "initial"]))
    array = getattr(c, name)
    if array.size == 0:
        return c
    return replace(c, **{name: grown(array, int(rng.integers(array.ndim)))})


def _threshold(c: Core, rng: Rng) -> Core:
    name = str(rng.choice(["threshold_high", "threshold_low"]))
    return replace(c, **{name: int(rng.choice(EDGES[name]))})


def _wire(c: Core, rng: Rng) -> Core:
    wires = list(c.destinations) or [Destination(core=int(rng.integers(9)))]
    name = str(rng.choice(["pooling", "shift", "core"]))
    value = int(rng.integers(9)) if name == "core" else int(rng.choice(EDGES[name]))
    wires[0] = replace(wires[0], **{name: value})
    return replace(c, destinations=tuple(wires))


def _more_wires(c: Core, rng: Rng) -> Core:
    return replace(c, destinations=(*c.destinations, Destination(core=int(rng.integers(9))))[:2])


CHANGES: tuple[Callable[[Core, Rng], Core], ...] = (
    _dimension,
    _dimension,
    _array,
    _threshold,
    _wire,
    _wire,
    _more_wires,
)


def small_enough(configuration: Configuration) -> bool:
    return all(
        a.size <= LARGEST for c in configuration.cores for a in (c.weights, c.biases, c.initial)
    )
