"""One step, and one event, of the neurons for numba.

rules.py is normative; property tests compare the two. The form of a kernel is described in
nrf_deploy/engines/emulator/kernels.py. For an event the neurons are those that it reaches in one
run of addresses, `arriving` are their weights, and the result is non-zero if any of them
spikes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nrf_deploy.engines.emulator.compiled import widest_vectors

Kernel = Callable[..., Any]
Uniform = tuple[bool, ...]
i16, i32, i64 = np.int16, np.int32, np.int64


def stepping(uniform: Uniform) -> Kernel:
    one_bias = uniform[3]

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        theta, low, to_zero, bias = one[0], one[1], one[2] != 0, one[3]
        busy = i64(0)
        widest_vectors()
        for i in range(n):
            if not one_bias:
                bias = i64(each[i])
            before = i64(state[i])
            v = max(before + i64(arriving[i]) + bias, low)
            spikes = i64(0)
            if v >= theta:
                spikes = v // theta
                v = i64(0) if to_zero else v - spikes * theta
            # an input that the floor cancels leaves v unchanged; the neuron is not at rest
            busy |= spikes | (v ^ before) | i64(arriving[i])
            state[i] = i32(v)
            output[i] = i32(spikes)
        return busy

    return kernel


def passing(uniform: Uniform) -> Kernel:
    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        busy = i64(0)
        for i in range(n):
            output[i] = i32(arriving[i])
            busy |= i64(arriving[i])
        return busy

    return kernel


def arriving(uniform: Uniform) -> Kernel:
    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        theta, low, to_zero = i32(one[0]), i32(one[1]), one[2] != 0
        highest, fired = i32(32767), i32(0)
        for i in range(n):
            v = max(min(i32(state[i] + i32(arriving[i])), highest), low)
            fires = v >= theta
            after = i32(0) if to_zero else i32(v - theta)
            state[i] = after if fires else v
            output[i] = fires
            fired |= i32(fires)
        return i64(fired)

    return kernel
