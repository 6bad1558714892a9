"""Networks of unknown kinds, which the rewrites and the check of a target must refuse.

The compiler refuses them before `check` is called. A target whose own code takes a subclass for
its base would compile it as that base if it is called in another way, so it fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nrf_deploy.compiler.passes import apply_all
from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.capabilities import unknown
from nrf_deploy.ir.network import (
    Array,
    Conv,
    Flatten,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    SumPool,
)
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Spikes, Value

from .case import Case

PROBE = "unknown"
"""The name of the foreign node in each network."""


class UnknownIntegrator(Integrator):
    pass


class UnknownLeaky(Leaky):
    pass


class UnknownCurrentLeaky(CurrentLeaky):
    pass


class UnknownSpikes(Spikes):
    pass


class UnknownValue(Value):
    pass


@dataclass(frozen=True, eq=False, kw_only=True)
class UnnamedFeature(Spikes):
    """A rule with one more field, as a later version may have."""

    unnamed: float | None = None


class UnknownPopulation(Population):
    pass


class UnknownLinear(Linear):
    pass


class UnknownConv(Conv):
    pass


class UnknownSumPool(SumPool):
    pass


def probes() -> Iterator[Network]:
    """Yield a small network in its plainest form for each foreign kind."""
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    leaks: dict[str, Any] = {"tau": 2 * one, "r": one, "v_leak": zero}
    currents: dict[str, Any] = {
        "tau_syn": 2 * one,
        "tau_mem": 2 * one,
        "r": one,
        "w_in": 2 * one,
        "v_leak": zero,
    }
    spikes = Spikes(threshold=one, reset_to=zero)
    known = (Integrator(r=one), Leaky(**leaks), CurrentLeaky(**currents))
    foreign = (UnknownIntegrator(r=one), UnknownLeaky(**leaks), UnknownCurrentLeaky(**currents))
    for rule in (spikes, Value()):
        yield from (_flat(Population(name=PROBE, membrane=m, rule=rule)) for m in foreign)
    for membrane in known:
        for other in (UnknownSpikes(threshold=one, reset_to=zero), UnknownValue()):
            yield _flat(Population(name=PROBE, membrane=membrane, rule=other))
        more = UnnamedFeature(threshold=one, reset_to=zero, unnamed=1.0)
        yield _flat(Population(name=PROBE, membrane=membrane, rule=more))
        yield _flat(UnknownPopulation(name=PROBE, membrane=membrane, rule=spikes))
    weight = UnknownLinear(name=PROBE, weight=np.eye(4, dtype=np.float32))
    yield _chain((4,), weight, _if((4,)))
    yield _chain((1, 4, 4), _conv(UnknownConv, PROBE), _if((1, 2, 2)))
    pool = UnknownSumPool(
        name=PROBE, pool_input=(1, 4, 4), window=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))
    )
    flatten = Flatten(name="flat", flat_input=(1, 2, 2), start=0, end=2)
    linear = Linear(name="w", weight=np.eye(4, dtype=np.float32))
    yield _chain((1, 4, 4), pool, flatten, linear, _if((4,)))


def _flat(neurons: Node) -> Network:
    return _chain((4,), Linear(name="w", weight=np.eye(4, dtype=np.float32)), neurons)


def _if(shape: tuple[int, ...]) -> Population:
    one: Array = np.ones(shape, np.float32)
    rule = Spikes(threshold=one, reset_to=0 * one)
    return Population(name="n", membrane=Integrator(r=one), rule=rule)


def _conv(kind: type[Conv], name: str) -> Conv:
    return kind(
        name=name,
        weight=np.ones((1, 1, 3, 3), np.float32),
        input_size=(4, 4),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
    )


def _chain(shape: tuple[int, ...], *nodes: Node) -> Network:
    every = (
        Input(name="x", port_shape=shape),
        *nodes,
        Output(name="y", port_shape=nodes[-1].shape),
    )
    names = [n.name for n in every]
    return Network(every, tuple(pairwise(names)), 1.0)


def accepted(target: Target, chip: str) -> list[Finding]:
    """Return an error for each foreign kind that the target takes for a kind that it knows."""
    return [f for probe in probes() for f in _taken(target, chip, probe)]


def _foreign(node: Node) -> tuple[type, str]:
    """Return the foreign class of a probe, and the name of the class it could be taken for."""
    parts = (getattr(node, "membrane", None), getattr(node, "rule", None))
    kinds = [type(node), *map(type, parts)]
    kind = next(k for k in kinds if k.__module__ == __name__)
    return kind, kind.__mro__[1].__name__


def _taken(target: Target, chip: str, probe: Network) -> Iterator[Finding]:
    kind, base = _foreign(probe[PROBE])
    name, taken = kind.__name__, f"takes {kind.__name__}, a subclass of {base}, for {base}"

    def fault(what: str) -> Finding:
        return error(
            "CONFORMANCE-KIND",
            what,
            layer=PROBE,
            why="support is declared by exact type; the additions of a subclass would be lost",
            fix="compare exact types, or call accepted(node, domain); do not use isinstance",
        )

    if not unknown(probe, target.accepts(chip), chip):
        yield fault(f"accepts({chip!r}) names {name}, an undeclared kind")
    rewritten, _ = apply_all(probe, target.passes(chip))
    networks = [rewritten, *(choice.apply(rewritten)[0] for choice in target.choices)]
    for network in networks:
        if PROBE not in network or _foreign_or_none(network[PROBE]) is not kind:
            yield fault(f"a rewrite {taken}")
            return
    try:
        findings = target.check(rewritten, chip)
    except Exception as problem:  # any exception: the kind was read, not refused
        yield fault(f"check {taken}: {problem!r:.200}")
        return
    if not any(f.severity == "error" and f.layer == PROBE for f in findings):
        yield fault(f"check {taken}")


def _foreign_or_none(node: Node) -> type | None:
    try:
        return _foreign(node)[0]
    except StopIteration:
        return None


CASE = Case(
    name="unknown-kinds",
    about="subclasses of known kinds are other kinds: a target refuses them",
    covers=(),
    made_by="the rule that support is declared",
    subject=next(probes()),
    recording=Recording.from_dense(np.zeros((1, 4), np.int64)),
    expected=Trace("", {}, {}, {}),
    judge=accepted,
)
