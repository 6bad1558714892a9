"""Usage errors: show the command's usage, suggest the nearest option, refuse repeated options."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from nrf_deploy.diagnostics.findings import UsageError, error


class MisuseError(UsageError):
    """A wrong call of a verb, with that verb's usage."""

    def __init__(self, parser: argparse.ArgumentParser, message: str, hints: Sequence[str] = ()):
        hint = f"did you mean {' and '.join(hints)}?" if hints else f"see {parser.prog} --help"
        super().__init__(error("USAGE", message, fix=hint))
        self.parser, self.message = parser, message
        self.usage = parser.format_usage()
        self.verb = parser.prog.partition(" ")[2] or None

    def __str__(self) -> str:
        """Return the finding as it is: it is about the command line, also in Python."""
        return self.findings[0].text()


class Once(argparse.Action):
    """An action that stores the value of an option and refuses the option if it is repeated.

    argparse keeps the last value and drops the others. Options that are meant to be repeated
    have the action "append"; flags may be repeated, since their value is the same each time.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if option_string is not None and isinstance(parser, Parser):
            if self.dest in parser.seen:
                parser.error(f"{'/'.join(self.option_strings)} is given twice; expected once")
            parser.seen.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **more: Any):
        super().__init__(*args, **more)
        self.verbs: dict[str, Parser] = {}
        self.command = ""
        """The module that adds the options of this command; empty once it has."""
        self.seen: set[str] = set()
        """Options with a value that this call has used so far."""
        for name in (None, "store"):
            self.register("action", name, Once)

    def parse_known_args(  # type: ignore[override]
        self, *args: Any, **more: Any
    ) -> tuple[argparse.Namespace, list[str]]:
        self.fill()
        self.seen.clear()
        return super().parse_known_args(*args, **more)

    def error(self, message: str) -> NoReturn:
        raise MisuseError(self, message)

    def fill(self) -> None:
        """Add the options of a command from its module: once, and only when it is called."""
        if self.command:
            module = import_module(f".{self.command}", __package__)
            self.command = ""
            module.add_arguments(self)

    def add_examples(self, *examples: str) -> None:
        self.epilog = "\n  ".join(["examples:", *examples])

    def format_help(self) -> str:
        self.fill()
        return super().format_help()

    def add_verb(self, verbs: Any, name: str, about: str) -> None:
        verb: Parser = verbs.add_parser(
            name,
            help=about,
            description=about[0].upper() + about[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.command = name
        self.verbs[name] = verb
        verb.add_argument("--json", action="store_true", help="print the answer as JSON")


def nearest(parser: argparse.ArgumentParser, message: str, words: Sequence[str]) -> list[str]:
    """Return the nearest known option for each mistyped one, and for a mistyped choice."""
    options = parser.format_help().replace(",", " ").replace("[", " ").replace("]", " ").split()
    known = sorted({w for w in options if w.startswith("--")})
    names = [w.partition("=")[0] for w in words if w.startswith("--")]
    mistyped = [w for w in names if not any(k.startswith(w) for k in known)]
    hints = [m for w in mistyped for m in difflib.get_close_matches(w, known, 1)]
    if bad_choice := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
        choices = re.findall(r"[\w-]+", bad_choice[2])
        hints += difflib.get_close_matches(bad_choice[1], choices, 1, cutoff=0.5)
    return hints
