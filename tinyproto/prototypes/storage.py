"""Saving a fitted network to one .npz, and loading it back."""

from pathlib import Path

import numpy as np

from .. import state
from ..backend import device
from .base import WinnerTakeAll
from .winner_take_all import EDWTA, IPWTA, PlusMinusEDWTA

KINDS = {kind.__name__: kind for kind in (IPWTA, EDWTA, PlusMinusEDWTA)}


def save(network: WinnerTakeAll, path: str | Path) -> None:
    """Write a fitted network: its parameters, prototypes and classes. Never half a file."""
    network.check_is_fitted()
    arrays = {name: getattr(network, name) for name in _names(network)}
    # Strings in an object array are Python objects; as NumPy's own strings they can be stored.
    arrays["classes_"] = np.asarray(network.classes_.tolist())
    metadata = {
        "kind": type(network).__name__,
        "parameters": {
            name: value.item() if isinstance(value, np.generic) else value  # JSON knows no NumPy
            for name, value in network.get_params().items()
        },
        "epochs": network.n_epochs_,
    }
    state.save_arrays(arrays, path, metadata)


def load(path: str | Path, device_name: str = "cpu") -> WinnerTakeAll:
    """The network that `save` wrote, on the device "cpu" or "cuda".

    Raises ValueError for a file that holds no such network, or entries missing, unknown or of the
    wrong shape, each by name.
    """
    arrays, metadata = state.load_arrays(path)
    kind = KINDS.get(str(metadata.get("kind")))
    if kind is None:
        raise ValueError(f"{path} holds no winner-take-all network but {metadata.get('kind')!r}")
    network: WinnerTakeAll = kind().set_params(**{**metadata["parameters"], "device": device_name})
    names = {*_names(network), "classes_"}
    for wrong, found in (("misses", names - set(arrays)), ("has unknown", set(arrays) - names)):
        if found:
            raise ValueError(f"{path} {wrong} entries: {', '.join(sorted(found))}")
    xp = device.select_device(device_name)
    network.classes_ = arrays.pop("classes_")
    network.prototype_labels_ = network.classes_.repeat(network.prototypes_per_class)
    neurons, features = len(network.prototype_labels_), arrays[_names(network)[0]].shape[-1]
    for name, array in arrays.items():
        expected = {"_beta": (1,), "biases_": (neurons,)}.get(name, (neurons, features))
        if array.shape != expected:
            raise ValueError(f"{path}: {name} has shape {array.shape}, expected {expected}")
        setattr(network, name, xp.asarray(array))
    network.n_features_in_ = features
    network.n_epochs_ = int(metadata["epochs"])
    return network


def _names(network: WinnerTakeAll) -> tuple[str, ...]:
    """The arrays of a kind; the first has a row of features for each neuron."""
    if isinstance(network, IPWTA):
        return ("weights_", "biases_", "_beta")
    if isinstance(network, EDWTA):
        return ("positive_prototypes_", "_beta")
    return ("positive_prototypes_", "negative_prototypes_", "_beta")
