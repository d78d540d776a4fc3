"""From a name to the file of a model, and from the file to the model."""

from difflib import SequenceMatcher
from pathlib import Path

from .. import networks, prototypes, state
from ..backend.device import select_device
from ..networks import Network
from ..prototypes import WinnerTakeAll
from .card import FOLDER


def find_model(model: str | Path) -> Path:
    """Return the file that a name or a path stands for.

    Parameters
    ----------
    model : str or Path
        The name of a model that ships, or the path of a file; a file goes before a name.

    Returns
    -------
    Path
        The file of the shipped model, or the path as it is given.

    Raises
    ------
    ValueError
        For a bare name (no folder, no .npz) of which there is neither. The message has the names
        that there are, the most similar first.

    Examples
    --------
    >>> from tinyproto.pretrained import find_model
    >>> find_model("mnist-ed-wta").name
    'mnist-ed-wta.npz'
    >>> find_model("runs/model.npz").name
    'model.npz'
    """
    path, name = Path(model), str(model)
    names = [file.stem for file in sorted(FOLDER.glob("*.npz"))]
    if path.is_file() or name not in names:
        if path.exists() or path.suffix == ".npz" or len(path.parts) > 1:
            return path
        names.sort(key=lambda known: -SequenceMatcher(None, name.lower(), known).ratio())
        raise ValueError(
            f"{name}: expected a saved network or the name of a shipped model, one of "
            f"{', '.join(names)}"
        )
    return FOLDER / f"{name}.npz"


def load(model: str | Path, device: str = "cpu") -> Network | WinnerTakeAll:
    """Load a model that ships with the package, or any other that was saved.

    Parameters
    ----------
    model : str or Path
        A name of `zoo`, such as "cifar10-compact-adv-dpnp"; or a file that `networks.save` or
        `prototypes.save` wrote.
    device : {"cpu", "cuda"}
        Where it is to compute.

    Returns
    -------
    Network, or IPWTA, EDWTA or PlusMinusEDWTA
        In float32, also where the weights are stored in float16. `Victim` takes it as it is.

    Raises
    ------
    ValueError
        For an unknown name, with the names that there are, and for a file without a model.
    FileNotFoundError
        For a path where there is no file.

    Examples
    --------
    >>> import tinyproto
    >>> from tinyproto.attacks import Victim, pgd
    >>> from tinyproto.data import load
    >>> data = load("cifar10", download=False)
    >>> model = tinyproto.load("cifar10-compact-adv-dpnp")
    >>> x, y = data.x_test[:4] / 255, data.y_test[:4]
    >>> attacked = pgd(Victim(model), x.astype("float32"), y, eps=8 / 255)
    >>> attacked.shape
    (4, 32, 32, 3)
    """
    path = find_model(model)
    _, metadata = state.load_arrays(path)
    if "kind" in metadata:
        return prototypes.load(path, device)
    return networks.load(path, select_device(device))
