"""The prototypes of a winner-take-all network, and the decisions that they make."""

from pathlib import Path

import numpy as np

from ...backend.device import to_host
from ...evaluation.explanation_picture import plot_explanations
from ...evaluation.pictures import plot_prototypes
from ...prototypes import IPWTA, PlusMinusEDWTA, WinnerTakeAll
from ..content import Block, LeftOut, Picture, Section, Text
from ..subject import Subject

EXPLAINED = 3  # images


def prototypes(subject: Subject, folder: Path) -> Section:
    """Pictures of the prototypes, and of decisions before and after an attack."""
    network = subject.winner_take_all
    if network is None:
        raise LeftOut("only the prototypes of winner-take-all networks are images")
    if not subject.is_grey:
        raise LeftOut("prototypes are drawn as grey images only")
    shape, names = subject.images.shape[1:], subject.class_names
    panels, signed = _panels(network, shape)
    plot_prototypes(
        panels, folder / "prototypes.png", class_names=names, signed=signed,
        title=f"{subject.name}: prototypes, a row for each class",
    )  # fmt: skip
    seen = Picture(
        "prototypes.png", f"Prototypes as images, a row for each of the classes {', '.join(names)}."
    )
    blocks: list[Block] = [seen]
    misled = np.flatnonzero(
        (subject.predicted == subject.y) & (subject.predicted_attacked != subject.y)
    )[:EXPLAINED]
    if len(misled):
        attacked = to_host(subject.attacked)[misled].reshape(-1, *shape)
        plot_explanations(
            network, subject.images[misled] / np.float32(255), folder / "explanations.png",
            attacked=attacked, class_names=names,
            title=f"{subject.name}: why it answers so, before and after PGD ({subject.ball})",
        )  # fmt: skip
        blocks += [
            Text(
                "The class is that of the best neuron; its rival is the best of the other classes. "
                "Each pixel has a share in the margin between the two, and all shares sum to it "
                f"exactly{', with the biases' if isinstance(network, IPWTA) else ''}: they are the "
                "decision itself, which a gradient at the image is not. Below, images that the "
                "attack turned from right to wrong."
            ),
            Picture(
                "explanations.png",
                f"{len(misled)} images before and after an attack: the image, the prototypes of "
                "the neuron that won and of its rival, each pixel's share in the margin, and what "
                "the attack changed.",
            ),
        ]
    return Section("Prototypes and decisions", blocks)


def _panels(
    network: WinnerTakeAll, shape: tuple[int, ...]
) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, str]]]:
    """Images by the title of their panel, and what the signs of some of them mean."""

    def images(name: str) -> np.ndarray:
        return to_host(getattr(network, name)).reshape(-1, *shape)

    if isinstance(network, IPWTA):
        return {"weights": images("weights_")}, {
            "weights": ("blue: speaks against the class", "red: for it")
        }
    if not isinstance(network, PlusMinusEDWTA):
        return {"prototypes": images("positive_prototypes_")}, {}
    positive, negative = images("positive_prototypes_"), images("negative_prototypes_")
    difference = "difference w⁺ − w⁻"
    panels = {"positive prototypes w⁺": positive, "negative prototypes w⁻": negative}
    panels[difference] = positive - negative
    return panels, {difference: ("blue: w⁻ is darker", "red: w⁺ is darker")}
