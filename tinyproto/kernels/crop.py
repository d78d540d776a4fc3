"""Images moved by whole pixels, mirrored, and with a square hole: cut out, never interpolated."""

from ..backend import kernel


@kernel
def crop(i, t, T, images, places, side, out):
    """out[n, row] = a row of image n moved by whole pixels, mirrored or not, with a hole in it.

    A row of work is one row of an image: i = n · H + row. images, out (N, H, W, C).
    places (N, 5) int64: how far down and right in the image the crop begins (0, 0 is the image
    itself, and outside it is 0); 1 to mirror it left-right; the first row and column, in the
    finished image, of a hole of side × side pixels that are set to 0.
    """
    height, width, channels = images.shape[1], images.shape[2], images.shape[3]
    n, row = i // height, i % height
    source_row = row + places[n, 0]
    first, step = places[n, 1], 1
    if places[n, 2]:
        first, step = first + width - 1, -1
    visible = 0 <= source_row < height
    holed = 0 <= row - places[n, 3] < side
    for column in range(t, width, T):
        source = first + step * column
        if visible and 0 <= source < width and not (holed and 0 <= column - places[n, 4] < side):
            for c in range(channels):
                out[n, row, column, c] = images[n, source_row, source, c]
        else:
            for c in range(channels):
                out[n, row, column, c] = 0
