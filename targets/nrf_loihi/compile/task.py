"""One group of layers, and what a trial of integers costs in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nrf_deploy.compiler.quantize.grid import (
    Grid,
    compensated,
    descended,
    factor,
    loss,
    significant,
)
from nrf_deploy.compiler.quantize.groups import Group, shaped
from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.compiler.quantize.signal_bounds import over
from nrf_deploy.compiler.quantize.signals import Signals, a_channel, distance
from nrf_deploy.ir import program as chip_program
from nrf_deploy.ir.network import Array, Population

from ..arithmetic.neurons import runs_on
from ..arithmetic.rules import LoihiArithmetic
from ..chip import STATE_SHIFT, Chip
from .analogue import Reaches
from .constant_input import MOST, ConstantInput
from .firing import nearest, rounded
from .neuron import mantissa_and_exponent
from .subtracting import amount_of, exactly_taken, mirrors, taken, threshold_and_bias
from .weight_sensitivity import moments


def spikes(
    population: Population,
    params: Mapping[str, Array | int],
    arriving: Array,
    back: Array | int = 0,
) -> Array:
    """Return (steps, *shape) of the population's spikes, by the normative arithmetic.

    A spike takes `back` off the sums of the next step.
    """
    arithmetic = LoihiArithmetic()
    model, more = runs_on(population)
    chip = chip_program.Population(
        name=population.name, shape=population.shape, model=model, params={**params, **more}
    )
    state = arithmetic.start(chip)
    out = np.empty(arriving.shape, bool)
    output: Array | int = 0
    for t, sums in enumerate(arriving):
        output, state = arithmetic.step(chip, state, sums - back * output, t)
        out[t] = output
    return out


def mismatches(got: Array, wanted: Array) -> Array:
    """Count the mismatches (step, neuron) of spikes, a channel."""
    return a_channel(got != (wanted != 0))


COLUMNS = 1024  # a wider layer is rounded to nearest: compensation would take minutes

Weights = dict[str, Array]  # link -> rows, of floats or integers


@dataclass(frozen=True, eq=False)
class Seen:
    """Second moments of what a link's weights see (or their diagonal), and their factor."""

    moments: Array
    upper: Array | None

    def times(self, x: Array) -> Array:
        return np.asarray(x * self.moments if self.upper is None else x @ self.moments)


