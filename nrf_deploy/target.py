"""What a target is, and how the toolchain finds those that are installed.

A target is an object that a plug-in registers under the entry-point group
`nrf_deploy.targets`. The toolchain asks it for the rules of its chips and hands
it the nouns; it never imports one by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from . import plugins
from .capabilities import Accepts as Accepts
from .capabilities import Domain as Domain
from .emulator.events_golden import EventRule
from .emulator.golden import Arithmetic
from .emulator.kernels import EventKernels, Kernels
from .emulator.parameters import Codes, Declared, model_faults
from .findings import Finding, NrfError, TargetError, UsageError, error
from .legalise import EXACT, Pass
from .legalise.choice import Approximate, allowed
from .network import Array, Network
from .place.placement import Placement
from .program import Program, Synapses
from .progress import Progress
from .quantise.rules import Rules
from .quantise.scheme import Scheme
from .recording import Recording, Trace
from .typed import demand

GROUP = "nrf_deploy.targets"


@dataclass(frozen=True)
class Sdk:
    """A vendor's tools, which live in an environment of their own.

    `worker` is the script that runs there: standard library, numpy and this SDK only.
    An `optional` one is installed by its name only, not along with the others.
    """

    name: str
    about: str
    python: str  # "3.10"
    requirements: Path
    worker: Path
    optional: bool = False
    module: str = ""
    """The vendor's package, where `sdk install` is to prove that it can be imported: the worker is
    run up to its `if __name__ == "__main__"`."""


Exporter = Callable[[Program, Path], None]


class Engine(Protocol):
    """Runs a program somewhere and gives back the trace."""

    def __call__(
        self,
        program: Program,
        recording: Recording,
        *,
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        steps: int | None = None,
        progress: Progress = ...,
    ) -> Trace: ...


class Target(Protocol):
    name: str
    about: str
    chips: Mapping[str, Mapping[str, Any]]
    """Name of a chip -> its table in chips.toml."""
    shown: Sequence[str]
    """Those of them that the demo takes; the others would show little that is new."""
    arithmetics: Mapping[str, Arithmetic | EventRule]
    kernels: Mapping[str, Kernels | EventKernels]
    """The same rules for the fast engine, by arithmetic, as far as the target gives them."""
    sdks: Sequence[Sdk]
    engines: Mapping[str, Engine]
    """Engines of the vendor, by name: they run in the environment of the SDK of that name."""

    exporters: Mapping[str, Exporter]
    """What writes a program to a folder in the vendor's own terms, by the name of the form."""

    choices: Sequence[Approximate]
    """Rewrites that change spikes, which a user may allow by their `choice`."""

    def accepts(self, chip: str) -> Domain:
        """Return the neurons, with their features, and the other nodes that this chip runs.

        It speaks of the network after the rewrites. The compiler refuses everything else before
        `check` is called (KIND-UNSUPPORTED, RULE-UNSUPPORTED). To name a feature is to say that
        `check` and `lower` read it. A target without this method is refused when one of its chips
        is named.
        """
        ...

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        """The exact rewrites that bring a network into a form this chip can hold, and those
        that are not exact and that the user allowed."""
        ...

    def check(self, network: Network, chip: str) -> list[Finding]:
        """A verdict on every layer of a legalised network."""
        ...

    def quantise(
        self,
        network: Network,
        chip: str,
        calibration: Recording | None,
        rules: Rules,
        progress: Progress,
    ) -> tuple[Scheme, list[Finding]]: ...

    def lower(self, network: Network, scheme: Scheme, chip: str) -> tuple[Program, list[Finding]]:
        """The program; its origins say how it is read, of each layer that gives values also what
        1 of the model is in them (program.Origin)."""
        ...

    def place(self, program: Program, chip: str) -> Placement: ...


class BaseArithmetic:
    """Weights, outputs and sums as they are: a base class that leaves the neurons to be said."""

    name: str
    parameters: Mapping[str, Declared] = MappingProxyType({})
    """Name of a neuron model -> its parameters; a model that is not listed is refused."""
    synapse_parameters: Declared = MappingProxyType({})

    def faults(self, program: Program) -> Iterable[Finding]:
        words = ("MODEL-UNKNOWN", "MODEL-PARAMETERS", "SYNAPSE-PARAMETERS")
        codes = Codes(*(f"{self.name.upper()}-{word}" for word in words))
        return model_faults(program, self.parameters, self.synapse_parameters, codes)

    def held(self, synapses: Synapses) -> Array:
        return synapses.weight

    def message(self, synapses: Synapses, output: Array) -> Array:
        return output

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        return total


class BaseTarget:
    """What a small target has none of: a base class that leaves only what it must say
    (docs/add-a-target.md)."""

    shown: Sequence[str] = ()
    kernels: Mapping[str, Kernels | EventKernels] = MappingProxyType({})
    sdks: Sequence[Sdk] = ()
    engines: Mapping[str, Engine] = MappingProxyType({})
    exporters: Mapping[str, Exporter] = MappingProxyType({})
    choices: Sequence[Approximate] = ()

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        return (*EXACT, *allowed(self.choices, allow))


