"""A recording from silicon in the place of a second run.

It holds the spikes (or values) of one layer. In what `run` writes, step 0 is the model's first;
what was read from a board is some steps behind. States lie beside it, as `run --states` writes
them, for the variables that were read out; a board that shows none has no such file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..bundle import Bundle
from ..findings import Finding, InputError, UsageError, error
from ..pipeline import engines, populations
from ..recording import Recording, Trace
from ..recordings import STATES, decode, read_states


def is_recording(bundle: Bundle, against: str) -> bool:
    """A file rather than an engine."""
    return against not in engines(bundle) and (
        Path(against).suffix == ".npz" or os.path.exists(against)
    )


def about_no_recording(against: str, layer: str | None, behind: int) -> Iterator[Finding]:
    """Refuse what only a recording has if the other run is an engine."""
    if layer or behind:
        yield error(
            "VERIFY-RECORDED-NONE",
            f"a layer or the steps it is behind are given, but {against!r} is an engine",
            fix="give the recording with --against FILE.npz, or leave them out",
        )


def recorded(bundle: Bundle, path: str, layer: str | None = None) -> Trace:
    """As a run that recorded this one layer (by default the only one of this shape)."""
    held, _ = decode(path)
    if not isinstance(held, Recording):
        raise InputError(
            error(
                "VERIFY-RECORDED-EVENTS",
                f"{path} holds events with timestamps, not the steps of a layer",
                fix="write it as frames (steps, *shape) or with nrf_deploy.Recording",
            )
        )
    name = _layer(bundle, held, path, layer)
    shape = bundle.program.population(name).shape
    beside = Path(path).with_suffix(STATES)
    states = read_states(beside) if beside.exists() else {}
    return Trace(
        Path(path).name,
        {name: replace(held, shape=shape)},
        {name: {v: x.reshape(len(x), *shape) for v, x in states.items()}} if states else {},
        {},
    )


def _layer(bundle: Bundle, held: Recording, path: str, layer: str | None) -> str:
    names = populations(bundle)
    sizes = {n: bundle.program.population(n).size for n in names}
    fit = [n for n in names if sizes[n] == held.size]
    if layer is None and len(fit) == 1:
        return fit[0]
    if layer in fit:
        return layer
    if layer is None:
        what = f"{path} has the shape {held.shape}, which {len(fit) or 'no'} layers have"
    elif layer in names:
        shape = bundle.program.population(layer).shape
        what = f"{path} has the shape {held.shape}, the layer {layer!r} has {shape}"
    else:
        what = f"there is no layer {layer!r} in this bundle"
    fix = f"name its layer with --layer: {', '.join(fit)}" if fit else "record a whole layer"
    raise UsageError(error("VERIFY-RECORDED-LAYER", what, fix=fix))
