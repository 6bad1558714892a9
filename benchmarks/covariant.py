"""Measurement of covariance on the chips, which writes docs/covariance.md and its figures.

    python benchmarks/covariant.py [--camera FILE]   measure all, then write
    python benchmarks/covariant.py --only NAME       measure one model again; keep the others
    python benchmarks/covariant.py --again           write the stored measurements

The front ends and the trained trackers are compiled for each chip; each goes through the tests
of `verify --covariance`. FILE is a camera's recording for the test of real timestamps
(N-MNIST's, of 34 x 34 pixels). Measurements are stored in benchmarks/results/covariance.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from covariant_page import document, pictures

import nrf_deploy as nd
from nrf_deploy.api import shipped
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import recording_for, slower
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.network import IF, LI, Conv, Input, Linear, Network, Node, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.covariance import CHIP, covariance, fields
from nrf_deploy.verification.covariance.affine import sampled, transformed
from nrf_deploy.verification.covariance.fields import Field
from nrf_deploy.verification.covariance.in_space import in_space
from nrf_deploy.verification.covariance.variants import Stage
from nrf_models.covariant import frontend
from nrf_models.covariant.receptive_fields import described

CHIPS = ("loihi2", "emulator")
TRACKERS = ("lif-tracker", "li-tracker")
MODELS = ("covariant-frontend", "velocity-frontend", *TRACKERS)
TYPICAL, STEPS, SHORT = 80, 160, 100
"""Steps of the calibration, of the input, and of the trackers' input."""
WINDOW = {"bin": 1e-3, "crop": (1, 1, 32, 32), "clip": 1}
LADDER = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
WIDTHS = (5, 9, 13, 17, 21, 25)
OTHERS = ("truncation", "ladder", "camera", "fields-if")
DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "covariance"
KEPT = Path(__file__).with_name("results") / "covariance.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--camera", help="a recording of N-MNIST, with timestamps")
    parser.add_argument(
        "--only", choices=[*MODELS, *OTHERS], help="measure this again; keep the others"
    )
    parser.add_argument("--again", action="store_true", help="only write the document again")
    options = parser.parse_args()
    if options.only == "camera" and not options.camera:
        parser.error("--camera FILE is needed to measure it")
    FOLDER.mkdir(exist_ok=True)
    measured = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    for name in () if options.again else everything(options):
        print(f"measuring {name}", file=sys.stderr, flush=True)
        measured[name] = anew(name, options.camera)
        KEPT.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n", "utf-8")
    for name, drawn in pictures(measured).items():
        (FOLDER / f"{name}.svg").write_text(drawn, "utf-8")
    (DOCS / "covariance.md").write_text(document(measured), "utf-8")
    print(f"wrote {DOCS / 'covariance.md'}")
    return 0


def everything(options: argparse.Namespace) -> tuple[str, ...]:
    if options.only:
        return (options.only,)
    others = (name for name in OTHERS if name != "camera" or options.camera)
    return (*others, *MODELS)


def anew(name: str, file: str | None) -> Any:
    match name:
        case "truncation":
            return truncation()
        case "ladder":
            return {chip: ladder(chip) for chip in CHIPS}
        case "fields-if":
            return integrators()
        case "camera":
            return camera(str(file))
        case _:
            return model(name)


def model(name: str) -> dict[str, Any]:
    """Return the results of the tests by chip."""
    results: dict[str, Any] = {}
    source = shipped.module(name)
    steps = SHORT if name in TRACKERS else STEPS
    typical, stimulus = source.demo_recording(1, TYPICAL), source.demo_recording(0, steps)
    with tempfile.TemporaryDirectory() as folder:
        exported = nd.export(name, Path(folder) / f"{name}.nir")
    for chip in CHIPS:
        try:
            bundle = nd.compile(exported, chip, typical)
        except TargetError as refusal:
            results[chip] = {"refused": [f.what for f in refusal.findings]}
            continue
        results[chip] = {"covariance": covariance(bundle, stimulus).as_json()}
    return results


