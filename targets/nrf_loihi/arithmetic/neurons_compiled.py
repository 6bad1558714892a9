"""One step of each leaky neuron model, and of models without memory, for numba.

rules.py is normative; a property test compares the two. The form of a kernel is described in
nrf_deploy/engines/emulator/kernels.py. All arithmetic has 32 bits, so that a vector unit
processes 8 or 16 neurons at once:

- the rules wrap inputs to 32 bits, so their low bits suffice
- shr0(x * keep, 12), a product of up to 43 bits, is split: with |x| = high * 4096 + low it
  is high * keep + (low * keep >> 12), each of which fits
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from nrf_deploy.engines.emulator.compiled import compiled, widest_vectors

Kernel = Callable[..., Any]
Uniform = tuple[bool, ...]
i32 = np.int32

LIMIT = np.int32(2**23)
LOWEST = np.int32(1 - 2**23)
WRAP = np.int32(2**24)


def rows_of(uniform: Uniform) -> tuple[int, ...]:
    """Return, for each parameter, its row among those that differ between neurons."""
    return tuple(sum(not u for u in uniform[:k]) for k in range(len(uniform)))


@compiled
def decayed(x, keep):  # type: ignore[no-untyped-def]
    """Return shr0(x * keep, 12) for 0 <= keep <= 4096."""
    size = i32(abs(x))
    part = i32(i32(size >> i32(12)) * keep)
    part = i32(part + i32(i32(i32(size & i32(4095)) * keep) >> i32(12)))
    return part if x >= 0 else i32(-part)


@compiled
def wrapped(u):  # type: ignore[no-untyped-def]
    """Wrap once into (-2^23, 2^23]."""
    if u > LIMIT:
        return i32(u - WRAP)
    return i32(u + WRAP) if u <= -LIMIT else u


@compiled
def clipped(v):  # type: ignore[no-untyped-def]
    return min(max(v, LOWEST), i32(LIMIT - 1))


def lif(current: bool, leak: bool, driven: bool, shown: bool) -> Callable[[Uniform], Kernel]:
    """Return the kernel factory of a LIF for the features in use.

    `current`: u has a memory. `leak`: v has a leak. `driven`: with its bias or threshold it can
    spike at rest or at the upper limit; otherwise the kernel checks neither. `shown`: u is
    written even without a memory. Without these four, only inputs change v.
    """
    at_rest = not (current or leak or driven or shown)

    def factory(uniform: Uniform) -> Kernel:
        one_keep_u, one_keep_v, one_bias, one_vth = uniform
        _, row_keep_v, row_bias, row_vth = rows_of(uniform)

        def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
            keep_u, keep_v, bias, vth = i32(one[0]), i32(one[1]), i32(one[2]), i32(one[3])
            widest_vectors()
            moved = i32(0)
            for i in range(n):
                if not one_bias:
                    bias = each[row_bias * stride + i]
                if not one_vth:
                    vth = each[row_vth * stride + i]
                v0 = state[stride + i]
                u = i32(i32(arriving[i]) << i32(6))
                v = v0
                if current:
                    if not one_keep_u:
                        keep_u = each[i]
                    u0 = state[i]
                    u = wrapped(i32(u + decayed(u0, keep_u)))
                    moved = i32(moved | i32(u ^ u0) | i32(arriving[i]))
                else:
                    u = wrapped(u)
                    if not at_rest:
                        moved = i32(moved | u)
                if leak:
                    if not one_keep_v:
                        keep_v = each[row_keep_v * stride + i]
                    v = decayed(v0, keep_v)
                v = i32(v + u)
                v = clipped(i32(v + bias)) if driven else max(v, LOWEST)
                spike = v > vth
                v = i32(0) if spike else v
                if not at_rest:
                    moved = i32(moved | i32(v ^ v0))
                if driven:
                    moved = i32(moved | i32(spike))
                if current or shown:
                    state[i] = u
                state[stride + i] = v
                output[i] = spike
            return np.int64(moved)

        return kernel

    return factory


LIF = {flags: lif(*flags) for flags in product((True, False), repeat=4)}
"""Kernel factories by (current, leak, driven, shown)."""


def lif_reset(uniform: Uniform) -> Kernel:
    keep_u_row, keep_v_row, bias_row, vth_row, interval_row, offset_row = rows_of(uniform)
    one_keep_u, one_keep_v, one_bias, one_vth, one_interval, one_offset = uniform

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        keep_u, keep_v, bias, vth = i32(one[0]), i32(one[1]), i32(one[2]), i32(one[3])
        interval, offset = one[4], one[5]
        moved = i32(0)
        for i in range(n):
            keep_u = keep_u if one_keep_u else each[keep_u_row * stride + i]
            keep_v = keep_v if one_keep_v else each[keep_v_row * stride + i]
            bias = bias if one_bias else each[bias_row * stride + i]
            vth = vth if one_vth else each[vth_row * stride + i]
            interval = interval if one_interval else np.int64(each[interval_row * stride + i])
            offset = offset if one_offset else np.int64(each[offset_row * stride + i])
            due = (t + 1) % interval == offset
            u0 = i32(0) if due else state[i]
            v0 = i32(0) if due else state[stride + i]
            u = wrapped(i32(decayed(u0, keep_u) + i32(i32(arriving[i]) << i32(6))))
            v = clipped(i32(i32(decayed(v0, keep_v) + u) + bias))
            spike = v > vth
            v = i32(0) if spike else v
            moved = i32(moved | u | v | i32(arriving[i]) | bias | i32(spike))
            state[i] = u
            state[stride + i] = v
            output[i] = spike
        return np.int64(moved)

    return kernel


def lif_refractory(uniform: Uniform) -> Kernel:
    keep_u_row, keep_v_row, bias_row, vth_row, period_row = rows_of(uniform)
    one_keep_u, one_keep_v, one_bias, one_vth, one_period = uniform

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        keep_u, keep_v, bias = i32(one[0]), i32(one[1]), i32(one[2])
        vth, period = i32(one[3]), i32(one[4])
        moved = i32(0)
        for i in range(n):
            keep_u = keep_u if one_keep_u else each[keep_u_row * stride + i]
            keep_v = keep_v if one_keep_v else each[keep_v_row * stride + i]
            bias = bias if one_bias else each[bias_row * stride + i]
            vth = vth if one_vth else each[vth_row * stride + i]
            period = period if one_period else each[period_row * stride + i]
            u0, v0, rest0 = state[i], state[stride + i], state[2 * stride + i]
            u = wrapped(i32(decayed(u0, keep_u) + i32(i32(arriving[i]) << i32(6))))
            v = v0 if rest0 > 0 else clipped(i32(i32(decayed(v0, keep_v) + u) + bias))
            spike = v > vth
            v = i32(0) if spike else v
            rest = period if spike else max(i32(rest0 - i32(1)), i32(0))
            moved = i32(moved | i32(u ^ u0) | i32(v ^ v0) | i32(rest ^ rest0))
            moved = i32(moved | i32(arriving[i]) | i32(spike))
            state[i] = u
            state[stride + i] = v
            state[2 * stride + i] = rest
            output[i] = spike
        return np.int64(moved)

    return kernel


def li(uniform: Uniform) -> Kernel:
    keep_u_row, keep_v_row, bias_row, vth_row, shift_row, lowest_row = rows_of(uniform)
    one_keep_u, one_keep_v, one_bias, one_vth, one_shift, one_lowest = uniform

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        keep_u, keep_v, bias = i32(one[0]), i32(one[1]), i32(one[2])
        vth, shift, lowest = i32(one[3]), i32(one[4]), i32(one[5])
        moved = i32(0)
        for i in range(n):
            keep_u = keep_u if one_keep_u else each[keep_u_row * stride + i]
            keep_v = keep_v if one_keep_v else each[keep_v_row * stride + i]
            bias = bias if one_bias else each[bias_row * stride + i]
            vth = vth if one_vth else each[vth_row * stride + i]
            shift = shift if one_shift else each[shift_row * stride + i]
            lowest = lowest if one_lowest else each[lowest_row * stride + i]
            u = wrapped(i32(decayed(state[i], keep_u) + i32(i32(arriving[i]) << i32(6))))
            v = clipped(i32(i32(decayed(state[stride + i], keep_v) + u) + bias))
            v = i32(0) if v > vth else v
            moved = i32(moved | u | v | i32(arriving[i]) | bias)
            state[i] = u
            state[stride + i] = v
            output[i] = max(i32(i32(v + i32(i32(i32(1) << shift) >> i32(1))) >> shift), lowest)
        return np.int64(moved)

    return kernel


def ternary_lif(uniform: Uniform) -> Kernel:
    keep_u_row, keep_v_row, bias_row, high_row, low_row = rows_of(uniform)
    one_keep_u, one_keep_v, one_bias, one_high, one_low = uniform

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        keep_u, keep_v, bias = i32(one[0]), i32(one[1]), i32(one[2])
        high, low = i32(one[3]), i32(one[4])
        moved = i32(0)
        for i in range(n):
            keep_u = keep_u if one_keep_u else each[keep_u_row * stride + i]
            keep_v = keep_v if one_keep_v else each[keep_v_row * stride + i]
            bias = bias if one_bias else each[bias_row * stride + i]
            high = high if one_high else each[high_row * stride + i]
            low = low if one_low else each[low_row * stride + i]
            u0, v0 = state[i], state[stride + i]
            u = wrapped(i32(decayed(u0, keep_u) + i32(i32(arriving[i]) << i32(6))))
            v = clipped(i32(i32(decayed(v0, keep_v) + u) + bias))
            spike = i32(i32(v > high) - i32(v < low))
            v = i32(0) if spike != 0 else v
            moved = i32(moved | i32(u ^ u0) | i32(v ^ v0) | i32(arriving[i]) | spike)
            state[i] = u
            state[stride + i] = v
            output[i] = spike
        return np.int64(moved)

    return kernel


def pass_(uniform: Uniform) -> Kernel:
    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        moved = i32(0)
        for i in range(n):
            output[i] = i32(arriving[i])
            moved = i32(moved | output[i])
        return np.int64(moved)

    return kernel


def graded_(uniform: Uniform) -> Kernel:
    (one_vth,) = uniform

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        vth, moved = i32(one[0]), i32(0)
        for i in range(n):
            vth = vth if one_vth else each[i]
            a = i32(arriving[i])
            size = i32(-a) if a < 0 else a
            output[i] = a if size > vth else i32(0)
            moved = i32(moved | a)
        return np.int64(moved)

    return kernel


def graded_relu_(uniform: Uniform) -> Kernel:
    (one_vth,) = uniform

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        vth, moved = i32(one[0]), i32(0)
        for i in range(n):
            vth = vth if one_vth else each[i]
            a = i32(arriving[i])
            output[i] = a if a > vth else i32(0)
            moved = i32(moved | a)
        return np.int64(moved)

    return kernel
