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
from nrf_deploy.neurons import LinearLeak, Spikes

from ..arithmetic.models import runs_on
from ..chip import LEAST, MOST

EVEN = 1e-6
"""Relative difference up to which numbers are equal: quotients lose their last bits."""


class UnevenError(Exception):
    """Something differs among the neurons of one feature, or of the whole core."""

    def __init__(self, what: str, among: str = "of a feature"):
        super().__init__(f"{what} differs among the neurons {among}")


@dataclass(frozen=True, eq=False)
class Unit:
    """A number a feature, in units of the threshold."""

    drive: Array  # what an input of 1 adds
    bias: Array  # what a step adds
    first: Array  # v before the first step; a number a neuron where they differ
    floor: float | None  # v stays at or above it
    threshold: Array  # theta itself
    above: bool  # fires above it, not at it
    subtracts: bool
    worth: Array | None  # what a spike stands for, where it is counted
    leaks: bool  # a rewrite gave it a linear leak

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
            if np.any(np.abs(flat - flat[:, :1]) > EVEN * np.abs(flat[:, :1])):
                raise UnevenError(what)
            return np.asarray(flat[:, 0], np.float64)

        bias = constant(view, name, form) / theta
        return Unit(
            drive=even("r / v_threshold", form.drive / theta),
            bias=even("the bias", bias),
            first=_first(form.first / theta),
            floor=_floor(rule, theta),
            threshold=even("v_threshold", theta),
            above=rule.fires == "above",
            subtracts=rule.reset == "subtract",
            worth=None if rule.worth is None else even("what a spike stands for", rule.worth),
            leaks=type(node.membrane) is LinearLeak,
        )

    @property
    def origin(self) -> int:
        """The integer that stands for v = 0."""
        return -1 if self.above and self.subtracts else 0

    def low(self, gain: int) -> int:
        """Return the lower bound of a core for T = `gain`; 0 is none that the chip can have."""
        if self.floor is None:
            return LEAST
        return max(min(-1, round(self.floor * gain) + self.origin), LEAST)

    def params(self, gain: int) -> dict[str, Array | int]:
        """Return the chip's parameters for T = `gain`."""
        return {
            "threshold_high": gain + (self.above and not self.subtracts),
            "threshold_low": self.low(gain),
            "bias": self.biases(gain),
            "v0": np.clip(np.rint(self.first * gain), LEAST, MOST).astype(np.int64) + self.origin,
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


def _first(v: Array) -> Array:
    """Return a number a feature, or one a neuron where those of a feature differ."""
    flat = np.asarray(v, np.float64).reshape(len(v), -1)
    return flat[:, 0] if np.all(flat == flat[:, :1]) else np.asarray(v, np.float64)


def _floor(rule: Spikes, theta: Array) -> float | None:
    """Return the floor in units of the threshold; None without one.

    A core has one lower bound. Neurons whose spikes are counted take the lowest: their floor only
    keeps what a rewrite would lose.
    """
    if rule.floor is None or np.all(np.isneginf(rule.floor)):
        return None
    floor = np.asarray(rule.floor / theta, np.float64)
    least = float(floor.min())
    one = np.isfinite(least) and not np.any(np.abs(floor - least) > EVEN * abs(least))
    if rule.worth is None and not one:
        raise UnevenError("v_floor / v_threshold", "of the core")
    return least
