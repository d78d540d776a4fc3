"""im2col and col2im: the parts of a convolution that are not a matrix product.

A window is a patch of size × size pixels with all channels. With stride S and padding P, the window
of output pixel (h, w), as a row of a matrix, is

    columns[h, w, (a, b, c)] = x[h S − P + a, w S − P + b, c]        0 outside the image

The convolution is the product columns · W. Its gradient at x is the transpose: it adds each window
to the pixels that it was copied from. In NHWC the channels of a pixel lie together, so both
copy runs of C numbers.
"""

from ..backend import kernel


@kernel
def im2col(i, t, T, x, stride, padding, size, columns):
    """columns[n, h, w] = the window of output pixel (h, w). Row i = n · height + h.

    x (N, H, W, C), columns (N, height, width, size · size · C).
    """
    n = i // columns.shape[1]
    h = i - n * columns.shape[1]
    channels = x.shape[3]
    for w in range(columns.shape[2]):
        for a in range(size):
            r = h * stride - padding + a
            for b in range(size):
                s = w * stride - padding + b
                start = (a * size + b) * channels
                if r >= 0 and r < x.shape[1] and s >= 0 and s < x.shape[2]:
                    for c in range(t, channels, T):
                        columns[n, h, w, start + c] = x[n, r, s, c]
                else:
                    for c in range(t, channels, T):
                        columns[n, h, w, start + c] = 0


@kernel
def col2im(i, t, T, columns, stride, padding, size, x):
    """x[n, r, s] = the sum of pixel (r, s) over all windows that contain it. Row i = n · H + r.

    The transpose of `im2col`. A row of pixels reads all windows that overlap it, so that no two
    rows write the same pixel.
    """
    n = i // x.shape[1]
    r = i - n * x.shape[1]
    channels = x.shape[3]
    for s in range(x.shape[2]):
        for c in range(t, channels, T):
            x[n, r, s, c] = 0
    for a in range(size):
        top = r + padding - a  # of a window with pixel row r as its row a, in the padded image
        h = top // stride
        if top >= 0 and h * stride == top and h < columns.shape[1]:
            for w in range(columns.shape[2]):
                for b in range(size):
                    s = w * stride - padding + b
                    if s >= 0 and s < x.shape[2]:
                        start = (a * size + b) * channels
                        for c in range(t, channels, T):
                            x[n, r, s, c] += columns[n, h, w, start + c]
