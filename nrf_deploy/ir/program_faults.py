"""Faults of a program that do not depend on its arithmetic.

Golden runs a program without any, and no kernel of the compiled engines can leave an array:
every index is inside its array, every shape fits its neighbours, and every count is bounded, so
that a small file cannot need gigabytes or a run without end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .field_types import misfits
from .network import Array, Shape

if TYPE_CHECKING:
    from .program import Conv, Dense, Origin, Population, Port, Program, Sparse, Synapses

WORD = 2**31
"""Payloads have 32 bits with their sign."""
LONGEST_DELAY = 2**16
LONGEST_LATENCY = 2**13
ELEMENTS = 2**25
"""Elements of all ports and populations together, and of one padded input."""
RING = 2**27
"""Neurons times the longest delay: the future sums that the plain emulator stores."""
TERMS = 2**27
"""Weights times different delays of one Dense: its entries in the plain emulator."""
PRODUCTS = 2**30
"""Inputs that one convolution reads in a step of the plain emulator, counted for each tap."""
TAPS = 2**24
"""Positions times taps along one axis of a convolution."""


def faults(program: Program) -> Iterator[str]:
    """Yield every fault in words; those between parts are checked only if the parts are sound."""
    texts = [*_types(program)] or [*_nouns(program)]
    yield from texts
    if not texts:
        yield from _joints(program)


def _types(program: Program) -> Iterator[str]:
    yield from misfits(program, "the program")
    for noun in (*_every(program.ports), *_every(program.populations), *_every(program.synapses)):
        yield from misfits(noun, _called(noun))
    for origin in _every(program.origins):
        yield from misfits(origin, "an origin")


def _every(nouns: Any) -> tuple[Any, ...]:
    return nouns if isinstance(nouns, tuple) else ()


def _called(noun: Any) -> str:
    return f"{type(noun).__name__} {getattr(noun, 'name', '')!r:.80}"


def _nouns(program: Program) -> Iterator[str]:
    """Yield the faults of each part separately."""
    ends: tuple[Port | Population, ...] = (*program.ports, *program.populations)
    if not program.arithmetic.isprintable() or not program.arithmetic:
        yield f"the arithmetic has the name {program.arithmetic!r:.80}"
    for noun in (*ends, *program.synapses):
        if not noun.name or not noun.name.isprintable():
            yield f"{noun.name!r:.80} is empty or holds control characters; expected a name"
    for name in _repeated(end.name for end in ends):
        yield f"two ports or populations have the same name {name!r}"
    for name in _repeated(s.name for s in program.synapses):
        yield f"several synapses are named {name!r}"
    for end in ends:
        yield from _shape_faults(f"{end.name!r}", end.shape)
    for port in program.ports:
        yield from _port_faults(port)
    for p in program.populations:
        yield from _parameter_faults(f"population {p.name!r}", p.params, p.shape)
    for s in program.synapses:
        yield from _synapse_faults(s)
    for origin in program.origins:
        yield from _origin_faults(origin)


def _joints(program: Program) -> Iterator[str]:
    """Yield the faults between sound parts."""
    ends: tuple[Port | Population, ...] = (*program.ports, *program.populations)
    shapes = {end.name: end.shape for end in ends}
    place = {p.name: k for k, p in enumerate(program.populations)}
    elements = sum(math.prod(shape) for shape in shapes.values())
    if elements > ELEMENTS:
        yield f"ports and populations have {elements:,} elements; expected at most {ELEMENTS:,}"
    for s in program.synapses:
        missing = [n for n in (s.source, *s.targets) if n not in shapes]
        if missing:
            yield f"synapses {s.name!r} name {missing}, which are not in the program"
            continue
        yield from _end_faults(s, shapes, place)
    longest = max((_longest(s) for s in program.synapses), default=0)
    neurons = sum(p.size for p in program.populations)
    if neurons * (1 + longest) > RING:
        yield (
            f"{neurons:,} neurons with a delay of {longest:,} steps are "
            f"{neurons * (1 + longest):,} sums under way; expected at most {RING:,}"
        )
    for name in program.outputs:
        if name not in place:
            yield f"output {name!r} is not a population"
    for name in _repeated(program.outputs):
        yield f"output {name!r} is named twice"
    for name in _repeated(o.population for o in program.origins):
        yield f"population {name!r} has several origins"
    for origin in program.origins:
        if origin.population not in place:
            yield f"an origin names {origin.population!r}, which is not a population"
            continue
        for state, scale in origin.scale.items():
            if not _scales(scale, shapes[origin.population]):
                yield (
                    f"scale {state!r} of {origin.population!r} has the shape {scale.shape}; "
                    f"expected one number, one a channel or one a neuron of "
                    f"{shapes[origin.population]}"
                )


def _end_faults(
    s: Synapses, shapes: Mapping[str, Shape], place: Mapping[str, int]
) -> Iterator[str]:
    if math.prod(s.input_shape) != math.prod(shapes[s.source]):
        yield f"synapses {s.name!r} take {s.input_shape}, {s.source!r} gives {shapes[s.source]}"
    for t in dict.fromkeys(s.targets):
        if t not in place:
            yield f"synapses {s.name!r} lead to the port {t!r}"
        elif math.prod(s.shape) != math.prod(shapes[t]):
            yield f"synapses {s.name!r} give {s.shape}, {t!r} takes {shapes[t]}"
        elif place.get(s.source, -1) >= place[t] and _at_once(s):
            yield (
                f"synapses {s.name!r} have a delay of 0 and lead back from {s.source!r} to {t!r} "
                "without a delay; expected 1 step or more, or a target later in the program"
            )


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


# --- one part separately ---------------------------------------------------


def _shape_faults(what: str, shape: Shape) -> Iterator[str]:
    if not 1 <= len(shape) <= 8 or min(shape) < 1:
        yield f"{what} has the shape {shape!r:.80}; expected 1 to 8 sizes of 1 or more"
    elif math.prod(map(int, shape)) > ELEMENTS:
        yield f"{what} has the shape {shape!r:.80}; expected at most {ELEMENTS:,} elements"


def _port_faults(port: Port) -> Iterator[str]:
    low, high = port.range
    if not -WORD <= low <= high <= WORD:
        yield (
            f"port {port.name!r} takes values from {_short(low)} to {_short(high)}; expected a "
            "range that is not empty and fits 32 bits"
        )


def _parameter_faults(what: str, params: Mapping[str, Any], shape: Shape) -> Iterator[str]:
    """Yield parameters that are not an integer, or integers that spread over the neurons."""
    for name, value in params.items():
        if isinstance(value, np.ndarray):
            if not _integers(value):
                yield f"{what}: parameter {name!r} is made of {value.dtype}; expected integers"
            elif not broadcasts(value.shape, shape):
                yield (
                    f"{what}: parameter {name!r} has the shape {value.shape}; expected one number "
                    f"or an array for {shape}"
                )
        elif isinstance(value, bool) or not isinstance(value, int | np.integer):
            yield f"{what}: parameter {name!r} is {value!r:.40}; expected an integer"
        elif not -(2**63) <= value < 2**63:
            yield f"{what}: parameter {name!r} is {_short(value)}; expected an integer of 64 bits"


def _origin_faults(origin: Origin) -> Iterator[str]:
    if not 0 <= origin.latency <= LONGEST_LATENCY:
        yield (
            f"the latency of {origin.population!r} is {_short(origin.latency)} steps; expected "
            f"0 to {LONGEST_LATENCY:,}"
        )
    for state, scale in origin.scale.items():
        if scale.dtype.kind not in "fiu" or not np.all(np.isfinite(scale)) or not np.all(scale):
            yield (
                f"scale {state!r} of {origin.population!r} holds a value that is not a finite "
                "number other than 0"
            )


def _synapse_faults(s: Synapses) -> Iterator[str]:
    from .program import Conv, Dense, Sparse

    what = f"synapses {s.name!r}"
    if not s.targets:
        yield f"{what} have no target"
    if not 0 <= s.delay <= LONGEST_DELAY:
        delay = f"{'negative ' * (s.delay < 0)}delay {_short(s.delay)}"
        yield f"{what} have the {delay}; expected 0 to {LONGEST_DELAY:,} steps"
    yield from _parameter_faults(what, s.params, ())
    if not _integers(s.weight):
        yield f"{what} have {s.weight.dtype} weights, not integers"
        return
    if isinstance(s, Conv):
        yield from _conv_faults(what, s)
        return
    if not isinstance(s, Dense | Sparse):
        yield f"{what} are a {type(s).__name__}; expected Dense, Sparse or Conv"
        return
    shapes = [
        *_shape_faults(f"the source of {what}", s.source_shape),
        *_shape_faults(f"the target of {what}", s.target_shape),
    ]
    yield from shapes
    if not shapes:
        yield from _dense_faults(what, s) if isinstance(s, Dense) else _sparse_faults(what, s)


def _dense_faults(what: str, s: Dense) -> Iterator[str]:
    expected = (math.prod(s.target_shape), math.prod(s.source_shape))
    if s.weight.shape != expected:
        yield f"{what} have weights of the shape {s.weight.shape}; expected {expected}"
        return
    if s.delays is None:
        return
    if s.delays.shape != expected:
        yield f"{what} have delays of the shape {s.delays.shape}; expected {expected}"
    elif not _integers(s.delays):
        yield f"{what} have {s.delays.dtype} delays, not integers"
    elif not _within(s.delays, 0, LONGEST_DELAY - max(0, min(s.delay, LONGEST_DELAY))):
        low, high = int(s.delays.min()), int(s.delays.max())
        yield (
            f"{what} have delays from {s.delay + low} to {s.delay + high} steps; expected 0 or "
            f"more for each weight and at most {LONGEST_DELAY:,} in all"
        )
    else:
        distinct = int(np.count_nonzero(np.bincount(s.delays.ravel().astype(np.int64))))
        if distinct * s.weight.size > TERMS:
            yield (
                f"{what} have {distinct:,} different delays of {s.weight.size:,} weights; expected "
                f"a product of at most {TERMS:,}"
            )


def _sparse_faults(what: str, s: Sparse) -> Iterator[str]:
    lists = {"weight": s.weight, "row": s.row, "column": s.column}
    if any(x.ndim != 1 for x in lists.values()) or len({x.size for x in lists.values()}) > 1:
        shapes = ", ".join(f"{name} {x.shape}" for name, x in lists.items())
        yield f"{what} hold lists of the shapes {shapes}; expected one length"
        return
    for name, index, size in (
        ("row", s.row, math.prod(s.target_shape)),
        ("column", s.column, math.prod(s.source_shape)),
    ):
        if not _integers(index):
            yield f"{what} have a {name} of {index.dtype}; expected integers"
        elif not _within(index, 0, size - 1):
            yield (
                f"{what} have a {name} from {int(index.min())} to {int(index.max())}; expected "
                f"0 to {size - 1}"
            )


def _conv_faults(what: str, s: Conv) -> Iterator[str]:
    if s.weight.ndim != 4 or 0 in s.weight.shape:
        yield f"{what} have weights of the shape {s.weight.shape}; expected 4 axes, none empty"
        return
    numbers = {"input size": s.input_size, "stride": s.stride, "dilation": s.dilation}
    for name, pair in numbers.items():
        if len(pair) != 2 or not all(1 <= x < WORD for x in pair):
            yield f"{what} have the {name} {pair!r:.80}; expected two numbers of 1 or more"
            return
    if len(s.padding) != 2 or not all(0 <= x < WORD for pads in s.padding for x in pads):
        yield f"{what} have the padding {s.padding!r:.80}; expected two pairs of 0 or more"
        return
    if not 1 <= s.groups <= s.weight.shape[0] or s.weight.shape[0] % s.groups:
        count = s.weight.shape[0]
        yield f"{what} have {_short(s.groups)} groups, which do not divide {count} channels"
        return
    if min(s.shape) < 1:
        yield f"{what} have a kernel larger than the padded input: they give {s.shape}"
        return
    channels = s.weight.shape[1] * s.groups
    sides = [size + sum(pads) for size, pads in zip(s.input_size, s.padding, strict=True)]
    taps = s.weight.shape[2:]
    if channels * math.prod(sides) > ELEMENTS:
        yield (
            f"{what} have {channels * math.prod(sides):,} elements of padded input; expected at "
            f"most {ELEMENTS:,}"
        )
    elif channels * math.prod(taps) * math.prod(s.shape[1:]) > PRODUCTS:
        yield f"{what} read more than {PRODUCTS:,} inputs a step for each output channel"
    elif max(k * n for k, n in zip(taps, s.input_size, strict=True)) > TAPS:
        yield f"{what} have more than {TAPS:,} positions times taps along an axis"


def _short(value: Any) -> str:
    """Return the number as text, or its size if it has more than 64 bits."""
    bits = int(value).bit_length()
    return str(value) if bits <= 64 else f"an integer of {bits} bits"


# --- arrays ----------------------------------------------------------------


def _integers(x: Array) -> bool:
    return x.dtype.kind == "i" or (x.dtype.kind == "u" and x.dtype.itemsize < 8)


def _within(x: Array, low: int, high: int) -> bool:
    return x.size == 0 or (low <= int(x.min()) and int(x.max()) <= high)


def broadcasts(shape: Shape, full: Shape) -> bool:
    return len(shape) <= len(full) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(full), strict=False)
    )


def _scales(scale: Array, shape: Shape) -> bool:
    """Return whether program.spread can convert a scale to one number a neuron."""
    by_channel = scale.ndim == 1 and len(shape) > 1 and scale.size == shape[0]
    return by_channel or scale.size == math.prod(shape) or broadcasts(scale.shape, shape)


def _longest(s: Synapses) -> int:
    delays: Array | None = getattr(s, "delays", None)
    return int(s.delay) + (0 if delays is None else int(delays.max(initial=0)))


def _at_once(s: Synapses) -> bool:
    """Return whether an output reaches a target in the step in which it is sent."""
    delays: Array | None = getattr(s, "delays", None)
    if s.delay or delays is None:
        return not s.delay
    return bool(np.any((delays == 0) & (s.weight != 0)))
