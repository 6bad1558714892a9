"""What a test says in words: which cause dominates, and what would mend it."""

from __future__ import annotations

from collections.abc import Sequence

from ...bundle import Bundle
from ...findings import Finding, info
from .layer import ARITHMETIC, EULER
from .nouns import ANCHORED, CHIP, CHIP_EXACT, CHIP_KERNELS, EXACT, KERNELS, NEAREST, Row, Trial
from .nouns import EULER as TRAINED

NOTHING = 1e-6
"""An error below this is none."""
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
    told = [f"{cause} {percent(share)}" for cause, share in causes.items() if share > NOTHING]
    return ", ".join(told)


def judged(rows: Sequence[Row], bundle: Bundle) -> list[Finding]:
    """Of the zero-stuffing test."""
    test = Trial("", "", "", tuple(rows))
    exact, trained, chip = (test.mean(s) for s in (EXACT, TRAINED, CHIP))
    assert exact is not None and trained is not None and chip is not None  # noqa: PT018
    told = f"{percent(exact)} with exponential decay, {percent(trained)} as trained, " + (
        f"{percent(chip)} on the chip (means over the rows)"
    )
    if chip < NOTHING:
        return [info("COVARIANCE-TIME", f"covariant to the last spike: {told}")]
    causes = {c: share for c, share in test.causes().items() if share > NOTHING}
    if not causes:
        return [info("COVARIANCE-TIME", told, fix=_measured(test, chip))]
    most = next(iter(causes))
    why = f"by themselves, layer by layer: {listed(causes)}"
    what = f"{told}; most comes from {_named(most)}"
    way = _measured(test, chip)
    fix = FIX[most] + (f"; measured: {way}" if way else "")
    return [info("COVARIANCE-TIME", what, why=why, fix=fix)]


def _named(cause: str) -> str:
    return "forward Euler's step" if cause == EULER else cause


def _measured(test: Trial, chip: float) -> str:
    """The ways out that were tried, and what they left."""
    tried = [(way, test.mean(stage)) for stage, way in WAYS.items()]
    better = [f"{way} leaves {percent(x)}" for way, x in tried if x is not None and x < chip]
    return ", ".join(better)


def real_times(rows: Sequence[Row], zero: Sequence[Row], timestamps: bool) -> list[Finding]:
    test, before = Trial("", "", "", tuple(rows)), Trial("", "", "", tuple(zero))
    exact, chip = test.mean(EXACT), test.mean(CHIP)
    assert exact is not None and chip is not None  # noqa: PT018
    found = []
    if not timestamps:
        found.append(
            info(
                "COVARIANCE-NO-TIMESTAMPS",
                "the input is in steps already: each event was given a random time in its step",
                fix="verify with a camera's file, or an .npz with t, x, y and p, and --bin",
            )
        )
    whole = f"{percent(exact)} in float with exponential decay, {percent(chip)} on the chip"
    if exact >= chip / 2:
        what = f"{whole}: most comes from binning, which no network can mend"
        fix = "a shorter --bin; for precision look at the zero-stuffing test"
    else:
        other = before.mean(CHIP)
        what = f"{whole}: most comes from what the zero-stuffing test shows" + (
            "" if other is None else f" ({percent(other)})"
        )
        fix = "what mends that test mends this one"
    return [*found, info("COVARIANCE-TIMESTAMPS", what, fix=fix)]


SPATIAL_FIX = {
    "kernel truncation": "a larger kernel: half its width has to hold 3.5 standard deviations of "
    "the widest field",
    "pixel grid": "a larger scale: this one is too narrow for the pixels, or the map leads "
    "between them",
    "weights, not the field": "weights as the fields say: training, or another normalisation "
    "than sigma^(m+n), moved them",
    "weight bits": FIX["weight bits"],
}


def spatial(rows: Sequence[Row]) -> list[Finding]:
    """Of the affine test: kernels first, since they have causes."""
    test = Trial("", "", "", tuple(rows))
    told = [
        f"{percent(x)} {said}"
        for stage, said in (
            (KERNELS, "between the model's kernels"),
            (CHIP_KERNELS, "between the chip's"),
            (TRAINED, "of the float answers"),
            (CHIP, "of the chip's answers"),
        )
        if (x := test.mean(stage)) is not None
    ]
    what = f"{', '.join(told)} (means over the rows)"
    causes = {c: share for c, share in test.causes().items() if share > NOTHING}
    within = _within_a_step(test)
    if not causes:
        return [info("COVARIANCE-AFFINE", what, fix=_nearest(test)), *within]
    most = next(iter(causes))
    return [
        info(
            "COVARIANCE-AFFINE",
            f"{what}; most of the kernels' comes from {most}",
            why=f"each by itself: {listed(causes)}",
            fix="; measured: ".join(filter(None, (SPATIAL_FIX[most], _nearest(test)))),
        ),
        *within,
    ]


def _within_a_step(test: Trial) -> list[Finding]:
    """Where the answers stay off though equal weights are rounded equally."""
    trained, chip, nearest = (test.mean(s) for s in (TRAINED, CHIP, NEAREST))
    if trained is None or chip is None or nearest is None or nearest <= chip / 2 + trained:
        return []
    return [
        info(
            "COVARIANCE-WITHIN-STEP",
            f"with equal weights rounded equally {percent(nearest)} of the chip's answers are off: "
            "most comes from what the chip does within a step",
            why="a chip that takes the events of a step one by one takes them in another order "
            "after the map; states may be rounded, too",
            fix="shorter steps, so that fewer events meet in one; lower rates",
        )
    ]


def _nearest(test: Trial) -> str:
    """What rounding every weight to the nearest leaves, where that is less."""
    chip, nearest = test.mean(CHIP), test.mean(NEAREST)
    if chip is None or nearest is None or nearest >= chip:
        return ""
    return f"error = 'weights' leaves {percent(nearest)} of the chip's answers"


KERNEL, WITHIN = "kernels", "within a step"
MOTION_FIX = {
    KERNEL: "velocities of whole pixels a step, and the same kernel in every tap, moved",
    "weight bits": FIX["weight bits"],
    WITHIN: "shorter steps, so that fewer events meet in one; a larger gain",
}


def galilean(rows: Sequence[Row]) -> list[Finding]:
    test = Trial("", "", "", tuple(rows))
    trained, chip = test.mean(TRAINED), test.mean(CHIP)
    assert trained is not None and chip is not None  # noqa: PT018
    told = f"{percent(trained)} in float, {percent(chip)} on the chip (means over the rows)"
    if chip < NOTHING:
        what = f"covariant under motion to the last spike: {told}"
        return [info("COVARIANCE-GALILEAN", what)]
    causes = test.causes()
    most = next(iter(causes))
    return [
        info(
            "COVARIANCE-GALILEAN",
            f"{told}; most comes from {most}",
            why=f"each by itself: {listed(causes)}",
            fix="; measured: ".join(filter(None, (MOTION_FIX[most], _nearest(test)))),
        )
    ]
