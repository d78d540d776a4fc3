"""What the abstract of Adv-DPNP claims (arXiv 2504.03782, version 2), and what our runs say to it.

Each verdict follows from the figures by a rule that is written here, so that a new run cannot leave
an old sentence behind. "Higher" and "lower" count where the 95 % intervals do not overlap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .rows import SEED
from .tables import ATTACKS, COMPACT, NAMES, Found, accuracies, interval, percent, spread

OURS, RIVALS = "adv-dpnp", ("pgd", "trades", "mart")
YES, NO, OPEN = "yes", "no", "not shown"
WITHIN = "not decided: the intervals overlap"
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


def higher(figure: str, key: str) -> Callable[..., tuple[str, str]]:
    """Whether an accuracy of Adv-DPNP is above that of every rival with the same budget."""

    def judge(compared: Rows, ablated: Any) -> tuple[str, str]:
        found = {name: compared[name]["figures"][figure] for name in (OURS, *RIVALS)}
        low, high = interval(found[OURS], key)
        others = [interval(found[name], key) for name in RIVALS]
        verdict = WITHIN
        if all(low > top for _, top in others):
            verdict = YES
        elif any(high < bottom for bottom, _ in others):
            verdict = NO
        return _list(found, key), verdict

    return judge


def competitive(figure: str, keys: Mapping[str, str]) -> Callable[..., tuple[str, str]]:
    """Whether no rival is clearly above Adv-DPNP under any of these attacks."""

    def judge(compared: Rows, ablated: Any) -> tuple[str, str]:
        texts, verdict = [], YES
        for key, name in keys.items():
            found = {row: compared[row]["figures"][figure] for row in (OURS, *RIVALS)}
            _, high = interval(found[OURS], key)
            if any(high < interval(found[rival], key)[0] for rival in RIVALS):
                verdict = NO
            texts.append(f"{name.removesuffix(' %')}: {_list(found, key)}")
        return "; ".join(texts), verdict

    return judge


def highest_under_corruption(compared: Rows, ablated: Any) -> tuple[str, str]:
    """Whether the mean accuracy under corruption is the highest of all rows with its budget that
    were attacked in training by the same attack."""
    found = {name: compared[name]["figures"]["corruption"] for name in (OURS, *RIVALS)}
    values = {name: figure["corrupted %"] for name, figure in found.items()}
    text = ", ".join(f"{NAMES[name]} {value:.1f} %" for name, value in values.items())
    return text, YES if values[OURS] == max(values.values()) else NO


def compact(compared: Rows, ablated: Any) -> tuple[str, str]:
    """Whether compactness over separation is the lowest, for clean and for attacked images."""
    texts, verdict = [], YES
    for measure in COMPACT:
        values = {n: compared[n]["figures"]["geometry"][measure] for n in (OURS, *RIVALS)}
        listed = ", ".join(f"{NAMES[name]} {value:.2f}" for name, value in values.items())
        texts.append(f"{measure}: {listed}")
        verdict = verdict if values[OURS] == min(values.values()) else NO
    return "; ".join(texts), verdict


def attacked_branch(compared: Rows, ablated: Any) -> tuple[str, str]:
    """Whether features that also learn from attacked images withstand attacks better than those of
    DPNP, which learn from clean images alone."""
    found = {name: compared[name]["figures"]["autoattack"] for name in (OURS, "dpnp")}
    low, _ = interval(found[OURS], "autoattack")
    _, top = interval(found["dpnp"], "autoattack")
    return f"AutoAttack: {_list(found, 'autoattack')}", YES if low > top else NO


def changed(name: str, text: str) -> Callable[..., tuple[str, str]]:
    """Whether a change of the method lowers an accuracy in all seeds: the lowest of the whole
    method is above the highest of the changed one, clean or under AutoAttack."""

    def judge(compared: Any, ablated: Mapping[str, list[Found]]) -> tuple[str, str]:
        texts, signs = [], []
        for label, figure, key in (
            ("clean", "clean", "clean"), ("AutoAttack", "autoattack", "autoattack")
        ):  # fmt: skip
            whole, other = (accuracies(ablated[row], figure, key) for row in ("full", name))
            texts.append(f"{label} {spread(whole)} %, {text} {spread(other)} %")
            signs.append((min(whole) > max(other)) - (max(whole) < min(other)))
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
          attacked_branch),
    Claim("Prototypes that only clean images move help",
          changed("both-branches", "moved by both")),
    Claim("Prototypes as the classifier's weights help",
          changed("linear-head", "ordinary head")),
    Claim("Alignment with the prototype of the class helps",
          changed("no-alignment", "without")),
    Claim("Repulsion of the nearest prototypes helps", changed("no-repulsion", "without")),
    Claim("The consistency term helps", changed("no-consistency", "without")),
    Claim("The same on CIFAR-100 and SVHN",
          not_shown("the method runs there (`--dataset`); we have not trained it to the end")),
    Claim("Better than the state of the art",
          not_shown("a network of 0.3 million weights is not what the state of the art is about")),
)  # fmt: skip


def table(compared: Found, ablated: Found) -> list[dict[str, str]]:
    """A row for each claim; `compared` and `ablated` are what results/reproduce.json and
    ablation.json hold. Where a run is missing, the verdict says so."""
    rows = {row["row"]: row for row in compared["rows"]}
    seeds: dict[str, list[Found]] = {}
    for row in ablated["rows"]:
        seeds.setdefault(row["row"].partition(SEED)[0], []).append(row["figures"])
    found = []
    for claim in CLAIMS:
        try:
            figures, verdict = claim.judge(rows, seeds)
        except KeyError as missing:
            figures, verdict = f"no run of {missing.args[0]}", OPEN
        found.append({"claim": claim.text, "our figures": figures, "does it hold here": verdict})
    return found


def _list(found: Mapping[str, Found], key: str) -> str:
    return ", ".join(f"{NAMES[name]} {percent(figure, key)} %" for name, figure in found.items())
