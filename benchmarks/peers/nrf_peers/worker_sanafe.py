"""Worker for SANA-FE's simulator on its network. Standard library, numpy and sanafe only.

    python -I worker_sanafe.py REQUEST_DIR REPLY_DIR

The network is built as in its tutorial, on its Loihi architecture, with layers in order over
the cores. Simple timing, one thread, no traces: its fastest setting.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import sanafe
from sanafe import layers

A_CORE = 1024


def place(network, arch):
    """Map neurons to cores in order; each layer and each 1024 neurons start a new core."""
    cores = iter([core for tile in arch.tiles for core in tile.cores])
    for layer in network:
        for k, neuron in enumerate(layer):
            if k % A_CORE == 0:
                core = next(cores)
            neuron.map_to_core(core)


def build(path):
    arch, snn = sanafe.load_loihi(), sanafe.Network()
    with np.load(path, allow_pickle=False) as arrays:
        vth = [float(t) for t in arrays["thresholds"]]
        stack = [layers.Input2D(snn, 32, 32, threshold=vth[0])]
        for k in (1, 2, 3, 4):
            stride = {"stride_width": 2, "stride_height": 2} if k == 1 else {}
            kernel = np.rint(arrays[f"conv{k}"])
            stack.append(layers.Conv2D(snn, stack[-1], kernel, threshold=vth[k], **stride))
        stack.append(layers.Dense(snn, stack[-1], 11, np.rint(arrays["dense1"]), threshold=vth[5]))
        for neuron, bias in zip(stack[0], np.rint(arrays["inputs"]).ravel(), strict=True):
            neuron.set_attributes(model_attributes={"bias": float(bias)})
    place(stack, arch)
    return arch, snn


def main(request_dir, reply_dir):
    request = json.loads((request_dir / "request.json").read_text())
    arch, snn = build(request["network"])
    chip = sanafe.SpikingChip(arch)
    chip.load(snn)
    begin = time.perf_counter()
    result = chip.sim(request["steps"], timing_model="simple", processing_threads=1)
    seconds = time.perf_counter() - begin
    reply = {"seconds": seconds, "firings": result["neurons_fired"]}
    (reply_dir / "reply.json").write_text(json.dumps(reply))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
