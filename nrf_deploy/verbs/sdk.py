"""The vendors' environments: which are there, and building those that are not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .. import show_installed
from ..cli import emit
from ..findings import MissingError, UsageError, error
from ..sdk.environments import Status, install, installed_python, prove, remove, status
from ..target import Sdk, targets
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
    answer: dict[str, Any] = {}
    if args.action == "install":
        wanted = [known[args.name]] if args.name else [s for s in known.values() if not s.optional]
        for each in wanted:
            if args.name or status(each).interpreter is not None:
                install(each, _to_terminal)
    if args.action == "remove":
        answer["removed"] = _removed(known, args.name)
    asked = args.name is not None and args.action in ("list", "doctor")
    shown = {args.name: known[args.name]} if asked else known
    if args.action == "doctor":
        _try_imports(shown)
    found = [status(s) for s in shown.values()]
    unusable = [s for s in found if not s.usable and not s.sdk.optional]
    code = 5 if unusable and args.action == "doctor" else 0
    if args.json:
        answer |= {"ok": not unusable, "exit_code": code, "sdks": [_row(s) for s in found]}
        emit(args, answer, ())
        return code
    if "removed" in answer:
        lines = [f"removed {place}" for place in answer["removed"]]
        print("\n".join(lines or [f"{args.name} is not installed: nothing was removed"]))
        return code
    print(show_installed.sdk_text(found, doctor=args.action == "doctor"))
    return code


def _removed(known: Mapping[str, Sdk], name: str | None) -> list[str]:
    if name is None:
        fix = f"nrf-deploy sdk remove NAME, one of: {', '.join(sorted(known))}"
        raise UsageError(error("SDK-NAME-MISSING", "sdk remove needs the name of an SDK", fix=fix))
    return [str(place) for place in remove(known[name])]


def _try_imports(known: Mapping[str, Sdk]) -> None:
    """Import what is installed and was never imported; what fails is noted, and shown."""
    for sdk in known.values():
        python = installed_python(sdk)
        if python is not None:
            with suppress(MissingError):
                prove(sdk, python, _to_terminal)


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