def targets() -> dict[str, Target]:
    """Every installed target, by name, but those that cannot be loaded (plugins.py)."""
    return plugins.loaded(GROUP, ("name", "chips", "arithmetics"))


@runtime_checkable
class HasCustomChips(Protocol):
    """A target that has more chips than `chips` lists: those that a user describes."""

    def chip_from(self, given: str) -> str | None:
        """The full name of the chip that `given` (a file, a name with options) describes, with
        which every other method can be called and which a bundle keeps; None where it is not
        one of this target's."""
        ...


CHOSEN = "TARGET-CHOSEN"
"""The finding with which a target names what it chose for a model, and why."""


@runtime_checkable
class Detailed(Protocol):
    """A target that can show the chips that a user describes."""

    def table_of(self, chip: str) -> Mapping[str, Any]:
        """The table of a chip by its full name, of the form that `chips` has."""
        ...


@runtime_checkable
class Settling(Protocol):
    """A target whose chips can leave something to the model."""

    def settled(
        self, network: Network, chip: str, calibration: Recording | None, rules: Rules
    ) -> tuple[str, list[Finding]]:
        """Return the full name of the chip for a legalised and checked network, and findings on
        what was chosen (CHOSEN). A name that leaves nothing open is returned unchanged."""
        ...


@runtime_checkable
class HasArtefacts(Protocol):
    """A target that keeps files of the vendor's in every bundle."""

    def artefacts(self, program: Program, placement: Placement) -> Mapping[str, bytes]:
        """By name ("acme/config.json"); a TargetError where the chip would not take them."""
        ...


@runtime_checkable
class Dequantising(Protocol):
    """A target that says what its integers mean, so that errors can be given their causes."""

    def dequantised(self, program: Program) -> Mapping[str, Mapping[str, Array]]:
        """By name of synapses {"weight": what one event adds to a potential}; by name of
        populations their numbers as verification/ideal.py names them. Amounts are in the units
        of the program's v, decays are the part that is lost in a step."""
        ...


@runtime_checkable
class HasStepSums(Protocol):
    """A target with arithmetics in which a step's events come one by one."""

    summed: Mapping[str, str]
    """Name of such an arithmetic -> the one that adds up a step's events, for the same program."""


@runtime_checkable
class Silicon(Protocol):
    """A target whose engines do not all compute what its chips do."""

    silicon: str
    """Which engine the silicon follows, and how that is known: one sentence without a period."""


def target_of_chip(given: str) -> Target:
    return chip_named(given)[0]


def chip_named(given: str) -> tuple[Target, str]:
    """The target and the full name of a chip."""
    demand(given, str, "the name of a chip", "pass a name such as 'loihi2' (nrf-deploy targets)")
    shelf = targets()
    for target in shelf.values():
        if given in target.chips:
            return _declared(target, given), given
    for target in shelf.values():
        if isinstance(target, HasCustomChips) and (name := target.chip_from(given)) is not None:
            return _declared(target, name), name
    chips = sorted(c for t in shelf.values() for c in t.chips)
    name = given.partition(":")[0]
    settled = name in chips
    close = difflib.get_close_matches(given, chips, 2)
    _demand_loaded(name, close)
    near = " or ".join([name] if settled else close)
    raise UsageError(
        error(
            "TARGET-UNKNOWN",
            f"there is no target {given!r}",
            why=f"the numbers of {name} are its own: it takes no settings" if settled else "",
            fix=f"{f'did you mean {near}? ' * bool(near)}choose one of: "
            f"{', '.join(chips)} (nrf-deploy targets shows them)",
        )
    )


def _demand_loaded(name: str, close: Sequence[str]) -> None:
    """Refuse a chip that a broken plug-in may have: by its name, or if no other is alike."""
    broken = plugins.broken(GROUP)
    for plugin in broken:
        if name == plugin or not close:
            plugins.demand_sound(GROUP, plugin)


def _declared(target: Target, chip: str) -> Target:
    """Refuse a target that does not declare which nodes its chips run."""
    why = "without it a kind of neuron that the target does not know would run as another one"
    try:
        if isinstance(domain := target.accepts(chip), Domain):
            return target
        what = f"accepts({chip!r}) returns a {type(domain).__name__}; expected a Domain"
    except AttributeError:
        what = "it has no method accepts(chip)"
    except NrfError:
        raise
    except (TypeError, ValueError) as problem:
        what = f"accepts({chip!r}) fails: {problem}"
    raise TargetError(
        error(
            "TARGET-ACCEPTS",
            f"the target {target.name!r} ({type(target).__module__}) is not complete: {what}",
            why=why,
            fix="declare the neurons and the other nodes that the chip runs (docs/add-a-target.md)",
        )
    )
