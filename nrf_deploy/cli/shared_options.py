"""Options that several verbs share, and the types of their numbers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import cast, get_args

from nrf_deploy.diagnostics.findings import UsageError, error
from nrf_deploy.diagnostics.option_types import fraction, positive, positive_float, window
from nrf_deploy.io.rule_options import Producer, RuleOptions

FILE_DT = "time step, in the units of the file's time constants, if the file has none"


def add_dt(parser: argparse.ArgumentParser, about: str = FILE_DT) -> None:
    parser.add_argument("--dt", type=positive_float, metavar="S", help=about)


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Add the options that state what a .nir file does not: its producer, and how neurons fire."""
    rule = parser.add_argument_group(
        "neurons of a .nir file that does not state how they reset and fire",
        "Each option but --producer also as LAYER=VALUE, for one layer; it can be repeated.",
    )
    rule.add_argument(
        "--producer",
        choices=get_args(Producer),
        help="the framework that wrote the file, whose neurons these are; nir: the equations that "
        "NIR's documentation prints",
    )
    rule.add_argument(
        "--reset",
        action="append",
        default=[],
        metavar="value|subtract|late|none|doubled",
        help="after a spike set the potential to v_reset, or subtract v_threshold, at once or one "
        "step late, or do nothing; doubled: snnTorch's subtract without a delay",
    )
    rule.add_argument(
        "--fires",
        action="append",
        default=[],
        metavar="above|at",
        help="spike where v > v_threshold, or where v >= v_threshold",
    )
    rule.add_argument(
        "--per-step",
        action="append",
        default=[],
        metavar="one|many[:N]",
        help="at most one spike a step, or as many as v holds thresholds (at most N)",
    )
    rule.add_argument(
        "--floor",
        action="append",
        default=[],
        metavar="V|none",
        help="hold the potential at V or above",
    )
    rule.add_argument(
        "--refractory",
        action="append",
        default=[],
        metavar="N|none",
        help="the potential rests for N steps after a spike",
    )


def add_witness(parser: argparse.ArgumentParser, more: str = "") -> None:
    parser.add_argument(
        "--witness",
        metavar="F.npz",
        help="what the framework gave: its input and the output of each layer; the model must "
        f"give the same (docs/from-your-framework.md){more}",
    )


def rule_options(args: argparse.Namespace) -> RuleOptions:
    """Return the options of `add_rule`; refuse a value that is given twice."""
    options: dict[str, object] = {"producer": args.producer}
    for key, kind in KINDS.items():
        by_layer: dict[str, object] = {}
        for word in getattr(args, key):
            layer, _, value = word.rpartition("=")
            if layer in by_layer or not value or (not layer and "=" in word):
                twice = "is given twice" if layer in by_layer else "is not VALUE or LAYER=VALUE"
                what = f"--{key.replace('_', '-')} {word:.80} {twice}"
                raise UsageError(error("USAGE", what, fix="give one value for each layer"))
            by_layer[layer] = kind(value)
        if by_layer:
            options[key] = by_layer
    return cast(RuleOptions, options)


def _number(kind: type) -> Callable[[str], object]:
    """Return a conversion to a number that keeps other words, which are refused by name."""

    def convert(word: str) -> object:
        try:
            return kind(word)
        except ValueError:
            return word

    return convert


KINDS: dict[str, Callable[[str], object]] = {
    "reset": str,
    "fires": str,
    "per_step": str,
    "floor": _number(float),
    "refractory": _number(int),
}


def add_compiling(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide the integers, and so the verdict."""
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NAME",
        help="allow a rewrite that changes spikes; its cost is measured with --calibrate "
        "(nrf-deploy targets lists the names)",
    )
    parser.add_argument("--calibrate", metavar="REC", help="recording that is typical input")
    parser.add_argument(
        "--scheme",
        metavar="S.toml",
        help="bits, gains and the error to make small, by layer (docs/quantising.md), or a "
        "name: sinabs",
    )
    add_reading(parser)


def add_decay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decay",
        choices=["euler", "exact"],
        default="euler",
        help="how the float reference steps: as Norse does (default), or by the exact solution "
        "of the neurons' equations",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bin",
        type=positive_float,
        metavar="S",
        help="seconds of one step, for recordings of events with timestamps",
    )
    parser.add_argument(
        "--merge",
        choices=["polarity", "all"],
        help="count both polarities together (inputs of (1, H, W) or (H, W)), or all events "
        "(inputs of one element)",
    )
    parser.add_argument(
        "--clip",
        type=positive,
        metavar="N",
        help="bring values above N down to N (1 for chips whose inputs are spikes)",
    )
    parser.add_argument(
        "--crop",
        type=window,
        metavar="X,Y,W,H",
        help="use only events of a camera in this window of the sensor",
    )
    parser.add_argument(
        "--downsample",
        type=positive,
        metavar="N",
        help="make one pixel of N x N, after --crop",
    )
    parser.add_argument(
        "--origin",
        choices=["first", "zero"],
        help="start of step 0 of events, and of --from and --until: first, the first event "
        "(default); zero, t = 0 of the file's clock",
    )
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="order of columns or bits where a file does not state it: x,y,t,p, frames, dvs128, "
        "davis240 or davis346 (docs/recordings.md)",
    )
    parser.add_argument(
        "--part",
        metavar="NAME@N",
        help="which recording of a file of several: NODE/OBSERVABLE@SAMPLE of NIR data, @N of SHD",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=fraction,
        metavar="S",
        help="begin S seconds after the --origin of a camera's file",
    )
    parser.add_argument(
        "--until",
        type=positive_float,
        metavar="S",
        help="end S seconds after the --origin; the rest of the file is not read",
    )
