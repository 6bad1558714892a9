"""Which errors in the weights cost spikes: the second moments of what they see.

A neuron without a leak adds up all that ever arrived. With errors e in its weights it is off
by e . X, where X are the inputs of its weights, summed up; a spike that subtracts the threshold
takes nothing of that away, so X counts from the beginning. A spike that empties the neuron
does, and X counts from the last spike: from as many steps ago as lie between two spikes on
average. Rounding that makes e M e small, M the moments of X, rather than each e by itself,
moves fewer spikes.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nrf_deploy.ir.network import Array, Conv, Linear
from nrf_deploy.ir.recording import Recording

from .branches import Branch, as_map

SAMPLES = 8192
"""Of X, over times and places."""
COLUMNS = 1024
"""Weights of a feature: with more, rounding one after another would take minutes."""


def moments(branch: Branch, source: Recording, steps: int) -> Array | None:
    """M of the inputs within `steps` steps; None where there is nothing to be balanced."""
    columns = branch.input_shape[0] * branch.kernel**2
    if not isinstance(branch.link.node, Conv | Linear) or not 1 < columns <= COLUMNS:
        return None
    x = _sums(branch, source, steps)
    found = x.T @ x / max(len(x), 1)
    return found if np.trace(found) > 0 else None


def _sums(branch: Branch, source: Recording, steps: int) -> Array:
    """(samples, weights of a feature)."""
    _, height, width = branch.input_shape
    places = max(1, height * width // int(np.prod(branch.stride)))
    times = np.linspace(1, source.steps, min(source.steps, max(8, SAMPLES // places)))
    parts = [_windows(branch, _between(source, max(0, t - steps), t)) for t in times.astype(int)]
    return np.concatenate(parts)


def _between(source: Recording, first: int, last: int) -> Array:
    """What each element gave in these steps."""
    part = slice(source.start[first], source.start[last])
    weights = source.value[part].astype(np.float64)
    return np.bincount(source.index[part], weights, source.size)


def _windows(branch: Branch, total: Array) -> Array:
    """A row a place of the output: the inputs of its weights."""
    c, height, width = as_map(branch.input_shape)
    n, (py, px), (sy, sx), k = branch.pooling, branch.padding, branch.stride, branch.kernel
    pooled = total.reshape(c, height, n, width, n).sum(axis=(2, 4))
    padded = np.pad(pooled, ((0, 0), (py, py), (px, px)))
    seen = sliding_window_view(padded, (k, k), axis=(1, 2))[:, ::sy, ::sx]
    return np.ascontiguousarray(seen.transpose(1, 2, 0, 3, 4)).reshape(-1, c * k * k)