@dataclass(eq=False)
class Task:
    """One group, and everything that a trial of integers needs."""

    group: Group
    chip: Chip
    calibration: Signals | None
    forms: dict[str, Neuron]
    constants: dict[str, ConstantInput]
    channels: int | None
    floats: Weights
    grids: dict[str, Grid]
    reaches: Reaches
    params: dict[str, dict[str, Array | int]] = field(default_factory=dict)

    def neurons(self, gain: Array, name: str) -> Array:
        """Return a gain a channel as one a neuron."""
        shape = self.forms[name].rest.shape
        return np.broadcast_to(gain.reshape(-1, *[1] * (len(shape) - 1)), shape)

    def a_row(self, gain: Array, name: str) -> Array:
        return np.broadcast_to(gain, len(self.floats[name]))

    def nearest(self, gain: Array) -> Weights:
        return {n: self.grids[n].round(w, self.a_row(gain, n)) for n, w in self.floats.items()}

    def integers(self, name: str, gain: Array, factor: Array | float = 1.0) -> dict[str, Array]:
        """Return the parameters of a population that follow from the gain."""
        form = self.forms[name]
        scale = self.neurons(gain, name) / form.drive
        const, node = self.constants[name], self.group[name]
        register = const.register * scale * 2**STATE_SHIFT
        rest = self.rest_of_constant(name, gain)
        first = np.rint(form.first * scale * 2**STATE_SHIFT).astype(np.int64)
        if form.threshold is not None and mirrors(node):
            wanted = np.asarray(factor) * scale * form.threshold
            vth, register = threshold_and_bias(node, wanted)
        mantissa, exponent = mantissa_and_exponent(register + rest, self.chip)
        params = {"bias_mant": mantissa, "bias_exp": exponent, "v0": first}
        if rest.any() or mirrors(node):
            off = np.rint(register).astype(np.int64) - (mantissa << exponent)
            moved = np.where(rest != 0, off, 0)
            here = first if mirrors(node) else np.zeros_like(first)
            params |= {"u0": here + moved, "v0": first - here}
        if form.threshold is not None and mirrors(node):
            params["vth"] = np.clip(vth, 0, self.chip.threshold)
        elif form.threshold is not None:
            wanted = np.asarray(factor) * scale * form.threshold
            vth = rounded(self.group[name], wanted, self.params[name] | params)
            params["vth"] = np.clip(vth, 0, self.chip.threshold)
        return params

    def constant(self, name: str, gain: Array) -> tuple[Array, Array]:
        """Return what arrives in every step, and what is missing of it in the first one."""
        return self.constants[name].integers(self.neurons(gain, name))

    def rest_of_constant(self, name: str, gain: Array) -> Array:
        """Return what the register adds for the constant input that whole units do not hold."""
        du = self.params[name]["du"]
        return self.constants[name].register_of_rest(self.neurons(gain, name), du)

    def back(self, name: str, gain: Array) -> Array:
        """Return what a spike takes off the sums of the next step."""
        scale = self.neurons(gain, name) / self.forms[name].drive
        return taken(self.group[name], self.params[name], scale)

    def arriving(self, name: str, gain: Array, weights: Weights) -> Array:
        """Return the sums of a population on the data, (steps, *shape)."""
        assert self.calibration is not None
        shape = self.forms[name].rest.shape
        total = np.zeros((self.calibration.steps, *shape), np.int64)
        for link in self.group.links:
            if name in link.targets:
                total += self.calibration.sums(
                    link, shaped(link, weights[link.name], total[0].size), shape
                )
        always, late = self.constant(name, gain)
        total += always
        total[:1] -= late
        return total

    def distance(self, gain: Array, weights: Weights) -> Array:
        """Return the distance of the spikes from the model's, a channel (or in all)."""
        assert self.calibration is not None
        total = np.zeros(self.channels or 1)
        for name, form in self.forms.items():
            if form.threshold is not None:
                params = self.params[name] | self.integers(name, gain)
                arriving, back = self.arriving(name, gain, weights), self.back(name, gain)
                fired = spikes(self.group[name], params, arriving, back)
                total += self.a_channel(distance(fired, self.calibration.model[name]))
        return total

    def moments(self) -> dict[str, Seen]:
        """Return for each link which errors in its weights cost spikes."""
        assert self.calibration is not None
        out = {}
        for link in self.group.links:
            columns = self.floats[link.name].shape[1]
            matrix = moments(self.calibration, link, self.forms) if columns <= COLUMNS else None
            if matrix is None or not np.trace(matrix) > 0:
                out[link.name] = Seen(np.ones(columns), None)
            else:
                out[link.name] = Seen(matrix, factor(matrix))
        return out

    def compensated(self, gain: Array, seen: Mapping[str, Seen]) -> Weights:
        out = self.nearest(gain)
        for name, m in seen.items():
            if m.upper is not None:
                rows, grid, a_row = self.floats[name], self.grids[name], self.a_row(gain, name)
                out[name] = compensated(rows, a_row, grid, m.upper)
        return out

    def descended(self, gain: Array, integers: Weights, seen: Mapping[str, Seen]) -> Weights:
        out = dict(integers)
        for name, m in seen.items():
            if m.upper is not None:
                rows, grid, a_row = self.floats[name], self.grids[name], self.a_row(gain, name)
                out[name] = descended(rows, a_row, grid, m.moments, integers[name])
        return out

    def chosen(self, where: Array, a: Weights, b: Weights) -> Weights:
        """Return a in the channels where it is better, b elsewhere."""
        if not self.channels:
            return a if where[0] else b
        return {n: np.where(where[:, None], a[n], b[n]) for n in a}

    def refitted(self, gain: Array, integers: Weights, seen: Mapping[str, Seen]) -> Array:
        """Return the gain for which these integers are nearest to the floats.

        Thresholds follow it.

        The last bits of the sums depend on the machine (BLAS threads, the CPU's kernel), and a
        bundle must not: `significant` drops them.
        """
        qq, qw = (np.zeros(self.channels or 1) for _ in range(2))
        for name, m in seen.items():
            q = integers[name].astype(np.float64)
            qq += self.a_channel((m.times(q) * q).sum(axis=1))
            qw += self.a_channel((m.times(q) * self.floats[name]).sum(axis=1))
        return np.where((qq > 0) & (qw > 0), significant(qq / np.where(qw > 0, qw, 1)), gain)

    def cost(self, gain: Array, integers: Weights, seen: Mapping[str, Seen]) -> Array:
        total = np.zeros(self.channels or 1)
        for name, m in seen.items():
            off = integers[name] / self.a_row(gain, name)[:, None] - self.floats[name]
            total += self.a_channel((m.times(off) * off).sum(axis=1))
        return total + self.rounding(gain)

    def error(self, gain: Array, weights: Weights) -> Array:
        """Return relative squared errors of weights and thresholds, a channel (or in all)."""
        total = np.zeros(self.channels or 1)
        for name, integers in weights.items():
            total += self.a_channel(loss(self.floats[name], integers, self.a_row(gain, name)))
        return total + self.rounding(gain)

    def rounding(self, gain: Array) -> Array:
        """Return relative squared errors of thresholds, and of what resets subtract."""
        total = np.zeros(self.channels or 1)
        for name, form in self.forms.items():
            if form.threshold is None:
                continue
            scale = self.neurons(gain, name) / form.drive
            exact = scale * form.threshold
            whole = [exact]
            if mirrors(self.group[name]):
                whole.append(exactly_taken(self.group[name], self.params[name], scale))
            for units in whole:
                off = np.square((nearest(units) - units) / np.maximum(exact, 1e-12))
                total += self.a_channel(off.reshape(len(off), -1).mean(axis=1))
        return total

    def a_channel(self, x: Array) -> Array:
        return x if self.channels else np.array([x.sum()])


