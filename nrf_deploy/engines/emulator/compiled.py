"""Compilation of the engine and of the chips' kernels; cache.py keeps the machine code.

If no folder can be written, the engine compiles again in every process and reports it.

Only the engine imports this module, right before it runs: starting numba takes half a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.core.compiler import Compiler
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from nrf_deploy.diagnostics.findings import Finding, info, warning
from nrf_deploy.ir.network import Array

from .cache import Function, Kept, has_folder
from .kernels import Cell

GRANULE = 64
"""Bytes of one vector operation. Rows of weights are padded to it with zeros."""

AT_ONCE = 8
"""Spikes that are written per iteration without a branch; a branch per spike is slower."""

WORTH_SAYING = 2.0
"""Seconds of compilation from which it is reported."""

_spent = 0.0


@contextmanager
def compiling(was_compiled: Callable[[], bool]) -> Iterator[None]:
    """Count the time inside as compilation if `was_compiled()` is then true."""
    global _spent
    begin = time.perf_counter()
    yield
    if was_compiled():
        _spent += time.perf_counter() - begin


def findings() -> list[Finding]:
    """Return what compilation cost since the last call, and whether it is kept on disk."""
    global _spent
    seconds, _spent = _spent, 0.0
    if Kept.failed or not has_folder(__file__):
        return [
            warning(
                "EMULATOR-CACHE",
                "the compiled emulator cannot be kept on disk: it compiles again in every process",
                why="neither the package's folder nor the user's cache folder can be written",
                fix="set NUMBA_CACHE_DIR to a folder that can be written",
            )
        ]
    if seconds == 0.0 or seconds < WORTH_SAYING:
        return []
    return [
        info(
            "EMULATOR-COMPILED",
            f"{seconds:.1f} s went into compiling the emulator; the next start finds it compiled",
        )
    ]


def compiled(function: Function) -> Any:
    """Compile a function by njit without the interpreter lock, and keep it on disk."""
    dispatcher = njit(nogil=True, error_model="numpy")(function)
    if has_folder(function.__code__.co_filename):
        dispatcher._cache = Kept(function)
    return dispatcher


def inlined(function: Function) -> Any:
    """Compile a function into its callers: a call passes eight words for each array."""
    return njit(nogil=True, error_model="numpy", forceinline=True)(function)


# --- a chip's kernels ----------------------------------------------------


class _NoAlias(Compiler):  # type: ignore[misc]
    """Compiler that assumes that a kernel's arrays do not overlap: else it does not vectorise."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


_pointer = types.CPointer
_made: dict[tuple[Function, tuple[Any, ...], Signature], Any] = {}


def kernel_address(cell: Cell, width: int, logged: bool) -> int:
    """Return the address of a cell's kernel for sums of `width` bytes."""
    factory = cell.kernel if logged or cell.unseen is None else cell.unseen
    uniform = tuple(np.ndim(value) == 0 for value in cell.params.values())
    arriving = {2: types.int16, 4: types.int32, 8: types.int64}[width]
    output = types.int32 if cell.payload else types.int8
    signature = types.int64(
        types.int64,
        types.int64,
        types.int64,
        _pointer(arriving),
        _pointer(output),
        _pointer(types.int32),
        _pointer(types.int32),
        _pointer(types.int64),
    )
    return machine_code(factory, (uniform,), signature, _NoAlias)


def machine_code(
    factory: Callable[..., Function],
    constants: tuple[Any, ...],
    signature: Signature,
    pipeline: type[Compiler] = Compiler,
) -> int:
    """Return the address of the compiled function factory(*constants)."""
    key = (factory, constants, signature)
    if key not in _made:
        function = factory(*constants)
        options = {"nopython": True, "error_model": "numpy"}
        kernel: Any = CFunc(
            function, (signature.args, signature.return_type), {}, options, pipeline
        )
        if has_folder(function.__code__.co_filename):
            kernel._cache = Kept(function)
        with compiling(lambda: not kernel.cache_hits):
            kernel.compile()
        _made[key] = kernel
    return int(_made[key].address)


# --- what numba lacks: addresses, vectors of a fixed width, bits ----------
# Each intrinsic is a few LLVM instructions; `at` counts elements of the array.


@intrinsic  # type: ignore[untyped-decorator]
def widest_vectors(context: Any) -> tuple[Signature, Function]:
    """Let the calling function use vectors of 64 bytes if the CPU has them; LLVM's default is
    32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic  # type: ignore[untyped-decorator]
def as_pointer(context: Any, address: Any) -> tuple[Signature, Function]:
    """Convert an address (int64) to a pointer, for carray."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


def element(context: Any, builder: Any, kind: Any, value: Any, at: Any) -> Any:
    data = context.make_array(kind)(context, builder, value).data
    return builder.gep(data, [at])


def vector_of(context: Any, kind: Any, lanes: int) -> ir.VectorType:
    return ir.VectorType(context.get_data_type(kind.dtype), lanes)


@intrinsic  # type: ignore[untyped-decorator]
def nonzero_bits(context: Any, values: Any, at: Any) -> tuple[Signature, Function]:
    """Return 64 bits: bit k is 1 if values[at + k] is not 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = vector_of(context, values, 64)
        of = element(context, builder, values, args[0], args[1])
        loaded = builder.load(builder.bitcast(of, vector.as_pointer()), align=1)
        there = builder.icmp_signed("!=", loaded, ir.Constant(vector, None))
        return builder.bitcast(there, ir.IntType(64))

    return types.uint64(values, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(context: Any, bits: Any) -> tuple[Signature, Function]:
    """Return the position of the lowest bit that is set; 64 if none is."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def list_bits(
    context: Any, index: Any, to: Any, first: Any, bits: Any
) -> tuple[Signature, Function]:
    """Write the positions of the lowest AT_ONCE bits, plus `first`, to index[to :].

    Returns the other bits. With fewer bits, the rest of what is written has no meaning.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, first, left = args[1:]
        one = ir.Constant(left.type, 1)
        for k in range(AT_ONCE):
            place = builder.add(first, builder.cttz(left, ir.Constant(ir.IntType(1), 0)))
            there = element(context, builder, index, args[0], builder.add(to, to.type(k)))
            builder.store(builder.trunc(place, ir.IntType(32)), there)
            left = builder.and_(left, builder.sub(left, one))
        return left

    return types.uint64(index, types.int64, types.int64, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(context: Any, bits: Any) -> tuple[Signature, Function]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def call_kernel(
    context: Any,
    address: Any,
    n: Any,
    t: Any,
    stride: Any,
    total: Any,
    output: Any,
    state: Any,
    each: Any,
    one: Any,
) -> tuple[Signature, Function]:
    """Call the kernel at `address`; arrays are passed as addresses."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, pointer = ir.IntType(64), cgutils.voidptr_t
        kind = ir.FunctionType(word, [word] * 3 + [pointer] * 5)
        function = builder.inttoptr(args[0], kind.as_pointer())
        pointers = [builder.inttoptr(a, pointer) for a in args[4:]]
        return builder.call(function, [*args[1:4], *pointers])

    return types.int64(*[types.int64] * 9), generate


def address(array: Array) -> int:
    """Return the address of an array; the caller must keep the array."""
    return int(array.__array_interface__["data"][0])


def aligned(size: int, dtype: Any) -> Array:
    """Return zeros that begin at a cache line and are followed by a line of padding."""
    kind = np.dtype(dtype)
    raw = np.zeros(size * kind.itemsize + 192, np.uint8)
    skip = -address(raw) % 64
    return raw[skip : skip + (size * kind.itemsize + 127) // 64 * 64].view(kind)
