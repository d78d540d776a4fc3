"""What the abstract of Adv-DPNP claims (arXiv 2504.03782, version 2), and what our runs say to it.

Each verdict follows from the figures by a rule that is written here, so that a new run cannot leave
an old sentence behind. An accuracy is higher than another where the 95 % interval of their
difference on the same images (`paired`) is above 0. It is competitive where that interval is above
−`MARGIN`. What has no interval, means over corruptions and measures of the latent space, is put in
order and not tested.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import judge
from .paired import Difference, difference
from .rows import SEED, SEEDS
from .tables import ATTACKS, COMPACT, NAMES, Found, accuracies, percent, spread

FILES = ("reproduce", "ablation")
OURS, RIVALS = "adv-dpnp", ("pgd", "trades", "mart")
MARGIN = 2.0  # percentage points
YES, NO, OPEN = "yes", "no", "not shown"
WITHIN = "not decided by so many images"
UNTESTED = " (the order; not tested)"
EFFECTS = {
    (0, 0): "not seen: the seeds overlap", (0, 1): YES, (1, 1): YES, (-1, 0): NO, (-1, -1): NO,
    (-1, 1): "one accuracy at the cost of the other",
}  # fmt: skip
"""The verdict, by the worse and the better of two effects: 1 where the part helps, −1 where it
hurts, 0 where the seeds overlap."""
Rows = Mapping[str, Found]


@dataclass(frozen=True)
class Claim:
    """A claim, and the function that finds what bears on it and the verdict in our rows.

    Parameters
    ----------
    text : str
        The claim, in our words.
    judge : callable
        judge(compared, ablated) → (figures, verdict), of the rows of `compare` by name, and the
        figures of each seed of `ablation` by name. A KeyError means that rows are missing.
    """

    text: str
    judge: Callable[[Rows, Mapping[str, list[Found]]], tuple[str, str]]


def higher(figure: str, key: str, rivals: tuple[str, ...] = RIVALS) -> Callable[..., Any]:
    """Whether an accuracy of Adv-DPNP is above that of each of the rivals."""

    def judge(compared: Rows, ablated: Any) -> tuple[str, str]:
        found = _beside(compared, figure, key, rivals)
        verdict = YES if all(d.low > 0 for d in found.values()) else WITHIN
        if any(d.high < 0 for d in found.values()):
            verdict = NO
        return _list(compared, figure, key, found), verdict

    return judge


def competitive(figure: str, keys: Mapping[str, str]) -> Callable[..., Any]:
    """Whether Adv-DPNP is at most `MARGIN` below each rival under each of these attacks."""

    def judge(compared: Rows, ablated: Any) -> tuple[str, str]:
        texts: list[str] = []
        all_found: list[Difference] = []
        for key, name in keys.items():
            found = _beside(compared, figure, key, RIVALS)
            all_found += found.values()
            listed = _list(compared, figure, key, found)
            texts.append(f"{name.removesuffix(' %')}: {listed}")
        verdict = YES if all(d.low > -MARGIN for d in all_found) else WITHIN
        if any(d.high < -MARGIN for d in all_found):
            verdict = NO
        return "; ".join(texts), verdict

    return judge


def highest_under_corruption(compared: Rows, ablated: Any) -> tuple[str, str]:
    """Whether the mean accuracy under corruption is above those of the rivals."""
    found = {name: compared[name]["figures"]["corruption"] for name in (OURS, *RIVALS)}
    values = {name: figure["corrupted %"] for name, figure in found.items()}
    text = ", ".join(f"{NAMES[name]} {value:.1f} %" for name, value in values.items())
    return text, (YES if values[OURS] == max(values.values()) else NO) + UNTESTED


def compact(compared: Rows, ablated: Any) -> tuple[str, str]:
    """Whether compactness over separation is the lowest, for clean and for attacked images."""
    texts, verdict = [], YES
    for measure in COMPACT:
        values = {n: compared[n]["figures"]["geometry"][measure] for n in (OURS, *RIVALS)}
        listed = ", ".join(f"{NAMES[name]} {value:.2f}" for name, value in values.items())
        texts.append(f"{measure}: {listed}")
        verdict = verdict if values[OURS] == min(values.values()) else NO
    return "; ".join(texts), verdict + UNTESTED


def changed(name: str, text: str, whole: str = "full") -> Callable[..., tuple[str, str]]:
    """Whether a change of a row lowers an accuracy in all seeds: the lowest without the change is
    above the highest with it, clean or under AutoAttack. Seeds that overlap in both will do so
    whatever further ones say, so the verdict may come early; any other needs all seeds."""

    def judge(compared: Any, ablated: Mapping[str, list[Found]]) -> tuple[str, str]:
        rows = ablated[whole], ablated[name]
        texts, signs = [], []
        for label, figure, key in (
            ("clean", "clean", "clean"), ("AutoAttack", "autoattack", "autoattack")
        ):  # fmt: skip
            with_it, without = (accuracies(some, figure, key) for some in rows)
            texts.append(f"{label} {spread(with_it)} %, {text} {spread(without)} %")
            signs.append((min(with_it) > max(without)) - (max(with_it) < min(without)))
        seeds = [len(some) for some in rows]
        if min(seeds) < len(SEEDS):
            texts.append("seeds: {}, {}".format(*seeds))
            if any(signs):
                return "; ".join(texts), OPEN
        return "; ".join(texts), EFFECTS[min(signs), max(signs)]

    return judge


def not_shown(reason: str) -> Callable[..., tuple[str, str]]:
    return lambda compared, ablated: (reason, OPEN)


CLAIMS = (
    Claim("Clean accuracy is above that of the defences it is compared with",
          higher("clean", "clean")),
    Claim("Robustness is competitive or better under FGSM, PGD and C&W",
          competitive("attacks", ATTACKS)),
    Claim("and under AutoAttack", competitive("autoattack", {"autoattack": "AutoAttack"})),
    Claim("The highest mean accuracy under common corruptions", highest_under_corruption),
    Claim("Classes are compact and clearly separated in the latent space", compact),
    Claim("Features that learn from clean and attacked images resist perturbations",
          higher("autoattack", "autoattack", ("dpnp",))),
    Claim("Prototypes that only clean images move help",
          changed("both-branches", "moved by both")),
    Claim("Prototypes as the classifier's weights help",
          changed("linear-head", "linear head", "no-prototype-terms")),
    Claim("Alignment with the prototype of the class helps",
          changed("no-alignment", "without")),
    Claim("Repulsion of the nearest prototypes helps", changed("no-repulsion", "without")),
    Claim("The consistency term helps", changed("no-consistency", "without")),
    Claim("The same on CIFAR-100 and SVHN",
          not_shown("the method runs there (`--dataset`); we have not trained it to the end")),
    Claim("Better than the state of the art",
          not_shown("a network of 0.3 million weights is not what the state of the art is about")),
)  # fmt: skip


def table(results: Mapping[str, Found]) -> list[dict[str, str]]:
    """A row for each claim, of what results/reproduce.json and ablation.json hold, by their names.
    Where a run is missing, the verdict says so."""
    compared, ablated = (results.get(name, {"rows": []})["rows"] for name in FILES)
    rows = {row["row"]: row for row in compared}
    seeds: dict[str, list[Found]] = {}
    for row in ablated:
        seeds.setdefault(row["row"].partition(SEED)[0], []).append(row["figures"])
    found = []
    for claim in CLAIMS:
        try:
            figures, verdict = claim.judge(rows, seeds)
        except KeyError as missing:
            what = missing.args[0]
            measured = what in judge.FIGURES
            figures, verdict = f"no {what} yet" if measured else f"no run of {what}", OPEN
        found.append({"claim": claim.text, "our figures": figures, "does it hold here": verdict})
    return found


def _beside(
    compared: Rows, figure: str, key: str, rivals: tuple[str, ...]
) -> dict[str, Difference]:
    """The accuracy of Adv-DPNP less that of each rival."""
    ours = compared[OURS]["figures"][figure]
    return {name: difference(ours, compared[name]["figures"][figure], key) for name in rivals}


def _list(compared: Rows, figure: str, key: str, found: Mapping[str, Difference]) -> str:
    """The accuracies, with the difference from each rival."""
    values = {n: percent(compared[n]["figures"][figure], key) for n in (OURS, *found)}
    rivals = (f"{NAMES[name]} {values[name]} %, difference {d}" for name, d in found.items())
    return f"{NAMES[OURS]} {values[OURS]} %; " + "; ".join(rivals)
