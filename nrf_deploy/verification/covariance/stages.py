"""Who answers: the float model with either decay, and the emulated chip as it is and mended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from ...bundle import Bundle
from ...findings import Finding, NrfError
from ...legalise import Pass, parse
from ...legalise.choice import Approximate
from ...legalise.exact_decay import ExactDecay
from ...network import Input, Network, Population
from ...pipeline import compile, latency, unit
from ...progress import Progress, part, quiet
from ...quantise.rules import Rules
from ...recording import Recording
from ...reference import run as run_reference
from ...run_bundle import run_engine
from ..units import in_units
from .nouns import ANCHORED, CHIP, CHIP_EXACT, EULER, EXACT, NEAREST

Run = Callable[[Recording], dict[str, Recording]]
"""From an input to the outputs of some populations, at the model's own steps and in its units."""
CALIBRATION = 64
"""Steps of the input, the busiest, that the ways out are calibrated on."""


@dataclass(frozen=True, eq=False)
class Stage:
    """`network` is what it stands for: what an event adds there is what its values count.
    `bundle` is None where it runs in float."""

    name: str
    network: Network
    bundle: Bundle | None = None

    def runs(self, names: Iterable[str], progress: Progress = quiet) -> Run:
        names = list(dict.fromkeys(names))
        if self.bundle is not None:
            return _chip(self.bundle, names, progress)
        net = before(self.network, names)
        return lambda given: dict(
            run_reference(net, given, record=names, progress=progress).outputs
        )


def in_time(
    bundle: Bundle, recording: Recording, progress: Progress
) -> tuple[list[Stage], list[Finding]]:
    """All that a stretch in time asks for, and why a way out cannot be had on this chip."""
    network, rules = bundle.network, bundle.scheme.rules
    exact = exactly(network)
    found = [Stage(EXACT, exact), Stage(EULER, network), Stage(CHIP, network, bundle)]
    is_exact = any(isinstance(r, ExactDecay) for r in _rewrites(bundle))
    said: list[Finding] = []
    for name, asked in {CHIP_EXACT: rules, ANCHORED: replace(rules, decay="anchored")}.items():
        if is_exact and asked == rules:
            found.append(Stage(name, exact, bundle))
        else:
            part(progress, f"covariance in time: compiling {name!r}")
            made, refused = _compiled(bundle, exact, recording, asked, progress)
            found += [Stage(name, exact, made)] if made else []
            said += refused
    return found, said


def in_space(
    bundle: Bundle, recording: Recording, progress: Progress
) -> tuple[list[Stage], list[Finding]]:
    """All that a map of the image asks for. Weights that are fitted to data are rounded each
    on its own, and equal kernels become unequal: the way out rounds all to the nearest."""
    network, rules = bundle.network, bundle.scheme.rules
    found = [Stage(EULER, network), Stage(CHIP, network, bundle)]
    asked = replace(rules, error="weights")
    if asked == rules:
        return found, []
    part(progress, f"covariance in space: compiling {NEAREST!r}")
    made, said = _compiled(bundle, network, recording, asked, progress)
    return [*found, *([Stage(NEAREST, network, made)] if made else [])], said


def _compiled(
    bundle: Bundle, network: Network, recording: Recording, rules: Rules, progress: Progress
) -> tuple[Bundle | None, list[Finding]]:
    """With what was allowed to the bundle; exact decay is asked for by the network."""
    allow = {r.choice for r in _rewrites(bundle) if isinstance(r, Approximate)}
    if network is not bundle.network:
        allow -= {ExactDecay.choice}
    try:
        given = busiest(recording, CALIBRATION)
        return compile(network, bundle.chip, given, rules, sorted(allow), progress=progress), []
    except NrfError as refusal:
        return None, [replace(f, severity="warning") for f in refusal.findings]


def _rewrites(bundle: Bundle) -> list[Pass]:
    return [parse(step.rewrite) for step in bundle.steps]


def exactly(network: Network) -> Network:
    return ExactDecay().apply(network)[0]


def busiest(recording: Recording, steps: int) -> Recording:
    """The stretch of time with most events."""
    if recording.steps <= steps:
        return recording
    first = int(np.argmax(recording.start[steps:] - recording.start[:-steps]))
    return recording.shifted(first).until(steps)


def before(network: Network, names: Iterable[str]) -> Network:
    """The nodes that lead to these, and no others; all where there is a cycle."""
    if network.back_edges:
        return network
    kept, ahead = set(names), list(names)
    while ahead:
        found = set(network.sources(ahead.pop())) - kept
        kept |= found
        ahead += found
    return replace(
        network,
        nodes=tuple(n for n in network.nodes if n.name in kept or isinstance(n, Input)),
        edges=tuple(e for e in network.edges if e[1] in kept),
    )


def _chip(bundle: Bundle, names: list[str], progress: Progress) -> Run:
    behind = latency(bundle, "emulator")
    units = {n: unit(bundle, n) for n in names}

    def run(recording: Recording) -> dict[str, Recording]:
        trace = run_engine(bundle, recording, "emulator", record=names, progress=progress)
        outputs = trace.outputs
        aligned = {n: outputs[n].shifted(behind[n]).until(recording.steps) for n in names}
        return {n: in_units(r, units[n]) for n, r in aligned.items()}

    return run


def depths(network: Network) -> dict[str, int]:
    """How many populations each node is away from the input, itself counted."""
    found: dict[str, int] = {}
    for name in network.order:
        before = max((found[s] for s in network.sources(name) if s in found), default=0)
        found[name] = before + (type(network[name]) is Population)
    return found
