"""A model as it was read from a .nir file."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .files import reading
from .findings import Finding, InputError, NrfError, UsageError, error
from .kinds import demand_kind
from .network import Network
from .typed import demand_number, wrong


@dataclass(frozen=True, eq=False)
class Model:
    """A network as it was read, with what reading had to say and the hash of its file."""

    network: Network
    findings: tuple[Finding, ...] = ()
    sha256: str | None = None

    def __repr__(self) -> str:
        return f"<Model of {self.network!r}, {len(self.findings)} findings>"


RULE_CODES = "NIR-RULE-"
"""Prefix of the codes of findings on the origin of a model's reset and firing rule."""


def rule_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return those of some findings that say where the reset and the firing rule come from."""
    return tuple(f for f in findings if f.code.startswith(RULE_CODES))


def as_model(given: object, reset: str | None = None, fires: str | None = None) -> Model:
    """A Model, a Network as one, or the one in a .nir file that states its time step.

    `reset` and `fires` are of a file, as in `read`: a model that was read has its own.
    """
    if isinstance(given, str | Path):
        return read(given, reset=reset, fires=fires)
    if isinstance(given, Model | Network):
        if reset is not None or fires is not None:
            what = f"reset and fires are given beside {given!r:.80}, which was read already"
            fix = "give them to nrf_deploy.read(path, reset=..., fires=...)"
            raise UsageError(error("ARGUMENT-TYPE", what, fix=fix))
        return given if isinstance(given, Model) else Model(given)
    fix = "pass what nrf_deploy.read(path, dt=...) gives, or a .nir path"
    raise wrong(given, "a model", fix)


def read(
    path: str | Path,
    dt: float | None = None,
    *,
    reset: str | None = None,
    fires: str | None = None,
) -> Model:
    """Read a .nir file. It must state its time step, or `dt` must.

    `reset` ("value", "subtract") and `fires` ("above": v > v_threshold, "at": v >= v_threshold)
    hold for all spiking neurons whose reset and firing rule the file does not state. Where
    nobody states them they are "value" and "above", and a warning says so.
    """
    from . import nir_io

    if dt is not None:
        demand_number("dt", dt, "a number")
    demand_kind(path, "graph")
    data = _content(path, nir_io.LIMITS.size)
    try:
        network, findings = nir_io.read(io.BytesIO(data), dt=dt, reset=reset, fires=fires)
    except NrfError as refusal:
        raise refusal.of(path) from refusal
    return Model(network, tuple(findings), hashlib.sha256(data).hexdigest())


def _content(path: str | Path, limit: int) -> bytes:
    """The bytes that are both parsed and hashed, whatever becomes of the file meanwhile."""
    with reading(path) as stream:
        if stream.seek(0, os.SEEK_END) <= limit:
            stream.seek(0)
            return stream.read()
        raise InputError(
            error(
                "NIR-TOO-LARGE",
                f"{path} has more than {limit:,} bytes, the limit",
                fix="use a smaller model; in Python, nir_io.read takes limits=Limits(size=...)",
            )
        )
