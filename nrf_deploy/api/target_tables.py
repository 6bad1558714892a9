"""Tables of the installed targets with their chips, and of the vendors' SDKs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nrf_deploy.compiler.abilities import Detailed
from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.text import table, wrap
from nrf_deploy.engines.sdk.environments import Status

FEW = 4
"""Numbers of a list up to which each one is shown."""


def targets_json(shelf: Mapping[str, Target], chip: str = "") -> dict[str, Any]:
    return {
        name: {
            "about": t.about,
            "chips": _chips(t, chip),
            "engines": list(t.engines),
            "exporters": list(t.exporters),
            "choices": [{"allow": c.choice, "about": c.about} for c in t.choices],
        }
        for name, t in shelf.items()
    }


def targets_text(shelf: Mapping[str, Target], chip: str = "") -> str:
    return "\n\n".join(part for n, target in shelf.items() for part in _target(n, target, chip))


def _chips(target: Target, chip: str) -> dict[str, Mapping[str, Any]]:
    """Return all chips, or one; with a board also the chip that it carries."""
    if not chip:
        return dict(target.chips)
    if chip not in target.chips and isinstance(target, Detailed):
        return {chip: target.table_of(chip)}
    own = {chip, target.chips[chip].get("board_of", chip)}
    return {name: about for name, about in target.chips.items() if name in own}


def _target(name: str, target: Target, only: str) -> Iterator[str]:
    """Yield the tables of a target: each chip with its limits, the boards, and the choices."""
    lines = [wrap(f"{name}: {target.about}", then="  ")]
    lines.append(f"  engines: {', '.join(('reference', 'emulator', *target.engines))}")
    if target.exporters:
        lines.append(f"  export --as: {', '.join(target.exporters)}")
    yield "\n".join(lines)
    shown = _chips(target, only)
    boards = {name: facts for name, facts in shown.items() if "board_of" in facts}
    chips = {name: facts for name, facts in shown.items() if name not in boards}
    for chip, facts in chips.items():
        own = chip not in target.chips
        yield wrap(facts["about"] if own else f"{chip}: {facts['about']}", then="  ")
        if limits := facts.get("limits"):
            rows = [(k, _range(v["value"]), v["source"]) for k, v in limits.items()]
            yield table(("limit", "", "source"), rows, "lrl")
    if described := {
        chip: facts["settings"] for chip, facts in chips.items() if "settings" in facts
    }:
        keys = dict.fromkeys(k for settings in described.values() for k in settings)
        rows = [(k, *(_range(settings.get(k)) for settings in described.values())) for k in keys]
        names = [chip if chip in target.chips else "your machine" for chip in described]
        yield table(("setting", *names), rows)
    if boards:
        yield "boards of several chips; all else is as on the chip"
        yield table(("board", "chip", "chips", "cores", "what it is"), _boards(boards))
    if target.choices:
        yield f"what --allow takes for {name}: rewrites that change spikes"
        yield table(("--allow", "what it changes"), [(c.choice, c.about) for c in target.choices])


def _range(value: object) -> str:
    """Format one number, each of a few, or the smallest and the largest of many (one a core)."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, list | tuple):
        return str(value)
    different = sorted(set(value))
    if len(different) > FEW or len(different) < len(value):
        return "..".join(str(v) for v in dict.fromkeys((different[0], different[-1])))
    return ", ".join(map(str, value)) or "none"


def _boards(boards: Mapping[str, Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Return a row for each board; its number of cores is that of all its chips."""
    rows: list[tuple[object, ...]] = []
    for name, facts in boards.items():
        chips, cores = (facts["limits"][key]["value"] for key in ("chips", "cores"))
        sources = dict.fromkeys(facts[key]["source"] for key in ("chips", "cores") if key in facts)
        about = f"{facts['about']} [{'; '.join(sources)}]"
        rows.append((name, facts["board_of"], chips, chips * cores, about))
    return rows


def _state(status: Status) -> tuple[str, str]:
    """Return the state of an SDK: installed or not, importable or not."""
    if not status.installed:
        return ("optional" if status.sdk.optional else "missing", "")
    return "installed", {True: "yes", False: "no", None: "not tried"}[status.importable]


def sdk_text(statuses: Sequence[Status], doctor: bool) -> str:
    rows = [(s.sdk.name, s.sdk.python, *_state(s), s.sdk.about) for s in statuses]
    text = table(("sdk", "python", "state", "importable", "what it is"), rows, "lllll")
    for s in statuses:
        if doctor:
            looked = f"Python {s.sdk.python}: {s.interpreter or 'not found'}"
            text += f"\n\n{s.sdk.name}\n  {looked}\n  folder: {s.folder}"
        if s.todo:
            text += f"\n\n{s.sdk.name}: {s.todo}"
    return text
