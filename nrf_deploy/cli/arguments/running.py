"""Arguments of the verbs that run a model and compare runs."""

from __future__ import annotations

from typing import Any

from ..shared_options import decay, fraction, positive, reading
from ..usage import Parser


def add_run(root: Parser, verbs: Any) -> None:
    run = root.add_verb(
        verbs,
        "run",
        "run a bundle on a recording",
        "nrf-deploy run model.nrfb --input events.npz --bin 1e-3 -o spikes.npz",
        "nrf-deploy run model.nrfb --input events.npz --layer conv1 --states -o conv1.npz",
        "nrf-deploy run model.nrfb --input events.npz --engine reference --decay exact -o s.npz",
    )
    run.add_argument("bundle", help="a .nrfb file")
    run.add_argument("--input", required=True, metavar="REC", help="the recording")
    run.add_argument("--engine", default="emulator", help="reference, emulator, or a vendor's")
    run.add_argument(
        "--layer",
        action="append",
        help="layer to write (default: the outputs); can be given several times. Several layers "
        "have separate files: -o z.npz writes z.LAYER.npz",
    )
    run.add_argument(
        "--states",
        action="store_true",
        help="also write the states (u, v) of these layers, beside the spikes (.states.npz)",
    )
    run.add_argument(
        "-o",
        "--output",
        required=True,
        help="file for the spikes (.npz, or .nir as NIR data); for several layers see --layer",
    )
    decay(run)
    reading(run)


def add_verify(root: Parser, verbs: Any) -> None:
    verify = root.add_verb(
        verbs,
        "verify",
        "compare two engines layer by layer, and judge",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --against lava",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --report report.html",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --attribute",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --covariance",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --bisect smallest",
        "nrf-deploy verify model.nrfb --input steps.npz --limits L.toml --junit verify.xml",
        "nrf-deploy verify model.nrfb --input steps.npz --labels places.csv",
        "nrf-deploy verify loihi2.nrfb speck2b.nrfb --input events.npz --bin 1e-3",
    )
    verify.add_argument(
        "bundle",
        nargs="+",
        help="a .nrfb file; for several (one model on several chips) every engine is shown in one "
        "table",
    )
    verify.add_argument("--input", required=True, metavar="REC", help="the recording")
    verify.add_argument(
        "--engine",
        default="emulator",
        help="the engine in question; all: one table of every engine that is installed",
    )
    verify.add_argument(
        "--against",
        default="reference",
        metavar="E",
        help="the engine to trust, or a recording of one layer from silicon (.npz; states "
        "beside it in .states.npz)",
    )
    verify.add_argument("--layer", help="the layer that such a recording is of")
    verify.add_argument(
        "--behind",
        type=int,
        default=0,
        metavar="N",
        help="steps by which such a recording is behind the model (default 0, as run writes it)",
    )
    verify.add_argument(
        "--limit",
        type=fraction,
        metavar="X",
        help="largest relative error of a layer's spike count against the float reference "
        "(default 0.1); between integer engines every value must be equal",
    )
    verify.add_argument("--exact", action="store_true", help="every spike must be equal")
    verify.add_argument(
        "--bisect",
        metavar="OUT",
        help="where the runs differ, write the smallest part that still does (OUT.nrfb) and the "
        "shortest input for it (OUT.npz)",
    )
    verify.add_argument(
        "--limits",
        metavar="L.toml",
        help="limits by metric and layer from a file, instead of --limit (docs/report-schema.md)",
    )
    verify.add_argument(
        "--labels",
        metavar="L.csv",
        help="what the recording shows, a class or places over time: the error of both runs is "
        "reported too (docs/report-schema.md)",
    )
    verify.add_argument("--junit", metavar="F.xml", help="also write one test a layer here, for CI")
    verify.add_argument(
        "--attribute",
        action="store_true",
        help="divide each layer's error against the model among its causes: weights, decays, "
        "thresholds, biases, saturation, pooling, latency, the order of events, rewrites, "
        "arithmetic",
    )
    verify.add_argument(
        "--covariance",
        action="store_true",
        help="also stretch, turn, scale and move the input, compare the responses of the channels "
        "for it, and report the largest cause of an error and its fix (docs/covariance.md)",
    )
    verify.add_argument(
        "--report",
        metavar="R.html",
        help="also write the report to this file: as one page (.html), or for programs (.json)",
    )
    decay(verify)
    reading(verify)


def add_conformance(root: Parser, verbs: Any) -> None:
    conformance = root.add_verb(
        verbs,
        "conformance",
        "test a target or an engine, case by case",
        "nrf-deploy conformance --target loihi2",
        "nrf-deploy conformance --target loihi2 --engine lava",
        "nrf-deploy conformance --target loihi2 --kit recorded-on-silicon --case drift",
        "nrf-deploy conformance --target emulator:weight_bits=4 --junit conformance.xml",
    )
    conformance.add_argument("--target", required=True, help="a chip (nrf-deploy targets)")
    conformance.add_argument("--engine", default="emulator", help="the engine in question")
    conformance.add_argument(
        "--kit",
        action="append",
        default=[],
        metavar="FOLDER",
        help="also the cases of this kit (docs/conformance.md)",
    )
    conformance.add_argument(
        "--case", action="append", default=[], metavar="NAME", help="only this case"
    )
    conformance.add_argument(
        "--junit", metavar="F.xml", help="also write one test a case here, for CI"
    )


def add_bench(root: Parser, verbs: Any) -> None:
    bench = root.add_verb(
        verbs,
        "bench",
        "measure the emulator on known networks, alone or beside other tools",
        "nrf-deploy bench yardstick --install",
        "nrf-deploy bench yardstick --json --repeats 30",
        "nrf-deploy bench nmnist dense --peers scipy sinabs --install",
    )
    bench.add_argument(
        "case",
        nargs="*",
        metavar="CASE",
        help="networks, by the names in docs/performance.md (default: all)",
    )
    bench.add_argument(
        "--peers", nargs="*", metavar="NAME", help="also run these tools (no name: all of them)"
    )
    bench.add_argument(
        "--repeats", type=positive, default=10, metavar="N", help="runs to take the median of"
    )
    bench.add_argument(
        "--rounds", type=positive, metavar="N", help="runs of each other tool (default 3)"
    )
    bench.add_argument(
        "--install", action="store_true", help="first build the environments that this needs"
    )
