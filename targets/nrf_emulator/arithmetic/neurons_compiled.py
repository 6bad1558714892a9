"""One step of each neuron model of the arithmetic "fixed", for numba.

steps.py is normative; a property test compares the two. The form of a kernel is described in
nrf_deploy/engines/emulator/kernels.py. States are at most 32 bits wide and decays 24, so 64 bits
suffice for every product. Rounding adds a number before a shift to the right; the number differs
for values below 0: see kernels.py of this folder.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from nrf_deploy.engines.emulator.compiled import compiled, widest_vectors

Kernel = Callable[..., Any]
Uniform = tuple[bool, ...]
i32, i64, f64 = np.int32, np.int64, np.float64


def _rows(uniform: Uniform) -> tuple[int, ...]:
    """Return, for each parameter, its row among those that differ between neurons."""
    return tuple(sum(not u for u in uniform[:k]) for k in range(len(uniform)))


@compiled
def fitted(x, wrap, bits):  # type: ignore[no-untyped-def]
    half = i64(1) << (bits - i64(1))
    wrapped = ((x + half) & (half + half - i64(1))) - half
    return wrapped if wrap else min(max(x, -half), half - i64(1))


@compiled
def rounded(x, bits, up, down):  # type: ignore[no-untyped-def]
    return (x + (up if x >= i64(0) else down)) >> bits


@compiled
def toward(v, rest, leak):  # type: ignore[no-untyped-def]
    away = v - rest
    return rest + (max(away - leak, i64(0)) if away >= i64(0) else min(away + leak, i64(0)))


def neurons(
    current: bool,
    leaky: bool,
    payload: bool,
    rests: bool,
    rises: bool,
    resets: bool,
    many: bool,
    floored: bool,
) -> Callable[[Uniform], Kernel]:
    """Return the factory of a kernel.

    Args:
        current: the neurons have a current with a memory
        leaky: v has a leak
        payload: the neurons have no threshold
        rests: v is held after a spike
        rises: the threshold rises with each spike
        resets: v is reset later, not at all, or by another amount than the threshold
        many: a step can have several spikes
        floored: v has a floor
    """

    def factory(uniform: Uniform) -> Kernel:
        one_keep, one_leak, one_rest, one_bias, one_vth, one_reset, one_keep_i, one_in = uniform[:8]
        one_shift = uniform[8]
        r_keep, r_leak, r_rest, r_bias, r_vth, r_reset, r_keep_i, r_in, r_shift = _rows(uniform)[:9]
        one_period, one_jump, one_lost = uniform[22:25]
        r_period, r_jump, r_lost = _rows(uniform)[22:25]
        one_less, one_most, one_floor = uniform[26:29]
        r_less, r_most, r_floor = _rows(uniform)[26:29]
        v_at = 1 if current else 0
        rest_at = v_at + 1
        b_at = rest_at + 1 if rests else rest_at

        def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
            keep, leak, rest, bias = one[0], one[1], one[2], one[3]
            vth, reset, keep_i, in_bias, shift = one[4], one[5], one[6], one[7], one[8]
            bits, sum_bits, fraction, decay_bits = one[9], one[10], one[11], one[12]
            wrap, up, down, wait = one[13] != 0, one[14], one[15], one[16]
            at, subtract, message_bits, rounding = one[17], one[18] != 0, one[19], one[20]
            rectify, period, jump, lost = one[21] != 0, one[22], one[23], one[24]
            adapted, whole = one[25] != 0, i64(1) << decay_bits
            less, limit, floor = one[26], one[27], one[28]
            late, none, doubled = one[29] == i64(1), one[29] == i64(2), one[29] == i64(3)
            if t < wait:
                for i in range(n):
                    output[i] = 0
                return i64(1)
            widest_vectors()
            busy = i64(0)
            for i in range(n):
                if not one_bias:
                    bias = i64(each[r_bias * stride + i])
                v0 = i64(state[v_at * stride + i])
                x = fitted(i64(arriving[i]), wrap, sum_bits) << fraction
                busy |= i64(arriving[i])
                if current:
                    if not one_keep_i:
                        keep_i = i64(each[r_keep_i * stride + i])
                    if not one_in:
                        in_bias = i64(each[r_in * stride + i])
                    i0 = i64(state[i])
                    x = fitted(i0 + x + in_bias, wrap, bits)
                    i1 = rounded(x * keep_i, decay_bits, up, down)
                    busy |= i1 ^ i0
                    state[i] = i32(i1)
                else:
                    x = fitted(x, wrap, bits)
                v = v0
                if leaky:
                    if not one_keep:
                        keep = i64(each[r_keep * stride + i])
                    if not one_leak:
                        leak = i64(each[r_leak * stride + i])
                    if not one_rest:
                        rest = i64(each[r_rest * stride + i])
                    v = toward(rounded(v * keep, decay_bits, up, down), rest, leak)
                v = fitted(v + x + bias, wrap, bits)
                if payload:
                    if not one_shift:
                        shift = i64(each[r_shift * stride + i])
                    half = (i64(1) << shift) >> i64(1)
                    low = (i64(1) << shift) - i64(1)
                    above = half if rounding == i64(2) else i64(0)
                    below = i64(0) if rounding == i64(0) else low - above
                    sent = fitted(rounded(v, shift, above, below), wrap, message_bits)
                    sent = max(sent, i64(0)) if rectify else sent
                    busy |= sent
                    output[i] = i32(sent)
                else:
                    if not one_vth:
                        vth = i64(each[r_vth * stride + i])
                    if not one_reset:
                        reset = i64(each[r_reset * stride + i])
                    if rests:
                        rest0 = i64(state[rest_at * stride + i])
                        v = v if rest0 == i64(0) else v0
                    level = vth
                    if rises:
                        if not one_lost:
                            lost = i64(each[r_lost * stride + i])
                        b0 = i64(state[b_at * stride + i])
                        b = rounded(b0 * (whole - lost), decay_bits, up, down)
                        level = fitted(vth + b, wrap, bits)
                    if resets:
                        if not one_less:
                            less = i64(each[r_less * stride + i])
                        was = v0 > vth - at
                        v = fitted(v - less, wrap, bits) if late and was else v
                        level += less if doubled and was else i64(0)
                    spike = v > level - at
                    if rests:
                        spike = spike & (rest0 == i64(0))
                    spikes = i64(spike)
                    if many:
                        if not one_most:
                            limit = i64(each[r_most * stride + i])
                        counts = i64(f64(max(v - i64(1) + at, i64(0))) / f64(max(level, i64(1))))
                        spikes = min(counts, limit)
                        if rests:
                            spikes = spikes if rest0 == i64(0) else i64(0)
                        spike = spikes > i64(0)
                    if rests:
                        if not one_period:
                            period = i64(each[r_period * stride + i])
                        rest1 = period if spike else max(rest0 - i64(1), i64(0))
                        busy |= rest1 ^ rest0
                        state[rest_at * stride + i] = i32(rest1)
                    if rises:
                        if not one_jump:
                            jump = i64(each[r_jump * stride + i])
                        if many:
                            b = fitted(b + spikes * jump, wrap, bits)
                        else:
                            b = fitted(b + jump if spike else b, wrap, bits)
                        busy |= b ^ b0
                        state[b_at * stride + i] = i32(b)
                    taken = level if rises and adapted else vth
                    if resets:
                        taken = less
                    gone = spikes * taken if many else taken
                    after = fitted(v - gone, wrap, bits) if subtract else reset
                    if resets:
                        after = v if late or none else after
                    v = after if spike else v
                    if floored:
                        if not one_floor:
                            floor = i64(each[r_floor * stride + i])
                        v = max(v, floor)
                    busy |= spikes
                    if many:
                        output[i] = i32(spikes)
                    else:
                        output[i] = spike
                busy |= v ^ v0
                state[v_at * stride + i] = i32(v)
            return busy

        return kernel

    return factory


def passing(uniform: Uniform) -> Kernel:
    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        bits, wrap, rectify, busy = one[0], one[1] != 0, one[2] != 0, i64(0)
        for i in range(n):
            sent = fitted(i64(arriving[i]), wrap, bits)
            sent = max(sent, i64(0)) if rectify else sent
            output[i] = i32(sent)
            busy |= sent
        return busy

    return kernel


PARTS = ("current", "payload", "refractory", "rising", "other_resets", "many", "floor")
"""Parts of a kernel beyond a threshold and a potential: the names in Model.compiled."""
ADDED = ("period", "jump", "b_decay", "adapted", "subtracts", "most", "floor", "reset")
"""Parameters of additions to the rule (additions.py), after all others, in this order."""


@cache
def kernel_of(parts: frozenset[str], leaky: bool) -> Callable[[Uniform], Kernel]:
    """Return the factory of the kernel with these parts."""
    current, payload, rests, rises, resets, many, floored = (name in parts for name in PARTS)
    return neurons(current, leaky, payload, rests, rises, resets, many, floored)


STATELESS = {frozenset(("passing",)): passing}
