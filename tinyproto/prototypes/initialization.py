"""The initial prototypes of the winner-take-all networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backend.device import Array, array_module
from ..random import permutation, uniform
from .kmeans import lloyd, warn_of_duplicates

if TYPE_CHECKING:
    from .base import WinnerTakeAll


def random_prototypes(model: WinnerTakeAll, x: Array, stream: str) -> Array:
    """(C K, d), uniform in ± init_scale, with the dtype and device of `x`."""
    xp = array_module(x)
    neurons = len(model.prototype_labels_)
    drawn = uniform(
        x.shape[1], xp.arange(neurons), seed=model.random_state, stream=f"start {stream}", xp=xp
    )
    return ((2 * drawn - 1) * model.init_scale).astype(x.dtype)


def class_centres(model: WinnerTakeAll, x: Array, label: Array) -> Array:
    """(C K, d), from the samples of each class.

    init="kmeans": mean + init_spread (centre − mean) for the K k-means centres of the class; with a
    warning where a class has fewer distinct samples.
    init="samples": the same for K samples of the class, drawn without replacement.
    init="class-mean": the mean plus `random_prototypes`, since equal prototypes would stay equal.
    Raises ValueError for a class with too few samples.
    """
    xp = array_module(x)
    per_class = model.prototypes_per_class
    if model.init == "class-mean":
        centres = random_prototypes(model, x, "positive")
    else:
        centres = xp.empty((len(model.prototype_labels_), x.shape[1]), dtype=x.dtype)
    for c in range(len(model.classes_)):
        samples = x[label == c]
        rows = slice(c * per_class, (c + 1) * per_class)
        if model.init == "class-mean":
            if len(samples) == 0:
                raise ValueError(f"class {model.classes_[c]} has no sample to start from")
            centres[rows] += samples.mean(axis=0)
        elif len(samples) < per_class:
            raise ValueError(
                f"class {model.classes_[c]} has {len(samples)} samples, too few for "
                f"prototypes_per_class={per_class} initial prototypes"
            )
        else:
            if model.init == "samples":
                stream = f"start samples {c}"
                order = permutation(len(samples), seed=model.random_state, stream=stream, xp=xp)
                found = samples[order[:per_class]]
            else:
                found, cluster, _ = lloyd(samples, per_class, seed=model.random_state)
                warn_of_duplicates(cluster, per_class, f"class {model.classes_[c]}")
            mean = samples.mean(axis=0)
            centres[rows] = mean + x.dtype.type(model.init_spread) * (found - mean)
    return centres
