"""Demonstration with a shipped tracker on the chips of all installed targets.

It exports, records, compiles, runs and verifies, and draws the tracks over the events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.bundle import pipeline, tables
from nrf_deploy.bundle.bundle import Bundle, save
from nrf_deploy.compiler.target import Target, targets
from nrf_deploy.diagnostics.argument_types import demand_path, whole
from nrf_deploy.diagnostics.findings import TargetError, UsageError, error
from nrf_deploy.diagnostics.text import Progress, finding_text, several, table, wrap
from nrf_deploy.engines.sdk.environments import status
from nrf_deploy.io.files import write_text
from nrf_deploy.io.labels import PlaceLabels
from nrf_deploy.io.model import Model
from nrf_deploy.io.recordings import write
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.report.page import report_html
from nrf_deploy.verification.task.readout import followed
from nrf_deploy.verification.verify import verify

from . import shipped
from .export import export
from .inspection import recording_text
from .track_picture import Tracks, in_characters, svg

MODEL = "lif-tracker"
TYPICAL = 80  # steps of another scene, to which the integers are fitted
FLOAT = "the float model"

Say = Callable[[str], Any]


def demo(
    output: str | Path, *, steps: int = 200, seed: int = 0, say: Say = print
) -> dict[str, Any]:
    """Take a shipped model to the chips of every installed target, and verify it there.

    Args:
        output: The folder for all files that the demonstration writes.
        steps: Steps of the input, 1 or more. Default: 200.
        seed: The seed of the input. Default: 0.
        say: Called with each paragraph of the report. Default: print.

    Returns:
        The report as plain data: `passed`, and one entry in `runs` for each chip and engine.

    Raises:
        UsageError: A folder that cannot be made, or `steps` below 1 (a ValueError).
        MissingError: torch or Norse is not installed.
    """
    demand_path(output)
    if whole("steps", steps) < 1:
        raise UsageError(error("DEMO-STEPS", f"steps is {steps}; expected 1 or more"))
    folder = Path(output)
    _made(folder)
    say(f"1. export: {MODEL}, a trained network of Norse neurons, becomes a NIR graph\n")
    model = export(MODEL, folder / f"{MODEL}.nir")
    say(tables.network_table(model.network))

    say("\n2. record: a disc moves over an event camera\n")
    source = shipped.module(MODEL)
    recording, truth = source.demo_truth(seed, steps)
    write(recording, folder / "input.npz")
    labels = shipped.labels(source, truth)
    settled = int(labels.when[0])
    write_text(folder / "truth.csv", labels.csv())
    say(recording_text(recording))

    way = Way(folder, steps, seed, recording, source.demo_recording(seed + 1, TYPICAL), labels, say)
    for name, target in targets().items():
        ready = {s.name for s in target.sdks if status(s).installed}
        for chip in target.shown:
            bundle = way.compile(model, chip)
            if bundle is not None:
                way.verify(bundle, name, target, ready)
    document = way.document()
    write_text(folder / "report.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
    way.conclude(truth, settled)
    return document


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(
            error(
                "OUTPUT-UNWRITABLE",
                f"the folder {folder} cannot be made: {problem.strerror or problem}",
                fix="name another folder with -o",
            )
        ) from problem


@dataclass(eq=False)
class Way:
    """Data that all chips share, and the results of each."""

    folder: Path
    steps: int
    seed: int
    recording: Recording
    typical: Recording
    labels: PlaceLabels
    say: Say
    runs: list[dict[str, Any]] = field(default_factory=list)
    tracks: dict[str, Array] = field(default_factory=dict)

    def compile(self, model: Model, chip: str) -> Bundle | None:
        self.say(f"\n3. compile for {chip}\n")
        try:
            with Progress(f"{chip}: fitting layers") as progress:
                bundle = pipeline.compile(model, chip, self.typical, progress=progress)
        except TargetError as refusal:
            errors = [f for f in refusal.findings if f.severity == "error"]
            self.say(f"it cannot go on {chip}: {several(len(errors), 'problem')}, the first:\n")
            self.say(finding_text(errors[0]))
            return None
        save(bundle, self.folder / f"{MODEL}.{chip}.nrfb")
        self.say(tables.resources(bundle))
        return bundle

    def verify(self, bundle: Bundle, name: str, target: Target, ready: set[str]) -> None:
        """Verify against each installed engine of the vendor, then against the float model."""
        chip = bundle.chip
        self.say(f"\n4. run and verify on {chip}\n")
        context = {
            "bundle": f"{MODEL}.{chip}.nrfb",
            "commands": [f"nrf-deploy demo --steps {self.steps} --seed {self.seed}"],
        }
        for against in (*(e for e in target.engines if e in ready), "reference"):
            labels = [f"{chip}: {e}" for e in ("emulator", against)]
            hints = pipeline.waiting("emulator", against)
            with Progress(labels, waiting=hints) as progress:
                report = verify(
                    bundle,
                    self.recording,
                    "emulator",
                    against,
                    context=context,
                    labels=self.labels,
                    progress=progress,
                )
            if against == "reference":
                page = report_html(report, bundle, self.recording)
                write_text(self.folder / f"report.{chip}.html", page)
            self.say(report.text(details=not report.passed) + "\n")
            self.runs.append({"chip": chip, "target": name, **report.as_json()})
        for engine in target.engines:
            if engine not in ready:
                self.say(wrap(f"{engine} is not installed: nrf-deploy sdk install {engine}"))
        if not self.tracks:
            self.tracks[FLOAT] = followed(bundle, self.recording, "reference")
        self.tracks[chip] = followed(bundle, self.recording, "emulator")

    def document(self) -> dict[str, Any]:
        passed = bool(self.runs) and all(v["passed"] for v in self.runs)
        return {
            "passed": passed,
            "model": MODEL,
            "steps": self.steps,
            "seed": self.seed,
            "runs": self.runs,
        }

    def conclude(self, truth: Array, settled: int) -> None:
        """Write the pictures of the tracks, and print the tracks and the verdicts of all chips."""
        chips = [chip for chip in self.tracks if chip != FLOAT]
        for chip in chips:
            tracks = {"true path": truth, FLOAT: self.tracks[FLOAT], chip: self.tracks[chip]}
            title = f"{MODEL} follows a moving disc, on {chip}"
            picture = Tracks(self.recording, tracks, settled, title)
            write_text(self.folder / f"track.{chip}.svg", svg(picture))
        if chips:
            self.say(f"5. the tracks of the network, from step {settled} on, over the sensor:\n")
            self.say(in_characters(picture) + "\n")
            self.say(off_table(self.tracks, truth, settled) + "\n")
        rows = [
            (v["chip"], v["left"], v["right"], "yes" if v["exact"] else "no", v["verdict"])
            for v in self.runs
        ]
        self.say(table(("chip", "engine", "against", "exact", "verdict"), rows))
        self.say(f"\nall files are in {self.folder}/")
        self.say("for each chip, track.CHIP.svg shows the track over the events, and")
        self.say("report.CHIP.html is the report")


def off_table(tracks: Mapping[str, Array], truth: Array, settled: int) -> str:
    """Return the distances of the tracks from the truth and from that of the float model."""

    def away(track: Array, other: Array) -> Array:
        return np.asarray(np.linalg.norm(track - other, axis=-1)[settled:])

    rows = []
    for name, track in tracks.items():
        off, apart = away(track, truth), away(track, tracks[FLOAT]).max()
        far = "" if name == FLOAT else f"{apart:.2f}"
        rows.append((name, f"{off.mean():.2f}", f"{off.max():.2f}", far))
    header = ("track of", "mean error in px", "largest", "largest from the float model")
    return table(header, rows, "lrrr")
