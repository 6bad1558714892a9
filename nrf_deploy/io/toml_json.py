"""Readers for TOML and JSON text from outside, with limits.

The package reads all TOML and JSON text with them. Both readers refuse a text for which a
parser would raise a RecursionError, convert thousands of digits or use a hundred times the
memory of the file, and both report it as a FormatError.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from nrf_deploy.diagnostics.findings import InputError, error

TOML_LIMIT = 64 << 10  # bytes
TOML_DOTS = 8  # in one key
TOML_DEPTH = 16  # brackets within brackets
JSON_LIMIT = 32 << 20  # bytes
JSON_VALUES = 1 << 21
DEPTH = 128  # tables, arrays and objects within each other

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<part>\"{3}(?:\\.|[^\\])*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[\w-]+)
    |(?P<open>[\[{])|(?P<close>[\]}])|(?P<dot>\.)|(?P<endless>["'])|(?P<blank>[ \t]+)|.""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class FormatError(ValueError):
    """The fault of a text, as the end of the sentence "FILE is not TOML: ..."."""


def parse_toml(text: bytes | str, *, limit: int = TOML_LIMIT) -> dict[str, Any]:
    """Return the table in a TOML text; raise FormatError if there is none within the limits."""
    _demand_size(text, limit)
    try:
        plain = text.decode("utf-8") if isinstance(text, bytes) else text
        _demand_shallow(plain)
        table = tomllib.loads(plain)
    except RecursionError as problem:
        raise FormatError("it is nested too deeply") from problem
    except FormatError:
        raise
    except ValueError as problem:  # TOMLDecodeError, UnicodeDecodeError, too many digits
        raise FormatError(_message(problem)) from problem
    _demand_plain(table)
    return table


def parse_json(data: bytes | str, *, limit: int = JSON_LIMIT, values: int = JSON_VALUES) -> Any:
    """Return the value of a JSON text; raise FormatError if there is none within the limits.

    Strict: a repeated key, NaN, an infinity, an integer of more than 64 bits and a text that
    is not UTF-8 are refused. `values` bounds the number of values before any is created.
    """
    _demand_size(data, limit)
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        if (count := sum(map(text.count, ",[{"))) > values:
            raise FormatError(f"it holds about {count:,} values; expected at most {values:,}")
        tree = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError as problem:
        raise FormatError("it is nested too deeply") from problem
    except FormatError:
        raise
    except ValueError as problem:  # JSONDecodeError, UnicodeDecodeError, too many digits
        raise FormatError(_message(problem)) from problem
    _demand_plain(tree, finite=True)
    return tree


def toml_table(text: bytes | str, subject: str, code: str, fix: str = "") -> dict[str, Any]:
    """Return the table in a TOML text; refuse it as "`subject` is not TOML" otherwise."""
    try:
        return parse_toml(text)
    except FormatError as problem:
        raise InputError(error(code, f"{subject} is not TOML: {problem}", fix=fix)) from problem


def _demand_size(text: bytes | str, limit: int) -> None:
    if len(text) > limit:
        raise FormatError(f"it has more than {limit:,} bytes, the limit")


def _message(problem: ValueError) -> str:
    """Return the parser's message as one short line."""
    words = " ".join(f"{problem}".split())
    return (
        "it holds an integer of thousands of digits" if "max_str_digits" in words else words[:200]
    )


def _demand_shallow(text: str) -> None:
    """Refuse keys of many parts and brackets of many levels, whose cost grows as their square."""
    depth = dots = 0
    after_dot = False
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "blank":
            continue
        if kind == "endless":
            line = text.count("\n", 0, token.start()) + 1
            raise FormatError(f"the text that begins in line {line} has no end")
        if kind == "dot":
            dots += 1
        elif kind != "part" or not after_dot:
            dots = 0
        after_dot = kind == "dot"
        depth += (kind == "open") - (kind == "close")
        if dots > TOML_DOTS:
            raise FormatError(f"a key has more than {TOML_DOTS} dots, the limit")
        if depth > TOML_DEPTH:
            raise FormatError(f"brackets are nested more than {TOML_DEPTH} deep, the limit")


def _demand_plain(tree: Any, finite: bool = False) -> None:
    """Refuse integers of more than 64 bits and trees that are too deep to be walked by calls."""
    level: list[Any] = [tree]
    for _ in range(DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, int) and not is_int64(value):
                raise FormatError("it holds an integer of more than 64 bits")
            elif finite and isinstance(value, float) and not math.isfinite(value):
                raise FormatError("it holds a number that is too large")
        if not below:
            return
        level = below
    raise FormatError(f"it is nested more than {DEPTH} deep, the limit")


def is_int64(value: int) -> bool:
    """Return whether an integer has at most 64 bits, with or without a sign."""
    return -(1 << 63) <= value < 1 << 64


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    if len(table := dict(pairs)) != len(pairs):
        raise FormatError("a key occurs twice")
    return table


def _constant(name: str) -> None:
    raise FormatError(f"{name} is not JSON")
