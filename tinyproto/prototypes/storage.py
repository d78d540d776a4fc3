"""Saving a fitted winner-take-all network to one .npz file, and loading it."""

from pathlib import Path
from typing import Any

import numpy as np

from .. import state
from ..backend.device import select_device
from .base import WinnerTakeAll
from .winner_take_all import EDWTA, IPWTA, PlusMinusEDWTA

KINDS = {kind.__name__: kind for kind in (IPWTA, EDWTA, PlusMinusEDWTA)}
RENAMED = {"spread": "init_spread", "epsilon": "negative_init_fraction"}
"""Parameters in files that an earlier version saved, and their names now."""


def save(network: WinnerTakeAll, path: str | Path, **metadata: Any) -> None:
    """Write a fitted network: its parameters, prototypes and classes.

    The file replaces an older one only when it is complete.

    Parameters
    ----------
    network : IPWTA, EDWTA or PlusMinusEDWTA
        A fitted network.
    path : str or Path
        The file, with its suffix .npz.
    **metadata
        Anything that JSON can hold, to be stored with it, such as dataset="fashion".

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import IPWTA, load, save
    >>> network = IPWTA(prototypes_per_class=1, epochs=1).fit(np.eye(2), ["cat", "dog"])
    >>> save(network, "model.npz")
    >>> load("model.npz")
    IPWTA(epochs=1, prototypes_per_class=1)
    """
    network.check_is_fitted()
    arrays = {name: getattr(network, name) for name in _array_names(network)}
    # Strings in an object array are Python objects; as NumPy's own strings they can be stored.
    arrays["classes_"] = np.asarray(network.classes_.tolist())
    metadata |= {
        "kind": type(network).__name__,
        "parameters": {
            name: value.item() if isinstance(value, np.generic) else value  # for JSON
            for name, value in network.get_params().items()
        },
        "epochs": network.n_epochs_,
    }
    state.save_arrays(arrays, path, metadata)


def load(path: str | Path, device: str = "cpu") -> WinnerTakeAll:
    """Read a network that `save` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    device : {"cpu", "cuda"}
        Where the network is to be used.

    Returns
    -------
    IPWTA, EDWTA or PlusMinusEDWTA
        The fitted network.

    Raises
    ------
    ValueError
        For a file that holds no such network, or whose entries are missing, unknown or of a wrong
        shape; the message names them.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import IPWTA, load, save
    >>> network = IPWTA(prototypes_per_class=1, epochs=1).fit(np.eye(2), ["cat", "dog"])
    >>> save(network, "model.npz")
    >>> load("model.npz").classes_.tolist()
    ['cat', 'dog']
    """
    arrays, metadata = state.load_arrays(path)
    kind = KINDS.get(str(metadata.get("kind")))
    if kind is None:
        raise ValueError(f"{path} holds no winner-take-all network but {metadata.get('kind')!r}")
    stored = {RENAMED.get(name, name): value for name, value in metadata["parameters"].items()}
    network: WinnerTakeAll = kind().set_params(**{**stored, "device": device})
    names = {*_array_names(network), "classes_"}
    for wrong, found in (("misses", names - set(arrays)), ("has unknown", set(arrays) - names)):
        if found:
            raise ValueError(f"{path} {wrong} entries: {', '.join(sorted(found))}")
    xp = select_device(device)
    network.classes_ = arrays.pop("classes_")
    network.prototype_labels_ = network.classes_.repeat(network.prototypes_per_class)
    neurons, features = len(network.prototype_labels_), arrays[_array_names(network)[0]].shape[-1]
    for name, array in arrays.items():
        expected = {"_beta": (1,), "biases_": (neurons,)}.get(name, (neurons, features))
        if array.shape != expected:
            raise ValueError(f"{path}: {name} has shape {array.shape}, expected {expected}")
        setattr(network, name, xp.asarray(array))
    network.n_features_in_ = features
    network.n_epochs_ = int(metadata["epochs"])
    return network


def _array_names(network: WinnerTakeAll) -> tuple[str, ...]:
    """The stored arrays of a network; the first has a row of features for each neuron."""
    if isinstance(network, IPWTA):
        return ("weights_", "biases_", "_beta")
    if isinstance(network, EDWTA):
        return ("positive_prototypes_", "_beta")
    return ("positive_prototypes_", "negative_prototypes_", "_beta")
