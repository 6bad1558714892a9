"""Pairs of kernels that an affine map relates: how far apart, and which cause makes how much.

k_first(x) should be gain |det A| k_second(A x). The difference is followed step by step: the
fields themselves on the pixel grid (and between its places, where A leads there), cut to the
size of the model's kernels, as the model's weights are, as the chip's are. What each step
changes is its cause's share, over the norm of k_first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ...network import Array
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


def compared(held: Kernels, seen: Seen, relation: Relation) -> list[KernelPair]:
    """Channels whose fields are described, by the weights that lead to them."""
    size = extent(held.model)
    used = [f for _, f in seen.known()]
    wide = max(size, *(math.ceil(WIDE * f.reach) for f in used))
    free = {k: sampled(f, wide) for k, f in seen.known()}
    cut = {k: padded(sampled(f, size), wide) for k, f in seen.known()}
    return [_pair(held, relation, m, size, wide, free, cut) for m in relation.matches]


def _pair(
    held: Kernels,
    relation: Relation,
    match: Match,
    size: int,
    wide: int,
    free: Mapping[int, Array],
    cut: Mapping[int, Array],
) -> KernelPair:
    """Over all input channels; the field's own amplitude in each is taken from the model."""
    i, j = match.first, match.second
    take = transformed(relation.matrix, wide)
    factor = match.gain * relation.det
    parts: dict[str, list[Array]] = {name: [] for name in ("free", "cut", "model", "chip")}
    norm = 0.0
    for c in range(held.model.shape[1]):
        ours, theirs = (padded(middle(held.model[k, c], size), wide) for k in (i, j))
        on_chip = [padded(middle(held.chip[k, c], size), wide) for k in (i, j)]
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
    found = {name: np.concatenate([x.ravel() for x in p]) for name, p in parts.items()}
    root = math.sqrt(norm) or 1.0
    size_of = {name: float(np.linalg.norm(x)) / root for name, x in found.items()}
    steps = {
        SAMPLING: found["free"],
        CUT: found["cut"] - found["free"],
        OTHER: found["model"] - found["cut"],
        BITS: found["chip"] - found["model"],
    }
    causes = {name: _share(x, root) for name, x in steps.items()}
    return KernelPair(match, size_of["model"], size_of["chip"], causes)


def _share(difference: Array, root: float) -> float:
    share = float(np.linalg.norm(difference)) / root
    return share if share > NONE else 0.0


def extent(kernels: Array) -> int:
    """How far from its middle any weight is not 0."""
    used = np.argwhere(np.abs(kernels).max(axis=(0, 1)) > 0)
    half = kernels.shape[-1] // 2
    return max(int(np.abs(used - half).max(initial=0)), 1)


def sampled(field: Field, reach: int) -> Array:
    """The field at the middles of (2 reach + 1)^2 pixels. What is left out by their number is
    taken out: the Gaussian sums to 1, derivatives to 0."""
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
    """Of a kernel, x -> kernel(A x) on its grid: between the places of the grid by windowed
    sinc, beyond it 0. Whole places are taken as they are."""
    grid = np.arange(-reach, reach + 1)
    places = np.stack(np.meshgrid(grid, grid), axis=-1) @ matrix.T
    across, down = (_lanczos(places[..., k].reshape(-1, 1) - grid) for k in (0, 1))
    shape = places.shape[:2]
    return lambda kernel: np.einsum("py,yx,px->p", down, kernel, across).reshape(shape)


def _lanczos(d: Array) -> Array:
    """np.sinc is not quite 0 at whole places, which are taken out."""
    there = (np.abs(d) < LOBES) & ((d == 0) | (d != np.rint(d)))
    return np.asarray(np.where(there, np.sinc(d) * np.sinc(d / LOBES), 0.0))
