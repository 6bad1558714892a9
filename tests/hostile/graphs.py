"""NIR graphs: damaged bytes, mutated fields, and what HDF5 can store beside them."""

from __future__ import annotations

import contextlib
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np

from nrf_deploy.io.rule_options import Producer
from nrf_deploy.neurons.spikes import Reset
from tests.builders import producers
from tests.builders.nir_files import Tree, chain, conv, flatten, graph, lif, linear, pool, port, put

from .case import INPUT, TARGET, USAGE, Box, Case, Family
from .values import DTYPES, TEXTS, Rng, array, chance, damaged, integer, number, pick, shapes

CHIPS = ("loihi2", "loihi1", "speck2b", "emulator", "emulator:weight_bits=4", "speck2f")


def called(box: Box, graph: str, about: str, timed: bool = True) -> Case:
    """Draw one command that reads a graph. `timed`: the file states its time step."""
    rng = box.rng
    dt = ("--dt", pick(rng, ("1e-3", "1e-4", "1"))) if chance(rng, 0.1 if timed else 0.9) else ()
    if chance(rng, 0.6):
        dt += ("--producer", pick(rng, ("nir", *get_args(Producer))))
    if chance(rng, 0.2):
        dt += ("--reset", pick(rng, get_args(Reset)), "--fires", pick(rng, ("above", "n2=at")))
    chip = ("--target", pick(rng, CHIPS))
    refusals = frozenset({USAGE, INPUT})
    match int(rng.integers(12)):
        case 0 | 1:
            more = ("--json",) if chance(rng, 0.3) else ()
            return Case(("inspect", graph, *dt, *more), about, refusals)
        case 2:
            return Case(("check", graph, *chip, *dt), about, refusals | {TARGET})
        case 3:
            plain = box.samples.plain
            bundle = box.put("plain.nrfb", plain.bundle.read_bytes())
            words = ("run", bundle, "--input", graph, "--bin", "1e-3", "-o", "out/o.npz")
            return Case(words, f"as a recording: {about}", refusals)
        case 4:
            words = ("export", graph, "--target", "loihi2", *dt, "--as", "lava", "out/lava")
            return Case(words, about, refusals | {TARGET})
    more = ("--allow", "subtract-as-zero-reset") if chance(rng, 0.2) else ()
    words = ("compile", graph, *chip, *dt, "-o", "out/b.nrfb", *more)
    return Case(words, about, refusals | {TARGET})


# --- bytes ----------------------------------------------------------------------


def damaged_bytes(box: Box) -> Case:
    """Change bytes by flips, cuts or other bytes, often in the structure of HDF5."""
    rng, sample = box.rng, pick(box.rng, box.samples.graphs)
    data = sample.read_bytes()
    marks = (b"GCOL", b"TREE", b"SNOD", b"HEAP", b"OHDR", b"\x89HDF", b"FRHP", b"FSHD")
    if chance(rng, 0.7):
        places = [at for mark in marks for at in _all(data, mark)]
        at = pick(rng, places if chance(rng, 0.5) else _values(sample))
        end = min(len(data), at + 120)
        data = data[:at] + damaged(rng, data[at:end], most=4) + data[end:]
        about = f"{sample.parent.name}: bytes near {at}"
    else:
        data, about = damaged(rng, data), f"{sample.parent.name}: bytes"
    return called(box, box.put("m.nir", data), about, sample.name == "model.nir")


@cache
def _values(sample: Path) -> list[int]:
    """Return the starts of the numbers of its datasets."""
    found: list[int] = []

    def visit(_: str, held: h5py.Dataset | h5py.Group) -> None:
        if isinstance(held, h5py.Dataset) and (at := held.id.get_offset()) is not None:
            found.append(at)

    with h5py.File(sample) as file:
        file.visititems(visit)
    return found


