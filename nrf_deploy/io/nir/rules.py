"""Reset and firing rule of spiking neurons, for which NIR has no field.

A node states it in its metadata (`reset`, `fires`), or the caller states it for every spiking
node of the file. Without either the definition of NIR applies, with a finding, since the
frameworks that write NIR interpret the same file differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nrf_deploy.diagnostics.findings import Finding, UsageError, error, info, refuse, warning
from nrf_deploy.neurons import Spikes

from .beyond import WORDS, words
from .fields import Fields
from .graph import RawGraph, RawNode

RULE_WORDS = {key: words(Spikes, field) for field, key in WORDS[Spikes].items()}
"""The words of each key; the first is the default."""
UNSTATED, BY_OPTION, RESET_ZERO = "NIR-RULE-UNSTATED", "NIR-RULE-OPTION", "NIR-RULE-RESET-ZERO"
MEANS = {
    "value": "set the potential to v_reset",
    "subtract": "subtract v_threshold from the potential",
    "above": "v > v_threshold",
    "at": "v >= v_threshold",
}
VERBS = {"reset": "reset", "fires": "fire"}
READ = {
    "reset": "a reset to a value (not subtract)",
    "fires": "v > v_threshold (not v >= v_threshold)",
}

Rules = Mapping[str, str]
"""Statements of the caller: some of the keys of `RULE_WORDS`, each with one of its words."""


def rules(reset: str | None, fires: str | None) -> Rules:
    """Return the statements of the caller; refuse an unknown word."""
    options = {"reset": reset, "fires": fires}
    stated = {key: word for key, word in options.items() if word is not None}
    refuse(
        (
            error(
                "RULE-UNKNOWN",
                f"{key} is {word!r}; expected {' or '.join(RULE_WORDS[key])}",
                fix=f"give --{key} {'|'.join(RULE_WORDS[key])}",
            )
            for key, word in stated.items()
            if word not in RULE_WORDS[key]
        ),
        UsageError,
    )
    return stated


def rule(f: Fields, stated: Rules) -> dict[str, str] | None:
    """Return the reset and firing rule of neurons; None (and an error) if they are unclear."""
    words = {key: f.word(key) for key in RULE_WORDS}
    sound = True
    for key, word in words.items():
        if word is not None and (not isinstance(word, str) or word not in RULE_WORDS[key]):
            f.error(
                f"NIR-{key.upper()}", f"{key} is {word!r}; expected {' or '.join(RULE_WORDS[key])}"
            )
            sound = False
        elif word is not None and stated.get(key, word) != word:
            f.error(
                f"NIR-{key.upper()}-CONFLICT",
                f"{key} is {word} according to the file, {stated[key]} according to the caller",
                fix=f"leave --{key} out, or export the model again",
            )
            sound = False
    if not sound:
        return None
    return {key: words[key] or stated.get(key) or RULE_WORDS[key][0] for key in RULE_WORDS}


def origin(graph: RawGraph, spiking: Sequence[str], stated: Rules) -> Iterator[Finding]:
    """Yield the origin of the rule of spiking nodes, unless the file states it.

    Args:
        graph: the graph of the file
        spiking: the kinds of nodes that spike
        stated: the statements of the caller for all of them
    """
    nodes = [n for n in graph.nodes.values() if n.kind in spiking]
    for key in [] if nodes else stated:
        yield error(
            "NIR-RULE-IDLE",
            f"--{key} {stated[key]} is set, and no node of the model spikes",
            fix=f"leave --{key} out",
        )
    silent = {key: [n for n in nodes if key not in n.metadata] for key in RULE_WORDS}
    missing = [key for key in RULE_WORDS if silent[key] and key not in stated]
    if missing:
        yield _unstated(nodes, silent, missing)
    for key in RULE_WORDS:
        if silent[key] and key in stated:
            word = stated[key]
            yield info(
                BY_OPTION,
                f"{key} = {word} ({MEANS.get(word, word)}) is stated by --{key}, not by the "
                f"file{_where(nodes, silent[key])}",
            )
    zero = [n for n in silent["reset"] if "v_reset" not in n.fields]
    if zero and stated.get("reset") == "value":
        yield warning(
            RESET_ZERO,
            f"--reset value resets to 0: the file has no v_reset{_where(nodes, zero)}",
        )


def _unstated(
    nodes: Sequence[RawNode], silent: Mapping[str, Sequence[RawNode]], missing: Sequence[str]
) -> Finding:
    lacking = [n for n in nodes if any(n in silent[key] for key in missing)]
    options = " ".join(f"--{key} {'|'.join(RULE_WORDS[key])}" for key in missing)
    return warning(
        UNSTATED,
        f"the file does not state how its neurons {' and '.join(VERBS[key] for key in missing)}"
        f"{_where(nodes, lacking)}: read as {' and '.join(READ[key] for key in missing)}",
        why="snnTorch and sinabs subtract the threshold, sinabs and SpikingJelly fire at "
        "v >= v_threshold; a chip runs the rules that were read",
        fix=f"read it with {options}, as it was trained, or state it in the nodes' metadata",
    )


def _where(nodes: Sequence[RawNode], some: Sequence[RawNode]) -> str:
    """Return the names of the layers in words, or nothing if all are meant."""
    if len(some) == len(nodes):
        return ""
    return f" (layers {', '.join(repr(n.name) for n in some)})"