def clearly_less(trial: Array, best: Array) -> Array:
    """Return True where a count of mismatches is less by more than chance.

    A count has a spread, its square root, and of many trials the best lies two or three of them
    below the others by chance alone.
    """
    return np.asarray(trial < best - 3 * np.sqrt(best))


def largest(task: Task) -> tuple[Array, Array]:
    """Return the gain at which the largest weight just fits, and the limit by all else.

    Each a channel; both for all where there is one gain.
    """
    fits, cap = (np.full(task.channels or 1, np.inf) for _ in range(2))
    for name, weights in task.floats.items():
        gain = task.grids[name].largest_gain(weights)
        fits = np.minimum(fits, gain if task.channels else gain.min(initial=np.inf))
    largest_bias = (task.chip.bias_mantissa << task.chip.bias_exponent) / 2**STATE_SHIFT
    for name, form in task.forms.items():
        const = task.constants[name]
        moved = 0.5 * 4096 / (np.min(task.params[name]["du"]) + 1) if const.arrives.any() else 0.0
        amount = amount_of(task.group[name]) if name in task.reaches.mirrored else None
        for limit, value in (
            (task.chip.threshold, form.threshold),
            (largest_bias - moved, np.abs(const.register)),
            (MOST, form.drive * (const.most + np.abs(const.arrives_late))),
            (MOST, amount),
        ):
            if value is None:
                continue
            bound = over(limit * form.drive, value)
            bound = bound.reshape(len(bound), -1).min(axis=1)
            cap = np.minimum(cap, bound if task.channels else bound.min(initial=np.inf))
        own = task.reaches.cap(name)
        if own is not None:
            bound = own.reshape(len(own), -1).min(axis=1)
            cap = np.minimum(cap, bound if task.channels else bound.min(initial=np.inf))
    both = np.minimum(fits, cap)
    usual = np.median(both[np.isfinite(both)]) if np.isfinite(both).any() else 1.0
    fits = np.where(np.isfinite(fits), fits, usual)  # a row of zeros fits any gain
    return fits, cap


def grid_of(weights: Array, bits: int) -> Grid:
    """Return the grid of a weight: mixed signs cost one bit, and then values are even at 8 bits."""
    low, high = float(weights.min()), float(weights.max())
    step = 2 ** (8 - bits + (low < 0 < high))
    return Grid(step, step - 256 if low < 0 else 0, 256 - step if high > 0 else 0)
