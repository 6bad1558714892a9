"""Targets: their contract, and the search for those that are installed.

A target is an object that a plug-in registers under the entry-point group
`nrf_deploy.targets`. The toolchain asks it for the rules of its chips and passes
networks and programs to it; it never imports one by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from nrf_deploy.diagnostics.argument_types import demand
from nrf_deploy.diagnostics.findings import Finding, NrfError, TargetError, UsageError, error
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.engines.emulator.events_golden import EventRule
from nrf_deploy.engines.emulator.golden import Arithmetic
from nrf_deploy.engines.emulator.kernels import EventKernels, Kernels
from nrf_deploy.engines.emulator.parameters import Codes, Declared, model_faults
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.ir.capabilities import Accepts as Accepts
from nrf_deploy.ir.capabilities import Domain as Domain
from nrf_deploy.ir.network import Array, Network
from nrf_deploy.ir.program import Program, Synapses
from nrf_deploy.ir.recording import Recording, Trace

from . import plugins
from .abilities import ABILITIES, HasCustomChips
from .contract import ContractError, demand_members, takes
from .passes import EXACT, Pass
from .passes.approximate import Approximate, allowed
from .place.placement import Placement
from .quantize.rules import Rules
from .quantize.scheme import Scheme

GROUP = "nrf_deploy.targets"


Exporter = Callable[[Program, Path], None]


class Engine(Protocol):
    """An engine of the vendor: it runs a program somewhere and returns the trace."""

    def __call__(
        self,
        program: Program,
        recording: Recording,
        *,
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        steps: int | None = None,
        progress: Progress = ...,
    ) -> Trace:
        """Run a program.

        Args:
            program: The program that `lower` returned; it has no faults.
            recording: Integer input for its ports.
            record: The populations whose output is recorded. Default: the outputs.
            states: The populations whose states are recorded. Default: none.
            steps: The number of steps to run. Default: those of the recording.
            progress: Called as progress(done, of) with steps.

        Returns:
            The Trace, in the steps of the program.
        """
        ...


class Target(Protocol):
    """The contract of a target: the members that the compiler and the engines use.

    Optional abilities are in abilities.py. Any other public attribute is refused when the
    target is loaded: it would be a misspelt one. Members of the target's own begin with _.
    """

    name: str
    """The name, as bundles keep it: letters, digits and hyphens."""
    about: str
    """What the target is, in one line."""
    chips: Mapping[str, Mapping[str, Any]]
    """The table of each chip in chips.toml, by the name of the chip."""
    shown: Sequence[str]
    """The chips that the demo takes."""
    arithmetics: Mapping[str, Arithmetic | EventRule]
    """The rules of one step, by the name that programs give."""
    kernels: Mapping[str, Kernels | EventKernels]
    """The same rules for the fast engine, by arithmetic, as far as the target has them."""
    sdks: Sequence[Sdk]
    """The environments of the vendor's tools."""
    engines: Mapping[str, Engine]
    """Engines of the vendor by name; each runs in the environment of the SDK of that name."""
    exporters: Mapping[str, Exporter]
    """Functions that write a program to a folder in a form of the vendor, by form."""
    choices: Sequence[Approximate]
    """Rewrites that change spikes, which a user may allow by their `choice`."""

    def accepts(self, chip: str) -> Domain:
        """Return the neurons, with their features, and the other nodes that a chip runs.

        It concerns the network after the rewrites. The compiler refuses everything else before
        `check` is called (KIND-UNSUPPORTED, RULE-UNSUPPORTED). To name a feature is to say that
        `check` and `lower` read it. A target without this method is refused when one of its
        chips is named.

        Args:
            chip: The full name of a chip.

        Returns:
            The rows of neurons, the exact types of other nodes, and those that `check` refuses
            itself with a better fix.
        """
        ...

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        """Return the rewrites that bring a network into a form that a chip can run.

        Args:
            chip: The full name of a chip.
            allow: Names of rewrites that change spikes and that the user allowed. Default:
                none.

        Returns:
            The rewrites in their order: exact ones, and those that were allowed.
        """
        ...

    def check(self, network: Network, chip: str) -> list[Finding]:
        """Return the problems of a network on a chip, all at once.

        Args:
            network: The network after the rewrites; it holds only what `accepts` names.
            chip: The full name of a chip.

        Returns:
            An error for everything that the chip cannot run, a warning for what it changes.
        """
        ...

    def quantise(
        self,
        network: Network,
        chip: str,
        calibration: Recording | None,
        rules: Rules,
        progress: Progress,
    ) -> tuple[Scheme, list[Finding]]:
        """Return the integers of a network.

        Args:
            network: The network that `check` accepted.
            chip: The full name of a chip.
            calibration: Typical input, to which the integers are fitted; None without.
            rules: The rules of the user; a rule that the chip does not follow is an error.
            progress: Called as progress(done, of) with layers.

        Returns:
            The Scheme: weights by connection, parameters and units by population; and the
            findings, such as an error for a weight that rounds to 0.
        """
        ...

    def lower(self, network: Network, scheme: Scheme, chip: str) -> tuple[Program, list[Finding]]:
        """Return the program of a network.

        Args:
            network: The network that was quantised.
            scheme: The scheme that `quantise` returned.
            chip: The full name of a chip.

        Returns:
            The Program, and findings. Its origins relate the populations to the nodes of the
            network; for each layer that gives values they hold the unit of its output, which
            is the integer for 1 of the model (program.Origin).
        """
        ...

    def place(self, program: Program, chip: str) -> Placement:
        """Return the placement of a program on cores.

        Args:
            program: The program that `lower` returned.
            chip: The full name of a chip.

        Returns:
            The Placement, with every budget that is used and its limit.

        Raises:
            TargetError: The program does not fit on the chip.
        """
        ...


