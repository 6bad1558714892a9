"""Likely causes of a back end's wrong results, found by trial.

One number of the program at a time is changed (each parameter by one or to zero, kernels turned,
weights transposed, a delay longer or shorter), or a state is limited to some bits, and the plain
rules of the arithmetic run the changed program. A cause is named only if the back end gave exactly
this trace. If the plain rules miss the expected values too, the number is named whose change
corrects them.

If no trial gives the trace, no cause is named. Then a hint reports an observation: a state that
differs at its neuron's own spike or that stays at one end, or a rule that this case needs and that
no passing case does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from typing import Any

import numpy as np

from nrf_deploy.bundle.pipeline import latency
from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.findings import Finding, NrfError
from nrf_deploy.diagnostics.text import several
from nrf_deploy.engines.emulator import events_golden, golden
from nrf_deploy.engines.emulator.events_golden import EventRule
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import OUTPUT, Conv, Dense, Population, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Trace

from .case import Case
from .model_units import in_its_units
from .result import Result

TRIALS = 120
"""Changed programs that are run for a case."""
NEURONS_STEPS = 200_000
"""A case with more than this many neurons times steps is judged without trials."""


@dataclass(frozen=True, eq=False)
class Change:
    """A changed program; `said` names the number in words, `how` its change."""

    said: str
    how: str
    program: Program


def likely(target: Target, result: Result) -> str:
    """Return the cause whose trial gave the back end's answer exactly; empty if none did."""
    if result.status != "differs" or result.comparison is None:
        return ""
    return _shifted(result) or _by_trial(target, result)


def hint(result: Result, results: Iterable[Result]) -> str:
    """Return an observation on a difference without a cause, as a sentence; it may be empty."""
    if result.status != "differs" or result.comparison is None:
        return ""
    return _seen(result) or _by_rules(result, results)


def _shifted(result: Result) -> str:
    """Return the shift of the output if one wrong latency explains all layers, else nothing."""
    assert result.comparison is not None
    shifts = {layer.shift for layer in result.comparison.layers if layer.first is not None}
    late = shifts.pop() if len(shifts) == 1 else None
    if late is None:
        return ""
    return f"the output comes {several(abs(late), 'step')} {'late' if late > 0 else 'early'}"


# --- by the values -----------------------------------------------------------------


def _seen(result: Result) -> str:
    """Report a state that differs first at its neuron's spike, or one that stays at an end."""
    assert result.comparison is not None
    d = result.comparison.first_divergence
    if d is None or d.variable == OUTPUT or result.raw is None or result.bundle is None:
        return ""
    spikes = [v.left for v in d.values if v.variable == OUTPUT and v.left == v.right]
    if spikes and spikes[0]:
        return f"{d.variable} differs first where the neuron spikes"
    end = _end(result)
    return "" if end is None else f"{d.variable} is at an end of its bits there: {end:,}"


def _end(result: Result) -> int | None:
    """Return the end of some bits at which the first state to differ stays."""
    assert result.comparison is not None
    d = result.comparison.first_divergence
    if d is None or d.variable == OUTPUT or result.raw is None or result.bundle is None:
        return None
    late = (
        latency(result.bundle, "emulator").get(d.layer, 0) if result.case.arithmetic is None else 0
    )
    states = result.raw.states[d.layer][d.variable]
    value = int(states[(d.left_step + late, *d.neuron)])
    size = abs(value) + (value > 0)
    ends = size > 8 and size & (size - 1) == 0 and value in (states.max(), states.min())
    beyond = abs(d.value.right) > abs(d.value.left)
    if ends and (beyond or _stuck(result.case, d.layer, d.variable, states[late:], value)):
        return value
    return None


def _stuck(case: Case, layer: str, variable: str, states: Array, value: int) -> bool:
    """Return True if a neuron stays at this value while the expected one changes.

    Such a neuron cannot reach its threshold; the expected value may then be smaller, because it
    is a potential after a spike.
    """
    expected = case.expected.states[layer][variable][case.behind :]
    steps = min(len(expected), len(states))
    there = states[:steps] == value
    moves = there[1:] & there[:-1] & (expected[1:steps] != expected[: steps - 1])
    return bool(moves.any())


# --- by what cases have in common ---------------------------------------------------


def _by_rules(result: Result, results: Iterable[Result]) -> str:
    met = {
        rule
        for other in results
        if other.status == "ok"
        and (other.case.arithmetic is None) == (result.case.arithmetic is None)
        for rule in other.case.covers
    }
    rest = [rule for rule in result.case.covers if rule not in met]
    return f"no passing case needs: {', '.join(rest)}" if rest else ""


# --- by trial -----------------------------------------------------------------------


