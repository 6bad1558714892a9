"""Python source text for people: names, literals, comments and short lines."""

from __future__ import annotations

import builtins
import itertools
import keyword
import re
import textwrap
from collections.abc import Mapping, Sequence

from nrf_deploy.ir.network import Shape


def identifier(name: str, kind: str, taken: set[str]) -> str:
    """Choose a variable for a layer: its name if that is free, else its kind and its name."""

    def free(text: str) -> bool:
        reserved = keyword.iskeyword(text) or hasattr(builtins, text) or text in taken
        return text.isidentifier() and not reserved

    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()[:24]
    longer = f"{kind}_{plain}".rstrip("_")
    numbered = (f"{longer}_{n}" for n in itertools.count(2))
    variable = next(filter(free, itertools.chain([plain, longer], numbered)))
    taken.add(variable)
    return variable


def quoted(name: str) -> str:
    """Return a name as a literal on one line, cut to 40 characters."""
    text = literal(name)
    return text if len(text) <= 40 else f"{text[:36]}...{text[0]}"


def literal(name: str) -> str:
    text = ascii(name)
    return text if '"' in text or "\\" in text else f'"{text[1:-1]}"'


def axes(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def as_tuple(shape: Shape) -> str:
    return str(tuple(int(n) for n in shape))


def connect(port: str, turns: Sequence[str], into: str) -> str:
    line = f"{port}{''.join(turns)}.connect({into})"
    if len(line) <= 74:
        return line
    lines = [port, *turns, f".connect({into})"]
    return "\n".join(["(", *(f"    {text}" for text in lines), ")"])


def comment(text: str) -> str:
    return textwrap.fill(text, 74, initial_indent="# ", subsequent_indent="# ")


def nested(brackets: str, items: Sequence[str], indent: int = 0) -> str:
    """Return a list or dict on one line if it is short, else one item per line."""
    line = ", ".join(items)
    if len(line) <= 56:
        return f"{brackets[0]}{line}{brackets[1]}"
    lines = [f"{' ' * indent}    {item}," for item in items]
    return "\n".join([brackets[0], *lines, " " * indent + brackets[1]])


def imports_of(homes: Mapping[str, str], text: str) -> str:
    modules: dict[str, list[str]] = {}
    for name, module in sorted(homes.items(), key=lambda pair: (pair[1], pair[0])):
        if re.search(rf"(?<![\w.]){name}\b", text):
            modules.setdefault(module, []).append(name)
    return "\n".join(f"from {module} import {', '.join(n)}" for module, n in modules.items())
