"""Conformance cases: a program (or a model), an input, and the expected trace.

A program's expected values hold bit for bit: they come from a vendor's simulator, a chip or the
plain rules of its arithmetic. A model's are floats; an integer machine must meet them up to
`units` of its last bit. The weights, decays and thresholds of such cases are exact in a few bits,
so that a difference is one of meaning and not of rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compiler.place.placement import Placement
from nrf_deploy.compiler.quantize.scheme import Scheme
from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.network import Array, Input, Network
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace


@dataclass(frozen=True, eq=False)
class Unknown:
    """The places at which a recording does not show a variable.

    They are the values in `codes`, and those where `mask` (steps, *shape) is true. With neither
    the recording does not show the variable at all.
    """

    why: str
    codes: tuple[int, ...] = ()
    mask: Array | None = None

    def where(self, values: Array) -> Array:
        if not self.codes and self.mask is None:
            return np.ones(values.shape, bool)
        masked = np.isin(values, self.codes)
        return masked if self.mask is None else masked | (self.mask != 0)


Hidden = Mapping[str, Mapping[str, Unknown]]
"""By layer and variable; "output" is the output of the layer."""


@dataclass(frozen=True)
class Image:
    """The SHA-256 of the bytes that a board would receive for a program, and their origin."""

    sha256: str
    made_by: str


Judge = Callable[[Target, str], Sequence[Finding]]
"""(target, chip) -> errors"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A conformance case.

    `covers` names the rules that it needs, in words. `subject` is a Bundle with a program built
    by hand, or a model. `expected` is the trace of a run, `behind` steps later than that of the
    program. `made_by` names the source of the expected values and its version. `judge`
    returns the errors of a target; such a case has no expected trace.
    """

    name: str
    about: str
    covers: tuple[str, ...]
    made_by: str
    subject: Bundle | Network
    recording: Recording
    expected: Trace
    behind: int = 0
    units: int = 0
    hidden: Hidden = field(default_factory=dict)
    image: Image | None = None
    judge: Judge | None = None

    @property
    def arithmetic(self) -> str | None:
        """The arithmetic of the program; None for a model, which each target compiles."""
        return self.subject.program.arithmetic if isinstance(self.subject, Bundle) else None

    @property
    def title(self) -> str:
        """The name among the cases of all kits."""
        return f"{self.arithmetic or 'model'}/{self.name}"

    @property
    def folder(self) -> str:
        return self.title.replace("/", ".")

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.expected.outputs)

    def shown(self, left: Trace) -> Trace:
        """Return the expected trace with the values of `left` where it shows none."""
        outputs = {n: self._output(n, r, left) for n, r in self.expected.outputs.items()}
        states = {
            name: {
                v: self._known(name, v, x, left.states[name][v])
                for v, x in of_layer.items()
                if v in left.states.get(name, {})
            }
            for name, of_layer in self.expected.states.items()
        }
        return replace(self.expected, outputs=outputs, states=states)

    def _output(self, name: str, expected: Recording, left: Trace) -> Recording:
        if "output" not in self.hidden.get(name, {}):
            return expected
        known = self._known(name, "output", expected.dense(), left.outputs[name].dense())
        return Recording.from_dense(known, expected.dt)

    def _known(self, name: str, variable: str, expected: Array, left: Array) -> Array:
        unknown = self.hidden.get(name, {}).get(variable)
        if unknown is None:
            return expected
        steps = min(len(expected) - self.behind, len(left))
        late = slice(self.behind, self.behind + steps)
        known = expected.copy()
        hidden = unknown.where(expected)[late]
        known[late] = np.where(hidden, left[:steps], expected[late])
        return known


@dataclass(frozen=True, eq=False, kw_only=True)
class Kit:
    """Cases of a target.

    `engines`: the arithmetic of each engine that follows another one than its target's programs
    state; such an engine runs the cases of that arithmetic only.
    """

    about: str
    cases: tuple[Case, ...]
    engines: Mapping[str, str] = field(default_factory=dict)

    def faults(self) -> Iterator[str]:
        names = [case.title for case in self.cases]
        if len(set(names)) != len(names):
            yield "two cases have the same name"
        for case in self.cases:
            yield from (f"{case.name}: {fault}" for fault in _faults(case))


def _faults(case: Case) -> Iterator[str]:
    if not case.layers:
        yield "it has no expected output"
    elif (longest := max(r.steps for r in case.expected.outputs.values())) <= case.behind:
        yield f"it is {case.behind:,} steps behind, and has {longest:,} expected steps"
    if isinstance(case.subject, Bundle):
        shapes = {p.name: p.shape for p in case.subject.program.populations}
    else:
        shapes = {n.name: n.shape for n in case.subject.nodes}
    for name, output in case.expected.outputs.items():
        if shapes.get(name) != output.shape:
            yield f"the layer {name!r} has the shape {shapes.get(name)}, not {output.shape}"
        for v, x in case.expected.states.get(name, {}).items():
            if x.shape != (output.steps, *output.shape):
                yield f"{v!r} of {name!r} has the shape {x.shape}"
        for v, unknown in case.hidden.get(name, {}).items():
            if unknown.mask is not None and unknown.mask.shape != (output.steps, *output.shape):
                yield f"the mask of {v!r} of {name!r} has the shape {unknown.mask.shape}"
    for name in case.hidden:
        if name not in case.layers:
            yield f"it hides states of the layer {name!r}, which has no expected output"


def by_hand(program: Program, target: str, chip: str, version: str) -> Bundle:
    """Return a bundle around a program that has no model."""
    ports: Sequence[Input] = [Input(name=p.name, port_shape=p.shape) for p in program.ports]
    return Bundle(
        network=Network(tuple(ports), (), dt=1.0),
        source_sha256=None,
        chip=chip,
        target=target,
        steps=(),
        scheme=Scheme(),
        program=program,
        placement=Placement(chip, 1, {}),
        findings=(),
        tool_version=version,
    )
