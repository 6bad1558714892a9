"""Who answers: the float model with either decay, and the emulated chip as it is and mended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bundle import Bundle
from ...findings import Finding, NrfError
from ...legalise import parse
from ...legalise.exact_decay import ExactDecay
from ...network import Network, Population
from ...pipeline import compile, latency
from ...pipeline import run as run_engine
from ...recording import Recording
from ...reference import run as run_reference
from ...stages import Progress
from .nouns import ANCHORED, CHIP, CHIP_EXACT, EULER, EXACT

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

    def runs(self, names: Iterable[str]) -> Run:
        names = list(dict.fromkeys(names))
        if self.bundle is None:
            return lambda given: dict(run_reference(self.network, given, record=names).outputs)
        return _chip(self.bundle, names)


def stages_of(
    bundle: Bundle, recording: Recording, progress: Progress
) -> tuple[list[Stage], list[Finding]]:
    """All of them, and why a way out cannot be had on this chip."""
    network = bundle.network
    exact = exactly(network)
    found = [Stage(EXACT, exact), Stage(EULER, network), Stage(CHIP, network, bundle)]
    said: list[Finding] = []
    rules = bundle.scheme.rules
    is_exact = any(isinstance(parse(s.rewrite), ExactDecay) for s in bundle.steps)
    ways = {CHIP_EXACT: rules, ANCHORED: replace(rules, decay="anchored")}
    for name, asked in ways.items():
        if is_exact and asked == rules:
            found.append(Stage(name, exact, bundle))
            continue
        try:
            made = compile(exact, bundle.chip, busiest(recording, CALIBRATION), asked, progress)
        except NrfError as refusal:
            said += [replace(f, severity="warning") for f in refusal.findings]
        else:
            found.append(Stage(name, exact, made))
    return found, said


def exactly(network: Network) -> Network:
    return ExactDecay().apply(network)[0]


def busiest(recording: Recording, steps: int) -> Recording:
    """The stretch of time with most events."""
    if recording.steps <= steps:
        return recording
    first = int(np.argmax(recording.start[steps:] - recording.start[:-steps]))
    return recording.shifted(first).until(steps)


def _chip(bundle: Bundle, names: list[str]) -> Run:
    behind = latency(bundle, "emulator")
    scales = {o.node: o.scale for o in bundle.program.origins}

    def run(recording: Recording) -> dict[str, Recording]:
        outputs = run_engine(bundle, recording, "emulator", record=names).outputs
        aligned = {n: outputs[n].shifted(behind[n]).until(recording.steps) for n in names}
        return {n: in_units(r, scales[n].get("output")) for n, r in aligned.items()}

    return run


def in_units(recording: Recording, scale: Any) -> Recording:
    """In the model's, from what one of them is in the chip's."""
    if scale is None:
        return recording
    of = np.broadcast_to(np.asarray(scale, float), recording.shape).ravel()
    return replace(recording, value=recording.value / of[recording.index])


def depths(network: Network) -> dict[str, int]:
    """How many populations each node is away from the input, itself counted."""
    found: dict[str, int] = {}
    for name in network.order:
        before = max((found[s] for s in network.sources(name) if s in found), default=0)
        found[name] = before + isinstance(network[name], Population)
    return found
