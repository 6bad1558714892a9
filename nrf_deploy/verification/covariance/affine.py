"""Comparison of kernels that an affine map relates, and the causes of their differences.

k_first(x) should be gain |det A| k_second(A x). The difference is computed step by step: of the
fields on the pixel grid (or between pixels, if A leads there), of the fields cut to the size of
the model's kernels, of the model's weights, and of the chip's. The change by each step, relative
to the norm of k_first, is the share of its cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array

from .fields import Field, Seen
from .kernels import Kernels
from .relations import Match, Relation

LOBES = 3  # of the interpolation
WIDE = 6.0  # standard deviations that hold a field
SAMPLING, CUT, OTHER, BITS = (
    "pixel grid",
    "kernel truncation",
    "weights, not the field",
    "weight bits",
)
NONE = 1e-9


@dataclass(frozen=True)
class KernelPair:
    match: Match
    model: float
    chip: float
    causes: Mapping[str, float]


def compared(kernel_sets: Kernels, seen: Seen, relation: Relation) -> list[KernelPair]:
    """Compare the kernels of a relation's channels, computed from the weights."""
    size = extent(kernel_sets.model)
    used = [f for _, f in seen.known()]
    wide = max(size, *(math.ceil(WIDE * f.reach) for f in used))
    free = {k: sampled(f, wide) for k, f in seen.known()}
    cut = {k: padded(sampled(f, size), wide) for k, f in seen.known()}
    return [_pair(kernel_sets, relation, m, size, wide, free, cut) for m in relation.matches]


def _pair(
    kernel_sets: Kernels,
    relation: Relation,
    match: Match,
    size: int,
    wide: int,
    free: Mapping[int, Array],
    cut: Mapping[int, Array],
) -> KernelPair:
    """Compare a pair over all input channels; the field's amplitude in each is the model's."""
    i, j = match.first, match.second
    take = transformed(relation.matrix, wide)
    factor = match.gain * relation.det
    parts: dict[str, list[Array]] = {name: [] for name in ("free", "cut", "model", "chip")}
    norm = 0.0
    for c in range(kernel_sets.model.shape[1]):
        ours, theirs = (padded(middle(kernel_sets.model[k, c], size), wide) for k in (i, j))
        on_chip = [padded(middle(kernel_sets.chip[k, c], size), wide) for k in (i, j)]
        amplitude = float(np.sum(ours * cut[i])) / max(float(np.sum(cut[i] ** 2)), NONE)
        pairs = {
            "free": (amplitude * free[i], amplitude * free[j]),
            "cut": (amplitude * cut[i], amplitude * cut[j]),
            "model": (ours, theirs),
            "chip": (on_chip[0], on_chip[1]),
        }
        for name, (a, b) in pairs.items():
            parts[name].append(a - factor * take(b))
        norm += float(np.vdot(ours, ours))
    flat = {name: np.concatenate([x.ravel() for x in p]) for name, p in parts.items()}
    root = math.sqrt(norm) or 1.0
    size_of = {name: float(np.linalg.norm(x)) / root for name, x in flat.items()}
    steps = {
        SAMPLING: flat["free"],
        CUT: flat["cut"] - flat["free"],
        OTHER: flat["model"] - flat["cut"],
        BITS: flat["chip"] - flat["model"],
    }
    causes = {name: _share(x, root) for name, x in steps.items()}
    return KernelPair(match, size_of["model"], size_of["chip"], causes)


def _share(difference: Array, root: float) -> float:
    share = float(np.linalg.norm(difference)) / root
    return share if share > NONE else 0.0


def extent(kernels: Array) -> int:
    """Return the largest distance of a weight other than 0 from the middle."""
    used = np.argwhere(np.abs(kernels).max(axis=(0, 1)) > 0)
    half = kernels.shape[-1] // 2
    return max(int(np.abs(used - half).max(initial=0)), 1)


def sampled(field: Field, reach: int) -> Array:
    """Sample a field at the middles of (2 reach + 1)^2 pixels.

    The error of truncation in the sum is removed: the Gaussian sums to 1, derivatives to 0.
    """
    at = np.arange(-reach, reach + 1.0)
    places = np.stack(np.meshgrid(at, at), axis=-1)
    gauss = field.at(places, 0, 0)
    gauss = gauss / gauss.sum()
    if field.along == field.across == 0:
        return np.asarray(gauss)
    values = field.at(places)
    return np.asarray(values - values.sum() * gauss)


def middle(kernel: Array, reach: int) -> Array:
    half = kernel.shape[-1] // 2
    part = slice(max(half - reach, 0), half + reach + 1)
    return np.asarray(kernel[..., part, part])


def padded(kernel: Array, reach: int) -> Array:
    return np.pad(kernel, reach - kernel.shape[-1] // 2)


def transformed(matrix: Array, reach: int) -> Callable[[Array], Array]:
    """Return a function that transforms a kernel to kernel(A x) on its grid.

    Between pixels it interpolates by windowed sinc, outside it is 0, on pixels it is exact.
    """
    grid = np.arange(-reach, reach + 1)
    places = np.stack(np.meshgrid(grid, grid), axis=-1) @ matrix.T
    across, down = (_lanczos(places[..., k].reshape(-1, 1) - grid) for k in (0, 1))
    shape = places.shape[:2]
    return lambda kernel: np.einsum("py,yx,px->p", down, kernel, across).reshape(shape)


def _lanczos(d: Array) -> Array:
    """Return the Lanczos window; integers are set exactly, since np.sinc is not quite 0 there."""
    there = (np.abs(d) < LOBES) & ((d == 0) | (d != np.rint(d)))
    return np.asarray(np.where(there, np.sinc(d) * np.sinc(d / LOBES), 0.0))
