"""Rewrites that change spikes: applied only if the user allows them, and their cost measured.

A target lists those that it offers; `--allow NAME` adds one to its passes. Without it the
node stays unchanged, and the target's check refuses it and names the choice. With it the
rewrite is applied after the exact ones, the models before and after it run on the calibration
data, and their difference is reported as a warning for each layer, which the bundle keeps.
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
    """A rewrite that a user allows by its `choice`; `about` is the sentence that describes it."""

    choice: ClassVar[str]
    about: ClassVar[str]


def allowed(choices: Sequence[Approximate], allow: Collection[str]) -> tuple[Approximate, ...]:
    """Return the choices that the user named; refuse a name that no choice has."""
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
    """Apply the passes like apply_all, and measure the cost of each approximate one separately."""
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
        done_before = tuple(s for s in steps if not _reported_again(s, exact))
        network, more = apply_all(after, exact)
        steps = (*done_before, Step(str(rewrite), (*done, *cost)), *more)
    return network, steps


def _reported_again(step: Step, exact: Sequence[Pass]) -> bool:
    """Return whether an exact step changed nothing, so that the next round reports it again."""
    done = any(f.severity == "info" for f in step.findings)
    return bool(step.findings) and not done and step.rewrite in map(str, exact)


def _cost(
    before: Network,
    after: Network,
    layers: Sequence[str],
    rewrite: Approximate,
    calibration: Recording | None,
) -> Iterator[Finding]:
    """Yield a warning for each rewritten layer: the difference of its spikes, from any cause."""
    if calibration is None:
        for layer in layers:
            yield warning(
                "CHOICE-UNMEASURED",
                f"{rewrite.choice} was allowed, and its cost is not known",
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
    """Return the value of a spike by the name of the layer, for spikes that stand for a value."""
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
