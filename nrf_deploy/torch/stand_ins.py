"""Layers of torch that stand for functions: F.linear, a matrix product, F.conv2d, pooling."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import members
from .values import Constant

if TYPE_CHECKING:
    from .operations import Operation


def stand_in(op: Operation) -> Any:
    """Return the layer of torch that computes what a function does, or None.

    Its weights are the tensors that the function was called with, so that shared ones stay shared.
    """
    make = LAYERS.get(op.name)
    if make is None:
        return None
    constants = op.operands[1:]
    if not all(isinstance(v, Constant) for v in constants):
        return None
    try:
        layer = make(op.args, op.kwargs)
    except (TypeError, ValueError, IndexError):
        return None
    if layer is not None:
        layer.eval()
        layer.nrf_from = frozenset[int]().union(
            *(v.parameters for v in constants if isinstance(v, Constant))
        )
        layer.nrf_key = (op.name, layer.extra_repr(), *map(_digest, members.parameters(layer)))
    return layer


def _digest(tensor: Any) -> str:
    return hashlib.sha256(tensor.detach().cpu().numpy().tobytes()).hexdigest()


def _linear(args: Any, kwargs: Any) -> Any:
    weight, bias = _weights(args, kwargs)
    return _dense(weight, bias)


def _product(args: Any, kwargs: Any) -> Any:
    """Return x @ m as a layer, for a matrix m."""
    import torch

    matrix = args[1] if len(args) > 1 else kwargs.get("other", kwargs.get("mat2"))
    if not isinstance(matrix, torch.Tensor) or matrix.ndim != 2:
        return None
    return _dense(matrix.t(), None)


def _dense(weight: Any, bias: Any) -> Any:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    return _filled(layer, weight, bias)


def _conv(kind: str) -> Callable[[Any, Any], Any]:
    def make(args: Any, kwargs: Any) -> Any:
        import torch

        weight, bias = _weights(args, kwargs)
        names = ("stride", "padding", "dilation", "groups")
        options = dict(zip(names, args[3:], strict=False)) | {
            k: v for k, v in kwargs.items() if k in names
        }
        layer = getattr(torch.nn, kind)(
            weight.shape[1] * options.get("groups", 1),
            weight.shape[0],
            tuple(weight.shape[2:]),
            bias=bias is not None,
            device="meta",
            **options,
        )
        return _filled(layer, weight, bias)

    return make


def _weights(args: Any, kwargs: Any) -> tuple[Any, Any]:
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    return weight, args[2] if len(args) > 2 else kwargs.get("bias")


def _filled(layer: Any, weight: Any, bias: Any) -> Any:
    import torch

    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            own = isinstance(value, torch.nn.Parameter)
            setattr(layer, name, value if own else torch.nn.Parameter(value.detach(), False))
    return layer


def _pool(kind: str) -> Callable[[Any, Any], Any]:
    def make(args: Any, kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn, kind)(*args[1:], **kwargs)

    return make


def _relu(args: Any, kwargs: Any) -> Any:
    import torch

    return torch.nn.ReLU()


LAYERS: dict[str, Callable[[Any, Any], Any]] = {
    "linear": _linear,
    "matmul": _product,
    "mm": _product,
    "__matmul__": _product,
    "conv1d": _conv("Conv1d"),
    "conv2d": _conv("Conv2d"),
    "max_pool2d": _pool("MaxPool2d"),
    "avg_pool2d": _pool("AvgPool2d"),
    "relu": _relu,
}
