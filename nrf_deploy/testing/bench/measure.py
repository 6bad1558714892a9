"""Measurement of the emulator and its peers, in turns on the same input.

Answers are compared before anything is timed. A peer that takes only the first steps is
compared, and its ratio taken, on those steps. In each round every peer runs once, and the
emulator right before it; a ratio is taken within a round.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording

from .case import Answer, Case, Peer, Problem

WORDS = 4
"""Bytes of a neuron's potential, and of its summed input, in a straightforward program."""


def fan_out(s: Synapses) -> Array:
    """Return the number of weights of each source element, in the source's shape."""
    if isinstance(s, Conv):
        return _conv_fan_out(s)
    if isinstance(s, Sparse):
        size = math.prod(s.input_shape)
        return np.bincount(s.column, minlength=size).reshape(s.input_shape)
    assert isinstance(s, Dense)
    return np.full(s.input_shape, len(s.weight))


def _conv_fan_out(conv: Conv) -> Array:
    along: list[Array] = []
    for size, kernel, stride, pads, dilation, out in zip(
        conv.input_size,
        conv.weight.shape[2:],
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.shape[1:],
        strict=True,
    ):
        reached = np.zeros(size, np.int64)
        for k in range(kernel):
            at = np.arange(out) * stride + k * dilation - pads[0]
            reached[at[(at >= 0) & (at < size)]] += 1
        along.append(reached)
    channels = conv.weight.shape[0] // conv.groups
    return np.broadcast_to(channels * along[0][:, None] * along[1][None, :], conv.input_shape)


def synaptic_events(
    program: Program, outputs: Mapping[str, Recording], recording: Recording
) -> int:
    """Count the weights that events reach; synapses shared by populations count once."""
    counts = {name: r.counts().ravel() for name, r in outputs.items()}
    first = 0
    for port in program.ports:
        size = math.prod(port.shape)
        counts[port.name] = recording.counts().ravel()[first : first + size]
        first += size
    return sum(int(np.sum(counts[s.source] * fan_out(s).ravel())) for s in program.synapses)


def neurons(program: Program) -> int:
    return sum(p.size for p in program.populations)


def state_bytes(program: Program) -> int:
    """Return the bytes that a step reads and writes if every neuron is active."""
    sums = sum(math.prod(s.shape) for s in program.synapses)
    return 2 * WORDS * (neurons(program) + sums)


AGREE, COUNT, DIFFER = "every spike", "number of firings", "differs"
ENOUGH_S, SHORT_S = 10.0, 1.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Spread:
    least: float
    middle: float
    most: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(min(values), statistics.median(values), max(values))


@dataclass(frozen=True)
class Against:
    """A peer's result on a case. `ratio` is its time divided by ours: above 1 we are faster."""

    peer: str
    steps: int
    agrees: str
    seconds: Spread
    ratio: Spread


@dataclass(frozen=True)
class Measured:
    case: str
    steps: int
    neurons: int
    firings: int
    firings_of_layers: dict[str, int]
    published: bool | None
    """Whether the spike counts equal the published ones; None if none are published."""
    synaptic_events: int
    state_bytes: int
    seconds: Spread
    first_s: float
    """Seconds of the first run, with building the plan and, without a cache, compiling."""
    repeats: int
    against: list[Against] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return self.published is not False and all(a.agrees != DIFFER for a in self.against)

    def as_json(self) -> dict[str, Any]:
        fields = asdict(self) | {
            "seconds": self.seconds.middle,
            "fastest": self.seconds.least,
            "slowest": self.seconds.most,
            "synaptic_events_a_second": self.synaptic_events / self.seconds.middle,
        }
        return fields


def timed(problem: Problem, threads: int = 1) -> float:
    """Return the seconds of a run from the initial state without recording."""
    begin = time.perf_counter()
    problem.engine.run(problem.recording, record=(), threads=threads)
    return time.perf_counter() - begin


def measure(
    case: Case, peers: Sequence[Peer], repeats: int, rounds: int, say: Say = lambda line: None
) -> Measured:
    """Measure `repeats` runs of the emulator, then `rounds` in which every peer runs once."""
    problem = case.make()
    begin = time.perf_counter()
    outputs = problem.engine.run(problem.recording).outputs
    first = time.perf_counter() - begin
    firings = {name: len(r.index) for name, r in outputs.items()}
    checked, missing = _checked(problem, case, peers, outputs, say)
    own = _repeated(problem, repeats)
    turns: dict[str, list[tuple[float, float]]] = {p.name: [] for p in checked}
    for _ in range(rounds):
        for peer in checked:
            turns[peer.name].append(_turn(problem.until(peer.steps[case.name]), peer, say))
    against = [
        Against(
            p.name,
            min(p.steps[case.name], problem.recording.steps),
            agrees,
            Spread.of([theirs for _, theirs in turns[p.name]]),
            Spread.of([theirs / ours for ours, theirs in turns[p.name]]),
        )
        for p, agrees in checked.items()
    ]
    return Measured(
        case=case.name,
        steps=problem.recording.steps,
        neurons=neurons(problem.program),
        firings=sum(firings.values()),
        firings_of_layers=firings,
        published=firings == dict(problem.firings) if problem.firings else None,
        synaptic_events=synaptic_events(problem.program, outputs, problem.recording),
        state_bytes=state_bytes(problem.program) * problem.recording.steps,
        seconds=Spread.of(own),
        first_s=first,
        repeats=len(own),
        against=against,
        missing=missing,
    )


