"""python -m nrf_models.covariant: train trackers, test them, find their time constants."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nrf_deploy.files import write_text
from nrf_deploy.findings import NrfError
from nrf_deploy.text import Progress as Bar
from nrf_deploy.text import finding_text, table

VELOCITIES = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
LADDERS = (
    (1.0, 2.0, 4.0, 8.0),
    (2.0, 4.0, 8.0, 16.0),
    (4.0, 8.0, 16.0, 32.0),
    (5.48, 10.95, 21.9, 43.8),
)
EXAMPLES = """\
examples:
  python -m nrf_models.covariant train lif.toml -o lif.safetensors
  python -m nrf_models.covariant test lif.safetensors
  python -m nrf_models.covariant times lif.toml
  python -m nrf_models.covariant publish *.safetensors -o weights
"""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return int(
            {"train": _train, "test": _test, "times": _times, "publish": _publish}[args.verb](args)
        )
    except NrfError as refusal:
        print("\n".join(finding_text(f) for f in refusal.findings), file=sys.stderr)
        return refusal.exit_code
    except (ValueError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nrf_models.covariant",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    train = verbs.add_parser("train", help="train a tracker; goes on where it was stopped")
    train.add_argument("config", help="a .toml with the tables tracker and training")
    train.add_argument("-o", "--output", help="the checkpoint (default: CONFIG.safetensors)")
    train.add_argument("--seed", type=int, help="of the first weights and the scenes")
    train.add_argument("--data", metavar="FOLDER", help="keep batches here, and read them again")
    test = verbs.add_parser("test", help="error in pixels against velocity")
    test.add_argument("checkpoint", nargs="+")
    test.add_argument("--scenes", type=int, default=32, help="of each velocity")
    times = verbs.add_parser("times", help="which ladder of time constants suits a tracker")
    times.add_argument("config")
    times.add_argument("--batches", type=int, default=60, help="of each training")
    publish = verbs.add_parser(
        "publish", help="test checkpoints, and keep weights and errors without the optimiser"
    )
    publish.add_argument("checkpoint", nargs="+")
    publish.add_argument("-o", "--output", required=True, metavar="FOLDER")
    publish.add_argument("--scenes", type=int, default=64, help="of each velocity")
    for verb in (train, test, times, publish):
        verb.add_argument("--device", default="cpu", help="cpu or cuda")
        verb.add_argument("--threads", type=int, default=2, help="of torch, on the CPU")
    return parser


def _train(args: argparse.Namespace) -> int:
    import torch

    from .description import config_of
    from .train import Progress, train

    torch.set_num_threads(args.threads)
    config = config_of(args.config)
    if args.seed is not None:
        config = replace(
            config,
            tracker=replace(config.tracker, seed=args.seed),
            training=replace(config.training, seed=args.seed),
        )
    path = args.output or str(Path(args.config).with_suffix(".safetensors"))
    with Bar("training") as bar:

        def report(progress: Progress) -> None:
            bar(progress.number, progress.of)
            if progress.number % 20 == 0:
                print(
                    f"batch {progress.number:4}: {progress.pixels:6.2f} px, "
                    f"loss {progress.loss:.4f}",
                    flush=True,
                )

        train(config, path, report, args.device, args.data)
    print(f"wrote {path}")
    return 0


def _test(args: argparse.Namespace) -> int:
    import torch

    from . import checkpoint
    from .train import errors

    torch.set_num_threads(args.threads)
    rows = []
    for path in args.checkpoint:
        kept = checkpoint.read(path)
        away = [errors(kept.net, kept.config, v, args.scenes).mean() for v in VELOCITIES]
        rows.append((Path(path).stem, *(f"{a:.2f}" for a in away)))
    print("mean error in pixels, by velocity in pixels a step\n")
    print(table(("tracker", *(f"{v:g}" for v in VELOCITIES)), rows))
    return 0


def _publish(args: argparse.Namespace) -> int:
    import torch

    from . import checkpoint
    from .card import card
    from .train import errors

    torch.set_num_threads(args.threads)
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(Path, args.checkpoint):
        kept = checkpoint.read(path)
        away = {f"{v:g}": errors(kept.net, kept.config, v, args.scenes) for v in VELOCITIES}
        notes = {
            "errors": {v: round(float(a.mean()), 3) for v, a in away.items()},
            "medians": {v: round(float(np.median(a)), 3) for v, a in away.items()},
            "scenes": args.scenes,
        }
        checkpoint.write(folder / path.name, kept.config, kept.net, notes=notes)
        print(f"wrote {folder / path.name}", flush=True)
    write_text(folder / "README.md", card(folder))
    return 0


def _times(args: argparse.Namespace) -> int:
    import tempfile

    import torch

    from .description import config_of
    from .train import errors, train

    torch.set_num_threads(args.threads)
    config = config_of(args.config)
    rows = []
    for ladder in LADDERS:
        tried = replace(
            config,
            tracker=replace(config.tracker, time_constants=ladder),
            training=replace(config.training, batches=args.batches),
        )
        with tempfile.TemporaryDirectory() as folder:
            net = train(tried, Path(folder) / "tried.safetensors", device=args.device)
        away = [float(errors(net, tried, v, 16).mean()) for v in VELOCITIES]
        rows.append((" ".join(f"{mu:g}" for mu in ladder), *(f"{a:.2f}" for a in away)))
    print(f"mean error in pixels by velocity, after {args.batches} batches\n")
    print(table(("time constants", *(f"{v:g}" for v in VELOCITIES)), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
