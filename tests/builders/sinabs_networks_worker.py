"""Worker that runs whole float networks in sinabs, and takes them its own way to the chip.

    python -I sinabs_networks_worker.py REQUEST_DIR REPLY_DIR

A request is a list of networks: {"shape", "layers": [{"kind", ...}], "steps"}; their arrays are
"N/weights3" (of layer 3 of network N), "N/biases3", "N/initial1" and the events "N/step",
"N/index", "N/value". sinabs' DynapcnnNetwork discretizes each network. The answer has, for every
spiking layer, its spikes in the float network and in sinabs' simulation of the chip, and the
integers of its core.
"""

import copy
import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np

for module in ("pylab", "samna", "samnagui", "samna.speck2e", "samna.speck2f"):
    sys.modules[module] = MagicMock()
    sys.modules[f"{module}.configuration"] = MagicMock()

import torch  # noqa: E402
from sinabs.activation import (  # noqa: E402
    MembraneReset,
    MembraneSubtract,
    MultiSpike,
    SingleSpike,
)
from sinabs.backend.dynapcnn import DynapcnnNetwork  # noqa: E402
from sinabs.layers import IAFSqueeze, SumPool2d  # noqa: E402
from torch import nn  # noqa: E402

RESETS = {"value": MembraneReset, "subtract": MembraneSubtract}
SPIKES = {"one": SingleSpike, "many": MultiSpike}


def tensor(array):
    return torch.from_numpy(np.asarray(array, np.float32))


def module(number, layer, arrays):
    kind = layer["kind"]
    if kind == "iaf":
        neurons = IAFSqueeze(
            batch_size=1,
            spike_threshold=torch.tensor(layer["threshold"]),
            reset_fn=RESETS[layer["reset"]](),
            spike_fn=SPIKES[layer["per_step"]],
            min_v_mem=layer["floor"],
        )
        initial = arrays.get(f"initial{number}")
        if initial is not None:
            neurons.v_mem = tensor(initial)[None]
        return neurons
    if kind == "pool":
        kind = nn.AvgPool2d if layer["mean"] else SumPool2d
        return kind(layer["window"], layer["window"])
    if kind == "flatten":
        return nn.Flatten()
    weight, bias = (arrays.get(f"{name}{number}") for name in ("weights", "biases"))
    sizes = weight.shape[1], weight.shape[0]
    if kind == "linear":
        made = nn.Linear(*sizes, bias=bias is not None)
    else:
        form = layer["stride"], layer["padding"]
        made = nn.Conv2d(*sizes, weight.shape[2], *form, bias=bias is not None)
    made.weight.data = tensor(weight)
    if bias is not None:
        made.bias.data = tensor(bias)
    return made


def frames(network, arrays):
    dense = np.zeros((network["steps"], int(np.prod(network["shape"]))), np.float32)
    np.add.at(dense, (arrays["step"], arrays["index"]), arrays["value"])
    return tensor(dense.reshape(-1, *network["shape"]))


def spikes(run, neurons, x):
    """Run and return the spikes of these layers, (steps, neurons)."""
    kept = {}
    for number, layer in enumerate(neurons):
        layer.register_forward_hook(lambda m, a, out, n=number: kept.update({n: out}))
    with torch.no_grad():
        run(x)
    return [kept[n].flatten(1).numpy().astype(np.int64) for n in range(len(neurons))]


def first_state(core):
    shape = core.get_neuron_shape()
    neurons = core.spk
    return (
        neurons.v_mem.clone().reshape(shape)
        if neurons.is_state_initialised()
        else torch.zeros(shape)
    )


def answer(network, arrays):
    made = nn.Sequential(*(module(n, x, arrays) for n, x in enumerate(network["layers"])))
    x = frames(network, arrays)
    trained = copy.deepcopy(made)
    results = {"trained": spikes(trained, [m for m in trained if type(m) is IAFSqueeze], x)}
    chip = DynapcnnNetwork(made, input_shape=tuple(network["shape"]), batch_size=1)
    cores = [chip.dynapcnn_layers[n] for n in sorted(chip.dynapcnn_layers)]
    states = [first_state(core) for core in cores]
    results["chip"] = spikes(chip, [c.spk for c in cores], x)
    out, settings = {}, []
    for number, core in enumerate(cores):
        for run, by_layer in results.items():
            step, index = np.nonzero(by_layer[number])
            value = by_layer[number][step, index]
            for name, array in (("step", step), ("index", index), ("value", value)):
                out[f"{number}/{run}/{name}"] = array
        bias = core.conv.bias
        integers = {
            "weights": core.conv.weight,
            "biases": torch.zeros(core.conv.out_channels) if bias is None else bias,
            "initial": states[number],
        }
        for name, value in integers.items():
            out[f"{number}/{name}"] = value.detach().numpy().astype(np.int64)
        settings.append(
            {
                "threshold_high": int(core.spk.spike_threshold),
                "threshold_low": int(core.spk.min_v_mem),
                "returns_to_zero": isinstance(core.spk.reset_fn, MembraneReset),
            }
        )
    return {"cores": settings}, out


def main(request_dir, reply_dir):
    torch.set_num_threads(1)
    networks = json.loads((request_dir / "request.json").read_text())["networks"]
    arrays = [{} for _ in networks]
    with np.load(request_dir / "arrays.npz", allow_pickle=False) as members:
        for name in members.files:
            number, _, rest = name.partition("/")
            arrays[int(number)][rest] = members[name]
    reply, results = {"answers": []}, {}
    for number, network in enumerate(networks):
        settings, out = answer(network, arrays[number])
        reply["answers"].append(settings)
        results |= {f"{number}/{name}": array for name, array in out.items()}
    np.savez(reply_dir / "arrays.npz", **results)
    (reply_dir / "reply.json").write_text(json.dumps(reply))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
