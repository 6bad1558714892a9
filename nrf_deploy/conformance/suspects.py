"""What a back end probably gets wrong.

First by trial: one number of the program at a time is changed (each parameter by one or to zero,
kernels turned, weights transposed, a delay longer or shorter) and the plain rules of the
arithmetic run the changed program. If that is what the back end gave, the cause is named for
sure. The same the other way round where the plain rules themselves miss what is expected: then
the number is named whose change would mend them.

Else by what the cases have in common: a rule that this case needs, and no case that was met.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ..emulator import events_golden, golden
from ..emulator.events_golden import EventRule
from ..findings import NrfError
from ..program import Conv, Dense, Population, Program, Sparse, Synapses
from ..recording import Trace
from ..target import Target
from .case import Case

if TYPE_CHECKING:
    from .run import Result

TRIALS = 80
"""Changed programs that are run for a case."""
NEURONS_STEPS = 200_000
"""A case with more than this many neurons times steps is judged without trials."""


@dataclass(frozen=True, eq=False)
class Change:
    """`said` is the number in words, `how` what was done to it."""

    said: str
    how: str
    program: Program


def likely(target: Target, result: Result, results: Iterable[Result]) -> str:
    """In a few words; empty where nothing can be said."""
    if result.status != "differs" or result.comparison is None:
        return ""
    return _shifted(result) or _by_trial(target, result) or _by_rules(result, results)


def _shifted(result: Result) -> str:
    """One latency that is off explains every layer."""
    assert result.comparison is not None
    shifts = {layer.shift for layer in result.comparison.layers if layer.first is not None}
    late = shifts.pop() if len(shifts) == 1 else None
    if late is None:
        return ""
    return f"the output comes {abs(late)} step(s) {'late' if late > 0 else 'early'}"


# --- by what cases have in common ---------------------------------------------------


def _by_rules(result: Result, results: Iterable[Result]) -> str:
    met = {
        rule
        for other in results
        if other.status == "ok"
        and (other.case.arithmetic is None) == (result.case.arithmetic is None)
        for rule in other.case.covers
    }
    alone = [rule for rule in result.case.covers if rule not in met]
    return ", ".join(alone or result.case.covers)


# --- by trial -----------------------------------------------------------------------


def _by_trial(target: Target, result: Result) -> str:
    case, left = result.case, result.left
    if case.arithmetic is None or result.bundle is None or left is None:
        return ""
    program = result.bundle.program
    steps = max(r.steps for r in left.outputs.values())
    if steps * sum(p.size for p in program.populations) > NEURONS_STEPS:
        return ""
    rules = target.arithmetics[program.arithmetic]
    plain = _run(program, rules, case, steps)
    if plain is None:
        return ""
    sound = _same(case, plain, case.expected, case.behind)
    wanted, behind = (left, 0) if sound else (case.expected, case.behind)
    for change in islice(changes(program), TRIALS):
        trace = _run(change.program, rules, case, steps)
        if trace is not None and _same(case, trace, wanted, behind):
            if sound:
                return f"as if {change.said} were {change.how}"
            return f"right again with {change.said} {change.how}"
    return ""


def _run(program: Program, rules: Any, case: Case, steps: int) -> Trace | None:
    """None where the arithmetic refuses the changed number."""
    runner = events_golden.run if isinstance(rules, EventRule) else golden.run
    states = [n for n, held in case.expected.states.items() if held]
    try:
        return runner(program, rules, case.recording, case.layers, states, steps)
    except (NrfError, ValueError, ArithmeticError, LookupError):
        return None


def _same(case: Case, trace: Trace, wanted: Trace, behind: int) -> bool:
    """Over the steps that both have, wherever the expected values are shown."""
    known = case.shown(trace) if wanted is case.expected else wanted
    for name, output in known.outputs.items():
        steps = min(output.steps - behind, trace.outputs[name].steps)
        if not output.shifted(behind).until(steps).same(trace.outputs[name].until(steps)):
            return False
        for v, x in known.states.get(name, {}).items():
            own = trace.states.get(name, {}).get(v)
            if own is not None and not np.array_equal(own[:steps], x[behind:][:steps]):
                return False
    return True


# --- the changes --------------------------------------------------------------------


def changes(program: Program) -> Iterator[Change]:
    """Those of the neurons first: they are few, and most often it."""
    for p in program.populations:
        for said, how, params in _numbers(p.params):
            populations = _with(program.populations, replace(p, params=params))
            yield Change(f"{said} of {p.name!r}", how, replace(program, populations=populations))
    for s in program.synapses:
        for said, how, other in _synapses(s):
            synapses = _with(program.synapses, other)
            yield Change(f"{said} of {s.name!r}", how, replace(program, synapses=synapses))


def _with(nouns: tuple[Any, ...], changed: Population | Synapses) -> tuple[Any, ...]:
    return tuple(changed if noun.name == changed.name else noun for noun in nouns)


def _numbers(params: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, value in params.items():
        others = [("one more", value + 1), ("one less", value - 1)]
        if np.any(value):
            others.append(("zero", value * 0))
        for how, other in others:
            yield name, how, {**params, name: other}


def _synapses(s: Synapses) -> Iterator[tuple[str, str, Synapses]]:
    if isinstance(s, Conv):
        yield "the kernels", "turned by 180 degrees", replace(s, weight=s.weight[..., ::-1, ::-1])
        if s.weight.shape[2] == s.weight.shape[3]:
            swapped = replace(s, weight=np.swapaxes(s.weight, 2, 3))
            yield "the kernels", "transposed (y for x)", swapped
        if s.weight.shape[0] == s.weight.shape[1] > 1:
            crossed = replace(s, weight=np.swapaxes(s.weight, 0, 1))
            yield "the kernels", "transposed (out for in)", crossed
    if isinstance(s, Dense) and s.weight.shape[0] == s.weight.shape[1] > 1:
        yield "the weights", "transposed", replace(s, weight=s.weight.T)
    if isinstance(s, Sparse) and s.source_shape == s.target_shape:
        yield "the weights", "transposed", replace(s, row=s.column, column=s.row)
    if np.any(s.weight < 0):
        yield "the weights", "without their signs", replace(s, weight=np.abs(s.weight))
    yield "the delay", "one step more", replace(s, delay=s.delay + 1)
    if s.delay:
        yield "the delay", "one step less", replace(s, delay=s.delay - 1)
    if isinstance(s, Dense) and s.delays is not None:
        yield "the delays of single weights", "zero", replace(s, delays=None)
    for name, how, params in _numbers(s.params):
        yield name, how, replace(s, params=params)
