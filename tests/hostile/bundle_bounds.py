"""Bundles whose programs point outside their arrays, and bundles with hostile names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bundles import Parts, called, pack, unpack
from .case import INPUT, MISSING, TARGET, USAGE, Box, Case, Family
from .samples import Sample
from .values import TEXTS, Rng, chance, integer, pick

FAR = (-1, -2, -(2**20), -(2**31), -(2**40), 1100, 10**5, 10**6, 10**7, 2**31 - 1, 2**31,
       2**32 + 1, 2**40, 2**62)  # fmt: skip


def out_of_bounds(box: Box) -> Case:
    """Draw rows, columns, weights and delays of one connection; the shapes stay as declared."""
    rng = box.rng
    kind = pick(rng, ("program.Sparse", "program.Dense", "program.Conv"))
    sample, parts, synapses = _with(box, kind)
    if kind != "program.Conv" and chance(rng, 0.4) and _lone(parts):
        _enlarge(parts, synapses, int(pick(rng, (50, 300, 1000))))
    change = {"program.Sparse": _sparse, "program.Dense": _dense, "program.Conv": _conv}[kind]
    about = change(rng, parts, synapses)
    return called(box, pack(parts), sample, about)


def _with(box: Box, kind: str) -> tuple[Sample, Parts, dict[str, Any]]:
    order = box.rng.permutation(len(box.samples.bundles))
    for k in order:
        sample = box.samples.bundles[int(k)]
        parts = unpack(sample.bundle)
        suiting = [s for s in parts.program["synapses"] if s["type"] == kind]
        if suiting:
            return sample, parts, pick(box.rng, suiting)
    raise LookupError(f"no sample has a {kind}")


def _lone(parts: Parts) -> bool:
    program = parts.program
    return all(len(program[k]) == 1 for k in ("ports", "populations", "synapses"))


def _enlarge(parts: Parts, synapses: dict[str, Any], n: int) -> None:
    """Build one connection between n inputs and n neurons, which is sound."""
    program = parts.program
    for held in (program["ports"][0], program["populations"][0]):
        held["shape"] = [n]
    for node in parts.network["nodes"]:
        if node["type"] == "network.Input":
            node["port_shape"] = [n]
    params = program["populations"][0]["params"]["map"]
    for key, value in params.items():
        if isinstance(value, dict):
            params[key] = int(np.resize(parts.arrays[value["array"]], 1)[0])
    synapses["source_shape"] = synapses["target_shape"] = [n]
    if synapses["type"] == "program.Dense":
        synapses["weight"] = parts.add(np.eye(n, dtype=np.int8))
        synapses["delays"] = None
    else:
        at = np.arange(n)
        synapses["weight"] = parts.add(np.full(n, 3, np.int8))
        synapses["row"], synapses["column"] = parts.add(at), parts.add(at[::-1].copy())


def _own(parts: Parts, synapses: dict[str, Any], key: str) -> np.ndarray[Any, Any]:
    """Copy an array of these synapses, to be changed and put back."""
    return parts.arrays[synapses[key]["array"]].astype(np.int64)


def _sparse(rng: Rng, parts: Parts, synapses: dict[str, Any]) -> str:
    key = pick(rng, ("row", "row", "row", "column", "weight"))
    value = _own(parts, synapses, key)
    if key == "weight" or chance(rng, 0.15):
        value = value[: int(rng.integers(len(value) + 1))]
        synapses[key] = parts.add(value)
        return f"{len(value)} of {key}"
    size = int(np.prod(synapses["target_shape" if key == "row" else "source_shape"]))
    far = int(pick(rng, (size, size + 1, 2 * size, *FAR)))
    value[: int(rng.integers(1, len(value) + 1))] = far
    synapses[key] = parts.add(value)
    return f"{key} of {far}, the end is {size}"


def _dense(rng: Rng, parts: Parts, synapses: dict[str, Any]) -> str:
    weight = _own(parts, synapses, "weight")
    out, into = weight.shape
    match int(rng.integers(5)):
        case 0:
            rows = int(pick(rng, (out + 1, 2 * out, 1500, 20_000)))
            grown = np.zeros((rows, into), np.int8)
            grown[: min(rows, out)] = 1
            grown[-1] = 5
            synapses["weight"] = parts.add(grown)
            return f"{rows} rows for {out} targets"
        case 1:
            columns = int(pick(rng, (into + 1, 2 * into, max(1, into - 1), 1500)))
            synapses["weight"] = parts.add(np.ones((out, columns), np.int8))
            return f"{columns} columns for {into} sources"
        case 2:
            synapses["weight"] = parts.add(weight[: int(rng.integers(out + 1))])
            return "fewer rows"
        case 3:
            shape = pick(rng, ((out, into), (into, out), (out,), (1, into), (out, into, 1)))
            delays = np.zeros(shape, np.int64)
            delays.flat[: max(1, delays.size // 3)] = pick(rng, (1, 2, 63))
            synapses["delays"] = parts.add(delays)
            return f"delays of the shape {shape}"
    value = int(pick(rng, (-1, -2, -64, -(2**20), -(2**40), 0, 5, 2**12, 2**16, 2**20, 2**26,
                           2**31, 2**40, 2**62)))  # fmt: skip
    delays = np.zeros((out, into), np.int64)
    delays.flat[int(rng.integers(delays.size))] = value
    synapses["delays"] = parts.add(delays)
    return f"a delay of {value}"


def _conv(rng: Rng, parts: Parts, synapses: dict[str, Any]) -> str:
    match int(rng.integers(5)):
        case 0:
            weight = _own(parts, synapses, "weight")
            shape = pick(rng, (weight.shape[:3], (*weight.shape, 1), weight.shape[1:],
                               weight.shape[::-1], (0, *weight.shape[1:])))  # fmt: skip
            synapses["weight"] = parts.add(np.resize(weight, shape))
            return f"a kernel of the shape {shape}"
        case 1:
            synapses["groups"] = int(pick(rng, (0, -1, 2, 3, 7, 2**31, 2**62)))
            return f"{synapses['groups']} groups"
        case 2:
            key = pick(rng, ("stride", "dilation"))
            at = int(rng.integers(len(synapses[key])))
            synapses[key][at] = int(pick(rng, (0, -1, 2, 100, 2**31, 2**62)))
            return f"{key} {synapses[key]}"
        case 3:
            pads = pick(rng, synapses["padding"])
            pads[int(rng.integers(2))] = int(pick(rng, (-1, -5, 1, 50, 2**20, 2**31, 2**62)))
            return f"padding {synapses['padding']}"
    at = int(rng.integers(len(synapses["input_size"])))
    synapses["input_size"][at] = integer(rng, synapses["input_size"][at])
    return f"an input of {synapses['input_size']}"


# --- names ------------------------------------------------------------------------


def hostile_names(box: Box) -> Case:
    """Put one or two names at all their places, for tables, pages, XML and errors."""
    rng, sample = box.rng, pick(box.rng, box.samples.compiled)
    parts = unpack(sample.bundle)
    known = sorted({n["name"] for n in parts.network["nodes"]})
    known += [p["name"] for p in parts.program["populations"]]
    changes = {pick(rng, known): pick(rng, TEXTS) for _ in range(int(rng.integers(1, 3)))}
    parts.content = _renamed(parts.content, changes)
    if chance(rng, 0.25):
        key = pick(rng, ("tool_version", "chip", "target", "source_sha256"))
        parts.manifest[key] = pick(rng, TEXTS)
        changes[key] = parts.manifest[key]
    about = f"{sample.name}: names {changes!r:.150}"
    bundle = box.put("b.nrfb", pack(parts))
    pair = (bundle, "--input", box.put("in.npz", sample.recording.read_bytes()))
    beside = frozenset({1})
    refusals = frozenset({1, USAGE, INPUT, TARGET, MISSING})
    match int(rng.integers(7)):
        case 0 | 1:
            more = ("--attribute",) if chance(rng, 0.3) else ()
            words = ("verify", *pair, "--report", "out/r.html", "--junit", "out/j.xml", *more)
            return Case(words, about, refusals, beside, ("out/r.html", "out/j.xml"))
        case 2:
            return Case(("verify", *pair, "--json"), about, refusals, beside)
        case 3:
            return Case(("inspect", bundle, "--cores"), about, refusals)
        case 4:
            return Case(
                ("run", *pair, "-o", "out/o.npz"), about, refusals, golden=(bundle, pair[2])
            )
        case 5:
            layers = ("--layer", pick(rng, (*changes.values(), "x")))
            words = ("run", *pair, "-o", "out/o.npz", "--engine", "reference")
            return Case((*words, *layers), about, refusals)
    return Case(("verify", *pair, "--engine", "all"), about, refusals, beside)


def _renamed(tree: Any, changes: dict[str, str]) -> Any:
    if isinstance(tree, dict):
        keep = {"type", "model", "arithmetic"}
        return {
            changes.get(k, k): v if k in keep else _renamed(v, changes) for k, v in tree.items()
        }
    if isinstance(tree, list):
        return [_renamed(v, changes) for v in tree]
    return changes.get(tree, tree) if isinstance(tree, str) else tree


FAMILIES = (
    Family(
        "bundle-bounds", "rows, weights, kernels, delays out of bounds", out_of_bounds, 1000, 36
    ),
    Family("bundle-names", "hostile names everywhere they stand", hostile_names, 450, 15),
)
