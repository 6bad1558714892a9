"""Measurement of the trained trackers on the chips, which writes docs/trackers.md.

    python benchmarks/trackers.py [--scenes N]    measure all, then write
    python benchmarks/trackers.py --only KIND     measure the checkpoints of one kind again
    python benchmarks/trackers.py --causes        measure only the causes of errors again
    python benchmarks/trackers.py --again         write stored measurements

`--seed` and `--chip` select a part; other measurements are kept.

Every shipped checkpoint is exported and compiled for each chip as a user would, with one scene as
calibration. Then the float model and the emulated chip follow the same discs, scene by scene.
Measurements are stored in benchmarks/results/trackers.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from trackers_causes import measured as causes_measured
from trackers_page import CHIPS, FLOAT, KINDS, SEEDS, document, figure

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.diagnostics.findings import Finding, NrfError
from nrf_deploy.torch import from_torch
from nrf_deploy.verification.task.readout import followed
from nrf_models.covariant.shipped import Shipped

ALLOWED = {"speck2b": ("linear-leak", "rate-code", "spike-count")}
VELOCITIES = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
STEPS, TYPICAL = 100, 80
DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "trackers"
RESULTS = Path(__file__).with_name("results")
KEPT, CAUSES = RESULTS / "trackers.json", RESULTS / "tracker_causes.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=3, help="of each velocity")
    parser.add_argument("--only", choices=KINDS, help="measure this kind again, keep the others")
    parser.add_argument("--seed", type=int, choices=SEEDS, help="measure this seed again")
    parser.add_argument("--chip", choices=CHIPS, help="measure on this chip again")
    parser.add_argument("--causes", action="store_true", help="measure the causes of errors again")
    parser.add_argument("--again", action="store_true", help="only write the document again")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    kinds = () if options.again or options.causes else (options.only,) if options.only else KINDS
    seeds = SEEDS if options.seed is None else (options.seed,)
    for seed, kind in ((s, k) for s in seeds for k in kinds):
        name = f"{kind}-{seed}"
        print(f"measuring {name}", file=sys.stderr, flush=True)
        on = [c for c in chips(kind, seed) if options.chip in (None, c)]
        keep(name, measured(Shipped(name), options.scenes, on, kept().get(name, {})))
    if options.causes or not CAUSES.exists():
        print("measuring causes", file=sys.stderr, flush=True)
        causes_found = causes_measured(ALLOWED["speck2b"])
        CAUSES.write_text(json.dumps(causes_found, indent=1) + "\n", "utf-8")
    measured_all, causes = kept(), json.loads(CAUSES.read_text("utf-8"))
    (FOLDER / "errors.svg").write_text(figure(measured_all), "utf-8")
    (DOCS / "trackers.md").write_text(document(measured_all, causes), "utf-8")
    print(f"wrote {DOCS / 'trackers.md'}")
    return 0


def kept() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    return stored


def keep(name: str, results: dict[str, Any]) -> None:
    """Store results; read the file again first, because another run may have changed it."""
    stored = kept()
    stored[name] = {**stored.get(name, {}), **results}
    KEPT.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", "utf-8")


def chips(kind: str, seed: int) -> tuple[str, ...]:
    """Return the chips for a seed: one with too few cores for a seed is not tried again."""
    return CHIPS if seed == 0 or kind == "relu" else CHIPS[:2]


def measured(
    tracker: Shipped, scenes: int, chips: Iterable[str], before: Mapping[str, Any]
) -> dict[str, Any]:
    """Return {"errors": of the scenes by velocity} or {"refused": why} for each chip.

    The float model follows the scenes once, for all chips.
    """
    try:
        module = tracker.build()
    except NrfError:
        raise
    except ValueError as problem:
        return {"refused": str(problem)}
    network, _, _ = from_torch(module, module.input_shape, None)
    drawn = {v: [tracker.demo_truth(100 + k, STEPS, v) for k in range(scenes)] for v in VELOCITIES}
    floats = before.get(FLOAT, {"errors": {}})["errors"]
    known = [len(floats.get(f"{v:g}", ())) for v in VELOCITIES] == [scenes] * len(VELOCITIES)
    results: dict[str, Any] = {FLOAT: before[FLOAT]} if known else {}
    for chip in chips:
        allow = ALLOWED.get(chip, ())
        refused = [f for f in nd.check(network, chip, allow=allow).findings if is_error(f)]
        if refused:
            results[chip] = {"refused": refused[0].what, "code": refused[0].code}
            continue
        bundle = nd.compile(network, chip, tracker.demo_recording(1, TYPICAL), allow=allow)
        results[chip] = {"errors": errors(bundle, "emulator", drawn, tracker.settled)}
        if FLOAT not in results:
            results[FLOAT] = {"errors": errors(bundle, "reference", drawn, tracker.settled)}
    return results


def errors(bundle: Bundle, engine: str, drawn: Any, settled: int) -> dict[str, list[float]]:
    """Return each scene's mean distance in pixels, by velocity."""

    def each(scenes: Any) -> Iterator[float]:
        for recording, truth in scenes:
            away = np.linalg.norm(followed(bundle, recording, engine) - truth, axis=-1)
            yield round(float(away[settled:].mean()), 3)

    return {f"{v:g}": list(each(scenes)) for v, scenes in drawn.items()}


def is_error(finding: Finding) -> bool:
    return finding.severity == "error"


if __name__ == "__main__":
    sys.exit(main())
