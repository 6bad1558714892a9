"""A float neuron in a core: everything in units of its threshold.

A core has one threshold T for all its neurons, and weights w of its own for each feature. With
v_int = (T / theta) v an integrate-and-fire neuron v += r dt (w x + b) reads

    weights T (r dt / theta) w        bias T (r dt / theta) b

so thresholds and r may differ from feature to feature: they go into the weights. Only T is
left to choose, and as an integer it is exact. What the chip does is v >= threshold_high:

    fires at theta                    threshold_high = T
    fires above it, returns to 0      threshold_high = T + 1
    fires above it, subtracts it      threshold_high = T, v is counted from -1

In integers each is exact, because v > T there means v - 1 >= T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.compiler.quantize.scheme import single
from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Network, Population

from ..arithmetic.models import runs_on
from ..chip import LEAST, MOST


class UnevenError(Exception):
    """Something differs among the neurons of one feature."""


@dataclass(frozen=True, eq=False)
class Unit:
    """A number a feature, in units of the threshold."""

    drive: Array  # what an input of 1 adds
    bias: Array  # what a step adds
    first: Array  # v before the first step
    floor: Array | None  # v stays at or above it
    threshold: Array  # theta itself
    above: bool  # fires above it, not at it
    subtracts: bool
    worth: Array | None  # what a spike stands for, where it is counted

    @staticmethod
    def of(network: Network, view: Layers, name: str) -> Unit:
        node = network[name]
        ran = runs_on(node)
        assert ran is not None, f"{name}: check.py refuses it"
        assert type(node) is Population
        form, rule = neuron(node, network.dt), ran[1]
        assert form.threshold is not None
        theta = form.threshold

        def even(what: str, x: Array) -> Array:
            flat = x.reshape(len(x), -1)
            if np.any(np.abs(flat - flat[:, :1]) > 1e-6 * np.abs(flat[:, :1])):
                raise UnevenError(what)
            return np.asarray(flat[:, 0], np.float64)

        drive, floor = constant(view, name, form) / theta, None
        if rule.floor is not None and np.isfinite(rule.floor).all():
            floor = even("v_floor", rule.floor / theta)
        return Unit(
            drive=even("r / v_threshold", form.drive / theta),
            bias=even("the bias", drive),
            first=even("v_reset", form.first / theta),
            floor=floor,
            threshold=even("v_threshold", theta),
            above=rule.fires == "above",
            subtracts=rule.reset == "subtract",
            worth=None if rule.worth is None else even("what a spike stands for", rule.worth),
        )

    def params(self, gain: int) -> dict[str, Array | int]:
        """Return the chip's parameters for T = `gain`."""
        origin = -1 if self.above and self.subtracts else 0
        low = LEAST
        if self.floor is not None:
            low = min(-1, int(np.rint(self.floor.min() * gain)) + origin)
        return {
            "threshold_high": gain + (self.above and not self.subtracts),
            "threshold_low": max(low, LEAST),
            "bias": self.biases(gain),
            "v0": np.clip(np.rint(self.first * gain), LEAST, MOST).astype(np.int64) + origin,
            "returns_to_zero": int(not self.subtracts),
        }

    def scales(self, gain: int) -> dict[str, Array]:
        """Return the units of 1 of the model in the potential and, where counted, in spikes."""
        counts = {} if self.worth is None else {"output": single(1 / self.worth)}
        return {"v": single(gain / self.threshold), **counts}

    def biases(self, gain: int) -> Array:
        return np.asarray(np.clip(np.rint(self.bias * gain), LEAST, MOST), np.int64)

    @property
    def most(self) -> int:
        """The largest T that thresholds and biases allow."""
        by_bias = MOST / max(float(np.abs(self.bias).max(initial=0)), 1e-300)
        by_first = (MOST - 1) / max(float(np.abs(self.first).max(initial=0)), 1e-300)
        return int(min(MOST - 1, by_bias, by_first))
