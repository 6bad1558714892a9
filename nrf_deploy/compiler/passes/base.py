"""Rewrites: their base classes, the application of a list, and the parser of their text."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from nrf_deploy.diagnostics.findings import Finding, InputError, error, info, warning
from nrf_deploy.ir.network import Network, Node

from .graph_edits import LoopMovedError


@dataclass(frozen=True)
class Pass:
    """A rewrite. A subclass is a frozen dataclass; its fields are its options.

    `apply` rewrites every node to which the rewrite applies and returns the new network with
    a Finding for each rewrite (info) and for each node that looked like a candidate but was
    left unchanged (warning, with the reason). A network without a candidate is returned as
    the same object. A bundle records `str(p)`; `parse` reads it back.
    """

    name: ClassVar[str]

    def apply(self, network: Network) -> tuple[Network, list[Finding]]:
        raise NotImplementedError

    def __str__(self) -> str:
        options = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))
        return f"{self.name}({', '.join(options)})" if dataclasses.fields(self) else self.name


@dataclass(frozen=True)
class Left:
    """The reason why a candidate was left unchanged."""

    why: str


@dataclass(frozen=True)
class Done:
    """The network after one rewrite, and a description of the rewrite."""

    network: Network
    what: str


Outcome = Done | Left | None


@dataclass(frozen=True)
class LocalPass(Pass):
    """A pass that looks at one node at a time, until no node changes any more.

    Every rewrite must bring the network nearer to the final form of the pass (fewer nodes,
    or a node further down its path), so that the pass ends.
    """

    def at(self, network: Network, node: Node) -> Outcome:
        """Return the outcome at this node; None if the pass does not apply to it."""
        raise NotImplementedError

    def apply(self, network: Network) -> tuple[Network, list[Finding]]:
        done: list[Finding] = []
        while True:
            left: list[Finding] = []
            for node in network.nodes:
                outcome = self._outcome(network, node)
                if isinstance(outcome, Done):
                    network = outcome.network
                    done.append(info(self.code, outcome.what, layer=node.name))
                    break
                if isinstance(outcome, Left):
                    what = "left as it is"
                    left.append(
                        warning(f"{self.code}-LEFT", what, why=outcome.why, layer=node.name)
                    )
            else:
                return network, done + left

    def _outcome(self, network: Network, node: Node) -> Outcome:
        try:
            return self.at(network, node)
        except LoopMovedError as moved:
            return Left(str(moved))

    @property
    def code(self) -> str:
        return self.name.upper().replace("_", "-")


@dataclass(frozen=True)
class Step:
    """A pass that changed the network or left a candidate unchanged, as a bundle records it."""

    rewrite: str
    findings: tuple[Finding, ...]


def apply_all(
    network: Network, passes: Sequence[Pass], rounds: int = 32
) -> tuple[Network, tuple[Step, ...]]:
    """Apply the passes in order, repeatedly, until none changes the network.

    The steps are those that changed the network, in order; after them come the candidates that
    the last round, which changes nothing, left unchanged.
    """
    steps: list[Step] = []
    for _ in range(rounds):
        left: list[Step] = []
        before = network
        for rewrite in passes:
            after, findings = rewrite.apply(network)
            notes = tuple(f for f in findings if f.severity == "info")
            others = tuple(f for f in findings if f.severity != "info")
            if after is not network:
                steps.append(Step(str(rewrite), notes))
            if others:
                left.append(Step(str(rewrite), others))
            network = after
        if network is before:
            return network, (*steps, *left)
    raise RuntimeError(f"the passes still rewrite after {rounds} rounds: they undo each other")


PASSES: dict[str, type[Pass]] = {}
"""Every pass that can be named in a bundle; targets add theirs with `register`."""

P = TypeVar("P", bound=type[Pass])


def register(cls: P) -> P:
    """Register a pass by its name, so that `parse` can read it (a class decorator)."""
    if PASSES.get(cls.name, cls) is not cls:
        raise ValueError(f"two passes are named {cls.name!r}")
    PASSES[cls.name] = cls
    return cls


def _checked(rewrite: Pass) -> Pass:
    """Return the rewrite; raise TypeError if an option does not have the type of its default."""
    for f in dataclasses.fields(rewrite):
        value = getattr(rewrite, f.name)
        if f.default is not dataclasses.MISSING and type(value) is not type(f.default):
            raise TypeError(f"{f.name}={value!r} is not of the type of {f.default!r}")
    return rewrite


def parse(text: str) -> Pass:
    """Return the pass that prints as `text`: a name, or a name with literal options."""
    try:
        if len(text) > 1000:
            raise ValueError("it is longer than any rewrite prints")
        call = ast.parse(text.strip(), mode="eval").body
        name, keywords = (call.func, call.keywords) if isinstance(call, ast.Call) else (call, [])
        if not isinstance(name, ast.Name) or (isinstance(call, ast.Call) and call.args):
            raise ValueError("expected name(option=value, ...)")
        options = {str(k.arg): ast.literal_eval(k.value) for k in keywords}
        cls = PASSES.get(name.id)
        if cls is not None:
            return _checked(cls(**options))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as reason:
        raise InputError(
            error("PASS-MALFORMED", f"{text[:200]!r} is not a rewrite", why=str(reason))
        ) from None
    raise InputError(
        error(
            "PASS-UNKNOWN",
            f"there is no rewrite {name.id!r}",
            why=f"known are: {', '.join(sorted(PASSES))}",
            fix="install the target that the bundle was made for",
        )
    )
