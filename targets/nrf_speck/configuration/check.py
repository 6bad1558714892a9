"""Check of a configuration by the rules of samna 0.7.

`vendor_faults` are the rules of samna's validator: there is a fault exactly if samna refuses the
configuration (tests compare with samna, if it is installed). Check `crashes` before samna runs:
it would crash, or read other numbers. board_limits.py checks settings that samna accepts and a
board does not support.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.network import Array

from ..chip import LEAST, MOST, WEIGHTS, Chip
from .configuration import CORES, FAN_OUT, READOUT, Configuration, Core, Destination
from .tree import NEW

SENSOR_POOLINGS = (1, 2, 4)
SHIFT, PIXEL = (0, 1023), (0, 127)
HIGH, LOW = (0, MOST), (LEAST, 0)
INT16 = (LEAST, MOST)
BYTE, UINT16 = (0, 255), (0, 65535)


def crashes(configuration: Configuration) -> Iterator[Finding]:
    """Yield fields that samna 0.7 uses without a check or cannot store."""
    last = CORES - 1
    allowed = {*range(CORES), READOUT} if configuration.chip in NEW else {*range(CORES)}
    for core in configuration.cores:
        if not 0 <= core.index < CORES:
            yield fault("CORE", core, f"is on core {core.index}; expected 0 to {last}")
        if len(core.destinations) > FAN_OUT:
            wires = len(core.destinations)
            yield fault("FAN-OUT", core, f"has {wires} destinations; a core has {FAN_OUT}")
        for d in core.destinations:
            if d.core not in allowed:
                yield fault("DESTINATION", core, f"sends to core {d.core}; expected 0 to {last}")
            if d.pooling == 0:
                yield fault("POOLING", core, f"pools by 0 on its way to core {d.core}")
        yield from _values(core)
    sensor = configuration.sensor
    if len(sensor.destinations) > FAN_OUT:
        yield error("SPECK-FAN-OUT", f"the sensor has {len(sensor.destinations)} destinations")
    for index in sensor.destinations:
        if not 0 <= index < CORES:
            yield error("SPECK-DESTINATION", f"the sensor sends to core {index}; expected 0 to 8")
    if 0 in sensor.pooling:
        yield error("SPECK-SENSOR", f"the sensor pools by {sensor.pooling} (y, x)")
    for name in ("origin", "cut", "pooling"):
        if _furthest(np.array(getattr(sensor, name)), *BYTE) is not None:
            what = f"the sensor's {name} is {getattr(sensor, name)} (y, x); 0 to 255 fit"
            yield error("SPECK-VALUE", what)
    indices = [core.index for core in configuration.cores]
    for index in sorted({i for i in indices if indices.count(i) > 1}):
        yield error("SPECK-CORE-TWICE", f"two layers are on core {index}")


def _values(core: Core) -> Iterator[Finding]:
    """Yield values that do not fit their fields: samna's loader would read 300 as 44."""
    sizes = (*core.input_shape[1:], *core.output_shape[1:])
    wires = core.destinations
    fields: dict[str, tuple[Any, tuple[int, int]]] = {
        "weights": (core.weights, WEIGHTS),
        "biases": (core.biases, INT16),
        "initial states": (core.initial, INT16),
        "thresholds": ((core.threshold_high, core.threshold_low), INT16),
        "a kernel, stride or padding": ((core.kernel, *core.stride, *core.padding), BYTE),
        "a size": (sizes, BYTE),
        "features": ((core.input_shape[0], core.output_shape[0]), UINT16),
        "a pooling": ([d.pooling for d in wires], BYTE),
        "a feature shift": ([d.shift for d in wires], UINT16),
    }
    for name, (values, (low, high)) in fields.items():
        if not np.issubdtype(np.asarray([0, *np.ravel(values)]).dtype, np.integer):
            yield fault("VALUE", core, f"has {name} that are not integers")
        worst = _furthest(np.asarray(values), low, high)
        if worst is not None:
            why = "samna's loader would change it to another number without an error"
            yield fault("VALUE", core, f"has {name} of {worst}; {low} to {high} fit", why=why)


def _furthest(array: Array, low: int, high: int) -> int | None:
    if array.size == 0:
        return None
    smallest, largest = int(array.min()), int(array.max())
    if smallest < low:
        return smallest
    return largest if largest > high else None


def vendor_faults(configuration: Configuration) -> Iterator[Finding]:
    chip = Chip.load(configuration.chip)
    for core in configuration.cores:
        yield from _dimensions(core, chip)
        yield from _shapes(core)
        yield from _thresholds(core)
        yield from _memory(core, chip)
        for d in core.destinations:
            if d.pooling not in chip.pooling:
                exist = _listed(chip.pooling)
                yield fault("POOLING", core, f"pools by {d.pooling}; {exist} exist")
            yield from _destination(configuration, core, d)
    for index in range(CORES):
        yield from _features(configuration, index)
    yield from _sensor(configuration)


