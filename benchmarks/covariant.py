"""Covariance on the chips: writes docs/covariance.md and its figures.

    python benchmarks/covariant.py [--camera FILE]   measure all, then write
    python benchmarks/covariant.py --only NAME       measure one model anew; keep the others
    python benchmarks/covariant.py --again           write from what was measured

The front ends and the trained trackers are compiled for each chip; each goes through the tests
of `verify --covariance`. FILE is a camera's recording for the test of real timestamps
(N-MNIST's, of 34 x 34 pixels). What was measured is kept in docs/covariance/measured.json.
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
from nrf_deploy import shipped
from nrf_deploy.bundle import Bundle
from nrf_deploy.findings import TargetError
from nrf_deploy.given import recording_for, slower
from nrf_deploy.network import IF, LI, Conv, Input, Linear, Network, Node, Output
from nrf_deploy.recording import Recording
from nrf_deploy.verification.covariance import CHIP, covariance, fields
from nrf_deploy.verification.covariance.affine import sampled, transformed
from nrf_deploy.verification.covariance.fields import Field
from nrf_deploy.verification.covariance.in_space import in_space
from nrf_deploy.verification.covariance.stages import Stage
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
KEPT = FOLDER / "measured.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--camera", help="a recording of N-MNIST, with timestamps")
    parser.add_argument(
        "--only", choices=[*MODELS, *OTHERS], help="measure this anew; keep the others"
    )
    parser.add_argument("--again", action="store_true", help="only write the document anew")
    asked = parser.parse_args()
    if asked.only == "camera" and not asked.camera:
        parser.error("--camera FILE is needed to measure it")
    FOLDER.mkdir(exist_ok=True)
    held = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    for name in () if asked.again else everything(asked):
        print(f"measuring {name}", file=sys.stderr, flush=True)
        held[name] = anew(name, asked.camera)
        KEPT.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", "utf-8")
    for name, drawn in pictures(held).items():
        (FOLDER / f"{name}.svg").write_text(drawn, "utf-8")
    (DOCS / "covariance.md").write_text(document(held), "utf-8")
    print(f"wrote {DOCS / 'covariance.md'}")
    return 0


def everything(asked: argparse.Namespace) -> tuple[str, ...]:
    if asked.only:
        return (asked.only,)
    others = (name for name in OTHERS if name != "camera" or asked.camera)
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
    """By chip what the tests say, and where the trackers find the disc."""
    found: dict[str, Any] = {}
    source = shipped.module(name)
    steps = SHORT if name in TRACKERS else STEPS
    typical, given = source.demo_recording(1, TYPICAL), source.demo_recording(0, steps)
    with tempfile.TemporaryDirectory() as folder:
        exported = nd.export(name, Path(folder) / f"{name}.nir")
    for chip in CHIPS:
        try:
            bundle = nd.compile(exported, chip, typical)
        except TargetError as refusal:
            found[chip] = {"refused": [f.what for f in refusal.findings]}
            continue
        found[chip] = {"covariance": covariance(bundle, given).as_json()}
    return found


def integrators() -> dict[str, Any]:
    """The front end's fields with neurons that do not leak, which Speck has too."""
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
    typical, given = (frontend.demo_recording(s, n) for s, n in ((1, TYPICAL), (0, STEPS)))
    found: dict[str, Any] = {}
    for chip in ("loihi2", "speck2f"):
        bundle = nd.compile(network, chip, typical)
        found[chip] = {"covariance": covariance(bundle, given).as_json()}
    found["speck2f"]["summed"] = summed(bundle, given)
    return found


def summed(bundle: Bundle, given: Recording) -> dict[str, float]:
    """By transform, how far the answers are off where the chip's events are added up step by
    step and not taken one by one."""
    program = replace(bundle.program, arithmetic="speck.steps")
    stage = Stage(CHIP, bundle.network, replace(bundle, program=program))
    rows = in_space(bundle, given, fields.seen(bundle.network)[0], [stage]).rows
    return {row.transform: row.errors[CHIP] for row in rows}


def camera(file: str) -> dict[str, Any]:
    """The front end in front of a real recording, with its own timestamps."""
    name, found = "covariant-frontend", {}
    with tempfile.TemporaryDirectory() as folder:
        exported = nd.export(name, Path(folder) / f"{name}.nir")
    given, _ = recording_for(exported.network, file, **WINDOW)  # type: ignore[arg-type]
    real = slower(exported.network, file, **WINDOW)  # type: ignore[arg-type]
    for chip in CHIPS:
        bundle = nd.compile(exported, chip, given.until(TYPICAL))
        found[chip] = covariance(bundle, given, slower=real).as_json()
    return {"file": Path(file).name, "steps": given.steps, "chips": found}


def ladder(chip: str) -> dict[str, Any]:
    """One leaky integrator after another, each twice as slow, on the same random events."""
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
    """How far a kernel is from the one of 4 times the variance, scaled by 2, when both are cut to
    a width; by the smaller variance and the orders of derivative."""
    found: dict[str, Any] = {}
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
        found[f"{variance:g} to {4 * variance:g}, orders {along}, {across}"] = points
    return found


if __name__ == "__main__":
    sys.exit(main())
