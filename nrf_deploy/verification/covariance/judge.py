"""Findings of a test: its largest cause, and the fix."""

from __future__ import annotations

from collections.abc import Sequence

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.diagnostics.findings import Finding, info

from .layer import ARITHMETIC, EULER
from .types import ANCHORED, CHIP, CHIP_EXACT, CHIP_KERNELS, EXACT, KERNELS, NEAREST, Row, Trial
from .types import EULER as TRAINED

NOTHING = 1e-6
"""Error below which a test is covariant."""
FIX = {
    EULER: "exponential decay (--allow exact-decay)",
    "decay bits": "anchored decays (decay = 'anchored' in --scheme, with --allow exact-decay)",
    "weight bits": "equal weights rounded equally: error = 'weights' in --scheme, or more "
    "weight_bits",
    "threshold bits": "a larger gain (--calibrate, --scheme), or more threshold bits",
    "saturation": "compile with --calibrate on data like this input",
    "bias": "a larger gain (--calibrate, --scheme)",
    "reset": "train with the reset that the chip has",
    ARITHMETIC: "a larger gain (--calibrate, --scheme): more bits below the threshold",
}
WAYS = {
    CHIP_EXACT: "--allow exact-decay",
    ANCHORED: "--allow exact-decay with decay = 'anchored' in --scheme",
}


def percent(x: float) -> str:
    return f"{x:.2%}" if x < 10 else f"{x:.3g}x"


def listed(causes: dict[str, float]) -> str:
    texts = [f"{cause} {percent(share)}" for cause, share in causes.items() if share > NOTHING]
    return ", ".join(texts)


def judged(rows: Sequence[Row], bundle: Bundle) -> list[Finding]:
    """Return the findings of the zero-stuffing test."""
    test = Trial("", "", "", tuple(rows))
    exact, trained, chip = (test.mean(s) for s in (EXACT, TRAINED, CHIP))
    assert exact is not None and trained is not None and chip is not None  # noqa: PT018
    text = f"{percent(exact)} with exponential decay, {percent(trained)} as trained, " + (
        f"{percent(chip)} on the chip (means over the rows)"
    )
    if chip < NOTHING:
        return [info("COVARIANCE-TIME", f"covariant to the last spike: {text}")]
    causes = {c: share for c, share in test.causes().items() if share > NOTHING}
    if not causes:
        return [info("COVARIANCE-TIME", text, fix=_measured(test, chip))]
    largest = next(iter(causes))
    why = f"in isolation, by layer: {listed(causes)}"
    what = f"{text}; most comes from {_named(largest)}"
    way = _measured(test, chip)
    fix = FIX[largest] + (f"; measured: {way}" if way else "")
    return [info("COVARIANCE-TIME", what, why=why, fix=fix)]


def _named(cause: str) -> str:
    return "forward Euler's step" if cause == EULER else cause


def _measured(test: Trial, chip: float) -> str:
    """Return the fixes that were tried, and their errors."""
    tried = [(way, test.mean(stage)) for stage, way in WAYS.items()]
    better = [f"{way} leaves {percent(x)}" for way, x in tried if x is not None and x < chip]
    return ", ".join(better)


def real_times(rows: Sequence[Row], zero: Sequence[Row], timestamps: bool) -> list[Finding]:
    test, before = Trial("", "", "", tuple(rows)), Trial("", "", "", tuple(zero))
    exact, chip = test.mean(EXACT), test.mean(CHIP)
    assert exact is not None and chip is not None  # noqa: PT018
    findings = []
    if not timestamps:
        findings.append(
            info(
                "COVARIANCE-NO-TIMESTAMPS",
                "the input is in steps already: each event has a random time in its step",
                fix="verify with a camera's file, or an .npz with t, x, y and p, and --bin",
            )
        )
    whole = f"{percent(exact)} in float with exponential decay, {percent(chip)} on the chip"
    if exact >= chip / 2:
        what = f"{whole}: most comes from binning, which no network can correct"
        fix = "a shorter --bin; for precision see the zero-stuffing test"
    else:
        other = before.mean(CHIP)
        what = f"{whole}: most comes from the causes of the zero-stuffing test" + (
            "" if other is None else f" ({percent(other)})"
        )
        fix = "the fix of that test"
    return [*findings, info("COVARIANCE-TIMESTAMPS", what, fix=fix)]


