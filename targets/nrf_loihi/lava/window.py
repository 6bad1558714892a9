"""Windows of Lava's convolution: one padding for both sides, numbers of 8 bits."""

from __future__ import annotations

import dataclasses

import numpy as np

from nrf_deploy.ir.network import Pads, Shape
from nrf_deploy.ir.program import Conv

INT8_MAX = 127


@dataclasses.dataclass(frozen=True)
class Window:
    """The numbers of a convolution, one per axis."""

    kernel: Shape
    stride: Shape
    padding: Pads
    dilation: Shape
    groups: int

    def evenly_padded(self) -> Window:
        """Return the same window with equal padding on both sides and zeros around the kernel.

        If the left side has less padding, zeros are put before the kernel; if the right side
        has less, after it. A dilated kernel is first written without dilation.
        """
        if all(before == after for before, after in self.padding):
            return self
        sides = tuple(max(pads) for pads in self.padding)
        spread = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        widened = (
            k + 2 * side - sum(p) for k, side, p in zip(spread, sides, self.padding, strict=True)
        )
        return Window(
            tuple(widened),
            self.stride,
            tuple((side, side) for side in sides),
            (1,) * len(sides),
            self.groups,
        )

    def too_large(self) -> dict[str, int]:
        """Return the numbers that do not fit in Lava's 8 bits."""
        even = self.evenly_padded()
        numbers = {
            "groups": even.groups,
            "stride": max(even.stride),
            "padding": max(max(p) for p in even.padding),
            "dilation": max(even.dilation),
            "kernel size": max(even.kernel),
        }
        return {name: value for name, value in numbers.items() if value > INT8_MAX}


def window(conv: Conv) -> Window:
    return Window(conv.weight.shape[2:], conv.stride, conv.padding, conv.dilation, conv.groups)


def with_equal_padding(conv: Conv) -> Conv:
    """Return the same convolution with equal padding on both sides (see Window.evenly_padded)."""
    old = window(conv)
    if (even := old.evenly_padded()) is old:
        return conv
    weight = np.zeros((*conv.weight.shape[:2], *even.kernel), conv.weight.dtype)
    places = (
        slice(side - before, side - before + d * (k - 1) + 1, d)
        for (side, _), (before, _), d, k in zip(
            even.padding, old.padding, old.dilation, old.kernel, strict=True
        )
    )
    weight[(slice(None), slice(None), *places)] = conv.weight
    return dataclasses.replace(conv, weight=weight, padding=even.padding, dilation=even.dilation)