def integrators() -> dict[str, Any]:
    """Measure the front end's fields with neurons without a leak, which Speck has too."""
    weight = frontend.field_weights()
    reach, size = weight.shape[-1] // 2, (frontend.SIZE, frontend.SIZE)
    conv = Conv(
        name="fields",
        weight=weight,
        input_size=size,
        stride=(frontend.STRIDE,) * 2,
        padding=((reach, reach),) * 2,
        dilation=(1, 1),
    )
    ones = np.ones(conv.shape)
    neurons = IF(name="field_if", r=1e3 * ones, v_threshold=0.1 * ones, v_reset=0 * ones)
    nodes = (
        Input(name="x", port_shape=conv.input_shape),
        conv,
        neurons,
        Output(name="y", port_shape=conv.shape),
    )
    edges = (("x", "fields"), ("fields", "field_if"), ("field_if", "y"))
    seen = {"field_if": described(frontend.fields(), frontend.STRIDE)}
    network = Network(nodes, edges, 1e-3, receptive_fields=seen)
    typical, stimulus = (frontend.demo_recording(s, n) for s, n in ((1, TYPICAL), (0, STEPS)))
    results: dict[str, Any] = {}
    for chip in ("loihi2", "speck2f"):
        bundle = nd.compile(network, chip, typical)
        results[chip] = {"covariance": covariance(bundle, stimulus).as_json()}
    results["speck2f"]["summed"] = summed(bundle, stimulus)
    return results


def summed(bundle: Bundle, stimulus: Recording) -> dict[str, float]:
    """Return the errors by transform if the chip's events are added step by step.

    The chip itself takes them one by one.
    """
    program = replace(bundle.program, arithmetic="speck.steps")
    stage = Stage(CHIP, bundle.network, replace(bundle, program=program))
    rows = in_space(bundle, stimulus, fields.seen(bundle.network)[0], [stage]).rows
    return {row.transform: row.errors[CHIP] for row in rows}


def camera(file: str) -> dict[str, Any]:
    """Measure the front end on a real recording with its timestamps."""
    name, results = "covariant-frontend", {}
    with tempfile.TemporaryDirectory() as folder:
        exported = nd.export(name, Path(folder) / f"{name}.nir")
    stimulus, _ = recording_for(exported.network, file, **WINDOW)  # type: ignore[arg-type]
    real = slower(exported.network, file, **WINDOW)  # type: ignore[arg-type]
    for chip in CHIPS:
        bundle = nd.compile(exported, chip, stimulus.until(TYPICAL))
        results[chip] = covariance(bundle, stimulus, slower=real).as_json()
    return {"file": Path(file).name, "steps": stimulus.steps, "chips": results}


def ladder(chip: str) -> dict[str, Any]:
    """Measure a ladder of leaky integrators, each twice as slow, on the same random events."""
    rng = np.random.default_rng(0)
    events = Recording.from_dense((rng.random((400, 16)) < 0.1).astype(np.int64), 1e-3)
    nodes: list[Node] = [Input(name="x", port_shape=(16,))]
    nodes.append(Linear(name="w", weight=rng.normal(0.2, 1.0, (32, 16))))
    edges = [("x", "w")]
    for k, mu in enumerate(LADDER):
        ones = np.ones(32)
        nodes.append(LI(name=f"n{k}", tau=mu * 1e-3 * ones, r=ones, v_leak=0 * ones))
        edges += [("w", f"n{k}"), (f"n{k}", "y")]
    nodes.append(Output(name="y", port_shape=(32,)))
    network = Network(tuple(nodes), tuple(edges), 1e-3)
    return covariance(nd.compile(network, chip, events), events).as_json()


def truncation() -> dict[str, Any]:
    """Return the error of truncation, by the smaller variance and the orders of derivative.

    It is the difference between a kernel and the one of 4 times the variance, scaled by 2, if
    both are cut to the same width.
    """
    curves: dict[str, Any] = {}
    reach = max(WIDTHS)
    take = transformed(2 * np.eye(2), reach)
    for variance, (along, across) in itertools.product((1.0, 2.0), ((0, 0), (1, 0), (1, 1))):
        fields = [Field(v, along=along, across=across) for v in (variance, 4 * variance)]
        points = []
        for width in WIDTHS:
            half = width // 2
            small, large = (np.pad(sampled(f, half), reach - half) for f in fields)
            off = np.linalg.norm(small - 4 * take(large)) / np.linalg.norm(small)
            points.append((width, float(off)))
        curves[f"{variance:g} to {4 * variance:g}, orders {along}, {across}"] = points
    return curves


if __name__ == "__main__":
    sys.exit(main())
