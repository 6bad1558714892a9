"""What is said to words that are no call: the verb's own usage, and what was probably meant."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from .findings import UsageError, error


class MisuseError(UsageError):
    """Words that are no call of a verb, with that verb's own usage."""

    def __init__(self, parser: argparse.ArgumentParser, message: str, hints: Sequence[str] = ()):
        asked = f"did you mean {' and '.join(hints)}?" if hints else f"see {parser.prog} --help"
        super().__init__(error("USAGE", message, fix=asked))
        self.parser, self.message = parser, message
        self.usage = parser.format_usage()
        self.verb = parser.prog.partition(" ")[2] or None


class Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **more: Any):
        super().__init__(*args, **more)
        self.verbs: dict[str, argparse.ArgumentParser] = {}

    def error(self, message: str) -> NoReturn:
        raise MisuseError(self, message)

    def add_verb(
        self, verbs: Any, name: str, about: str, *examples: str
    ) -> argparse.ArgumentParser:
        verb: argparse.ArgumentParser = verbs.add_parser(
            name,
            help=about,
            description=about[0].upper() + about[1:] + ".",
            epilog="\n  ".join(["examples:", *examples]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.verbs[name] = verb
        verb.add_argument("--json", action="store_true", help="print the answer as JSON")
        return verb


def nearest(parser: argparse.ArgumentParser, message: str, words: Sequence[str]) -> list[str]:
    """For each mistyped option, and a mistyped choice, the one that was probably meant."""
    options = parser.format_help().replace(",", " ").replace("[", " ").replace("]", " ").split()
    known = sorted({w for w in options if w.startswith("--")})
    given = [w.partition("=")[0] for w in words if w.startswith("--")]
    mistyped = [w for w in given if not any(k.startswith(w) for k in known)]
    hints = [m for w in mistyped for m in difflib.get_close_matches(w, known, 1)]
    if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
        choices = re.findall(r"[\w-]+", found[2])
        hints += difflib.get_close_matches(found[1], choices, 1, cutoff=0.5)
    return hints
