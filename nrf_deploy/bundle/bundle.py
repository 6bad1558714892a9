"""A bundle: one file with a model, its integers, their placement, and how they were chosen.

It is a zip archive: manifest.json (schema, tool, chip, and the SHA-256 of every other
member), content.json (the objects, as codec.py writes them), arrays/NNNN.npy, and the
vendor's files under artefacts/. The same inputs give the same bytes, on any machine.
Integers are int64 in memory, and stored in the narrowest type that holds their array.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from nrf_deploy.compiler.passes import Step
from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.compiler.quantize.scheme import ConnectionScheme, PopulationScheme, Scheme
from nrf_deploy.diagnostics.argument_types import demand
from nrf_deploy.diagnostics.findings import Finding, InputError, NrfError, UsageError, error
from nrf_deploy.engines.emulator.soundness import BROKEN
from nrf_deploy.io.archive import (
    LIMIT,
    Archive,
    DamagedError,
    TooLargeError,
    from_npy,
    to_npy,
    write,
)
from nrf_deploy.io.files import reading, write_atomically
from nrf_deploy.ir import network as net
from nrf_deploy.ir import program as prog
from nrf_deploy.ir.field_types import fits
from nrf_deploy.ir.network import Array, Network
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.trained import UNKNOWN, Trained
from nrf_deploy.neurons import MEMBRANES, PARTS, RULES

from . import bundle_v2
from .codec import Codec, from_json, to_json

FORMAT = "nrf-deploy bundle"
LOOP_START = "loop_start"
"""A field of the network that is stored only where it matters. Bundles without it are older than
this field; their loops start at zero."""
TRAINED = "trained"
"""A piece that is stored only for a model with a witness; without one it follows from the rest."""
SCHEMA = "3"
"""2 had a name for each kind of neurons; 1 stored every integer array as it was in memory."""
READ = (bundle_v2.SCHEMA, SCHEMA)

_PIECES = {
    "network": Network,
    "steps": tuple[Step, ...],
    "scheme": Scheme,
    "program": Program,
    "placement": Placement,
    "findings": tuple[Finding, ...],
}
_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*", re.ASCII)


@cache
def _codec() -> Codec:
    return Codec(
        {f"network.{kind}": cls for kind, cls in net.KINDS.items()}
        | {
            "network.Network": Network,
            "network.Population": net.Population,
            **{f"neurons.{cls.__name__}": cls for cls in (*MEMBRANES, *RULES, *PARTS)},
            "program.Program": Program,
            "program.Port": prog.Port,
            "program.Dense": prog.Dense,
            "program.Sparse": prog.Sparse,
            "program.Conv": prog.Conv,
            "program.Population": prog.Population,
            "program.Origin": prog.Origin,
            "placement.Placement": Placement,
            "placement.Piece": Piece,
            "scheme.Scheme": Scheme,
            "scheme.Rules": Rules,
            "scheme.LayerRules": LayerRules,
            "scheme.Connection": ConnectionScheme,
            "scheme.Population": PopulationScheme,
            "legalise.Step": Step,
            "findings.Finding": Finding,
            "witness.Trained": Trained,
        }
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Bundle:
    """A compiled model: the content of its chip, and how it was made.

    Attributes:
        network: The model as it was read.
        source_sha256: The SHA-256 of its .nir file; None without a file.
        chip: The full name of the chip.
        target: The name of the target that compiled it.
        steps: The rewrites before lowering, each with its findings.
        scheme: How the integers were chosen.
        program: The integers.
        placement: Which core holds what.
        findings: What was reported on the way.
        tool_version: The version of nrf-deploy that compiled it.
        artefacts: The vendor's files by name ("speck/config.json"), byte for byte.
        trained: How it is known that the model as read is what was trained: exact on the
            steps of a witness, stated, or unknown.
    """

    network: Network
    source_sha256: str | None  # of the .nir file; None without a file
    chip: str
    target: str
    steps: tuple[Step, ...]
    scheme: Scheme
    program: Program
    placement: Placement
    findings: tuple[Finding, ...]
    tool_version: str
    artefacts: Mapping[str, bytes] = field(default_factory=dict)
    trained: Trained = UNKNOWN

    @cached_property
    def kept(self) -> dict[str, Any]:
        """Objects that are built once and used again, such as the engine; they are not saved."""
        return {}

    def __repr__(self) -> str:
        return f"<Bundle for {self.chip}: {self.network!r}, {self.program!r}>"

    def _repr_html_(self) -> str:
        """Return the facts, the layers and the findings as tables for a notebook."""
        from nrf_deploy.diagnostics.notebook import Table, page

        placement = self.placement
        facts = [
            ("target", self.target),
            ("model", self.source_sha256 or "made in memory"),
            ("trained = read", self.trained.text),
            ("dt", f"{self.network.dt:g}"),
            ("cores", f"{placement.used_cores:,} of {placement.cores:,}"),
            ("rewrites", ", ".join(s.rewrite for s in self.steps if s.findings) or "none"),
            ("made by", f"nrf-deploy {self.tool_version}"),
        ]
        cores: dict[str, set[int]] = {}
        for piece in placement.pieces:
            cores.setdefault(piece.population, set()).add(piece.core)
        late = {o.population: o.latency for o in self.program.origins}
        rows = [
            (
                p.name,
                p.model,
                "x".join(map(str, p.shape)) or "1",
                p.size,
                len(cores.get(p.name, ())),
                late.get(p.name, ""),
            )
            for p in self.program.populations
        ]
        heads = ("population", "model", "shape", "neurons", "cores", "latency in steps")
        findings = [f for f in self.findings if f.severity != "info"]
        tables = (Table(("bundle", ""), facts), Table(heads, rows))
        return page(f"Bundle for {self.chip}", *tables, findings=findings)

    def faults(self) -> Iterator[str]:
        """Yield in words each piece that is unsound or does not fit another."""
        from .faults import faults

        yield from faults(self)
        yield from self.trained.faults()
        for name in self.artefacts:
            if not _NAME.fullmatch(name):
                yield f"an artefact has the name {name!r}"


def save(bundle: Bundle, path: str | os.PathLike[str]) -> None:
    """Write a bundle to a file, whole or not at all: the same bytes for the same bundle.

    Args:
        bundle: What `compile` returns.
        path: The file to write (.nrfb).

    Raises:
        UsageError: An unsound bundle (a ValueError), an argument of a wrong type (a
            TypeError), or a file that cannot be written.
    """
    fix = 'pass what nrf_deploy.compile(model, "CHIP") gives'
    demand(bundle, Bundle, "a bundle", fix)
    if faults := _faults(bundle):
        raise UsageError(error("BUNDLE-UNSOUND", f"the bundle is not sound: {f}") for f in faults)
    pieces = {name: getattr(bundle, name) for name in _PIECES}
    if bundle.trained.state == "exact":
        pieces[TRAINED] = bundle.trained
    if not _fit(pieces):
        raise TypeError("the pieces of the bundle are not of their types")
    tree, arrays = _codec().encode(pieces)
    if not bundle.network.biased_loops:
        del tree["map"]["network"][LOOP_START]
    members: dict[str, tuple[bytes | memoryview, ...]] = {"content.json": (to_json(tree),)}
    members |= {f"arrays/{name}.npy": to_npy(_narrow(array)) for name, array in arrays.items()}
    members |= {f"artefacts/{n}": (bundle.artefacts[n],) for n in sorted(bundle.artefacts)}
    manifest = {
        "format": FORMAT,
        "schema_version": SCHEMA,
        "tool_version": bundle.tool_version,
        "chip": bundle.chip,
        "target": bundle.target,
        "source_sha256": bundle.source_sha256,
        "members": {name: _sha256(*parts) for name, parts in members.items()},
    }
    first = ("manifest.json", (to_json(manifest, indent=1),))
    write_atomically(path, lambda stream: write(stream, [first, *members.items()]))


def content_hash(program: Program) -> str:
    """Return the SHA-256 of a program's integers: the same for the same program."""
    tree, arrays = _codec().encode(program)
    parts: list[bytes | memoryview] = [to_json(tree)]
    for name, array in arrays.items():
        parts += [name.encode(), *to_npy(_narrow(array))]
    return _sha256(*parts)


