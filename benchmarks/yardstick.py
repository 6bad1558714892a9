"""The public yardstick: the DVS-gesture network that the SANA-FE package ships.

1024 inputs with a constant drive each, four convolutions and a dense layer; integers,
hard reset, strict threshold, no leak, one step of delay a layer. SANA-FE's tutorial
publishes 365,277 firings in 1000 steps. The network is read from the installed package
(`pip install sanafe==2.2.9`) and said in the integers of the arithmetic "loihi", which
means the same here: du = 4095 and dv = 0 leave no current memory and no leak, a
convolution's weights are held whole, and v counts 1/64 of a weight. The dense layer is a
convolution whose kernel covers its input, so that its weights are held whole too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.emulator.engine import Engine
from nrf_deploy.network import Array
from nrf_deploy.program import Conv, Population, Port, Program
from nrf_deploy.recording import Recording
from nrf_loihi.arithmetic import LoihiArithmetic
from nrf_loihi.kernels import LoihiKernels

FIRINGS = 365_277
FIRINGS_OF_LAYERS = (25357, 27875, 70022, 191921, 49859, 243)
STEPS = 1000
SIDES = (32, 15, 13, 11, 9, 1)


def find() -> Path | None:
    """The network's file, if the SANA-FE package is installed."""
    package = importlib.util.find_spec("sanafe")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "examples" / "dvs_challenge.npz"
    return path if path.is_file() else None


def program(path: Path) -> Program:
    with np.load(path, allow_pickle=False) as arrays:
        kernels = [arrays[f"conv{k}"].transpose(3, 2, 0, 1) for k in (1, 2, 3, 4)]
        channels = kernels[-1].shape[0]
        dense = arrays["dense1"].T.reshape(-1, channels, SIDES[4], SIDES[4])
        drive = np.rint(arrays["inputs"]).astype(np.int64).reshape(1, SIDES[0], SIDES[0])
        thresholds = [int(t) for t in arrays["thresholds"]]
    layers = [np.rint(k).astype(np.int64) for k in (*kernels, dense)]
    shapes = [drive.shape, *((w.shape[0], s, s) for w, s in zip(layers, SIDES[1:], strict=True))]
    rest: list[dict[str, Array | int]] = [{} for _ in layers]
    biases: list[dict[str, Array | int]] = [{"bias_mant": drive, "bias_exp": 6}, *rest]
    return Program(
        arithmetic="loihi",
        ports=(Port(name="silence", shape=(1,)),),
        synapses=tuple(
            Conv(
                name=f"w{k}",
                source=f"n{k}",
                targets=(f"n{k + 1}",),
                weight=weight,
                input_size=shapes[k][1:],
                stride=(2, 2) if k == 0 else (1, 1),
                padding=((0, 0), (0, 0)),
                dilation=(1, 1),
            )
            for k, weight in enumerate(layers)
        ),
        populations=tuple(
            Population(
                name=f"n{k}",
                shape=shape,
                model="lif",
                params={"du": 4095, "dv": 0, "vth": thresholds[k], **biases[k]},
            )
            for k, shape in enumerate(shapes)
        ),
        outputs=("n5",),
    )


def silence(steps: int = STEPS) -> Recording:
    """Nothing comes in: the first layer's bias drives the network."""
    none = np.zeros(0, np.int64)
    return Recording((1,), np.zeros(steps + 1, np.int64), none, none)


def synaptic_events(program: Program, firings: dict[str, Array]) -> int:
    """How many weights the firings (counts, by population) reach."""
    return sum(int(np.sum(firings[s.source] * fan_out(s))) for s in program.synapses)


def fan_out(conv: Conv) -> Array:
    """Targets of each source neuron."""
    along: list[Array] = []
    for size, kernel, stride, out in zip(
        conv.input_size, conv.weight.shape[2:], conv.stride, conv.shape[1:], strict=True
    ):
        reached = np.zeros(size, np.int64)
        for k in range(kernel):
            reached[k : k + stride * out : stride] += 1
        along.append(reached)
    return np.broadcast_to(
        conv.weight.shape[0] * along[0][:, None] * along[1][None, :], conv.input_shape
    )


def measure(path: Path, repeats: int) -> dict[str, Any]:
    """Firings, synaptic events and the seconds of each repeat, on one thread.

    A repeat is a whole run from a fresh state, through the general engine.
    """
    network = program(path)
    engine = Engine(network, LoihiArithmetic(), LoihiKernels())
    counts = {name: r.counts() for name, r in engine.run(silence()).outputs.items()}
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        engine.run(silence(), record=())
        seconds.append(time.perf_counter() - begin)
    events = synaptic_events(network, counts)
    middle = statistics.median(seconds)
    return {
        "firings": sum(int(c.sum()) for c in counts.values()),
        "firings_of_layers": [int(c.sum()) for c in counts.values()],
        "synaptic_events": events,
        "seconds": middle,
        "fastest": min(seconds),
        "slowest": max(seconds),
        "repeats": repeats,
        "synaptic_events_a_second": events / middle,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="The SANA-FE yardstick on the fast emulator.")
    parser.add_argument("--network", type=Path, help="dvs_challenge.npz, if not installed")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    path = asked.network or find()
    if path is None:
        print("the network comes with SANA-FE: pip install sanafe==2.2.9", file=sys.stderr)
        return 5
    found = measure(path, asked.repeats)
    if asked.json:
        print(json.dumps(found))
    else:
        print(f"firings          {found['firings']:,} (published: {FIRINGS:,})")
        print(f"synaptic events  {found['synaptic_events']:,}")
        ends = f"{1000 * found['fastest']:.2f} to {1000 * found['slowest']:.2f}"
        print(f"1000 steps       {1000 * found['seconds']:.2f} ms (of {asked.repeats}: {ends})")
        print(f"a second         {found['synaptic_events_a_second']:.3g} synaptic events")
    return 0 if found["firings"] == FIRINGS else 1


if __name__ == "__main__":
    sys.exit(main())
