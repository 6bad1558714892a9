"""Validation of a plug-in against the protocols that it may implement, when it is loaded.

A member that no protocol knows is refused by its name: a misspelt ability would be switched
off without a word. So is a method that cannot be called as the toolchain calls it, and an
ability of which a part is missing.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any


class ContractError(Exception):
    """A plug-in that does not keep its contract; the text names every fault."""


def demand_members(
    plugin: object, contract: type, abilities: Iterable[type], late: Collection[str] = ()
) -> None:
    """Raise a ContractError with every fault of a plug-in.

    `contract` is the protocol that it must implement, `abilities` are those that it may;
    members in `late` are checked when they are used.
    """
    faults = list(_faults(plugin, contract, tuple(abilities), late))
    if faults:
        raise ContractError("; ".join(faults))


def _faults(
    plugin: object, contract: type, abilities: Sequence[type], late: Collection[str]
) -> Iterator[str]:
    own = [name for name in dir(plugin) if not name.startswith("_")]
    known = {m: p for p in (contract, *abilities) for m in members(p)}
    for name in own:
        if name not in known:
            near = difflib.get_close_matches(name, [k for k in known if k not in own], 1)
            hint = f"did you mean {near[0]!r}?" if near else "begin a name of its own with _"
            yield f"it has {name!r}, which no target has ({hint})"
    lacking = [m for m in members(contract) if m not in own and m not in late]
    if lacking:
        yield f"it has no {', '.join(lacking)}"
    for ability in abilities:
        has = [m for m in members(ability) if m in own]
        if has and (missing := [m for m in members(ability) if m not in own]):
            yield f"it has {', '.join(has)}, but no {', '.join(missing)} ({ability.__name__})"
    for name in own:
        if name in known:
            yield from _unlike(name, getattr(plugin, name), known[name])


def members(protocol: type) -> list[str]:
    """Return the public members of a protocol, in the order of its text."""
    named = [*inspect.get_annotations(protocol), *vars(protocol)]
    return [n for n in dict.fromkeys(named) if not n.startswith("_")]


def _unlike(name: str, value: object, protocol: type) -> Iterator[str]:
    """Yield why a member is not of the form that its protocol states."""
    stated = vars(protocol).get(name)
    if inspect.isfunction(stated):
        if not callable(value):
            yield f"{name} is of type {type(value).__name__}, expected a method"
        elif not takes(value, stated):
            yield f"{name}{_signature(value)} cannot be called as {name}{_stated(stated)}"
        return
    kind = _types(protocol)[name]
    letters = isinstance(value, str) and kind is not str
    if not isinstance(value, kind) or letters:
        yield f"{name} is of type {type(value).__name__}, expected a {kind.__name__}"


@cache
def _types(protocol: type) -> dict[str, type]:
    """Return the class of each attribute and property of a protocol."""
    hints = typing.get_type_hints(protocol)
    for name, stated in vars(protocol).items():
        if isinstance(stated, property):
            hints[name] = typing.get_type_hints(stated.fget)["return"]
    return {name: typing.get_origin(hint) or hint for name, hint in hints.items()}


def takes(method: Any, stated: Any) -> bool:
    """Return whether a method can be called with the arguments of the protocol's method."""
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # of a builtin
        return True
    parameters = list(inspect.signature(stated).parameters.values())[1:]
    positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    required = [p for p in positional if p.default is p.empty]
    try:
        signature.bind(*positional, **by_name)
        signature.bind(*required, **by_name)
    except TypeError:
        return False
    return True


def _signature(method: Any) -> str:
    return f"({', '.join(inspect.signature(method).parameters)})"


def _stated(method: Any) -> str:
    return f"({', '.join(list(inspect.signature(method).parameters)[1:])})"
