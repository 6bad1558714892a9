"""Check of recordings against a program's ports."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

from .order import soundness

LOWEST, HIGHEST = -(2**31), 2**31 - 1


def sound(program: Program, recording: Recording) -> list[int]:
    """Return the largest magnitude at each port; refuse a recording that cannot be run."""
    arrays = recording.start, recording.index, recording.value
    usual = (
        len(program.ports) == 1
        and (recording.dt is None or 0 < recording.dt < math.inf)
        and recording.shape == program.ports[0].shape
        and all(a.ndim == 1 and a.dtype == np.int64 and a.flags.c_contiguous for a in arrays)
    )
    if usual:
        largest = soundness(*arrays, recording.size, LOWEST, HIGHEST)
        if largest >= 0:
            return [int(largest)]
    refuse(input_faults(program, recording), InputError)
    return recording_peaks(program, recording)


def input_faults(program: Program, recording: Recording) -> list[Finding]:
    """Return the faults of a recording; the machine does not check its input."""
    size = sum(math.prod(p.shape) for p in program.ports)
    faults = [
        error(
            "EMULATOR-INPUT",
            fault,
            fix="make the recording with Recording.from_events, or mend the file",
        )
        for fault in recording.faults()
    ]
    if faults:
        return faults
    if recording.size != size:
        faults.append(
            error(
                "RECORDING-SHAPE",
                f"the recording has {recording.size} elements, the program's ports {size}",
                fix="record, crop or merge the input to the program's ports",
            )
        )
    values = recording.value
    if len(values):
        wide = values.astype(np.float64)
        beyond = (wide < LOWEST) | (wide > HIGHEST)
        if beyond.any():
            at = int(np.argmax(beyond))
            faults.append(
                error(
                    "EMULATOR-INPUT-VALUE",
                    f"the value {values[at]} does not fit 32 bits",
                    step=int(recording.step[at]),
                    fix="send smaller values",
                )
            )
        elif values.dtype.kind == "f" and np.any(values != np.rint(values)):
            at = int(np.argmax(values != np.rint(values)))
            faults.append(
                error(
                    "EMULATOR-INPUT-VALUE",
                    f"input values must be integers; found {values[at]}",
                    step=int(recording.step[at]),
                    fix="send counts of events, or scale the input in the model's first layer",
                )
            )
    return faults


def port_slices(program: Program) -> Mapping[str, tuple[int, int]]:
    """Return each port's range in the stacked, flat input."""
    first, slices = 0, {}
    for port in program.ports:
        size = math.prod(port.shape)
        slices[port.name] = (first, first + size)
        first += size
    return slices


def recording_peaks(program: Program, recording: Recording) -> list[int]:
    """Return the largest magnitude at each port."""
    peaks = []
    for first, last in port_slices(program).values():
        inside = (recording.index >= first) & (recording.index < last)
        peaks.append(int(np.abs(recording.value[inside].astype(np.int64)).max(initial=0)))
    return peaks
