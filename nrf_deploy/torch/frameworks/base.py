"""The interface of a framework: how its modules are recognised, run, and read as nodes.

A framework is one file with a constant FRAMEWORK. No framework but torch is imported here or at
the top of that file: a module is recognised by `type(m).__module__` and read by its attributes.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, TargetError, error
from nrf_deploy.ir.network import Edge, LoopStart, Node, Shape

from ..arrays import Arrays

Sources = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """A call of one layer: `module` on the sum of `sources`.

    Attributes:
        name: The layer's name in the model; the names of its nodes begin with it.
        module: The layer.
        sources: The names of the calls whose outputs add up to its input.
        input_shape: The shape of its input in one step, without batch and time.
        shape: The shape of its output in one step.
        faults: Reasons why it cannot be exported, as far as they are known here.
        rectified: A ReLU followed it and was merged.
        in_model: The module belongs to the model and is not a function of torch.
        arrays: Copies of tensors as arrays; shared weights stay shared.
    """

    name: str
    module: Any
    sources: Sources
    input_shape: Shape
    shape: Shape
    faults: tuple[Finding, ...] = ()
    rectified: bool = False
    in_model: bool = False
    arrays: Arrays = field(default_factory=Arrays)


@dataclass(frozen=True, eq=False)
class Piece:
    """The subgraph that stands for one layer.

    Attributes:
        nodes: Its nodes; the first is called as the layer, others `layer.something`. None: the
            layer passes its input on unchanged.
        edges: (source, target) inside the piece, those that lead back included.
        entry: The node that takes the layer's input. Default: the first.
        exit: The node that gives the layer's output. Default: the last.
        loop_start: The value of a loop inside the piece before the first step, where a bias
            stands in it; None where it does not matter (see Network.loop_start).
        findings: Notes about the reading.
    """

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    entry: str = ""
    exit: str = ""
    loop_start: LoopStart | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def first(self) -> str:
        return self.entry or self.nodes[0].name

    @property
    def last(self) -> str:
        return self.exit or self.nodes[-1].name


def _no_time(module: Any) -> None:
    return None


def _not_shown(module: Any, output: Any) -> None:
    return None


def _itself(module: Any) -> Any:
    return module


def _none(module: Any) -> tuple[Any, ...]:
    return ()


def _nothing(root: Any) -> AbstractContextManager[None]:
    return nullcontext()


def _no_doubts(call: Call, dt: float) -> Iterator[Finding]:
    return iter(())


@dataclass(frozen=True, eq=False)
class Framework:
    """A framework of spiking modules in torch.

    Attributes:
        name: Its name as its users write it, for messages.
        package: The first part of `type(module).__module__`.
        leaf: Return True for a module (of this package or a subclass) that is read as a whole:
            neurons, layers, and everything unknown, which `read` refuses by name. False for a
            container: its children are followed inside.
        read: Return the nodes of a call of a leaf; raises a TargetError for what has no exact
            counterpart (see `refused`).
        dt: Return the time step of a module that has one.
        prepare: Enter a context in which the module runs: on entry set what a run needs and
            reset the states, on exit restore both. It is entered anew for every run.
        time: Return the leading axes of a leaf's input if it takes all steps in one call, as
            labels: ("T", "B") time first, ("B", "T") batch first, ("T",) time and batch in one
            axis. None: one step in a call.
        plain: Return torch's own layer that computes in each step what a leaf computes, with the
            same parameters; other modules as they are.
        idle: Return the modules inside a container that never run.
        counts: The framework counts in steps: without --dt, dt = 1.
        potential: Return the potential v after the step that a leaf shows (of its output, which
            may be a tuple, or of its attributes), as a tensor shaped like its signal; or None.
        doubts: Yield findings about numbers that the framework rounds differently.
        release: The version whose classes are read, for messages.
    """

    name: str
    package: str
    leaf: Callable[[Any], bool]
    read: Callable[[Call, float], Piece]
    dt: Callable[[Any], float | None] = _no_time
    prepare: Callable[[Any], AbstractContextManager[None]] = _nothing
    time: Callable[[Any], tuple[str, ...] | None] = _no_time
    plain: Callable[[Any], Any] = _itself
    idle: Callable[[Any], tuple[Any, ...]] = _none
    counts: bool = False
    potential: Callable[[Any, Any], Any] = _not_shown
    doubts: Callable[[Call, float], Iterator[Finding]] = _no_doubts
    release: str = ""

    def version(self) -> str:
        """Return the version that the framework itself gives, or that of its installation."""
        stated = getattr(importlib.import_module(self.package), "__version__", None)
        return str(stated) if stated else importlib.metadata.version(self.package)

    def refused(self, call: Call, what: str, fix: str, why: str = "") -> TargetError:
        """Return the error for a leaf without an exact counterpart."""
        kind = f"{type(call.module).__name__} of {self.name}"
        return TargetError(
            error("EXPORT-LAYER", f"{kind}: {what}", layer=call.name, why=why, fix=fix)
        )