def _by_trial(target: Target, result: Result) -> str:
    case, raw, bundle = result.case, result.raw, result.bundle
    if bundle is None or raw is None:
        return ""
    program = bundle.program
    steps = max(r.steps for r in raw.outputs.values())
    if steps * sum(p.size for p in program.populations) > NEURONS_STEPS:
        return ""
    rules = target.arithmetics[program.arithmetic]

    def meets(changed: Program, wanted: Trace | None) -> bool:
        trace = _run(changed, rules, case, steps)
        if trace is None:
            return False
        if wanted is not None:
            return _same(case, trace, wanted, 0)
        return _same(case, in_its_units(bundle, case, trace), case.expected, case.behind)

    sound = meets(program, None)
    for change in islice(changes(program), TRIALS):
        if meets(change.program, raw if sound else None):
            if sound:
                return f"as if {change.said} were {change.how}"
            return f"right if {change.said} were {change.how}"
    end = _end(result)
    if not sound or end is None or isinstance(rules, EventRule):
        return ""
    assert result.comparison is not None
    assert result.comparison.first_divergence is not None
    variable = result.comparison.first_divergence.variable
    size = end + 1 if end > 0 else -end
    for low in (-size, 1 - size):
        trace = _run(program, _Bounded(rules, variable, low, size - 1), case, steps)
        if trace is not None and _same(case, trace, raw, 0):
            return f"{variable} saturates at {end:,}"
    return ""


class _Bounded:
    """An arithmetic that limits one state to bounds at the end of every step."""

    def __init__(self, rules: Any, variable: str, low: int, high: int):
        self.rules, self.variable, self.bounds = rules, variable, (low, high)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rules, name)

    def step(
        self, population: Population, state: dict[str, Array], arriving: Array, t: int
    ) -> tuple[Array, dict[str, Array]]:
        output, after = self.rules.step(population, state, arriving, t)
        if self.variable in after:
            after = {**after, self.variable: np.clip(after[self.variable], *self.bounds)}
        return output, after


class _Unbounded:
    """The same rules without their ranges, because a changed number may be outside them."""

    def __init__(self, rules: Any) -> None:
        self._rules = rules

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rules, name)

    def faults(self, program: Program) -> tuple[Finding, ...]:
        return ()


def _run(program: Program, rules: Any, case: Case, steps: int) -> Trace | None:
    """Run a changed program; return None if the arithmetic refuses the changed number."""
    runner = events_golden.run if isinstance(rules, EventRule) else golden.run
    states = [n for n, expected in case.expected.states.items() if expected]
    try:
        unbounded = _Unbounded(rules)
        return runner(program, unbounded, case.recording, case.layers, states, steps)
    except (NrfError, ValueError, ArithmeticError, LookupError):
        return None


def _same(case: Case, trace: Trace, wanted: Trace, behind: int) -> bool:
    """Compare two traces over their common steps, at the places that are shown."""
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
    """Yield the changes: first of all layers at once, as of a wrong rule, then of one layer."""
    every = [p.name for p in program.populations]
    yield from _of_neurons(program, every, "")
    yield from _of_synapses(program, program.synapses, "")
    for s in program.synapses if len(program.synapses) > 1 else ():
        yield from _of_synapses(program, [s], f" of {s.name!r}")
    for name in every if len(every) > 1 else ():
        yield from _of_neurons(program, [name], f" of {name!r}")


def _of_synapses(program: Program, those: Sequence[Synapses], of: str) -> Iterator[Change]:
    ways: dict[tuple[str, str], list[Synapses]] = {}
    for s in those:
        for number, how, other in _synapses(s):
            ways.setdefault((number, how), []).append(other)
    for (number, how), others in ways.items():
        yield Change(f"{number}{of}", how, reduce(_with, others, program))


def _of_neurons(program: Program, names: Sequence[str], of: str) -> Iterator[Change]:
    """Yield the changes of each parameter that these populations have."""
    concerned = [program.population(name) for name in names]
    for param in dict.fromkeys(param for p in concerned for param in p.params):
        owners = [p for p in concerned if param in p.params]
        for how, changed in _ways([p.params[param] for p in owners]):
            others = (
                replace(p, params={**p.params, param: changed(p.params[param])}) for p in owners
            )
            yield Change(f"{param}{of}", how, reduce(_with, others, program))


def _with(program: Program, changed: Population | Synapses) -> Program:
    def put(nouns: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(changed if noun.name == changed.name else noun for noun in nouns)

    if type(changed) is Population:
        return replace(program, populations=put(program.populations))
    return replace(program, synapses=put(program.synapses))


def _ways(values: Sequence[Any]) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    yield "one more", lambda x: x + 1
    yield "one less", lambda x: x - 1
    if any(np.any(value) for value in values):
        yield "zero", lambda x: x * 0


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
    yield "the weights", "negated", replace(s, weight=-s.weight)
    if np.any(s.weight < 0):
        yield "the weights", "without their signs", replace(s, weight=np.abs(s.weight))
    yield "the weights", "twice as large", replace(s, weight=2 * s.weight)
    if not np.any(s.weight % 2):
        yield "the weights", "half as large", replace(s, weight=s.weight // 2)
    yield "the delay", "one step more", replace(s, delay=s.delay + 1)
    if s.delay:
        yield "the delay", "one step less", replace(s, delay=s.delay - 1)
    if isinstance(s, Dense) and s.delays is not None:
        yield "the delays of single weights", "zero", replace(s, delays=None)
    for name, value in s.params.items():
        for how, changed in _ways([value]):
            yield name, how, replace(s, params={**s.params, name: changed(value)})
