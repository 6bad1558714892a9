"""Target plug-in for Loihi, with Lava as the vendor's simulator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrf_deploy.compiler.passes import (
    EXACT,
    DropLastDelay,
    MaxPoolAsOr,
    Pass,
    ShiftReset,
    ThresholdAsLif,
)
from nrf_deploy.compiler.passes.approximate import Approximate, allowed
from nrf_deploy.compiler.place.placement import Placement
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.compiler.quantize.scheme import Scheme
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.ir.capabilities import Domain
from nrf_deploy.ir.network import Array, Network
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

from .arithmetic.kernels import LoihiKernels
from .arithmetic.neurons import domain
from .arithmetic.rules import LoihiArithmetic
from .chip import Chip, tables
from .compile import check as _check
from .compile import lower as _lower
from .compile import quantize as _quantise
from .compile.check import CHOICES
from .compile.dequantized import dequantised
from .lava import engine
from .lava.emit_lava import emit
from .place import place as _place


class LoihiTarget:
    """The target "loihi": its chips, compiler stages, engines and exporters."""

    name = "loihi"
    about = "Intel Loihi 1 and 2; the vendor's simulator is Lava"
    shown = ("loihi1", "loihi2")
    arithmetics: Mapping[str, Any] = {"loihi": LoihiArithmetic()}
    kernels: Mapping[str, Any] = {"loihi": LoihiKernels()}
    sdks = (engine.sdk,)
    choices: Sequence[Approximate] = CHOICES
    engines: Mapping[str, Any] = {"lava": engine.run}
    exporters: Mapping[str, Any] = {"lava": emit}
    kit = Path(__file__).parent / "kit"
    coarse = ("LOIHI-RESET-MIRRORED",)  # a current that integrates forgets 1/4096 of itself a step
    no_flash = (
        "boards with this chip stand at Intel and its partners, and are reached by an extension "
        "of Lava that is not public; nrf-deploy export --as lava writes the program for it"
    )

    @property
    def chips(self) -> Mapping[str, Mapping[str, Any]]:
        return tables()

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        more = (MaxPoolAsOr(), DropLastDelay(), ThresholdAsLif(), ShiftReset())
        return (*EXACT, *more, *allowed(CHOICES, allow))

    def accepts(self, chip: str) -> Domain:
        return domain(Chip.load(chip))

    def check(self, network: Network, chip: str) -> list[Finding]:
        return _check.check(network, Chip.load(chip))

    def quantise(
        self,
        network: Network,
        chip: str,
        calibration: Recording | None,
        rules: Rules,
        progress: Progress,
    ) -> tuple[Scheme, list[Finding]]:
        return _quantise.quantise(network, Chip.load(chip), calibration, rules, progress)

    def lower(self, network: Network, scheme: Scheme, chip: str) -> tuple[Program, list[Finding]]:
        return _lower.lower(network, scheme, Chip.load(chip))

    def dequantised(self, program: Program) -> Mapping[str, Mapping[str, Array]]:
        return dequantised(program)

    def place(self, program: Program, chip: str) -> Placement:
        return _place.place(program, Chip.load(chip))


target = LoihiTarget()
