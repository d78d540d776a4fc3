"""The weights of PyTorch's modules, as files or as state dicts, in networks of this package.

A convolution's weight is (out, in, k, k) there and (k, k, in, out) here, a linear layer's (out, in)
and (in, out). Prototypes (classes, d) are the weight of a linear layer there. `torch_names` knows
what each is called.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backend.device import to_host
from ..networks import Network
from ..optional import require_package
from ..parameters import assign, check_arrays, flatten
from ..state import atomic_write
from .torch_names import namings

WRAPPERS = "state_dict", "model_state_dict", "model", "net"
"""Where training programs put a state dict in a larger one."""

PREFIXES = "module.", "model."
"""What modules that hold another one put before all of its names."""

LEFT_OUT = "num_batches_tracked", "sub_block1."
"""The end and the beginning of names that no forward pass in eval mode uses: a counter of
BatchNorm, and a block that wide residual networks of RobustBench carry along."""


def load_state(network: Network, source: str | Path | Mapping[str, Any]) -> Network:
    """Give a network the weights of a PyTorch module of the same architecture.

    Parameters
    ----------
    network : Network
        Its weights are replaced. Each keeps its device and dtype.
    source : str, Path or mapping
        A file .safetensors, .pt or .pth, or a state dict: name ↦ tensor or array. Names are those
        of `save_state`, in any of its ways, also with "module." before each, as
        `torch.nn.DataParallel` has them, and in a dict under "state_dict" or "model".

    Returns
    -------
    Network
        The network itself.

    Raises
    ------
    ValueError
        For a file that is damaged or of another kind, and for entries that are missing, unknown, of
        another shape, infinite or NaN. Nothing has been changed then.
    OSError
        For a file that cannot be opened.
    ImportError
        Without the package safetensors or torch, which a file of that kind needs.

    Notes
    -----
    Files are read without running code from them. A module that normalizes colours does so outside
    its state: give the builder its `mean` and `std` (0 and 1 for one that does not). A module that
    has no layer of features before its last one is a network of `feature_width=None`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.interop import load_state
    >>> from tinyproto.layers import Flatten, Linear
    >>> from tinyproto.networks import Network
    >>> network = Network(Flatten(), Linear(3, 2))
    >>> state = {"head.weight": np.ones((2, 3)), "head.bias": np.zeros(2)}
    >>> load_state(network, state).params["head"]["weight"].shape
    (3, 2)
    """
    if isinstance(source, Mapping):
        name, tensors = "the state", _unwrapped(source)
    else:
        name, tensors = str(source), _unwrapped(_read(Path(source)))
    naming = max(namings(network).values(), key=lambda n: len(tensors.keys() & n.values()))
    paths = {torch_name: path for path, torch_name in naming.items()}
    arrays = {
        paths.get(key, key): _inward(paths.get(key, key), _array(tensor, f"{name}: {key}"))
        for key, tensor in tensors.items()
    }
    check_arrays(network.params, arrays, name, values=True)
    assign(network.params, arrays, name)
    return network


def save_state(network: Network, path: str | Path, *, names: str = "layers") -> None:
    """Write the weights of a network as a PyTorch module of the same architecture has them.

    Parameters
    ----------
    network : Network
        One that is not folded.
    path : str or Path
        The file, .safetensors, or .pt or .pth for a state dict of PyTorch. It is written whole or
        not at all.
    names : {"layers", "torchvision", "robustbench"}
        "layers": those of this package with PyTorch's words, features.1.weight and head.bias;
        "torchvision": those of its ResNet-18, layer1.0.conv1.weight and fc.bias, for `resnet18`;
        "robustbench": those of RobustBench's ResNet-18 and wide ResNets, block1.layer.0.bn1.weight,
        for `resnet18` and `wide_resnet`. A layer of features before the last one, which neither of
        the two has, is called feature.

    Raises
    ------
    ValueError
        For another ending of the file, and for names that the architecture has not.
    ImportError
        Without the package safetensors or torch, which a file of that kind needs.

    Examples
    --------
    >>> from tinyproto.interop import load_state, save_state
    >>> from tinyproto.networks import compact_cnn
    >>> save_state(compact_cnn(seed=1), "model.safetensors")
    >>> network = load_state(compact_cnn(), "model.safetensors")
    """
    known = namings(network)
    if names not in known:
        raise ValueError(f"names must be {' or '.join(map(repr, known))}, not {names!r}")
    arrays = {
        known[names][leaf_path]: _outward(leaf_path, to_host(leaf))
        for leaf_path, leaf in flatten(network.params).items()
    }
    kind = _kind(Path(path))
    with atomic_write(path) as temporary:
        if kind == "safetensors":
            from safetensors.numpy import save_file

            save_file(arrays, temporary)
        else:
            import torch

            torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, temporary)


def _kind(path: Path) -> str:
    """The package that a file of this name needs, which is made sure to be installed."""
    kinds = {".safetensors": "safetensors", ".pt": "torch", ".pth": "torch"}
    kind = kinds.get(path.suffix)
    if kind is None:
        raise ValueError(f"the file must end in {', '.join(kinds)}, not {path.name!r}")
    require_package(kind, f"a {path.suffix} file")
    return kind


def _read(path: Path) -> Any:
    """The tensors in a file."""
    kind = _kind(path)
    with open(path, "rb"):
        pass  # an error of the operating system stays what it is
    try:
        if kind == "safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        import torch

        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the two packages raise many different ones
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is no file of weights: {reason}") from None


def _unwrapped(state: Any) -> dict[str, Any]:
    """A state dict out of those around it, its names without a common prefix, and without what is
    left out."""
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ValueError(f"expected a state dict, name ↦ tensor, not {type(state).__name__}")
    tensors = dict(state)
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    ends, begins = LEFT_OUT
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not name.endswith(ends) and not name.startswith(begins)
    }


def _array(tensor: Any, name: str) -> np.ndarray:
    """A tensor, or an array, on the host; bfloat16, which NumPy has not, as float32."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        tensor = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
        tensor = tensor.numpy()
    if not hasattr(tensor, "dtype"):
        raise ValueError(f"{name} must be a tensor, not {type(tensor).__name__}")
    return to_host(tensor)


def _outward(path: str, leaf: np.ndarray) -> np.ndarray:
    """One of our leaves with its axes as PyTorch has them."""
    if path.rpartition("/")[2] == "weight":
        leaf = leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T
    return np.ascontiguousarray(leaf)


def _inward(path: str, array: np.ndarray) -> np.ndarray:
    """The way back."""
    if path.rpartition("/")[2] == "weight":
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    return array
