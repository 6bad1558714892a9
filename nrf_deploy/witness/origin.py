"""The first link of the chain for a model: replayed, stated, or unknown.

`trained_of` is the one place where a witness is replayed. `read`, `check`, `compile`, `export`
and `inspect` call it, so that no reading of a file leads to a bundle without it: the result is
kept for the model's own objects, and a model whose network was exchanged is replayed anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args
from weakref import WeakKeyDictionary

from nrf_deploy.diagnostics.findings import Finding, InputError, error, warning
from nrf_deploy.io.model import Model, rule_findings
from nrf_deploy.io.nir import digest
from nrf_deploy.io.rule_options import Producer
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.trained import UNKNOWN, Trained
from nrf_deploy.ir.witness import Witness

from .cause import cause
from .cut import with_undecided, within
from .replay import Replay, replay

UNSTATED = "NIR-RULE-UNSTATED"
SEARCHED = 512
"""Steps after the first difference on which another reading must be equal."""

_REPLAYED: WeakKeyDictionary[Network, tuple[tuple[Witness, ...], Trained]] = WeakKeyDictionary()


def trained_of(model: Model) -> Trained:
    """Return the first link of a model; refuse a model that differs from its witness."""
    witnesses = witnesses_of(model)
    if not witnesses:
        return stated(model.sha256, model.findings)
    kept = _REPLAYED.get(model.network)
    if kept is not None and _same(kept[0], witnesses):
        return kept[1]
    result = replay(model.network, witnesses, hash_of(witnesses))
    if result.first is not None:
        raise InputError(differs(model.network, witnesses, result))
    trained = result.trained
    if trained.state != "exact":  # a witness without any spike proves nothing
        trained = stated(model.sha256, model.findings)
    elif model.recordings:  # of a user, who may have stated a rule that they do not decide
        trained = with_undecided(model.network, model.recordings, trained)
    elif not witnesses[0].potentials:
        trained = with_undecided(model.network, witnesses, trained)
    _REPLAYED[model.network] = (witnesses, trained)
    return trained


def witnesses_of(model: Model) -> tuple[Witness, ...]:
    """Return the witness of a model's file, and those that were read beside it."""
    return (*(() if model.witness is None else (model.witness,)), *model.recordings)


def stated(sha256: str | None, findings: Iterable[Finding]) -> Trained:
    """Return the first link of a model without a witness.

    Args:
        sha256: the hash of its file; None without a file
        findings: those of reading
    """
    codes = {f.code for f in rule_findings(findings)}
    if UNSTATED in codes or (sha256 is None and not codes):
        return UNKNOWN
    return Trained(state="stated")


def other_producer(witnesses: Sequence[Witness], producer: str | None) -> Iterator[Finding]:
    """Yield a warning if a recording names another framework than the one that is stated."""
    named = next((w.producer for w in witnesses), "")
    if producer is not None and named in get_args(Producer) and named != producer:
        yield warning(
            "WITNESS-PRODUCER",
            f"the file is read as {producer}'s, and the recording names {named}",
            why="the two compute other neurons from one file, or the recording is of another model",
            fix=f"give --producer {named}, or take the recording of this model",
        )


def hash_of(witnesses: Iterable[Witness]) -> str:
    """Return the SHA-256 of witnesses: of one its own, of several that of theirs."""
    hashes = [digest(w) for w in witnesses]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def differs(network: Network, witnesses: tuple[Witness, ...], result: Replay) -> Finding:
    """Return the error for a model that differs from its witness, with the likely cause."""
    first, witness = result.first, witnesses[result.sample]
    assert first is not None
    steps = max(first.step + 1, within(network, witness, first.step + SEARCHED))
    likely = cause(network, witness, first, steps)
    sample = f"sample {result.sample}: " if len(witnesses) > 1 else ""
    return error(
        "WITNESS-DIFFERS",
        f"the model as read is not what {witness.producer} ran: {sample}{first.what}",
        why=f"layer {first.layer!r} would be {likely.words}" if likely.readings else likely.words,
        fix=likely.fix,
        layer=first.layer,
        neuron=first.neuron,
        step=first.step,
    )


def _same(kept: tuple[Witness, ...], witnesses: tuple[Witness, ...]) -> bool:
    return len(kept) == len(witnesses) and all(a is b for a, b in zip(kept, witnesses, strict=True))
