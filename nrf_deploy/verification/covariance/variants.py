"""Stages of a test: the float model with both decays, the emulated chip as it is and improved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import compile, latency, unit
from nrf_deploy.bundle.run_bundle import run_engine
from nrf_deploy.compare.units import in_units
from nrf_deploy.compiler.passes import Pass, parse
from nrf_deploy.compiler.passes.approximate import Approximate
from nrf_deploy.compiler.passes.exact_decay import ExactDecay
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.diagnostics.findings import Finding, NrfError
from nrf_deploy.diagnostics.progress import Progress, part, quiet
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.ir.network import Input, Network, Population
from nrf_deploy.ir.recording import Recording

from .types import ANCHORED, CHIP, CHIP_EXACT, EULER, EXACT, NEAREST

Run = Callable[[Recording], dict[str, Recording]]
"""Function from an input to the outputs of populations, in the model's steps and units."""
CALIBRATION = 64
"""Number of steps with most events on which the fixes are calibrated."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage. Its values are in the units of `network`; `bundle` is None if it runs in float."""

    name: str
    network: Network
    bundle: Bundle | None = None

    def runs(self, names: Iterable[str], progress: Progress = quiet) -> Run:
        names = list(dict.fromkeys(names))
        if self.bundle is not None:
            return _chip(self.bundle, names, progress)
        net = before(self.network, names)
        return lambda stimulus: dict(
            run_reference(net, stimulus, record=names, progress=progress).outputs
        )


def in_time(
    bundle: Bundle, recording: Recording, progress: Progress
) -> tuple[list[Stage], list[Finding]]:
    """Return the stages of the tests in time, and why a fix is not possible on this chip."""
    network, rules = bundle.network, bundle.scheme.rules
    exact = exactly(network)
    stages = [Stage(EXACT, exact), Stage(EULER, network), Stage(CHIP, network, bundle)]
    is_exact = any(isinstance(r, ExactDecay) for r in _rewrites(bundle))
    messages: list[Finding] = []
    for name, wanted in {
        CHIP_EXACT: rules,
        ANCHORED: replace(rules, decay="anchored"),
    }.items():
        if is_exact and wanted == rules:
            stages.append(Stage(name, exact, bundle))
        else:
            part(progress, f"covariance in time: compiling {name!r}")
            built, refused = _compiled(bundle, exact, recording, wanted, progress)
            stages += [Stage(name, exact, built)] if built else []
            messages += refused
    return stages, messages


def in_space(
    bundle: Bundle, recording: Recording, progress: Progress
) -> tuple[list[Stage], list[Finding]]:
    """Return the stages of the spatial tests.

    Weights that are fitted to data are rounded separately, so that equal kernels become unequal:
    the fix rounds all to the nearest.
    """
    network, rules = bundle.network, bundle.scheme.rules
    stages = [Stage(EULER, network), Stage(CHIP, network, bundle)]
    wanted = replace(rules, error="weights")
    if wanted == rules:
        return stages, []
    part(progress, f"covariance in space: compiling {NEAREST!r}")
    built, messages = _compiled(bundle, network, recording, wanted, progress)
    return [
        *stages,
        *([Stage(NEAREST, network, built)] if built else []),
    ], messages


def _compiled(
    bundle: Bundle, network: Network, recording: Recording, rules: Rules, progress: Progress
) -> tuple[Bundle | None, list[Finding]]:
    """Compile a network with what the bundle allows; exact decay is part of the network."""
    allow = {r.choice for r in _rewrites(bundle) if isinstance(r, Approximate)}
    if network is not bundle.network:
        allow -= {ExactDecay.choice}
    try:
        calibration = busiest(recording, CALIBRATION)
        return compile(
            network, bundle.chip, calibration, rules, sorted(allow), progress=progress
        ), []
    except NrfError as refusal:
        return None, [replace(f, severity="warning") for f in refusal.findings]


def _rewrites(bundle: Bundle) -> list[Pass]:
    return [parse(step.rewrite) for step in bundle.steps]


def exactly(network: Network) -> Network:
    return ExactDecay().apply(network)[0]


def busiest(recording: Recording, steps: int) -> Recording:
    """Return the consecutive steps with most events."""
    if recording.steps <= steps:
        return recording
    first = int(np.argmax(recording.start[steps:] - recording.start[:-steps]))
    return recording.shifted(first).until(steps)


def before(network: Network, names: Iterable[str]) -> Network:
    """Return the nodes that lead to these; all nodes if there is a cycle."""
    if network.back_edges:
        return network
    kept, ahead = set(names), list(names)
    while ahead:
        sources = set(network.sources(ahead.pop())) - kept
        kept |= sources
        ahead += sources
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
    """Return how many populations there are from the input to each node, including it."""
    depth_of: dict[str, int] = {}
    for name in network.order:
        before = max((depth_of[s] for s in network.sources(name) if s in depth_of), default=0)
        depth_of[name] = before + (type(network[name]) is Population)
    return depth_of
