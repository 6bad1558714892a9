"""Layers of a front end with computed, not trained, parameters. Importing this imports torch."""

from __future__ import annotations

import warnings
from typing import Any

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Norse's import, torch.jit
    import norse.torch as norse

from nrf_deploy.ir.network import Array

from .events import DT


def convolution(weight: Array, stride: int = 1) -> Any:
    """Create a convolution, padded so that the middle of its kernel visits every pixel."""
    out, into, kernel, _ = weight.shape
    layer = torch.nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
    return layer


def population(tau: float, threshold: float) -> Any:
    """Create LIF neurons; the threshold is in units of dt/tau, which is what an event adds."""
    p = norse.LIFBoxParameters(
        tau_mem_inv=torch.tensor(1 / tau), v_th=torch.tensor(threshold * DT / tau)
    )
    return norse.LIFBoxCell(p, dt=DT)
