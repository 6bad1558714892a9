"""A program without faults is run by golden, and the compiled engine gives the same bits.

Each case breaks one or two things of a conformance program, so most are refused; what is not
refused must run.
"""

from __future__ import annotations

import math
import random
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from nrf_deploy.bundle.bundle import load
from nrf_deploy.bundle.pipeline import target_of
from nrf_deploy.engines.emulator import events_golden, golden
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.emulator.events_engine import EventEngine
from nrf_deploy.engines.emulator.events_golden import EventRule
from nrf_deploy.engines.emulator.soundness import findings
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace
from tests.builders.crafted_bundles import TARGETS

NUMBERS = (
    -(2**70), -(2**63), -(2**31) - 1, -(2**31), -(2**15), -129, -2, -1, 0, 1, 2, 3, 7, 8, 9, 23, 24,
    31, 32, 255, 4095, 4096, 2**15, 2**16, 2**23, 2**31 - 1, 2**31, 2**40, 2**63 - 1, 2**70,
)  # fmt: skip
OTHERS = ("x", None, 0.5, True, (), {}, np.array(3), np.array([1.5]), np.zeros((2, 2, 2), int))
CASES = 350


@cache
def kit(arithmetic: str) -> list[tuple[Program, Any, Any]]:
    """Return (program, rules, kernels) of the conformance programs of an arithmetic."""
    found = []
    for path in sorted(TARGETS.glob(f"*/kit/{arithmetic}.*/program.nrfb")):
        bundle = load(path)
        target = target_of(bundle)
        found.append((bundle.program, target.arithmetics[arithmetic], target.kernels[arithmetic]))
    return found


def number(rng: random.Random) -> Any:
    return rng.choice(NUMBERS) if rng.random() < 0.9 else rng.choice(OTHERS)


def mutated(rng: random.Random, value: Any) -> Any:
    """Draw another value near this one, or an unrelated one."""
    if isinstance(value, np.ndarray):
        return _array(rng, value)
    if isinstance(value, tuple) and value:
        k = rng.randrange(len(value))
        return (*value[:k], mutated(rng, value[k]), *value[k + 1 :])
    if isinstance(value, dict) and value:
        key = rng.choice(sorted(value))
        changed = dict(value) | {key: number(rng)}
        return changed if rng.random() < 0.9 else {**changed, key + "x": 1}
    if isinstance(value, int) and rng.random() < 0.5:
        return value + rng.choice((-2, -1, 1, 2, 3))
    return number(rng)


def _array(rng: random.Random, value: Any) -> Any:
    way = rng.randrange(6)
    if way == 0 or not value.size:
        return value[..., :-1]
    if way == 1:
        return np.concatenate([value, value])
    if way == 2:
        return value * 0.5
    changed = value.copy()
    wide = [n for n in NUMBERS if -(2**63) <= n < 2**63]
    near = int(changed.flat[0]) + rng.choice((-2, -1, 1, 2))
    changed.flat[rng.randrange(changed.size)] = rng.choice((near, rng.choice(wide)))
    return changed if way > 3 else changed.ravel() if way == 3 else changed[None]


def broken(rng: random.Random, program: Program) -> Program:
    part = rng.choice(("ports", "synapses", "synapses", "synapses", "populations", "populations"))
    nouns = getattr(program, part)
    if not nouns:
        return program
    k = rng.randrange(len(nouns))
    names = [f.name for f in fields(nouns[k]) if f.name != "name"]
    name = rng.choice(names)
    if name in ("source", "targets", "model"):
        words = [p.name for p in (*program.ports, *program.populations)]
        word = rng.choice([*words, "lif", "pass", "nobody"])
        changed: Any = (word,) * rng.choice((1, 2)) if name == "targets" else word
    else:
        changed = mutated(rng, getattr(nouns[k], name))
    noun = replace(nouns[k], **{name: changed})
    return replace(program, **{part: (*nouns[:k], noun, *nouns[k + 1 :])})


def recording(rng: random.Random, program: Program) -> Recording:
    """Draw a few steps; values up to the limits of the ports, and in some cases above."""
    size = sum(math.prod(port.shape) for port in program.ports)
    low, high = (f(port.range[k] for port in program.ports) for f, k in ((min, 0), (max, 1)))
    high = min(high, 2**31 - 1)
    if program.arithmetic == "speck.events":
        low, high = 0, min(max(high, 0), 3)
    draw = np.random.default_rng(rng.randrange(2**32))
    frames = draw.integers(low, high + 1, (6, size)) * (draw.random((6, size)) < 0.5)
    return Recording.from_dense(frames)


def differs(ours: Trace, theirs: Trace) -> str | None:
    for name, output in theirs.outputs.items():
        if not ours.outputs[name].same(output):
            return f"the output of {name}"
        for v, x in theirs.states.get(name, {}).items():
            if not np.array_equal(ours.states[name][v], x):
                return f"{v} of {name}"
    return None


@pytest.mark.parametrize("arithmetic", ["loihi", "fixed", "speck.steps", "speck.events"])
def test_what_has_no_fault_runs_everywhere_alike(arithmetic: str) -> None:
    ran = 0
    for seed in range(CASES):
        rng = random.Random(f"{arithmetic} {seed}")
        made, rules, kernels = rng.choice(kit(arithmetic))
        for _ in range(rng.choice((1, 1, 2))):
            made = broken(rng, made)
        if findings(made, rules):
            continue
        if isinstance(rules, EventRule):
            run, engine = events_golden.run, EventEngine(made, rules, kernels).run
        else:
            run, engine = golden.run, Engine(made, rules, kernels).run
        given = recording(rng, made)
        every = [p.name for p in made.populations]
        difference = differs(engine(given, every, every), run(made, rules, given, every, every))
        assert difference is None, f"seed {seed}: {difference} of {made.synapses}"
        ran += 1
    assert ran > CASES // 20
