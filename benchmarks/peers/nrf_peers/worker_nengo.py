"""nengo-loihi's integer emulator. Standard library, numpy and nengo-loihi only.

    python -I worker_nengo.py REQUEST_DIR REPLY_DIR

The blocks are handed to its emulator as they are after its own discretisation: integers.
So the network is ours to the bit, and what runs is theirs. Its inputs, like ours, take a
step to arrive.
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
    made = LoihiBlock(p["size"], label=p["name"])
    c = made.compartment
    for name in ("vth", "bias"):
        setattr(c, name, arrays[f"{p['name']}/{name}"].astype(np.int32))
    c.decay_u = np.full(p["size"], 4095, np.int32)
    c.decay_v = (4096 - arrays[p["name"] + "/keep"]).astype(np.int32)
    c.scale_u = c.scale_v = False
    c.vmin, c.vmax = -LIMIT, LIMIT
    return made


def synapse(s, arrays):
    """The weights of each source, as one list of theirs."""
    row, column, weight = (arrays[f"{s['name']}/{p}"] for p in ("row", "column", "weight"))
    order = np.argsort(column, kind="stable")
    ends = np.cumsum(np.bincount(column, minlength=s["inputs"]))[:-1]
    made = Synapse(s["inputs"], label=s["name"])
    weights, indices = np.split(weight[order], ends), np.split(row[order], ends)
    made._set_weights_indices(weights, indices, weight_dtype=np.int32)
    return made


def main(asked, answered):
    request = json.loads((asked / "request.json").read_text())
    with np.load(asked / "arrays.npz", allow_pickle=False) as members:
        arrays = {key: members[key] for key in members.files}
    blocks = {p["name"]: block(p, arrays) for p in request["populations"]}
    source = SpikeInput(request["inputs"], label="input")
    start, index = arrays["input/start"], arrays["input/index"]
    for t in range(request["steps"]):
        source.add_spikes(t + 1, index[start[t] : start[t + 1]])
    ends = {**blocks, request["port"]: source}
    for s in request["synapses"]:
        for target in s["targets"]:
            made = synapse(s, arrays)
            axon = Axon(s["inputs"])
            axon.target = made
            axon.set_compartment_axon_map(np.arange(s["inputs"]))
            blocks[target].add_synapse(made)
            ends[s["source"]].add_axon(axon)
    model = SimpleNamespace(blocks=list(blocks.values()), inputs=[source], probes=[], dt=0.001)
    emulator = EmulatorInterface(model, seed=0)
    kept = {name: [] for name in blocks}
    parts = {name: emulator.block_info.slices[b] for name, b in blocks.items()}
    begin = time.perf_counter()
    for _ in range(request["steps"]):
        emulator.step()
        if request["record"]:
            for name, part in parts.items():
                kept[name].append(np.flatnonzero(emulator.compartment.spiked[part]))
    seconds = time.perf_counter() - begin
    reply = {}
    if request["record"]:
        for name, found in kept.items():
            reply[name + "/start"] = np.concatenate([[0], np.cumsum([len(f) for f in found])])
            reply[name + "/index"] = np.concatenate(found)
    np.savez(answered / "arrays.npz", **reply)
    (answered / "reply.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
