"""The model that a report is about, and the images on which it is judged."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, state
from ..attacks import Victim, pgd
from ..backend.device import Array, select_device, to_host
from ..data import Dataset, colour_outliers, load_outliers
from ..evaluation.report import NORMS, format_radius
from ..evaluation.saved_models import class_names, column_indices, open_with_data
from ..evaluation.suites import choose
from ..networks import Network
from ..networks.storage import weights_file
from ..pretrained import find_model
from ..prototypes import WinnerTakeAll
from ..random import uniform
from ..state import array_checksum
from ..validation import check_count, require, resolve_norm

EPS = {  # the usual radii; (norm, whether the images are grey)
    ("linf", False): 8 / 255,
    ("l2", False): 0.5,
    ("linf", True): 0.1,
    ("l2", True): 1.58,
}
BATCH = 250
OUTLIERS = 300  # images of each kind


@dataclass(frozen=True)
class Settings:
    """How a model is judged.

    Parameters
    ----------
    examples : int
        Number of test images, from the first on.
    eps : float, optional
        Radius of the attacks in the units of [0, 1]; by default the usual one: 8/255 for colour and
        0.1 for grey images in L∞, 0.5 and 1.58 in L2.
    norm : {"linf", "l2"}
        Norm of the ball.
    attacks : tuple of str
        Names, as `evaluate` takes them, each for the images that those before it left.
    seed : int
        Seed of all random numbers.
    device : {"cpu", "cuda"}
        Where to compute.
    dataset : str, optional
        Name of the data set; by default the one on which the model was trained.
    data : str, optional
        Folder with the data set.

    Examples
    --------
    >>> from tinyproto.report import Settings
    >>> Settings(examples=200, norm="l2").attacks
    ('fgsm', 'pgd-20', 'apgd-ce', 'apgd-t')
    """

    examples: int = 1000
    eps: float | None = None
    norm: str = "linf"
    attacks: tuple[str, ...] = ("fgsm", "pgd-20", "apgd-ce", "apgd-t")
    seed: int = 0
    device: str = "cpu"
    dataset: str | None = None
    data: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for settings that cannot be."""
        check_count("examples", self.examples)
        object.__setattr__(self, "norm", resolve_norm(self.norm))
        require(not isinstance(self.attacks, str), "attacks must be a tuple of names", self.attacks)
        choose(self.attacks, self.norm)
        require(0 <= self.seed < 2**32, "seed must be in [0, 2**32)", self.seed)
        if self.eps is not None:
            require(0 <= self.eps < math.inf, "eps must be 0 or more", self.eps)


def model_name(path: Path) -> str:
    """What a report calls a model: its file's name, or its folder's where the file is model.npz, as
    the examples call it."""
    return path.resolve().parent.name if path.name == "model.npz" else path.stem


