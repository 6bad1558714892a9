"""Runs cores on sinabs' own layers, and asks its builder for the chip's configuration.

    python -I worker_sinabs.py REQUEST_DIR REPLY_DIR

Standard library, numpy, torch and sinabs 3.1.3 only. sinabs imports samna, samnagui and
pylab: stand-ins take their places, which hold what is set on them and nothing else. So
sinabs' config builders for Speck 2e and 2f run as they are, and what they would have told
the real samna is the answer.

A request is a list of jobs, {"action", "cores": [...]} as client.py writes them. The arrays
of job 3 begin with "3/", here and in the answer; weights, biases and states are integers
there ("3/weights0" of core 0), and are not discretised again.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np


class Recorder:
    """An object of samna's that takes every attribute and keeps what was set."""

    def __init__(self, *arguments):
        self.__dict__["_held"] = {}

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._held.setdefault(name, Recorder())

    def __setattr__(self, name, value):
        self._held[name] = value

    def __getitem__(self, index):
        return self._held.setdefault(str(index), Recorder())

    def __iter__(self):
        return iter([v for k, v in self._held.items() if k.isdigit()])

    def tree(self):
        """What was set; parts that were only looked at are left out."""
        made = {k: v.tree() if isinstance(v, Recorder) else v for k, v in self._held.items()}
        return {k: plain(v) for k, v in made.items() if not (isinstance(v, dict) and not v)}


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
"""Sums stay below: float32 then holds them, and their quotient by a threshold, exactly."""


class RefusedError(Exception):
    """What the reply says instead of an answer: (what, why, fix)."""


class OldBuilder(DynapcnnConfigBuilder):
    """For the chips that sinabs 3 has no builder of its own for; the code is the parent's."""

    @classmethod
    def get_default_config(cls):
        return Recorder()


class Shifted(DynapcnnLayer):
    """Where several layers are joined: each output stands at its features, zeros around it,
    so that sinabs' own merge, which adds, puts them side by side."""

    def place(self, spans):
        self.spans = spans
        return self

    def forward(self, x):
        made = super().forward(x)
        made = made if isinstance(made, tuple) else (made,)
        placed = tuple(
            torch.nn.functional.pad(out, (0, 0, 0, 0, before, after))
            for out, (before, after) in zip(made, self.spans, strict=True)
        )
        return placed if len(placed) > 1 else placed[0]


class Sum(torch.nn.Module):
    """sinabs' merge takes two layers; this is the same for more."""

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
    made = Shifted(conv, spiking, shape, pools, discretize=False)
    return made.place([d["span"] for d in core["destinations"]] or [(0, 0)])


def tensor(array):
    return torch.from_numpy(array.astype(np.float32))


def layers(request):
    made = {core["index"]: layer(core, request) for core in request["cores"]}
    destinations = {
        core["index"]: [d["core"] for d in core["destinations"]] or [-1]
        for core in request["cores"]
    }
    return made, destinations


def run(request):
    """{"cores", "entries": [index], "shape", "steps", "record", "states"}, arrays "step",
    "index", "value" -> arrays "I/output/step" ... of each core I, "I/v" of those in "states"."""
    made, destinations = layers(request)
    network = DynapcnnNetworkModule(made, destinations, set(request["entries"]))
    network.setup_dynapcnnlayer_graph()
    if max(map(len, network.node_source_map.values())) > 2:
        network.merge_layer = Sum()
    spikes = {}
    for index, each in made.items():
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
            membrane = made[index].spk_layer.recordings["v_mem"][0].numpy().astype(np.int64)
            kept.setdefault(f"{index}/v", []).append(membrane)
    return {}, {name: np.concatenate(parts) for name, parts in kept.items()}


def bounded(module, arguments, out):
    if float(out.abs().max()) >= EXACT:
        raise RefusedError("a sum is too large for sinabs' floats", f"{EXACT} and more", "")


def frames(request, start, stop):
    dense = np.zeros((stop - start, int(np.prod(request["shape"]))), np.float32)
    mine = (request["step"] >= start) & (request["step"] < stop)
    np.add.at(
        dense, (request["step"][mine] - start, request["index"][mine]), request["value"][mine]
    )
    return dense.reshape(-1, *request["shape"])


def configure(request):
    """{"cores", "chip", "monitored"} -> {"tree"}: what sinabs sets, by samna's names."""
    made, destinations = layers(request)
    name = request["chip"]
    builder = (
        ChipFactory(
            {"speck2e": "speck2edevkit", "speck2f": "speck2fmodule"}[name]
        ).get_config_builder()
        if name in NEW
        else OldBuilder
    )
    same = {index: index for index in made}
    config = builder.build_config(made, same, destinations)
    builder.monitor_layers(config, request["monitored"])
    return {"tree": config.tree()}, {}


def plain(value):
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return value.tolist()
    return value


ACTIONS = {"run": run, "configure": configure}


def main(asked, answered):
    torch.set_num_threads(1)
    jobs = json.loads((asked / "request.json").read_text())["jobs"]
    with np.load(asked / "arrays.npz", allow_pickle=False) as members:
        for name in members.files:
            number, _, rest = name.partition("/")
            jobs[int(number)][rest] = members[name]
    reply, arrays = {"answers": []}, {}
    try:
        for number, job in enumerate(jobs):
            answer, made = ACTIONS[job["action"]](job)
            reply["answers"].append(answer)
            arrays |= {f"{number}/{name}": array for name, array in made.items()}
        np.savez(answered / "arrays.npz", **arrays)
    except RefusedError as refused:
        what, why, fix = refused.args
        reply = {"refused": {"what": what, "why": why, "fix": fix}}
    (answered / "reply.json").write_text(json.dumps(reply))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
