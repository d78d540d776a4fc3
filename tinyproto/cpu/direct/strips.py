"""Strips of images, copied into a core's cache with the zeros around them."""

from ..simd import BYTES, clear, compiled, load_masked, store_some

STRIP_BYTES, GROUP_BYTES = 128 * 1024, 512 * 1024
"""Of one strip, and of those that are worked on together: parts of a second-level cache."""


@compiled
def copy_strip(x, relu_mask, n, top, left, rows, columns, strip):
    """Rows top …, columns left … of image n to `strip`, 0 outside the image. With a relu_mask (like
    x, or empty), a number is copied only where the mask is above 0, and is 0 elsewhere."""
    _, height, width, channels = x.shape
    pixel = channels * 4
    before, after = max(0, -left), min(columns, width - left)
    for r in range(rows):
        inside = 0 <= top + r < height and after > before
        begin, end = (before * pixel, after * pixel) if inside else (0, 0)
        at = strip + r * columns * pixel
        clear(at, begin)
        offset = (((n * height + top + r) * width + left) * channels) * 4
        for place in range(begin, end, BYTES):
            count = (end - place) // 4
            store_some(load_masked(x, relu_mask, offset + place, count), at + place, count)
        clear(at + end, columns * pixel - end)
