"""Saving a fitted winner-take-all network to one .npz file, and loading it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import state
from ..backend.device import select_device
from ..parameters import check_values
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

    Raises
    ------
    ValueError
        For a network that is not fitted, or that holds values that are infinite or NaN, and for
        metadata of a name that the file itself needs.

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
    for name in ("kind", "parameters", "epochs", "feature_names"):
        if name in metadata:
            raise ValueError(f"metadata must not be called {name!r}: the file itself uses the name")
    arrays = {name: getattr(network, name) for name in _array_names(network)}
    for name, array in arrays.items():
        check_values(name, array, array.dtype, "the network")
    # Strings in an object array are Python objects; as NumPy's own strings they can be stored.
    arrays["classes_"] = np.asarray(network.classes_.tolist())
    metadata |= {
        "kind": type(network).__name__,
        "parameters": {
            name: value.item() if isinstance(value, np.generic) else value  # for JSON
            for name, value in network._fitted_params().items()
        },
        "epochs": network.n_epochs_,
    }
    if hasattr(network, "feature_names_in_"):
        metadata["feature_names"] = network.feature_names_in_.tolist()
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
        For a file that holds no such network, whose parameters are not valid, or whose entries are
        missing, unknown, of a wrong shape, infinite or NaN; the message names them.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import IPWTA, load, save
    >>> network = IPWTA(prototypes_per_class=1, epochs=1).fit(np.eye(2), ["cat", "dog"])
    >>> save(network, "model.npz")
    >>> load("model.npz").classes_.tolist()
    ['cat', 'dog']
    """
    xp = select_device(device)
    arrays, metadata = state.load_arrays(path)
    kind = KINDS.get(str(metadata.get("kind")))
    if kind is None:
        raise ValueError(f"{path} holds no winner-take-all network but {metadata.get('kind')!r}")
    network: WinnerTakeAll = kind().set_params(**_parameters(metadata, device, str(path)))
    names = {*_array_names(network), "classes_"}
    _load_feature_names(network, arrays, metadata, path)
    for wrong, found in (("misses", names - set(arrays)), ("has unknown", set(arrays) - names)):
        if found:
            raise ValueError(f"{path} {wrong} entries: {', '.join(sorted(found))}")
    classes = arrays.pop("classes_")
    if classes.ndim != 1 or len(classes) < 2 or not (classes[1:] > classes[:-1]).all():
        raise ValueError(f"{path}: classes_ must be two or more different labels in order")
    shape = arrays[_array_names(network)[0]].shape
    neurons, features = len(classes) * network.prototypes_per_class, shape[-1] if shape else 0
    for name, array in arrays.items():
        expected = {"_beta": (1,), "biases_": (neurons,)}.get(name, (neurons, features))
        if array.shape != expected or not features:
            raise ValueError(f"{path}: {name} has shape {array.shape}, expected {expected}")
        if array.dtype == np.float16:  # for a small file
            arrays[name] = array = array.astype(np.float32)
        if array.dtype not in (np.float32, np.float64):
            raise ValueError(
                f"{path}: {name} is {array.dtype}, expected float16, float32 or float64"
            )
        check_values(name, array, array.dtype, str(path))
    if not arrays["_beta"][0] > 0:
        raise ValueError(f"{path}: _beta must be above 0, not {arrays['_beta'][0]}")
    epochs = metadata.get("epochs")
    if type(epochs) is not int or epochs < 0:
        raise ValueError(f"{path}: epochs must be an integer of 0 or more, not {epochs!r}")
    for name, array in arrays.items():
        setattr(network, name, xp.asarray(array))
    network.classes_ = classes
    network.prototype_labels_ = classes.repeat(network.prototypes_per_class)
    network.n_features_in_ = features
    network.n_epochs_ = epochs
    return network


def _parameters(metadata: Mapping[str, Any], device: str, path: str) -> dict[str, Any]:
    """The parameters of the constructor. Raises ValueError for invalid ones."""
    stored = metadata.get("parameters")
    if not isinstance(stored, dict):
        raise ValueError(f"{path} misses the parameters of its network")
    parameters: dict[str, Any] = {
        RENAMED.get(str(name), str(name)): stored[name] for name in stored
    }
    parameters["device"] = device
    try:
        KINDS[metadata["kind"]]().set_params(**parameters).check_parameters()
    except TypeError as error:  # a text where a number is expected
        raise ValueError(f"{path} holds a parameter of another type: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return parameters


def count_parameters(network: WinnerTakeAll) -> int:
    """How many numbers a fitted network has learned, β among them."""
    return sum(int(getattr(network, name).size) for name in _array_names(network))


def _array_names(network: WinnerTakeAll) -> tuple[str, ...]:
    """The stored arrays of a network; the first has a row of features for each neuron."""
    if isinstance(network, IPWTA):
        return ("weights_", "biases_", "_beta")
    if isinstance(network, EDWTA):
        return ("positive_prototypes_", "_beta")
    return ("positive_prototypes_", "negative_prototypes_", "_beta")


def _load_feature_names(
    network: WinnerTakeAll,
    arrays: Mapping[str, Any],
    metadata: Mapping[str, Any],
    path: str | Path,
) -> None:
    """The names of the columns that the network was fitted with, if it was fitted with names."""
    names = metadata.get("feature_names")
    if names is None:
        return
    shapes = [array.shape for array in arrays.values() if array.ndim == 2]
    text = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not text or any(shape[1] != len(names) for shape in shapes):
        raise ValueError(f"{path}: feature_names must be one text for each feature, not {names!r}")
    network.feature_names_in_ = np.array(names, dtype=object)
