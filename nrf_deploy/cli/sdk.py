"""The verb sdk: list, build, check and remove the vendors' environments."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from nrf_deploy.api import target_tables
from nrf_deploy.api.installed import sdk as environments
from nrf_deploy.diagnostics.text import WIDTH, shorten
from nrf_deploy.engines.sdk.environments import Status

from .main import emit
from .usage import Parser


def add_arguments(sdk: Parser) -> None:
    sdk.add_examples(
        "nrf-deploy sdk list",
        "nrf-deploy sdk install lava",
        "nrf-deploy sdk doctor",
        "nrf-deploy sdk remove lava",
    )
    sdk.add_argument("action", choices=["list", "install", "doctor", "remove"])
    sdk.add_argument(
        "name",
        nargs="?",
        help="which SDK to install (default: all whose Python is found), to remove, or to show "
        "(default: all)",
    )


def run(args: argparse.Namespace) -> int:
    states = environments(args.action, args.name, say=_to_terminal)
    code = 5 if states.unusable and args.action == "doctor" else 0
    if args.json:
        answer: dict[str, Any] = {}
        if args.action == "remove":
            answer["removed"] = [str(place) for place in states.removed]
        answer |= {"ok": not states.unusable, "exit_code": code}
        emit(args, {**answer, "sdks": [_row(s) for s in states.status]}, ())
        return code
    if args.action == "remove":
        lines = [f"removed {place}" for place in states.removed]
        print("\n".join(lines or [f"{args.name} is not installed: nothing was removed"]))
        return code
    print(target_tables.sdk_text(states.status, doctor=args.action == "doctor"))
    return code


def _row(state: Status) -> dict[str, Any]:
    return {
        "sdk": state.sdk.name,
        "about": state.sdk.about,
        "installed": state.installed,
        "importable": state.importable,
        "python": state.sdk.python,
        "interpreter": str(state.interpreter) if state.interpreter else None,
        "folder": str(state.folder),
        "todo": state.todo,
    }


def _to_terminal(line: str) -> None:
    if sys.stderr.isatty():
        print(shorten(line, WIDTH), file=sys.stderr)
