"""The page docs/covariance.md and its figures, written from the stored measurements."""

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


def document(measured: Found) -> str:
    """Return the page; its text is in covariant.md."""
    return (
        (Path(__file__).parent / "covariant.md")
        .read_text("utf-8")
        .format(
            time=_by_model(measured, ZERO, IN_TIME),
            causes=_causes(measured),
            real=_real(measured),
            space=_by_model(measured, AFFINE, IN_SPACE),
            truncation=_widths(measured),
            motion=_by_model(measured, GALILEAN, IN_MOTION),
            rows="\n".join(_every_row(measured)).strip(),
            **_camera(measured),
            **_ladder_means(measured),
            **_one_by_one(measured),
        )
    )


def tests(measured: Found) -> Iterator[tuple[str, str, Found]]:
    """Yield (model, chip, its tests) in a fixed order."""
    for name in sorted(measured):
        for chip, tests_of in sorted(measured[name].items()) if name not in _OTHER else ():
            if "covariance" in tests_of:
                yield name, chip, tests_of["covariance"]["tests"]


_OTHER = ("ladder", "truncation", "camera")


def mean(rows: Sequence[Found], stage: str) -> float | None:
    values = [row["errors"][stage] for row in rows if stage in row["errors"]]
    return sum(values) / len(values) if values else None


def _by_model(measured: Found, key: str, stages: Sequence[str]) -> str:
    """Return the means over the rows of a depth, or of a transform if all have one depth."""
    lines = [f"| model | chip | | {' | '.join(stages)} |", f"|---|---|---|{'---|' * len(stages)}"]
    for name, chip, tests_of in tests(measured):
        rows = tests_of[key]["rows"]
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


def _causes(measured: Found) -> str:
    every = [(n, c, _shares(t[ZERO]["rows"])) for n, c, t in tests(measured)]
    every = [e for e in every if e[2]]
    largest = {c: max(shares.get(c, 0.0) for _, _, shares in every) for c in every[0][2]}
    names = sorted((c for c in largest if largest[c] >= 5e-5), key=lambda c: -largest[c])
    lines = [f"| model | chip | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for name, chip, shares in every:
        cells = " | ".join(percent(shares.get(c)) for c in names)
        lines.append(f"| {name} | {chip} | {cells} |")
    return "\n".join(lines)


def _real(measured: Found) -> str:
    """Return the errors with timestamps beside those of stuffed steps, as a table."""
    lines = [
        "| input | model | chip | stuffed, float exact | times, float exact | times, chip |",
        "|---|---|---|---|---|---|",
    ]
    inputs: list[tuple[str, str, str, Found]] = []
    if "camera" in measured:
        shot = measured["camera"]
        inputs += [(shot["file"], SHOWN, c, t["tests"]) for c, t in sorted(shot["chips"].items())]
    inputs += [("drawn", name, chip, tests_of) for name, chip, tests_of in tests(measured)]
    for source, name, chip, tests_of in inputs:
        zero, real = tests_of[ZERO]["rows"], tests_of[TIMES]["rows"]
        if real:
            cells = (mean(zero, EXACT), mean(real, EXACT), mean(real, CHIP))
            lines.append(f"| {source} | {name} | {chip} | {' | '.join(map(percent, cells))} |")
    return "\n".join(lines)


def _camera(measured: Found) -> dict[str, Any]:
    shot = measured.get("camera", {"file": "none", "steps": 0})
    return {"file": shot["file"], "steps": shot["steps"]}


def _ladder_means(measured: Found) -> dict[str, str]:
    rows = measured["ladder"]["loihi2"]["tests"][ZERO]["rows"]
    return {
        "ladder_exact": percent(mean(rows, CHIP_EXACT)),
        "ladder_anchored": percent(mean(rows, ANCHORED)),
    }


def _one_by_one(measured: Found) -> dict[str, str]:
    """Return the errors of a quarter turn on the chip that takes event by event."""
    speck = measured["fields-if"]["speck2f"]
    rows = speck["covariance"]["tests"][AFFINE]["rows"]
    turn = next(row for row in rows if row["transform"].startswith("turn"))
    return {
        "ordered": percent(turn["errors"][CHIP]),
        "summed": percent(speck["summed"][turn["transform"]]),
    }


def _widths(measured: Found) -> str:
    curves = measured["truncation"]
    widths = [str(width) for width, _ in next(iter(curves.values()))]
    lines = [f"| | {' | '.join(widths)} |", f"|---|{'---|' * len(widths)}"]
    for name, points in curves.items():
        lines.append(f"| {name} | {' | '.join(percent(off) for _, off in points)} |")
    return "\n".join(lines)


def _every_row(measured: Found) -> Iterator[str]:
    for name, chip, tests_of in tests(measured):
        yield f"\n### {name}, {chip}\n"
        for key in (ZERO, TIMES, AFFINE, GALILEAN):
            if tests_of[key]["rows"]:
                yield f"{tests_of[key]['title']}.\n"
                yield from _rows(tests_of[key]["rows"])
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
        largest = row["dominant"] or "-"
        head = f"| {row['first']} | {to} | {row['depth']} | {spikes}"
        yield f"{head} | {cells} | {lost} | {largest} |"


# --- figures --------------------------------------------------------------------


def pictures(measured: Found) -> dict[str, str]:
    drawn = {"ladder": _ladder(measured), "truncation": _cut(measured)}
    drawn |= {"time": bars("A stretch in time: means by depth", dict(_time_bars(measured)))}
    drawn |= {"causes": bars("Error of each cause in isolation", dict(_cause_bars(measured)))}
    drawn |= {
        "space": bars("The image turned, scaled; the scene moving", dict(_space_bars(measured)))
    }
    return drawn


def _ladder(measured: Found) -> str:
    """Draw errors against the faster channel's time constant, which doubles by rung."""
    rows = measured["ladder"]["loihi2"]["tests"][ZERO]["rows"]
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


def _cut(measured: Found) -> str:
    return picture(
        "A field against 4 times its variance, cut to the same width",
        "width of the kernel (pixels)",
        "relative deviation",
        {
            n: [(w, max(x, FLOOR)) for w, x in points]
            for n, points in measured["truncation"].items()
            if not n.endswith("1, 0")
        },
    )


def _time_bars(measured: Found) -> Iterator[tuple[str, dict[str, float]]]:
    for name, chip, tests_of in tests(measured):
        for part, rows in _groups(tests_of[ZERO]["rows"], ZERO) if chip == "loihi2" else ():
            yield f"{name}, {chip}, {part}", _means(rows, IN_TIME)


def _cause_bars(measured: Found) -> Iterator[tuple[str, dict[str, float]]]:
    for name, chip, tests_of in tests(measured):
        shares = _shares(tests_of[ZERO]["rows"])
        if shares:
            yield f"{name}, {chip}", {c: x for c, x in shares.items() if x >= 5e-5}


def _space_bars(measured: Found) -> Iterator[tuple[str, dict[str, float]]]:
    for name, chip, tests_of in tests(measured):
        for key in (AFFINE, GALILEAN):
            for part, rows in _groups(tests_of[key]["rows"], key):
                yield f"{name}, {chip}, {part}", _means(rows, IN_MOTION)


def _means(rows: Sequence[Found], stages: Iterable[str]) -> dict[str, float]:
    means = {stage: mean(rows, stage) for stage in stages}
    return {stage: x for stage, x in means.items() if x is not None}
