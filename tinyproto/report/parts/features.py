"""What a deep network's features stand for: a ±ED-WTA network that is fitted on them, and the
images nearest to each prototype and farthest from it."""

from pathlib import Path

from ...evaluation.deep_explanation import (
    collect_features,
    explain_network,
    nearest_and_farthest,
)
from ...evaluation.deep_explanation_picture import plot_nearest_and_farthest
from ...evaluation.geometry.measure import class_vectors
from ..content import Block, LeftOut, Picture, Section, Table, Text, percent
from ..subject import BATCH, Subject

TRAINING = 2000  # images on whose features the network is fitted
SHOWN = 6  # nearest and farthest images
CLASSES = 10  # at most, in a picture


def features(subject: Subject, folder: Path) -> Section:
    """Fidelity of the winner-take-all network, and pictures of what the prototypes stand for."""
    network = subject.network
    if network is None:
        raise LeftOut("a winner-take-all network has no feature layer")
    images = subject.data.x_train[:TRAINING]
    x = subject.xp.asarray(images) / subject.xp.float32(255)
    moved = subject.predicted == subject.y  # the attack leaves alone what is misclassified
    attacked = subject.attacked[subject.xp.asarray(moved)] if moved.any() else None
    try:
        found = explain_network(
            network, x, subject.x, subject.y, attacked=attacked, count=SHOWN,
            batch_size=BATCH, seed=subject.seed,
        )  # fmt: skip
    except ValueError as error:  # a class that the network hardly ever answers
        raise LeftOut(f"no winner-take-all network of the features: {error}") from None
    names = subject.class_names
    vectors, _, noun = class_vectors(network)
    h, answers = collect_features(network, x, batch_size=BATCH)
    of_head = nearest_and_farthest(h, vectors, SHOWN)
    answered = [names[int(c)] for c in found.network.classes_]
    pictures: list[Block] = []
    for file, neighbours, owners, what in (
        ("head.png", of_head, names, f"the {noun} of each class"),
        ("positive.png", found.positive, answered, "the positive prototype of each neuron"),
        ("negative.png", found.negative, answered, "the negative prototype of each neuron"),
    ):
        cut = type(neighbours)(*(array[:CLASSES] for array in neighbours))
        plot_nearest_and_farthest(
            cut, images, folder / file, row_names=owners[:CLASSES],
            image_names=[names[c] for c in answers], count=SHOWN,
            title=f"{subject.name}: training images nearest to {what}, and farthest",
        )  # fmt: skip
        near = "; ".join(
            f"{name}: {', '.join(names[c] for c in answers[row])}"
            for name, row in zip(owners, cut.nearest, strict=False)
        )
        pictures.append(
            Picture(
                file,
                f"Training images whose features are nearest to {what}, and farthest from it, each "
                f"with the network's answer. Answers of the nearest: {near}.",
            )
        )
    rows = [
        {"measure": "gives the network's answer, clean images", "%": percent(found.fidelity)},
        {
            "measure": "gives the network's answer, images that were right, attacked",
            "%": percent(found.fidelity_attacked),
        },
        {"measure": "gives the true class", "%": percent(found.accuracy)},
        {"measure": "the network gives the true class", "%": percent(found.deep_accuracy)},
    ]
    text = Text(
        "A ±ED-WTA network with one neuron for each class, fitted on the features of "
        f"{len(images):,} training images with the network's answers as labels, explains these "
        "answers by the distances to a positive and a negative prototype. It gives "
        f"{percent(found.fidelity)} % of the answers for the test images. A prototype is a point "
        "of the feature space: the training images nearest to it and farthest from it show what "
        "it stands for."
    )
    figures = {"answers explained by ±ED-WTA on features": f"{percent(found.fidelity)} %"}
    return Section("Features", [text, Table("±ED-WTA on features", [*rows]), *pictures], figures)
