"""Worker that runs cores on sinabs' layers and its builder of the chip's configuration.

    python -I worker_sinabs.py REQUEST_DIR REPLY_DIR

Standard library, numpy, torch and sinabs 3.1.3 only. sinabs imports samna, samnagui and
pylab: stand-ins replace them, which record the attributes that are set. sinabs' configuration
builders for Speck 2e and 2f therefore run unchanged, and their settings are the answer.

A request is a list of jobs, {"action", "cores": [...]}, written by client.py. The names of the
arrays of job 3 begin with "3/", here and in the answer; weights, biases and states are integers
("3/weights0" of core 0) and are not quantized again.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np


class Recorder:
    """Stand-in for an object of samna that accepts and records all attributes."""

    def __init__(self, *arguments):
        self.__dict__["_values"] = {}

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._values.setdefault(name, Recorder())

    def __setattr__(self, name, value):
        self._values[name] = value

    def __getitem__(self, index):
        return self._values.setdefault(str(index), Recorder())

    def __iter__(self):
        return iter([v for k, v in self._values.items() if k.isdigit()])

    def tree(self):
        """Return the attributes that were set, without those that were only read."""
        tree = {k: v.tree() if isinstance(v, Recorder) else v for k, v in self._values.items()}
        return {k: plain(v) for k, v in tree.items() if not (isinstance(v, dict) and not v)}


class StandIn(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return Recorder if name[0].isupper() else StandIn(name)


NEW = ("speck2e", "speck2f")
for module in ("pylab", "samna", "samnagui", *(f"samna.{chip}" for chip in NEW)):
    sys.modules[module] = StandIn(module)
for chip in NEW:
    sys.modules[f"samna.{chip}.configuration"] = StandIn(chip)

import torch  # noqa: E402
from sinabs.activation import MembraneReset, MembraneSubtract  # noqa: E402
from sinabs.backend.dynapcnn.chip_factory import ChipFactory  # noqa: E402
from sinabs.backend.dynapcnn.chips.dynapcnn import DynapcnnConfigBuilder  # noqa: E402
from sinabs.backend.dynapcnn.dynapcnn_layer import DynapcnnLayer  # noqa: E402
from sinabs.backend.dynapcnn.dynapcnnnetwork_module import DynapcnnNetworkModule  # noqa: E402
from sinabs.layers import IAFSqueeze  # noqa: E402

CHUNK = 64
EXACT = 2**23
"""Limit of sums: below it, float32 represents them and their quotients by thresholds exactly."""


class RefusedError(Exception):
    """Refusal that replaces an answer: (what, why, fix)."""


class OldBuilder(DynapcnnConfigBuilder):
    """Builder for chips without one in sinabs 3; the code is inherited."""

    @classmethod
    def get_default_config(cls):
        return Recorder()


class Shifted(DynapcnnLayer):
    """Layer whose outputs are padded with zeros to their features in the target.

    sinabs' merge, which adds its inputs, then concatenates them.
    """

    def place(self, spans):
        self.spans = spans
        return self

    def forward(self, x):
        outputs = super().forward(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        padded = tuple(
            torch.nn.functional.pad(out, (0, 0, 0, 0, before, after))
            for out, (before, after) in zip(outputs, self.spans, strict=True)
        )
        return padded if len(padded) > 1 else padded[0]


class Sum(torch.nn.Module):
    """sinabs' merge for more than two layers."""

    def forward(self, *parts):
        return sum(parts)


def layer(core, arrays):
    number, (features, *_) = core["index"], core["output_shape"]
    conv = torch.nn.Conv2d(
        core["input_shape"][0], features, core["kernel"], core["stride"], core["padding"]
    )
    conv.weight.data = tensor(arrays[f"weights{number}"])
    conv.bias.data = tensor(arrays[f"biases{number}"])
    spiking = IAFSqueeze(
        batch_size=1,
        spike_threshold=torch.tensor(float(core["threshold_high"])),
        reset_fn=MembraneReset() if core["returns_to_zero"] else MembraneSubtract(),
        min_v_mem=torch.tensor(float(core["threshold_low"])),
        shape=(1, *core["output_shape"]),
        record_states=True,
    )
    spiking.v_mem = tensor(arrays[f"initial{number}"])[None]
    pools = [(d["pooling"],) * 2 for d in core["destinations"]] or [(1, 1)]
    shape = tuple(core["input_shape"])
    module = Shifted(conv, spiking, shape, pools, discretize=False)
    return module.place([d["span"] for d in core["destinations"]] or [(0, 0)])


