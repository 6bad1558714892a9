"""One step of delta and sigma-delta encoders and of resonators, for numba.

As in neurons_compiled.py, rules.py is normative.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nrf_deploy.engines.emulator.compiled import compiled

from .neurons_compiled import LIMIT, Kernel, Uniform, i32, rows_of


@compiled
def encoded(activation, act, residue, error, cumulative, threshold):  # type: ignore[no-untyped-def]
    """Return (message, new residue, new error); see messages.encode."""
    change = i32(i32(activation - act) + residue)
    unsent = i32(error + change) if cumulative else error
    measured = unsent if cumulative else change
    size = i32(-measured) if measured < 0 else measured
    sent = change if size >= threshold else i32(0)
    error = i32(0) if cumulative and sent != 0 else unsent
    return sent, i32(change - sent), error


def delta(uniform: Uniform) -> Kernel:
    one_scale, one_exp, one_cumulative, one_threshold = uniform
    scale_row, exp_row, cumulative_row, threshold_row = rows_of(uniform)

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
    _, exp_row, cumulative_row, threshold_row, bias_row, rectify_row = rows_of(uniform)

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
        sin_row, cos_row, bits_row, exp_row, vth_row = rows_of(uniform)

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
