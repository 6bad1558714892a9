"""The verb targets: the installed chips."""

from __future__ import annotations

import argparse

from .. import show_installed
from ..api.installed import selected
from ..cli import emit


def targets(args: argparse.Namespace) -> int:
    shelf, chip = selected(args.name)
    if args.json:
        emit(args, {"ok": True, "targets": show_installed.targets_json(shelf, chip)}, ())
    else:
        print(show_installed.targets_text(shelf, chip))
    return 0
