"""Target plug-in for Speck and DYNAP-CNN, SynSense's event-driven convolution chips."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compiler.abilities import Boards, Flashed, Image
from nrf_deploy.compiler.passes import Pass
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

from .arithmetic.kernels import EventsKernels, StepsKernels
from .arithmetic.models import DOMAIN
from .arithmetic.rules import EventsRule, StepsArithmetic
from .chip import Chip, tables
from .compile import check as _check
from .compile import lower as _lower
from .compile import quantize as _quantise
from .compile import sinabs_rule
from .compile.dequantized import dequantised
from .configuration import image
from .passes.exact import CHOICES, PASSES
from .place import place as _place
from .samna import boards as samna_boards
from .samna import client as samna_client
from .sinabs import client as sinabs_client


class SpeckTarget:
    """The target "speck": its chips, compiler stages, engines and boards."""

    name = "speck"
    about = "SynSense's Speck and DYNAP-CNN: convolutions event by event, no time steps"
    shown = ("speck2b",)
    arithmetics: Mapping[str, Any] = {
        "speck.events": EventsRule(),
        "speck.steps": StepsArithmetic(),
    }
    kernels: Mapping[str, Any] = {"speck.events": EventsKernels(), "speck.steps": StepsKernels()}
    summed: Mapping[str, str] = {EventsRule.name: StepsArithmetic.name}
    sdks = (samna_client.sdk, samna_client.newer, sinabs_client.sdk)
    choices: Sequence[Approximate] = CHOICES
    methods = (sinabs_rule.METHOD,)
    engines: Mapping[str, Any] = {
        "steps": sinabs_client.run_steps,
        "sinabs": sinabs_client.engine,
    }
    silicon = (
        "the chip follows the engine emulator, event by event, as far as it is documented (no "
        "board was at hand); steps and sinabs are sinabs' simulation in time steps, reference is "
        "the float model"
    )
    exporters: Mapping[str, Any] = {}
    kit = Path(__file__).parent / "kit"

    @property
    def chips(self) -> Mapping[str, Mapping[str, Any]]:
        return tables()

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        return (*PASSES, *allowed(CHOICES, allow))

    def accepts(self, chip: str) -> Domain:
        return DOMAIN

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
        program, findings = _lower.lower(network, scheme)
        return program, [*findings, *image.warnings(program, chip)]

    def dequantised(self, program: Program) -> Mapping[str, Mapping[str, Array]]:
        return dequantised(program)

    def place(self, program: Program, chip: str) -> Placement:
        placement = _place.place(program, Chip.load(chip))
        image.checked(program, placement)
        return placement

    def artefacts(self, program: Program, placement: Placement) -> Mapping[str, bytes]:
        return image.artefacts(program, placement)

    def image(self, bundle: Bundle) -> Image:
        return image.image(bundle)

    def configuration(self, bundle: Bundle) -> Image:
        return image.configuration_file(bundle)

    def has_image(self, chip: str) -> bool:
        return samna_client.has_stream(chip)

    def boards(self, bundle: Bundle) -> Boards:
        return samna_boards.boards(bundle.chip)

    def flash(self, bundle: Bundle, board: str, tick: float | None) -> Flashed:
        return image.flash(bundle, board, tick)


target = SpeckTarget()
