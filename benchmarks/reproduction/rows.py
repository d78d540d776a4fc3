"""The rows of each table: options of examples/cifar10_adv_dpnp.py, by name."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Options = list[str]

N_FGSM = ["--inner-attack", "n-fgsm"]
COMPARE: dict[str, Options] = {
    "standard": ["--method", "standard"],
    "pgd": ["--method", "pgd"],
    "trades": ["--method", "trades"],
    "mart": ["--method", "mart"],
    "dpnp": ["--method", "dpnp"],
    "adv-dpnp": ["--method", "adv-dpnp"],
    "n-fgsm": ["--method", "pgd", *N_FGSM],
    "adv-dpnp-n-fgsm": ["--method", "adv-dpnp", *N_FGSM],
    "trades-n-fgsm": ["--method", "trades", *N_FGSM],
    "n-fgsm-as-pgd": ["--method", "pgd", *N_FGSM],
}
"""The defences that are compared. The attack of training images is PGD-5 where none is named."""

AS_LONG_AS = {"standard": "pgd", "dpnp": "pgd", "n-fgsm-as-pgd": "pgd"}
"""Rows with as many epochs as another, whatever time that takes: those without an attack, and the
single-step attack beside PGD."""

NOT_ATTACKED = ("standard", "dpnp")
"""The rows without an attack in training."""

LONG, PARTS, AVERAGE = "-long", 4, "0.999"
"""A row of `long` is one of `COMPARE` with this ending, and goes on from it: four parts in all,
each of the budget, those after the first with averaged weights."""
LAST_PART: dict[str, Options] = {
    "adv-dpnp-n-fgsm-long": ["--consistency-weight", "3", "--learning-rate", "0.05"]
}
"""Options of the last part alone. What three parts gain is mostly clean accuracy; in the search,
more consistency gives up some of it for accuracy under attack."""

VIEWS = "-two-views"
"""A row with this ending is the long row of the same defence with the same weights, in a network
that has `TWO_VIEWS`: it is judged, and not trained."""
TWO_VIEWS: dict[str, Any] = {"padding": [1, 0, 1, 0], "flip_average": True}
"""Settings of a network: features are the mean over an image and its horizontal flip, each with a
line of black above and at the left, as random crops of training images have some."""

CRAFTED = ["--method", "adv-dpnp", *N_FGSM]
"""What the rows of the search and of the ablation have in common."""

UNSEEN = 4000
"""Training images that these rows do not see, to be judged by."""

Settings = dict[str, float | str]
BASE: Settings = {
    "radius": 3, "alignment-weight": 0.05, "repulsion-weight": 0.05, "adversarial-weight": 1,
    "consistency-weight": 6, "consistency": "kl", "features": 64, "prototype-start": "simplex",
    "weight-decay": 5e-4, "learning-rate": 0.1,
}  # fmt: skip
"""Where the search starts, whatever the example's defaults are by now."""
ONE_BY_ONE: dict[str, tuple[float | str, ...]] = {  # the value of the base is left out
    "radius": (1, 2, 5, 8),
    "alignment-weight": (0, 0.01, 0.2),
    "repulsion-weight": (0, 0.01, 0.5),
    "adversarial-weight": (0.5, 2, 4),
    "consistency-weight": (0, 0.5, 1, 3, 10),
    "consistency": ("features",),
    "features": (32, 128),
    "prototype-start": ("random",),
    "clean-statistics": ("",),
    "weight-decay": (1e-4, 2e-3),
    "learning-rate": (0.05, 0.2),
}
PAIRS: tuple[Settings, ...] = (
    {"radius": 5, "consistency-weight": 1},
    {"radius": 8, "alignment-weight": 0, "consistency-weight": 1},
    {"alignment-weight": 0, "consistency-weight": 1},
    {"adversarial-weight": 2, "consistency-weight": 1},
    {"adversarial-weight": 2, "consistency-weight": 3},
    {"adversarial-weight": 4, "consistency-weight": 1},
    {"adversarial-weight": 4, "consistency-weight": 3},
    {"adversarial-weight": 8, "consistency-weight": 1},
    {"consistency": "features", "consistency-weight": 1},
    {"weight-decay": 1e-4, "consistency-weight": 1},
    {"prototype-start": "random", "repulsion-weight": 0},
    {"prototype-start": "random", "repulsion-weight": 0.5},
)

