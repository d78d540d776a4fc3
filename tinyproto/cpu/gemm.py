"""Matrix products (GEMM) in single precision, built from a micro-kernel.

The names are those of GotoBLAS and BLIS. The micro-kernel computes a tile of C, MR × NR numbers,
and holds it in registers while it sums over k:

    C[m, n] = Σ_r Σ_k A[m; r, k] B[r, k; n]        m < MR, n < NR

For each k it loads NR / WIDTH vectors of a row of B, copies one number of A at a time to all lanes
of a vector, and multiplies and adds: MR · NR / WIDTH fused operations for MR + NR / WIDTH loads. In
a full tile more sums are under way than an operation takes cycles, so the processor's two
multiply-add units wait neither for each other nor for memory. B is packed into panels of NR
columns; A is read where it is, at any stride. The sum has two loops, k inside r, because the window
of a convolution is a few runs of numbers: r counts the runs, k the numbers of a run.

The sums are taken in the order of (r, k) in tiles of every size, so the bits of an element of C do
not depend on the tile that it is in.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import simd as v
from .simd import BYTES, FLOAT, INT, VECTOR, WIDTH

MR, NR_VECTORS = (8 if WIDTH == 16 else 6), 2
"""Size of the largest tile: its sums, a row of B and a number of A fit the registers, of which
AVX-512 has 32, AVX2 and SSE have 16."""

NR = NR_VECTORS * WIDTH
"""Columns of a tile, and of a packed panel of B."""


def _constant(value: int) -> Any:
    return ir.Constant(INT, value)


def _loop(builder: Any, count: Any, initial: list[Any], body: Any) -> list[Any]:
    """Emit a loop of `count` ≥ 1 iterations over a list of values: `body(values)` gives the next.
    Returns the last."""
    before, block = builder.block, builder.append_basic_block("loop")
    builder.branch(block)
    builder.position_at_end(block)
    iteration = builder.phi(INT)
    values = [builder.phi(value.type) for value in initial]
    updated = body(values)
    next_iteration = builder.add(iteration, _constant(1))
    end = builder.block
    for phi, first, later in zip(
        [iteration, *values], [_constant(0), *initial], [next_iteration, *updated], strict=True
    ):
        phi.add_incoming(first, before)
        phi.add_incoming(later, end)
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", next_iteration, count), block, after)
    builder.position_at_end(after)
    return updated


def make_micro_kernel(rows: int, vectors: int, accumulate: bool) -> Any:
    """The micro-kernel for a tile of rows × vectors · WIDTH numbers, an intrinsic. It takes the
    arguments of `gemm` without the first two, and writes C, or adds to it (accumulate)."""

    def emit(context, builder, signature, arguments):
        a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m = arguments

        def row_addresses(start, stride):
            return [builder.add(start, builder.mul(stride, _constant(m))) for m in range(rows)]

        rows_of_a = row_addresses(a, a_m)

        def over_k(values):
            a_offset, b_address, *sums = values
            row_of_b = [
                v.emit_load(builder, builder.add(b_address, _constant(BYTES * j)))
                for j in range(vectors)
            ]
            for m in range(rows):
                element = v.pointer(builder, builder.add(rows_of_a[m], a_offset), FLOAT)
                broadcast = v.emit_splat(builder, builder.load(element))
                for j in range(vectors):
                    i = m * vectors + j
                    sums[i] = v.emit_fma(builder, broadcast, row_of_b[j], sums[i])
            return [builder.add(a_offset, a_k), builder.add(b_address, b_k), *sums]

        def over_r(values):
            a_offset, b_address, *sums = values
            _, _, *sums = _loop(builder, K, [a_offset, b_address, *sums], over_k)
            return [builder.add(a_offset, a_r), builder.add(b_address, b_r), *sums]

        zeros = [ir.Constant(VECTOR, None)] * (rows * vectors)
        _, _, *sums = _loop(builder, R, [_constant(0), b, *zeros], over_r)
        for m, row in enumerate(row_addresses(c, c_m)):
            for j in range(vectors):
                target = builder.add(row, _constant(BYTES * j))
                value = sums[m * vectors + j]
                if accumulate:
                    value = builder.fadd(value, v.emit_load(builder, target))
                v.emit_store(builder, value, target)
        return context.get_dummy_value()

    @intrinsic
    def micro_kernel(context, a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m):
        return types.void(*[types.int64] * 11), emit

    return micro_kernel


def _make_gemm(accumulate: bool) -> Any:
    """Tiles of MR, then 4, then 1 rows; of two vectors, or of one where that holds all columns."""
    wide, wide_4, wide_1 = (make_micro_kernel(m, NR_VECTORS, accumulate) for m in (MR, 4, 1))
    narrow, narrow_4, narrow_1 = (make_micro_kernel(m, 1, accumulate) for m in (MR, 4, 1))

    @v.compiled
    def gemm(rows, columns, a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m):
        while rows >= MR:
            if columns > WIDTH:
                wide(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            else:
                narrow(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            rows, a, c = rows - MR, a + MR * a_m, c + MR * c_m
        while rows >= 4:
            if columns > WIDTH:
                wide_4(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            else:
                narrow_4(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            rows, a, c = rows - 4, a + 4 * a_m, c + 4 * c_m
        while rows >= 1:
            if columns > WIDTH:
                wide_1(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            else:
                narrow_1(a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m)
            rows, a, c = rows - 1, a + a_m, c + c_m

    return gemm


gemm = _make_gemm(accumulate=False)
"""C = A B for `rows` rows and one panel of B: the first NR of `columns` columns, in whole vectors.

(rows, columns, a, a_m, R, a_r, K, a_k, b, b_r, b_k, c, c_m): a, b and c are the addresses of the
first elements; a_m and c_m are the strides of the rows of A and C; a_r, a_k, b_r and b_k are those
of r and k, all in bytes. R and K, the lengths of the two sums, are 1 or more.
"""

gemm_accumulate = _make_gemm(accumulate=True)
"""C += A B, with the same arguments."""
