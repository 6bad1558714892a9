"""Arguments of the API: convert an object or a path to a Bundle, Recording or Rules."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, get_args

import numpy as np

from nrf_deploy.compiler.quantize.rules import NAMED, Rules, demand_sound, nearest, parse_rules
from nrf_deploy.diagnostics.argument_types import demand_path, wrong
from nrf_deploy.diagnostics.findings import (
    ArgumentTypeError,
    Finding,
    MissingFileError,
    error,
    naming,
    refuse,
)
from nrf_deploy.diagnostics.text import several
from nrf_deploy.engines.reference.neurons import Decay
from nrf_deploy.io.file_types import demand_kind
from nrf_deploy.io.files import content
from nrf_deploy.io.model import Model
from nrf_deploy.io.toml_json import TOML_LIMIT
from nrf_deploy.ir.network import Input, Network, Shape
from nrf_deploy.ir.recording import Recording
from nrf_deploy.witness.reading import as_model

from .bundle import Bundle, load

if TYPE_CHECKING:
    from nrf_deploy.io.recordings import Options

File = str | os.PathLike[str]
DECAYS = get_args(Decay)


def as_bundle(value: object) -> Bundle:
    """Return a Bundle, or the one in a .nrfb file."""
    if isinstance(value, Bundle):
        return value
    if isinstance(value, str | Path):
        demand_kind(value, "bundle")
        return load(value)
    raise wrong(
        value, "a bundle", 'pass what nrf_deploy.compile(model, "CHIP") gives, or a .nrfb path'
    )


def as_recording(value: object) -> Recording:
    """Return a Recording; refuse a path: how it is read depends on the model and on options."""
    if isinstance(value, Recording):
        return value
    fix = "pass what nrf_deploy.read_recording(path, bundle, bin=...) gives"
    raise wrong(value, "a recording", fix)


def as_scheme(scheme: object) -> Rules:
    """Return Rules, those of a name, or those in a .toml file; without any, no rules."""
    if scheme is None or isinstance(scheme, Rules):
        return Rules() if scheme is None else demand_sound(scheme)
    if not isinstance(scheme, str | Path):
        fix = "pass the path of a .toml file, what nrf_deploy.parse_rules(text) gives, or None"
        raise wrong(scheme, "a scheme", fix)
    if isinstance(scheme, str) and scheme in NAMED:
        return NAMED[scheme]
    if not Path(scheme).suffix and not Path(scheme).exists():
        what = f"there is no scheme {str(scheme)!r}"
        fix = f"{nearest(str(scheme), NAMED)}; or give the path of a .toml file"
        raise MissingFileError(error("SCHEME-UNKNOWN", what, fix=fix))
    with naming(scheme):
        return parse_rules(content(scheme, TOML_LIMIT))


def network_of(model: Bundle | Model | Network | File) -> Network:
    """Return the float network of a bundle, a model, a network, or the file of one."""
    from nrf_deploy.io.file_types import kind_of

    if isinstance(model, str | Path) and kind_of(model) == "bundle":
        return load(model).network
    return model.network if isinstance(model, Bundle) else as_model(model).network


def recording_for(
    network: Network,
    path: File,
    stretch: int = 1,
    **options: Unpack[Options],
) -> tuple[Recording, tuple[Finding, ...]]:
    """Return a recording in the shape of the network's inputs, and the findings on it.

    `stretch` multiplies the timestamps of events.
    """
    from nrf_deploy.io.recordings import read

    demand_kind(path, "recording")
    inputs = list(network.of(Input))
    shape: Shape = (
        inputs[0].shape if len(inputs) == 1 else (sum(math.prod(n.shape) for n in inputs),)
    )
    recording, findings = read(path, shape=shape, dt=network.dt, stretch=stretch, **options)
    return recording, tuple(findings)


def slower(
    network: Network, path: File, **options: Unpack[Options]
) -> Callable[[int], Recording] | None:
    """Return a function from a factor to the recording of a scene slowed down by it.

    It reads as `recording_for` does. Return None if the file has no timestamps.
    """
    from nrf_deploy.io.recordings import opened

    content = opened(
        path, dt=options.get("bin"), layout=options.get("layout"), part=options.get("part")
    )
    if isinstance(content[0], Recording):
        return None
    return lambda by: recording_for(network, path, stretch=by, **options)[0]


def read_recording(
    path: File,
    model: Bundle | Model | Network | File,
    **options: Unpack[Options],
) -> Recording:
    """Read a recording for the input of a model; warnings are Python warnings.

    Args:
        path: The file: .npz, .npy, .csv, a camera's file or NIR data (docs/recordings.md).
        model: The model to run: a bundle, a model, a network, or the path of one. Its input
            shape and dt are those of the recording.
        options: How the file is read. For events with timestamps, `bin`: seconds of one
            step (required), `origin`: where step 0 begins, "first" event (default) or "zero"
            of the file's clock, `start` and `until`: bounds in seconds after the origin,
            `crop`: (x, y, width, height) in pixels of the sensor, `downsample`: N, one pixel
            for N x N. For all files, `merge`: count "polarity" or "all" events together,
            `clip`: the largest value; larger ones become this one, `layout`: the order of a
            file that does not state it ("x,y,t,p", "frames", "dvs128", "davis240",
            "davis346"), `part`: one recording of several ("NODE/OBSERVABLE@SAMPLE" of NIR
            data, "@N" of SHD). Default: none of them.

    Returns:
        The Recording; `made` names the steps by which it was made from the file.

    Raises:
        MissingFileError: The file does not exist (a FileNotFoundError).
        InputError: A file that is damaged, or does not fit the model (a ValueError).
        UsageError: An unknown option or one of a wrong type (a TypeError), or a wrong value
            (a ValueError).
    """
    demand_options("read_recording", options)
    network = network_of(model)
    recording, findings = recording_for(network, path, **options)
    for finding in findings:
        if finding.severity == "warning":
            warnings.warn(finding.text(), stacklevel=2)
    return recording


def write_recording(recording: Recording, path: File) -> None:
    """Write a recording to a file: the same bytes for the same recording.

    Args:
        recording: What `read_recording` returns, or an output of a Trace.
        path: The file: .npz, which `read_recording` gives back exactly and numpy opens, or
            .nir as NIR data, which holds the events and their dt.

    Raises:
        UsageError: Another suffix, an unsound recording, or a file that cannot be written.
    """
    from nrf_deploy.io.recordings import write

    demand_path(path)
    write(as_recording(recording), path)


def demand_options(
    function: str, options: Collection[str], known: Collection[str] | None = None
) -> None:
    """Refuse names that are not known; by default, that are not options of a recording."""
    from nrf_deploy.io.recordings import Options

    known = Options.__annotations__ if known is None else known
    unknown = [n for n in options if n not in known]
    refuse(
        [
            error("ARGUMENT-UNKNOWN", f"{function} takes no {n!r}", fix=nearest(n, known))
            for n in unknown
        ],
        ArgumentTypeError,
    )


def input_faults(bundle: Bundle, recording: Recording, integers: bool) -> list[Finding]:
    """Return the reasons why this recording cannot be the input of this bundle."""
    shapes = [n.shape for n in bundle.network.of(Input)]
    size = sum(math.prod(s) for s in shapes)
    findings = []
    if recording.size != size or (len(shapes) == 1 and recording.shape != shapes[0]):
        findings.append(
            error(
                "RECORDING-SHAPE",
                f"the recording has the shape {recording.shape}, the model takes "
                f"{shapes[0] if len(shapes) == 1 else shapes}",
                fix="read it for this model (nrf_deploy.read_recording), or crop it",
            )
        )
    values = recording.value
    if integers and len(values):
        if np.any(values != np.rint(values)):
            at = int(np.argmax(values != np.rint(values)))
            findings.append(
                error(
                    "RECORDING-NOT-WHOLE",
                    f"input values must be integers; found {values[at]:.6g}",
                    step=int(recording.step[at]),
                    why="the input of a chip is spikes, counts or integer payloads",
                    fix="send counts of events, or scale the input in the model's first layer",
                )
            )
        findings += _beyond(bundle, recording)
    return findings


def _beyond(bundle: Bundle, recording: Recording) -> list[Finding]:
    """Return errors for values outside the range of the program's ports."""
    ranges = [port.range for port in bundle.program.ports]
    low, high = max((r[0] for r in ranges), default=0), min((r[1] for r in ranges), default=1)
    values, findings = recording.value, []
    if values.min() < low:
        at = int(np.argmin(values))
        findings.append(
            error(
                "RECORDING-NEGATIVE" if low == 0 else "RECORDING-TOO-LARGE",
                f"the value {values[at]} is below {low}, the smallest input of this bundle",
                step=int(recording.step[at]),
                why=f"{bundle.chip} takes spikes without a sign" if low == 0 else "",
                fix="give the two polarities a channel each"
                if low == 0
                else "compile with --calibrate and a recording that holds such values",
            )
        )
    if values.max() > high:
        at = int(np.argmax(values))
        more = (
            "or choose a chip that takes more (nrf-deploy targets)"
            if (low, high) == (0, 1)
            else "or compile with --calibrate and a recording that holds such values"
        )
        findings.append(
            error(
                "RECORDING-TOO-LARGE",
                f"the value {values[at]} is above {high}, the largest input of this bundle",
                step=int(recording.step[at]),
                why=_bounded(bundle, high),
                fix=f"give --clip {high} ({several(high, 'event')} a pixel and step at most), a "
                f"smaller --bin (fewer events fall together), {more}",
            )
        )
    return findings


def _bounded(bundle: Bundle, high: int) -> str:
    """Return the reason for the bound of the input; a target that chose it left a finding."""
    chosen = next((f for f in bundle.findings if f.code.endswith("-INPUT-PEAK")), None)
    if chosen is None:
        return f"{bundle.chip} takes a spike or none from an input in a step" if high == 1 else ""
    where = f", in layer {chosen.layer!r}" if chosen.layer else ""
    return f"this model was compiled for values up to {high}: {chosen.why}{where}"


def decay_faults(decay: str, engines: Collection[str]) -> list[Finding]:
    """Return errors for an unknown decay, and for one that no engine of the run can use."""
    if decay not in DECAYS:
        return [
            error(
                "DECAY-UNKNOWN",
                f"there is no decay {decay!r}",
                fix=f"choose one of: {', '.join(DECAYS)}",
            )
        ]
    if decay == "euler" or "reference" in engines:
        return []
    return [
        error(
            "DECAY-ENGINE",
            f"the decay {decay!r} is the float reference's, not one of {', '.join(engines)}",
            why="the integers of a chip fit its own steps only",
            fix="use the engine reference, or leave the decay out",
        )
    ]
