"""The vendors' environments: which are there, and building those that are not."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .. import show_installed
from ..api.installed import sdk as environments
from ..cli import emit
from ..sdk.environments import Status
from ..text import WIDTH, shorten


def sdk(args: argparse.Namespace) -> int:
    found = environments(args.action, args.name, say=_to_terminal)
    code = 5 if found.unusable and args.action == "doctor" else 0
    if args.json:
        answer: dict[str, Any] = {}
        if args.action == "remove":
            answer["removed"] = [str(place) for place in found.removed]
        answer |= {"ok": not found.unusable, "exit_code": code}
        emit(args, {**answer, "sdks": [_row(s) for s in found.status]}, ())
        return code
    if args.action == "remove":
        lines = [f"removed {place}" for place in found.removed]
        print("\n".join(lines or [f"{args.name} is not installed: nothing was removed"]))
        return code
    print(show_installed.sdk_text(found.status, doctor=args.action == "doctor"))
    return code


def _row(found: Status) -> dict[str, Any]:
    return {
        "sdk": found.sdk.name,
        "about": found.sdk.about,
        "installed": found.installed,
        "importable": found.importable,
        "python": found.sdk.python,
        "interpreter": str(found.interpreter) if found.interpreter else None,
        "folder": str(found.folder),
        "todo": found.todo,
    }


def _to_terminal(line: str) -> None:
    if sys.stderr.isatty():
        print(shorten(line, WIDTH), file=sys.stderr)
