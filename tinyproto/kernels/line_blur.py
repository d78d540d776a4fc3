"""Images averaged along a line of whole pixels: motion blur."""

from ..backend import kernel


@kernel
def line_blur(i, t, T, images, offset, weight, out):
    """out[i, p] = Σₖ weight[k] · images[i, p + offset[i, k]]; the edge repeats outside the image.

    images, out (N, H, W, C); offset (N, K, 2): whole pixels (down, right); weight (K,).
    """
    height, width, channels = images.shape[1], images.shape[2], images.shape[3]
    for p in range(t, height * width, T):
        row, column = p // width, p % width
        for c in range(channels):
            out[i, row, column, c] = 0
        for k in range(weight.shape[0]):
            y = min(max(row + offset[i, k, 0], 0), height - 1)
            x = min(max(column + offset[i, k, 1], 0), width - 1)
            for c in range(channels):
                out[i, row, column, c] += weight[k] * images[i, y, x, c]
