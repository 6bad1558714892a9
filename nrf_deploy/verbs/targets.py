"""The chips that are installed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from .. import plugins, show_installed
from ..cli import emit
from ..target import GROUP, Detailed, Target, chip_named
from ..target import targets as installed


def targets(args: argparse.Namespace) -> int:
    shelf, chip = _asked(args.name, installed())
    if args.json:
        emit(args, {"ok": True, "targets": show_installed.targets_json(shelf, chip)}, ())
    else:
        print(show_installed.targets_text(shelf, chip))
    return 0


def _asked(name: str | None, shelf: Mapping[str, Target]) -> tuple[Mapping[str, Target], str]:
    """The targets to show, and which of their chips; no name: all."""
    if name is None:
        return shelf, ""
    if name in shelf:
        return {name: shelf[name]}, ""
    plugins.demand_sound(GROUP, name)
    found, chip = chip_named(name)
    own = {n: t for n, t in shelf.items() if t is found}
    return own, chip if chip in found.chips or isinstance(found, Detailed) else ""
