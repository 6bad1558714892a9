"""Delivery of a finished sum to a population: shifted and wrapped.

It is compiled, like a wire, for the widths that a plan needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray

from .compiled import as_pointer
from .records import NUMBERS, handler, record
from .scatter import SHIFT

deliver_type = record(
    *("deliver", "total", "dirty", "to_total", "to_dirty", "clear"),
    *("blocks", "before", "shift", "after"),
)


def deliver_address(width: int, to_width: int) -> int:
    """Return the address of the delivery between sums of these widths."""
    return handler(deliver_type, deliver, width, to_width)


def deliver(width: int, to_width: int) -> Callable[..., Any]:
    number, to_number = NUMBERS[width], NUMBERS[to_width]

    def through(transfer, t, steps):  # type: ignore[no-untyped-def]
        d = carray(transfer, 1)[0]
        n = d.blocks << SHIFT
        total = carray(as_pointer(d.total), n, number)
        to_total = carray(as_pointer(d.to_total), n, to_number)
        dirty = carray(as_pointer(d.dirty), d.blocks, np.uint8)
        to_dirty = carray(as_pointer(d.to_dirty), d.blocks, np.uint8)
        before, after = 64 - d.before, 64 - d.after
        left, right = max(d.shift, 0), max(-d.shift, 0)
        for b in range(d.blocks):
            if not dirty[b]:
                continue
            for i in range(b << SHIFT, (b + 1) << SHIFT):
                x = np.int64(total[i])
                x = (((x << before) >> before) << left) >> right
                to_total[i] += (x << after) >> after
                if d.clear:
                    total[i] = 0
            to_dirty[b] = 1
            if d.clear:
                dirty[b] = 0

    return through