SPATIAL_FIX = {
    "kernel truncation": "a larger kernel: half its width must be 3.5 standard deviations of "
    "the widest field",
    "pixel grid": "a larger scale: this one is too narrow for the pixels, or the map leads "
    "between them",
    "weights, not the field": "weights equal to the fields: training, or another normalisation "
    "than sigma^(m+n), changed them",
    "weight bits": FIX["weight bits"],
}


def spatial(rows: Sequence[Row]) -> list[Finding]:
    """Return the findings of the affine test, with kernels first, since they have causes."""
    test = Trial("", "", "", tuple(rows))
    texts = [
        f"{percent(x)} {what_of}"
        for stage, what_of in (
            (KERNELS, "between the model's kernels"),
            (CHIP_KERNELS, "between the chip's"),
            (TRAINED, "of the float responses"),
            (CHIP, "of the chip's responses"),
        )
        if (x := test.mean(stage)) is not None
    ]
    what = f"{', '.join(texts)} (means over the rows)"
    causes = {c: share for c, share in test.causes().items() if share > NOTHING}
    within = _within_a_step(test)
    if not causes:
        return [info("COVARIANCE-AFFINE", what, fix=_nearest(test)), *within]
    largest = next(iter(causes))
    return [
        info(
            "COVARIANCE-AFFINE",
            f"{what}; most of the kernels' comes from {largest}",
            why=f"each in isolation: {listed(causes)}",
            fix="; measured: ".join(filter(None, (SPATIAL_FIX[largest], _nearest(test)))),
        ),
        *within,
    ]


def _within_a_step(test: Trial) -> list[Finding]:
    """Return a finding if responses still differ when equal weights are rounded equally."""
    trained, chip, nearest = (test.mean(s) for s in (TRAINED, CHIP, NEAREST))
    if trained is None or chip is None or nearest is None or nearest <= chip / 2 + trained:
        return []
    return [
        info(
            "COVARIANCE-WITHIN-STEP",
            f"with equal weights rounded equally {percent(nearest)} of the chip's responses "
            "differ: most comes from the chip's arithmetic within a step",
            why="a chip without time steps takes the events of a step in another order after the "
            "map; states may be rounded, too",
            fix="shorter steps, so that a step has fewer events; lower rates",
        )
    ]


def _nearest(test: Trial) -> str:
    """Return the error with every weight rounded to the nearest, if it is less."""
    chip, nearest = test.mean(CHIP), test.mean(NEAREST)
    if chip is None or nearest is None or nearest >= chip:
        return ""
    return f"error = 'weights' leaves {percent(nearest)} of the chip's responses"


KERNEL, WITHIN = "kernels", "within a step"
MOTION_FIX = {
    KERNEL: "velocities of whole pixels a step, and the same kernel in every tap, moved",
    "weight bits": FIX["weight bits"],
    WITHIN: "shorter steps, so that a step has fewer events; a larger gain",
}


def galilean(rows: Sequence[Row]) -> list[Finding]:
    test = Trial("", "", "", tuple(rows))
    trained, chip = test.mean(TRAINED), test.mean(CHIP)
    assert trained is not None and chip is not None  # noqa: PT018
    text = f"{percent(trained)} in float, {percent(chip)} on the chip (means over the rows)"
    if chip < NOTHING:
        what = f"covariant under motion to the last spike: {text}"
        return [info("COVARIANCE-GALILEAN", what)]
    causes = test.causes()
    largest = next(iter(causes))
    return [
        info(
            "COVARIANCE-GALILEAN",
            f"{text}; most comes from {largest}",
            why=f"each in isolation: {listed(causes)}",
            fix="; measured: ".join(filter(None, (MOTION_FIX[largest], _nearest(test)))),
        )
    ]
