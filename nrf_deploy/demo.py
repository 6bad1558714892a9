"""The whole way for the shipped model, on the chips that each installed target shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import pipeline, shipped, show
from .bundle import save
from .files import write_text
from .findings import TargetError, UsageError, error
from .look import recording_text
from .recordings import write
from .sdk.environments import status
from .target import targets
from .text import Progress, finding_text, table, wrap
from .verification.page import page
from .verification.verify import verify

MODEL = "covariant-frontend"


def run_demo(folder: Path, *, steps: int, seed: int, say: Callable[[str], Any]) -> dict[str, Any]:
    """Export, compile, run and verify; every file it makes stays in `folder`."""
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
    say(f"1. export: {MODEL}, a covariant front end of Norse neurons, becomes a NIR graph\n")
    model = shipped.export(MODEL, folder / f"{MODEL}.nir")
    say(show.network_table(model.network))

    say("\n2. record: a shape moves over an event camera\n")
    recording = shipped.module(MODEL).demo_recording(seed, steps)
    write(recording, folder / "input.npz")
    say(recording_text(recording))

    verified: list[dict[str, Any]] = []
    for name, target in targets().items():
        ready = {s.name for s in target.sdks if status(s).installed}
        for chip in target.shown:
            say(f"\n3. compile for {chip}\n")
            try:
                with Progress(f"{chip}: fitting layers") as progress:
                    bundle = pipeline.compile(model, chip, recording, progress=progress)
            except TargetError as refusal:
                errors = [f for f in refusal.findings if f.severity == "error"]
                say(f"it cannot go on {chip}: {len(errors)} problem(s), the first:\n")
                say(finding_text(errors[0]))
                continue
            path = folder / f"{MODEL}.{chip}.nrfb"
            save(bundle, path)
            say(show.resources(bundle))
            say(f"\n4. run and verify on {chip}\n")
            for engine, against in _pairs(tuple(target.engines), ready):
                labels = [f"{chip}: {e}" for e in (engine, against)]
                hints = pipeline.waiting(engine, against)
                with Progress(labels, waiting=hints) as progress:
                    context = {
                        "bundle": path.name,
                        "commands": [f"nrf-deploy demo --steps {steps} --seed {seed}"],
                    }
                    report = verify(
                        bundle, recording, engine, against, context=context, progress=progress
                    )
                if against == "reference":
                    write_text(folder / f"report.{chip}.html", page(report, bundle, recording))
                say(report.text(details=not report.passed) + "\n")
                verified.append({"chip": chip, "target": name, **report.as_json()})
            for engine in target.engines:
                if engine not in ready:
                    say(wrap(f"{engine} is not installed: nrf-deploy sdk install {engine}"))
    passed = bool(verified) and all(v["passed"] for v in verified)
    document = {"passed": passed, "model": MODEL, "steps": steps, "seed": seed, "runs": verified}
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    write_text(folder / "report.json", text)
    rows = [
        (v["chip"], v["left"], v["right"], "yes" if v["exact"] else "no", v["verdict"])
        for v in verified
    ]
    say(table(("chip", "engine", "against", "exact", "verdict"), rows))
    say(f"\nall files are in {folder}/; report.CHIP.html shows what was found on a chip")
    return document


def _pairs(engines: tuple[str, ...], ready: set[str]) -> list[tuple[str, str]]:
    return [("emulator", e) for e in engines if e in ready] + [("emulator", "reference")]
