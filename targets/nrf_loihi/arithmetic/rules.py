"""The integer arithmetic of Loihi, as Lava's fixed-point models define it.

These rules are normative for the chip. Each rule below equals lava-nc 0.10.0
(`Loihi2SimCfg(select_tag="fixed_pt")`) in every bit; tests/targets/loihi/test_lava.py compares
the two. Values that Lava accepts and the chip cannot store (a threshold beyond 17 bits, a decay
beyond 12) are refused elsewhere: here every number has the meaning that it has in Lava.

The neurons are in neurons.py. Three operations occur everywhere (integers.py):

    i32(x)      wrap to 32 bits: registers of the simulator, and partial sums
    shr0(x, n)  sign(x) * (|x| >> n): decays round toward ZERO
    x >> n      floor: weight exponents and biases round toward minus infinity

Synapses (parameters, with their defaults)

    weight_exp 0        the SUM of weights is shifted, left or right
    num_weight_bits 8   low bits that the synapse does not store are cleared
    sign_mode           1 mixed, 2 excitatory, 3 inhibitory; the default follows from the weights
    num_message_bits 0  0: any non-zero output counts as 1; more: the payload itself

A convolution obeys num_message_bits only: Lava neither clips nor shifts its weights, and
wraps its sums to 24 bits.

Payloads on the chip have 24 bits. Lava accepts larger ones; then sums of its Conv beyond 32
bits depend on how the CPU casts a float, and each product of a delayed Dense wraps. The rules
reproduce neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.engines.emulator.golden import State
from nrf_deploy.engines.emulator.parameters import Declared, Parameter, model_faults
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Synapses

from .integers import LIMIT, i32, shift
from .neurons import CODES, MODELS, PARAMETERS, parameters

MIXED, EXCITATORY, INHIBITORY = 1, 2, 3
SYNAPSES: Declared = {
    "weight_exp": Parameter(-31, 31, 0),
    "num_weight_bits": Parameter(1, 8, 8),
    "sign_mode": Parameter(MIXED, INHIBITORY, MIXED),
    "num_message_bits": Parameter(0, 32, 0),
}


# --- synapses ------------------------------------------------------------


def sign_mode(synapses: Synapses) -> int:
    mode = synapses.params.get("sign_mode")
    if mode is not None:
        return int(mode)
    if synapses.weight.min(initial=0) >= 0:
        return EXCITATORY
    return INHIBITORY if synapses.weight.max(initial=0) <= 0 else MIXED


def held_weights(weight: Array, mode: int, bits: int) -> Array:
    """Clip weights to 8 bits (9 with a sign) and clear their low bits.

    A mixed synapse uses one bit for the sign and therefore stores even weights at 8 bits.
    An inhibitory one stores magnitudes: its weights round toward zero, not down.
    """
    weight = weight.astype(np.int64)
    sign = -1 if mode == INHIBITORY else 1
    lowest = -256 if mode == MIXED else 0
    lost = 8 - bits + (mode == MIXED)
    magnitude: Array = np.clip(sign * weight, lowest, 255)
    return sign * ((magnitude >> lost) << lost)


class LoihiArithmetic:
    name = "loihi"
    states: Mapping[str, tuple[str, ...]] = {name: m.states for name, m in MODELS.items()}

    def faults(self, program: Program) -> Iterator[Finding]:
        return model_faults(program, PARAMETERS, SYNAPSES, CODES)

    def held(self, synapses: Synapses) -> Array:
        if isinstance(synapses, Conv):
            return synapses.weight.astype(np.int64)
        bits = int(synapses.params.get("num_weight_bits", 8))
        return held_weights(synapses.weight, sign_mode(synapses), bits)

    def message(self, synapses: Synapses, output: Array) -> Array:
        graded = synapses.params.get("num_message_bits", 0) > 0
        return i32(output if graded else output != 0)

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        if isinstance(synapses, Conv):
            wrapped: Array = (total + LIMIT) % (2 * LIMIT) - LIMIT
            return wrapped
        delayed = isinstance(synapses, Dense) and (
            synapses.delays is not None or synapses.delay > 1
        )
        summed = total if delayed else i32(total)  # a DelayDense sums in 64 bits
        return i32(shift(summed, int(synapses.params.get("weight_exp", 0))))

    def start(self, population: Population) -> State:
        p = parameters(population)
        states = self.states[population.model]
        return {
            name: i32(np.broadcast_to(p.get(name + "0", np.int64(0)), population.shape))
            for name in states
        }

    def step(
        self, population: Population, state: State, arriving: Array, t: int
    ) -> tuple[Array, State]:
        return MODELS[population.model].step(parameters(population), state, arriving, t)