def _all(data: bytes, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0 and len(found) < 200:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


# --- fields ---------------------------------------------------------------------


def _cuba(n: int) -> Tree:
    values = {"tau_syn": 0.004, "tau_mem": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.5,
              "v_reset": 0.0, "w_in": 1.0}  # fmt: skip
    return {"type": "CubaLIF"} | {k: np.full(n, v, np.float32) for k, v in values.items()}


def _if(*shape: int) -> Tree:
    values = {"r": 1.0, "v_threshold": 1.0, "v_reset": 0.0}
    return {"type": "IF"} | {k: np.full(shape, v, np.float32) for k, v in values.items()}


def _trees() -> dict[str, Tree]:
    affine = linear(3, 4) | {"type": "Affine", "bias": np.ones(3, np.float32)}
    inner = chain(port("Input", 3), linear(3, 3), lif(3), port("Output", 3))
    loop = graph(
        {"in": port("Input", 3), "w": linear(3, 3), "n": lif(3), "r": linear(3, 3),
         "out": port("Output", 3)},
        [("in", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "out")],
        dt=1e-3,
    )  # fmt: skip
    metadata = {
        "dt": 1e-3,
        "node_order": json.dumps(["in", "w", "n", "out"]),
        "readout": json.dumps({"names": ["a", "b", "c"]}),
    }
    named = graph(
        {"in": port("Input", 4), "w": affine, "n": lif(3), "out": port("Output", 3)},
        [("in", "w"), ("w", "n"), ("n", "out")],
        **metadata,
    )
    foreign = {
        framework: chain(port("Input", 3), linear(5, 3), tree, port("Output", 5), dt=None)
        for framework, tree in {
            "snntorch": producers.leaky(), "synaptic": producers.synaptic(),
            "sinabs": producers.iaf(), "norse": producers.norse("CubaLIF"),
            "spikingjelly": producers.jelly_lif(3.7, False), "rockpool": producers.rockpool("LIF"),
            "spyx": producers.spyx("CubaLIF"),
        }.items()
    }  # fmt: skip
    return foreign | {
        "affine": chain(port("Input", 4), affine, lif(3), port("Output", 3)),
        "cuba": chain(port("Input", 3), linear(2, 3), _cuba(2), port("Output", 2)),
        "conv": chain(port("Input", 2, 6, 6), conv(3, 2, 3, 3, padding=np.array([1, 1])),
                      _if(3, 6, 6), pool(), conv(2, 3, 3, 3), _if(2, 1, 1), flatten(),
                      linear(2, 2), _if(2), port("Output", 2)),
        "conv1d": chain(port("Input", 2, 9), conv(2, 2, 3) | {"type": "Conv1d", "input_shape": 9,
                        "stride": 1, "padding": 0, "dilation": 1}, lif((2, 7)),
                        port("Output", 2, 7)),
        "nested": graph({"in": port("Input", 3), "g": inner, "out": port("Output", 3)},
                        [("in", "g"), ("g", "out")], dt=1e-3),
        "loop": loop,
        "named": named,
        "scale": chain(port("Input", 3), {"type": "Scale", "scale": np.ones(3, np.float32)},
                       {"type": "Delay", "delay": np.full(3, 2e-3, np.float32)}, linear(2, 3),
                       {"type": "LI", "tau": np.full(2, 0.01), "r": np.ones(2),
                        "v_leak": np.zeros(2)}, port("Output", 2)),
        "threshold": chain(port("Input", 3), linear(2, 3),
                           {"type": "Threshold", "threshold": np.ones(2, np.float32)},
                           port("Output", 2)),
    }  # fmt: skip


KINDS = ("Input", "Output", "Affine", "Linear", "Conv1d", "Conv2d", "CubaLIF", "CubaLI", "LIF",
         "LI", "IF", "I", "Flatten", "SumPool2d", "AvgPool2d", "Scale", "Threshold", "Delay",
         "NIRGraph", "LinearLeakIF", "x", "")  # fmt: skip
KEYS = ("bias", "weight", "tau", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "reset",
        "fires", "stride", "padding", "groups", "input_shape", "shape", "start_dim", "nodes",
        "edges", "metadata", "w_in", "x", "input_type")  # fmt: skip


def changed_fields(box: Box) -> Case:
    """Change one to four fields of nodes, edges and metadata, written soundly as HDF5."""
    rng = box.rng
    name, tree = pick(rng, list(_trees().items()))
    done = [_change(rng, tree) for _ in range(int(pick(rng, (1, 1, 1, 2, 4))))]
    path = box.path("m.nir")
    with h5py.File(path, "w") as file:
        put(file, {"node": tree, "version": "1.0.8"})
    return called(box, "in/m.nir", f"{name}: {'; '.join(done)}")


def _change(rng: Rng, tree: Tree) -> str:
    nodes = tree["nodes"]
    if not isinstance(nodes, dict):  # an earlier change
        return "nothing"
    inner = [v for v in nodes.values() if isinstance(v.get("nodes"), dict)]
    if inner and chance(rng, 0.3):
        return _change(rng, pick(rng, inner))
    match int(rng.integers(14)):
        case 0:
            return _edges(rng, tree)
        case 1:
            held = tree.setdefault("metadata", {})
            key = pick(rng, ("dt", "node_order", "readout", "receptive_fields", "x", "version"))
            held[key] = _value(rng, None)
            return f"metadata {key} = {held[key]!r:.40}"
        case 2 if nodes:
            del nodes[name := pick(rng, sorted(nodes))]
            return f"{name} deleted"
        case 3 if nodes and np.ndim(tree["edges"]) == 2:
            name, new = pick(rng, sorted(nodes)), _name(rng)
            nodes[new] = nodes.pop(name)
            tree["edges"] = np.array([[new.encode() if e == name.encode() else e for e in edge]
                                      for edge in tree["edges"]], "S").reshape(-1, 2)  # fmt: skip
            return f"{name} renamed"
    if not nodes:
        return "nothing"
    held = nodes[pick(rng, sorted(nodes))]
    keys = [k for k in held if not isinstance(held[k], dict) and k != "type"]
    if chance(rng, 0.06):
        held["type"] = pick(rng, KINDS)
        return f"type {held['type']}"
    if keys and chance(rng, 0.12):
        del held[key := pick(rng, keys)]
        return f"{key} deleted"
    key = pick(rng, KEYS) if not keys or chance(rng, 0.15) else pick(rng, keys)
    held[key] = _value(rng, held.get(key))
    return f"{key} = {held[key]!r:.50}"


def _name(rng: Rng) -> str:
    plain = [t for t in TEXTS if t and "/" not in t and "\x00" not in t and t not in (".", "..")]
    text = pick(rng, plain)
    return text[:200].encode("utf-8", "replace").decode()


def _edges(rng: Rng, tree: Tree) -> str:
    edges = [tuple(e) for e in tree["edges"]] if np.ndim(tree["edges"]) == 2 else []
    ends = [n.encode() for n in tree["nodes"]] + [b"x", b""]
    match int(rng.integers(4)):
        case 0 if edges:
            del edges[int(rng.integers(len(edges)))]
        case 1:
            edges.append((pick(rng, ends), pick(rng, ends)))
        case 2:
            edges = edges * int(pick(rng, (2, 300)))
        case _:
            tree["edges"] = pick(rng, (np.zeros((0, 2), "S1"), np.zeros(3, "S4"), np.arange(4),
                                       np.zeros((2, 3), "S2"), np.float32(1)))  # fmt: skip
            return "edges of another form"
    tree["edges"] = np.array(edges, "S").reshape(-1, 2)
    return f"{len(edges)} edges"


def _value(rng: Rng, old: Any) -> Any:
    if isinstance(old, np.ndarray) and old.dtype.kind in "fiu" and chance(rng, 0.7):
        return _plain(array(rng, old)[0])
    match int(rng.integers(5)):
        case 0:
            return np.int64((integer(rng) + 2**63) % 2**64 - 2**63)
        case 1:
            return np.float64(number(rng))
        case 2:
            return _text(rng)
        case 3:
            return _plain(np.full(shapes(rng, np.shape(old)), number(rng)))
    return np.full(shapes(rng, np.shape(old)), integer(rng) % 2**31).astype("i4")


def _plain(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return value if value.dtype.kind in "fiubcSV" else value.astype("S")


def _text(rng: Rng) -> str:
    text = pick(rng, (*TEXTS, "same", "valid", "zero", "subtract", "1e-3", "{}", '["n0"]'))
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


# --- what HDF5 can store ----------------------------------------------------------


def odd_storage(box: Box) -> Case:
    """Write links, external and virtual storage, odd datasets, attributes, deep groups."""
    rng = box.rng
    name, tree = pick(rng, list(_trees().items()))
    path = box.path("m.nir")
    with h5py.File(path, "w") as file:
        put(file, {"node": tree, "version": "1.0.8"})
        done = []
        for _ in range(int(rng.integers(1, 3))):
            with contextlib.suppress(OSError, KeyError):  # one that meets an earlier link
                done.append(pick(rng, STORAGE)(rng, file, box))
    if chance(rng, 0.25):
        path.write_bytes(damaged(rng, path.read_bytes()))
    return called(box, "in/m.nir", f"{name}: {'; '.join(done)}")


def _place(rng: Rng, file: h5py.File, new: bool = True) -> str:
    """Draw a path for a new object: that of a field, which is replaced, or a new one."""
    groups = ["node", *(f"node/nodes/{n}" for n in file["node/nodes"]), "node/nodes", "/"]
    group = pick(rng, groups)
    keys = [k for k in file[group] if isinstance(file[group][k], h5py.Dataset)]
    if keys and chance(rng, 0.6):
        key = pick(rng, keys)
        del file[group][key]
    else:
        key = pick(rng, ("bias", "weight", "tau", "x", "metadata", "n9"))
        if key in file[group]:
            del file[group][key]
    return f"{group}/{key}"


def _link(rng: Rng, file: h5py.File, box: Box) -> str:
    place = _place(rng, file)
    decoy = str(box.samples.root / "decoy" / "secret.h5")
    target = pick(rng, (h5py.SoftLink("/node"), h5py.SoftLink(place), h5py.SoftLink("/nowhere"),
                        h5py.ExternalLink(decoy, "/x"), h5py.ExternalLink(decoy, "/node"),
                        file["node"], file["/"]))  # fmt: skip
    file[place] = target
    return f"{place} is {type(target).__name__}"


def _outside(rng: Rng, file: h5py.File, box: Box) -> str:
    place = _place(rng, file)
    decoy = str(box.samples.root / "decoy" / "secret.h5")
    if chance(rng, 0.5):
        file.create_dataset(place, (4,), "f4", external=[(decoy, 0, 16)])
        return f"{place} is stored outside"
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(decoy, "x", (4,))
    file.create_virtual_dataset(place, layout)
    return f"{place} is virtual"


def _huge(rng: Rng, file: h5py.File, box: Box) -> str:
    place = _place(rng, file)
    size = int(pick(rng, (2**20, 2**24, 2**28, 2**31, 2**36, 2**42, 2**60)))
    chunk = int(pick(rng, (2**10, 2**16, 2**20, 2**27)))
    dtype = pick(rng, ("f4", "f8", "i8", "u1", "b1"))
    data = file.create_dataset(place, (size,), dtype, chunks=(min(chunk, size),),
                               compression=pick(rng, (None, "gzip")))  # fmt: skip
    if chance(rng, 0.7) and min(chunk, size) <= 2**20:
        data[:1] = 1
    return f"{place} declares {size:,} {dtype} in chunks of {chunk:,}"


def _deflated(rng: Rng, file: h5py.File, box: Box) -> str:
    """Write many megabytes of zeros in some kilobytes, at several places."""
    size = int(pick(rng, (2**18, 2**21, 2**23)))
    count = int(pick(rng, (1, 3, 12 if size < 2**23 else 4)))
    kind = h5py.h5t.IEEE_F32LE
    block = zlib.compress(bytes(4 * size), 1)
    for _ in range(count):
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((size,))
        plan.set_deflate(1)
        group = file["node/nodes"].create_group(f"z{len(file['node/nodes'])}")
        data = h5py.h5d.create(group.id, b"weight", kind, h5py.h5s.create_simple((size,)), plan)
        data.write_direct_chunk((0,), block)
        put(group, {"type": "Linear"})
    return f"{count} times {4 * size:,} zeros"


def _typed(rng: Rng, file: h5py.File, box: Box) -> str:
    place = _place(rng, file)
    kinds: list[Any] = [*DTYPES, "c8", h5py.ref_dtype, h5py.vlen_dtype(np.float32),
                        h5py.opaque_dtype(np.dtype("V5")), h5py.enum_dtype({"a": 1}),
                        np.dtype(("f4", (3,))), np.dtype([("a", "i4"), ("b", "f4")]),
                        h5py.string_dtype(length=5)]  # fmt: skip
    kind = pick(rng, kinds)
    try:
        made = h5py.h5t.py_create(np.dtype(kind), logical=True)
        space = h5py.h5s.create_simple(pick(rng, ((2,), (0,), (3, 1), ())) or (1,))
        h5py.h5d.create(file.id, place.encode(), made, space, _plan_of_groups())
    except (TypeError, ValueError, OSError):
        file[place] = np.zeros(2)
    return f"{place} of {kind!r:.40}"


def _plan_of_groups() -> Any:
    return h5py.h5p.create(h5py.h5p.DATASET_CREATE)


def _attributes(rng: Rng, file: h5py.File, box: Box) -> str:
    """Change attributes of the root, which identify the file, and of others."""
    group = pick(rng, (file, file["node"], file["node/nodes"]))
    key = pick(rng, ("__type__", "dt", "shape", "n_neurons", "x"))
    value: Any = pick(rng, ("NIRGraphData", "x" * 60_000, b"NIRGraphData", np.arange(3), 1.5,
                            np.zeros((0,)), np.array(["a", "b"], object), True, h5py.Empty("f4"),
                            np.array([b"NIRGraphData"], "S12")))  # fmt: skip
    if isinstance(value, np.ndarray) and value.dtype == object:
        group.attrs.create(key, value, dtype=h5py.string_dtype())
    else:
        group.attrs[key] = value
    if chance(rng, 0.3):
        file.require_group("nodes")
    return f"{group.name} @{key} = {value!r:.40}"


def _deep(rng: Rng, file: h5py.File, box: Box) -> str:
    match int(rng.integers(3)):
        case 0:
            depth = int(pick(rng, (20, 70, 400)))
            file.require_group("/".join(["node"] + ["nodes", "g"] * depth))
            return f"{depth} levels"
        case 1:
            count = int(pick(rng, (300, 2500)))
            for k in range(count):
                file["node/nodes"].require_group(f"m{k}")
            return f"{count} nodes"
    heap = file["node/nodes"].create_dataset(
        f"long{len(file['node/nodes'])}", (300,), h5py.string_dtype()
    )
    heap[0] = "x" * 100_000
    return "a long text"


def _heap(rng: Rng, file: h5py.File, box: Box) -> str:
    """Change sizes in the heaps of texts: of objects, of free space, in the pointers."""
    file.attrs["__type__"] = pick(rng, ("NIRGraphData", "NIRGraph"))
    file.flush()
    path = Path(file.filename)
    data = bytearray(path.read_bytes())
    heaps = _all(bytes(data), b"GCOL\x01")
    file.close()
    if not heaps:
        return "no heap"
    at = pick(rng, heaps)
    offset = int(pick(rng, (8, 16, 24, 32, 40, 48, 56, 64, 72)))
    size = int(pick(rng, (0, 1, 2**16, 2**30, 2**32 - 1, 2**32, 2**62, 2**64 - 1, 4048)))
    data[at + offset : at + offset + 8] = size.to_bytes(8, "little")
    pointers = _all(bytes(data), at.to_bytes(8, "little"))
    if pointers and chance(rng, 0.6):
        place = pick(rng, pointers) - 4
        length = int(pick(rng, (0, 1, 2**20, 2**30, 2**32 - 1)))
        data[place : place + 4] = length.to_bytes(4, "little")
    path.write_bytes(data)
    return f"the heap at {at}: {size} at +{offset}"


STORAGE = (_link, _outside, _huge, _deflated, _typed, _attributes, _attributes, _deep)


def odd_heaps(box: Box) -> Case:
    """Write heaps of texts with wrong sizes and pointers: libhdf5 never ends on some."""
    rng = box.rng
    name, tree = pick(rng, list(_trees().items()))
    path = box.path("m.nir")
    with h5py.File(path, "w") as file:
        if chance(rng, 0.3):
            file.create_group("nodes")
        else:
            put(file, {"node": tree, "version": "1.0.8"})
        about = _heap(rng, file, box)
    return called(box, "in/m.nir", f"{name}: {about}")


FAMILIES = (
    Family("nir-bytes", "bytes of a .nir file", damaged_bytes, 1650, 48),
    Family("nir-fields", "fields of nodes, edges, metadata", changed_fields, 1650, 54),
    Family("nir-storage", "links, external data, types, sizes, attributes", odd_storage, 650, 24),
    Family("nir-heaps", "heaps of texts", odd_heaps, 350, 15),
)
