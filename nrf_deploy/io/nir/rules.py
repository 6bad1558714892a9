"""Reset and firing rule of spiking neurons, for which NIR has no field.

A node states it in its metadata, or the caller states it: by the producer of the file, whose
dialect has defaults, or by fields of the rule for all layers or by layer. The frameworks that
write NIR mean different rules by the same file, so a file without a statement is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, error, info, warning
from nrf_deploy.neurons import Spikes

from ..rule_options import KEYS, REST
from .beyond import OURS, WORDS, words
from .dialects import DIALECTS, NIR, Dialect, Mark, likely
from .fields import Fields
from .graph import RawGraph, RawNode
from .statements import NONE, Statements, spikes

RULE_WORDS = {key: words(Spikes, field) for field, key in WORDS[Spikes].items()}
"""The words of each key; the first is the default."""
UNSTATED, BY_OPTION, RESET_ZERO = "NIR-RULE-UNSTATED", "NIR-RULE-OPTION", "NIR-RULE-RESET-ZERO"
BY_PRODUCER = "NIR-RULE-PRODUCER"
LIKELY = "NIR-RULE-LIKELY"
IDLE, LAYER = "NIR-RULE-IDLE", "NIR-RULE-LAYER"
MEANS = {
    "value": "set the potential to v_reset",
    "subtract": "subtract v_threshold from the potential",
    "late": "subtract v_threshold from the potential one step after the spike",
    "none": "no reset",
    "doubled": "subtract v_threshold, and test against 2 v_threshold above it",
    "above": "v > v_threshold",
    "at": "v >= v_threshold",
}
VERBS = {"reset": "reset", "fires": "fire"}


def metadata_key(key: str) -> str:
    """Return the key of a field of the rule in the metadata of a node."""
    return key if key in RULE_WORDS else OURS + key


def rule(f: Fields, stated: Statements, dialect: Dialect | None) -> dict[str, Any] | None:
    """Return the fields of a node's rule; None (and an error) if they are unclear.

    Of `per_step`, `floor` and `refractory` only what the caller and the dialect state is
    returned: what the metadata state is read with the other fields of nrf-deploy.
    """
    own = {key: f.word(key) for key in RULE_WORDS}
    sound = True
    for key, word in own.items():
        if word is not None and (not isinstance(word, str) or word not in RULE_WORDS[key]):
            expected = " or ".join(RULE_WORDS[key])
            f.error(f"NIR-{key.upper()}", f"{key} is {word!r:.80}; expected {expected}")
            sound = False
    for key in KEYS:
        entry, value = f.node.metadata.get(metadata_key(key)), stated.of(key, f.name)
        if entry is None or value is None or (key in own and (entry == value or not sound)):
            continue
        text = f"{entry!r:.40}" if key not in own else str(entry)
        f.error(
            f"NIR-{key.upper().replace('_', '-')}-CONFLICT",
            f"{key} is {text} according to the file, {value} according to the caller",
            fix=f"leave {key} out, or export the model again",
        )
        sound = False
    if not sound:
        return None
    defaults = (dialect or NIR).defaults(f.node.kind)
    fields: dict[str, Any] = {
        key: own[key] or stated.of(key, f.name) or getattr(defaults, key) for key in RULE_WORDS
    }
    for key, default in (("per_step", "one"), ("floor", NONE), ("refractory", NONE)):
        if metadata_key(key) not in f.node.metadata:
            value = stated.of(key, f.name)
            value = getattr(defaults, key, NONE) if value is None else value
            if value != default:
                fields[key] = value
    return _in_parts(fields)


def _in_parts(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with a limit on the spikes of a step as a field of its own."""
    if "per_step" in fields:
        read = spikes(fields.pop("per_step"))
        assert read is not None, "it was checked with the options"
        fields["per_step"], limit = read
        if limit is not None:
            fields["most"] = limit
    return fields


def origin(graph: RawGraph, spiking: Sequence[str], stated: Statements) -> Iterator[Finding]:
    """Yield the origin of the rule of spiking nodes, unless the file states it.

    Args:
        graph: the graph of the file
        spiking: the kinds of nodes that spike
        stated: the statements of the caller
    """
    nodes = [n for n in graph.nodes.values() if n.kind in spiking]
    yield from _idle(graph, nodes, stated)
    dialect = None if stated.producer is None else DIALECTS[stated.producer]
    silent = {key: [n for n in nodes if metadata_key(key) not in n.metadata] for key in KEYS}
    if dialect is None:
        missing = {
            key: [n for n in silent[key] if stated.of(key, n.name) is None] for key in RULE_WORDS
        }
        if any(missing.values()):
            yield _unstated(graph, nodes, missing)
        elif not graph.is_ours and (guess := likely(graph)):
            yield _as_nir(*guess, error if not nodes else warning)
    else:
        yield _produced(dialect)
        if dialect is not NIR and (guess := likely(graph)) and guess[0] is not dialect:
            yield _other(dialect, *guess)
    for key in KEYS:
        yield from _by_option(key, nodes, silent[key], stated)
    zero = [n for n in silent["reset"] if stated.of("reset", n.name) == "value"]
    if zero := [n for n in zero if "v_reset" not in n.fields]:
        yield warning(
            RESET_ZERO,
            f"the reset to a value is to 0: the file has no v_reset{_where(nodes, zero)}",
        )


