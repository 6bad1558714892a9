"""docs/covariance.md and its figures, from what was measured: every number comes from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bars import bars
from picture import picture

from nrf_deploy.verification.covariance import (
    ANCHORED,
    CHIP,
    CHIP_EXACT,
    CHIP_KERNELS,
    EULER,
    EXACT,
    KERNELS,
    NEAREST,
)

Found = Mapping[str, Any]
IN_TIME = (EXACT, EULER, CHIP, CHIP_EXACT, ANCHORED)
IN_SPACE = (KERNELS, CHIP_KERNELS, EULER, CHIP, NEAREST)
IN_MOTION = (EULER, CHIP, NEAREST)
ORDER = tuple(dict.fromkeys((*IN_TIME[:1], *IN_SPACE[:2], *IN_TIME, NEAREST)))
ZERO, TIMES, AFFINE, GALILEAN = "zero-stuffing", "timestamps", "affine", "galilean"
SHOWN = "covariant-frontend"
FLOOR = 1e-6  # where a curve with a logarithmic axis ends


def document(held: Found) -> str:
    """The words are in covariant.md."""
    return (
        (Path(__file__).parent / "covariant.md")
        .read_text("utf-8")
        .format(
            time=_by_model(held, ZERO, IN_TIME),
            causes=_causes(held),
            real=_real(held),
            space=_by_model(held, AFFINE, IN_SPACE),
            truncation=_widths(held),
            motion=_by_model(held, GALILEAN, IN_MOTION),
            rows="\n".join(_every_row(held)).strip(),
            **_camera(held),
            **_ladder_means(held),
            **_one_by_one(held),
        )
    )


def tests(held: Found) -> Iterator[tuple[str, str, Found]]:
    """(model, chip, its tests), in a fixed order."""
    for name in sorted(held):
        for chip, found in sorted(held[name].items()) if name not in _OTHER else ():
            if "covariance" in found:
                yield name, chip, found["covariance"]["tests"]


_OTHER = ("ladder", "truncation", "camera")


def mean(rows: Sequence[Found], stage: str) -> float | None:
    values = [row["errors"][stage] for row in rows if stage in row["errors"]]
    return sum(values) / len(values) if values else None


def _by_model(held: Found, key: str, stages: Sequence[str]) -> str:
    """Means over the rows of a depth, or of a transform where all are of one."""
    lines = [f"| model | chip | | {' | '.join(stages)} |", f"|---|---|---|{'---|' * len(stages)}"]
    for name, chip, found in tests(held):
        rows = found[key]["rows"]
        for part, of in _groups(rows, key):
            cells = " | ".join(percent(mean(of, s)) for s in stages)
            lines.append(f"| {name} | {chip} | {part} | {cells} |")
    return "\n".join(lines)


def _groups(rows: Sequence[Found], key: str) -> Iterator[tuple[str, list[Found]]]:
    by = "depth" if key in (ZERO, TIMES) else "transform"
    for value in dict.fromkeys(row[by] for row in rows):
        label = f"depth {value}" if by == "depth" else str(value)
        yield label, [row for row in rows if row[by] == value]


def percent(x: float | None) -> str:
    return "-" if x is None else f"{100 * x:.2f} %"


def _shares(rows: Sequence[Found]) -> dict[str, float]:
    rows = [row for row in rows if row["causes"]]
    names = sorted({c for row in rows for c in row["causes"]})
    return {c: sum(row["causes"].get(c, 0.0) for row in rows) / len(rows) for c in names}


def _causes(held: Found) -> str:
    every = [(n, c, _shares(t[ZERO]["rows"])) for n, c, t in tests(held)]
    every = [e for e in every if e[2]]
    largest = {c: max(shares.get(c, 0.0) for _, _, shares in every) for c in every[0][2]}
    names = sorted((c for c in largest if largest[c] >= 5e-5), key=lambda c: -largest[c])
    lines = [f"| model | chip | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for name, chip, shares in every:
        cells = " | ".join(percent(shares.get(c)) for c in names)
        lines.append(f"| {name} | {chip} | {cells} |")
    return "\n".join(lines)


def _real(held: Found) -> str:
    """Binned again beside stuffed: of the camera's recording, then of drawn events."""
    lines = [
        "| input | model | chip | stuffed, float exact | times, float exact | times, chip |",
        "|---|---|---|---|---|---|",
    ]
    given: list[tuple[str, str, str, Found]] = []
    if "camera" in held:
        shot = held["camera"]
        given += [(shot["file"], SHOWN, c, t["tests"]) for c, t in sorted(shot["chips"].items())]
    given += [("drawn", name, chip, found) for name, chip, found in tests(held)]
    for source, name, chip, found in given:
        zero, real = found[ZERO]["rows"], found[TIMES]["rows"]
        if real:
            cells = (mean(zero, EXACT), mean(real, EXACT), mean(real, CHIP))
            lines.append(f"| {source} | {name} | {chip} | {' | '.join(map(percent, cells))} |")
    return "\n".join(lines)


def _camera(held: Found) -> dict[str, Any]:
    shot = held.get("camera", {"file": "none", "steps": 0})
    return {"file": shot["file"], "steps": shot["steps"]}


