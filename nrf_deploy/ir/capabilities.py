"""Domains: the nodes and features that an interpreter of networks reads; others are refused.

Support is declared and never inherited. Types are compared exactly (`type(node)`), so that a
subclass of a known kind is another kind; and a feature of a neuron (a field of its membrane or
its rule that is not neutral) is refused until a row names it. Naming a feature means "my check
and my lowering read this field", not "every value of it fits".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nrf_deploy.diagnostics.findings import Finding, TargetError, error
from nrf_deploy.neurons import MEMBRANES, PARTS, RULES, Membrane, Part, Rule

from .network import KINDS, Input, Network, Node, Output, Population

PORTS: frozenset[type[Node]] = frozenset((Input, Output))
"""Every interpreter has them."""


@dataclass(frozen=True)
class Accepts:
    """One row of a domain: populations of one of these membranes and of this rule.

    Args:
        model: the interpreter's own name for these neurons; None if its check refuses them
            itself, with a better fix than KIND-UNSUPPORTED
        membranes: exact types
        rule: exact type
        features: every feature that the interpreter's code reads
    """

    model: str | None
    membranes: frozenset[type[Membrane]]
    rule: type[Rule]
    features: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "membranes", _types("Accepts.membranes", self.membranes, Membrane))
        _types("Accepts.rule", (self.rule,), Rule)
        features = frozenset(self.features)
        if wrong := sorted(features - known_features(self.membranes, self.rule)):
            raise TypeError(f"Accepts.features holds {wrong[0]!r}, which none of its neurons has")
        object.__setattr__(self, "features", features)


@dataclass(frozen=True)
class Domain:
    """The nodes that an interpreter reads: rows of neurons, and exact types of all other nodes.

    Args:
        neurons: rows; the first that accepts a population names its model
        nodes: connections and other nodes whose every field its code reads
        explained: nodes that its check refuses itself, with a better fix than KIND-UNSUPPORTED
    """

    neurons: tuple[Accepts, ...] = ()
    nodes: frozenset[type[Node]] = frozenset()
    explained: frozenset[type[Node]] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", tuple(self.neurons))
        if wrong := [row for row in self.neurons if type(row) is not Accepts]:
            raise TypeError(f"Domain.neurons holds {wrong[0]!r}; expected rows of Accepts")
        for name in ("nodes", "explained"):
            object.__setattr__(self, name, _types(f"Domain.{name}", getattr(self, name), Node))
        if Population in self.nodes | self.explained:
            raise TypeError("Domain.nodes holds Population; name its neurons by rows of Accepts")

    @property
    def runs(self) -> tuple[Accepts, ...]:
        return tuple(row for row in self.neurons if row.model is not None)


def _types(name: str, members: Iterable[Any], base: type) -> frozenset[Any]:
    types = frozenset(members)
    if wrong := [t for t in types if not (isinstance(t, type) and issubclass(t, base))]:
        raise TypeError(f"{name} holds {wrong[0]!r}; expected subclasses of {base.__name__}")
    return types


def exactly(*types: type[Node]) -> frozenset[type[Node]]:
    """Return these types as a set (typed as types of nodes)."""
    return frozenset(types)


def ours(node: Node) -> bool:
    """Return True for a node whose every class is one of this package's own."""
    if type(node) is not Population:
        return type(node) in KINDS.values()
    parts = (type(part) for part in node.every_part())
    return all(kind in (*MEMBRANES, *RULES, *PARTS) for kind in parts)


def accepted(node: Node, rows: Domain | Iterable[Accepts]) -> Accepts | None:
    """Return the first row that accepts a population; None if there is none."""
    rows = rows.neurons if isinstance(rows, Domain) else rows
    return next((row for row in rows if missing(node, row) == frozenset()), None)


def missing(node: Node, row: Accepts) -> frozenset[str] | None:
    """Return the features of a population that a row does not name; None for another kind."""
    if type(node) is not Population or type(node.rule) is not row.rule:
        return None
    return node.features - row.features if type(node.membrane) in row.membranes else None


def outside(node: Node, domain: Domain) -> str:
    """Return in words the part of a node that is not in the domain; "" if all of it is."""
    if type(node) is not Population:
        return "" if type(node) in domain.nodes | PORTS else f"the kind {kind_name(type(node))}"
    if accepted(node, domain.runs) is not None:
        return ""
    mine = neurons_name(type(node.membrane), type(node.rule))
    near = _nearest(node, domain.runs)
    return f"{', '.join(sorted(near[1]))} of {mine}" if near else mine


def _nearest(node: Population, rows: Iterable[Accepts]) -> tuple[Accepts, frozenset[str]] | None:
    """Return the row that lacks the fewest features of a population, and these features.

    None if every row is of another kind.
    """
    near = [(row, lacks) for row in rows if (lacks := missing(node, row)) is not None]
    return min(near, key=lambda pair: (len(pair[1]), sorted(pair[1]))) if near else None


