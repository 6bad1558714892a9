"""One step of each neuron model of this chip, for numba.

arithmetic.py says what is right; a property test holds the two together. The form of a
kernel is told in nrf_deploy/emulator/kernels.py. All is done in 32 bits, so that a vector
unit takes 8 or 16 neurons at once:

- what arrives is wrapped to 32 bits here anyway, so its low bits are enough
- shr0(x * keep, 12), a product of up to 43 bits, is split: with |x| = high * 4096 + low it
  is high * keep + (low * keep >> 12), each of which fits
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nrf_deploy.emulator.compiled import compiled, widest_vectors

Kernel = Callable[..., Any]
Uniform = tuple[bool, ...]
i32 = np.int32

LIMIT = np.int32(2**23)
WRAP = np.int32(2**24)


def _rows(uniform: Uniform) -> tuple[int, ...]:
    """For each parameter its row among those that differ from neuron to neuron."""
    return tuple(sum(not u for u in uniform[:k]) for k in range(len(uniform)))


@compiled
def decayed(x, keep):  # type: ignore[no-untyped-def]
    """shr0(x * keep, 12) for 0 <= keep <= 4096."""
    size = i32(abs(x))
    part = i32(i32(size >> i32(12)) * keep)
    part = i32(part + i32(i32(i32(size & i32(4095)) * keep) >> i32(12)))
    return part if x >= 0 else i32(-part)


@compiled
def wrapped(u):  # type: ignore[no-untyped-def]
    """Once into (-2^23, 2^23]."""
    if u > LIMIT:
        return i32(u - WRAP)
    return i32(u + WRAP) if u <= -LIMIT else u


@compiled
def clipped(v):  # type: ignore[no-untyped-def]
    return min(max(v, i32(1 - LIMIT)), i32(LIMIT - 1))


def lif(current: bool, leak: bool) -> Callable[[Uniform], Kernel]:
    """`current`: u has a memory. `leak`: v has a leak."""

    def factory(uniform: Uniform) -> Kernel:
        one_keep_u, one_keep_v, one_bias, one_vth = uniform
        _, row_keep_v, row_bias, row_vth = _rows(uniform)

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
                    moved = i32(moved | u)
                if leak:
                    if not one_keep_v:
                        keep_v = each[row_keep_v * stride + i]
                    v = decayed(v0, keep_v)
                v = clipped(i32(i32(v + u) + bias))
                spike = v > vth
                v = i32(0) if spike else v
                moved = i32(moved | i32(v ^ v0) | i32(spike))
                state[i] = u
                state[stride + i] = v
                output[i] = spike
            return np.int64(moved)

        return kernel

    return factory


LIF = {(current, leak): lif(current, leak) for current in (True, False) for leak in (True, False)}


def lif_reset(uniform: Uniform) -> Kernel:
    keep_u_row, keep_v_row, bias_row, vth_row, interval_row, offset_row = _rows(uniform)
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


def li(uniform: Uniform) -> Kernel:
    keep_u_row, keep_v_row, bias_row, vth_row, shift_row = _rows(uniform)
    one_keep_u, one_keep_v, one_bias, one_vth, one_shift = uniform

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        keep_u, keep_v, bias = i32(one[0]), i32(one[1]), i32(one[2])
        vth, shift = i32(one[3]), i32(one[4])
        moved = i32(0)
        for i in range(n):
            keep_u = keep_u if one_keep_u else each[keep_u_row * stride + i]
            keep_v = keep_v if one_keep_v else each[keep_v_row * stride + i]
            bias = bias if one_bias else each[bias_row * stride + i]
            vth = vth if one_vth else each[vth_row * stride + i]
            shift = shift if one_shift else each[shift_row * stride + i]
            u = wrapped(i32(decayed(state[i], keep_u) + i32(i32(arriving[i]) << i32(6))))
            v = clipped(i32(i32(decayed(state[stride + i], keep_v) + u) + bias))
            v = i32(0) if v > vth else v
            moved = i32(moved | u | v | i32(arriving[i]) | bias)
            state[i] = u
            state[stride + i] = v
            output[i] = i32(i32(v + i32(i32(i32(1) << shift) >> i32(1))) >> shift)
        return np.int64(moved)

    return kernel


def ternary_lif(uniform: Uniform) -> Kernel:
    keep_u_row, keep_v_row, bias_row, high_row, low_row = _rows(uniform)
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


@compiled
def encoded(activation, act, residue, error, cumulative, threshold):  # type: ignore[no-untyped-def]
    """(what is sent, new residue, new error), see arithmetic.encode."""
    change = i32(i32(activation - act) + residue)
    unsent = i32(error + change) if cumulative else error
    measured = unsent if cumulative else change
    size = i32(-measured) if measured < 0 else measured
    sent = change if size >= threshold else i32(0)
    error = i32(0) if cumulative and sent != 0 else unsent
    return sent, i32(change - sent), error


def delta(uniform: Uniform) -> Kernel:
    one_scale, one_exp, one_cumulative, one_threshold = uniform
    scale_row, exp_row, cumulative_row, threshold_row = _rows(uniform)

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        scale, exp, cumulative, threshold = i32(one[0]), i32(one[1]), i32(one[2]), i32(one[3])
        moved = i32(0)
        for i in range(n):
            scale = scale if one_scale else each[scale_row * stride + i]
            exp = exp if one_exp else each[exp_row * stride + i]
            cumulative = cumulative if one_cumulative else each[cumulative_row * stride + i]
            threshold = threshold if one_threshold else each[threshold_row * stride + i]
            act, residue, error = state[i], state[stride + i], state[2 * stride + i]
            activation = i32(np.int64(arriving[i]) << np.int64(scale))
            sent, left, unsent = encoded(activation, act, residue, error, cumulative, threshold)
            moved = i32(moved | i32(activation ^ act) | i32(left ^ residue) | i32(unsent ^ error))
            moved = i32(moved | sent | i32(arriving[i]))
            state[i] = activation
            state[stride + i] = left
            state[2 * stride + i] = unsent
            output[i] = i32(sent >> exp)
        return np.int64(moved)

    return kernel


def sigma_delta(uniform: Uniform) -> Kernel:
    _, one_exp, one_cumulative, one_threshold, one_bias, one_rectify = uniform
    _, exp_row, cumulative_row, threshold_row, bias_row, rectify_row = _rows(uniform)

    def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
        exp, cumulative, threshold = i32(one[1]), i32(one[2]), i32(one[3])
        bias, rectify = i32(one[4]), i32(one[5])
        moved = i32(0)
        for i in range(n):
            exp = exp if one_exp else each[exp_row * stride + i]
            cumulative = cumulative if one_cumulative else each[cumulative_row * stride + i]
            threshold = threshold if one_threshold else each[threshold_row * stride + i]
            bias = bias if one_bias else each[bias_row * stride + i]
            rectify = rectify if one_rectify else each[rectify_row * stride + i]
            sigma0, act = state[i], state[stride + i]
            residue, error = state[2 * stride + i], state[3 * stride + i]
            sigma = i32(sigma0 + i32(arriving[i]))
            activation = i32(sigma + bias)
            activation = i32(0) if rectify and activation < 0 else activation
            sent, left, unsent = encoded(activation, act, residue, error, cumulative, threshold)
            moved = i32(moved | i32(activation ^ act) | i32(left ^ residue) | i32(unsent ^ error))
            moved = i32(moved | sent | i32(arriving[i]))
            state[i] = sigma
            state[stride + i] = activation
            state[2 * stride + i] = left
            state[3 * stride + i] = unsent
            output[i] = i32(sent >> exp)
        return np.int64(moved)

    return kernel


@compiled
def times(decay, x, bits):  # type: ignore[no-untyped-def]
    product = np.int64(decay) * np.int64(x)
    size = abs(product) >> np.int64(bits)
    return size if product >= 0 else -size


@compiled
def within(x):  # type: ignore[no-untyped-def]
    return i32(min(max(x, np.int64(1 - LIMIT)), np.int64(LIMIT - 1)))


def _resonator(izhikevich: bool) -> Callable[[Uniform], Kernel]:
    def factory(uniform: Uniform) -> Kernel:
        one_sin, one_cos, one_bits, one_exp, one_vth = uniform
        sin_row, cos_row, bits_row, exp_row, vth_row = _rows(uniform)

        def kernel(n, t, stride, arriving, output, state, each, one):  # type: ignore[no-untyped-def]
            sin, cos, bits, exp, vth = one[0], one[1], one[2], one[3], one[4]
            moved = i32(0)
            for i in range(n):
                sin = sin if one_sin else np.int64(each[sin_row * stride + i])
                cos = cos if one_cos else np.int64(each[cos_row * stride + i])
                bits = bits if one_bits else np.int64(each[bits_row * stride + i])
                exp = exp if one_exp else np.int64(each[exp_row * stride + i])
                vth = vth if one_vth else np.int64(each[vth_row * stride + i])
                real0, imag0 = state[i], state[stride + i]
                real = times(cos, real0, bits) - times(sin, imag0, bits)
                imag = within(times(sin, real0, bits) + times(cos, imag0, bits))
                real = within(real + i32(np.int64(arriving[i]) << exp))
                if izhikevich:
                    spike = imag >= vth
                    real = i32(0) if spike else real
                    imag = i32(vth - 1) if spike else imag
                else:
                    spike = real >= vth and imag >= 0 and imag0 < 0
                moved = i32(moved | i32(real ^ real0) | i32(imag ^ imag0) | i32(arriving[i]))
                moved = i32(moved | i32(spike))
                state[i] = real
                state[stride + i] = imag
                output[i] = spike
            return np.int64(moved)

        return kernel

    return factory


rf, rf_iz = _resonator(False), _resonator(True)
