"""Worker for a plain program on scipy.sparse. Standard library, numpy and scipy only.

    python -I worker_scipy.py REQUEST_DIR REPLY_DIR

The obvious program: a sparse matrix per layer, and in each step its product with the vector of
spikes. Hard reset, strict threshold, one step of delay per layer.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix


def matrices(request, arrays):
    """Yield (source, targets, matrix) of each connection."""
    for s in request["synapses"]:
        row, column, weight = (arrays[f"{s['name']}/{p}"] for p in ("row", "column", "weight"))
        shape = (s["outputs"], s["inputs"])
        yield s["source"], s["targets"], csr_matrix((weight.astype(np.int32), (row, column)), shape)


def main(request_dir, reply_dir):
    request = json.loads((request_dir / "request.json").read_text())
    with np.load(request_dir / "arrays.npz", allow_pickle=False) as members:
        arrays = {key: members[key] for key in members.files}
    wires = list(matrices(request, arrays))
    populations = request["populations"]
    v = {p["name"]: np.zeros(p["size"], np.int32) for p in populations}
    vth = {p["name"]: arrays[p["name"] + "/vth"].astype(np.int32) for p in populations}
    bias = {p["name"]: arrays[p["name"] + "/bias"].astype(np.int32) for p in populations}
    spikes = {p["name"]: np.zeros(p["size"], np.int32) for p in populations}
    start, index, value = (arrays["input/" + part] for part in ("start", "index", "value"))
    events_of = {p["name"]: [] for p in populations}
    begin = time.perf_counter()
    for t in range(request["steps"]):
        arriving = {name: np.zeros_like(x) for name, x in v.items()}
        for source, targets, matrix in wires:
            total = matrix @ spikes[source] if source in spikes else None
            for target in targets:
                if total is not None:
                    arriving[target] += total
        frame = np.zeros(request["inputs"], np.int32)
        events = slice(start[t], start[t + 1])
        frame[index[events]] = value[events]
        for name, x in v.items():
            x += arriving[name] + bias[name]
            fired = x > vth[name]
            x[fired] = 0
            spikes[name] = fired.astype(np.int32)
            if request["record"]:
                events_of[name].append(np.flatnonzero(fired))
        spikes[request["port"]] = frame
    seconds = time.perf_counter() - begin
    reply = {}
    if request["record"]:
        for name, steps in events_of.items():
            reply[name + "/start"] = np.concatenate([[0], np.cumsum([len(s) for s in steps])])
            reply[name + "/index"] = np.concatenate(steps)
    np.savez(reply_dir / "arrays.npz", **reply)
    (reply_dir / "reply.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
