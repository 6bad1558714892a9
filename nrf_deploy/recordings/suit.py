"""How a recording meets the model that it is for: its steps, its shape, its largest values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..findings import Finding, InputError, UsageError, error, info, warning
from ..network import Shape
from ..recording import Recording
from .choice import Choice, Merge, Origin

PACE = "RECORDING-BIN-DIFFERS"
SAME = 1e-6  # relative: what a length of time loses on its way through float32


def in_steps(
    held: Recording,
    name: str,
    *,
    shape: Shape | None,
    dt: float | None,
    bin: float | None,
    merge: str | None,
    origin: Origin | int | None,
    chosen: Choice,
) -> tuple[Recording, list[Finding]]:
    """A recording that has its steps already: nothing may be asked that would change it."""
    if merge is not None or origin is not None or chosen != Choice():
        what = f"{name} is already in steps: nothing of its events can be chosen or merged"
        fix = "leave --merge, --crop, --downsample, --from, --until and --origin out"
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
                why="only events with timestamps are cut into steps; it says nothing of how long "
                "its own are, so they now count as that long",
                fix="leave --bin out, and a step of the file is one of the model",
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
            PACE,
            f"{name} has steps of {length:g} s, the model has dt = {dt:g}",
            why="the model sees its input run faster or slower than in training",
            fix=f"{way}, or read the model with the --dt that it was trained for",
        )
    ]


def clipped(recording: Recording, name: str, most: int | None) -> tuple[Recording, list[Finding]]:
    """With every value above `most` brought down to it."""
    if most is None:
        return recording, []
    if not 1 <= most < 1 << 31:
        what = f"values cannot be clipped to {most:,}" if most < 1 else "--clip is 2^31 or more"
        fix = "give --clip a number of 1 or more, below 2^31"
        raise UsageError(error("RECORDING-CLIP", what, fix=fix))
    over = recording.value > most
    count = int(np.count_nonzero(over))
    recording = replace(recording, made=(*recording.made, f"clip {most}"))
    if not count:
        return recording, []
    value = np.where(over, most, recording.value).astype(recording.value.dtype)
    finding = warning(
        "RECORDING-CLIPPED",
        f"{count:,} of {len(value):,} values of {name} were above {most} and are now {most}; "
        f"the largest was {recording.value.max():g}",
        why="--clip asked for it",
    )
    return replace(recording, value=value), [finding]


def close(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * abs(b)


# --- the shape that events go into ---------------------------------------------


def polarities(shape: Shape) -> str:
    if shape[0] == 1:
        return "give --merge polarity: both polarities are counted in one channel"
    return f"write polarities as {'0 and 1' if shape[0] == 2 else f'0 to {shape[0] - 1}'}"


def misuse(shape: Shape | None, bin: float | None, merge: Merge | None) -> list[Finding]:
    found = []
    if bin is None:
        found.append(
            error(
                "RECORDING-BIN-MISSING",
                "the recording holds events in microseconds, and no length of a step is given",
                why="how many events meet in a step decides what the network sees",
                fix="give the length of a step in seconds (--bin 0.001)",
            )
        )
    elif not (math.isfinite(bin) and bin > 0):
        fix = "give --bin a positive number of seconds"
        found.append(error("RECORDING-BIN", f"a step of {bin} s is no length", fix=fix))
    if merge not in (None, "polarity", "all"):
        fix = "give --merge polarity or --merge all, or leave it out"
        found.append(error("RECORDING-MERGE", f"there is no way to merge {merge!r}", fix=fix))
    elif shape is None:
        fix = "give the shape of the model's input (shape=)"
        found.append(error("RECORDING-SHAPE-MISSING", "events need a shape to go in", fix=fix))
    elif not _suits(shape, merge):
        found.append(
            error(
                "RECORDING-SHAPE",
                f"events{f' merged by {merge!r}' if merge else ''} go into a shape of "
                f"{_WANTED[merge]}; the model's input is {shape}",
                fix=_fitting(shape),
            )
        )
    return found


_WANTED: dict[Merge | None, str] = {
    None: "(P, H, W)",
    "polarity": "(1, H, W) or (H, W)",
    "all": "one element",
}


def _fitting(shape: Shape) -> str:
    """The option that brings events into this shape."""
    if len(shape) == 3 and shape[0] > 1:
        return "leave --merge out: each polarity has a channel of its own"
    if _suits(shape, "all"):
        return "give --merge all: all events of a step are counted together"
    if _suits(shape, "polarity"):
        return "give --merge polarity: both polarities are counted in one channel"
    return "bring the events into the model's shape, and save frames (steps, *shape) as .npz"


def _suits(shape: Shape, merge: Merge | None) -> bool:
    if merge == "all":
        return math.prod(shape) == 1
    if merge == "polarity":
        return len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)
    return len(shape) == 3
