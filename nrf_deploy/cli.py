"""The command line: parse, call, print, exit. It has no logic that the Python functions lack.

Nothing heavy is imported before a verb needs it: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from . import __version__
from .arguments import parser as arguments
from .findings import Finding, InputError, NrfError, error, merged
from .terminal import guarded
from .text import finding_text
from .usage import MisuseError, nearest

SCHEMA_VERSION = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and give its exit code, whatever becomes of what it prints."""
    with guarded(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"warning\[PLUGIN-BROKEN\]")  # told as a finding
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = any(len(w) > 2 and "--json".startswith(w) for w in words)
    args = argparse.Namespace(verb=None, json=as_json)
    try:
        args = _parse(words)
        args.words = words
        code = int(_verb(args.verb)(args))
        if not args.json:
            _print(_broken(()))
        return code
    except MisuseError as misuse:
        args.verb = misuse.verb
        if not args.json:
            print(misuse.usage, end="", file=sys.stderr)
        return _refuse(misuse, args)
    except NrfError as refusal:
        return _refuse(refusal, args)
    except KeyboardInterrupt:
        if args.json:
            emit(args, {"ok": False, "exit_code": 130}, ())
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    except MemoryError:
        return _refuse(_too_large(words), args)
    except Exception as bug:
        traceback.print_exc()
        if args.json:
            emit(args, {"ok": False, "exit_code": 70}, [error("BUG", f"{bug!r:.200}")])
        print(
            f"nrf-deploy {__version__}: this is a bug of ours, not of your model. "
            "Please report the lines above.",
            file=sys.stderr,
        )
        return 70


def _too_large(words: Sequence[str]) -> InputError:
    """Return the refusal of files that need more memory than there is: most often the fault of
    a number in one of them, and never one of ours that its traceback would explain."""
    read = ", ".join(word for word in words if os.path.isfile(word)) or "this call"
    return InputError(
        error(
            "TOO-LARGE",
            f"{read}: more memory is needed than there is",
            why="what these files hold or ask for does not fit into the memory of this machine",
            fix="use a smaller model or a shorter recording (--until S), or a larger machine",
        )
    )


def _refuse(refusal: NrfError, args: argparse.Namespace) -> int:
    if args.json:
        emit(args, {"ok": False, "exit_code": refusal.exit_code}, refusal.findings)
    else:
        said = merged(f for f in refusal.findings if f.severity != "info")
        _print([*said, *_broken(refusal.findings)])
    return refusal.exit_code


def _print(findings: Sequence[Finding]) -> None:
    if findings:
        print("\n".join(finding_text(f) for f in findings), file=sys.stderr)


def _broken(told: Sequence[Finding]) -> list[Finding]:
    """Plug-ins that could not be loaded, but those that were told already."""
    plugins = sys.modules.get(f"{__package__}.plugins")  # imported where one was looked for
    found = plugins.broken().values() if plugins is not None else ()
    return [f for f in found if f.what not in {t.what for t in told}]


def emit(args: argparse.Namespace, result: dict[str, Any], findings: Sequence[Finding]) -> None:
    """The answer of a verb as JSON."""
    document = {"schema_version": SCHEMA_VERSION, "verb": args.verb, **result}
    document["findings"] = [f.as_json() for f in (*findings, *_broken(findings))]
    print(json.dumps(document, indent=2, sort_keys=True, allow_nan=False))


def _verb(name: str) -> Callable[[argparse.Namespace], int]:
    """The function of that name, in the module of that name under verbs/."""
    return getattr(import_module(f".verbs.{name}", __package__), name)  # type: ignore[no-any-return]


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = arguments()
    try:
        args, extra = parser.parse_known_args(words)
    except MisuseError as misuse:
        hints = nearest(misuse.parser, misuse.message, words)
        raise MisuseError(misuse.parser, misuse.message, hints) from None
    if extra:
        verb = parser.verbs[args.verb]
        message = f"there is no {' '.join(extra)} here"
        raise MisuseError(verb, message, nearest(verb, message, words))
    return args
