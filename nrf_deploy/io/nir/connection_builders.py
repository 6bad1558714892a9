"""Builders of ports and connections of the Network from the fields of NIR nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Node,
    Output,
    Pads,
    Pool,
    Scale,
    Shape,
    SumPool,
    Threshold,
)

from .beyond import FIX, OURS, VERSION
from .dialects import Clock, Dialect
from .fields import Fields
from .statements import Statements


@dataclass(frozen=True)
class Reading:
    """The interpretation of a file.

    `lead` holds the leading axes of the Inputs that are batch (or time) and not part of
    the model; `batch_counted` is true if Flatten counts its axes with a batch. `dialect` is
    the producer's, None if none is stated. `clock` is None if the time step is not known.
    """

    clock: Clock | None
    stated: Statements
    dialect: Dialect | None
    lead: Shape = ()
    batch_counted: bool = False


POOL = OURS + "pool"
"""The key in the metadata of a SumPool2d that is a max pool, for which NIR has no node."""
Builder = Callable[[Fields, Shape | None, Reading], Node | None]


def build_input(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    declared = f.sizes("shape")
    if declared is None:
        return None
    if f.node.inner:
        return _port(Input, f, declared, source, how)
    shape = declared[len(how.lead) :]
    if how.lead:
        f.repaired(
            "NIR-INPUT-BATCH",
            f"of the shape {declared} the leading {how.lead} was taken as the batch and dropped",
            "info" if set(how.lead) == {1} else "warning",
            f"the layers that follow take {shape}",
        )
    return Input(name=f.name, port_shape=shape)


def build_output(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    declared = f.sizes("shape")
    return None if declared is None else _port(Output, f, declared, source, how)


def _port(
    port: type[Input | Output], f: Fields, declared: Shape, source: Shape | None, how: Reading
) -> Node:
    """Return a port in the shape of its source, if its own is that with a batch before it."""
    if source is None or declared == source:
        if set(how.lead) - {1} and not f.node.inner:
            f.error("NIR-BATCH", f"the Inputs have the leading axes {how.lead}, this has none")
        return port(name=f.name, port_shape=declared)
    extra = len(declared) - len(source)
    lead = declared[:extra] if extra > 0 else ()
    if lead and declared[extra:] == source and (set(lead) == {1} or lead == how.lead):
        what = f"of the shape {declared} the leading {lead} was taken as the batch and dropped"
        f.repaired("NIR-OUTPUT-BATCH", what)
        return port(name=f.name, port_shape=source)
    return port(name=f.name, port_shape=declared)


def build_linear(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    weight = f.floats("weight")
    affine = f.node.kind == "Affine"
    bias = f.floats("bias") if affine else None
    if weight is None or (affine and bias is None):
        return None
    if weight.ndim > 2 and set(weight.shape[:-2]) == {1}:
        f.repaired("NIR-WEIGHT-BATCH", f"leading ones of the weight's shape {weight.shape} dropped")
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim != 2:
        f.error("NIR-WEIGHT-SHAPE", f"weight has shape {weight.shape}, not (out, in)")
        return None
    if bias is not None:
        bias = _bias(f, bias, weight.shape[0])
        if bias is None:
            return None
    return Linear(name=f.name, weight=weight, bias=bias)


def _bias(f: Fields, bias: Array, out: int) -> Array | None:
    if bias.shape == (out,):
        return bias
    if bias.ndim == 0:
        f.repaired("NIR-BROADCAST", f"bias repeated to the full shape ({out},)")
        return np.full(out, bias)
    f.error("NIR-BIAS-SHAPE", f"bias has shape {bias.shape}, but there are {out} outputs")
    return None


def build_conv(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    axes = int(f.node.kind[4])
    weight, bias = f.floats("weight"), f.floats("bias")
    stride, dilation = f.ints("stride", axes, 1), f.ints("dilation", axes, 1)
    groups = f.ints("groups", 1, 1)
    if weight is None or bias is None or stride is None or dilation is None or groups is None:
        return None
    if weight.ndim != axes + 2:
        f.error("NIR-WEIGHT-SHAPE", f"weight has shape {weight.shape}, not {axes + 2} axes")
        return None
    if weight.shape[0] % groups[0]:
        f.error(
            "NIR-GROUPS", f"{weight.shape[0]} output channels do not divide into {groups[0]} groups"
        )
        return None
    padding = _padding(f, weight.shape[2:], stride, dilation)
    size = _input_size(f, source, axes)
    absent = _without_bias(f, bias)
    bias_or_none = None if absent else _bias(f, bias, weight.shape[0])
    if padding is None or size is None or (bias_or_none is None and not absent):
        return None
    conv = Conv(
        name=f.name,
        weight=weight,
        bias=bias_or_none,
        input_size=size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups[0],
    )
    return _with_room(f, conv)


def _without_bias(f: Fields, bias: Array) -> bool:
    """Return whether the metadata state that the zeros of a Conv stand for no bias."""
    word = f.word("bias")
    if word is not None and (word != "absent" or bias.any()):
        what = f"the metadata bias is {word!r:.80}; expected 'absent', and a bias of zeros"
        f.error("NIR-BIAS", what, fix="export the model again")
    return bool(word == "absent")


def _padding(f: Fields, kernel: Shape, stride: Shape, dilation: Shape) -> Pads | None:
    word = f.node.fields.get("padding")
    if not isinstance(word, str):
        pads = f.ints("padding", len(kernel))
        return None if pads is None else tuple((p, p) for p in pads)
    f.used.add("padding")
    if word == "valid":
        return ((0, 0),) * len(kernel)
    if word != "same":
        f.error("NIR-PADDING", f"padding {word!r} is neither 'same', 'valid' nor a number")
        return None
    if set(stride) != {1}:
        f.error(
            "NIR-PADDING",
            f"padding 'same' with the stride {stride}",
            why="frameworks do not agree on its meaning",
            fix="give the padding in numbers",
        )
        return None
    return same_padding(kernel, dilation)


def same_padding(kernel: Shape, dilation: Shape) -> Pads:
    """Return the padding that keeps the size at stride 1; an odd total has one more at the end."""
    totals = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    return tuple((t // 2, t - t // 2) for t in totals)


def _input_size(f: Fields, source: Shape | None, axes: int) -> Shape | None:
    if not f.has("input_shape"):
        return _planes(f, source, axes)[1:] or None
    size = f.whole("input_shape")
    if size is None:
        return None
    if len(size) == axes + 1 and size == source:
        f.repaired(
            "NIR-CONV-INPUT", f"input_shape {size} holds the channels too; they were dropped"
        )
        size = size[1:]
    if len(size) != axes or min(size) < 1:
        f.error("NIR-FIELD-SHAPE", f"input_shape is {size}, not {axes} sizes of 1 or more")
        return None
    return size


def _planes(f: Fields, source: Shape | None, axes: int) -> Shape:
    """Return the input as (channels, *axes); () if it is not known or has another form."""
    if source is None or len(source) == axes + 1:
        return source or ()
    f.error("NIR-DIMENSIONS", f"its source gives {source}; expected channels and {axes} axes")
    return ()


def _with_room(f: Fields, window: Conv | Pool | MaxPool) -> Node | None:
    if min(window.shape) >= 1:
        return window
    f.error(
        "NIR-SIZE",
        f"an input of {window.input_shape} leaves an output of {window.shape}",
        why="the window is larger than the padded input",
    )
    return None


def build_pool(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    window, stride = f.ints("kernel_size", 2, 1), f.ints("stride", 2, 1)
    padding = f.ints("padding", 2)
    planes = _planes(f, source, 2)
    pool = _pool_kind(f)
    if window is None or stride is None or padding is None or not planes or pool is None:
        return None
    pads = tuple((p, p) for p in padding)
    node = pool(name=f.name, pool_input=planes, window=window, stride=stride, padding=pads)
    if type(node) is MaxPool and any(p >= w for p, w in zip(padding, window, strict=True)):
        f.error("NIR-FIELD-SHAPE", f"padding is {padding}: a window of {window} would be empty")
        return None
    return _with_room(f, node)


def _pool_kind(f: Fields) -> type[Pool | MaxPool] | None:
    """Return the kind of a pool; a SumPool2d with nrf.pool = "max" in its metadata is a MaxPool."""
    if f.node.kind == "AvgPool2d":
        return AvgPool
    kind, version = f.word(POOL), f.word(OURS + "version")
    if kind is None and version is None:
        return SumPool
    if isinstance(kind, str) and isinstance(version, str) and (kind, version) == ("max", VERSION):
        return MaxPool
    f.error(
        "NIR-RULE-UNKNOWN",
        f"{POOL} is {kind!r:.40} with {OURS}version {version!r:.20}; expected 'max' with "
        f"{VERSION!r}",
        fix=FIX,
    )
    return None


def build_flatten(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    start_end = [f.ints(key, 1, -64) for key in ("start_dim", "end_dim")]
    declared = f.sizes("input_type") if f.has("input_type") else None
    shape = source or declared
    if shape is None or None in start_end:
        return None
    start, end = (x[0] for x in start_end if x is not None)
    if how.batch_counted:
        start, end = (x - 1 if x >= 0 else x for x in (start, end))
    n = len(shape)
    start = start + n if start < 0 and not how.batch_counted else start
    if not (0 <= start < n and -n <= end < n and start <= end % n):
        f.error(
            "NIR-FLATTEN", f"axes {start} to {end} cannot be merged in an input of shape {shape}"
        )
        return None
    allowed = (None, shape, (1, *shape), (*how.lead, *shape))
    if declared not in allowed:
        f.error("NIR-SHAPE", f"input_type is {declared}, but its source gives {shape}")
        return None
    if how.batch_counted:
        what = f"its axes were counted with a batch: {start} to {end} of {shape} are merged"
        f.repaired(
            "NIR-FLATTEN-BATCH", what, "warning", "only then do the next layers get their shapes"
        )
    return Flatten(name=f.name, flat_input=shape, start=start, end=end)


def build_scale(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    return _one(f, source, "scale", lambda a: Scale(name=f.name, scale=a))


def build_threshold(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    return _one(f, source, "threshold", lambda a: Threshold(name=f.name, threshold=a))


def _one(f: Fields, source: Shape | None, key: str, make: Callable[[Any], Node]) -> Node | None:
    value = f.floats(key)
    full = None if value is None else f.fit({key: value}, source)
    return None if full is None else make(full[key])


BUILDERS: dict[str, Builder] = {
    "Input": build_input,
    "Output": build_output,
    "Linear": build_linear,
    "Affine": build_linear,
    "Conv1d": build_conv,
    "Conv2d": build_conv,
    "SumPool2d": build_pool,
    "AvgPool2d": build_pool,
    "Flatten": build_flatten,
    "Scale": build_scale,
    "Threshold": build_threshold,
}