def load(path: str | os.PathLike[str], *, limit: int = LIMIT) -> Bundle:
    """Read a bundle from a file that anyone may have written.

    Args:
        path: The file that `save` wrote (.nrfb).
        limit: The most bytes that its members may declare. Default: 1 GiB.

    Returns:
        The Bundle.

    Raises:
        MissingFileError: The file does not exist (a FileNotFoundError).
        InputError: A file that is damaged, hostile or unsound (a ValueError).
    """
    with reading(path) as stream:
        try:
            archive = Archive(stream, limit=limit, stored=True)
            manifest = _manifest(archive, path)
            members = _members(archive, manifest)
            content = _json(members.pop("content.json"), "content.json")
            if manifest["schema_version"] == bundle_v2.SCHEMA:
                content = bundle_v2.upgraded(content)
            arrays = _arrays(members, limit)
        except DamagedError as damage:
            raise damage.refusal(path, "BUNDLE") from damage
    pieces = _codec().decode(content, arrays)
    if not _fit(pieces):
        what = f"{os.fspath(path)} does not hold the pieces of a bundle"
        raise InputError(error("BUNDLE-CONTENT", what))
    from nrf_deploy.witness.origin import stated  # loads h5py, which targets do not need

    origin = stated(manifest["source_sha256"], pieces["findings"])
    bundle = Bundle(
        **{TRAINED: origin, **pieces},
        **{k: manifest[k] for k in ("source_sha256", "chip", "target", "tool_version")},
        artefacts={name.removeprefix("artefacts/"): data for name, data in members.items()},
    )
    if faults := _faults(bundle):
        raise InputError(error("BUNDLE-UNSOUND", f"{os.fspath(path)}: {f}") for f in faults)
    if bundle.network.biased_loops and LOOP_START not in content["map"]["network"]:
        return replace(bundle, network=replace(bundle.network, loop_start="zero"))
    return bundle


