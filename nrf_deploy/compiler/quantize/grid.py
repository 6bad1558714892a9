"""Weights on an integer grid.

A gain g turns a float weight w into the integer g*w, rounded to the grid. Any gain is
right in principle, because thresholds are scaled with it; it decides how much is lost to
rounding, and, where the largest weights end at the edge of the grid, to clipping. So
gains are chosen by the error that they cause, never by the largest weight alone.

Here weights are rows: (channels, weights of a channel). A gain is one number a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array


@dataclass(frozen=True)
class Grid:
    """The integers low, low + step, ..., high."""

    step: int
    low: int
    high: int

    def round(self, rows: Array, gain: Array) -> Array:
        """Round gain * rows to the grid; values beyond it become its edge, and count as error."""
        on_grid = np.rint(rows * (gain[:, None] / self.step)) * self.step
        inside: Array = np.clip(on_grid, self.low, self.high).astype(np.int64)
        return inside

    def largest_gain(self, rows: Array) -> Array:
        """Return the gain with which each row's largest weight just fits; inf for zero rows."""
        low = self.low / np.minimum(rows.min(axis=1), -1e-300)
        high = self.high / np.maximum(rows.max(axis=1), 1e-300)
        gain = np.minimum(low if self.low else np.inf, high if self.high else np.inf)
        return np.where(np.any(rows != 0, axis=1), gain, np.inf)


def significant(x: Array) -> Array:
    """Round to 24 significant bits, far more than the order of a float64 sum changes."""
    mantissa, exponent = np.frexp(x)
    return np.asarray(np.ldexp(np.rint(mantissa * 2.0**24), exponent - 24))


def loss(rows: Array, integers: Array, gain: Array) -> Array:
    """Return the squared error over the squared weights of each row."""
    power = np.square(rows).sum(axis=1)
    lost = np.square(integers / gain[:, None] - rows).sum(axis=1)
    return np.asarray(np.divide(lost, power, out=np.zeros_like(power), where=power > 0))


def factor(moments: Array) -> Array:
    """Return the upper Cholesky factor of the inverse of second moments E[x x^T]."""
    damped = moments + np.eye(len(moments)) * (0.01 * np.trace(moments) / len(moments) + 1e-300)
    return np.asarray(np.linalg.cholesky(np.linalg.inv(damped)).T)


def compensated(rows: Array, gain: Array, grid: Grid, upper: Array) -> Array:
    """Round column by column, and compensate each error in the later columns.

    A neuron sees the error in the sums, (q - w)^T E[x x^T] (q - w); rounding each weight to
    its nearest integer makes (q - w) small, but not this. The update is that of optimal
    brain surgery: with U = `upper`, the factor of the moments, an error e in column k is
    compensated by subtracting e U[k, j] / U[k, k] from each later column j.
    """
    left = rows.astype(np.float64).copy()
    out = np.empty(rows.shape, np.int64)
    for k in range(rows.shape[1]):
        out[:, k] = grid.round(left[:, k : k + 1], gain)[:, 0]
        error = (left[:, k] - out[:, k] / gain) / upper[k, k]
        left[:, k + 1 :] -= error[:, None] * upper[k, k + 1 :]
    return out


def descended(rows: Array, gain: Array, grid: Grid, moments: Array, integers: Array) -> Array:
    """Reduce the error in the sums by single steps of single weights.

    In each row, the step that reduces (q - w)^T E[x x^T] (q - w) the most is taken, until no
    step reduces it.
    """
    out = integers.copy()
    step = grid.step / gain[:, None]
    slope = (out / gain[:, None] - rows) @ moments
    bend = np.square(step) * np.diag(moments)
    every = np.arange(len(rows))
    for _ in range(2 * rows.shape[1]):
        up = np.where(out < grid.high, 2 * step * slope + bend, np.inf)
        down = np.where(out > grid.low, -2 * step * slope + bend, np.inf)
        change = np.minimum(up, down)
        best = change.argmin(axis=1)
        gained = change[every, best] < -1e-12 * bend[every, best]
        if not gained.any():
            break
        move = np.where(up[every, best] < down[every, best], 1, -1) * gained
        out[every, best] += move * grid.step
        slope += (move * step[:, 0])[:, None] * moments[best]
    return out
