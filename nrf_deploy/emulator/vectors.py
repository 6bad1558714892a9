"""What wires are made of: whole vectors added and multiplied, as a few LLVM instructions each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from .compiled import GRANULE, element, vector_of

Function = Callable[..., Any]

TILE = 8
"""Steps that a matrix is multiplied with at once."""


@intrinsic  # type: ignore[untyped-decorator]
def add_granule(
    context: Any, total: Any, at: Any, weight: Any, of: Any
) -> tuple[Signature, Function]:
    """total[at : at + g] += weight[of : of + g], g elements filling one granule."""

    def add(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = _granule(context, builder, total, args[0], args[1])
        row = _granule(context, builder, weight, args[2], args[3])
        size = total.dtype.bitwidth // 8
        added = builder.add(builder.load(to, align=size), builder.load(row, align=size))
        builder.store(added, to, align=size)
        return context.get_dummy_value()

    return types.void(total, types.int64, weight, types.int64), add


def _granule(context: Any, builder: Any, kind: Any, value: Any, at: Any) -> Any:
    vector = vector_of(context, kind, GRANULE * 8 // kind.dtype.bitwidth)
    return builder.bitcast(element(context, builder, kind, value, at), vector.as_pointer())


def _sum_rows(granules: int, runs: int = 1) -> Any:
    """total[at : at + n] += weight[of + (i - base) * row :] for each i in index[first : last].

    That for each pair of the tuples `at` and `of`, where `at` rises. All sums, of n elements
    (so many granules) each, stay in registers. Sums may overlap where only zeros are added.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def sum_rows(
        context: Any,
        total: Any,
        at: Any,
        weight: Any,
        of: Any,
        row: Any,
        base: Any,
        index: Any,
        first: Any,
        last: Any,
    ) -> tuple[Signature, Function]:
        size = total.dtype.bitwidth // 8
        lanes = GRANULE // size

        def add(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, at, weights, of, row, base, rows, first, last = args
            steps = [ir.Constant(row.type, k * lanes) for k in range(granules)]

            def places(run: int, among: Any, begin: Any) -> list[Any]:
                begin = builder.add(begin, builder.extract_value(among, run))
                return [builder.add(begin, k) for k in steps]

            zero = ir.Constant(row.type, 0)
            totals = [
                _granule(context, builder, total, to, place)
                for run in range(runs)
                for place in places(run, at, zero)
            ]
            sums = [cgutils.alloca_once_value(builder, builder.load(t, align=size)) for t in totals]
            with cgutils.for_range_slice(builder, first, last, ir.Constant(row.type, 1)) as (e, _):
                which = builder.load(element(context, builder, index, rows, e))
                begin = builder.mul(builder.sub(builder.sext(which, row.type), base), row)
                there_are = [p for run in range(runs) for p in places(run, of, begin)]
                for place, held in zip(there_are, sums, strict=True):
                    there = _granule(context, builder, weight, weights, place)
                    added = builder.add(builder.load(held), builder.load(there, align=size))
                    builder.store(added, held)
            for t, held in zip(totals, sums, strict=True):
                builder.store(builder.load(held), t, align=size)
            return context.get_dummy_value()

        word = types.int64
        among = types.UniTuple(word, runs)
        return types.void(total, among, weight, among, word, word, index, word, word), add

    return sum_rows


sum_one, sum_two, sum_eight = (_sum_rows(k) for k in (1, 2, 8))
three_one, three_two = (_sum_rows(k, runs=3) for k in (1, 2))


def _multiply(columns: int) -> Any:
    """out[t * row + at + k] = sum over p of x[t, 2p] * weight[p, k, 0] + x[t, 2p + 1] * ...[1].

    For TILE steps t, 16 * `columns` outputs k and `pairs` pairs p; x and weight are int16 and
    out is int32, `length` apart in x and 2 * `row` in weight. The sums stay in registers, and
    what is added to them is written so that LLVM finds the instruction that multiplies and
    adds pairs (vpmaddwd, vpdpwssd).
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
            to, at, row, given, length, of, pairs = args

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
                    pair = element(context, builder, x, given, place)
                    pair = builder.load(builder.bitcast(pair, ir.IntType(32).as_pointer()), align=2)
                    one = builder.insert_element(
                        ir.Constant(sums_of, ir.Undefined), pair, ir.Constant(ir.IntType(32), 0)
                    )
                    spread = builder.shuffle_vector(one, ir.Constant(sums_of, ir.Undefined), zero)
                    spread = builder.bitcast(spread, halves)
                    for k, held in enumerate(sums[t]):
                        product = builder.mul(
                            builder.sext(spread, wide), builder.sext(rows[k], wide)
                        )
                        both = [
                            builder.shuffle_vector(product, ir.Constant(wide, ir.Undefined), half)
                            for half in (evens, odds)
                        ]
                        builder.store(builder.add(builder.load(held), builder.add(*both)), held)
            for t in range(TILE):
                for k, held in enumerate(sums[t]):
                    place = builder.add(
                        builder.mul(number(t), row), builder.add(at, number(16 * k))
                    )
                    there = element(context, builder, out, to, place)
                    there = builder.bitcast(there, sums_of.as_pointer())
                    builder.store(builder.load(held), there, align=4)
            return context.get_dummy_value()

        return types.void(out, word, word, x, word, weight, word), generate

    return multiply


multiply_one, multiply_two = _multiply(1), _multiply(2)
