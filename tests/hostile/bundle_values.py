"""Bundles whose changed numbers stay in range: they run, and both emulators must agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bundles import Parts, pack, unpack, zipped
from .case import INPUT, USAGE, Box, Case, Family
from .samples import Sample
from .values import Rng, chance, npy, pick


def changed_values(box: Box) -> Case:
    """Change two to eight weights, parameters, delays and outputs; then draw an input."""
    rng, sample = box.rng, pick(box.rng, box.samples.bundles)
    parts = unpack(sample.bundle)
    about = "; ".join(_change(rng, parts) for _ in range(int(rng.integers(2, 9))))
    bundle = box.put("b.nrfb", pack(parts))
    recording = box.put("in.npz", _input(rng, parts, sample))
    states = ("--states",) if chance(rng, 0.3) else ()
    words = ("run", bundle, "--input", recording, "-o", "out/o.npz", *states)
    refusals = frozenset({USAGE, INPUT})
    return Case(words, f"{sample.name}: {about}", refusals, golden=(bundle, recording))


def _change(rng: Rng, parts: Parts) -> str:
    program = parts.program
    match int(rng.integers(6)):
        case 0 if program["synapses"]:
            held = pick(rng, program["synapses"])
            held["delay"] = max(1, int(rng.integers(1, 7)))
            return f"delay {held['delay']}"
        case 1:
            names = [p["name"] for p in program["populations"]]
            program["outputs"] = [str(n) for n in rng.permutation(names)]
            return f"outputs {program['outputs']}"
        case 2 | 3:
            held = pick(rng, program["populations"])
            return _parameter(rng, parts, held["params"]["map"])
    held = [s for s in program["synapses"] if isinstance(s.get("weight"), dict)]
    return _weights(rng, parts, pick(rng, held)) if held else "nothing"


def _parameter(rng: Rng, parts: Parts, params: dict[str, Any]) -> str:
    if not params:
        return "nothing"
    key = pick(rng, sorted(params))
    old = params[key]
    if isinstance(old, dict):
        value = parts.arrays[old["array"]].astype(np.int64)
        value.flat[int(rng.integers(value.size))] += int(rng.integers(-3, 4))
        params[key] = parts.add(value)
        return f"one of {key}"
    if isinstance(old, int) and not isinstance(old, bool):
        params[key] = int(
            pick(
                rng,
                (
                    old + 1,
                    old - 1,
                    -old,
                    2 * old,
                    old // 2,
                    0,
                    1,
                    4095,
                    4096,
                    int(rng.integers(0, 200)),
                    int(rng.integers(0, 2**17)),
                ),
            )
        )
    return f"{key}: {old} -> {params[key]}"  # fmt: skip


def _weights(rng: Rng, parts: Parts, synapses: dict[str, Any]) -> str:
    value = parts.arrays[synapses["weight"]["array"]].astype(np.int64)
    most = int(pick(rng, (2, 8, 128, 255)))
    if chance(rng, 0.5):
        value = rng.integers(-most, most + 1, value.shape)
    elif value.size:
        value.flat[rng.integers(value.size, size=3)] = int(rng.integers(-most, most + 1))
    synapses["weight"] = parts.add(value)
    return f"weights of {synapses['name']} up to {most}"


def _input(rng: Rng, parts: Parts, sample: Sample) -> bytes:
    """Draw values in the range of the ports, dense or sparse; in some cases long."""
    nodes = [n for n in parts.network["nodes"] if n["type"] == "network.Input"]
    ports = parts.program["ports"]
    if len(nodes) != 1 or len(ports) != 1:
        return sample.recording.read_bytes()
    peak = min(int(ports[0]["peak"]), 200)
    lowest = ports[0]["lowest"]
    low = -peak if lowest is None else max(int(lowest), -200)
    shape = (int(pick(rng, (1, 3, 20, 20, 70))), *nodes[0]["port_shape"])
    there = rng.random(shape) < pick(rng, (0.05, 0.3, 0.9))
    return zipped({"frames.npy": npy(rng.integers(low, peak + 1, shape) * there)})


FAMILIES = (
    Family("bundle-values", "numbers in range: most of them run", changed_values, 1650, 54),
)
