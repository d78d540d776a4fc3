"""What no file of a run says of the models that ship: what they are for, and what they are not."""

from typing import NamedTuple


class Description(NamedTuple):
    """The words of a model card."""

    description: str
    source: str
    data: str
    data_licence: str
    limits: tuple[str, ...]


RECONSTRUCTED = (
    "The training method is reconstructed from its published description: its authors published no "
    "code and no coefficients that we could find, and no figure here is theirs."
)
UPPER_BOUND = (
    "Accuracy under attack is an upper bound: an attack that nobody has tried may find more."
)
NOT_FOR_USE = (
    "It is for teaching and research. Nothing here says that it is fit for a use in which people "
    "depend on it."
)
ONE_RUN = "The figures are of one training run: another seed gives others."
PHOTOGRAPHS = (
    "It answers one of the ten classes of CIFAR-10 for any image of 32 × 32 pixels, whatever the "
    "image shows, and its confidence is not calibrated."
)
ONE_BALL = (
    "It was trained for changes of at most 8/255 of each pixel; larger changes and other kinds, "
    "such as a rotation, are no part of that."
)
DIGITS = (
    "It answers one of ten digits for any image of 28 × 28 pixels. It expects digits as MNIST has "
    "them: bright on dark, centred, of one size."
)
EXACT = (
    "The certified accuracies hold for the weights as they are stored, for images in [0, 1] and "
    "perturbations in L2: the radius is proved, but says nothing of changes of another kind."
)


def cifar10(description: str, source: str, *limits: str) -> Description:
    return Description(
        description,
        source,
        "CIFAR-10",
        "its authors state none, and ask that A. Krizhevsky, “Learning multiple layers of features "
        "from tiny images”, technical report, 2009, be cited",
        (*limits, PHOTOGRAPHS, ONE_RUN, NOT_FOR_USE),
    )


def mnist(description: str, source: str, *limits: str) -> Description:
    return Description(
        description,
        source,
        "MNIST",
        "usually given as CC BY-SA 3.0",
        (*limits, DIGITS, EXACT, UPPER_BOUND, ONE_RUN, NOT_FOR_USE),
    )


ROBUST = (ONE_BALL, UPPER_BOUND)
CNN = "A small convolutional network"
PROTOTYPES = f"{CNN} whose last layer is class prototypes on a sphere"
MODELS = {
    "cifar10-compact-standard": cifar10(
        f"{CNN} trained by cross-entropy on images as they are: accurate, and with no robustness "
        "at all. The defences are compared with it.",
        "",
        "Under attack nearly every answer can be changed: never take it for a robust model.",
    ),
    "cifar10-compact-pgd": cifar10(
        f"{CNN} trained on images that PGD attacks anew in each step.",
        "Madry and others, arXiv 1706.06083",
        *ROBUST,
    ),
    "cifar10-compact-trades": cifar10(
        f"{CNN} trained by TRADES: cross-entropy on clean images, and a term that keeps the "
        "answers for attacked images close to those for clean ones.",
        "Zhang and others, arXiv 1901.08573",
        *ROBUST,
    ),
    "cifar10-compact-mart": cifar10(
        f"{CNN} trained by MART, which gives more weight to images that are misclassified.",
        "Wang and others, ICLR 2020",
        *ROBUST,
    ),
    "cifar10-compact-dpnp": cifar10(
        f"{PROTOTYPES}, trained by DPNP on images as they are.",
        "arXiv 2501.02477",
        RECONSTRUCTED,
        "It was not trained under attack: nearly every answer can be changed.",
    ),
    "cifar10-compact-adv-dpnp": cifar10(
        f"{PROTOTYPES}, trained by Adv-DPNP: prototypes learn from clean images, features from "
        "clean ones and those that one step from a noisy start attacks (N-FGSM). The training has "
        "four equal parts and averages weights; the settings are those of the last part, in the "
        "others the consistency weight is 1 and the learning rate 0.1.",
        "arXiv 2504.03782",
        RECONSTRUCTED,
        *ROBUST,
    ),
    "cifar10-compact-adv-dpnp-two-views": cifar10(
        "The weights of cifar10-compact-adv-dpnp in a network that sees an image twice: its "
        "features are the mean over the image and its horizontal flip, each with a line of black "
        "above and at the left. It is the most robust of these models, and takes twice the time of "
        "the others.",
        "arXiv 2504.03782",
        RECONSTRUCTED,
        "The two views were chosen by accuracies under attack on 500 test images, and confirmed on "
        "1,000 training images that were not learned from.",
        *ROBUST,
    ),
    "cifar10-compact-n-fgsm": cifar10(
        f"{CNN} trained on images that one step from a noisy start attacks (N-FGSM), at "
        "less than half of the cost of an epoch of PGD training.",
        "de Jorge and others, arXiv 2202.01181",
        *ROBUST,
    ),
    "mnist-ed-wta": mnist(
        "A ±ED-WTA network of six neurons for each digit, each with a positive and a negative "
        "prototype, trained with its authors' settings. Its exact radius is known for every image.",
        "arXiv 2008.08750",
    ),
    "mnist-ed-wta-robust": mnist(
        "An ED-WTA network of 200 prototypes for each digit, trained for the L2 radius within "
        "which no perturbation changes its answer.",
        "arXiv 2008.08750; the objective follows Voráček and Hein, arXiv 2207.07208",
    ),
}
"""By the names under which they ship; `ship_weights.py` makes the rest of a card."""
