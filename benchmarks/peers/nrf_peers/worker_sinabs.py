"""Worker for sinabs on torch, batched over time. Standard library, numpy and sinabs only.

    python -I worker_sinabs.py REQUEST_DIR REPLY_DIR

Each layer is torch's convolution over all steps at once and then sinabs' IAF, with at most one
spike per step and reset to zero. float32 represents these integers exactly. There is no delay
between layers, and no leak. torch has one thread, as all other peers.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.layers import IAF


def neurons(name, shape, arrays):
    """Build an IAF layer: above an integer threshold means at or above the threshold + 1."""
    vth = torch.from_numpy(arrays[name + "/vth"].reshape(shape)).float() + 1
    layer = IAF(spike_threshold=vth, spike_fn=SingleSpike, reset_fn=MembraneReset())
    return layer, torch.from_numpy(arrays[name + "/bias"].reshape(shape)).float()


def connection(s, arrays):
    weight = torch.from_numpy(arrays[s["name"] + "/weight"]).float()
    if s["kind"] == "dense":
        return lambda x: torch.nn.functional.linear(x.flatten(1), weight)
    (py, before_y), (px, before_x) = s["padding"]
    assert (py, px) == (before_y, before_x)
    how = {"stride": s["stride"], "padding": (py, px), "groups": s["groups"]}
    return lambda x: torch.nn.functional.conv2d(x, weight, **how)


def main(request_dir, reply_dir):
    request = json.loads((request_dir / "request.json").read_text())
    with np.load(request_dir / "arrays.npz", allow_pickle=False) as members:
        arrays = {key: members[key] for key in members.files}
    torch.set_num_threads(1)
    steps = request["steps"]
    frames = np.zeros((steps, request["inputs"]), np.float32)
    step = np.repeat(np.arange(steps), np.diff(arrays["input/start"]))
    frames[step, arrays["input/index"]] = arrays["input/value"]
    sent = {request["port"]: torch.from_numpy(frames.reshape(steps, *request["input_shape"]))}
    into = {t: s for s in request["synapses"] for t in s["targets"]}
    wires = {s["name"]: connection(s, arrays) for s in request["synapses"]}
    layers = [
        (p["name"], tuple(p["shape"]), *neurons(p["name"], tuple(p["shape"]), arrays))
        for p in request["populations"]
    ]
    with torch.no_grad():
        begin = time.perf_counter()
        for name, shape, layer, bias in layers:
            arriving = torch.zeros(steps, *shape)
            if name in into:
                s = into[name]
                arriving = wires[s["name"]](sent[s["source"]]).reshape(steps, *shape)
            sent[name] = layer((arriving + bias)[None])[0]
        seconds = time.perf_counter() - begin
    reply = {}
    if request["record"]:
        for name, _, _, _ in layers:
            row, index = np.nonzero(sent[name].reshape(steps, -1).numpy())
            counts = np.bincount(row, minlength=steps)
            reply[name + "/start"] = np.concatenate([[0], np.cumsum(counts)])
            reply[name + "/index"] = index
    np.savez(reply_dir / "arrays.npz", **reply)
    (reply_dir / "reply.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