class BaseArithmetic:
    """A base class of an arithmetic: weights, outputs and sums unchanged, no neurons."""

    name: str
    parameters: Mapping[str, Declared] = MappingProxyType({})
    """Name of a neuron model -> its parameters; a model that is not listed is refused."""
    synapse_parameters: Declared = MappingProxyType({})

    def faults(self, program: Program) -> Iterable[Finding]:
        codes = Codes.of(self.name.upper())
        return model_faults(program, self.parameters, self.synapse_parameters, codes)

    def held(self, synapses: Synapses) -> Array:
        return synapses.weight

    def message(self, synapses: Synapses, output: Array) -> Array:
        return output

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        return total


class BaseTarget:
    """A base class of a target, with empty defaults for what a small target does not have."""

    shown: Sequence[str] = ()
    kernels: Mapping[str, Kernels | EventKernels] = MappingProxyType({})
    sdks: Sequence[Sdk] = ()
    engines: Mapping[str, Engine] = MappingProxyType({})
    exporters: Mapping[str, Exporter] = MappingProxyType({})
    choices: Sequence[Approximate] = ()

    def passes(self, chip: str, allow: Collection[str] = ()) -> Sequence[Pass]:
        return (*EXACT, *allowed(self.choices, allow))


def targets() -> dict[str, Target]:
    """Return every installed target by name, without those that cannot be loaded.

    A target that does not keep the contract is one of these (contract.py).
    """
    return plugins.loaded(GROUP, demand_contract)


def target_of_chip(name: str) -> Target:
    return chip_named(name)[0]


def chip_named(chip: str) -> tuple[Target, str]:
    """Return the target of a chip and the full name of the chip; refuse an unknown name."""
    demand(chip, str, "the name of a chip", "pass a name such as 'loihi2' (nrf-deploy targets)")
    shelf = targets()
    for target in shelf.values():
        if chip in target.chips:
            return _declared(target, chip), chip
    for target in shelf.values():
        if isinstance(target, HasCustomChips) and (name := target.chip_from(chip)) is not None:
            return _declared(target, name), name
    chips = sorted(c for t in shelf.values() for c in t.chips)
    name = chip.partition(":")[0]
    settled = name in chips
    close = difflib.get_close_matches(chip, chips, 2)
    _demand_loaded(name, close)
    near = " or ".join([name] if settled else close)
    raise UsageError(
        error(
            "TARGET-UNKNOWN",
            f"there is no target {chip!r}",
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
    """Return the target; refuse one that does not declare the nodes that its chips run."""
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


def demand_contract(target: object) -> None:
    """Refuse a target that does not keep the contract, with all its faults."""
    demand_members(target, Target, ABILITIES, late=("accepts",))
    for name, engine in cast(Target, target).engines.items():
        if not (callable(engine) and takes(engine, Engine.__call__)):
            raise ContractError(f"its engine {name!r} cannot be called as an Engine")
