"""A scheme as a TOML file: the rules, which --scheme reads, and the choices as comments."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator

import numpy as np

from nrf_deploy.diagnostics.argument_types import demand

from .rules import LayerRules, Rules
from .scheme import ConnectionScheme, Scheme

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def scheme_toml(scheme: Scheme) -> str:
    """Return a scheme as TOML, which `scheme` of `compile` accepts.

    Args:
        scheme: `scheme` of a bundle or a verdict.

    Returns:
        The rules. Comments list the choices, a line a connection: the same rules, network and
        data lead to the same choices.

    Raises:
        ArgumentTypeError: An argument that is not a scheme (a TypeError).
    """
    demand(scheme, Scheme, "a scheme", "pass the scheme of a bundle or a verdict")
    chosen = [f"# {_key(name)}: {_choice(c)}" for name, c in scheme.connections.items()]
    lines = [*rules_lines(scheme.rules), *(["", "# chosen:", *chosen] if chosen else [])]
    return "\n".join(lines) + "\n"


def rules_lines(rules: Rules) -> Iterator[str]:
    yield from _settings(rules)
    for name, own in rules.layers.items():
        yield ""
        yield f"[layers.{_key(name)}]"
        yield from _settings(own)


def _settings(rules: Rules | LayerRules) -> Iterator[str]:
    for field in dataclasses.fields(rules):
        value = getattr(rules, field.name)
        if value is not None and field.name != "layers":
            yield f"{field.name} = {_text(value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str | bool | float) -> str:
    """Write a value as JSON, which is also TOML once the character DEL is escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _choice(c: ConnectionScheme) -> str:
    low, high = float(np.min(c.gain)), float(np.max(c.gain))
    gain = f"gain {low:.6g}" if low == high else f"gains {low:.6g} to {high:.6g}"
    return f"{c.weight_bits} bits, exponent {c.exponent}, {gain}"
