"""Comparison of the paper's results with those of the shipped trackers, by velocity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .figure import Curves

PAPER = {
    "relu": (26.1, 31.6),
    "relu-frames": (7.4, 14.0),
    "li-theory": (1.0, 3.6),
    "li-uniform": (1.6, 4.9),
    "lif-theory": (4.1, 13.1),
    "lif-uniform": (4.9, 15.2),
}
"""Median error in pixels of 300 under spatial and under temporal scaling, read off the
published figures (Nature Communications 16, 8231); both baselines started by theory."""


@dataclass(frozen=True)
class Claim:
    """A result of the paper: the better one of two trackers."""

    what: str
    better: str
    worse: str

    def verdict(self, curves: Curves, velocity: float) -> str:
        """Return "yes" if every seed agrees with the paper, "no" if every seed contradicts it, or
        "open"."""
        ours, theirs = curves[self.better][velocity], curves[self.worse][velocity]
        if max(ours) < min(theirs):
            return "yes"
        return "no" if min(ours) > max(theirs) else "open"


CLAIMS = (
    Claim("eight frames beat one", "relu-frames", "relu"),
    Claim("leaky integrators beat eight frames", "li-theory", "relu-frames"),
    Claim("spiking neurons beat eight frames", "lif-theory", "relu-frames"),
    Claim("leaky integrators beat spiking neurons", "li-theory", "lif-theory"),
    Claim("theory beats uniform, leaky integrators", "li-theory", "li-uniform"),
    Claim("theory beats uniform, spiking neurons", "lif-theory", "lif-uniform"),
)


def comparison(curves: Curves, velocities: Sequence[float]) -> Iterator[str]:
    """Yield a table of the claims: the paper's figures, and whether they hold at each velocity."""
    yield f"| the paper found | spatial | temporal | {' | '.join(f'{v:g}' for v in velocities)} |"
    yield f"|---|---|---|{'---|' * len(velocities)}"
    for claim in CLAIMS:
        better, worse = PAPER[claim.better], PAPER[claim.worse]
        pairs = " | ".join(f"{a} / {b}" for a, b in zip(better, worse, strict=True))
        verdicts = " | ".join(claim.verdict(curves, v) for v in velocities)
        yield f"| {claim.what} | {pairs} | {verdicts} |"


def not_reproduced(curves: Curves, velocities: Sequence[float]) -> Iterator[str]:
    """Yield a sentence for each claim that is contradicted at any of these velocities."""
    for claim in CLAIMS:
        against = [f"{v:g}" for v in velocities if claim.verdict(curves, v) == "no"]
        if against:
            yield (
                f"- *{claim.what}* is contradicted at {' and '.join(against)}: every seed of "
                f"`{claim.worse}` is nearer than every seed of `{claim.better}`."
            )
