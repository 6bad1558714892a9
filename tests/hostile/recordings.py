"""Recordings of every format: damaged bytes, changed arrays, sizes that grow when unpacked."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import h5py
import numpy as np

from .bundles import zipped
from .case import INPUT, USAGE, Box, Case, Family
from .values import (
    FLOATS,
    TEXTS,
    Rng,
    array,
    chance,
    damaged,
    integer,
    npy,
    number,
    pick,
    pickled,
    shapes,
)

Members = dict[str, np.ndarray[Any, Any]]


def called(
    box: Box, recording: str, about: str, *, events: bool, refusals: frozenset[int] = frozenset()
) -> Case:
    """Draw one command that reads a recording, with sensible options of reading."""
    rng = box.rng
    refusals = refusals | {USAGE, INPUT}
    options = _options(rng) if events else ()
    sample = box.samples.camera if events else box.samples.plain
    match int(rng.integers(10)):
        case 0 | 1 | 2:
            more = ("--json",) if chance(rng, 0.3) else ()
            return Case(("inspect", recording, *options, *more), about, refusals)
        case 3:
            model = box.put("m.nir", (box.samples.root / "bundles" / (
                "camera.nir" if events else "small.nir")).read_bytes())  # fmt: skip
            chip = pick(rng, ("loihi2", "emulator"))
            words = ("compile", model, "--target", chip, "--calibrate", recording, *options)
            return Case((*words, "-o", "out/b.nrfb"), about, refusals | {4})
    bundle = box.put("plain.nrfb", sample.bundle.read_bytes())
    match int(rng.integers(7)):
        case 0:
            words = ("verify", bundle, "--input", recording, *options)
            return Case(words, about, refusals | {1}, frozenset({1}))
        case 1:
            sound = box.put("sound.npz", sample.recording.read_bytes())
            words = ("verify", bundle, "--input", sound, "--against", recording)
            words = (*words, "--layer", pick(rng, ("n", "last", "hidden")))
            return Case(words, about, refusals | {1}, frozenset({1}))
    words = ("run", bundle, "--input", recording, *options, "-o", "out/o.npz")
    golden = None if options else (bundle, recording)
    return Case(words, about, refusals, golden=golden)


def _options(rng: Rng) -> tuple[str, ...]:
    """Draw options, most often only a bin: enough for a sensor of 5 x 4 pixels."""
    words = ["--bin", pick(rng, ("1e-3", "1e-3", "1e-4", "1e-2", "1", "1e-6"))]
    more = {"--clip": "1", "--crop": "0,0,5,4", "--from": "1e-3", "--until": "0.05",
            "--origin": "zero"}  # fmt: skip
    for option, value in more.items():
        if chance(rng, 0.15):
            words += [option, value]
    return tuple(words)


# --- sound recordings, by name ------------------------------------------------------


def _own(rng: Rng) -> Members:
    """Write a recording as `write` does, for three inputs."""
    frames = (rng.random((12, 3)) < 0.4).astype(np.int64)
    step, index = np.nonzero(frames)
    start = np.concatenate([[0], np.cumsum(np.bincount(step, minlength=12))])
    return {
        "format": np.array("nrf-deploy recording 1"),
        "shape": np.array([3]),
        "start": start,
        "index": index,
        "value": np.ones(len(index), np.int64),
        "dt": np.array(1e-3),
    }


def _table(rng: Rng) -> Members:
    """Draw decoded events of a sensor of 5 x 4 pixels."""
    n = 60
    return {
        "t": np.cumsum(rng.integers(0, 900, n)),
        "x": rng.integers(0, 5, n),
        "y": rng.integers(0, 4, n),
        "p": rng.integers(0, 2, n),
    }


def _frames(rng: Rng) -> Members:
    frames = (rng.random((12, 3)) < 0.4).astype(pick(rng, ("i8", "f4", "u1")))
    return {"frames": frames, "dt": np.array(1e-3)} if chance(rng, 0.5) else {"frames": frames}


FORMS = {"own": _own, "events": _table, "frames": _frames}


def _nmnist(table: Members) -> bytes:
    t = table["t"]
    columns = (table["x"], table["y"], table["p"] << 7 | t >> 16, t >> 8 & 255, t & 255)
    return np.stack(columns, 1).astype(np.uint8).tobytes()


def _csv(table: Members) -> bytes:
    rows = zip(*(table[k].tolist() for k in "txyp"), strict=True)
    return b"t,x,y,p\n" + b"".join(b"%d,%d,%d,%d\n" % row for row in rows)


# --- bytes ----------------------------------------------------------------------


def damaged_bytes(box: Box) -> Case:
    """Change bytes of a file, or of a member of its archive, and correct the checksum."""
    rng = box.rng
    form = pick(rng, ("own", "events", "frames", "npy", "csv", "bin", "nir"))
    if form in FORMS:
        members = {f"{k}.npy": npy(v) for k, v in FORMS[form](rng).items()}
        if chance(rng, 0.6):
            name = pick(rng, sorted(members))
            members[name] = damaged(rng, members[name])
            data = zipped(members)
        else:
            data = damaged(rng, zipped(members))
        name = "r.npz"
    elif form == "nir":
        _data_file(box, {})
        data, name = damaged(rng, box.path("r.nir").read_bytes()), "r.nir"
    else:
        table = _table(rng)
        makers = {"npy": lambda: npy(_frames(rng)["frames"]), "csv": lambda: _csv(table),
                  "bin": lambda: _nmnist(table)}  # fmt: skip
        data, name = damaged(rng, makers[form]()), f"r.{form}"
    return called(
        box, box.put(name, data), f"{form}: bytes", events=form in ("events", "csv", "bin")
    )


def lines(box: Box) -> Case:
    """Write tables of events as text: cells, columns, quotes, huge numbers."""
    rng = box.rng
    rows = [[str(int(v)) for v in row] for row in zip(*_table(rng).values(), strict=True)]
    rows.insert(0, pick(rng, (["t", "x", "y", "p"], ["# t", "x", "y", "p"], ["t", "y", "x", "p"])))
    for _ in range(int(pick(rng, (1, 1, 3)))):
        row = pick(rng, rows[1:] if chance(rng, 0.9) else rows)
        plain = (str(int(rng.integers(6))), "3.0", " 4", "-1", "1e1", "0.5", str(integer(rng)))
        odd = (*TEXTS, str(number(rng)), "9" * 5000, "1e400", "0x1f")
        cell = pick(rng, plain if chance(rng, 0.7) else odd)
        if row and chance(rng, 0.9):
            row[int(rng.integers(len(row)))] = cell
        else:
            row.append(cell)
    text = pick(rng, ("\n", "\n", "\r\n", "\r")).join(",".join(row) for row in rows)
    data = text.encode("utf-8", "surrogatepass")
    return called(box, box.put("r.csv", data), "csv: cells", events=True)


# --- arrays ---------------------------------------------------------------------


def changed_arrays(box: Box) -> Case:
    """Replace members by others of another dtype, shape or range; drop some and add some."""
    rng = box.rng
    form = pick(rng, tuple(FORMS))
    members = FORMS[form](rng)
    raw: dict[str, bytes] = {}
    done = []
    for _ in range(int(pick(rng, (1, 1, 2, 3)))):
        key = pick(rng, sorted(members)) if members else "frames"
        match int(rng.integers(8)):
            case 0 if members:
                del members[key]
                done.append(f"{key} deleted")
            case 1:
                key = pick(rng, ("x", "made", "shape", "format", "../x", "/x", "allow_pickle"))
                members[key] = np.array(pick(rng, (1, 2.5, "text", [1, 2])))
                done.append(f"{key} added")
            case 2:
                raw[f"{key}.npy"] = pick(rng, (pickled(), b"", b"\x93NUMPY", _header(rng)))
                members.pop(key, None)
                done.append(f"{key} is not an array")
            case 3 if key in ("shape", "dt", "format"):
                members[key] = _odd(rng, key)
                done.append(f"{key} = {members[key]!r:.60}")
            case _ if key in members and members[key].dtype.kind in "biuf":
                members[key], what = array(rng, members[key])
                done.append(f"{key}: {what}")
    how = zipfile.ZIP_DEFLATED if chance(rng, 0.3) else zipfile.ZIP_STORED
    data = zipped({f"{k}.npy": npy(v) for k, v in members.items()} | raw, how)
    about = f"{form}: {'; '.join(done)}"
    return called(box, box.put("r.npz", data), about, events=form == "events")


def _odd(rng: Rng, key: str) -> np.ndarray[Any, Any]:
    if key == "shape":
        sizes = [min(2**63 - 1, max(-(2**63), integer(rng))) for _ in range(int(rng.integers(4)))]
        return np.array(sizes, np.int64)
    if key == "dt":
        return np.array(pick(rng, FLOATS))
    return np.array(pick(rng, ("nrf-deploy recording 2", "nrf-deploy recording", "x", "1")))


def _header(rng: Rng) -> bytes:
    """Write a .npy header that declares more than the data, or that is malformed."""
    text = pick(rng, (
        f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({integer(rng)},)}}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<U99999999', 'fortran_order': False, 'shape': (9,)}",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<i8', 'fortran_order': 7, 'shape': ()}",
        "{'shape': " + "(" * 90 + ")" * 90 + "}",
        "__import__('os').mkdir('PWNED')",
        "{" * 500,
    ))  # fmt: skip
    head = text.encode()[:60_000] + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


# --- small files that are large in memory ------------------------------------------


def bombs(box: Box) -> Case:
    """Write millions of steps, elements or bytes in some kilobytes."""
    rng = box.rng
    size = int(pick(rng, (2**20, 2**22, 2**23)))
    rows = int(pick(rng, (10**5, 10**6, 9_999_999, 10**7, 2 * 10**7, 2**28)))
    match int(rng.integers(5)):
        case 0:
            members = {"frames.npy": _declared("<i1", (min(rows, 5 * 10**6), 3))}
            about, events = f"{rows} frames", False
        case 1:
            start = _declared("<i8", (min(rows, 8 * 10**6) + 1,))
            held = {"format": np.array("nrf-deploy recording 1"), "shape": np.array([3]),
                    "index": np.zeros(0, int), "value": np.zeros(0, int)}  # fmt: skip
            members = {f"{k}.npy": npy(v) for k, v in held.items()} | {"start.npy": start}
            about, events = f"{rows} silent steps", False
        case 2:
            members = {f"{k}.npy": _declared("<i8", (size,)) for k in "txyp"}
            about, events = f"{size} events", True
        case 3:
            table = _table(rng)
            table["t"] = table["t"] * int(pick(rng, (10**3, 10**6, 10**9, 10**12)))
            members = {f"{k}.npy": npy(v) for k, v in table.items()}
            about, events = "events far apart", True
        case _:
            held = _own(rng)
            held["shape"] = np.array(pick(rng, ([3, 2**20], [2**40], [2**31, 2**31, 4], [10**9])))
            members = {f"{k}.npy": npy(v) for k, v in held.items()}
            about, events = f"the shape {held['shape'].tolist()}", False
    data = zipped(members, zipfile.ZIP_DEFLATED)
    return called(box, box.put("r.npz", data), about, events=events)


def _declared(dtype: str, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue() + bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)


# --- NIR data --------------------------------------------------------------------


def nir_data(box: Box) -> Case:
    """Change attributes and columns of NIR's recordings, numbers of steps and neurons."""
    rng = box.rng
    done = _data_file(box, {}, edits=int(rng.integers(1, 4)))
    return called(box, "in/r.nir", f"NIR data: {done}", events=False)


