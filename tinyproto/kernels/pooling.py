"""Pooling over windows of size × size pixels, `stride` apart, all of them inside the image.

x and dx are (N, H, W, C); y, dy and argmax are (N, height, width, C). The largest element of a
window passes on its gradient: ∂y/∂x is 1 at the first largest one in reading order and 0 elsewhere,
so dx is the sum of dy over the windows in which an element is that one.
"""

from ..backend import kernel
from .lanes import spread


@kernel(fast="tinyproto.cpu.pooling")
def max_pool(i, t, T, x, stride, size, y, argmax):
    """y = the largest element of each window, and argmax = its position a · size + b there, of
    equal ones the first. Row i = n · height + h."""
    n = i // y.shape[1]
    h = i - n * y.shape[1]
    first, step, channel = spread(t, T, x.shape[3])
    for w in range(first, y.shape[2], step):
        for c in range(channel, x.shape[3], T):
            largest = x[n, h * stride, w * stride, c]
            place = 0
            for a in range(size):
                for b in range(size):
                    value = x[n, h * stride + a, w * stride + b, c]
                    if value > largest or value != value:  # NaN remains NaN
                        largest = value
                        place = a * size + b
            y[n, h, w, c] = largest
            argmax[n, h, w, c] = place


@kernel(fast="tinyproto.cpu.pooling")
def max_pool_backward(i, t, T, dy, argmax, stride, size, dx):
    """dx = the sum of dy over the windows in which a pixel is the maximum. Row i = n · H + r.

    A window's value changes with its largest element alone: ∂y/∂x = 1 there and 0 elsewhere.
    """
    n = i // dx.shape[1]
    r = i - n * dx.shape[1]
    first, step, channel = spread(t, T, dx.shape[3])
    first_h, last_h = max(0, (r - size + stride) // stride), min(r // stride, dy.shape[1] - 1)
    for s in range(first, dx.shape[2], step):
        first_w, last_w = max(0, (s - size + stride) // stride), min(s // stride, dy.shape[2] - 1)
        for c in range(channel, dx.shape[3], T):
            total = dx.dtype.type(0)
            for h in range(first_h, last_h + 1):
                for w in range(first_w, last_w + 1):
                    if argmax[n, h, w, c] == (r - h * stride) * size + s - w * stride:
                        total += dy[n, h, w, c]
            dx[n, r, s, c] = total


@kernel
def average_pool(i, t, T, x, stride, size, y):
    """y = the mean of each window. Row i = n · height + h."""
    n = i // y.shape[1]
    h = i - n * y.shape[1]
    scale = x.dtype.type(1) / x.dtype.type(size * size)
    for w in range(y.shape[2]):
        for c in range(t, x.shape[3], T):
            y[n, h, w, c] = 0
        for a in range(size):
            for b in range(size):
                for c in range(t, x.shape[3], T):
                    y[n, h, w, c] += x[n, h * stride + a, w * stride + b, c]
        for c in range(t, x.shape[3], T):
            y[n, h, w, c] *= scale


@kernel
def average_pool_backward(i, t, T, dy, stride, size, dx):
    """dx = the sum of dy / size² over the windows of a pixel. Row i = n · H + r."""
    n = i // dx.shape[1]
    r = i - n * dx.shape[1]
    scale = dy.dtype.type(1) / dy.dtype.type(size * size)
    for s in range(dx.shape[2]):
        for c in range(t, dx.shape[3], T):
            dx[n, r, s, c] = 0
    for a in range(size):
        top = r - a  # the window's first row
        h = top // stride
        if top >= 0 and h * stride == top and h < dy.shape[1]:
            for w in range(dy.shape[2]):
                for b in range(size):
                    s = w * stride + b
                    for c in range(t, dx.shape[3], T):
                        dx[n, r, s, c] += scale * dy[n, h, w, c]
