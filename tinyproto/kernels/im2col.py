"""What of a convolution is no matrix product: gathering windows, and adding them up.

A window is a K × K patch of all channels. With the windows of an image as rows of a matrix,

    columns[h, w, (a, b, c)] = x[h S − P + a, w S − P + b, c]        0 outside the image,

the convolution is the product columns · W, and its transpose adds the windows up where they were.
NHWC keeps the channels of a pixel together, so both copy runs of C numbers.
"""

from ..backend import kernel


@kernel
def im2col(i, t, T, x, stride, padding, size, columns):
    """columns[n, h, w] = the window of output pixel (h, w); row i = n · height + h.

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
    """x[n, r, s] = the sum of what the windows hold of pixel (r, s); row i = n · H + r.

    The transpose of `im2col`: a row of pixels gathers from the rows of windows over it.
    """
    n = i // x.shape[1]
    r = i - n * x.shape[1]
    channels = x.shape[3]
    for s in range(x.shape[2]):
        for c in range(t, channels, T):
            x[n, r, s, c] = 0
    for a in range(size):
        reach = r + padding - a
        h = reach // stride
        if reach >= 0 and h * stride == reach and h < columns.shape[1]:
            for w in range(columns.shape[2]):
                for b in range(size):
                    s = w * stride - padding + b
                    if s >= 0 and s < x.shape[2]:
                        start = (a * size + b) * channels
                        for c in range(t, channels, T):
                            x[n, r, s, c] += columns[n, h, w, start + c]