def _data_file(box: Box, changes: dict[str, Any], edits: int = 0) -> str:
    rng = box.rng
    n = 20
    attributes: dict[str, Any] = {"__type__": "EventData", "n_neurons": 3, "t_max": 0.02,
                                  "shape": np.array([3]), "dt": 1e-3}  # fmt: skip
    columns: dict[str, Any] = {
        "idx": rng.integers(0, 3, (1, n)),
        "time": np.sort(rng.random((1, n))) * 0.019,
    }
    if chance(rng, 0.3):
        attributes["__type__"], columns["value"] = "ValuedEventData", np.ones((1, n))
    elif chance(rng, 0.2):
        attributes["__type__"] = "TimeGriddedData"
        columns = {"data": (rng.random((1, n, 3)) < 0.3).astype(np.int8)}
    root: dict[str, Any] = {"__type__": "NIRGraphData"}
    done = [_edit(rng, attributes, columns, root) for _ in range(edits)]
    with h5py.File(box.path("r.nir"), "w") as file:
        _attributes(file, root)
        group = file.create_group("nodes/n/observables/spikes")
        file["nodes/n"].attrs["__type__"] = "NIRNodeData"
        for key, value in columns.items():
            packed = np.ndim(value) and chance(rng, 0.5)
            group.create_dataset(key, data=value, compression="gzip" if packed else None)
        _attributes(group, attributes)
    return "; ".join(done)


