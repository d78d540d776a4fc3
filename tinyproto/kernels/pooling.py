"""Pooling windows of size × size pixels, `stride` apart, none of which juts out of the image."""

from ..backend import kernel


@kernel(fast="tinyproto.cpu.pooling")
def max_pool(i, t, T, x, stride, size, y, argmax):
    """y = the largest of each window; argmax = its place a · size + b there, the first of a tie.

    x (N, H, W, C), y and argmax (N, height, width, C); row i = n · height + h.
    """
    n = i // y.shape[1]
    h = i - n * y.shape[1]
    for w in range(y.shape[2]):
        for c in range(t, x.shape[3], T):
            y[n, h, w, c] = x[n, h * stride, w * stride, c]
            argmax[n, h, w, c] = 0
        for a in range(size):
            for b in range(size):
                for c in range(t, x.shape[3], T):
                    value = x[n, h * stride + a, w * stride + b, c]
                    if value > y[n, h, w, c] or value != value:  # a NaN stays one
                        y[n, h, w, c] = value
                        argmax[n, h, w, c] = a * size + b


@kernel(fast="tinyproto.cpu.pooling")
def max_pool_backward(i, t, T, dy, argmax, stride, size, dx):
    """dx = dy where a pixel won its window, summed over the windows that it won; row i = n · H + r.

    The largest element alone moves with its window's value: ∂y/∂x = 1 there and 0 elsewhere.
    """
    n = i // dx.shape[1]
    r = i - n * dx.shape[1]
    for s in range(dx.shape[2]):
        for c in range(t, dx.shape[3], T):
            dx[n, r, s, c] = 0
    for a in range(size):
        reach = r - a
        h = reach // stride
        if reach >= 0 and h * stride == reach and h < dy.shape[1]:
            for w in range(dy.shape[2]):
                for b in range(size):
                    s = w * stride + b
                    for c in range(t, dx.shape[3], T):
                        if argmax[n, h, w, c] == a * size + b:
                            dx[n, r, s, c] += dy[n, h, w, c]


@kernel
def average_pool(i, t, T, x, stride, size, y):
    """y = the mean of each window; shapes as in `max_pool`."""
    n = i // y.shape[1]
    h = i - n * y.shape[1]
    share = x.dtype.type(1) / x.dtype.type(size * size)
    for w in range(y.shape[2]):
        for c in range(t, x.shape[3], T):
            y[n, h, w, c] = 0
        for a in range(size):
            for b in range(size):
                for c in range(t, x.shape[3], T):
                    y[n, h, w, c] += x[n, h * stride + a, w * stride + b, c]
        for c in range(t, x.shape[3], T):
            y[n, h, w, c] *= share


@kernel
def average_pool_backward(i, t, T, dy, stride, size, dx):
    """dx = each window's dy / size², summed over the windows of a pixel; row i = n · H + r."""
    n = i // dx.shape[1]
    r = i - n * dx.shape[1]
    share = dy.dtype.type(1) / dy.dtype.type(size * size)
    for s in range(dx.shape[2]):
        for c in range(t, dx.shape[3], T):
            dx[n, r, s, c] = 0
    for a in range(size):
        reach = r - a
        h = reach // stride
        if reach >= 0 and h * stride == reach and h < dy.shape[1]:
            for w in range(dy.shape[2]):
                for b in range(size):
                    s = w * stride + b
                    for c in range(t, dx.shape[3], T):
                        dx[n, r, s, c] += share * dy[n, h, w, c]
