"""Worker that reads events from an HDF5 file in a separate process and sends numbers.

    python hdf5_worker.py FORMAT FILE [SAMPLE]

A damaged or hostile file must not end the caller, nor fill its memory. Formats: dsec (events/t,
x, y, p and t_offset), prophesee (CD/events with the fields t, x, y, p), shd (spikes/times in
seconds and spikes/units, one list a recording). "look" sends the format and stops. The standard
output is as in faery_worker.py; errors go to the standard error.
"""

import contextlib
import json
import struct
import sys

import h5py
import numpy as np

MEMORY = 4 << 30
CHUNK = 1 << 19  # events
END = (1 << 64) - 1
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])


def main(form, path, sample="0"):
    bound_memory()
    with h5py.File(path, "r") as file:
        if form == "look":
            form = kind(file)
            count = len(stored(file, "spikes/times")) if form == "shd" else 1
            say({"form": form, "groups": sorted(file)[:20], "count": count})
        elif form == "shd":
            send_shd(file, int(sample))
        elif form == "dsec":
            columns = {name: stored(file, f"events/{name}") for name in "txyp"}
            start = int(stored(file, "t_offset")[()]) if hard(file, "t_offset") else 0
            send({"size": None}, columns, start)
        else:
            table = stored(file, "CD/events")
            columns = {name: Field(table, name) for name in "txyp"}
            send({"size": None}, columns, 0)


def kind(file):
    """Return the format of a file by the names in it; None if it has other ones."""
    if "node" in file or "nodes" in file:
        return "nir"
    if hard(file, "spikes/times") and hard(file, "spikes/units"):
        return "shd"
    if all(hard(file, f"events/{name}") for name in "txyp"):
        return "dsec"
    return "prophesee" if hard(file, "CD/events") else None


def hard(file, path):
    """Return whether a path leads to an object of this file itself, not of another."""
    here = file
    for part in path.split("/"):
        if not isinstance(here, h5py.Group) or part not in here:
            return False
        if not isinstance(here.get(part, getlink=True), h5py.HardLink):
            return False
        here = here[part]
    return True


def stored(file, path):
    """Return a dataset whose numbers are in this file, and can be unpacked here."""
    if not hard(file, path) or not isinstance(file[path], h5py.Dataset):
        raise ValueError(f"has no dataset {path}")
    data = file[path]
    if data.external or data.is_virtual:
        raise ValueError(f"has its numbers of {path} in another file")
    filters = data.id.get_create_plist()
    for i in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            raise ValueError(
                f"has {path} packed by the filter {name.decode(errors='replace') or code}, which "
                "is not installed: unpack it with h5repack"
            )
    return data


class Field:
    """One field of a table, read part by part."""

    def __init__(self, table, name):
        if table.dtype.names is None or name not in table.dtype.names:
            raise ValueError(f"has no field {name} in its events")
        self.table, self.name = table, name
        self.dtype, self.shape = table.dtype[name], table.shape

    def __len__(self):
        return len(self.table)

    def __getitem__(self, part):
        return self.table[part][self.name]


def send(head, columns, start):
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"has columns that do not match: {counts}")
    if bad := [n for n, c in columns.items() if c.dtype.kind not in "iub" or len(c.shape) != 1]:
        raise ValueError(f"has {' and '.join(bad)} that are not lists of integers")
    say(head)
    for at in range(0, counts["t"], CHUNK):
        part = slice(at, at + CHUNK)
        put({name: column[part].astype(np.int64) for name, column in columns.items()}, start)
    sys.stdout.buffer.write(struct.pack("<Q", END))
    sys.stdout.buffer.flush()


def send_shd(file, sample):
    """Send one list of spikes; its units are x."""
    times, units = stored(file, "spikes/times"), stored(file, "spikes/units")
    if not 0 <= sample < len(times) == len(units):
        raise ValueError(f"has no recording {sample} among {len(times)}")
    t, x = np.asarray(times[sample], np.float64), np.asarray(units[sample], np.int64)
    if t.shape != x.shape or t.ndim != 1 or not np.isfinite(t).all():
        raise ValueError("has times and units that do not match")
    micro = np.floor(t * 1e6).astype(np.int64)
    order = np.argsort(micro, kind="stable")
    none = np.zeros(len(t), np.int64)
    say({"size": None})
    if len(t):
        put({"t": micro[order], "x": x[order], "y": none, "p": none}, 0)
    sys.stdout.buffer.write(struct.pack("<Q", END))
    sys.stdout.buffer.flush()


def put(columns, start):
    for name, limit in (("x", 1 << 16), ("y", 1 << 16), ("p", 1 << 8)):
        low, high = int(columns[name].min()), int(columns[name].max())
        if low < 0 or high >= limit:
            raise ValueError(f"has an event with {name} = {low if low < 0 else high}")
    events = np.zeros(len(columns["t"]), EVENT)
    for name, column in columns.items():
        events[name] = column + start if name == "t" else column
    out = sys.stdout.buffer
    out.write(struct.pack("<Q", len(events)))
    out.write(events.tobytes())


def say(head):
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
    sys.stdout.buffer.flush()


def bound_memory():
    """Limit the memory, so that a list that unpacks to more ends only this process."""
    with contextlib.suppress(ImportError):
        import resource

        soft, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
        bounds = [n for n in (soft, hard_limit, MEMORY) if n != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard_limit))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BrokenPipeError:  # the caller has all that it needs
        sys.stderr.close()
        sys.exit(1)
    except BaseException as problem:  # whatever h5py raises for a damaged file
        print(f"{problem}".split("\n", 1)[0], file=sys.stderr)
        sys.exit(1)
