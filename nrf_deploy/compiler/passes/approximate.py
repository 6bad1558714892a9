"""Rewrites that change spikes: only on the user's word, and with their cost measured.

A target lists those that it can offer; `--allow NAME` puts one among its passes. Without it
the place stays as it is, and the target's check refuses it and names the choice. With it the
rewrite is applied after the exact ones, the model before and after it runs on the
calibration data, and what that showed is a warning for each layer, which stays in the bundle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, UsageError, error, warning
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.ir.program import OUTPUT
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Spikes

from .base import LocalPass, Pass, Step, apply_all

if TYPE_CHECKING:
    from nrf_deploy.compare.comparison import LayerComparison


@dataclass(frozen=True)
class Approximate(LocalPass):
    """`choice` is what a user allows, `about` the sentence that says what it changes."""

    choice: ClassVar[str]
    about: ClassVar[str]


def allowed(choices: Sequence[Approximate], allow: Collection[str]) -> tuple[Approximate, ...]:
    """Those that the user named; a name that no choice has is refused."""
    known = [c.choice for c in choices]
    unknown = [name for name in allow if name not in known]
    if unknown:
        raise UsageError(
            error(
                "ALLOW-UNKNOWN",
                f"there is nothing named {name!r} to allow here",
                fix=f"known are: {', '.join(known)}" if known else "this chip has no choices",
            )
            for name in unknown
        )
    return tuple(c for c in choices if c.choice in allow)


def legalise(
    network: Network, passes: Sequence[Pass], calibration: Recording | None = None
) -> tuple[Network, tuple[Step, ...]]:
    """As apply_all, with the cost of each approximate pass measured by itself."""
    exact = [p for p in passes if not isinstance(p, Approximate)]
    network, steps = apply_all(network, exact)
    for rewrite in passes:
        if not isinstance(rewrite, Approximate):
            continue
        after, done = rewrite.apply(network)
        if after is network:
            steps = (*steps, *([Step(str(rewrite), tuple(done))] if done else ()))
            continue
        layers = [f.layer for f in done if f.severity == "info" and f.layer is not None]
        cost = tuple(_cost(network, after, layers, rewrite, calibration))
        done_before = tuple(s for s in steps if not _to_be_said_again(s, exact))
        network, more = apply_all(after, exact)
        steps = (*done_before, Step(str(rewrite), (*done, *cost)), *more)
    return network, steps


def _to_be_said_again(step: Step, exact: Sequence[Pass]) -> bool:
    """It only left places alone, of which the next round of exact passes will speak again."""
    done = any(f.severity == "info" for f in step.findings)
    return bool(step.findings) and not done and step.rewrite in map(str, exact)


def _cost(
    before: Network,
    after: Network,
    layers: Sequence[str],
    rewrite: Approximate,
    calibration: Recording | None,
) -> Iterator[Finding]:
    """A warning for each rewritten layer: how its spikes differ, whatever feeds it."""
    if calibration is None:
        for layer in layers:
            yield warning(
                "CHOICE-UNMEASURED",
                f"{rewrite.choice} was allowed, and what it costs is not known",
                layer=layer,
                why=rewrite.about,
                fix="give typical input with --calibrate",
            )
        return
    from nrf_deploy.compare.compare import compare
    from nrf_deploy.engines.reference import run

    names = [n.name for n in before.of(Population)]
    old, new = (run(net, calibration, record=names) for net in (before, after))
    scale = {name: {OUTPUT: 1 / worth} for name, worth in worths(after).items()}
    compared = compare(new, old, order=before.order, scale=scale).layers
    for c in (c for c in compared if c.layer in layers):
        yield warning(
            "CHOICE-COST",
            f"{rewrite.choice}: {_off(c)} on the calibration data",
            layer=c.layer,
            why=rewrite.about,
        )


def worths(network: Network) -> dict[str, Array]:
    """Return what a spike stands for, by the name of the layer, where it stands for a value."""
    rules = {n.name: n.rule for n in network.of(Population)}
    return {
        name: rule.worth
        for name, rule in rules.items()
        if type(rule) is Spikes and rule.worth is not None
    }


def _off(c: LayerComparison) -> str:
    if c.analogue:
        return f"{c.spikes_left:,} places spike, and values are {c.value_error:.2%} off (rms)"
    places = c.steps * int(np.prod(c.shape))
    return (
        f"{c.spikes_left:,} spikes instead of {c.spikes_right:,} ({c.count_error:.2%} off); "
        f"{c.mismatches:,} of {places:,} places differ"
    )