def _fit(pieces: Any) -> bool:
    return (
        isinstance(pieces, dict)
        and pieces.keys() - {TRAINED} == _PIECES.keys()
        and all(fits(pieces[name], hint) for name, hint in _PIECES.items())
        and fits(pieces.get(TRAINED, UNKNOWN), Trained)
    )


def _faults(bundle: Bundle) -> list[str]:
    """List the faults; if the check itself fails on the pieces, return this as the fault."""
    try:
        return list(bundle.faults())
    except NrfError:
        raise
    except (*BROKEN, MemoryError, RecursionError) as problem:
        return [f"its pieces make no sense ({problem!r:.200})"]


def _manifest(archive: Archive, path: str | os.PathLike[str]) -> dict[str, Any]:
    if next(iter(archive.sizes), None) != "manifest.json":
        raise DamagedError("is not a bundle: it does not begin with a manifest.json")
    manifest = _json(archive.read("manifest.json"), "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DamagedError("is not a bundle: its manifest has another format")
    version = manifest.get("schema_version")
    if version not in READ:
        raise InputError(
            error(
                "BUNDLE-SCHEMA",
                f"{os.fspath(path)} has the schema {version!r:.20}, "
                f"written by nrf-deploy {manifest.get('tool_version')!r:.20}; "
                f"this one reads the schemas {' and '.join(map(repr, READ))}",
                fix="update nrf-deploy, or compile the model anew",
            )
        )
    text = ("tool_version", "chip", "target")
    if not all(isinstance(manifest.get(key), str) for key in text):
        raise DamagedError("has a manifest without its tool, chip or target")
    if not fits(manifest.get("source_sha256"), str | None):
        raise DamagedError("has a manifest whose source_sha256 is not text")
    if not fits(manifest.get("members"), Mapping[str, str]):
        raise DamagedError("has a manifest that does not list its members")
    return manifest


def _members(archive: Archive, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return the members without the manifest; refuse any that differ from its list."""
    listed: dict[str, str] = manifest["members"]
    stored = [name for name in archive.sizes if name != "manifest.json"]
    if differ := sorted(set(stored) ^ set(listed)):
        raise DamagedError(f"and its manifest differ in their members: {', '.join(differ):.200}")
    if strange := [n for n in stored if not _NAME.fullmatch(n) or not _known(n)]:
        raise DamagedError(
            f"holds members that no bundle has: {', '.join(map(repr, strange)):.200}"
        )
    if "content.json" not in stored:
        raise DamagedError("holds no content.json")
    members = {name: archive.read(name) for name in stored}
    if changed := [name for name in stored if _sha256(members[name]) != listed[name]]:
        raise DamagedError(f"was changed: {', '.join(changed):.200} is not what was written")
    return members


def _arrays(members: dict[str, bytes], limit: int) -> dict[str, Array]:
    """Move the arrays out of `members`; the limit also holds for widened integers."""
    arrays: dict[str, Array] = {}
    total = 0
    for name in [n for n in members if n.startswith("arrays/")]:
        array = from_npy(members.pop(name))
        total += array.size * 8 if array.dtype.kind in "iu" else array.nbytes
        if total > limit:
            raise TooLargeError(f"holds more than {limit:,} bytes of arrays, the limit")
        arrays[name.removeprefix("arrays/").removesuffix(".npy")] = _wide(array)
    return arrays


def _narrow(array: Array) -> Array:
    """Return integers in the narrowest signed type; return other arrays unchanged."""
    if array.dtype.kind not in "iu" or array.dtype == np.uint64:
        return array
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    fits = (t for t in (np.int8, np.int16, np.int32) if np.iinfo(t).min <= low)
    return array.astype(next((t for t in fits if high <= np.iinfo(t).max), np.int64))


def _wide(array: Array) -> Array:
    """Return integers in the type that the toolchain computes with."""
    narrow = array.dtype.kind in "iu" and array.dtype != np.uint64
    return array.astype(np.int64, copy=False) if narrow else array


def _known(name: str) -> bool:
    return (
        name == "content.json"
        or name.startswith("artefacts/")
        or (name.startswith("arrays/") and name.endswith(".npy"))
    )


def _json(data: bytes, name: str) -> Any:
    try:
        return from_json(data)
    except ValueError as problem:
        raise DamagedError(f"holds a {name} that is not JSON ({problem})") from problem


def _sha256(*parts: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
