"""Test that a target reads the features of neurons that its domain names.

To name a feature is to say "my check and my lowering read this field". So for each row, each
membrane in it and each feature, a probe is compiled. A chip that runs it must be nearer to the
float reference with the feature than to the one without it, less than half as far; or the chip
must refuse it with a code of the target; or, if it runs it differently on purpose, report this in
a finding that the neurons without the feature do not get. For a chip that is too coarse even for
the neurons without it, only a change of the output is required. The features of a row without a
model must be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import bundled, check
from nrf_deploy.bundle.run_bundle import run_engine
from nrf_deploy.compiler.abilities import HasStepSums
from nrf_deploy.compiler.driver import Verdict
from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.ir.capabilities import Accepts, Domain, known_features
from nrf_deploy.ir.network import Array, Population
from nrf_deploy.ir.program import OUTPUT, spread
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.neurons import Integrator, Membrane, Part, Spikes
from nrf_deploy.verification.verify import verify
from nrf_deploy.witness.reading import as_model

from .case import Case
from .probes import (
    MEMBRANE,
    NEURONS,
    PAIRS,
    PLAIN,
    PROBES,
    ROUNDING,
    RULES,
    STEPS,
    Probe,
    closed,
    network,
    neurons,
    recording,
)

UNSUPPORTED = frozenset(("KIND-UNSUPPORTED", "RULE-UNSUPPORTED"))
"""Codes of the toolchain's own refusals of undeclared kinds and features."""


@dataclass(frozen=True)
class Question:
    """One feature of neurons that a row names.

    Args:
        row: the row, which is the first that accepts the neurons
        membrane: one of its membranes
        feature: the feature; "" asks for the plain neurons of a row without a model
        features: all features of the neurons, this one among them
    """

    row: Accepts
    membrane: type[Membrane]
    feature: str
    features: frozenset[str]

    @property
    def probe(self) -> Probe:
        return PROBES.get(self.feature, PLAIN)

    @property
    def events(self) -> Recording:
        return recording(self.probe.rates)

    @property
    def neurons(self) -> Population:
        return neurons(self.membrane, self.row.rule, self.features, self.probe)

    @property
    def without(self) -> Population:
        """Return the same neurons without the feature."""
        less = self.features - {self.feature}
        return neurons(self.membrane, self.row.rule, less, self.probe)

    def told(self) -> str:
        beside = f" beside {', '.join(sorted(self.features - {self.feature}))}"
        named = self.feature + beside * (len(self.features) > 1) if self.feature else "no feature"
        return f"{self.membrane.__name__} neurons with {named}"


# --- the questions -----------------------------------------------------------------


def questions(domain: Domain) -> Iterator[Question]:
    """Yield the questions on each row of a domain."""
    for i, row in enumerate(domain.neurons):
        for membrane in sorted(row.membranes & MEMBRANE.keys(), key=lambda m: m.__name__):
            own = reached(domain.neurons[:i], row, membrane)
            if own is not None and row.rule in RULES:
                of_row = _of_row(row, membrane, own)
                yield from {(q.feature, q.features): q for q in of_row}.values()


def unprobed(domain: Domain) -> list[str]:
    """Return the kinds and features that a domain names and no probe knows."""
    rows = domain.neurons
    kinds: set[type[Part]] = {m for row in rows for m in row.membranes} | {r.rule for r in rows}
    features = {x for row in rows for x in row.features} - PROBES.keys() - ROUNDING
    unknown = kinds - MEMBRANE.keys() - {*RULES}
    return sorted((*(kind.__name__ for kind in unknown), *features))


def reached(
    before: tuple[Accepts, ...], row: Accepts, membrane: type[Membrane]
) -> frozenset[str] | None:
    """Return the fewest features with which neurons are of this row, and of none before it."""
    rivals = [r for r in before if r.rule is row.rule and membrane in r.membranes]
    more = [(row.features - rival.features).intersection(PROBES) for rival in rivals]
    if not all(more):
        return None
    chosen = frozenset[str]()
    for names in more:
        if not chosen & names:
            chosen |= {min(names, key=lambda name: (len(PROBES[name].needs), name))}
    return closed(chosen)


def _of_row(row: Accepts, membrane: type[Membrane], own: frozenset[str]) -> Iterator[Question]:
    ask = partial(Question, row, membrane)
    if row.model is None:
        yield ask("", own)
    known = row.features.intersection(PROBES, known_features((membrane,), row.rule))
    single = [(name, own | {name}) for name in sorted(known)]
    pairs = [(name, own | {*pair}) for pair in PAIRS if known.issuperset(pair) for name in pair]
    for name, names in (*single, *pairs):
        features = closed(names)
        needed = any(name in PROBES[other].needs for other in features)
        idle = PROBES[name].idle & features or _two_words(features)
        if features <= row.features and not needed and not idle:
            yield ask(name, features)


def _two_words(features: frozenset[str]) -> bool:
    """Return True if these features hold two words of one choice, which no neurons can have."""
    choices = [name.partition("=")[0] for name in features if "=" in name]
    return len(set(choices)) < len(choices)


