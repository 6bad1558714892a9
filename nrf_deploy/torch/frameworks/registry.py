"""The known frameworks, and the one that a module belongs to."""

from __future__ import annotations

from functools import cache
from typing import Any

from .. import members
from .base import Framework


@cache
def known() -> tuple[Framework, ...]:
    """Return the known frameworks; none of them is imported here."""
    from . import norse, rockpool, sinabs, snntorch, spikingjelly

    return tuple(f.FRAMEWORK for f in (norse, snntorch, spikingjelly, sinabs, rockpool))


def framework_of(module: Any) -> Framework | None:
    """Return the framework of a module: that of the first class in its MRO that is a framework's.

    A user's subclass of a framework's class belongs to the framework too: its reader must refuse
    what the subclass changes.
    """
    by_package = {f.package: f for f in known()}
    packages = (c.__module__.split(".")[0] for c in type(module).__mro__)
    return next((by_package[p] for p in packages if p in by_package), None)


def present(root: Any) -> tuple[Framework, ...]:
    """Return the frameworks of the modules in `root`, in the order of the registry."""
    frameworks = {framework_of(m) for m in members.modules(root)}
    return tuple(f for f in known() if f in frameworks)
