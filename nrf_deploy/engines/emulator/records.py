"""Records of addresses and sizes that the compiled loop and its functions read.

A record has the address of the function that handles it. So functions are compiled only for
the widths of sums that a plan needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from .cache import Function
from .compiled import element, machine_code

EVENTS = ("start", "index", "value", "history")
"""Fields of a source's events: step t has start[history + t] to start[history + t + 1]."""

NUMBERS = {2: np.int16, 4: np.int32, 8: np.int64}
"""Types of a sum's accumulators, by their width in bytes."""


def record(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in names])


def handler(kind: np.dtype[np.void], factory: Callable[..., Function], *constants: int) -> int:
    """Return the address of factory(*constants), which takes a record and two numbers."""
    signature = types.void(types.CPointer(from_dtype(kind)), types.int64, types.int64)
    return machine_code(factory, constants, signature)


@intrinsic  # type: ignore[untyped-decorator]
def handle(
    context: Any, address: Any, table: Any, which: Any, t: Any, steps: Any
) -> tuple[Signature, Function]:
    """Call the function at `address` with a record of a table and two numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, pointer = ir.IntType(64), cgutils.voidptr_t
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word])
        function = builder.inttoptr(args[0], kind.as_pointer())
        there = element(context, builder, table, args[1], args[2])
        builder.call(function, [builder.bitcast(there, pointer), *args[3:]])
        return context.get_dummy_value()

    return types.void(types.int64, table, *[types.int64] * 3), generate
