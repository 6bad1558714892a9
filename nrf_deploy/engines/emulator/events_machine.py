"""Compiled loop of the fast event engine: a layer's events of several steps, in order."""

from __future__ import annotations

import numpy as np

from .compiled import call_kernel, compiled, lowest_bit, nonzero_bits

ROOM = 64
"""Neurons of a run whose spikes are examined at a time."""
T, EVENT, USED, TICKED = range(4)
"""Elements of `place`: the step, the event, the spikes so far, whether the step has ticked."""

i32, i64, u64 = np.int32, np.int64, np.uint64


@compiled
def _emit(spiked, n, first, ordinal, index, order, used):  # type: ignore[no-untyped-def]
    """Append the spikes of the run of n addresses from `first` on, by the flags `spiked`."""
    for at in range(0, n, ROOM):
        bits = nonzero_bits(spiked, at)
        if n - at < ROOM:
            bits &= (u64(1) << u64(n - at)) - u64(1)
        while bits != u64(0):
            index[used] = i32(first + at + lowest_bit(bits))
            order[used] = ordinal
            used += 1
            bits &= bits - u64(1)
    return used


@compiled
def run_layer(  # type: ignore[no-untyped-def]
    kernel, numbers, weights, cell, tick, size, events, ordinals, start, ticks, first_step,
    spiked, index, order, out_start, log, states, place,
):  # fmt: skip
    """Continue at `place` until the steps are done (true) or `index` is full (false).

    `cell` holds addresses: of the weights, a tick, the states, and the parameters of each
    neuron and of all. `ticks` is the ordinal of each step's tick; an event's ordinal is that of
    the input event that caused it.
    """
    channels, _, columns = numbers[0], numbers[1], numbers[2]
    features, out_rows, out_columns = numbers[3], numbers[4], numbers[5]
    height, width = numbers[6], numbers[7]
    stride_y, stride_x, pad_y, pad_x = numbers[8], numbers[9], numbers[10], numbers[11]
    longest = numbers[12]
    at_weights, at_tick, at_state, at_each, at_one, at_spiked = cell
    limit = ((height + stride_y - 1) // stride_y) * longest * features
    capacity, steps = len(index), len(ticks)
    t, e, used, ticked = place[T], place[EVENT], place[USED], place[TICKED]
    while t < steps:
        if ticked == 0:
            if tick:
                if used + size > capacity:
                    break
                if call_kernel(
                    kernel,
                    size,
                    first_step + t,
                    size,
                    at_tick,
                    at_spiked,
                    at_state,
                    at_each,
                    at_one,
                ):
                    used = _emit(spiked, size, 0, ticks[t], index, order, used)
            ticked = 1
        full = False
        while e < start[t + 1]:
            if used + limit > capacity:
                full = True
                break
            where = i64(events[e])
            c, spot = where % channels, where // channels
            y, x = spot // columns + pad_y, spot % columns + pad_x
            r, q = x % stride_x, x // stride_x
            last = (width - 1 - r) // stride_x
            j0 = max(i64(0), last - q)
            j1 = min(last, out_columns - 1 - q + last)
            n = (j1 - j0 + 1) * features
            first_row = max(i64(0), (y - height + stride_y) // stride_y)
            if n > 0:
                for oy in range(first_row, min(y // stride_y, out_rows - 1) + 1):
                    ky = y - oy * stride_y
                    of = ((((c * height + ky) * stride_x + r) * longest) + j0) * features
                    to = (oy * out_columns + q - last + j0) * features
                    if call_kernel(
                        kernel, n, first_step + t, size, at_weights + 2 * of, at_spiked,
                        at_state + 4 * to, at_each + 4 * to, at_one,
                    ):  # fmt: skip
                        used = _emit(spiked, n, to, ordinals[e], index, order, used)
            e += 1
        if full:
            break
        t += 1
        ticked = 0
        out_start[t] = used
        if len(log):
            log[t - 1] = states
    place[T], place[EVENT], place[USED], place[TICKED] = t, e, used, ticked
    return t == steps
