"""Vector operations of wires: whole vectors added and multiplied by a few LLVM instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from .compiled import element, inlined, vector_of

Function = Callable[..., Any]

TILE = 8
"""Steps whose products with a matrix are computed at once."""

LOOK = 16
"""Numbers that are compared at once; as many may be read after the last."""


@intrinsic  # type: ignore[untyped-decorator]
def count_below(context: Any, index: Any, at: Any, limit: Any) -> tuple[Signature, Function]:
    """Count the numbers of index[at : at + LOOK], from the first on, that are below `limit`."""

    def count(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        there = element(context, builder, index, args[0], args[1])
        numbers = ir.VectorType(ir.IntType(32), LOOK)
        loaded = builder.load(builder.bitcast(there, numbers.as_pointer()), align=4)
        low = builder.trunc(args[2], ir.IntType(32))
        one = builder.insert_element(ir.Constant(numbers, ir.Undefined), low, cgutils.int32_t(0))
        limits = builder.shuffle_vector(
            one, ir.Constant(numbers, ir.Undefined), ir.Constant(numbers, None)
        )
        beyond = builder.bitcast(builder.icmp_signed(">=", loaded, limits), ir.IntType(LOOK))
        wide = builder.zext(beyond, ir.IntType(64))
        stop = builder.or_(wide, ir.Constant(ir.IntType(64), 1 << LOOK))
        return builder.cttz(stop, ir.Constant(ir.IntType(1), 1))

    return types.int64(index, types.int64, types.int64), count


def _sum_rows(granules: int, runs: int, wide: int) -> Any:
    """Generate total[to + at : to + at + n] += weight[of + at + (i - base) * row :].

    It runs for each i in index[first : last] and each pair of the tuples `to` and `of`, where
    `to` rises. All sums, of n elements (`granules` granules of `wide` bytes) each, stay in
    registers. Sums may overlap where only zeros are added.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def sum_rows(
        context: Any,
        total: Any,
        to: Any,
        weight: Any,
        of: Any,
        at: Any,
        row: Any,
        base: Any,
        index: Any,
        first: Any,
        last: Any,
    ) -> tuple[Signature, Function]:
        size = total.dtype.bitwidth // 8
        lanes = wide // size

        def add(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            totals_of, to, weights, of, at, row, base, rows, first, last = args
            steps = [builder.add(at, ir.Constant(row.type, k * lanes)) for k in range(granules)]

            def places(among: Any, begin: Any) -> list[Any]:
                begins = [builder.extract_value(among, run) for run in range(runs)]
                begins = [builder.add(b, begin) for b in begins] if begin is not None else begins
                return [builder.add(b, k) for b in begins for k in steps]

            def granule(kind: Any, value: Any, place: Any) -> Any:
                vector = vector_of(context, kind, lanes)
                there = element(context, builder, kind, value, place)
                return builder.bitcast(there, vector.as_pointer())

            totals = [granule(total, totals_of, place) for place in places(to, None)]
            sums = [cgutils.alloca_once_value(builder, builder.load(t, align=size)) for t in totals]
            with cgutils.for_range_slice(builder, first, last, ir.Constant(row.type, 1)) as (e, _):
                which = builder.load(element(context, builder, index, rows, e))
                begin = builder.mul(builder.sub(builder.sext(which, row.type), base), row)
                for place, total_of in zip(places(of, begin), sums, strict=True):
                    there = granule(weight, weights, place)
                    added = builder.add(builder.load(total_of), builder.load(there, align=size))
                    builder.store(added, total_of)
            for t, total_of in zip(totals, sums, strict=True):
                builder.store(builder.load(total_of), t, align=size)
            return context.get_dummy_value()

        word = types.int64
        among = types.UniTuple(word, runs)
        return types.void(total, among, weight, among, word, word, word, index, word, word), add

    return sum_rows


def summing(runs: int, wide: int) -> Any:
    """Return a function that adds `granules` granules of the rows of some events."""
    many = 8 if runs == 1 else 6
    all_rows, three, two, one = (_sum_rows(k, runs, wide) for k in (many, 3, 2, 1))

    @inlined
    def add(total, to, weight, of, row, base, index, first, last, granules):  # type: ignore[no-untyped-def]
        lanes, at = wide // total.itemsize, 0
        while granules >= many:
            all_rows(total, to, weight, of, at, row, base, index, first, last)
            at, granules = at + many * lanes, granules - many
        while granules >= 3:
            three(total, to, weight, of, at, row, base, index, first, last)
            at, granules = at + 3 * lanes, granules - 3
        if granules == 2:
            two(total, to, weight, of, at, row, base, index, first, last)
        elif granules == 1:
            one(total, to, weight, of, at, row, base, index, first, last)

    return add


def _multiply(columns: int) -> Any:
    """Generate a product: out[t * row + at + k] = sum over p of x[t, 2p : 2p + 2] * weight[p, k].

    For TILE steps t, 16 * `columns` outputs k and `pairs` pairs p; x and weight are int16 and
    out is int32, `length` apart in x and 2 * `row` in weight. The sums stay in registers, and the
    operands are written so that LLVM selects the instruction that multiplies and adds pairs
    (vpmaddwd, vpdpwssd).
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def multiply(
        context: Any, out: Any, at: Any, row: Any, x: Any, length: Any, weight: Any, pairs: Any
    ) -> tuple[Signature, Function]:
        word = types.int64
        sums_of, halves = ir.VectorType(ir.IntType(32), 16), ir.VectorType(ir.IntType(16), 32)

        wide = ir.VectorType(ir.IntType(32), 32)
        evens, odds = (ir.Constant(sums_of, list(range(k, 32, 2))) for k in (0, 1))

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, at, row, inputs, length, of, pairs = args

            def number(n: int) -> Any:
                return ir.Constant(at.type, n)

            zero = ir.Constant(sums_of, [0] * 16)
            sums = [
                [cgutils.alloca_once_value(builder, zero) for _ in range(columns)]
                for _ in range(TILE)
            ]
            with cgutils.for_range(builder, pairs) as loop:
                begin = builder.mul(builder.mul(loop.index, row), number(2))
                rows = []
                for k in range(columns):
                    place = builder.add(
                        begin, builder.mul(builder.add(at, number(16 * k)), number(2))
                    )
                    there = element(context, builder, weight, of, place)
                    there = builder.bitcast(there, halves.as_pointer())
                    rows.append(builder.load(there, align=2))
                for t in range(TILE):
                    place = builder.add(
                        builder.mul(number(t), length), builder.mul(loop.index, number(2))
                    )
                    pair = element(context, builder, x, inputs, place)
                    pair = builder.load(builder.bitcast(pair, ir.IntType(32).as_pointer()), align=2)
                    one = builder.insert_element(
                        ir.Constant(sums_of, ir.Undefined), pair, ir.Constant(ir.IntType(32), 0)
                    )
                    spread = builder.shuffle_vector(one, ir.Constant(sums_of, ir.Undefined), zero)
                    spread = builder.bitcast(spread, halves)
                    for k, total_of in enumerate(sums[t]):
                        product = builder.mul(
                            builder.sext(spread, wide), builder.sext(rows[k], wide)
                        )
                        both = [
                            builder.shuffle_vector(product, ir.Constant(wide, ir.Undefined), half)
                            for half in (evens, odds)
                        ]
                        builder.store(
                            builder.add(builder.load(total_of), builder.add(*both)), total_of
                        )
            for t in range(TILE):
                for k, total_of in enumerate(sums[t]):
                    place = builder.add(
                        builder.mul(number(t), row), builder.add(at, number(16 * k))
                    )
                    there = element(context, builder, out, to, place)
                    there = builder.bitcast(there, sums_of.as_pointer())
                    builder.store(builder.load(total_of), there, align=4)
            return context.get_dummy_value()

        return types.void(out, word, word, x, word, weight, word), generate

    return multiply


multiply_one, multiply_two = _multiply(1), _multiply(2)
