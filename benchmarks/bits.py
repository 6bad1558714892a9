"""Mismatches with the float model against the bits of a machine.

    python benchmarks/bits.py MODEL.nir --input REC [--bin 1e-3] [--dt 1]
        [--producer nir] [--base emulator-float-like] [--sweep weight_bits=2,3,4,6,8,12,16]

Each row is the target `BASE:KEY=VALUE`, compiled and verified like any other. A mismatch is a
neuron and step whose output is not the model's.
"""

from __future__ import annotations

import argparse
import sys

import nrf_deploy as nd
from nrf_deploy.cli.shared_options import add_rule, rule_options
from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.diagnostics.text import table
from nrf_deploy.ir.recording import Recording

SWEEPS = ("weight_bits=2,3,4,6,8,12,16,24", "state_bits=8,10,12,16,20,24,32")
WIDE = "emulator-float-like"


def main() -> int:
    parser = argparse.ArgumentParser(description="mismatches with the model against bits")
    parser.add_argument("model", help="a .nir file")
    parser.add_argument("--input", required=True, help="a recording")
    add_rule(parser)
    parser.add_argument("--dt", type=float, help="the model's time step, if the file has none")
    parser.add_argument("--bin", type=float, help="seconds of a step of camera events")
    parser.add_argument("--base", default=WIDE, help="the target with the other settings")
    parser.add_argument("--sweep", action="append", metavar="KEY=A,B,...", help="may be repeated")
    args = parser.parse_args()
    try:
        model = nd.read(args.model, dt=args.dt, **rule_options(args))
        recording = nd.read_recording(args.input, model, bin=args.bin)
        for sweep in args.sweep or SWEEPS:
            key, _, values = sweep.partition("=")
            rows = [row(model, recording, args.base, key, v) for v in values.split(",")]
            print(table((key, "spikes", "model's", "mismatches", "per spike"), rows))
            print()
    except NrfError as refusal:
        print(refusal, file=sys.stderr)
        return refusal.exit_code
    return 0


def row(
    model: nd.Model, recording: Recording, base: str, key: str, value: str
) -> tuple[str, str, str, str, str]:
    chip = f"{base},{key}={value}" if ":" in base else f"{base}:{key}={value}"
    try:
        bundle = nd.compile(model, chip)
    except NrfError as refusal:
        (first, *_) = (f for f in refusal.findings if f.severity == "error")
        return value, "refused", first.code, "", ""
    layers = nd.verify(bundle, recording).comparison.layers
    spiking = [layer for layer in layers if layer.spikes_right]
    ours, wanted = (sum(getattr(c, f"spikes_{s}") for c in spiking) for s in ("left", "right"))
    places = sum(c.mismatches for c in spiking)
    return value, f"{ours:,}", f"{wanted:,}", f"{places:,}", f"{places / max(wanted, 1):.2%}"


if __name__ == "__main__":
    sys.exit(main())
