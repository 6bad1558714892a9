"""Generator of the conformance kit of programs in the arithmetic "loihi".

    python -m tools.kits.loihi FOLDER

Each program is as small as possible and needs one rule. Lava's fixed-point models give the
expected states and outputs of every step (nrf-deploy sdk install lava); for models that Lava
does not have in integers, the plain rules of arithmetic/rules.py do. Both must agree on all
models that both have.
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
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.testing.conformance import Case, Kit, write_kit
from nrf_deploy.testing.conformance.case import by_hand
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_loihi.lava import engine

from .program_parts import Made, conv, dense, events, port, program, some, values

BY_LAVA = "lava-nc 0.10.0, Loihi2SimCfg(select_tag='fixed_pt')"
BY_RULES = f"the plain rules of nrf_loihi {__version__} (golden.py)"


def neurons(shape: Shape = (1,), name: str = "n", **params: Any) -> Population:
    """Return LIF neurons; by default without decays, and with the threshold 40."""
    usual = {"du": 4095, "dv": 0, "vth": 40}
    return Population(name=name, shape=shape, model="lif", params={**usual, **params})


def one_of(model: str, params: dict[str, Any]) -> Population:
    return Population(name="n", shape=(1,), model=model, params=params)


def of_loihi(source: Port, *parts: Synapses | Population) -> Program:
    return program("loihi", source, *parts)


def one_neuron() -> Iterator[Made]:
    def one(
        name: str, about: str, covers: str, inputs: Recording, weight: int = 30, **lif: Any
    ) -> Made:
        result = of_loihi(port(1), dense([[weight]]), neurons(**lif))
        return Made(name, about, (covers,), result, inputs)

    every = events(*range(20))
    yield one("threshold", "v meets its threshold exactly and must not spike",
              "v > vth << 6, strictly", every, weight=10)  # fmt: skip
    yield one("v-decay", "v decays, rounded toward zero, on both sides of 0",
              "decay of v by dv, toward zero", events(0, 12), weight=30, dv=777)  # fmt: skip
    yield one("v-decay-below", "the same of a negative v",
              "decay of v by dv, toward zero", events(0, 9), weight=-30, dv=777)  # fmt: skip
    yield one("u-decay", "u decays by du + 1",
              "decay of u by du + 1, toward zero", events(0, 9, 10), du=901, vth=9000)  # fmt: skip
    yield one("u-decay-below", "the same of a negative u",
              "decay of u by du + 1, toward zero", events(0, 9, 10),
              weight=-30, du=901)  # fmt: skip
    yield one("u-kept", "a spike empties v and leaves u",
              "u is kept at a spike", events(0, 1), weight=60, du=300, dv=200)  # fmt: skip
    yield one("bias-left", "a bias with an exponent", "bias_mant << bias_exp",
              events(3), bias_mant=37, bias_exp=3)  # fmt: skip
    yield one("bias-right", "a negative bias exponent rounds down",
              "bias_mant >> -bias_exp, down", events(3), bias_mant=-37, bias_exp=-2)  # fmt: skip
    yield one("starts", "u and v start elsewhere than at 0", "u0 and v0",
              events(2), du=1000, dv=100, u0=-500, v0=1500)  # fmt: skip


def edges() -> Iterator[Made]:
    graded = {"num_message_bits": 24}
    peak = port(1, peak=2**20)
    yield Made(
        "v-saturates", "v stays at the lower end of 24 bits", ("v saturates",),
        of_loihi(peak, dense([[1]], params=graded), neurons(vth=131071)),
        values(*[-40_000] * 6, *[40_000] * 8, 0),
    )  # fmt: skip
    yield Made(
        "u-wraps", "u wraps at 24 bits", ("u wraps once",),
        of_loihi(peak, dense([[3]], params=graded), neurons(du=500, dv=300, vth=131071)),
        values(*[2**16] * 5, *[-(2**16)] * 12, 0, 0, 0),
    )  # fmt: skip
    wide = np.full((1, 1, 1, 1), 2**12)
    yield Made(
        "conv-wraps", "a convolution's sum wraps at 24 bits", ("sums of a convolution wrap",),
        of_loihi(port(1, 1, 1, peak=2**14), conv(wide, (1, 1), params=graded),
                neurons((1, 1, 1), vth=131071)),
        Recording.from_dense(
            np.array([1, 2047, 2048, 2049, -2049, 5000, 0, 0]).reshape(-1, 1, 1, 1)
        ),
    )  # fmt: skip


def synapses() -> Iterator[Made]:
    three, inputs = neurons((3,), dv=500, vth=200), some(24, (4,), 1, part=0.5)
    mixed = [[1, -1, 255, -256], [7, 8, -9, 10], [-255, 254, 33, 0]]
    positive = np.abs(mixed)

    def of(name: str, about: str, rule: str, weight: Any, **params: int) -> Made:
        result = of_loihi(port(4), dense(weight, params=params), three)
        return Made(name, about, (rule,), result, inputs)

    yield of("weights-mixed", "with both signs, weights are even",
             "mixed weights lose their lowest bit", mixed)  # fmt: skip
    yield of("weights-excitatory", "with one sign they have 8 bits",
             "excitatory weights", positive)  # fmt: skip
    yield of("weights-inhibitory", "and round toward zero below 0", "inhibitory weights",
             -positive, num_weight_bits=5)  # fmt: skip
    yield of("weight-bits", "five bits a weight", "num_weight_bits", mixed, num_weight_bits=5)
    yield of("exponent-left", "the sum is shifted to the left", "weight_exp of 0 or more",
             mixed, weight_exp=3)  # fmt: skip
    yield of("exponent-right", "the sum, not each weight, is shifted to the right, down",
             "weight_exp below 0 shifts the sum", mixed, weight_exp=-3)  # fmt: skip
    yield Made(
        "messages-graded", "payloads count as they are", ("graded messages",),
        of_loihi(port(2, peak=100), dense([[2, -4]], params={"num_message_bits": 8}), neurons()),
        some(20, (2,), 2, peak=100),
    )  # fmt: skip
    yield Made(
        "messages-binary", "without message bits any payload counts as 1", ("binary messages",),
        of_loihi(port(2, peak=100), dense([[12, -4]]), neurons()), some(20, (2,), 2, peak=100),
    )  # fmt: skip
    yield Made(
        "delays", "each weight has a delay of its own", ("delays of single weights",),
        of_loihi(port(2), dense([[20, 8], [6, 14]], delays=np.array([[0, 3], [5, 1]])),
                neurons((2,), dv=300)),
        some(24, (2,), 3),
    )  # fmt: skip
    row, column = np.array([0, 0, 2, 1]), np.array([0, 3, 1, 2])
    scattered = Sparse(
        name="w", source="in", targets=("n",), weight=np.array([22, -8, 14, 30]), row=row,
        column=column, source_shape=(4,), target_shape=(3,),
    )  # fmt: skip
    yield Made("sparse", "four weights of twelve", ("sparse weights",),
               of_loihi(port(4), scattered, neurons((3,))), inputs)  # fmt: skip


def kernels() -> Iterator[Made]:
    rng = np.random.default_rng(4)

    def of(name: str, about: str, rule: str, weight: Shape, size: Shape, **more: Any) -> Made:
        kernel = conv(rng.integers(-20, 40, weight), size, **more)
        shape = (weight[1] * more.get("groups", 1), *size)
        inputs = some(24, shape, 5, part=0.2)
        covers = ("kernels, as cross-correlation", *([rule] if rule else []))
        subject = of_loihi(port(*shape), kernel, neurons(kernel.shape))
        return Made(name, about, covers, subject, inputs)

    yield of("kernel", "one kernel of 2 x 3 over 3 x 5", "", (1, 1, 2, 3), (3, 5))
    yield of("channels", "two channels to three", "channels", (3, 2, 2, 2), (3, 3))
    yield of(
        "stride", "two and three places at once", "stride", (1, 1, 2, 2), (5, 7), stride=(2, 3)
    )
    yield of(
        "padding", "zeros around it", "padding", (1, 1, 3, 3), (3, 4), padding=((1, 1), (2, 2))
    )
    yield of("dilation", "taps apart", "dilation", (1, 1, 2, 2), (5, 4), dilation=(2, 1))
    yield of("groups", "two groups", "groups of channels", (4, 1, 2, 2), (3, 3), groups=2)


def models() -> Iterator[Made]:
    twelve = events(0, 1, 2, 5, 6, 7, 12, 13, 14)
    weight = dense([[30]])
    fading: dict[str, Any] = {"du": 1000, "dv": 500}
    spiking: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("li", "sends its potential", {**fading, "shift": 3}),
        (
            "lif_reset",
            "is emptied every five steps",
            {**fading, "vth": 90, "interval": 5, "offset": 2},
        ),
        ("ternary_lif", "spikes upward and downward", {**fading, "vth_hi": 50, "vth_lo": -40}),
        ("lif_refractory", "rests for three steps", {**fading, "vth": 50, "period": 3}),
    )
    for name, about, params in spiking:
        yield Made(name.replace("_", "-"), f"a neuron that {about}", (f"the model {name}",),
                   of_loihi(port(1), weight, one_of(name, params)), twelve)  # fmt: skip
    steady = values(0, 40, 40, 41, 60, 60, -20, -20, -21, 0, 0, 90, 0, 0, 0, 0)
    graded = dense([[2]], params={"num_message_bits": 24})
    turning: dict[str, Any] = {"sin_decay": 1200, "cos_decay": 3800, "decay_bits": 12}
    turning |= {"vth": 20, "state_exp": 2}
    payloads: tuple[tuple[str, dict[str, Any]], ...] = (
        ("graded", {"vth": 30}),
        ("graded_relu", {"vth": 30}),
        ("delta", {"vth": 5, "spike_exp": 1, "state_exp": 2}),
        ("sigma_delta", {"vth": 5, "bias": 3, "spike_exp": 1, "state_exp": 2}),
        ("rf", turning),
        ("rf_iz", turning),
    )
    for name, params in payloads:
        yield Made(name.replace("_", "-"), "a neuron that takes payloads", (f"the model {name}",),
                   of_loihi(port(1, peak=100), graded, one_of(name, params)),
                   steady)  # fmt: skip


def graphs() -> Iterator[Made]:
    first, second = neurons((2,), vth=30), neurons((2,), vth=50, name="m", dv=400)
    onward = dense([[28, -12], [18, 40]], "n", "m", "x")
    yield Made(
        "two-layers", "a spike of one layer arrives at the next one step later",
        ("one step from layer to layer",),
        of_loihi(port(2), dense([[40, 0], [10, 36]]), first, onward, second),
        some(24, (2,), 6, part=0.5),
    )  # fmt: skip
    back = dense([[0, 60], [-44, 0]], "n", "n", "back")
    yield Made(
        "feedback", "spikes come back one step later", ("one step from layer to layer", "feedback"),
        of_loihi(port(2), dense([[36, 0], [0, 36]]), back, first), some(24, (2,), 7, part=0.5),
    )  # fmt: skip


PARTS = (one_neuron, edges, synapses, kernels, models, graphs)


def kit() -> Kit:
    drafts = [m for part in PARTS for m in part()]
    by_rules = [_golden(m) for m in drafts]
    theirs = [m for m in drafts if not _beyond_lava(m)]
    by_lava = dict(
        zip(
            [m.name for m in theirs],
            engine.run_many([(m.program, m.recording) for m in theirs]),
            strict=True,
        )
    )
    for m, ours in zip(drafts, by_rules, strict=True):
        if m.name in by_lava:
            _agree(m.name, ours, by_lava[m.name])
    return Kit(
        about="programs of Loihi's arithmetic, one rule each, with what Lava gives",
        cases=tuple(
            Case(
                name=m.name,
                about=m.about,
                covers=m.covers,
                made_by=BY_LAVA if m.name in by_lava else BY_RULES,
                subject=by_hand(m.program, "loihi", "loihi2", __version__),
                recording=m.recording,
                expected=replace(by_lava.get(m.name, ours), notes={}),
            )
            for m, ours in zip(drafts, by_rules, strict=True)
        ),
    )


def _beyond_lava(m: Made) -> bool:
    return any(next(engine.absent(p), None) is not None for p in m.program.populations)


def _golden(m: Made) -> Trace:
    every = [p.name for p in m.program.populations]
    trace = golden.run(m.program, LoihiArithmetic(), m.recording, states=every)
    for layer, output in trace.outputs.items():
        moved = any(np.any(x) for x in trace.states[layer].values())
        assert moved or len(output.index), f"the layer {layer} of {m.name} does nothing"
    return trace


def _agree(name: str, ours: Trace, theirs: Trace) -> None:
    for layer, output in ours.outputs.items():
        assert output.same(theirs.outputs[layer]), f"{name}: {layer} spikes differently in Lava"
        for v, x in ours.states[layer].items():
            assert np.array_equal(x, theirs.states[layer][v]), f"{name}: {v} of {layer}"


if __name__ == "__main__":
    write_kit(kit(), sys.argv[1])