def _ladder_means(held: Found) -> dict[str, str]:
    rows = held["ladder"]["loihi2"]["tests"][ZERO]["rows"]
    return {
        "ladder_exact": percent(mean(rows, CHIP_EXACT)),
        "ladder_anchored": percent(mean(rows, ANCHORED)),
    }


def _one_by_one(held: Found) -> dict[str, str]:
    """Of a quarter turn on the chip that takes events as they come."""
    speck = held["fields-if"]["speck2f"]
    rows = speck["covariance"]["tests"][AFFINE]["rows"]
    turn = next(row for row in rows if row["transform"].startswith("turn"))
    return {
        "ordered": percent(turn["errors"][CHIP]),
        "summed": percent(speck["summed"][turn["transform"]]),
    }


def _widths(held: Found) -> str:
    curves = held["truncation"]
    widths = [str(width) for width, _ in next(iter(curves.values()))]
    lines = [f"| | {' | '.join(widths)} |", f"|---|{'---|' * len(widths)}"]
    for name, points in curves.items():
        lines.append(f"| {name} | {' | '.join(percent(off) for _, off in points)} |")
    return "\n".join(lines)


def _every_row(held: Found) -> Iterator[str]:
    for name, chip, found in tests(held):
        yield f"\n### {name}, {chip}\n"
        for key in (ZERO, TIMES, AFFINE, GALILEAN):
            if found[key]["rows"]:
                yield f"{found[key]['title']}.\n"
                yield from _rows(found[key]["rows"])
                yield ""


def _rows(rows: Sequence[Found]) -> Iterator[str]:
    stages = [s for s in ORDER if any(s in row["errors"] for row in rows)]
    yield f"| channel | to | depth | spikes | {' | '.join(stages)} | lost | most by |"
    yield f"|---|---|---|---|{'---|' * len(stages)}---|---|"
    for row in rows:
        cells = " | ".join(percent(row["errors"].get(s)) for s in stages)
        spikes = "-" if row["spikes"] is None else f"{row['spikes']:,}"
        to = row["transform"] if row["first"] == row["second"] else f"{row['second']}"
        lost = percent(row["lost"].get(CHIP))
        most = row["dominant"] or "-"
        head = f"| {row['first']} | {to} | {row['depth']} | {spikes}"
        yield f"{head} | {cells} | {lost} | {most} |"


# --- figures --------------------------------------------------------------------


def pictures(held: Found) -> dict[str, str]:
    drawn = {"ladder": _ladder(held), "truncation": _cut(held)}
    drawn |= {"time": bars("A stretch in time: means by depth", dict(_time_bars(held)))}
    drawn |= {"causes": bars("What each cause makes by itself", dict(_cause_bars(held)))}
    drawn |= {"space": bars("The image turned, scaled; the scene moving", dict(_space_bars(held)))}
    return drawn


def _ladder(held: Found) -> str:
    """By the faster channel's time constant, which doubles from rung to rung."""
    rows = held["ladder"]["loihi2"]["tests"][ZERO]["rows"]
    lines = {
        stage: [(2.0 ** (k + 2), max(row["errors"][stage], FLOOR)) for k, row in enumerate(rows)]
        for stage in (EULER, CHIP_EXACT, ANCHORED)
    }
    names = dict(
        zip(lines, ("float, forward Euler", "chip, exact decay", "chip, anchored"), strict=True)
    )
    return picture(
        "Leaky integrators on Loihi 2: time x2",
        "time constant of the faster channel (steps)",
        "relative deviation",
        {names[stage]: points for stage, points in lines.items()},
    )


def _cut(held: Found) -> str:
    return picture(
        "A field against 4 times its variance, cut to the same width",
        "width of the kernel (pixels)",
        "relative deviation",
        {
            n: [(w, max(x, FLOOR)) for w, x in points]
            for n, points in held["truncation"].items()
            if not n.endswith("1, 0")
        },
    )


def _time_bars(held: Found) -> Iterator[tuple[str, dict[str, float]]]:
    for name, chip, found in tests(held):
        for part, rows in _groups(found[ZERO]["rows"], ZERO) if chip == "loihi2" else ():
            yield f"{name}, {chip}, {part}", _means(rows, IN_TIME)


def _cause_bars(held: Found) -> Iterator[tuple[str, dict[str, float]]]:
    for name, chip, found in tests(held):
        shares = _shares(found[ZERO]["rows"])
        if shares:
            yield f"{name}, {chip}", {c: x for c, x in shares.items() if x >= 5e-5}


def _space_bars(held: Found) -> Iterator[tuple[str, dict[str, float]]]:
    for name, chip, found in tests(held):
        for key in (AFFINE, GALILEAN):
            for part, rows in _groups(found[key]["rows"], key):
                yield f"{name}, {chip}, {part}", _means(rows, IN_MOTION)


def _means(rows: Sequence[Found], stages: Iterable[str]) -> dict[str, float]:
    found = {stage: mean(rows, stage) for stage in stages}
    return {stage: x for stage, x in found.items() if x is not None}
