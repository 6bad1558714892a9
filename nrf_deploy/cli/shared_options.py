"""Options that several verbs share, and the types of their numbers."""

from __future__ import annotations

import argparse

from nrf_deploy.diagnostics.option_types import fraction, positive, positive_float, window

FILE_DT = "time step, in the units of the file's time constants, if the file has none"


def add_dt(parser: argparse.ArgumentParser, about: str = FILE_DT) -> None:
    parser.add_argument("--dt", type=positive_float, metavar="S", help=about)


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Add --reset and --fires, for which NIR has no field."""
    parser.add_argument(
        "--reset",
        choices=["value", "subtract", "late", "none", "doubled"],
        help="after a spike set the potential to v_reset, or subtract v_threshold: for all "
        "spiking neurons whose reset the file does not state",
    )
    parser.add_argument(
        "--fires",
        choices=["above", "at"],
        help="spike where v > v_threshold, or where v >= v_threshold: likewise",
    )


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
        help="bits, gains and the error to make small, by layer (docs/quantising.md)",
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
