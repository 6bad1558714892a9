"""Composition of two windows into one: the algebra that several rewrites share.

A convolution A reads its input at z*s1 - p1 + i*d1 for output z and tap i; B after it reads
A at z = y*s2 - p2 + j*d2. Put into each other, output y of B reads the input at

    y*(s1*s2) - (p2*s1 + p1) + (j*d2*s1 + i*d1)

which is one convolution: stride s1*s2, left padding p2*s1 + p1, and for each pair of taps
w[o, c] += sum over m of wB[o, m, j] * wA[m, c, i] at offset j*d2*s1 + i*d1. The offsets are
stored with the greatest dilation that divides them all; taps that no pair reaches are 0.

It holds as long as B sees zeros beyond A's border where A, continued beyond its border,
would give zeros too: see `border`. A's bias is a map that ends at the border, so
B of that map (zero-padded) is added to B's bias.

Weights are composed in float64 and stay float64: the reference and the quantisers round
once, at their own place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from nrf_deploy.ir.network import Array, Connection, Conv, Linear, Node, Pads, SumPool, exact


def as_conv(node: Connection) -> Conv:
    """Return a window as a Conv; a SumPool is a depthwise convolution of ones."""
    if exact(node, Conv):
        return node
    if not exact(node, SumPool):
        raise TypeError(f"{node.kind} {node.name!r} is not a window")
    channels = node.pool_input[0]
    return Conv(
        name=node.name,
        weight=np.ones((channels, 1, *node.window)),
        input_size=node.pool_input[1:],
        stride=node.stride,
        padding=node.padding,
        dilation=(1,) * len(node.window),
        groups=channels,
    )


def pointwise(node: Conv) -> bool:
    """Return whether a convolution is y = W x + b at each position, without a border."""
    return set(node.kernel) == {1} and set(node.stride) == {1} and not any(map(any, node.padding))


def border(first: Conv, second: Conv) -> str | None:
    """Return why `second` after `first` is not a single convolution; None if it is.

    Where `second` reads beyond the border of `first` it sees 0. The single convolution would
    see there what `first` gives when it is continued beyond its border, which is 0 only if
    all of its taps miss the input.
    """
    axes = zip(
        first.input_size, first.kernel, first.stride, first.padding, first.dilation, strict=True
    )
    for axis, (size, kernel, stride, pads, dilation) in enumerate(axes):
        size_between = first.shape[1 + axis]
        z = _reads(second.shape[1 + axis], second.kernel[axis], second.stride[axis],
                   second.padding[axis], second.dilation[axis])  # fmt: skip
        z = z[(z < 0) | (z >= size_between)]
        x = z[:, None] * stride - pads[0] + np.arange(kernel) * dilation
        seen = np.argwhere((x >= 0) & (x < size))
        if len(seen):
            at = tuple(seen[0])
            return (
                f"{second.name!r} is padded and reads position {z[at[0]]} of {first.name!r} "
                f"(axis {axis}, {size_between} long) as 0, where folding would let it see position "
                f"{x[at]} of the {size} that {first.name!r} takes"
            )
    return None


def _reads(count: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int) -> Array:
    """Return every position that some window reads, including those beyond the border."""
    y, j = np.arange(count)[:, None], np.arange(kernel)
    return np.unique(y * stride - pads[0] + j * dilation)


def compose(first: Conv, second: Conv) -> Conv:
    """Return `second` after `first` as one Conv with the name of `second`; `border` is None."""
    return Conv(
        name=second.name,
        weight=_composed_weight(first, second),
        bias=_composed_bias(first, second),
        input_size=first.input_size,
        stride=tuple(a * b for a, b in zip(first.stride, second.stride, strict=True)),
        padding=_composed_padding(first, second),
        dilation=tuple(_dilation(first, second, axis) for axis in range(len(first.kernel))),
        groups=math.gcd(first.groups, second.groups),
    )


def convs(first: Connection, second: Connection) -> Conv:
    """Return the composition of any two windows."""
    return compose(as_conv(first), as_conv(second))


def _steps(first: Conv, second: Conv, axis: int) -> tuple[int, int]:
    """Return the distances in the input between neighbouring taps of `first` and of `second`."""
    return first.dilation[axis], second.dilation[axis] * first.stride[axis]


def _dilation(first: Conv, second: Conv, axis: int) -> int:
    """Return the greatest spacing on which all taps lie; an axis with one tap does not count."""
    d1, d2 = _steps(first, second, axis)
    return math.gcd(d1 if first.kernel[axis] > 1 else 0, d2 if second.kernel[axis] > 1 else 0) or 1


def _reach(first: Conv, second: Conv, axis: int) -> int:
    """Return the distance between the first and the last tap."""
    d1, d2 = _steps(first, second, axis)
    return (first.kernel[axis] - 1) * d1 + (second.kernel[axis] - 1) * d2


def _composed_weight(first: Conv, second: Conv) -> Array:
    """Expand both weights to their common groups, and multiply them tap by tap."""
    groups = math.gcd(first.groups, second.groups)
    a, b = _spread(first, groups), _spread(second, groups)
    axes = range(len(first.kernel))
    spacing = [_dilation(first, second, axis) for axis in axes]
    kernel = [_reach(first, second, axis) // spacing[axis] + 1 for axis in axes]
    weight = np.zeros((*kernel, groups, b.shape[-2], a.shape[-1]))
    for j in np.ndindex(second.kernel):
        for i in np.ndindex(first.kernel):
            tap = tuple(
                (i[k] * _steps(first, second, k)[0] + j[k] * _steps(first, second, k)[1])
                // spacing[k]
                for k in axes
            )
            weight[tap] += b[j] @ a[i]
    out = weight.reshape(*kernel, groups * b.shape[-2], a.shape[-1])
    return np.ascontiguousarray(np.moveaxis(out, (-2, -1), (0, 1)))


def _spread(conv: Conv, groups: int) -> Array:
    """Return weights as float64 (*kernel, groups, out/groups, in/groups).

    They are 0 between finer groups.
    """
    out, part = conv.weight.shape[:2]
    channels = part * conv.groups
    dense = np.zeros((*conv.kernel, groups, out // groups, channels // groups))
    taps = np.moveaxis(conv.weight, (0, 1), (-2, -1))
    for o in range(out):
        group, row = divmod(o, out // groups)
        first = o // (out // conv.groups) * part - group * (channels // groups)
        dense[..., group, row, first : first + part] = taps[..., o, :]
    return dense


def _composed_padding(first: Conv, second: Conv) -> Pads:
    """Return the padding of the algebra, or a symmetric one that gives the same size."""
    pads = []
    for axis, size in enumerate(first.input_size):
        stride, (p1, p2) = first.stride[axis], (first.padding[axis], second.padding[axis])
        left, right = p2[0] * stride + p1[0], p2[1] * stride + p1[1]
        positions = size + 2 * left - _reach(first, second, axis) - 1
        symmetric = positions // (stride * second.stride[axis]) + 1 == second.shape[1 + axis]
        pads.append((left, left if symmetric else right))
    return tuple(pads)


def _composed_bias(first: Conv, second: Conv) -> Array | None:
    if first.bias is None or not np.any(first.bias):
        return second.bias
    if first.bias.ndim == 1 and not _sees_border(first, second):
        taps = second.weight.astype(np.float64).sum(axis=tuple(range(2, second.weight.ndim)))
        inner = first.bias.astype(np.float64).reshape(second.groups, -1)
        shift = np.einsum("gom,gm->go", taps.reshape(second.groups, -1, taps.shape[1]), inner)
        added: Array = shift.reshape(-1)
    else:
        added = correlate(second, bias_map(first))
    if second.bias is None:
        return added
    ndim = max(added.ndim, second.bias.ndim)
    return np.asarray(_beside(added, ndim) + _beside(second.bias, ndim))


def bias_map(conv: Conv) -> Array:
    """Return the bias at every position, in float64."""
    bias = np.zeros(1) if conv.bias is None else conv.bias.astype(np.float64)
    return np.broadcast_to(_beside(bias, len(conv.shape)), conv.shape)


def _beside(bias: Array, ndim: int) -> Array:
    """Reshape one value a channel so that it can be added to a map of `ndim` axes.

    A bias that is a map already stays unchanged.
    """
    return bias if bias.ndim == ndim else bias.reshape(-1, *(1,) * (ndim - 1))


def _sees_border(first: Conv, second: Conv) -> bool:
    """Return whether a window of `second` reads the zeros around `first`."""
    for axis, size in enumerate(first.shape[1:]):
        z = _reads(second.shape[1 + axis], second.kernel[axis], second.stride[axis],
                   second.padding[axis], second.dilation[axis])  # fmt: skip
        if len(z) and (z[0] < 0 or z[-1] >= size):
            return True
    return False


def _taps(conv: Conv) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield each tap, and the slices of the padded input that it reads."""
    for tap in itertools.product(*(range(k) for k in conv.kernel)):
        yield (
            tap,
            tuple(
                slice(i * d, i * d + s * (n - 1) + 1, s)
                for i, d, s, n in zip(tap, conv.dilation, conv.stride, conv.shape[1:], strict=True)
            ),
        )


