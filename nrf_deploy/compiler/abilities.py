"""Optional abilities of a target, each a protocol, and the records that they exchange.

A target has an ability if it has the members of its protocol. `contract.py` refuses a target
with a member that no protocol knows: a misspelt ability would be switched off without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.network import Array, Network
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

from .place.placement import Placement
from .quantize.rules import Rules

if TYPE_CHECKING:
    from nrf_deploy.bundle.bundle import Bundle

CHOSEN = "TARGET-CHOSEN"
"""The code of the finding with which a target names what it chose for a model, and why."""


# --- chips ------------------------------------------------------------------------


@runtime_checkable
class HasCustomChips(Protocol):
    """A target that has more chips than `chips` lists: those that a user describes."""

    def chip_from(self, name: str) -> str | None:
        """Return the full name of the chip that a user describes.

        Args:
            name: What the user wrote: a file, or a name with settings.

        Returns:
            The name with which every other method can be called and which a bundle keeps;
            None where it is not a chip of this target.
        """
        ...


@runtime_checkable
class Detailed(Protocol):
    """A target that can show the chips that a user describes."""

    def table_of(self, chip: str) -> Mapping[str, Any]:
        """Return the table of a chip that a user describes.

        Args:
            chip: The full name of the chip.

        Returns:
            A table of the form that `chips` has.
        """
        ...


@runtime_checkable
class Settling(Protocol):
    """A target whose chips can leave something to the model."""

    def settled(
        self, network: Network, chip: str, calibration: Recording | None, rules: Rules
    ) -> tuple[str, list[Finding]]:
        """Return the full name of the chip for a model.

        Args:
            network: The network after the rewrites, which `check` accepted.
            chip: The name of the chip, which may leave something open.
            calibration: Typical input; None without.
            rules: The rules of the user.

        Returns:
            The full name, and findings on what was chosen (CHOSEN). A name that leaves
            nothing open is returned unchanged.
        """
        ...


@runtime_checkable
class HasMethods(Protocol):
    """A target with methods of its own for choosing integers."""

    methods: Collection[str]
    """Values that `method` of a scheme may have beside "fit" and "max"."""


# --- bundles ----------------------------------------------------------------------


@runtime_checkable
class HasArtefacts(Protocol):
    """A target that keeps files of the vendor in every bundle."""

    def artefacts(self, program: Program, placement: Placement) -> Mapping[str, bytes]:
        """Return the vendor's files for a program.

        Args:
            program: What `lower` returned.
            placement: What `place` returned.

        Returns:
            The bytes by name, such as "acme/config.json".

        Raises:
            TargetError: The chip would not take the program.
        """
        ...


# --- verification -----------------------------------------------------------------


@runtime_checkable
class Dequantising(Protocol):
    """A target that says what its integers mean, so that errors can be given their causes."""

    def dequantised(self, program: Program) -> Mapping[str, Mapping[str, Array]]:
        """Return the numbers of a program in units of the potential v.

        Args:
            program: What `lower` returned.

        Returns:
            By name of synapses {"weight": what one event adds to a potential}; by name of
            populations their parameters as attribution/float_twin.py names them. Amounts are in
            the units of the program's v, decays are the part that is lost in a step.
        """
        ...


@runtime_checkable
class HasStepSums(Protocol):
    """A target with arithmetics in which the events of a step arrive one by one."""

    summed: Mapping[str, str]
    """Such an arithmetic -> the one that adds up the events of a step, for the same program."""


@runtime_checkable
class Silicon(Protocol):
    """A target with an engine that does not compute what its chips compute."""

    silicon: str
    """Which engine the silicon follows, and how that is known: one sentence without a period."""


# --- boards -----------------------------------------------------------------------


@dataclass(frozen=True)
class Image:
    """The bytes that a board receives, or the configuration that describes them.

    Attributes:
        data: The bytes.
        form: How to read them: "20-bit words, 4 bytes each, the low byte first".
        counts: What they hold, by name.
        checks: Sentences on what was checked.
        unchecked: Sentences on what cannot be judged here.
        suffix: The suffix of a file that holds them.
    """

    data: bytes
    form: str
    counts: Mapping[str, int]
    checks: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    suffix: str = ".img"

    def as_json(self) -> dict[str, Any]:
        return {
            "bytes": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "form": self.form,
            "counts": dict(self.counts),
            "checks": list(self.checks),
            "unchecked": list(self.unchecked),
        }


@dataclass(frozen=True)
class Boards:
    """`suiting` boards can take the bundle; `others` were found too."""

    suiting: tuple[str, ...]
    others: tuple[str, ...]
    looked: str
    """What was looked for, and by what."""


@dataclass(frozen=True)
class Flashed:
    """A loaded board.

    Attributes:
        board: Its name.
        written: Counts of what went to the board, by name.
        read: Counts of what was read back and found equal.
        findings: What differs, and what the vendor's tools reported.
    """

    board: str
    written: Mapping[str, int]
    read: Mapping[str, int]
    findings: tuple[Finding, ...] = ()

    @property
    def sound(self) -> bool:
        """True if everything that was read back is equal."""
        return not any(f.severity == "error" for f in self.findings)


@runtime_checkable
class Flashing(Protocol):
    """A target that has a way to its boards."""

    def image(self, bundle: Bundle) -> Image:
        """Return the bytes that a board receives.

        Args:
            bundle: A bundle of this target.

        Returns:
            The Image.

        Raises:
            MissingError: The vendor's tools are missing, or the chip has no image.
        """
        ...

    def boards(self, bundle: Bundle) -> Boards:
        """Return the boards that are plugged in.

        Args:
            bundle: A bundle of this target.

        Returns:
            The boards that can take the bundle, the others, and what was looked for.
        """
        ...

    def flash(self, bundle: Bundle, board: str, tick: float | None) -> Flashed:
        """Load a board, and read it back.

        Args:
            bundle: A bundle of this target.
            board: A name of `boards`.
            tick: Seconds of one step, where the chip needs a clock and the model's dt is not
                meant; None otherwise.

        Returns:
            What was written and read back.
        """
        ...


@runtime_checkable
class Configuring(Protocol):
    """A target that can write the configuration of a board as JSON, also without an image."""

    def configuration(self, bundle: Bundle) -> Image:
        """Return the configuration as JSON.

        Args:
            bundle: A bundle of this target.

        Returns:
            An Image with the suffix .json.
        """
        ...

    def has_image(self, chip: str) -> bool:
        """Return whether `image` works without a board of this chip.

        Args:
            chip: The name of a chip.

        Returns:
            True if it does.
        """
        ...


@runtime_checkable
class NoBoard(Protocol):
    """A target without a way to boards, that says why."""

    no_flash: str
    """The reason, in one sentence without a period."""


# --- conformance ------------------------------------------------------------------


@runtime_checkable
class Conforming(Protocol):
    """A target that brings programs of its own arithmetic, with the traces they must give."""

    @property
    def kit(self) -> Path:
        """The folder of its kit."""
        ...


@runtime_checkable
class Coarse(Protocol):
    """A target whose chips can be too narrow for a model that they take."""

    @property
    def coarse(self) -> Sequence[str]:
        """The codes of the warnings that say so: such a model tests no arithmetic."""
        ...


ABILITIES: tuple[type, ...] = (
    HasCustomChips,
    Detailed,
    Settling,
    HasMethods,
    HasArtefacts,
    Dequantising,
    HasStepSums,
    Silicon,
    Flashing,
    Configuring,
    NoBoard,
    Conforming,
    Coarse,
)
"""Every optional ability."""
