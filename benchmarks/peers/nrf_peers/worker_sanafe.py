"""SANA-FE's own simulator on its own network. Standard library, numpy and sanafe only.

    python -I worker_sanafe.py REQUEST_DIR REPLY_DIR

Built as its tutorial builds it, on its Loihi architecture, a layer after another over the
cores. Simple timing, one thread, no traces: as fast as it goes.
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
    """Neurons in order, a new core for each layer and after each 1024."""
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
        made = [layers.Input2D(snn, 32, 32, threshold=vth[0])]
        for k in (1, 2, 3, 4):
            stride = {"stride_width": 2, "stride_height": 2} if k == 1 else {}
            kernel = np.rint(arrays[f"conv{k}"])
            made.append(layers.Conv2D(snn, made[-1], kernel, threshold=vth[k], **stride))
        made.append(layers.Dense(snn, made[-1], 11, np.rint(arrays["dense1"]), threshold=vth[5]))
        for neuron, bias in zip(made[0], np.rint(arrays["inputs"]).ravel(), strict=True):
            neuron.set_attributes(model_attributes={"bias": float(bias)})
    place(made, arch)
    return arch, snn


def main(asked, answered):
    request = json.loads((asked / "request.json").read_text())
    arch, snn = build(request["network"])
    chip = sanafe.SpikingChip(arch)
    chip.load(snn)
    begin = time.perf_counter()
    found = chip.sim(request["steps"], timing_model="simple", processing_threads=1)
    seconds = time.perf_counter() - begin
    reply = {"seconds": seconds, "firings": found["neurons_fired"]}
    (answered / "reply.json").write_text(json.dumps(reply))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
