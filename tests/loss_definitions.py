"""Every loss of a case of `tinyproto.testing.losses`, and its definition.

A definition is the paper's formula for one example, without any care for rounding: it is for small
scores in float64.
"""

import numpy as np

from tinyproto import losses

SMOOTHING = 0.1

# Each loss of a case at z and w → value, gradient at z, and gradient at w where it has one.
LOSSES = {
    "cross_entropy": lambda case, z, w: losses.cross_entropy(z, case.y),
    "smoothed": lambda case, z, w: losses.cross_entropy(z, case.y, SMOOTHING),
    "margin": lambda case, z, w: losses.margin(z, case.y),
    "dlr": lambda case, z, w: losses.dlr(z, case.y),
    "targeted_dlr": lambda case, z, w: losses.targeted_dlr(z, case.y, case.target),
    "boosted_cross_entropy": lambda case, z, w: losses.boosted_cross_entropy(z, case.y),
    "kl_divergence": lambda case, z, w: losses.kl_divergence(z, w),
    "weighted_kl": lambda case, z, w: losses.weighted_kl(z, w, case.y),
    "squared_error": lambda case, z, w: losses.squared_error(z, w),
}


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def others(values, y):
    return np.delete(values, y)


def ordered(z):
    return np.sort(z)[::-1]


def smoothed(z, y):
    target = np.full(len(z), SMOOTHING / len(z))
    target[y] += 1 - SMOOTHING
    return -(target * np.log(softmax(z))).sum()


def dlr(z, y):
    return -(z[y] - others(z, y).max()) / (ordered(z)[0] - ordered(z)[2])


def targeted_dlr(z, y, t):
    return -(z[y] - z[t]) / (ordered(z)[0] - (ordered(z)[2] + ordered(z)[3]) / 2)


def kl(z, w):
    return (softmax(z) * np.log(softmax(z) / softmax(w))).sum()


# Each definition of one example: its z (C,), w (C,), label and target → the value.
DEFINITIONS = {
    "cross_entropy": lambda z, w, y, t: -np.log(softmax(z)[y]),
    "smoothed": lambda z, w, y, t: smoothed(z, y),
    "margin": lambda z, w, y, t: others(z, y).max() - z[y],
    "dlr": lambda z, w, y, t: dlr(z, y),
    "targeted_dlr": lambda z, w, y, t: targeted_dlr(z, y, t),
    "boosted_cross_entropy": lambda z, w, y, t: (
        -np.log(softmax(z)[y]) - np.log(1 - others(softmax(z), y).max())
    ),
    "kl_divergence": lambda z, w, y, t: kl(z, w),
    "weighted_kl": lambda z, w, y, t: kl(z, w) * (1 - softmax(z)[y]),
    "squared_error": lambda z, w, y, t: ((z - w) ** 2).sum(),
}


def defined(name, case, z, w):
    """The definition's values (N,) at z and w."""
    definition = DEFINITIONS[name]
    return np.array([definition(*of) for of in zip(z, w, case.y, case.target, strict=True)])
