"""How covariant in time a bundle is, and what costs it most.

The rungs of the model's ladders go through the Z-test several times, with one cause of
error more at each stage: decays as exponentials in float; Euler's step, as the model was
trained; the chip's integers as compiled. Beside them stand the ways out: the chip with
exponential decay, and with decays anchored to the slowest channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...bundle import Bundle
from ...findings import Finding, NrfError, UsageError, error, info
from ...given import as_bundle, as_recording
from ...legalise.exact_decay import ExactDecay
from ...network import Network
from ...pipeline import compile, latency, quiet
from ...pipeline import run as run_engine
from ...recording import Recording
from ...reference import run as run_reference
from ...stages import Progress
from ...text import finding_text, table, wrap
from .ladders import Rung, rungs
from .stretch import Deviation, Run, t_test, z_test

EXACT, EULER, CHIP = "float, exact decay", "float, as trained", "chip, as compiled"
CHIP_EXACT, ANCHORED = "chip, exact decay", "chip, exact, anchored"
REAL_TIME = "chip, binned again"
SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Covariance:
    """For each stage the deviation of every rung, in the order of the rungs."""

    chip: str
    rungs: tuple[Rung, ...]
    stages: Mapping[str, tuple[Deviation, ...]]
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "chip": self.chip,
            "stages": {
                name: [
                    {
                        "faster": d.rung.faster,
                        "slower": d.rung.slower,
                        "stretch": d.rung.stretch,
                        "depth": d.rung.depth,
                        "spikes": d.spikes,
                        "error": d.error,
                    }
                    for d in deviations
                ]
                for name, deviations in self.stages.items()
            },
            "findings": [f.as_json() for f in self.findings],
        }

    def text(self) -> str:
        """One table: a row a rung, a column a stage."""
        heads = [str(k + 1) for k in range(len(self.stages))]
        rows = [
            (
                d.rung.faster,
                f"x{d.rung.stretch}",
                str(d.rung.depth),
                "-" if d.spikes is None else f"{d.spikes:,}",
                *(_percent(stage[k].error) for stage in self.stages.values()),
            )
            for k, d in enumerate(next(iter(self.stages.values())))
        ]
        legend = "; ".join(f"{k + 1}: {name}" for k, name in enumerate(self.stages))
        return "\n\n".join(
            (
                table(
                    ("channel", "to", "depth", "spikes", *heads), rows, "llrr" + "r" * len(heads)
                ),
                wrap(
                    f"{legend}. Each number: the input is stretched in time, and this part of the "
                    "channel's spikes is not where it should be in the next slower channel (for "
                    "values: their relative distance)."
                ),
                *(finding_text(f) for f in self.findings),
            )
        )


def covariance(
    bundle: Bundle | str | Path, recording: Recording, progress: Progress = quiet
) -> Covariance:
    """The Z-test of every rung at every stage, and the T-test on the chip."""
    bundle, recording = as_bundle(bundle), as_recording(recording)
    network = bundle.network
    found = rungs(network)
    if not found:
        raise UsageError(
            error(
                "COVARIANCE-NO-LADDER",
                "no two populations of this model are temporal channels of one another",
                why="they need the same weights, and time constants whose ratio is a whole number",
                fix="keep the time constants on a ladder (learn_time = false), share the weights",
            )
        )
    exact, _ = ExactDecay().apply(network)
    stages = {
        EXACT: z_test(exact, found, recording, _float(exact, found)),
        EULER: z_test(network, found, recording, _float(network, found)),
        CHIP: z_test(network, found, recording, _chip(bundle, found)),
    }
    said: list[Finding] = []
    anchored = replace(bundle.scheme.rules, decay="anchored")
    for name, rules in ((CHIP_EXACT, bundle.scheme.rules), (ANCHORED, anchored)):
        try:
            other = compile(exact, bundle.chip, recording, rules, progress)
        except NrfError as refusal:
            said += [replace(f, severity="warning") for f in refusal.findings]
            continue
        stages[name] = z_test(exact, found, recording, _chip(other, found))
    stages[REAL_TIME] = t_test(network, found, recording, _chip(bundle, found))
    held = {name: tuple(deviations) for name, deviations in stages.items()}
    return Covariance(bundle.chip, found, held, (*_causes(held), *said))


def _float(network: Network, found: tuple[Rung, ...]) -> Run:
    names = _names(found)
    return lambda recording: dict(run_reference(network, recording, record=names).outputs)


def _chip(bundle: Bundle, found: tuple[Rung, ...]) -> Run:
    """The emulated chip's outputs, in the model's steps and units."""
    names, behind = _names(found), latency(bundle, "emulator")
    scales = {o.node: o.scale for o in bundle.program.origins}

    def run(recording: Recording) -> dict[str, Recording]:
        outputs = run_engine(bundle, recording, "emulator", record=names).outputs
        aligned = {n: outputs[n].shifted(behind[n]).until(recording.steps) for n in names}
        return {n: _in_units(r, scales[n].get("output")) for n, r in aligned.items()}

    return run


def _in_units(recording: Recording, scale: Any) -> Recording:
    if scale is None:
        return recording
    of = np.broadcast_to(np.asarray(scale, float), recording.shape).ravel()
    return replace(recording, value=recording.value / of[recording.index])


def _names(found: tuple[Rung, ...]) -> list[str]:
    return list(dict.fromkeys(n for r in found for n in (r.faster, r.slower)))


def _causes(stages: Mapping[str, tuple[Deviation, ...]]) -> list[Finding]:
    """Which stage adds most, and what takes most of it away."""
    mean = {name: float(np.mean([d.error for d in ds])) for name, ds in stages.items()}
    euler, chip = mean[EULER] - mean[EXACT], mean[CHIP] - mean[EULER]
    trained = (
        f"{_percent(mean[EXACT])} with exponential decay, {_percent(mean[EULER])} as trained, "
        f"{_percent(mean[CHIP])} on the chip"
    )
    cause = "Euler's step" if euler >= chip else "the chip's integers"
    if mean[CHIP] < 1e-6:
        return [info("COVARIANCE", f"covariant to the last spike: {trained}")]
    ways = {
        CHIP_EXACT: "--allow exact-decay",
        ANCHORED: "--allow exact-decay and decay = 'anchored' in the scheme",
    }
    better = [(mean[stage], way) for stage, way in ways.items() if stage in mean]
    best, way = min(better, default=(mean[CHIP], ""))
    fix = f"{way}: {_percent(best)}" if best < mean[CHIP] else ""
    said = f"{trained} (means over the rungs); most comes from {cause}"
    return [info("COVARIANCE", said, fix=fix)]


def _percent(x: float) -> str:
    return f"{x:.2%}" if x < 10 else f"{x:.3g}x"
