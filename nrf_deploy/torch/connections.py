"""torch's layers as connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import TargetError, error
from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Connection,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    Pads,
    Shape,
)

from .arrays import Arrays
from .frameworks.base import Call

Layer = Connection | MaxPool
FIXES = {
    "ConvTranspose2d": "use a convolution, or read the coordinates out on the host",
    "Softmax": "read the classes out on the host",
    "LayerNorm": "use a BatchNorm, whose scale is fixed after training",
    "GroupNorm": "use a BatchNorm, whose scale is fixed after training",
    "InstanceNorm2d": "use a BatchNorm, whose scale is fixed after training",
}
AXES = {
    "Conv1d": 2,
    "Conv2d": 3,
    "BatchNorm2d": 3,
    "AvgPool2d": 3,
    "MaxPool2d": 3,
    "AdaptiveAvgPool2d": 3,
}
"""Axes of the input of a layer, without batch and time."""
RECURRENT = ("RNNBase", "RNNCellBase")
RECURRENT_WHY = "it has gates and values of its own, and no spiking neurons"
RECURRENT_FIX = "feed back the spikes of a population through a Linear layer"
ACTIVATION_FIX = "replace it by a spiking cell (LIFBoxCell); a ReLU may follow an LIBoxCell"


def is_layer(module: Any) -> bool:
    """Return True for a layer of torch, or a subclass with the same forward method."""
    return _base(module) is not None


def connection(call: Call, arrays: Arrays) -> Layer:
    """Return the node of a layer of torch; refuse other layers."""
    base = _base(call.module)
    if base is None:
        what = f"{type(call.module).__name__} has no counterpart"
        if _recurrent(call.module):
            raise refused(call, what, RECURRENT_FIX, RECURRENT_WHY)
        raise refused(call, what, _fix(call.module))
    return _made(base, call, arrays)


def _made(base: Any, call: Call, arrays: Arrays) -> Layer:
    """Return the node; its input must have the axes that `base` takes, and no others."""
    axes = AXES.get(base.__name__)
    if axes is not None and len(call.input_shape) != axes:
        raise refused(
            call,
            f"its input has the shape {call.input_shape} without batch; expected {axes} axes",
            "give the input its axes outside of the module",
        )
    return _makers()[base](call, arrays)


def refused(call: Call, what: str, fix: str, why: str = "") -> TargetError:
    return TargetError(error("EXPORT-LAYER", what, layer=call.name, why=why, fix=fix))


def _recurrent(module: Any) -> bool:
    return any(c.__name__ in RECURRENT for c in type(module).__mro__)


def is_batch_norm(module: Any) -> bool:
    import torch

    bases = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    own = isinstance(module, bases) and type(module).__name__ in ("BatchNorm1d", "BatchNorm2d")
    return own or _base(module) in bases


def scale_and_shift(call: Call, arrays: Arrays) -> tuple[Array, Array]:
    """Return a and b of a BatchNorm in evaluation, y = a*x + b per channel, in float64."""
    norm = call.module
    if norm.running_mean is None:
        raise refused(
            call,
            "it has no running statistics: its scale would depend on the batch",
            "train it with track_running_stats=True",
        )
    mean, variance = (
        arrays(t, call.name, what).astype(np.float64)
        for t, what in (
            (norm.running_mean, "the running mean"),
            (norm.running_var, "the running variance"),
        )
    )
    a, b = np.ones_like(mean), np.zeros_like(mean)
    if norm.affine:
        a = arrays(norm.weight, call.name, "the weight").astype(np.float64)
    if norm.affine and norm.bias is not None:
        b = arrays(norm.bias, call.name, "the bias").astype(np.float64)
    a = a / np.sqrt(variance + norm.eps)
    return a, b - a * mean


def _base(module: Any) -> Any:
    """Return the class of torch whose forward method this module runs."""
    for base in _makers():
        if isinstance(module, base) and type(module).forward is base.forward:
            inner = "_conv_forward"
            if getattr(type(module), inner, None) is getattr(base, inner, None):
                return base
    return None


def _makers() -> dict[Any, Callable[[Call, Arrays], Layer]]:
    from torch import nn

    return {
        nn.Conv1d: _conv,
        nn.Conv2d: _conv,
        nn.Linear: _linear,
        nn.BatchNorm1d: _batch_norm,
        nn.BatchNorm2d: _batch_norm,
        nn.AvgPool2d: _avg_pool,
        nn.AdaptiveAvgPool2d: _adaptive_pool,
        nn.MaxPool2d: _max_pool,
        nn.Flatten: _flatten,
    }


def _fix(module: Any) -> str:
    names = [c.__name__ for c in type(module).__mro__]
    if "torch.nn.modules.activation" in type(module).__module__:
        return FIXES.get(names[0], ACTIVATION_FIX)
    fixes = (FIXES[n] for n in names if n in FIXES)
    return next(
        fixes,
        "use Conv1d, Conv2d, Linear, BatchNorm, AvgPool2d, MaxPool2d, Flatten or the neurons of a "
        "framework",
    )


def _conv(call: Call, arrays: Arrays) -> Connection:
    conv = call.module
    if conv.padding_mode != "zeros":
        raise refused(call, f"it pads with {conv.padding_mode!r}", "use padding_mode='zeros'")
    return Conv(
        name=call.name,
        weight=arrays(conv.weight, call.name, "the weight"),
        bias=_bias(call, arrays),
        input_size=call.input_shape[1:],
        stride=tuple(conv.stride),
        padding=_pads(conv),
        dilation=tuple(conv.dilation),
        groups=conv.groups,
    )


def _pads(conv: Any) -> Pads:
    """Return the padding; 'same' puts the odd zero at the end, as torch does."""
    if conv.padding == "valid":
        return tuple((0, 0) for _ in conv.kernel_size)
    if conv.padding == "same":
        total = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((p, p) for p in conv.padding)


def _linear(call: Call, arrays: Arrays) -> Connection:
    if len(call.input_shape) != 1:
        raise refused(
            call,
            f"it works along the last axis of {call.input_shape}",
            "put torch.nn.Flatten before it, or use a 1x1 convolution",
        )
    weight = arrays(call.module.weight, call.name, "the weight")
    return Linear(name=call.name, weight=weight, bias=_bias(call, arrays))


def _bias(call: Call, arrays: Arrays) -> Array | None:
    bias = call.module.bias
    return None if bias is None else arrays(bias, call.name, "the bias")


def _batch_norm(call: Call, arrays: Arrays) -> Connection:
    """Convert to a 1x1 convolution or a diagonal matrix.

    A padded layer after it then pads with zeros after the shift, as torch does.
    """
    a, b = (x.astype(np.float32) for x in scale_and_shift(call, arrays))
    weight, size = np.diag(a), call.shape[1:]
    if not size:
        return Linear(name=call.name, weight=weight, bias=b)
    ones: Shape = (1,) * len(size)
    return Conv(
        name=call.name,
        weight=weight.reshape(*weight.shape, *ones),
        bias=b,
        input_size=size,
        stride=ones,
        padding=((0, 0),) * len(size),
        dilation=ones,
    )


def _avg_pool(call: Call, arrays: Arrays) -> Connection:
    pool = call.module
    padding = _pair(pool.padding)
    for wrong, what, fix in (
        (pool.ceil_mode, "it counts windows that hang over the border", "use ceil_mode=False"),
        (
            any(padding) and not pool.count_include_pad,
            "it divides by another number at the border",
            "use count_include_pad=True",
        ),
        (
            pool.divisor_override is not None,
            f"it divides by {pool.divisor_override}, not by the window",
            "leave divisor_override out and scale the weights that follow",
        ),
    ):
        if wrong:
            raise refused(call, what, fix)
    return AvgPool(
        name=call.name,
        pool_input=call.input_shape,
        window=_pair(pool.kernel_size),
        stride=_pair(pool.kernel_size if pool.stride is None else pool.stride),
        padding=tuple((p, p) for p in padding),
    )


def _adaptive_pool(call: Call, arrays: Arrays) -> AvgPool:
    """Return the pool whose equal windows make the wanted output."""
    size, wanted = call.input_shape[1:], _pair(call.module.output_size)
    outputs = tuple(n if w is None else w for n, w in zip(size, wanted, strict=True))
    if any(n % w for n, w in zip(size, outputs, strict=True)):
        raise refused(
            call,
            f"it makes {outputs} of {size}, in windows of several sizes",
            "use an output_size that divides the input, or torch.nn.AvgPool2d",
        )
    window = tuple(n // w for n, w in zip(size, outputs, strict=True))
    return AvgPool(
        name=call.name,
        pool_input=call.input_shape,
        window=window,
        stride=window,
        padding=((0, 0), (0, 0)),
    )


def _max_pool(call: Call, arrays: Arrays) -> MaxPool:
    pool = call.module
    for wrong, what, fix in (
        (pool.ceil_mode, "it counts windows that hang over the border", "use ceil_mode=False"),
        (
            _pair(pool.dilation) != (1, 1),
            f"its windows have gaps (dilation={pool.dilation})",
            "use dilation=1",
        ),
        (pool.return_indices, "it returns places too", "use return_indices=False"),
    ):
        if wrong:
            raise refused(call, what, fix)
    window = _pair(pool.kernel_size)
    return MaxPool(
        name=call.name,
        pool_input=call.input_shape,
        window=window,
        stride=window if pool.stride is None else _pair(pool.stride),
        padding=tuple((p, p) for p in _pair(pool.padding)),
    )


def _pair(value: Any) -> tuple[Any, Any]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return first, second


def _flatten(call: Call, arrays: Arrays) -> Connection:
    axes = len(call.input_shape) + 1
    start, end = call.module.start_dim % axes, call.module.end_dim % axes
    if start == 0:
        raise refused(call, "it flattens the batch", "use start_dim=1")
    return Flatten(name=call.name, flat_input=call.input_shape, start=start - 1, end=end - 1)
