"""Models: networks from .nir files or from graphs of the nir library."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Unpack, cast

from nrf_deploy.diagnostics.argument_types import demand_number, wrong
from nrf_deploy.diagnostics.findings import Finding, InputError, NrfError, UsageError, error
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.witness import Witness

from .file_types import demand_kind
from .files import reading
from .rule_options import RuleOptions


@dataclass(frozen=True, eq=False)
class Model:
    """A network from a file or graph, the findings of reading, and the hash of the file.

    Attributes:
        network: The canonical float graph.
        findings: The findings of reading, such as the origin of the firing rule.
        sha256: The SHA-256 of the file as hexadecimal digits; None without a file.
        witness: The outputs of the training framework on a short input, if the file has them.
        recordings: The same from files beside it, one for each sample.
    """

    network: Network
    findings: tuple[Finding, ...] = ()
    sha256: str | None = None
    witness: Witness | None = None
    recordings: tuple[Witness, ...] = ()

    def _repr_html_(self) -> str:
        """Return the nodes and the findings of reading as tables for a notebook."""
        from nrf_deploy.diagnostics.notebook import page

        findings = [f for f in self.findings if f.severity != "info"]
        table = self.network._repr_html_()
        return table + page("Findings of reading", findings=findings) if findings else table

    def __repr__(self) -> str:
        return f"<Model of {self.network!r}, {len(self.findings)} findings>"


class NIRGraph(Protocol):
    """A graph of the nir library, for type checkers: the library is optional."""

    @property
    def nodes(self) -> Mapping[str, Any]: ...

    @property
    def edges(self) -> Iterable[Any]: ...

    def to_dict(self) -> Mapping[str, Any]: ...


RULE_CODES = "NIR-RULE-"
"""Prefix of the codes of findings on the origin of a model's reset and firing rule."""


def rule_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings on the origin of the reset and the firing rule."""
    return tuple(f for f in findings if f.code.startswith(RULE_CODES))


def as_model(source: object, dt: float | None = None, **options: Unpack[RuleOptions]) -> Model:
    """Return a Model, a Network as one, or the one in a .nir file or a nir.NIRGraph.

    `dt` and the options are for a file, as in `read`: a model has its own.
    """
    if isinstance(source, str | Path) or is_nir(source):
        return read(cast("str | Path | NIRGraph", source), dt, **options)
    if isinstance(source, Model | Network):
        every = {"dt": dt, **options}
        if extra := [name for name, value in every.items() if value is not None]:
            names = " and ".join(extra)
            what = f"{names} given beside {source!r:.80}, which is not a file"
            fix = f"give {names} to nrf_deploy.read(path, ...)"
            raise UsageError(error("ARGUMENT-TYPE", what, fix=fix))
        return source if isinstance(source, Model) else Model(source)
    fix = "pass the result of nrf_deploy.read(path, dt=...), or a .nir path"
    raise wrong(source, "a model", fix)


def read(
    model: str | Path | NIRGraph, dt: float | None = None, **options: Unpack[RuleOptions]
) -> Model:
    """Read a model as `nrf_deploy.read` does, without a replay of its witness.

    Only witness/reading.py calls this, so that no model continues without the replay.
    """
    if dt is not None:
        demand_number("dt", dt, "a number")
    if is_nir(model):
        return _parsed(_written(model), dt, **options)
    path = cast("str | Path", model)
    demand_kind(path, "graph")
    data = _content(path)
    try:
        return model_of(data, dt, **options)
    except NrfError as refusal:
        raise refusal.of(path) from refusal


def model_of(data: bytes, dt: float | None = None, **options: Unpack[RuleOptions]) -> Model:
    """Return the model in the bytes of a .nir file."""
    return replace(_parsed(data, dt, **options), sha256=hashlib.sha256(data).hexdigest())


def _parsed(data: bytes, dt: float | None, **options: Unpack[RuleOptions]) -> Model:
    from . import nir as nir_io

    stream = io.BytesIO(data)
    network, findings, witness = nir_io.read_all(stream, dt=dt, **options)
    return Model(network, tuple(findings), witness=witness)


def is_nir(thing: object) -> bool:
    """Return whether an object is of a class of the nir library, which need not be installed."""
    return any(cls.__module__.partition(".")[0] == "nir" for cls in type(thing).__mro__)


def _written(graph: object) -> bytes:
    """Return a graph of the nir library as the bytes of a .nir file; refuse what it cannot hold."""
    import nir

    if not isinstance(graph, nir.NIRGraph):
        raise wrong(graph, "a nir.NIRGraph", "pass a whole graph, or a .nir path")
    stream = io.BytesIO()
    try:
        nir.write(stream, graph, compression=None)
    except MemoryError as problem:
        raise _too_large("writing the graph needs more memory than the machine has") from problem
    except Exception as problem:  # nir and h5py raise these for a field that no file can hold
        reason = f"{type(problem).__name__}: {problem}"
        what = f"the nir library cannot write this graph: {reason:.300}"
        fix = "give each node the fields of its class, as arrays or numbers"
        raise InputError(error("NIR-GRAPH", what, fix=fix)) from problem
    if stream.seek(0, os.SEEK_END) > (limit := _size_limit()):
        raise _too_large(f"the graph has more than {limit:,} bytes, the limit")
    return stream.getvalue()


def _size_limit() -> int:
    from . import nir as nir_io

    return nir_io.LIMITS.size


def _content(path: str | Path) -> bytes:
    """Return the bytes that are both parsed and hashed, even if the file changes meanwhile."""
    limit = _size_limit()
    with reading(path) as stream:
        if stream.seek(0, os.SEEK_END) <= limit:
            stream.seek(0)
            return stream.read()
        raise _too_large(f"{path} has more than {limit:,} bytes, the limit")


def _too_large(what: str) -> InputError:
    fix = "use a smaller model; in Python, io.nir.read takes limits=Limits(size=...)"
    return InputError(error("NIR-TOO-LARGE", what, fix=fix))
