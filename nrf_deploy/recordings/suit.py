"""How a recording meets the model that it is for: its steps, its shape, its largest values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..findings import Finding, InputError, UsageError, error, info, warning
from ..network import Shape
from ..recording import Recording
from .choice import Choice

SAME = 1e-6  # relative: what a length of time loses on its way through float32


def in_steps(
    held: Recording,
    name: str,
    *,
    shape: Shape | None,
    dt: float | None,
    bin: float | None,
    merge: str | None,
    origin: int | None,
    chosen: Choice,
) -> tuple[Recording, list[Finding]]:
    """A recording that has its steps already: nothing may be asked that would change it."""
    if merge is not None or origin is not None or chosen != Choice():
        what = f"{name} is already in steps: nothing of its events can be chosen or merged"
        fix = "leave --merge, --crop, --downsample, --from and --until (and origin) out"
        raise UsageError(error("RECORDING-OPTION", what, fix=fix))
    if bin is not None and held.dt is not None and not close(held.dt, bin):
        what = f"{name} is already in steps of {held.dt:g} s, not of {bin:g} s"
        raise UsageError(error("RECORDING-BIN", what, fix="leave --bin out"))
    if shape is not None and held.shape != shape:
        raise InputError(
            error(
                "RECORDING-SHAPE",
                f"{name} has steps of shape {held.shape}; the model's input is {shape}",
                fix="give a recording of the input's shape",
            )
        )
    findings = []
    if bin is not None and held.dt is None:
        findings.append(
            warning(
                "RECORDING-BIN-UNUSED",
                f"{name} is already in steps: --bin {bin:g} changes none of them",
                why="it does not state their length, and the bin is taken for it",
                fix="leave --bin out",
            )
        )
    known = held.dt or bin or (dt if dt is not None and dt < 1 else None)
    return replace(held, dt=known), findings


def pace(recording: Recording, name: str, dt: float | None, binned: bool) -> list[Finding]:
    """Whether the steps of the recording are as long as the model's.

    A model whose dt is 1 or more counts in steps, not in seconds: each of the recording's
    steps is one of its own.
    """
    length = recording.dt
    if dt is None or length is None or close(length, dt):
        return []
    if dt >= 1:
        what = f"each step of {length:g} s is one step of the model, whose dt is {dt:g}"
        return [info("RECORDING-STEP", what, why="such a dt counts steps, not seconds")]
    way = f"give --bin {dt:g}" if binned else f"record in steps of {dt:g} s"
    return [
        warning(
            "RECORDING-BIN-DIFFERS",
            f"{name} has steps of {length:g} s, the model has dt = {dt:g}",
            why="the model sees its input run faster or slower than in training",
            fix=f"{way}, or read the model with the --dt that it was trained for",
        )
    ]


def clipped(recording: Recording, name: str, most: int | None) -> tuple[Recording, list[Finding]]:
    """With every value above `most` brought down to it."""
    if most is None:
        return recording, []
    if most < 1:
        what = f"values cannot be clipped to {most}"
        raise UsageError(error("RECORDING-CLIP", what, fix="give --clip a number of 1 or more"))
    over = recording.value > most
    count = int(np.count_nonzero(over))
    if not count:
        return recording, []
    value = np.where(over, most, recording.value).astype(recording.value.dtype)
    finding = warning(
        "RECORDING-CLIPPED",
        f"{count:,} of {len(value):,} values of {name} were above {most} and are now {most}; "
        f"the largest was {recording.value.max():g}",
        why="--clip asked for it",
    )
    return replace(recording, value=value, made=(*recording.made, f"clip {most}")), [finding]


def close(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * abs(b)
