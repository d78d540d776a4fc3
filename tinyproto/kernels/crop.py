"""Images shifted by whole pixels, mirrored, and with a square hole: copied, never interpolated."""

from ..backend import kernel


@kernel
def crop(i, t, T, images, offset, flip, hole, side, out):
    """out[n] = a crop of image n, of the image's own size; 0 outside the image and in the hole.

    images, out (N, H, W, C). Row i = n · H + row is one row of an image.
    offset (N, 2): the row and column where the crop begins; (0, 0) is the image itself.
    flip (N,): 1 to mirror the crop left-right, else 0.
    hole (N, 2): the first row and column, in the result, of a square of side × side zeros.
    """
    height, width, channels = images.shape[1], images.shape[2], images.shape[3]
    n, row = i // height, i % height
    source_row = row + offset[n, 0]
    first, step = offset[n, 1], 1
    if flip[n]:
        first, step = first + width - 1, -1
    visible = 0 <= source_row < height
    hole_row = 0 <= row - hole[n, 0] < side
    for column in range(t, width, T):
        source = first + step * column
        in_hole = hole_row and 0 <= column - hole[n, 1] < side
        if visible and 0 <= source < width and not in_hole:
            for c in range(channels):
                out[n, row, column, c] = images[n, source_row, source, c]
        else:
            for c in range(channels):
                out[n, row, column, c] = 0
