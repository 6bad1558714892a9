"""A max pool between a convolution and neurons, as populations without neurons.

Sums add up, and a maximum does not; but for two numbers

    max(a, b) = a + max(b - a, 0)

so a window with the elements e1, ..., ek is e1 + r2 + ... + rk with

    ri = max(ei - e1 - r2 - ... - r(i-1), 0)

One population gets the sums of the convolution and passes them on, and each r is one that passes
on nothing below 0. All of it happens in the step of the sums, in units of their weights, and
exactly: a difference of two sums has one bit more, and 32 bits at most.

Padding has no elements: a place in it is replaced by an element of its window.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.engines.reference.connections import window_taps
from nrf_deploy.ir.layer_view import Link
from nrf_deploy.ir.network import Array, MaxPool
from nrf_deploy.ir.program import Population, Sparse

from ..arithmetic.models import PASSING
from ..settings import Settings
from .units import machine

WIDEST = 32


def parts(link: Link, s: Settings) -> Iterator[Population]:
    """Yield the populations of the pool of a link."""
    pool, shared = _pool(link), machine(s)
    params = {"sum_bits": s.sum_bits, "wrap": shared["wrap"]}
    yield Population(name=pool.name, shape=pool.input_shape, model=PASSING, params=params)
    wide = {"sum_bits": min(s.sum_bits + 1, WIDEST), "wrap": 0, "rectify": 1}
    for k in range(1, _taps(pool).shape[1]):
        yield Population(name=_part(pool, k), shape=pool.shape, model=PASSING, params=wide)


def between(link: Link, targets: tuple[str, ...]) -> Iterator[Sparse]:
    """Yield the synapses from the sums of a link through its pool to the neurons."""
    pool = _pool(link)
    taps = _taps(pool)
    rows, first = np.arange(len(taps)), taps[:, 0]
    for k in range(1, taps.shape[1]):
        row, column = np.concatenate([rows, rows]), np.concatenate([taps[:, k], first])
        weight = np.repeat([1, -1], len(rows))
        yield _sparse(pool, pool.name, (_part(pool, k),), row, column, weight)
    for k in range(1, taps.shape[1]):
        later = tuple(_part(pool, j) for j in range(k + 1, taps.shape[1]))
        if later:
            yield _sparse(pool, _part(pool, k), later, rows, rows, -np.ones_like(rows))
        yield _sparse(pool, _part(pool, k), targets, rows, rows, np.ones_like(rows))
    yield _sparse(pool, pool.name, targets, rows, first, np.ones_like(rows))


def _pool(link: Link) -> MaxPool:
    assert link.pool is not None
    return link.pool


def _taps(pool: MaxPool) -> Array:
    return window_taps(pool.pool_input, pool.window, pool.stride, pool.padding)


def _part(pool: MaxPool, k: int) -> str:
    return f"{pool.name} ({k + 1})"


def _sparse(
    pool: MaxPool, source: str, targets: tuple[str, ...], row: Array, column: Array, weight: Array
) -> Sparse:
    return Sparse(
        name=f"{source} to {targets[0]}",
        source=source,
        targets=targets,
        weight=weight.astype(np.int64),
        delay=0,
        params={"graded": 1},
        source_shape=pool.input_shape if source == pool.name else pool.shape,
        target_shape=pool.shape,
        row=row,
        column=column,
    )