def _dimensions(core: Core, chip: Chip) -> Iterator[Finding]:
    if not set(core.stride) <= set(chip.strides):
        exist = _listed(chip.strides)
        yield fault("STRIDE", core, f"has the stride {core.stride} (y, x); {exist} exist")
    yield from _range("PADDING", core, "the padding", core.padding, (0, chip.padding))
    yield from _range("KERNEL", core, "the kernel size", (core.kernel,), (1, chip.kernel))
    yield from _range("INPUT-SIZE", core, "an input", core.input_shape[1:], (1, chip.input_size))
    yield from _range(
        "OUTPUT-SIZE", core, "an output", core.output_shape[1:], (1, chip.output_size)
    )
    features = (core.input_shape[0], core.output_shape[0])
    yield from _range("FEATURES", core, "features (in, out)", features, (1, chip.features))
    if core.convolved_size != core.output_shape[1:]:
        yield fault(
            "OUTPUT-SHAPE",
            core,
            f"gives {core.convolved_size} (y, x) by its kernel, stride and padding; its output "
            f"shape is {core.output_shape[1:]}",
        )


def _shapes(core: Core) -> Iterator[Finding]:
    k = core.kernel
    expected = {
        "weights": (core.weights, (core.output_shape[0], core.input_shape[0], k, k)),
        "biases": (core.biases, core.output_shape[:1]),
        "initial states": (core.initial, core.output_shape),
    }
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            yield fault("ARRAY", core, f"has {name} of shape {array.shape}, not {shape}")


def _thresholds(core: Core) -> Iterator[Finding]:
    yield from _range("THRESHOLD", core, "the threshold", (core.threshold_high,), HIGH)
    yield from _range("THRESHOLD-LOW", core, "the lower bound", (core.threshold_low,), LOW)


def _memory(core: Core, chip: Chip) -> Iterator[Finding]:
    if min(core.kernel, *core.input_shape, *core.output_shape) < 1:
        return
    has_words = chip.memory(core.index)
    for name, need in core.memory.items():
        has = has_words[f"{name}_words"]
        if need > has:
            yield fault(
                "MEMORY",
                core,
                f"takes {need:,} words of {name} memory; core {core.index} has {has:,}",
                fix="put it on a larger core, or make the layer smaller",
            )


def _destination(configuration: Configuration, core: Core, wire: Destination) -> Iterator[Finding]:
    yield from _range("SHIFT", core, "a feature shift", (wire.shift,), SHIFT)
    target = configuration.core(wire.core)
    if wire.core == READOUT:
        return
    takes = target.input_shape[1:] if target else (1, 1)
    gives = tuple(n // wire.pooling for n in core.output_shape[1:])
    if gives != takes:
        yield fault(
            "WIRE-SIZE", core, f"gives {gives} (y, x) to core {wire.core}, which takes {takes}"
        )


def _features(configuration: Configuration, index: int) -> Iterator[Finding]:
    """Check that the sources of a core fill its input features from 0 without gaps."""
    core = configuration.core(index)
    name = core.layer if core else f"core {index}"
    spans = sorted(_spans(configuration, index))
    if not spans:
        return
    total = sum(stop - start for start, stop, _ in spans)
    takes = core.input_shape[0] if core else 1
    if total != takes:
        what = f"takes {takes} features; its sources give {total}"
        yield error("SPECK-WIRE-FEATURES", what, layer=name)
    if spans[0][0] > 0:
        what = f"gets features from {spans[0][0]} on; those before have no source"
        yield error("SPECK-WIRE-START", what, layer=name)
    for (_, stop, one), (start, _, other) in pairwise(spans):
        if start != stop:
            how = "overlap" if start < stop else "leave a gap"
            yield error(
                "SPECK-WIRE-SHIFT",
                f"gets features from {one} up to {stop - 1} and from {other} from {start} on",
                why=f"they {how}; sources are concatenated, not added",
                fix="set each feature shift to the end of the source before",
                layer=name,
            )


def _spans(configuration: Configuration, index: int) -> Iterator[tuple[int, int, str]]:
    for core, wire in configuration.sources(index):
        yield wire.shift, wire.shift + core.output_shape[0], repr(core.layer)
    sensor = configuration.sensor
    for _ in range(sensor.destinations.count(index)):
        yield 0, sensor.features, "the sensor"


def _sensor(configuration: Configuration) -> Iterator[Finding]:
    sensor = configuration.sensor
    if not set(sensor.pooling) <= set(SENSOR_POOLINGS):
        yield error("SPECK-SENSOR", f"the sensor pools by {sensor.pooling} (y, x); 1, 2, 4 exist")
    for name, pair in (("origin", sensor.origin), ("cut", sensor.cut)):
        if min(pair) < PIXEL[0] or max(pair) > PIXEL[1]:
            what = f"the sensor's {name} is {pair} (y, x); its pixels are 0 to {PIXEL[1]}"
            yield error("SPECK-SENSOR", what)
    gives = sensor.size
    for index in sensor.destinations:
        target = configuration.core(index)
        takes = target.input_shape[1:] if target else (1, 1)
        if gives != takes:
            what = f"the sensor gives {gives} (y, x) to core {index}, which takes {takes}"
            yield error("SPECK-WIRE-SIZE", what, layer=target.layer if target else None)


def fault(code: str, core: Core, what: str, **more: str) -> Finding:
    return error(f"SPECK-{code}", what, layer=core.layer or f"core {core.index}", **more)


def _range(
    code: str, core: Core, what: str, values: tuple[int, ...], limits: tuple[int, int]
) -> Iterator[Finding]:
    low, high = limits
    if min(values) < low or max(values) > high:
        shown = values[0] if len(values) == 1 else values
        yield fault(code, core, f"has {what} of {shown}; {low} to {high} exist")


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(str(v) for v in values)
