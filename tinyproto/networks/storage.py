"""Saving and loading networks."""

import reprlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .. import parameters, state
from ..layers.base import without_initialization
from .builders import check_settings, from_settings
from .description import describe_network
from .network import Network

WEIGHTS_FROM = "weights_from"
"""In the metadata of a file without weights: the name of the file beside it that has them."""


def save(network: Network, path: str | Path, **metadata: Any) -> None:
    """Save a network; `load` reads it.

    Parameters
    ----------
    network : Network
        One that a builder of this package made, or one of the package's layers.
    path : str or Path
        The file, an .npz.
    **metadata
        Anything that JSON can hold, to be stored with it.

    Raises
    ------
    ValueError
        For a folded network, for a layer of a class that is not the package's or a network with a
        pass of its own, for a weight that is infinite or NaN, and for metadata called
        `WEIGHTS_FROM`, which only files without weights have.

    Examples
    --------
    >>> from tinyproto import networks
    >>> networks.save(networks.compact_cnn(5), "model.npz", dataset="CIFAR-10")
    >>> networks.load("model.npz").settings["classes"]
    5
    """
    if type(network).__call__ is not Network.__call__:
        raise ValueError(f"cannot save {type(network).__name__}, a network with a pass of its own")
    if WEIGHTS_FROM in metadata:
        raise ValueError(f"{WEIGHTS_FROM} is for files without weights: choose another name")
    described, known = describe_network(network), network.settings
    if not known or described != describe_network(_rebuilt(known, "the network")):
        known = described  # no builder's, or changed since it was built
    params = parameters.flatten(network.params)
    parameters.check_arrays(network.params, params, "the network", values=True)
    settings = {  # JSON cannot hold NumPy's numbers
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in known.items()
    }
    state.save_arrays(params, path, {"network": settings, **metadata})


def load(path: str | Path, xp: ModuleType = np) -> Network:
    """Load a network that `save` wrote.

    Parameters
    ----------
    path : str or Path
    xp : module
        NumPy or CuPy: where to put its parameters.

    Returns
    -------
    Network
        In float64 if that is what was saved, else in float32.

    Raises
    ------
    ValueError
        For another kind of file, for entries that are unknown, missing, of another shape, infinite
        or NaN, and for settings that no builder accepts or that do not fit the entries; the message
        names them.

    Notes
    -----
    A file may have settings alone, and as `WEIGHTS_FROM` the name of the file beside it that has
    the weights: so two networks that differ in nothing but settings ship with the same weights.

    Examples
    --------
    >>> from tinyproto import networks
    >>> networks.save(networks.wide_resnet(10, 1), "model.npz")
    >>> networks.load("model.npz").settings["depth"]
    10
    """
    _, arrays, metadata = _read(Path(path))
    numbers = sum(array.size for array in arrays.values())
    settings = check_settings(metadata.get("network"), numbers, len(arrays), str(path))
    network = _rebuilt(settings, str(path))
    network.settings = settings
    if any(array.dtype == np.float64 for array in arrays.values()):
        network.to(dtype=np.float64)
    parameters.check_arrays(network.params, arrays, str(path), values=True)
    parameters.assign(network.params, arrays, str(path))
    return network.to(xp)


def weights_file(path: Path) -> Path:
    """The file that has the weights of a saved model: the same, or the one beside it that it names.
    Raises ValueError for a name that cannot be, and where there is no such file."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Path, dict[str, np.ndarray], dict[str, Any]]:
    """The file that has the weights, these, and the metadata of the file at `path`."""
    arrays, metadata = state.load_arrays(path)
    if WEIGHTS_FROM not in metadata:
        return path, arrays, metadata
    other = metadata[WEIGHTS_FROM]
    if arrays or not isinstance(other, str) or not other or other != Path(other).name:
        raise ValueError(
            f"{path}: with {WEIGHTS_FROM} a file has no arrays, and {WEIGHTS_FROM} is the name of "
            f"one in the same folder; found {len(arrays)} arrays and {reprlib.repr(other)}"
        )
    beside = path.with_name(other)
    if not beside.is_file():
        raise ValueError(f"{path} has the weights of {reprlib.repr(other)}, which is not beside it")
    weights, about = state.load_arrays(beside)
    if WEIGHTS_FROM in about:
        raise ValueError(f"{path} has the weights of {other}, which has those of another file")
    return beside, weights, metadata


def _rebuilt(settings: dict[str, Any], source: str) -> Network:
    """A network of these settings whose weights are to be replaced."""
    built = dict(settings)
    if built.get("head") == "prototypes" and built.get("init", "simplex") == "simplex":
        built["init"] = "random"  # which are replaced, too, and take no feature_width² numbers
    with without_initialization():
        return from_settings(built, source)
