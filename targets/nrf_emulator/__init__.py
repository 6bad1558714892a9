"""Target plug-in for machines that a user describes by a file or by options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrf_deploy.compiler.passes import EXACT, MaxPoolAsOr, Pass, ThresholdAsLif
from nrf_deploy.compiler.passes.approximate import Approximate, allowed
from nrf_deploy.compiler.passes.exact_decay import ExactDecay
from nrf_deploy.compiler.passes.subtract_as_zero_reset import SubtractAsZeroReset
from nrf_deploy.compiler.place.placement import Placement
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.scheme import Scheme
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.ir.capabilities import Domain
from nrf_deploy.ir.network import Array, Network
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

from . import place as _place
from .arithmetic.kernels import FixedKernels
from .arithmetic.models import DOMAIN
from .arithmetic.rules import FixedArithmetic
from .compile import check as _check
from .compile import lower as _lower
from .compile import quantize as _quantise
from .compile.dequantized import dequantised
from .compile.unused_bits import COARSE, chosen
from .settings import (
    full_name,
    has_own_bits,
    presets,
    settings,
    with_fraction,
    without_fraction,
)


class EmulatorTarget:
    """The target "emulator": its presets, compiler stages and arithmetic."""

    name = "emulator"
    about = "a machine that you describe: bits, rounding, resets and latency from a small file"
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

    def chip_from(self, name: str) -> str | None:
        return full_name(name)

    def table_of(self, chip: str) -> Mapping[str, Any]:
        base, _, options = chip.partition(":")
        values: dict[str, Any] = dataclasses.asdict(settings(chip))
        if without_fraction(chip):
            values["fraction_bits"] = f"chosen for each model, up to {values['fraction_bits']}"
        about = f"your machine: {base} with {options.replace(',', ', ')}"
        return {"about": about, "settings": values}

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        return (*EXACT, MaxPoolAsOr(), ThresholdAsLif(), *allowed(self.choices, allow))

    def accepts(self, chip: str) -> Domain:
        return DOMAIN

    def check(self, network: Network, chip: str) -> list[Finding]:
        return _check.check(network, settings(chip))

    def settled(
        self, network: Network, chip: str, calibration: Recording | None, rules: Rules
    ) -> tuple[str, list[Finding]]:
        """Choose fraction_bits that let weights use their bits, unless the name sets them."""
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
