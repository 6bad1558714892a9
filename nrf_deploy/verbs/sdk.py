"""The vendors' environments: which are there, and building those that are not."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .. import show_installed
from ..cli import emit
from ..findings import UsageError, error
from ..sdk.environments import Status, install, status
from ..target import targets
from ..text import WIDTH, shorten


def sdk(args: argparse.Namespace) -> int:
    known = {s.name: s for t in targets().values() for s in t.sdks}
    if args.name is not None and args.name not in known:
        raise UsageError(
            error(
                "SDK-UNKNOWN",
                f"there is no SDK {args.name!r}",
                fix=f"choose one of: {', '.join(sorted(known))}",
            )
        )
    if args.action == "install":
        wanted = [known[args.name]] if args.name else [s for s in known.values() if not s.optional]
        for each in wanted:
            if args.name or status(each).interpreter is not None:
                install(each, _to_terminal)
    found = [status(s) for s in known.values()]
    missing = [s for s in found if not s.installed and not s.sdk.optional]
    code = 5 if missing and args.action == "doctor" else 0
    if args.json:
        emit(args, {"ok": not missing, "exit_code": code, "sdks": [_row(s) for s in found]}, ())
    else:
        print(show_installed.sdk_text(found, doctor=args.action == "doctor"))
    return code


def _row(found: Status) -> dict[str, Any]:
    return {
        "sdk": found.sdk.name,
        "about": found.sdk.about,
        "installed": found.installed,
        "python": found.sdk.python,
        "interpreter": str(found.interpreter) if found.interpreter else None,
        "folder": str(found.folder),
        "todo": found.todo,
    }


def _to_terminal(line: str) -> None:
    if sys.stderr.isatty():
        print(shorten(line, WIDTH), file=sys.stderr)
