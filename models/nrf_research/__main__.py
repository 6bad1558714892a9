"""python -m nrf_research: compare trackers, publish them with a card, draw their fields.

Run in the folder models/; this package is not installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from nrf_deploy.diagnostics.text import Progress as Bar
from nrf_deploy.diagnostics.text import table
from nrf_deploy.io.files import demand_writable, write_text
from nrf_models.covariant.__main__ import count, exit_code, lint
from nrf_models.covariant.description import config_of
from nrf_models.covariant.receptive_fields import PAPER, Convention, time_constants

EXAMPLES = """\
examples:
  python -m nrf_research times li.toml lif.toml -o times.json
  python -m nrf_research starts li.toml lif.toml -o starts.json
  python -m nrf_research publish *.safetensors -o weights
  python -m nrf_research fields li.toml -o fields.svg
"""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    verbs = {"publish": _publish, "fields": _fields}
    return exit_code(verbs.get(args.verb, _sweep), args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nrf_research",
        description="Compare trackers, publish them with a card, draw their fields.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    times = verbs.add_parser("times", help="compare ladders of time constants")
    starts = verbs.add_parser("starts", help="compare starts by theory and uniform ones")
    for verb in (times, starts):
        verb.add_argument("config", nargs="+")
        verb.add_argument(
            "-o",
            "--output",
            required=True,
            metavar="JSON",
            help="file of results; extended if it exists",
        )
        verb.add_argument("--batches", type=count, default=60, help="of each training")
        verb.add_argument("--seeds", type=count, default=3, help="trainings of each variant")
    publish = verbs.add_parser(
        "publish", help="test checkpoints, and keep weights and errors without the optimiser"
    )
    publish.add_argument("checkpoint", nargs="*", help="none: only write the page again")
    publish.add_argument("-o", "--output", required=True, metavar="FOLDER")
    publish.add_argument("--scenes", type=count, default=64, help="of each velocity")
    shown = verbs.add_parser("fields", help="draw the fields in space, in time and moving")
    shown.add_argument("config", nargs="?", help="default: the paper's 144 fields")
    shown.add_argument("-o", "--output", required=True, metavar="SVG")
    normalised = "of derivatives: sigma^(m+n), or as the paper's code did"
    shown.add_argument(
        "--convention", choices=get_args(Convention), default="sigma", help=normalised
    )
    for verb in (times, starts, publish):
        verb.add_argument("--device", default="cpu", help="cpu or cuda")
        verb.add_argument("--threads", type=count, default=2, help="of torch, on the CPU")
    return parser


def _publish(args: argparse.Namespace) -> int:
    import torch

    from nrf_models.covariant import checkpoint
    from nrf_models.covariant.errors import tested
    from nrf_models.covariant.train import device_of

    from .card import files

    torch.set_num_threads(args.threads)
    device, folder = device_of(args.device), Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(Path, args.checkpoint):
        kept = checkpoint.read(path)
        notes = tested(kept.net.to(device), kept.config, args.scenes)
        checkpoint.write(folder / path.name, kept.config, kept.net, notes=notes)
        print(f"wrote {folder / path.name}", flush=True)
    for name, text in files(folder).items():
        write_text(folder / name, text)
        print(f"wrote {folder / name}")
    return 0


def _fields(args: argparse.Namespace) -> int:
    from .field_picture import picture

    fields, times = PAPER, time_constants(slowest=43.8, ratio=2, count=4)
    if args.config:
        tracker = config_of(args.config).tracker
        fields, times = tracker.fields(), tracker.time_constants
        lint(tracker)
    write_text(args.output, picture(fields, times, args.convention))
    print(f"wrote {args.output}: {len(fields)} fields, {len(times)} time constants")
    return 0


def _sweep(args: argparse.Namespace) -> int:
    demand_writable(args.output)

    import torch

    from nrf_models.covariant.errors import VELOCITIES

    from . import sweep

    torch.set_num_threads(args.threads)
    variants = {"times": sweep.ladders, "starts": sweep.starts}[args.verb]
    wanted = [
        sweep.short(variant, args.batches, seed)
        for path in args.config
        for seed in range(args.seeds)
        for variant in variants(config_of(path))
    ]
    with Bar("training") as bar:
        swept = sweep.sweep(wanted, Path(args.output), args.device, bar)
    print(f"mean error in pixels by velocity, after {args.batches} batches\n")
    rows = []
    for row in swept:
        t = row.config.tracker
        label = t.space if args.verb == "starts" else " ".join(f"{mu:g}" for mu in t.time_constants)
        rows.append((t.neuron, label, t.time, t.seed, *(f"{e:.2f}" for e in row.errors.values())))
    head = ("tracker", "kernels" if args.verb == "starts" else "ladder", "times", "seed")
    print(table((*head, *(f"{v:g}" for v in VELOCITIES)), rows))
    print(f"\nwrote {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
