"""Where things are in a worker's scratch memory: parts do not overlap, and the size covers all."""

from hypothesis import given
from hypothesis import strategies as st

from tinyproto.cpu.direct.bands import forward_layout, weight_layout
from tinyproto.cpu.gemm import NR
from tinyproto.cpu.simd import padded
from tinyproto.cpu.winograd.layout import scratch_layout

COUNT, CHANNELS = st.integers(1, 40), st.integers(1, 300)


@given(COUNT, COUNT, CHANNELS, CHANNELS)
def test_of_winograd(tiles_across, tile_rows, channels_v, channels_m):
    layout = scratch_layout(tiles_across, tile_rows, channels_v, channels_m)
    pixels, last_tile = 4 * tiles_across + 2, tiles_across * tile_rows - 1
    for channels in (channels_v, channels_m):  # a tile row of x or of dy, transformed once
        assert 6 * pixels * padded(channels) * 4 <= layout.v
    end_of_v = 35 * layout.plane_v + last_tile * layout.row_v + padded(channels_v) * 4
    end_of_m = 35 * layout.plane_m + last_tile * layout.row_m + padded(channels_m) * 4
    assert layout.v + end_of_v <= layout.m
    assert layout.m + end_of_m <= layout.size
    assert layout.size == layout.m + 36 * layout.plane_m
    assert layout.size % 4 == 0
    assert (last_tile + 1) * layout.row_v <= layout.plane_v
    assert (last_tile + 1) * layout.row_m <= layout.plane_m


@given(COUNT, st.integers(1, 7), st.integers(1, 7), CHANNELS, st.integers(1, 4), COUNT, COUNT)
def test_of_the_direct_forward_pass(
    out_columns, kernel_rows, kernel_columns, channels, stride, band_rows, bands
):
    run = kernel_columns * channels
    layout = forward_layout(out_columns, kernel_rows, run, channels, stride, band_rows, bands)
    last_window = (out_columns - 1) * stride * channels * 4
    assert layout.row == last_window + run * 4
    last_row = (band_rows - 1) * stride + kernel_rows - 1
    assert (last_row + 1) * layout.row <= layout.band
    assert out_columns * NR * 4 <= layout.bands
    assert layout.size == layout.bands + bands * layout.band
    assert layout.size % 4 == 0


@given(COUNT, st.integers(1, 7), CHANNELS, st.integers(1, 4), COUNT, CHANNELS, COUNT)
def test_of_the_direct_weight_pass(
    out_columns, kernel_size, channels, stride, band_rows, block, bands
):
    zero_rows = -(-max(0, kernel_size - stride) // stride)
    dy_rows = band_rows + zero_rows
    layout = weight_layout(out_columns, kernel_size, channels, stride, dy_rows, block, bands)
    assert layout.row == ((out_columns - 1) * stride + kernel_size) * channels * 4
    assert dy_rows * out_columns * block * 4 <= layout.band_dy
    assert bands * layout.band_dy <= layout.x
    assert dy_rows * stride * layout.row <= layout.band_x
    read = ((band_rows - 1) * stride + kernel_size) * layout.row  # of the last band
    assert (bands - 1) * layout.band_x + read <= bands * layout.band_x
    assert layout.size == layout.x + bands * layout.band_x
    assert layout.size % 4 == 0
