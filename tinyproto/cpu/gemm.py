"""The micro-kernel: a tile of a matrix product, held in registers while it is summed.

    C[m, n] = Σ_r Σ_k A[m; r, k] B[r, k; n]        m < rows, n < vectors · WIDTH

Each step loads `vectors` vectors of a row of B, spreads one number of A at a time over a vector,
and multiplies and adds: rows · vectors fused operations for rows + vectors loads. In a tile of full
height the two multipliers of a core wait neither for each other (more sums are under way than an
operation takes cycles) nor for memory. k runs inside r: the windows of a convolution are a few runs
of numbers.

The sums are taken in the order of (r, k), whatever the tile's size: an element's bits do not depend
on the tile that it falls in.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import simd as v
from .simd import BYTES, FLOAT, INT, VECTOR, WIDTH

ROWS, VECTORS = (8 if WIDTH == 16 else 6), 2
"""Of the largest tile: its sums, a row of B and a number of A fit the registers, of which AVX-512
has 32 and AVX2 and SSE have 16."""

PANEL = VECTORS * WIDTH
"""Columns of B that lie together."""


def _constant(value: int) -> Any:
    return ir.Constant(INT, value)


def _loop(builder: Any, count: Any, carried: list[Any], body: Any) -> list[Any]:
    """Emit a loop of 1 or more turns: `body(values) -> values` of the next turn, from `carried`."""
    before, block = builder.block, builder.append_basic_block("loop")
    builder.branch(block)
    builder.position_at_end(block)
    turn = builder.phi(INT)
    values = [builder.phi(value.type) for value in carried]
    following = body(values)
    next_turn = builder.add(turn, _constant(1))
    last = builder.block
    for phi, first, later in zip(
        [turn, *values], [_constant(0), *carried], [next_turn, *following], strict=True
    ):
        phi.add_incoming(first, before)
        phi.add_incoming(later, last)
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", next_turn, count), block, after)
    builder.position_at_end(after)
    return following


def tile(rows: int, vectors: int, add: bool) -> Any:
    """The micro-kernel for a tile of this size, an intrinsic; its arguments are those of `product`
    without the first two. C is written, or with `add` added to."""

    def emit(context, builder, signature, arguments):
        a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m = arguments

        def rows_of(start, stride):
            return [builder.add(start, builder.mul(stride, _constant(m))) for m in range(rows)]

        rows_of_a = rows_of(a, a_m)

        def over_k(values):
            at_a, at_b, *sums = values
            columns = [
                v.emit_load(builder, builder.add(at_b, _constant(BYTES * j)))
                for j in range(vectors)
            ]
            for m in range(rows):
                place = v.pointer(builder, builder.add(rows_of_a[m], at_a), FLOAT)
                spread = v.emit_splat(builder, builder.load(place))
                for j in range(vectors):
                    i = m * vectors + j
                    sums[i] = v.emit_fma(builder, spread, columns[j], sums[i])
            return [builder.add(at_a, a_k), builder.add(at_b, b_k), *sums]

        def over_r(values):
            at_a, at_b, *sums = values
            _, _, *sums = _loop(builder, K, [at_a, at_b, *sums], over_k)
            return [builder.add(at_a, a_r), builder.add(at_b, b_r), *sums]

        zeros = [ir.Constant(VECTOR, None)] * (rows * vectors)
        _, _, *sums = _loop(builder, R, [_constant(0), b, *zeros], over_r)
        for m, row in enumerate(rows_of(c, c_m)):
            for j in range(vectors):
                place = builder.add(row, _constant(BYTES * j))
                value = sums[m * vectors + j]
                if add:
                    value = builder.fadd(value, v.emit_load(builder, place))
                v.emit_store(builder, value, place)
        return context.get_dummy_value()

    @intrinsic
    def micro_kernel(context, a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m):
        return types.void(*[types.int64] * 11), emit

    return micro_kernel


def _product(add: bool) -> Any:
    wide, wide_4, wide_1 = (tile(rows, VECTORS, add) for rows in (ROWS, 4, 1))
    slim, slim_4, slim_1 = (tile(rows, 1, add) for rows in (ROWS, 4, 1))

    @v.compiled
    def product(rows, columns, a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m):
        while rows >= ROWS:
            if columns > WIDTH:
                wide(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            else:
                slim(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            rows, a, c = rows - ROWS, a + ROWS * a_m, c + ROWS * c_m
        while rows >= 4:
            if columns > WIDTH:
                wide_4(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            else:
                slim_4(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            rows, a, c = rows - 4, a + 4 * a_m, c + 4 * c_m
        while rows >= 1:
            if columns > WIDTH:
                wide_1(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            else:
                slim_1(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            rows, a, c = rows - 1, a + a_m, c + c_m

    return product


product = _product(add=False)
"""C = A B for `rows` rows and the first PANEL of `columns` columns, in whole vectors.

(rows, columns, a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m): a, b, c are the addresses of the first
elements; a_m, c_m are the strides of the rows of A and C, a_r, a_k, b_r, b_k those of r and k, in
bytes; R and K are 1 or more.
"""

add_product = _product(add=True)
"""C += A B, likewise."""
