"""Worker for nengo-loihi's integer emulator. Standard library, numpy and nengo-loihi only.

    python -I worker_nengo.py REQUEST_DIR REPLY_DIR

Its emulator receives the blocks in the form after nengo-loihi's discretisation: integers. The
network therefore equals ours in every bit, and the code that runs is theirs. Its inputs, like
ours, arrive after one step.
"""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from nengo_loihi.block import Axon, LoihiBlock, Synapse
from nengo_loihi.emulator.interface import EmulatorInterface
from nengo_loihi.inputs import SpikeInput

LIMIT = 2**23 - 1


def block(p, arrays):
    result = LoihiBlock(p["size"], label=p["name"])
    c = result.compartment
    for name in ("vth", "bias"):
        setattr(c, name, arrays[f"{p['name']}/{name}"].astype(np.int32))
    c.decay_u = np.full(p["size"], 4095, np.int32)
    c.decay_v = (4096 - arrays[p["name"] + "/keep"]).astype(np.int32)
    c.scale_u = c.scale_v = False
    c.vmin, c.vmax = -LIMIT, LIMIT
    return result


def synapse(s, arrays):
    """Build a Synapse with one list of weights per source."""
    row, column, weight = (arrays[f"{s['name']}/{p}"] for p in ("row", "column", "weight"))
    order = np.argsort(column, kind="stable")
    ends = np.cumsum(np.bincount(column, minlength=s["inputs"]))[:-1]
    result = Synapse(s["inputs"], label=s["name"])
    weights, indices = np.split(weight[order], ends), np.split(row[order], ends)
    result._set_weights_indices(weights, indices, weight_dtype=np.int32)
    return result


def main(request_dir, reply_dir):
    request = json.loads((request_dir / "request.json").read_text())
    with np.load(request_dir / "arrays.npz", allow_pickle=False) as members:
        arrays = {key: members[key] for key in members.files}
    blocks = {p["name"]: block(p, arrays) for p in request["populations"]}
    source = SpikeInput(request["inputs"], label="input")
    start, index = arrays["input/start"], arrays["input/index"]
    for t in range(request["steps"]):
        source.add_spikes(t + 1, index[start[t] : start[t + 1]])
    ends = {**blocks, request["port"]: source}
    for s in request["synapses"]:
        for target in s["targets"]:
            weights = synapse(s, arrays)
            axon = Axon(s["inputs"])
            axon.target = weights
            axon.set_compartment_axon_map(np.arange(s["inputs"]))
            blocks[target].add_synapse(weights)
            ends[s["source"]].add_axon(axon)
    model = SimpleNamespace(blocks=list(blocks.values()), inputs=[source], probes=[], dt=0.001)
    emulator = EmulatorInterface(model, seed=0)
    spikes = {name: [] for name in blocks}
    parts = {name: emulator.block_info.slices[b] for name, b in blocks.items()}
    begin = time.perf_counter()
    for _ in range(request["steps"]):
        emulator.step()
        if request["record"]:
            for name, part in parts.items():
                spikes[name].append(np.flatnonzero(emulator.compartment.spiked[part]))
    seconds = time.perf_counter() - begin
    reply = {}
    if request["record"]:
        for name, steps in spikes.items():
            reply[name + "/start"] = np.concatenate([[0], np.cumsum([len(s) for s in steps])])
            reply[name + "/index"] = np.concatenate(steps)
    np.savez(reply_dir / "arrays.npz", **reply)
    (reply_dir / "reply.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
