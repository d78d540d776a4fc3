"""What is known of each model that ships: how it was made, what it reaches, what it is not for."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "models"
"""NAME.npz has the weights of a model, NAME.json its card."""

MAIN = ("test accuracy", "PGD-20", "AutoAttack", "certified")
"""The figures in the table of all models: for each, the first of that measure on the card."""


@dataclass(frozen=True)
class Figure:
    """One figure that was measured of a model.

    Parameters
    ----------
    measure : str
        What was measured, such as "test accuracy" or "PGD-20", the accuracy under that attack.
    value : float
        In the unit.
    unit : str
        "%", or "" for a number without one.
    ball : str
        Norm and radius within which the images were changed, such as "L∞ 8/255"; "" for none.
    images : int
        The number of test images, from the first on; 0 where it is not known.

    Examples
    --------
    >>> from tinyproto.pretrained import Figure
    >>> str(Figure("AutoAttack", 33.5, "%", "L∞ 8/255", 1000))
    '33.5 % at L∞ 8/255'
    """

    measure: str
    value: float
    unit: str = "%"
    ball: str = ""
    images: int = 0

    @property
    def amount(self) -> str:
        """The value with its unit; two decimals of a percentage say something of 10,000 images."""
        if self.unit != "%":
            return f"{self.value:.4g} {self.unit}".strip()
        return f"{self.value:.{2 if self.images >= 10_000 else 1}f} %"

    def __str__(self) -> str:
        return f"{self.amount} at {self.ball}" if self.ball else self.amount


@dataclass(frozen=True)
class Card:
    """A model card.

    Parameters
    ----------
    name : str
        The name that `tinyproto.load` takes.
    description : str
        What the model is, in a sentence or two.
    source : str
        The papers.
    data : str
        What it was trained on.
    data_licence : str
        Under which terms these images are.
    network : str
        The builder of the network, or its class.
    weights : int
        The number of its weights.
    storage : str
        In which precision they are stored, and what that changed.
    training : dict
        Every setting of the training.
    command : str
        The command that trained it.
    device : str
        Where that ran.
    seconds : float, optional
        How long the training took; None where it was not recorded.
    figures : tuple of Figure
        What it reaches.
    limits : tuple of str
        What it must not be used for, and what the figures do not say.
    sample : dict
        How many of the first images of the sample in the package it classifies correctly, clean and
        under PGD-20: what it must give wherever it is computed, and no measure of quality.

    Examples
    --------
    >>> import tinyproto
    >>> card = tinyproto.zoo()["mnist-ed-wta"]
    >>> card.network, card.weights
    ('PlusMinusEDWTA', 94081)
    >>> print(card)
    mnist-ed-wta
    ...
    """

    name: str
    description: str
    source: str
    data: str
    data_licence: str
    network: str
    weights: int
    storage: str
    training: dict[str, Any]
    command: str
    device: str
    seconds: float | None
    figures: tuple[Figure, ...]
    limits: tuple[str, ...]
    sample: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Card":
        """The card that a JSON file holds."""
        content = json.loads(path.read_text(encoding="utf-8"))
        content["figures"] = tuple(Figure(**figure) for figure in content["figures"])
        content["limits"] = tuple(content["limits"])
        return cls(**content)

    @property
    def path(self) -> Path:
        """The file of the weights."""
        return FOLDER / f"{self.name}.npz"

    def main(self) -> list[str]:
        """The figures of the table of all models; "" where one was not measured."""
        found = {figure.measure: str(figure) for figure in reversed(self.figures)}
        return [found.get(measure, "") for measure in MAIN]

    def facts(self) -> dict[str, str]:
        """What the model is, by name; without its figures, training settings and limits."""
        time = "" if self.seconds is None else f"{self.seconds / 60:,.1f} minutes "
        facts = {
            "network": f"{self.network}, {self.weights:,} weights",
            "trained on": self.data,
            "licence of the data": self.data_licence,
            "trained by": self.command,
            "training": f"{time}on {self.device}",
            "stored as": self.storage,
            "source": self.source,
        }
        return {name: text for name, text in facts.items() if text}

    def __str__(self) -> str:
        lines = [self.name, self.description, ""]
        lines += [f"{name}: {text}" for name, text in self.facts().items()]
        lines += ["", "It reaches:"]
        for figure in self.figures:
            images = f" ({figure.images:,} test images)" if figure.images else ""
            lines.append(f"- {figure.measure}: {figure}{images}")
        return "\n".join([*lines, "", "Limits:", *(f"- {limit}" for limit in self.limits)])


class Zoo(dict[str, Card]):
    """Cards by name, which print as a table of the main figures.

    Examples
    --------
    >>> from tinyproto.pretrained import Zoo, zoo
    >>> Zoo({name: card for name, card in zoo().items() if name.startswith("mnist")}).rows()[0][:3]
    ['name', 'weights', 'test accuracy']
    """

    def rows(self) -> list[list[str]]:
        """The table, with its head: a row for each model."""
        head = ["name", "weights", *MAIN]
        return [head, *([name, f"{c.weights:,}", *c.main()] for name, c in self.items())]

    def __repr__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def zoo() -> Zoo:
    """Return the cards of all models that ship.

    Returns
    -------
    Zoo
        A dict from name to `Card`; it prints as a table of the main figures.

    Examples
    --------
    >>> import tinyproto
    >>> cards = tinyproto.zoo()
    >>> "cifar10-compact-adv-dpnp" in cards
    True
    >>> print(cards)
    name                      weights ...
    """
    paths = {path.stem: path for path in FOLDER.glob("*.json")}
    return Zoo({name: Card.read(paths[name]) for name in sorted(paths)})
