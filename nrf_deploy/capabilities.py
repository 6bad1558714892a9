"""Node kinds that a target reads, and the refusal of every other kind.

Support is declared and never inherited: types are compared as they are (`type(node)`), so that
a subclass of a known kind is another kind until a target names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from .findings import Finding, TargetError, error
from .network import KINDS, Input, Network, Node, Output

PORTS: frozenset[type[Node]] = frozenset((Input, Output))
"""Every target has them."""


@dataclass(frozen=True)
class Kinds:
    """The exact types of connections, populations and other nodes that a chip's code reads.

    `runs`: check, quantise and lower read every field of these.
    `explained`: `check` refuses each of these itself, with a better fix than KIND-UNSUPPORTED.
    """

    runs: frozenset[type[Node]]
    explained: frozenset[type[Node]] = frozenset()

    def __post_init__(self) -> None:
        for name in ("runs", "explained"):
            types = frozenset(getattr(self, name))
            if wrong := [t for t in types if not (isinstance(t, type) and issubclass(t, Node))]:
                raise TypeError(f"Kinds.{name} holds {wrong[0]!r}; expected classes of nodes")
            object.__setattr__(self, name, types)


def exactly(*types: type[Node]) -> frozenset[type[Node]]:
    """Return these types as a set (typed as types of nodes)."""
    return frozenset(types)


def unknown(network: Network, kinds: Kinds, chip: str) -> list[Finding]:
    """Refuse every node that the chip's code neither runs nor explains."""
    return list(_unsupported(network, kinds.runs | kinds.explained, kinds.runs, chip))


def unrun(network: Network, kinds: Kinds, chip: str) -> list[Finding]:
    """Refuse every node that the chip does not run: what `check` should have explained."""
    return list(_unsupported(network, kinds.runs, kinds.runs, chip))


def demand(nodes: Network | Node, runs: Collection[type[Node]], who: str) -> None:
    """Raise a TargetError that names each node of a kind that is not in `runs`."""
    if wrong := list(_unsupported(nodes, runs, runs, who)):
        raise TargetError(wrong)


def _unsupported(
    network: Network | Node, accepted: Collection[type[Node]], runs: Iterable[type[Node]], who: str
) -> Iterator[Finding]:
    nodes = network.nodes if isinstance(network, Network) else (network,)
    for node in nodes:
        if type(node) not in accepted and type(node) not in PORTS:
            names = sorted(kind_name(t) for t in set(runs) - PORTS)
            yield error(
                "KIND-UNSUPPORTED",
                f"{who} does not run the kind {kind_name(type(node))}",
                layer=node.name,
                why=f"{who} runs {', '.join(names)}{_base(type(node))}",
                fix="train with one of these kinds, or choose a target that runs this one "
                "(nrf-deploy targets)",
            )


def kind_name(kind: type[Node]) -> str:
    """Return the name of a kind in messages: of a foreign class its own, never its base's."""
    if kind.__module__ == Node.__module__:
        return str(kind.__dict__.get("kind", kind.__name__))
    own = kind.__name__
    return own if own not in KINDS else f"{kind.__module__}.{own}"


def _base(kind: type[Node]) -> str:
    """Say that a subclass is not its base, where the base is a known kind."""
    bases = [b for b in kind.__mro__[1:] if b in KINDS.values()]
    return f"; a subclass of {kind_name(bases[0])} is another kind" if bases else ""
