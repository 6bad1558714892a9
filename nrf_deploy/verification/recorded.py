"""Recording from silicon that replaces a second run.

It has the spikes (or values) of one layer. In a file of `run`, step 0 is the model's first; a
recording from a board is some steps behind. States are in a file beside it, as `run --states`
writes them, for the variables that were read out; without states there is no such file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import engines_of, populations
from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, refuse, warning
from nrf_deploy.diagnostics.text import several
from nrf_deploy.io.recordings import STATES, decode, read_states
from nrf_deploy.ir.recording import Recording, Trace

SAME_DT = 1e-6  # relative: the error of a dt in float32


def is_recording(bundle: Bundle, against: str) -> bool:
    """Return whether `against` is a file and not an engine."""
    return against not in engines_of(bundle) and (
        Path(against).suffix == ".npz" or os.path.exists(against)
    )


def about_no_recording(against: str, layer: str | None, behind: int) -> Iterator[Finding]:
    """Refuse options of a recording if the other run is an engine."""
    if layer or behind:
        yield error(
            "VERIFY-RECORDED-NONE",
            f"--layer or --behind is used, but {against!r} is an engine",
            fix="give the recording with --against FILE.npz, or leave them out",
        )


def recorded(
    bundle: Bundle, path: str, recording: Recording, behind: int, layer: str | None = None
) -> tuple[Trace, list[Finding]]:
    """Return a recording of one layer as a run, with findings.

    By default it is the only layer of this shape; `recording` is the input of the other run.
    """
    layer_recording, _ = decode(path)
    if not isinstance(layer_recording, Recording):
        raise InputError(
            error(
                "VERIFY-RECORDED-EVENTS",
                f"{path} holds events with timestamps, not the steps of a layer",
                fix="write it as frames (steps, *shape) or with nrf_deploy.Recording",
            )
        )
    refuse(_step_faults(layer_recording, path, recording, behind), UsageError)
    name = _layer(bundle, layer_recording, path, layer)
    shape = bundle.program.population(name).shape
    beside = Path(path).with_suffix(STATES)
    states = read_states(beside) if beside.exists() else {}
    trace = Trace(
        Path(path).name,
        {name: replace(layer_recording, shape=shape)},
        {name: {v: x.reshape(len(x), *shape) for v, x in states.items()}} if states else {},
        {},
    )
    return trace, list(_short(layer_recording, path, recording, behind))


def _step_faults(
    layer_recording: Recording, path: str, recording: Recording, behind: int
) -> Iterator[Finding]:
    """Yield why the steps of the recording cannot be those of the run."""
    if behind < 0:
        yield error("VERIFY-BEHIND", f"--behind is {behind}; expected 0 or more")
    if (
        layer_recording.dt
        and recording.dt
        and not math.isclose(layer_recording.dt, recording.dt, rel_tol=SAME_DT)
    ):
        yield error(
            "VERIFY-RECORDED-STEP",
            f"{path} has steps of {layer_recording.dt:g} s, the input of {recording.dt:g} s",
            why="equal steps are of different times",
            fix="give the input that the recording was made with, in the same --bin",
        )


def _short(
    layer_recording: Recording, path: str, recording: Recording, behind: int
) -> Iterator[Finding]:
    steps = max(0, layer_recording.steps - behind)
    if steps < recording.steps:
        yield warning(
            "VERIFY-RECORDED-SHORT",
            f"{path} ends after {several(steps, 'step')} of the {recording.steps:,} of the input: "
            "the others are not compared",
        )


def _layer(bundle: Bundle, layer_recording: Recording, path: str, layer: str | None) -> str:
    names = populations(bundle)
    sizes = {n: bundle.program.population(n).size for n in names}
    fit = [n for n in names if sizes[n] == layer_recording.size]
    if layer is None and len(fit) == 1:
        return fit[0]
    if layer in fit:
        return layer
    if layer is None:
        what = f"{path} has the shape {layer_recording.shape}, which {len(fit) or 'no'} layers have"
    elif layer in names:
        shape = bundle.program.population(layer).shape
        what = f"{path} has the shape {layer_recording.shape}, the layer {layer!r} has {shape}"
    else:
        what = f"there is no layer {layer!r} in this bundle"
    fix = f"name its layer with --layer: {', '.join(fit)}" if fit else "record a whole layer"
    raise UsageError(error("VERIFY-RECORDED-LAYER", what, fix=fix))