class Subject:
    """A saved model with its data, and what several parts need of it, computed once.

    Parameters
    ----------
    path : Path
        The file of the model, or the name of one that ships.
    settings : Settings
        How it is judged.

    Raises
    ------
    ValueError
        For a file without a model, and images that it does not take.
    """

    def __init__(self, path: Path, settings: Settings):
        self.path = path = find_model(path)
        self.name = model_name(path)
        self.xp = select_device(settings.device)
        self.model: Any
        self.data: Dataset
        self.model, self.data, classes = open_with_data(
            path, self.xp, dataset=settings.dataset, folder=settings.data
        )
        self.metadata = state.load_arrays(path)[1]
        self.device, self.seed, self.norm = settings.device, settings.seed, settings.norm
        self.attacks, self.folder = settings.attacks, settings.data
        self.images = self.data.x_test[: settings.examples]
        labels = self.data.y_test[: settings.examples]
        self.y = column_indices(path, self.data.name, labels, classes)
        self.class_names = class_names(self.data, classes)
        self.eps = EPS[settings.norm, self.is_grey] if settings.eps is None else settings.eps

    @property
    def is_grey(self) -> bool:
        return self.images.ndim == 3

    @property
    def winner_take_all(self) -> WinnerTakeAll | None:
        """The model if it is a winner-take-all network."""
        return self.model if isinstance(self.model, WinnerTakeAll) else None

    @property
    def network(self) -> Network | None:
        """The model if it is a network of layers, with features and a head."""
        return self.model if isinstance(self.model, Network) else None

    @property
    def ball(self) -> str:
        """Such as "L∞ radius 8/255"."""
        has_levels = self.norm == "linf" and not self.is_grey
        radius = format_radius(self.eps) if has_levels else f"{self.eps:.4g}"
        return f"{NORMS[self.norm]} radius {radius}"

    @cached_property
    def x(self) -> Array:
        """The test images in [0, 1] on the device, (N, H, W, channels)."""
        images = self.images[..., None] if self.is_grey else self.images
        return self.xp.asarray(images) / self.xp.float32(255)

    @cached_property
    def flat(self) -> np.ndarray:
        """The test images in [0, 1] on the host, (N, d)."""
        return self.images.reshape(len(self.images), -1) / np.float32(255)

    @property
    def labels(self) -> np.ndarray:
        """The true labels as `fit` of a winner-take-all network had them."""
        network = self.winner_take_all
        return self.y if network is None else network.classes_[self.y]

    @cached_property
    def victim(self) -> Victim:
        return Victim(self.model)

    def predict(self, x: Array) -> np.ndarray:
        """The index of the class that the model answers, (N,)."""
        victim = self.victim.uncounted()
        starts = range(0, len(x), BATCH)
        return np.concatenate([to_host(victim(x[s : s + BATCH])[0].argmax(axis=1)) for s in starts])

    @cached_property
    def attacked(self) -> Array:
        """The images after PGD-20; those that are misclassified unattacked stay as they are."""
        parts = []
        y, index = self.xp.asarray(self.y), self.xp.arange(len(self.y))
        for start in range(0, len(self.y), BATCH):
            part = slice(start, start + BATCH)
            parts.append(
                pgd(Victim(self.model), self.x[part], y[part], eps=self.eps, norm=self.norm,
                    seed=self.seed, index=index[part], early_exit=False)
            )  # fmt: skip
        return self.xp.concatenate(parts)

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.predict(self.x)

    @cached_property
    def predicted_attacked(self) -> np.ndarray:
        return self.predict(self.attacked)

    @cached_property
    def outliers(self) -> dict[str, np.ndarray]:
        """Images of no class of the data set, uint8 of the shape of its own, by name: noise, and
        other data sets that are at hand."""
        count = min(OUTLIERS, len(self.y))
        if self.is_grey:
            sets = load_outliers(self.folder) if self.data.name == "mnist" else {}
            pixels = math.prod(self.images.shape[1:])
            drawn = uniform(pixels, np.arange(count), seed=self.seed, stream="noise")
            noise = (256 * drawn).astype(np.uint8).reshape(count, *self.images.shape[1:])
            return {name: x[:count] for name, x in sets.items()} | {"uniform noise": noise}
        options: dict[str, Any] = {"count": count, "directory": self.folder, "seed": self.seed}
        sets = colour_outliers(self.images, corruptions=(), **options)
        digits = "MNIST" if self.data.name == "svhn" else ""  # which shows digits, too
        return {name: x for name, x in sets.items() if name != digits}

    def _outlier_checksums(self) -> dict[str, str] | str:
        """By name; or why there are none, which is said where a part needs them."""
        try:
            return {name: array_checksum(found) for name, found in self.outliers.items()}
        except (ValueError, OSError) as reason:
            return str(reason)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a part that was measured before must have been measured with to be used again."""
        files = dict.fromkeys([self.path, weights_file(self.path)])  # one, or two
        content = b"".join(file.read_bytes() for file in files)
        return {
            "model": hashlib.sha256(content).hexdigest()[:16],
            "images": array_checksum(self.images) + array_checksum(self.y),
            "training images": array_checksum(self.data.x_train),
            "training labels": array_checksum(self.data.y_train),
            "outliers": self._outlier_checksums(),
            "device": self.device,
            "eps": self.eps,
            "norm": self.norm,
            "attacks": list(self.attacks),
            "seed": self.seed,
            "version": __version__,
        }