def _attributes(group: Any, held: dict[str, Any]) -> None:
    for key, value in held.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            value = float(value) if abs(value) < 10**300 else np.inf
        group.attrs[key] = value


def _edit(rng: Rng, attributes: dict[str, Any], columns: dict[str, Any], root: Any) -> str:
    match int(rng.integers(8)):
        case 0:
            key = pick(rng, sorted(attributes))
            del attributes[key]
            return f"@{key} deleted"
        case 1:
            attributes["t_max"] = pick(rng, (0.0, 1.0, 260.0, 2.6e5, 1e9, 1e300, *FLOATS))
            return f"@t_max = {attributes['t_max']}"
        case 2:
            attributes["n_neurons"] = integer(rng)
            attributes.pop("shape", None)
            return f"@n_neurons = {attributes['n_neurons']}"
        case 3:
            key = pick(rng, ("dt", "shape", "__type__", "n_neurons"))
            attributes[key] = pick(rng, (number(rng), "text", np.arange(3), integer(rng) % 2**31,
                                         np.zeros(0), "x" * 50_000, h5py.Empty("f4")))  # fmt: skip
            return f"@{key} = {attributes[key]!r:.40}"
        case 4:
            root["__type__"] = pick(rng, ("NIRGraph", "", b"NIRGraphData", np.arange(2),
                                          h5py.Empty("f8"), "NIRGraphData" * 4000))  # fmt: skip
            return f"root is {root['__type__']!r:.30}"
        case 5 if columns:
            key = pick(rng, sorted(columns))
            del columns[key]
            return f"{key} deleted"
    if not columns:
        return "nothing"
    key = pick(rng, sorted(columns))
    value, what = array(rng, np.asarray(columns[key]))
    columns[key] = value if value.dtype.kind in "biuf" else np.zeros(shapes(rng, (1, 20)))
    return f"{key}: {what}"


FAMILIES = (
    Family("recording-bytes", "bytes of a recording or of its members", damaged_bytes, 1100, 36),
    Family("recording-arrays", "arrays of .npz: dtype, shape, range", changed_arrays, 1000, 36),
    Family("recording-csv", "cells of a table of events", lines, 250, 12),
    Family("recording-sizes", "small files that are large in memory", bombs, 150, 4),
    Family("recording-nir", "NIR data: attributes and columns", nir_data, 600, 24),
)
