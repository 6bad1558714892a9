"""Match of a recording to its model: steps, shape and largest values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, info, warning
from nrf_deploy.ir.network import Network, Shape
from nrf_deploy.ir.recording import Recording

from .event_options import Choice, Merge, Origin

PACE = "RECORDING-BIN-DIFFERS"
SAME = 1e-6  # relative: the error of a length of time in float32


def in_steps(
    recording: Recording,
    name: str,
    *,
    shape: Shape | None,
    dt: float | None,
    bin: float | None,
    merge: str | None,
    origin: Origin | int | None,
    chosen: Choice,
) -> tuple[Recording, list[Finding]]:
    """Check a recording that is already in steps; refuse options that would change it."""
    if merge is not None or origin is not None or chosen != Choice():
        what = f"{name} is already in steps: its events cannot be selected or merged"
        fix = "leave --merge, --crop, --downsample, --from, --until and --origin out"
        raise UsageError(error("RECORDING-OPTION", what, fix=fix))
    if bin is not None and recording.dt is not None and not close(recording.dt, bin):
        what = f"{name} is already in steps of {recording.dt:g} s, not of {bin:g} s"
        raise UsageError(error("RECORDING-BIN", what, fix="leave --bin out"))
    if shape is not None and recording.shape != shape:
        raise InputError(
            error(
                "RECORDING-SHAPE",
                f"{name} has steps of shape {recording.shape}; the model's input is {shape}",
                fix="give a recording of the input's shape"
                + (
                    ", or --layout x,y,t,p for a table of events" if recording.shape == (4,) else ""
                ),
            )
        )
    findings = []
    if bin is not None and recording.dt is None:
        findings.append(
            warning(
                "RECORDING-BIN-UNUSED",
                f"{name} is already in steps: --bin {bin:g} changes none of them",
                why="only events with timestamps are cut into steps; the file does not state the "
                "length of its steps, so they now have this length",
                fix="leave --bin out: then a step of the file is a step of the model",
            )
        )
    known = recording.dt or bin or (dt if dt is not None and dt < 1 else None)
    return replace(recording, dt=known), findings


def pace(recording: Recording, name: str, dt: float | None, binned: bool) -> list[Finding]:
    """Return a finding if the recording's steps are not as long as the model's.

    A model whose dt is 1 or more counts in steps, not in seconds: each step of the recording
    is one of its steps.
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


def clipped(recording: Recording, name: str, limit: int | None) -> tuple[Recording, list[Finding]]:
    """Reduce every value above `limit` to it."""
    if limit is None:
        return recording, []
    if not 1 <= limit < 1 << 31:
        what = f"values cannot be clipped to {limit:,}" if limit < 1 else "--clip is 2^31 or more"
        fix = "give --clip a number of 1 or more, below 2^31"
        raise UsageError(error("RECORDING-CLIP", what, fix=fix))
    over = recording.value > limit
    count = int(np.count_nonzero(over))
    recording = replace(recording, made=(*recording.made, f"clip {limit}"))
    if not count:
        return recording, []
    value = np.where(over, limit, recording.value).astype(recording.value.dtype)
    finding = warning(
        "RECORDING-CLIPPED",
        f"{count:,} of {len(value):,} values of {name} were above {limit} and are now {limit}; "
        f"the largest was {recording.value.max():g}",
        why="the option --clip is set",
    )
    return replace(recording, value=value), [finding]


def close(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * abs(b)


# --- the shape of binned events --------------------------------------------------


def polarities(shape: Shape) -> str:
    if shape[0] == 1:
        return "give --merge polarity: both polarities are counted in one channel"
    return f"write polarities as {'0 and 1' if shape[0] == 2 else f'0 to {shape[0] - 1}'}"


def misuse(shape: Shape | None, bin: float | None, merge: Merge | None) -> list[Finding]:
    findings = []
    if bin is None:
        findings.append(
            error(
                "RECORDING-BIN-MISSING",
                "the recording has events in microseconds, and the length of a step is missing",
                why="the number of events in a step decides what the network sees",
                fix="give the length of a step in seconds (--bin 0.001)",
            )
        )
    elif not (math.isfinite(bin) and bin > 0):
        fix = "give --bin a positive number of seconds"
        findings.append(error("RECORDING-BIN", f"a step is {bin} s; expected more than 0", fix=fix))
    if merge not in (None, "polarity", "all"):
        fix = "give --merge polarity or --merge all, or leave it out"
        findings.append(error("RECORDING-MERGE", f"there is no way to merge {merge!r}", fix=fix))
    elif shape is None:
        fix = "give the shape of the model's input (shape=)"
        findings.append(
            error("RECORDING-SHAPE-MISSING", "events need the shape of a step", fix=fix)
        )
    elif not _suits(shape, merge):
        findings.append(
            error(
                "RECORDING-SHAPE",
                f"events{f' merged by {merge!r}' if merge else ''} go into a shape of "
                f"{_WANTED[merge]}; the model's input is {shape}",
                fix=_fitting(shape),
            )
        )
    return findings


_WANTED: dict[Merge | None, str] = {
    None: "(P, H, W)",
    "polarity": "(1, H, W) or (H, W)",
    "all": "one element",
}


def _fitting(shape: Shape) -> str:
    """Return a fix that gives events this shape."""
    if len(shape) == 3 and shape[0] > 1:
        return "leave --merge out: each polarity has a separate channel"
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


def other_steps(
    network: Network, recording: Recording, name: str = "the recording"
) -> list[Finding]:
    """Return the warning about a recording whose steps are not as long as the model's.

    A recording without the length of its steps, or a model that counts steps, has none.
    """
    binned = any(step.startswith("bin ") for step in recording.made)
    findings = pace(recording, name, network.dt, binned)
    return [f for f in findings if f.severity == "warning"]


def without_steps(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings without that warning, for output that already has it."""
    return [f for f in findings if f.code != PACE]
