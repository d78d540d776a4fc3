"""Where the prototypes start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backend.device import Array, array_module
from ..random import uniform
from .kmeans import kmeans

if TYPE_CHECKING:
    from .base import WinnerTakeAll


def random_start(model: WinnerTakeAll, x: Array, stream: str) -> Array:
    """(C K, d), uniform in ± init_scale, like `x` in dtype and device."""
    xp = array_module(x)
    neurons = len(model.prototype_labels_)
    drawn = uniform(
        x.shape[1], xp.arange(neurons), seed=model.random_state, stream=f"start {stream}", xp=xp
    )
    return ((2 * drawn - 1) * model.init_scale).astype(x.dtype)


def class_centres(model: WinnerTakeAll, x: Array, label: Array) -> Array:
    """(C K, d): the k-means centres of each class, drawn to its mean by all but `spread`, or, for
    init="class-mean", its mean with the random start added (equal prototypes stay equal for ever).

    Raises ValueError for a class with fewer samples than centres.
    """
    xp = array_module(x)
    per_class = model.prototypes_per_class
    if model.init == "class-mean":
        centres = random_start(model, x, "positive")
    else:
        centres = xp.empty((len(model.prototype_labels_), x.shape[1]), dtype=x.dtype)
    for c in range(len(model.classes_)):
        own = x[label == c]
        rows = slice(c * per_class, (c + 1) * per_class)
        if model.init == "class-mean":
            if len(own) == 0:
                raise ValueError(f"class {model.classes_[c]} has no sample to start from")
            centres[rows] += own.mean(axis=0)
        elif len(own) < per_class:
            raise ValueError(
                f"class {model.classes_[c]} has {len(own)} samples, too few for "
                f"prototypes_per_class={per_class} k-means centres"
            )
        else:
            found, mean = kmeans(own, per_class, seed=model.random_state)[0], own.mean(axis=0)
            centres[rows] = mean + x.dtype.type(model.spread) * (found - mean)
    return centres
