"""A delay for models in torch: NIR's Delay, for which neither torch nor Norse has a layer.

Like a cell of Norse it takes (x, state) and returns (y, state); the state is None before the
first step. It has no parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nrf_deploy.ir.network import Delay as Node

from .frameworks.base import Call


class Delay(torch.nn.Module):  # type: ignore[misc]
    """A delay: y(t) = x(t - steps), and 0 before the first input arrives."""

    def __init__(self, steps: int):
        super().__init__()
        if steps < 1:
            raise ValueError(f"a delay of {steps} steps: it needs at least one")
        self.steps = steps

    def forward(self, x: Any, state: tuple[Any, ...] | None = None) -> Any:
        past = (torch.zeros_like(x),) * self.steps if state is None else state
        return past[0], (*past[1:], x)


def is_delay(module: Any) -> bool:
    return type(module) is Delay


def delay(call: Call, dt: float) -> Node:
    return Node(name=call.name, delay=np.full(call.shape, call.module.steps * dt))