def _idle(graph: RawGraph, nodes: Sequence[RawNode], stated: Statements) -> Iterator[Finding]:
    """Yield an error for each statement that would change nothing."""
    names = [n.name for n in nodes]
    for key, by_layer in stated.fields.items():
        if not nodes:
            fix = f"leave {key} out"
            yield error(IDLE, f"{key} is stated, and no node of the model spikes", fix=fix)
            continue
        for name in sorted(by_layer.keys() - {REST, *names}):
            what = f"{key} is stated for the layer {name!r:.80}, which is not a spiking layer"
            yield error(LAYER, what, fix=f"name one of {', '.join(map(repr, names)):.200}")
        if REST in by_layer and set(names) <= by_layer.keys():
            what = f"{key} = {by_layer[REST]} is for no layer: each has a value of its own"
            yield error(IDLE, what, fix=f"leave {key} = {by_layer[REST]} out")
    if stated.producer is None:
        return
    says_all = nodes and all(key in n.metadata for n in nodes for key in RULE_WORDS)
    what = f"the producer {stated.producer} would change nothing"
    if graph.is_ours or (says_all and stated.producer == NIR.name):
        why = "the file states how its neurons compute in its metadata"
        yield error(IDLE, what, why=why, fix="leave the producer out")
    elif not any(n.kind in DIALECTS[stated.producer].kinds for n in graph.nodes.values()):
        why = f"none of its nodes is of a kind that {DIALECTS[stated.producer].framework} writes"
        yield error(IDLE, what, why=why, fix="leave the producer out")


def _produced(dialect: Dialect) -> Finding:
    lost = f"; the file does not contain {dialect.lost}" if dialect.lost else ""
    return info(
        BY_PRODUCER,
        f"the neurons are read as {dialect.framework}'s: {dialect.means}{lost}",
        why="the producer is stated by the caller, not by the file",
    )


def _other(stated: Dialect, dialect: Dialect, mark: Mark) -> Finding:
    return warning(
        LIKELY,
        f"the neurons are read as {stated.framework}'s, and the file is {mark.certainty} from "
        f"{dialect.framework}: {mark.what}",
        fix=f"give --producer {dialect.name} if {dialect.framework} wrote it",
    )


def _by_option(
    key: str, nodes: Sequence[RawNode], silent: Sequence[RawNode], stated: Statements
) -> Iterator[Finding]:
    """Yield a finding for each value of a field that the caller states."""
    by_value: dict[Any, list[RawNode]] = {}
    for node in silent:
        if (value := stated.of(key, node.name)) is not None:
            by_value.setdefault(value, []).append(node)
    for value, of in by_value.items():
        means = f" ({MEANS[value]})" if key in RULE_WORDS else ""
        yield info(
            BY_OPTION,
            f"{key} = {value}{means} is stated by the caller, not by the file{_where(nodes, of)}",
        )


def _unstated(
    graph: RawGraph, nodes: Sequence[RawNode], missing: dict[str, list[RawNode]]
) -> Finding:
    keys = [key for key, of in missing.items() if of]
    lacking = [n for n in nodes if any(n in of for of in missing.values())]
    options = " and ".join(f"--{key} {'|'.join(RULE_WORDS[key])}" for key in keys)
    readings = "; ".join(f"{d.name}: {d.means}" for d in DIALECTS.values())
    guess = likely(graph)
    if guess is None:
        origin, first = "no mark in it tells its producer", "--producer NAME, the one that wrote it"
    else:
        dialect, mark = guess
        origin = f"it is {mark.certainty} from {dialect.framework}: {mark.what}"
        first = f"--producer {dialect.name} if {dialect.framework} wrote it"
    return error(
        UNSTATED,
        f"the file does not state how its neurons {' and '.join(VERBS[key] for key in keys)}"
        f"{_where(nodes, lacking)}",
        why=f"{origin}. The producers mean different neurons by the same file: {readings}",
        fix=f"give {first}, or {options}",
    )


def _as_nir(dialect: Dialect, mark: Mark, severity: Callable[..., Finding]) -> Finding:
    """Return the finding for a file whose marks tell a producer, and that is read as NIR's."""
    return severity(
        LIKELY,
        f"the membranes are read by NIR's printed equations, and the file is {mark.certainty} from "
        f"{dialect.framework}: {mark.what}",
        why=f"the neurons of {dialect.framework} compute other equations",
        fix=f"give --producer {dialect.name} if {dialect.framework} wrote it, or --producer nir",
    )


def shown_as_nir(finding: Finding) -> Finding:
    """Return the error about a missing rule as a warning, for a file that is only displayed."""
    what = finding.what
    if finding.code == UNSTATED:
        what += "; it is shown as NIR's printed equations"
    return dataclasses.replace(finding, severity="warning", what=what)


def _where(nodes: Sequence[RawNode], some: Sequence[RawNode]) -> str:
    """Return the names of the layers in words, or nothing if all are meant."""
    if len(some) == len(nodes):
        return ""
    return f" (layers {', '.join(repr(n.name) for n in some)})"