NO_TERMS = ["--alignment-weight", "0", "--repulsion-weight", "0"]
ABLATIONS: dict[str, Options] = {
    "full": [],
    "no-alignment": ["--alignment-weight", "0"],
    "no-repulsion": ["--repulsion-weight", "0"],
    "no-consistency": ["--consistency-weight", "0"],
    "no-adversarial-branch": ["--adversarial-weight", "0"],
    "both-branches": ["--prototype-gradients", "both"],
    "no-prototype-terms": NO_TERMS,
    "linear-head": ["--head", "linear", *NO_TERMS],
    "features": ["--consistency", "features"],
    "random-start": ["--prototype-start", "random"],
}
DECISIVE = (
    "full", "no-alignment", "no-repulsion", "no-consistency", "both-branches", "no-prototype-terms",
    "linear-head",
)  # fmt: skip
"""The rows that a claim depends on: they have all seeds, the others the first."""
SEEDS = (1, 2, 3)
"""Seeds of the ablation. That of the search, 0, would leave unseen the very images by which the
settings of the whole method were chosen."""
SEED = "-seed-"


@dataclass(frozen=True)
class Group:
    """Rows that are trained alike and judged by the same figures.

    Parameters
    ----------
    rows : dict of str to list of str
        Options of the example, by the name of the row.
    figures : tuple of str
        What each is judged by: names of `judge.FIGURES`.
    epochs : int, optional
        Passes over the training images; where there is none, the budget decides.
    images : dict of str to int
        The number of images of a figure, where it is not that of `judge.FIGURES`.
    """

    rows: dict[str, Options]
    figures: tuple[str, ...]
    epochs: int | None = None
    images: dict[str, int] = field(default_factory=dict)


def _search() -> Iterator[tuple[str, Options]]:
    alone: list[Settings] = [{k: value} for k, values in ONE_BY_ONE.items() for value in values]
    for changes in ({}, *alone, *PAIRS):
        named = ", ".join(f"{name} {value}".strip() for name, value in changes.items())
        pairs = [(f"--{name}", str(value)) for name, value in {**BASE, **changes}.items()]
        options = [text for pair in pairs for text in pair if text]
        yield (named or "base").replace(", ", "+").replace(" ", "-"), [*CRAFTED, *options]


def _ablations() -> Iterator[tuple[str, Options]]:
    for seed in SEEDS:  # the first seed of all rows before the second of any
        for name, options in ABLATIONS.items():
            if name in DECISIVE or seed == SEEDS[0]:
                yield f"{name}{SEED}{seed}", [*CRAFTED, *options, "--seed", str(seed)]


TESTED = ("clean", "attacks", "corruption", "geometry", "autoattack")
GROUPS = {
    "compare": Group(COMPARE, TESTED),
    "long": Group(
        {
            f"{name}{ending}": [*options, "--average", AVERAGE]
            for ending in (LONG, VIEWS)
            for name, options in COMPARE.items()
        },
        TESTED,
    ),
    "search": Group(dict(_search()), ("unseen", "unseen_apgd", "unseen_geometry"), epochs=8),
    "ablation": Group(
        dict(_ablations()),
        ("unseen", "clean", "geometry", "autoattack"),
        epochs=8,
        images={"autoattack": 500},
    ),
}
DEFAULT_ROWS = {"long": ["adv-dpnp-n-fgsm-long", "n-fgsm-long"]}
"""The rows of a group where none are named; all of the others'."""


def runs_of(row: str) -> dict[str, str | None]:
    """The runs that a row needs, in their order: for each the run whose weights it starts from, or
    None for new weights."""
    row = long_row_of(row)
    if not row.endswith(LONG):
        return {row: None}
    middle = [f"{row}/part-{number}" for number in range(2, PARTS)]
    chain = [row.removesuffix(LONG), *middle, row]
    return dict(zip(chain[1:], chain, strict=False))


def defense_of(row: str) -> str:
    """The row of the comparison that a row goes on from, or which it is."""
    return row.removesuffix(LONG).removesuffix(VIEWS)


def long_row_of(row: str) -> str:
    """The row whose weights a row has: itself, but for those of two views."""
    return f"{defense_of(row)}{LONG}" if row.endswith(VIEWS) else row


def chosen_rows(group: str, names: list[str] | None) -> dict[str, Options]:
    """The rows of a group that are asked for. Raises ValueError for a name that it does not
    have."""
    rows = GROUPS[group].rows
    for name in names or []:
        if name not in rows:
            raise ValueError(f"{group} has no row {name!r}; its rows are {', '.join(rows)}")
    return {name: rows[name] for name in names or DEFAULT_ROWS.get(group, list(rows))}