def unknown(network: Network, domain: Domain, who: str) -> list[Finding]:
    """Refuse every node that the interpreter's code neither runs nor explains."""
    return list(_refused(network, domain, domain.neurons, domain.nodes | domain.explained, who))


def unrun(network: Network, domain: Domain, who: str) -> list[Finding]:
    """Refuse every node that the interpreter does not run and that its check did not refuse."""
    return list(_refused(network, domain, domain.runs, domain.nodes, who))


def demand(nodes: Network | Node, domain: Domain, who: str) -> None:
    """Raise a TargetError that names each node that is not in the domain."""
    if wrong := list(_refused(nodes, domain, domain.runs, domain.nodes, who)):
        raise TargetError(wrong)


def _refused(
    network: Network | Node,
    domain: Domain,
    rows: Collection[Accepts],
    nodes: Collection[type[Node]],
    who: str,
) -> Iterator[Finding]:
    for node in network.nodes if isinstance(network, Network) else (network,):
        if type(node) is Population:
            if accepted(node, rows) is None:
                yield _of_neurons(node, domain.runs, who)
        elif type(node) not in nodes and type(node) not in PORTS:
            yield _of_node(node, domain, who)


def _of_node(node: Node, domain: Domain, who: str) -> Finding:
    runs = sorted(kind_name(t) for t in domain.nodes - PORTS)
    base = next((b for b in type(node).__mro__[1:] if b in KINDS.values()), None)
    if issubclass(type(node), Population):
        base = Population
    other = f"; a subclass of {kind_name(base)} is another kind" if base else ""
    return error(
        "KIND-UNSUPPORTED",
        f"{who} does not run the kind {kind_name(type(node))}",
        layer=node.name,
        why=f"beside neurons {who} runs {', '.join(runs) or 'nothing'}{other}",
        fix="train with one of these kinds, or choose a target that runs this one "
        "(nrf-deploy targets)",
    )


def _of_neurons(node: Population, runs: Collection[Accepts], who: str) -> Finding:
    mine = neurons_name(type(node.membrane), type(node.rule))
    near = _nearest(node, runs)
    if near is None:
        names = sorted({neurons_name(m, row.rule) for row in runs for m in row.membranes})
        read = {f for row in runs if row.rule is type(node.rule) for f in row.features}
        own = f"{type(node.membrane).__name__}."  # of a membrane that is not run anyway
        named = (f for f in sorted(node.features - read) if not f.startswith(own))
        foreign = ", ".join(f"`{f}`" for f in named)
        beside = f", nor any neurons with {foreign}" if foreign else ""
        return error(
            "KIND-UNSUPPORTED",
            f"{who} does not run {mine}{beside}",
            layer=node.name,
            why=f"it runs {'; '.join(names) or 'no neurons'}",
            fix="train with one of these, or allow a rewrite that leads to one "
            "(nrf-deploy targets lists them)",
        )
    (row, lacks), words = near, node.described()
    named = (f"`{x}`{f' ({words[x]})' if words.get(x) else ''}" for x in sorted(lacks))
    return error(
        "RULE-UNSUPPORTED",
        f"{who} does not run {', '.join(named)} of {mine}",
        layer=node.name,
        why=f"beyond the plain rule it runs: {', '.join(sorted(row.features)) or 'nothing'}",
        fix="train without it, or choose a target that runs it (nrf-deploy targets)",
    )


def neurons_name(membrane: type[Membrane], rule: type[Rule]) -> str:
    """Return the name of a kind of neurons in messages: "Leaky neurons that spike"."""
    own = [t.__name__ if t in (*MEMBRANES, *RULES) else _full_name(t) for t in (membrane, rule)]
    if rule not in RULES:
        return f"{own[0]} neurons with the rule {own[1]}"
    return f"{own[0]} neurons {'that spike' if rule.spikes else 'with a value'}"


def kind_name(kind: type[Node]) -> str:
    """Return the name of a kind in messages; a foreign class has its own, not its base's."""
    if kind.__module__ == Node.__module__:
        return kind.kind if kind in KINDS.values() else kind.__name__
    own = kind.__name__
    return own if own not in KINDS else _full_name(kind)


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


# --- features by name --------------------------------------------------------


def known_features(membranes: Iterable[type[Membrane]], rule: type[Rule]) -> frozenset[str]:
    """Return every feature that populations of these kinds can have."""
    own = {f"{m.__name__}.{x}" for m in membranes for x in _possible(m)}
    return frozenset(own | set(_possible(rule)))


def _possible(part: type[Part]) -> Iterator[str]:
    hints = get_type_hints(part)
    for f in fields(part):
        if f.default is MISSING:
            continue
        hint = hints[f.name]
        inner = [p for p in PARTS if p in get_args(hint)]
        if get_origin(hint) is Literal:
            yield from (f"{f.name}={word}" for word in get_args(hint) if word != f.default)
        elif inner:
            for p in inner:
                yield f"{f.name}={p.__name__}"
                yield from (f"{f.name}.{x}" for x in _possible(p))
        else:
            yield f.name
