"""The calls of a run folded into one step: the layers, and the edges between them.

Each call belongs to a step. A neuron's n-th call is its step n; a layer without a state belongs to
the latest step of its inputs, wherever the module calls it, so that a layer on the way back counts
for the step whose spikes it takes. An input is then a sum of layers of the same step or of an
earlier one, and this sum must be the same in every step. In the first steps, terms of a step before
the first may be missing, or be what a layer gives for zeros: these are the two starts of a loop.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, TargetError, error, warning

from .called import Names, alive
from .places import BEFORE, SOURCE, STATIC, Folded, Instant, Link, Place, Site
from .runs import RECURRENT, Run
from .values import INPUT, Made, OverTime, Signal, Term, Terms


def fold(run: Run, stateful: Callable[[Made], bool], passes: Callable[[Made], bool]) -> Folded:
    """Return the layers of one step of a run; raises where two steps differ."""
    return _Folder(run, stateful, passes).fold()


class _Folder:
    def __init__(self, run: Run, stateful: Callable[[Made], bool], passes: Callable[[Made], bool]):
        self.run, self.stateful, self.passes = run, stateful, passes
        self.places: dict[Term, Instant] = {}
        self.alive = alive(run)
        self.totals: dict[str, tuple[Terms, ...]] = {}

    def fold(self) -> Folded:
        self._place_all()
        steps = 1 + max((i.step for i in self._living()), default=0)
        by_place = self._by_place()
        sites = self._sites(by_place)
        early: dict[Place, set[str]] = defaultdict(set)
        for place, site in sites.items():
            self._same(site, by_place[place], steps, early)
        outputs, over_time = self._outputs()
        return Folded(
            sites,
            outputs,
            over_time,
            self.totals,
            {place: "/".join(sorted(kinds)) for place, kinds in early.items()},
            self._unused(),
            steps,
        )

    # --- steps of calls -----------------------------------------------------------------

    def _place_all(self) -> None:
        """Give each call its step, and its number among the calls of a layer in that step.

        In a loop on one input, a layer that takes this input and spikes of the step before makes
        one step in each call, as a neuron does: it is found when it first takes both.
        """
        counted = {c.identity for c in self.run.calls if self.stateful(c)}
        while True:
            self.places.clear()
            mixed = self._placed(counted)
            if mixed <= counted:
                break
            counted |= mixed
        if self.run.form == "steps":
            self._called_once()

    def _placed(self, counted: set[Hashable]) -> set[Hashable]:
        """Place all calls; return the layers that take constants and signals that move."""
        seen: Counter[Hashable] = Counter()
        used: Counter[tuple[Hashable, int]] = Counter()
        still: dict[tuple[Hashable, Hashable], Place] = {}
        mixed: set[Hashable] = set()
        for number, call in enumerate(self.run.calls):
            what = call.identity
            for at, terms in enumerate(call.inputs):
                resolved = tuple(t for term in terms for t in self._resolved(term))
                step = self._latest(resolved)
                if step >= 0 and any(self._step(t) == STATIC for t in resolved):
                    mixed.add(what)
                if what in counted:
                    step = seen[what]
                    seen[what] += 1
                place = (what, used[what, step])
                if step == STATIC:  # beside calls of the same layer in each step
                    same = what, tuple(map(self._source, resolved))
                    place = still.setdefault(same, (what, -1 - used[what, step]))
                    used[what, step] += place == (what, -1 - used[what, step])
                else:
                    used[what, step] += 1
                self.places[Term(number, at)] = Instant(place, step, number, at, resolved)
        return mixed

    def _called_once(self) -> None:
        """Refuse a neuron that is called several times in a step."""
        turns = Counter(
            (c.identity, c.turn) for n, c in enumerate(self.run.calls) if self._neuron(n, c)
        )
        often = {what: n for (what, _), n in turns.items() if n > 1}
        faults = []
        for call in {c.identity: c for c in reversed(self.run.calls)}.values():
            if (n := often.get(call.identity)) is not None:
                faults.append(
                    error(
                        "EXPORT-STATE-SHARED",
                        f"it is called {n} times in a step",
                        layer=call.name,
                        why="it has one state and steps once",
                        fix="use a module of its own for each place",
                    )
                )
        if faults:
            raise TargetError(faults)

    def _neuron(self, number: int, call: Made) -> bool:
        return number in self.alive and self.stateful(call)

    def _resolved(self, term: Term) -> Iterator[Term]:
        """Yield a term, or what a layer passes on unchanged in its place."""
        if term.call != INPUT and self.passes(call := self.run.calls[term.call]):
            for inner in call.inputs[term.at]:
                yield from self._resolved(inner)
        else:
            yield term

    def _latest(self, terms: Sequence[Term]) -> int:
        steps = [self._step(t) for t in terms]
        moving = [s for s in steps if s >= 0]
        if moving:
            return max(moving)
        return STATIC if STATIC in steps else BEFORE

    def _step(self, term: Term) -> int:
        if term.call == INPUT:
            return STATIC if self.run.form == "loop" else term.at
        return self.places[term].step

    def _source(self, term: Term) -> Place:
        return SOURCE if term.call == INPUT else self.places[term].place

    def _living(self) -> Iterator[Instant]:
        return (i for i in self.places.values() if i.number in self.alive)

    # --- the same sum in every step ---------------------------------------------------

    def _by_place(self) -> dict[Place, dict[int, Instant]]:
        by_place: dict[Place, dict[int, Instant]] = defaultdict(dict)
        needed = {i.place for i in self._living()}
        for instant in self.places.values():
            if instant.step != BEFORE and instant.place in needed:
                by_place[instant.place].setdefault(instant.step, instant)
        return by_place

    def _sites(self, by_place: Mapping[Place, Mapping[int, Instant]]) -> dict[Place, Site]:
        """Return the layers, with the sum that they take in a step amid the run."""
        names = Names()
        order = sorted(by_place, key=lambda p: min((i.number, i.at) for i in by_place[p].values()))
        sites = {}
        for place in order:
            instants = by_place[place]
            usual = instants[sorted(instants)[len(instants) // 2]]  # after all loops have started
            call = self.run.calls[usual.number]
            links = tuple(self._links(usual))
            numbers = {step: (i.number, i.at) for step, i in instants.items()}
            sites[place] = Site(names.name(call), call, links, numbers)
        return sites

    def _links(self, instant: Instant) -> Iterator[Link]:
        """Yield the terms of an input as sources and how many steps they lie back."""
        for term in instant.terms:
            step = self._step(term)
            if step == BEFORE:
                yield self._source(term), BEFORE
            else:
                yield self._source(term), 0 if step == STATIC else instant.step - step

    def _same(
        self,
        site: Site,
        instants: Mapping[int, Instant],
        steps: int,
        early: dict[Place, set[str]],
    ) -> None:
        """Refuse a layer whose input is another sum in another step; note how loops start."""
        if STATIC in instants:
            if len(instants) > 1:
                raise TargetError(self._differs(site, max(instants), "it takes a constant once"))
            return
        back = max((lag for _, lag in site.links), default=0)
        if any(lag < 0 for _, lag in site.links):
            raise TargetError(self._differs(site, 1, "it is not called once in every step"))
        for step in range(steps):
            instant = instants.get(step)
            if instant is None:
                if step < steps - 1 - max(back, 1) or step == 0:
                    raise TargetError(self._differs(site, step, "it is not called"))
                continue
            links = list(self._links(instant))
            for source, lag in site.links:
                if (source, lag) in links:
                    links.remove((source, lag))
                elif lag > step:
                    zeros = next((s for s, b in links if b == BEFORE and s[0] == source[0]), None)
                    early[source].add("zero" if zeros is None else "bias")
                    if zeros is not None:
                        links.remove((zeros, BEFORE))
                else:
                    what = f"it does not take {self._name(source, lag)}, as in other steps"
                    raise TargetError(self._differs(site, step, what))
            if links:
                what = f"it also takes {self._name(*links[0])}, unlike in other steps"
                raise TargetError(self._differs(site, step, what))

    def _name(self, place: Place, lag: int) -> str:
        if place == SOURCE:
            return f"the input{_ago(lag)}"
        call = next(c for c in self.run.calls if c.identity == place[0])
        return f"{call.name!r}{_ago(lag)}"

    def _differs(self, site: Site, step: int, what: str) -> Finding:
        number, _ = site.instants.get(step, next(iter(site.instants.values())))
        return error(
            "EXPORT-STEPS",
            f"in step {step} {what} ({self.run.calls[number].where})",
            layer=site.name,
            why=RECURRENT,
            fix="do the same in every step; a signal of the step before may lead back",
        )

    # --- outputs ------------------------------------------------------------------------

    def _outputs(self) -> tuple[dict[str, tuple[Place, ...]], dict[str, str]]:
        """Return the sum of each output, the same in every step."""
        outputs: dict[str, tuple[Place, ...]] = {}
        over_time: dict[str, str] = {}
        last = max((i.step for i in self._living()), default=0)
        for turn, returned in enumerate(self.run.returned):
            for name, value in returned.items():
                signal: Any = value
                if isinstance(value, OverTime):
                    over_time[name], signal = value.function, value.signal
                parts = signal.steps if len(signal.steps) > 1 else self._summed(signal, last)
                if len(parts) > 1:
                    steps = list(range(len(parts)))
                    if parts is not signal.steps:
                        over_time[name], self.totals[name] = "sum", parts
                else:
                    steps = [turn if self.run.form == "steps" else last]
                    if self.run.form != "steps" and last > 0 and name not in over_time:
                        over_time[name] = "last step"
                for step, terms in zip(steps, parts, strict=True):
                    self._output(name, step, terms, outputs)
        return outputs, over_time

    def _summed(self, signal: Signal, last: int) -> tuple[Terms, ...]:
        """Return the terms of a sum over all steps by step, or else the one sum that it is."""
        by_step: dict[int, list[Term]] = defaultdict(list)
        for term in (t for one in signal.steps[0] for t in self._resolved(one)):
            by_step[self._step(term)].append(term)
        if self.run.form == "steps" or last < 1 or sorted(by_step) != list(range(last + 1)):
            return signal.steps
        return tuple(tuple(by_step[step]) for step in range(last + 1))

    def _output(
        self, name: str, step: int, terms: tuple[Term, ...], outputs: dict[str, tuple[Place, ...]]
    ) -> None:
        resolved = [t for term in terms for t in self._resolved(term)]
        back = [t for t in resolved if self._step(t) not in (step, STATIC)]
        sources = tuple(map(self._source, resolved))
        if outputs.setdefault(name, sources) != sources or back:
            what = "is that of another step" if back else "is another sum of layers"
            raise TargetError(
                error(
                    "EXPORT-STEPS",
                    f"in step {step} the output {name!r} {what}",
                    why=RECURRENT,
                    fix="return in every step the output of that step",
                )
            )

    def _unused(self) -> list[Finding]:
        """Return a warning for each layer and function on which no output depends."""
        known = {self.run.calls[n].identity for n in self.alive}
        dead = {}
        names = Names()
        for call in self.run.calls:
            if call.identity not in known and call.identity not in dead:
                dead[call.identity] = names.name(call)
        return [
            warning("EXPORT-UNUSED", "the output does not depend on it; it is left out", layer=n)
            for n in dead.values()
        ]


def _ago(lag: int) -> str:
    if lag == BEFORE:
        return " for zeros"
    if lag < 0:
        return " of a later step"
    return "" if lag == 0 else " of the step before" if lag == 1 else f" of {lag} steps before"
