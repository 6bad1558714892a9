"""The chips that are installed."""

from __future__ import annotations

import argparse

from .. import show_installed
from ..cli import emit
from ..target import targets as installed


def targets(args: argparse.Namespace) -> int:
    shelf = installed()
    if args.json:
        emit(args, {"ok": True, "targets": show_installed.targets_json(shelf)}, ())
    else:
        print(show_installed.targets_text(shelf))
    return 0