def tensor(array):
    return torch.from_numpy(array.astype(np.float32))


def layers(request):
    modules = {core["index"]: layer(core, request) for core in request["cores"]}
    destinations = {
        core["index"]: [d["core"] for d in core["destinations"]] or [-1]
        for core in request["cores"]
    }
    return modules, destinations


def run(request):
    """Run: {"cores", "entries": [index], "shape", "steps", "record", "states"} -> {}.

    Arrays: "step", "index", "value" -> "I/output/step" ... of each core I in "record", "I/v" of
    each core I in "states".
    """
    modules, destinations = layers(request)
    network = DynapcnnNetworkModule(modules, destinations, set(request["entries"]))
    network.setup_dynapcnnlayer_graph()
    if max(map(len, network.node_source_map.values())) > 2:
        network.merge_layer = Sum()
    spikes = {}
    for index, each in modules.items():
        each.conv_layer.register_forward_hook(bounded)
        each.spk_layer.register_forward_hook(lambda m, a, out, i=index: spikes.update({i: out}))
    kept = {}
    for start in range(0, request["steps"], CHUNK):
        stop = min(start + CHUNK, request["steps"])
        with torch.no_grad():
            network(tensor(frames(request, start, stop)))
        for index in request["record"]:
            flat = spikes[index].flatten(1).numpy()
            step, place = np.nonzero(flat)
            part = (step + start, place, flat[step, place].astype(np.int64))
            for name, array in zip(("step", "index", "value"), part, strict=True):
                kept.setdefault(f"{index}/output/{name}", []).append(array)
        for index in request["states"]:
            membrane = modules[index].spk_layer.recordings["v_mem"][0].numpy().astype(np.int64)
            kept.setdefault(f"{index}/v", []).append(membrane)
    return {}, {name: np.concatenate(parts) for name, parts in kept.items()}


def bounded(module, arguments, out):
    if float(out.abs().max()) >= EXACT:
        raise RefusedError("a sum is too large for sinabs' floats", f"{EXACT} and more", "")


def frames(request, start, stop):
    dense = np.zeros((stop - start, int(np.prod(request["shape"]))), np.float32)
    chunk = (request["step"] >= start) & (request["step"] < stop)
    np.add.at(
        dense, (request["step"][chunk] - start, request["index"][chunk]), request["value"][chunk]
    )
    return dense.reshape(-1, *request["shape"])


def configure(request):
    """Build a configuration: {"cores", "chip", "monitored"} -> {"tree": by samna's names}."""
    modules, destinations = layers(request)
    name = request["chip"]
    builder = (
        ChipFactory(
            {"speck2e": "speck2edevkit", "speck2f": "speck2fmodule"}[name]
        ).get_config_builder()
        if name in NEW
        else OldBuilder
    )
    same = {index: index for index in modules}
    config = builder.build_config(modules, same, destinations)
    builder.monitor_layers(config, request["monitored"])
    return {"tree": config.tree()}, {}


def plain(value):
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return value.tolist()
    return value


ACTIONS = {"run": run, "configure": configure}


def main(request_dir, reply_dir):
    torch.set_num_threads(1)
    jobs = json.loads((request_dir / "request.json").read_text())["jobs"]
    with np.load(request_dir / "arrays.npz", allow_pickle=False) as members:
        for name in members.files:
            number, _, rest = name.partition("/")
            jobs[int(number)][rest] = members[name]
    reply, arrays = {"answers": []}, {}
    try:
        for number, job in enumerate(jobs):
            answer, results = ACTIONS[job["action"]](job)
            reply["answers"].append(answer)
            arrays |= {f"{number}/{name}": array for name, array in results.items()}
        np.savez(reply_dir / "arrays.npz", **arrays)
    except RefusedError as refused:
        what, why, fix = refused.args
        reply = {"refused": {"what": what, "why": why, "fix": fix}}
    (reply_dir / "reply.json").write_text(json.dumps(reply))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
