"""The command line: parse, call, print, exit. All logic is in the Python functions.

Large modules are imported only when a verb needs them, so that `--help` answers at once.
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

from nrf_deploy import __version__
from nrf_deploy.diagnostics.findings import Finding, InputError, NrfError, error, merged
from nrf_deploy.diagnostics.terminal import guarded
from nrf_deploy.diagnostics.text import finding_text

from .parser import parser as arguments
from .usage import MisuseError, nearest

SCHEMA_VERSION = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code, also if its output cannot be printed."""
    with guarded(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"warning\[PLUGIN-BROKEN\]")  # reported as a finding
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
            f"nrf-deploy {__version__}: this is a bug in nrf-deploy, not in your model. "
            "Please report the lines above.",
            file=sys.stderr,
        )
        return 70


def _too_large(words: Sequence[str]) -> InputError:
    """Return the refusal of files that need more memory than the machine has.

    The cause is mostly a number in a file, so a traceback would not explain it.
    """
    read = ", ".join(word for word in words if os.path.isfile(word)) or "this call"
    return InputError(
        error(
            "TOO-LARGE",
            f"{read}: more memory is needed than this machine has",
            why="the content of these files does not fit into the memory",
            fix="use a smaller model or a shorter recording (--until S), or a larger machine",
        )
    )


def _refuse(refusal: NrfError, args: argparse.Namespace) -> int:
    if args.json:
        emit(args, {"ok": False, "exit_code": refusal.exit_code}, refusal.findings)
    else:
        findings = merged(f for f in refusal.findings if f.severity != "info")
        _print([*findings, *_broken(refusal.findings)])
    return refusal.exit_code


def _print(findings: Sequence[Finding]) -> None:
    if findings:
        print("\n".join(finding_text(f) for f in findings), file=sys.stderr)


def _broken(shown: Sequence[Finding]) -> list[Finding]:
    """Return the plug-ins that could not be loaded, without those in `shown`."""
    plugins = sys.modules.get("nrf_deploy.compiler.plugins")  # imported where one was looked for
    broken = plugins.broken().values() if plugins is not None else ()
    return [f for f in broken if f.what not in {t.what for t in shown}]


def emit(args: argparse.Namespace, result: dict[str, Any], findings: Sequence[Finding]) -> None:
    """Print the answer of a verb as JSON."""
    document = {"schema_version": SCHEMA_VERSION, "verb": args.verb, **result}
    document["findings"] = [f.as_json() for f in (*findings, *_broken(findings))]
    print(json.dumps(document, indent=2, sort_keys=True, allow_nan=False))


def _verb(name: str) -> Callable[[argparse.Namespace], int]:
    """Return the function of a verb: verbs.NAME.NAME."""
    return import_module(f".{name}", __package__).run  # type: ignore[no-any-return]


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
