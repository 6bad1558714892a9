"""The peers: their problems, their calls and the outputs to compare."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.engines.sdk.worker import bad_reply, call
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording
from nrf_deploy.testing.bench.case import Answer, Peer, Problem
from nrf_loihi.lava import engine

from . import loop, plain
from .sdks import NENGO, SANAFE, SCIPY, SINABS
from .yardstick import find

PATIENCE_S = 900.0
ALL = ("yardstick", "dense", "nmnist", "conv128x2", "conv128x4", "covariant-1", "covariant-10")


def worker(sdk: Sdk, unrolled: bool, ahead: bool = False) -> Callable[[Problem, bool], Answer]:
    """Return a function that calls a worker with a program in plain arrays."""

    def run(problem: Problem, record: bool) -> Answer:
        description, arrays = plain.request(problem, record, unrolled)
        expected = Expected({"seconds": float}, _expected(problem) if record else {})
        reply, answer = call(sdk, description, expected, arrays, PATIENCE_S)
        outputs = _outputs(sdk, problem, answer) if record else {}
        return Answer(float(reply["seconds"]), outputs, ahead=ahead)

    return run


def _expected(problem: Problem) -> dict[str, Numbers]:
    """Return the expected arrays: where each step's spikes begin, and their neurons."""
    steps, arrays = problem.recording.steps, {}
    for p in problem.program.populations:
        spikes = Upto(p.name, steps * p.size)
        arrays[p.name + "/start"] = Numbers((steps + 1,), low=0, high=spikes.limit)
        arrays[p.name + "/index"] = Numbers((spikes,), low=0, high=p.size - 1)
    return arrays


def _outputs(sdk: Sdk, problem: Problem, answer: Mapping[str, Array]) -> dict[str, Recording]:
    outputs = {}
    for p in problem.program.populations:
        index = answer[p.name + "/index"].astype(np.int64)
        start = answer[p.name + "/start"].astype(np.int64)
        outputs[p.name] = Recording(p.shape, start, index, np.ones(len(index), np.int64))
        for fault in outputs[p.name].faults():
            raise bad_reply(sdk.name, f"has invalid spikes of {p.name!r}: {fault}")
    return outputs


def run_sanafe(problem: Problem, record: bool) -> Answer:
    """Run SANA-FE, which reads the network from its package, as its tutorial does."""
    path = find()
    reply, _ = call(
        SANAFE,
        {"steps": problem.recording.steps, "network": str(path)},
        Expected({"seconds": float, "firings": int}),
        timeout_s=PATIENCE_S,
    )
    return Answer(float(reply["seconds"]), {}, firings=int(reply["firings"]))


def run_lava(problem: Problem, record: bool) -> Answer:
    """Run Lava; the seconds are those of the call minus those of a call with one step."""
    if record:
        return Answer(0.0, engine.run(problem.program, problem.recording).outputs)
    return Answer(
        _lava_seconds(problem.program, problem.recording) - _lava_start(problem.program), {}
    )


@lru_cache(maxsize=1)
def _lava_start(program: Program) -> float:
    """Return the smaller duration of two calls that run one step without input."""
    size = sum(math.prod(p.shape) for p in program.ports)
    none = np.zeros(0, np.int64)
    quick = Recording((size,), np.zeros(2, np.int64), none, none)
    return min(_lava_seconds(program, quick) for _ in range(2))


def _lava_seconds(program: Program, recording: Recording) -> float:
    begin = time.perf_counter()
    engine.run(program, recording, record=())
    return time.perf_counter() - begin


def peers() -> list[Peer]:
    return [
        Peer("C loop", "plain C, -O3 -march=native", loop.run, dict.fromkeys(ALL, 10**6), ""),
        Peer(
            "scipy",
            SCIPY.about,
            worker(SCIPY, unrolled=True),
            {"yardstick": 300, "dense": 300, "nmnist": 311, "conv128x2": 100, "conv128x4": 60},
            "a sparse matrix for each layer does not fit in memory",
            SCIPY,
        ),
        Peer(
            "SANA-FE",
            SANAFE.about,
            run_sanafe,
            {"yardstick": 1000},
            "its loader knows neither padding nor a threshold for each neuron",
            SANAFE,
        ),
        Peer(
            "nengo-loihi",
            NENGO.about,
            worker(NENGO, unrolled=True),
            {"yardstick": 1000, "dense": 300, "nmnist": 311, "conv128x2": 100, "conv128x4": 60},
            "one Python object for each synapse list: too slow to build",
            NENGO,
        ),
        Peer(
            "sinabs",
            SINABS.about,
            worker(SINABS, unrolled=False, ahead=True),
            {"yardstick": 1000, "dense": 300, "nmnist": 311, "conv128x2": 100, "conv128x4": 100},
            "batched over time, the full size does not fit in memory; its leak is a float",
            SINABS,
        ),
        Peer(
            "Lava",
            engine.sdk.about,
            run_lava,
            {"yardstick": 400, "dense": 300, "nmnist": 311, "conv128x2": 40, "conv128x4": 40},
            "a step of the smaller networks already takes a tenth of a second",
            engine.sdk,
        ),
    ]