# --- the answer of a chip ------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The answer of a chip to a question.

    Args:
        question: the question
        given: "ran": as the model; "refused": with `codes`; "told": it runs another model, and
            reports it with `codes`; "coarse": the feature changes the output, and the chip is too
            coarse for more
        codes: codes of findings
        why: why the answer is wrong, in words
    """

    question: Question
    given: Literal["ran", "refused", "told", "coarse", "wrong"]
    codes: frozenset[str] = frozenset()
    why: str = ""


def answer(target: Target, chip: str, question: Question) -> Answer:
    """Return the answer of a chip to a question."""
    verdict = _verdict(question.neurons, chip)
    codes = frozenset(f.code for f in verdict.findings if f.severity == "error")
    if codes - UNSUPPORTED:
        return Answer(question, "refused", codes)
    if codes:
        return Answer(question, "wrong", codes, f"refuses it as unknown ({', '.join(codes)})")
    if question.row.model is None:
        return Answer(
            question, "wrong", why="compiles it, and its row says that the check refuses it"
        )
    bundle = bundled(as_model(network(question.neurons)), chip, verdict)
    values = _run(target, bundle, question.events)
    if values.shape != (STEPS, *question.neurons.shape):
        return Answer(question, "wrong", why=f"gives an output of the shape {values.shape}")
    right, other = (float_run(question, n) for n in (question.neurons, question.without))
    near, far = apart(values, right), apart(values, other)
    if not apart(right, other):
        return Answer(question, "wrong", why="cannot be judged: the probe changes nothing")
    spikes = question.neurons.spikes
    if 2 * near < far if spikes else verify(bundle, question.events).passed:
        return Answer(question, "ran")
    less = _verdict(question.without, chip)
    if reported := _about(verdict) - _about(less):
        return Answer(question, "told", reported)
    if less.fits:
        plain = _run(
            target, bundled(as_model(network(question.without)), chip, less), question.events
        )
        coarse = apart(plain, other) or any(f.severity == "warning" for f in verdict.findings)
        if coarse and apart(plain, values):
            return Answer(question, "coarse")
    why = f"differs in {near:,} places from the model, and in {far:,} from one without it"
    return Answer(question, "wrong", why=why if spikes else "gives other values than the model")


def _verdict(node: Population, chip: str) -> Verdict:
    return check(as_model(network(node)), chip)


def _about(verdict: Verdict) -> frozenset[str]:
    """Return the codes of the findings of the target, not of a rewrite, on the neurons."""
    codes = {f.code for f in verdict.findings if f.layer == NEURONS}
    return frozenset(codes - {f.code for step in verdict.steps for f in step.findings})


def _run(target: Target, bundle: Bundle, events: Recording) -> Array:
    """Return the output of the neurons in the model's steps and units.

    If events of a step arrive one by one, they are summed, as in the model.
    """
    if isinstance(target, HasStepSums):
        name = bundle.program.arithmetic
        program = replace(bundle.program, arithmetic=target.summed.get(name, name))
        bundle = replace(bundle, program=program)
    origin = next(o for o in bundle.program.origins if o.population in bundle.program.outputs)
    output = run_engine(bundle, events).outputs[origin.population]
    frames = output.shifted(origin.latency).until(events.steps).dense()
    unit = origin.scale.get(OUTPUT)
    return frames if unit is None else frames / spread(unit, output.shape)


def float_run(question: Question, node: Population) -> Array:
    """Return the output of neurons in the reference: spikes, or the values they stand for."""
    outputs = run_reference(network(node), question.events).outputs[NEURONS].dense()
    worth = node.rule.worth if type(node.rule) is Spikes else None
    return outputs if worth is None else outputs * worth


def apart(one: Array, other: Array) -> int:
    """Return the number of places at which two runs differ."""
    return int(np.sum(~np.isclose(one, other, rtol=1e-3)))


def misread(target: Target, chip: str) -> list[Finding]:
    """Return an error for each feature that the target names and does not read."""
    domain = target.accepts(chip)
    return [*_unprobed(domain), *(f for q in questions(domain) for f in _misread(target, chip, q))]


def _unprobed(domain: Domain) -> Iterator[Finding]:
    for name in unprobed(domain):
        yield error(
            "CONFORMANCE-UNPROBED",
            f"no probe shows whether {name} is read",
            fix="add one to nrf_deploy/testing/conformance/probes.py (docs/add-a-neuron.md)",
        )


def _misread(target: Target, chip: str, question: Question) -> Iterator[Finding]:
    try:
        wrong = answer(target, chip, question).why
    except Exception as problem:  # any exception: the feature was neither run nor refused
        wrong = f"breaks: {problem!r:.200}"
    if wrong:
        yield error(
            "CONFORMANCE-FEATURE",
            f"{question.told()}: {chip} {wrong}",
            layer=NEURONS,
            why="its domain names them, so that nothing else refuses what it does not read",
            fix="read the field in check and lower, or take the feature out of the row (accepts)",
        )


CASE = Case(
    name="declared-features",
    about="a target reads the features of neurons that it names, or refuses them",
    covers=(),
    made_by="the rule that support is declared",
    subject=network(neurons(Integrator, Spikes, frozenset(), PLAIN)),
    recording=recording(PLAIN.rates),
    expected=Trace("", {}, {}, {}),
    judge=misread,
)
