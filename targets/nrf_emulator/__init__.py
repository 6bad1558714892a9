"""A machine that a user describes: no chip, but built like one. The plug-in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrf_deploy.capabilities import Domain
from nrf_deploy.findings import Finding
from nrf_deploy.legalise import EXACT, Pass, ThresholdAsLif
from nrf_deploy.legalise.choice import Approximate, allowed
from nrf_deploy.legalise.exact_decay import ExactDecay
from nrf_deploy.legalise.subtract_as_zero_reset import SubtractAsZeroReset
from nrf_deploy.network import Array, Network
from nrf_deploy.place.placement import Placement
from nrf_deploy.program import Program
from nrf_deploy.progress import Progress
from nrf_deploy.quantise.rules import Rules
from nrf_deploy.quantise.scheme import Scheme
from nrf_deploy.recording import Recording
from nrf_deploy.target import Sdk

from . import check as _check
from . import lower as _lower
from . import place as _place
from . import quantise as _quantise
from .arithmetic import FixedArithmetic
from .dequantised import dequantised
from .kernels import FixedKernels
from .models import DOMAIN
from .settings import (
    full_name,
    has_own_bits,
    presets,
    settings,
    with_fraction,
    without_fraction,
)
from .unused import COARSE, chosen


class EmulatorTarget:
    name = "emulator"
    about = "a machine of your own: bits, rounding, resets and latency from a small file"
    shown = ("emulator",)
    arithmetics: Mapping[str, Any] = {"fixed": FixedArithmetic()}
    kernels: Mapping[str, Any] = {"fixed": FixedKernels()}
    sdks: Sequence[Sdk] = ()
    choices: Sequence[Approximate] = (SubtractAsZeroReset(), ExactDecay())
    engines: Mapping[str, Any] = {}
    exporters: Mapping[str, Callable[[Program, Path], None]] = {}
    coarse = (COARSE,)
    kit = Path(__file__).parent / "kit"

    @property
    def chips(self) -> Mapping[str, Mapping[str, Any]]:
        return {
            name: {**table, "settings": dataclasses.asdict(settings(name))}
            for name, table in presets().items()
        }

    def chip_from(self, given: str) -> str | None:
        return full_name(given)

    def table_of(self, chip: str) -> Mapping[str, Any]:
        base, _, own = chip.partition(":")
        held: dict[str, Any] = dataclasses.asdict(settings(chip))
        if without_fraction(chip):
            held["fraction_bits"] = f"chosen for each model, up to {held['fraction_bits']}"
        about = f"your machine: {base} with {own.replace(',', ', ')}"
        return {"about": about, "settings": held}

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        return (*EXACT, ThresholdAsLif(), *allowed(self.choices, allow))

    def accepts(self, chip: str) -> Domain:
        return DOMAIN

    def check(self, network: Network, chip: str) -> list[Finding]:
        return _check.check(network, settings(chip))

    def settled(
        self, network: Network, chip: str, calibration: Recording | None, rules: Rules
    ) -> tuple[str, list[Finding]]:
        """With the fraction_bits that let weights use their bits, where the name gives none."""
        if not without_fraction(chip):
            return chip, []
        machine = settings(chip)
        tasks = _quantise.tasks(network, machine, calibration, rules)
        fraction, why = chosen(tasks, machine)
        return with_fraction(chip, fraction), [why]

    def quantise(
        self,
        network: Network,
        chip: str,
        calibration: Recording | None,
        rules: Rules,
        progress: Progress,
    ) -> tuple[Scheme, list[Finding]]:
        machine, own = settings(chip), has_own_bits(chip)
        return _quantise.quantise(network, machine, calibration, rules, progress, own)

    def lower(self, network: Network, scheme: Scheme, chip: str) -> tuple[Program, list[Finding]]:
        return _lower.lower(network, scheme, settings(chip))

    def dequantised(self, program: Program) -> Mapping[str, Mapping[str, Array]]:
        return dequantised(program)

    def place(self, program: Program, chip: str) -> Placement:
        return _place.place(program, chip, settings(chip))


target = EmulatorTarget()
