"""Generator of the conformance kit of programs in the arithmetic "fixed".

    python -m tools.kits.emulator FOLDER

There is no other implementation of this machine, so the plain rules of arithmetic/steps.py give
the expected results. The kit records them, for comparison with any new engine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from nrf_deploy import __version__
from nrf_deploy.engines.emulator import golden
from nrf_deploy.ir.network import Shape
from nrf_deploy.ir.program import Population, Port, Program, Sparse, Synapses
from nrf_deploy.testing.conformance import Case, Kit, write_kit
from nrf_deploy.testing.conformance.case import by_hand
from nrf_emulator.arithmetic.additions import ADDITIONS
from nrf_emulator.arithmetic.models import PARAMETERS
from nrf_emulator.arithmetic.rules import FixedArithmetic

from .program_parts import Made, conv, dense, events, port, program, some, values

BY_RULES = f"the plain rules of nrf_emulator {__version__} (golden.py)"


def neurons(shape: Shape = (1,), model: str = "lif", name: str = "n", **params: Any) -> Population:
    usual = {"vth": 2500} if "vth" in PARAMETERS[model] else {}
    return Population(name=name, shape=shape, model=model, params={**usual, **params})


def of_fixed(source: Port, *parts: Synapses | Population) -> Program:
    return program("fixed", source, *parts)


def one_neuron() -> Iterator[Made]:
    def one(name: str, about: str, rule: str, weight: int, **more: Any) -> Made:
        inputs = more.pop("inputs", events(0, 1, 2, 7, 8, 14, 15, 16))
        cell = neurons((1,), more.pop("model", "lif"), **more)
        result = of_fixed(port(1, peak=2**12), dense([[weight]]), cell)
        return Made(name, about, (rule,), result, inputs)

    every = events(*range(20))
    yield one("above", "meets its threshold exactly, must not spike", "fires above the threshold",
              10, vth=1920, inputs=every)  # fmt: skip
    yield one("at", "meets its threshold exactly, must spike", "fires at the threshold",
              10, vth=1920, at=1, inputs=every)  # fmt: skip
    yield one("resets", "a spike leads to another value", "v_reset", 30, v_reset=-700, inputs=every)
    yield one("subtracts", "a spike subtracts the threshold", "reset by subtraction",
              30, subtract=1, inputs=every)  # fmt: skip
    for number, rounding in enumerate(("floor", "zero", "nearest")):
        yield one(f"rounds-{rounding}", f"a decay rounded: {rounding}", f"rounding: {rounding}",
                  -30, decay=777, rounding=number)  # fmt: skip
    yield one("leaks-by-amount", "a leak by an amount, never past rest", "leak by an amount",
              30, leak=150, rest=40, v0=-600)  # fmt: skip
    yield one("biased", "a bias in each step", "bias", 10, bias=111, decay=300)
    yield one("waits", "nothing moves before step 4", "wait", 30, wait=4, bias=50)
    yield one("current", "a current decays separately", "currents with a memory",
              30, model="cuba_lif", decay=500, current_decay=900, input_bias=9, i0=80)  # fmt: skip
    yield one("sends-v", "a potential is sent without its low bits", "payloads of a potential",
              -30, model="li", decay=500, shift=5)  # fmt: skip
    yield one("sends-rectified", "none below 0 is sent", "rectified payloads",
              -30, model="cuba_li", decay=500, current_decay=900, shift=5, rectify=1,
              bias=300)  # fmt: skip
    for name, row in ADDITIONS.items():
        about, covers, params = row.case
        yield one(name, about, covers, 30, model=f"cuba_lif_{name}", inputs=every, **params)
    flood = values(*[-900] * 6, *[900] * 9, 0, 0)
    for wrap, word in enumerate(("saturates", "wraps")):
        yield one(word, f"a potential {word} at 16 bits", f"a state {word}", 4,
                  state_bits=16, wrap=wrap, vth=32767, inputs=flood)  # fmt: skip
        yield one(f"sum-{word}", f"a sum {word} at 10 bits", f"a sum {word}", 1,
                  sum_bits=10, wrap=wrap, vth=10**6, inputs=flood)  # fmt: skip


def connections() -> Iterator[Made]:
    three, inputs = neurons((3,), decay=300), some(24, (4,), 1, part=0.5)
    weight = [[21, -17, 33, -5], [7, 8, -9, 40], [-25, 24, 33, 0]]
    yield Made("dense", "twelve weights", ("dense weights",),
               of_fixed(port(4), dense(weight), three), inputs)  # fmt: skip
    binary = dense([[20, -4]], params={"graded": 0})
    yield Made("binary", "any payload counts as 1", ("binary messages",),
               of_fixed(port(2, peak=100), binary, neurons()),
               some(20, (2,), 2, peak=100))  # fmt: skip
    late = dense([[20, 8], [6, 14]], delays=np.array([[0, 3], [5, 1]]))
    yield Made("delays", "each weight has a delay of its own", ("delays of single weights",),
               of_fixed(port(2), late, neurons((2,), decay=300)), some(24, (2,), 3))  # fmt: skip
    scattered = Sparse(
        name="w", source="in", targets=("n",), weight=np.array([22, -8, 14, 30]),
        row=np.array([0, 0, 2, 1]), column=np.array([0, 3, 1, 2]), source_shape=(4,),
        target_shape=(3,),
    )  # fmt: skip
    yield Made("sparse", "four weights of twelve", ("sparse weights",),
               of_fixed(port(4), scattered, three), inputs)  # fmt: skip
    taps = np.random.default_rng(4).integers(-20, 40, (4, 1, 2, 3))
    window = conv(taps, (5, 6), groups=2, stride=(2, 1), padding=((1, 0), (1, 2)), dilation=(2, 1))
    yield Made("kernel", "two groups, strides, unequal padding, taps apart",
               ("kernels, as cross-correlation",),
               of_fixed(port(2, 5, 6), window, neurons(window.shape)),
               some(20, (2, 5, 6), 5, part=0.2))  # fmt: skip
    back = dense([[0, 30], [-24, 0]], "n", "n", "back")
    yield Made("feedback", "spikes come back one step later", ("feedback",),
               of_fixed(port(2), dense([[36, 0], [0, 36]], delay=0), back,
                        neurons((2,), vth=2000)),
               some(24, (2,), 7, part=0.5))  # fmt: skip


def kit() -> Kit:
    return Kit(
        about="programs of the machine that a user describes, one rule each, by its plain rules",
        cases=tuple(_case(draft) for part in (one_neuron, connections) for draft in part()),
    )


def _case(draft: Made) -> Case:
    trace = golden.run(draft.program, FixedArithmetic(), draft.recording, states=["n"])
    assert any(np.any(x) for x in trace.states["n"].values()), f"{draft.name} does nothing"
    return Case(
        name=draft.name, about=draft.about, covers=draft.covers, made_by=BY_RULES,
        subject=by_hand(draft.program, "emulator", "emulator", __version__),
        recording=draft.recording, expected=replace(trace, notes={}),
    )  # fmt: skip


if __name__ == "__main__":
    write_kit(kit(), sys.argv[1])