def _checked(
    problem: Problem,
    case: Case,
    peers: Sequence[Peer],
    outputs: Mapping[str, Recording],
    say: Say,
) -> tuple[dict[Peer, str], dict[str, str]]:
    """Return each peer's agreement with our outputs, and why the others did not run."""
    checked: dict[Peer, str] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        if case.name not in peer.steps:
            missing[peer.name] = peer.without
            continue
        part = problem.until(peer.steps[case.name])
        ours = {name: r.until(part.recording.steps) for name, r in outputs.items()}
        try:
            checked[peer] = agreement(part, ours, peer.run(part, True))
            say(f"{case.name}: {peer.name} agrees in {checked[peer]}")
        except NrfError as problem_there:
            missing[peer.name] = problem_there.findings[0].what
            say(f"{case.name}: {peer.name}: {missing[peer.name]}")
    return checked, missing


def agreement(problem: Problem, ours: Mapping[str, Recording], answer: Answer) -> str:
    """Return whether every spike, only the number of spikes, or neither agrees."""
    if answer.firings is not None:
        total = sum(len(r.index) for r in ours.values())
        return COUNT if answer.firings == total else DIFFER
    if set(answer.outputs) != set(ours):
        return DIFFER
    depth = _depths(problem) if answer.ahead else {}
    for name, theirs in answer.outputs.items():
        shift = depth.get(name, 0)
        mine = ours[name].shifted(shift)
        if not mine.same(theirs.until(mine.steps)):
            return DIFFER
    return AGREE


def _depths(problem: Problem) -> dict[str, int]:
    """Return the steps of delay from the input to each population."""
    depth = {p.name: 0 for p in problem.program.ports}
    for p in problem.program.populations:
        depth[p.name] = max(
            (depth[s.source] + s.delay for s in problem.program.into(p.name)), default=0
        )
    return depth


def _repeated(problem: Problem, repeats: int) -> list[float]:
    """Return the seconds of `repeats` runs, or of fewer (at least 3) if they take long."""
    own: list[float] = []
    while len(own) < repeats and (len(own) < min(3, repeats) or sum(own) < ENOUGH_S):
        own.append(timed(problem))
    return own


def _turn(problem: Problem, peer: Peer, say: Say) -> tuple[float, float]:
    """Return the seconds of our run (the median of three if short) and of the peer's after it."""
    ours = timed(problem)
    if ours < SHORT_S:
        ours = statistics.median((ours, timed(problem), timed(problem)))
    theirs = peer.run(problem, False).seconds
    say(f"    {peer.name}: {theirs:.4g} s, ours {ours:.4g} s")
    return ours, theirs


def seconds_text(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def ratio_text(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 9.95 else f"{ratio:,.0f}"


def measured_text(m: Measured) -> str:
    ends = f"{seconds_text(m.seconds.least)} to {seconds_text(m.seconds.most)}"
    known = {None: "", True: " (as published)", False: " (NOT what was published)"}
    lines = [
        m.case,
        f"  network          {m.neurons:,} neurons, {m.steps:,} steps",
        f"  firings          {m.firings:,}{known[m.published]}",
        f"  synaptic events  {m.synaptic_events:,}",
        f"  time             {seconds_text(m.seconds.middle)} (of {m.repeats} runs: {ends})",
        f"  a second         {m.synaptic_events / m.seconds.middle:.3g} synaptic events",
    ]
    if m.against:
        lines.append("  peer           steps   its time    times ours (least, most)  agrees in")
    for a in m.against:
        spread = f"{ratio_text(a.ratio.least)}, {ratio_text(a.ratio.most)}"
        lines.append(
            f"  {a.peer:<12} {a.steps:>7,}   {seconds_text(a.seconds.middle):>8}"
            f"    {ratio_text(a.ratio.middle):>7} ({spread})".ljust(61)
            + f"  {a.agrees}"
        )
    lines += [f"  {peer}: not run: {why}" for peer, why in m.missing.items()]
    return "\n".join(lines) + "\n"
