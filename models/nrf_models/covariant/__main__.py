"""The command python -m nrf_models.covariant: train and test trackers, compare their starts."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nrf_deploy.diagnostics.findings import NrfError, error
from nrf_deploy.diagnostics.text import Progress as Bar
from nrf_deploy.diagnostics.text import duration, finding_text, table
from nrf_deploy.io.files import demand_writable

from .description import Config, Tracker, config_of

if TYPE_CHECKING:
    from .train import Progress

PRECISIONS = ("float32", "bfloat16")
EXAMPLES = """\
examples:
  python -m nrf_models.covariant train lif.toml -o lif.safetensors
  python -m nrf_models.covariant draw paper-lif.toml --data events --threads 16
  python -m nrf_models.covariant test lif.safetensors
"""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    verbs = {"train": _train, "draw": _draw, "test": _test}
    return exit_code(verbs[args.verb], args)


def exit_code(verb: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a command and return its exit code; print the reason of a refusal."""
    try:
        return verb(args)
    except NrfError as refusal:
        print("\n".join(finding_text(f) for f in refusal.findings), file=sys.stderr)
        return refusal.exit_code
    except (ValueError, OSError) as problem:
        print(finding_text(error("TRAINING-REFUSED", str(problem))), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command continues from the last checkpoint", file=sys.stderr)
        return 130


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nrf_models.covariant",
        description="Train trackers, test them, compare their starts.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    train = verbs.add_parser("train", help="train a tracker, or continue where it was stopped")
    train.add_argument("config", help="a .toml with the tables tracker and training")
    train.add_argument("-o", "--output", help="the checkpoint (default: CONFIG.safetensors)")
    train.add_argument("--seed", type=int, help="of the first weights and the scenes")
    train.add_argument("--data", metavar="FOLDER", help="keep batches here, and read them again")
    train.add_argument("--precision", choices=PRECISIONS, help="default: bfloat16 on a GPU only")
    draw = verbs.add_parser("draw", help="make the batches of a training beforehand")
    draw.add_argument("config")
    draw.add_argument("--seed", type=int, help="of the scenes")
    draw.add_argument("--data", metavar="FOLDER", required=True, help="the folder of train --data")
    draw.add_argument("--threads", type=count, default=2, help="threads that make them")
    test = verbs.add_parser("test", help="error in pixels against velocity")
    test.add_argument("checkpoint", nargs="+")
    test.add_argument("--scenes", type=count, default=32, help="of each velocity")

    for verb in (train, test):
        verb.add_argument("--device", default="cpu", help="cpu or cuda")
        verb.add_argument("--threads", type=count, default=2, help="of torch, on the CPU")
    return parser


def _train(args: argparse.Namespace) -> int:
    config = _seeded(config_of(args.config), args.seed)
    path = args.output or str(Path(args.config).with_suffix(".safetensors"))
    demand_writable(path)
    lint(config.tracker)

    import torch

    from .train import train

    torch.set_num_threads(args.threads)
    began = time.perf_counter()
    with Bar("training") as bar:
        reports: list[Progress] = []

        def report(progress: Progress) -> None:
            reports[1:] = [progress]  # the first and the last
            bar(progress.number, progress.of)
            if progress.number % 20 == 0:
                done = progress.number - reports[0].number + 1
                each = (time.perf_counter() - began) / done
                print(_progress_line(progress, each), flush=True)

        mixed = None if args.precision is None else args.precision == "bfloat16"
        train(config, path, report, args.device, args.data, mixed)
    took = time.perf_counter() - began
    if reports:
        print(f"stood still for events {duration(reports[-1].waited)} of {duration(took)}")
    print(f"wrote {path}")
    return 0


def _progress_line(progress: Progress, each: float) -> str:
    """Return a line of progress; `each` is the mean time of a batch in seconds."""
    left = progress.of - progress.number
    return (
        f"batch {progress.number:4} of {progress.of}: {progress.pixels:6.2f} px, "
        f"loss {progress.loss:.4f}{f', {duration(each * left)} left' if left else ''}"
    )


def lint(tracker: Tracker) -> None:
    for finding in tracker.lint():
        print(finding_text(finding), file=sys.stderr)


def _seeded(config: Config, seed: int | None) -> Config:
    if seed is None:
        return config
    tracker, training = replace(config.tracker, seed=seed), replace(config.training, seed=seed)
    return replace(config, tracker=tracker, training=training)


def _draw(args: argparse.Namespace) -> int:
    from .scenes import batches

    config = _seeded(config_of(args.config), args.seed)
    count, folder = config.training.batches, Path(args.data)
    with Bar("drawing events") as bar:
        for k, _ in batches(config.tracker, config.training, 0, folder, args.threads):
            bar(k + 1, count)
    print(f"{count} batches are in {folder}")
    return 0


def _test(args: argparse.Namespace) -> int:
    import torch

    from . import checkpoint
    from .errors import VELOCITIES, errors
    from .train import device_of

    torch.set_num_threads(args.threads)
    device, rows = device_of(args.device), []
    for path in args.checkpoint:
        kept = checkpoint.read(path)
        kept.net.to(device)
        away = [errors(kept.net, kept.config, v, args.scenes).mean() for v in VELOCITIES]
        rows.append((Path(path).stem, *(f"{a:.2f}" for a in away)))
    print("mean error in pixels, by velocity in pixels a step\n")
    print(table(("tracker", *(f"{v:g}" for v in VELOCITIES)), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
