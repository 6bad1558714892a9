"""Plug-ins of other distributions, found by entry points; those that cannot be loaded.

A plug-in that cannot be imported must not stop the others. It is reported as a warning that
names its distribution, once a process, and as an error only if that plug-in is requested.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, MissingError, error, warning

WHY_LIMIT = 500
"""The largest number of characters of the reason that are shown."""
_broken: dict[tuple[str, str], Finding] = {}
_sound: dict[tuple[str, str], Any] = {}
"""Plug-ins that passed their check, which runs once: every run loads its target."""


class PluginWarning(UserWarning):
    """A plug-in that cannot be loaded; the command line shows it as a finding (`broken`)."""


def loaded(
    group: str, check: Callable[[Any], None] | None = None, only: str = ""
) -> dict[str, Any]:
    """Return every plug-in of an entry-point group by name, without those that are broken.

    `check` raises where a plug-in does not keep its contract; it is called once for each.
    `only` restricts the result to the plug-in of this name.
    """
    plugins = {}
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        if (group, entry.name) in _broken or only not in ("", entry.name):
            continue
        try:
            plugin = entry.load()
            if check is not None and _sound.get((group, entry.name)) is not plugin:
                check(plugin)
                _sound[group, entry.name] = plugin
        except (Exception, SystemExit) as problem:
            _note(group, entry, problem)
        else:
            plugins[entry.name] = plugin
    return plugins


def has(*names: str) -> Callable[[Any], None]:
    """Return a check for `loaded` that a plug-in has these attributes."""

    def check(plugin: Any) -> None:
        if lacking := [name for name in names if not hasattr(plugin, name)]:
            raise AttributeError(f"it has no {', '.join(lacking)}")

    return check


def broken(group: str | None = None) -> dict[str, Finding]:
    """Return a warning for each plug-in that could not be loaded so far, by its name."""
    return {name: finding for (of, name), finding in _broken.items() if group in (None, of)}


def demand_sound(group: str, name: str) -> None:
    """Refuse a plug-in that is requested and broken."""
    finding = broken(group).get(name)
    if finding is not None:
        raise MissingError(error(finding.code, finding.what, why=finding.why, fix=finding.fix))


def _note(group: str, entry: EntryPoint, problem: BaseException) -> None:
    source = entry.dist.name if entry.dist is not None else "an unknown distribution"
    finding = warning(
        "PLUGIN-BROKEN",
        f"the plug-in {entry.name!r} of the distribution {source} cannot be loaded",
        why=f"{entry.value}: {type(problem).__name__}: {problem}"[:WHY_LIMIT],
        fix=f"repair or remove {source}; everything else works without it",
    )
    _broken[group, entry.name] = finding
    warnings.warn(finding.text(), PluginWarning, stacklevel=3)
