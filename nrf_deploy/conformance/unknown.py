"""Kinds that no target knows, handed to a target's own rewrites and check: both must refuse them.

The compiler refuses them before `check` is called. A target whose own code takes a subclass for
its base would compile it as that base wherever it is called in another way, so it fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from ..capabilities import unknown
from ..findings import Finding, error
from ..legalise import apply_all
from ..network import (
    IF,
    LI,
    LIF,
    Array,
    Conv,
    CubaLIF,
    Flatten,
    Input,
    Linear,
    Network,
    Node,
    Output,
    SumPool,
)
from ..recording import Recording, Trace
from ..target import Target
from .case import Case

PROBE = "unknown"
"""The name of the foreign node in each network."""


class UnknownIF(IF):
    pass


class UnknownLIF(LIF):
    pass


class UnknownCubaLIF(CubaLIF):
    pass


class UnknownLI(LI):
    pass


class UnknownLinear(Linear):
    pass


class UnknownConv(Conv):
    pass


class UnknownSumPool(SumPool):
    pass


def probes() -> Iterator[Network]:
    """A small network in its plainest form for each foreign kind."""
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    fires: dict[str, Any] = {"r": one, "v_threshold": one, "v_reset": zero}
    leaks: dict[str, Any] = {"tau": 2 * one, "v_leak": zero}
    yield _flat(UnknownIF(name=PROBE, **fires))
    yield _flat(UnknownLIF(name=PROBE, **fires, **leaks))
    yield _flat(UnknownLI(name=PROBE, r=one, **leaks))
    currents: dict[str, Any] = {
        "tau_syn": 2 * one,
        "tau_mem": 2 * one,
        "w_in": 2 * one,
        "v_leak": zero,
    }
    yield _flat(UnknownCubaLIF(name=PROBE, **fires, **currents))
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


def _if(shape: tuple[int, ...]) -> IF:
    one: Array = np.ones(shape, np.float32)
    return IF(name="n", r=one, v_threshold=one, v_reset=0 * one)


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


CASE = Case(
    name="unknown-kinds",
    about="subclasses of known kinds are other kinds: a target refuses them",
    covers=(),
    made_by="the rule that support is declared",
    subject=next(probes()),
    recording=Recording.from_dense(np.zeros((1, 4), np.int64)),
    expected=Trace("", {}, {}, {}),
    refusal=True,
)


def accepted(target: Target, chip: str) -> list[Finding]:
    """Return an error for each foreign kind that the target takes for a kind that it knows."""
    return [f for probe in probes() for f in _taken(target, chip, probe)]


def _taken(target: Target, chip: str, probe: Network) -> Iterator[Finding]:
    kind = type(probe[PROBE])
    name, base = kind.__name__, kind.__mro__[1].__name__

    def fault(what: str) -> Finding:
        return error(
            "CONFORMANCE-KIND",
            what,
            layer=PROBE,
            why="support is declared by exact type; what a subclass adds would be lost",
            fix="compare type(node), not isinstance(node, ...)",
        )

    if not unknown(probe, target.kinds(chip), chip):
        yield fault(f"kinds({chip!r}) holds {name}, a kind that nobody declared")
    rewritten, _ = apply_all(probe, target.passes(chip))
    networks = [rewritten, *(choice.apply(rewritten)[0] for choice in target.choices)]
    for network in networks:
        if PROBE not in network or type(network[PROBE]) is not kind:
            yield fault(f"a rewrite takes {name}, a subclass of {base}, for {base}")
            return
    try:
        found = target.check(rewritten, chip)
    except Exception as problem:  # whatever it is, the kind was not refused but read
        yield fault(f"check takes {name}, a subclass of {base}, for {base}: {problem!r:.200}")
        return
    if not any(f.severity == "error" and f.layer == PROBE for f in found):
        yield fault(f"check takes {name}, a subclass of {base}, for {base}")