def correlate(conv: Conv, x: Array) -> Array:
    """Return the convolution of one map, without its bias, in float64."""
    padded = np.pad(x.astype(np.float64), ((0, 0), *conv.padding))
    weight = _spread(conv, conv.groups)
    y = np.zeros((conv.groups, conv.weight.shape[0] // conv.groups, math.prod(conv.shape[1:])))
    for tap, window in _taps(conv):
        y += weight[tap] @ padded[:, *window].reshape(conv.groups, -1, y.shape[-1])
    return y.reshape(conv.shape)


def through(conv: Conv, linear: Linear) -> Linear:
    """Return `linear` after the flattened output of `conv` as a Linear of its flattened input.

    W (conv(x) + map) + b = (W conv) x + (W map + b). A row of W conv is the row of W,
    laid out as a map and run backwards through the convolution.
    """
    rows = linear.weight.astype(np.float64).reshape(len(linear.weight), *conv.shape)
    bias = linear.bias
    if conv.bias is not None:
        shift = linear.weight.astype(np.float64) @ bias_map(conv).ravel()
        bias = shift if bias is None else shift + bias
    return Linear(name=linear.name, weight=_backwards(conv, rows).reshape(len(rows), -1), bias=bias)


def _backwards(conv: Conv, rows: Array) -> Array:
    """Apply the transposed convolution to each row, a map of conv's output."""
    count, channels = len(rows), conv.input_shape[0]
    size = [n + sum(p) for n, p in zip(conv.input_size, conv.padding, strict=True)]
    back = np.zeros((count, channels, *size))
    weight = _spread(conv, conv.groups)
    grouped = rows.reshape(count, conv.groups, -1, math.prod(conv.shape[1:]))
    for tap, window in _taps(conv):
        part = np.swapaxes(weight[tap], -1, -2) @ grouped
        back[:, :, *window] += part.reshape(count, channels, *conv.shape[1:])
    inner = (slice(p[0], p[0] + n) for n, p in zip(conv.input_size, conv.padding, strict=True))
    return back[:, :, *inner]


def weights(node: Node) -> int:
    """Return the number of weights of this node; a pool has none."""
    return node.weight.size if exact(node, Conv, Linear) else 0
