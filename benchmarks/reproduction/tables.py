"""What the trained and judged rows say, as JSON and as the rows of tables."""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinyproto.prototypes import clopper_pearson

from . import judge, paired
from .rows import DEFAULT_ROWS, GROUPS, LONG, NOT_ATTACKED, PARTS, SEED, VIEWS, defense_of

Found = dict[str, Any]
Table = list[dict[str, str]]

FILES = {"compare": "reproduce", "long": "reproduce", "search": "search", "ablation": "ablation"}
"""Names in benchmarks/results: the rows of `compare` and of `long` are one table."""
NAMES = {
    "standard": "standard training", "pgd": "PGD training", "trades": "TRADES", "mart": "MART",
    "dpnp": "DPNP", "adv-dpnp": "Adv-DPNP", "n-fgsm": "N-FGSM",
    "adv-dpnp-n-fgsm": "Adv-DPNP, N-FGSM", "trades-n-fgsm": "TRADES, N-FGSM",
    "n-fgsm-as-pgd": "N-FGSM, as many epochs as PGD",
}  # fmt: skip
ENDINGS = {
    "": "", LONG: f", {PARTS} × the budget, averaged",
    VIEWS: f", {PARTS} × the budget, averaged, two views",
}  # fmt: skip
ABLATED = {
    "full": "all terms", "no-alignment": "without alignment (λ₊ = 0)",
    "no-repulsion": "without repulsion (λ₋ = 0)",
    "no-consistency": "without consistency (λ_con = 0)",
    "no-adversarial-branch": "without the adversarial branch (λ_adv = 0)",
    "both-branches": "prototypes moved by both branches",
    "no-prototype-terms": "without alignment and repulsion (λ₊ = λ₋ = 0)",
    "linear-head": "the same, and a linear head in place of prototypes",
    "features": "consistency of features in place of KL",
    "random-start": "prototypes from a random start",
}  # fmt: skip
ATTACKS = {"fgsm": "FGSM %", "pgd-20": "PGD-20 %", "cw-linf": "C&W L∞ %"}
ANGLES = ("least angle", "mean angle", "greatest angle")
SYMBOLS = {
    "alignment-weight": "λ₊", "repulsion-weight": "λ₋", "adversarial-weight": "λ_adv",
    "consistency-weight": "λ_con", "consistency": "consistency of", "prototype-start": "start",
    "weight-decay": "weight decay", "learning-rate": "learning rate", "radius": "radius",
    "features": "features",
}  # fmt: skip
"""Options of the search, a longer one before the one that it begins with."""
IN_PART = ("compare", "long")
"""Groups whose tables show rows of which some figures are not measured yet."""
YARDSTICK = "pgd"
HEADLINE = ("pgd", "trades", "mart", "adv-dpnp", "adv-dpnp-n-fgsm")
COMPACT = ("compactness / separation", "compactness / separation, attacked")


def collect(group: str, runs: Path, before: Sequence[Found] = ()) -> dict[str, Any]:
    """The rows that are trained and judged, in the order of the table; a line names the others.
    Rows of a table `before` stand for those of which there is no run. In the comparison a row may
    lack figures that are not measured yet. Raises ValueError for rows that cannot be compared."""
    groups = [name for name, file in FILES.items() if file == FILES[group]]
    known = {row["row"]: row for row in before}
    rows, missing = [], []
    for name in groups:
        for row in GROUPS[name].rows:
            figures = judge.read(runs / row)
            lacking = [figure for figure in GROUPS[name].figures if figure not in figures]
            if figures and (not lacking or (name in IN_PART and row not in known)):
                rows.append(_row(row, runs / row, figures))
                missing += [f"{row} ({', '.join(lacking)})"] if lacking else []
            elif row in known:
                rows.append(known[row])
            elif row in DEFAULT_ROWS.get(name, [row]) or (runs / row).exists():
                missing.append(row)
    if missing:
        print(f"left out: {', '.join(missing)}: not trained, or not judged", file=sys.stderr)
    _check_alike(group, rows)
    return {"rows": rows, "note": _note(group, rows) if rows else ""}


def _check_alike(group: str, rows: Sequence[Found]) -> None:
    """Raise ValueError unless all rows learned from, and are judged by, as many images; those of a
    search or an ablation also for as many epochs."""
    first: Found = {}
    for row in reversed(rows):
        first |= {name: (row["row"], figure) for name, figure in row["figures"].items()}
    for row in rows:
        measures = {"training images": "trained on"}
        measures |= {"epochs": "epochs"} if GROUPS[group].epochs else {}
        triples = [(w, row[key], rows[0]["row"], rows[0][key]) for w, key in measures.items()]
        triples += [
            (f"images for {name}", figure["images"], first[name][0], first[name][1]["images"])
            for name, figure in row["figures"].items()
        ]
        for what, found, other, expected in triples:
            if found != expected:
                raise ValueError(f"{row['row']} has {found:,} {what}, and {other} {expected:,}")


def _row(name: str, folder: Path, figures: Found) -> Found:
    written = json.loads((folder / "metrics.json").read_text())
    chosen = best_epoch(written)
    return {
        "row": name, "epochs": written["epochs"], "best epoch": chosen["epoch"],
        "seconds": round(written["seconds"]), "device": written["device"],
        "seed": written["seed"], "trained on": written["trained_on"],
        "weights": json.loads((folder / judge.JUDGED).read_text())["weights"],
        "settings": {k: v for k, v in written["settings"].items() if k != "start_from"},
        "figures": figures,
    }  # fmt: skip


def best_epoch(metrics: Found) -> Found:
    """The epoch whose weights a run has kept: its row of the history."""
    monitor = "clean" if metrics["settings"]["method"] in NOT_ATTACKED else "robust"
    best: Found = max(metrics["history"], key=lambda epoch: epoch[monitor])
    return best


def _note(group: str, rows: Sequence[Found]) -> str:
    """What all rows have in common."""
    first = rows[0]
    judged = [item for row in rows for item in row["figures"].items()]
    counts = {name: f"{figure['images']:,}" for name, figure in judged}
    seeds = sorted({row["seed"] for row in rows})
    trained = (
        f"`compact_cnn`; {first['trained on']:,} training images; "
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}; L∞, 8/255"
    )
    if group == "search":
        return (
            f"{trained}; {first['epochs']} epochs with N-FGSM; judged by {counts['unseen']} "
            f"training images that were not seen, APGD by {counts['unseen_apgd']} of them; "
            f"compactness and separation by {counts['unseen_geometry']}; APGD: APGD-CE, then "
            "APGD-T; angles between prototypes; no test image is used"
        )
    tested = (
        f"clean accuracy on {counts['clean']} test images, AutoAttack (standard) on the first "
        f"{counts.get('autoattack', counts.get('attacks'))}"
    )
    if group == "ablation":
        return (
            f"{trained}; {first['epochs']} epochs with N-FGSM; unseen: "
            f"{counts['unseen']} training images that were not seen; {tested}; angles between "
            "prototypes, or weight vectors; mean over the seeds, with the lowest and the highest"
        )
    return (
        f"{trained}, in training, too; {tested}, as all other "
        "attacks (C&W: 30 steps); corrupted: 19 corruptions at five severities of "
        f"{counts.get('corruption', 'no')} images; in brackets: 95 % intervals over the images "
        "(Clopper-Pearson; of differences on the same images: Agresti-Min), not over training runs"
    )


def title(row: str) -> str:
    """What a row of the comparison is called."""
    defense = defense_of(row)
    return NAMES[defense] + ENDINGS[row.removeprefix(defense)]


def compare(content: Found) -> list[Table]:
    """Accuracies; then cost and latent space; then AutoAttack on all test images, if any."""
    rows = content["rows"]
    accuracies = [
        {
            "defence": title(row["row"]),
            "clean %": _cell(row, "clean", percent, "clean"),
            **{head: _cell(row, "attacks", percent, key) for key, head in ATTACKS.items()},
            "AutoAttack %": _cell(row, "autoattack", with_interval, "autoattack"),
            f"less that of {NAMES[YARDSTICK]}": _beside(rows, row),
            "corrupted %": _cell(row, "corruption", _rounded, "corrupted %"),
        }
        for row in rows
    ]
    costs = [
        {
            "defence": title(row["row"]),
            "attack in training": _crafting(row),
            "epochs": str(row["epochs"]),
            "minutes of training": _minutes(row),
            "weights": f"{row['weights']:,}",
            **{name: _cell(row, "geometry", _rounded, name) for name in COMPACT},
        }
        for row in rows
    ]
    full = [
        {
            "defence": title(row["row"]),
            "AutoAttack %": with_interval(found, "autoattack"),
            "test images": f"{found['images']:,}",
        }
        for row in rows
        if (found := row["figures"].get("autoattack_all"))
    ]
    return [table for table in (accuracies, costs, full) if table]


def headline(rows: Sequence[Found]) -> dict[str, str]:
    """For the README: clean accuracy, and that under AutoAttack, of the defences with an attack in
    training that have one budget, and of the long row that is the most robust, if there is one."""
    known = {row["row"]: row["figures"] for row in rows if "autoattack" in row["figures"]}
    long = [name for name in known if name != defense_of(name)]
    best = max(long, key=lambda name: known[name]["autoattack"]["autoattack"], default=None)
    names = [name for name in HEADLINE if name in known] + [name for name in [best] if name]
    return {
        f"{title(name)}: clean accuracy; under AutoAttack at 8/255": (
            f"{percent(known[name]['clean'], 'clean')} %; "
            f"{percent(known[name]['autoattack'], 'autoattack')} %"
        )
        for name in names
    }


def search(content: Found) -> list[Table]:
    """A row for each choice."""
    table = []
    for row in content["rows"]:
        found = row["figures"]
        space = found["unseen_geometry"]
        table.append({
            "changed": ", ".join(_changed(part) for part in row["row"].split("+")),
            "clean %": percent(found["unseen"], "clean"),
            "PGD-20 %": percent(found["unseen"], "pgd-20"),
            "APGD %": percent(found["unseen_apgd"], "apgd"),
            **{f"{angle}, °": f"{space[angle]:.1f}" for angle in ANGLES},
            COMPACT[0]: f"{space[COMPACT[0]]:.2f}",
        })  # fmt: skip
    return [table]


def _changed(part: str) -> str:
    """A part of the name of a row of the search, OPTION-VALUE, with the option's symbol."""
    for option, symbol in SYMBOLS.items():
        if part.startswith(f"{option}-"):
            return f"{symbol} {part.removeprefix(f'{option}-')}"
    return part.replace("-", " ")


def ablation(content: Found) -> list[Table]:
    """A row for each change: means over the seeds."""
    table = []
    for name, text in ABLATED.items():
        some = [row["figures"] for row in content["rows"] if row["row"].partition(SEED)[0] == name]
        if some:
            angles = {f"{a}, °": spread([f["geometry"][a] for f in some]) for a in ANGLES[:2]}
            table.append({
                "Adv-DPNP": text,
                "seeds": str(len(some)),
                "unseen, clean %": spread(accuracies(some, "unseen", "clean")),
                "unseen, PGD-20 %": spread(accuracies(some, "unseen", "pgd-20")),
                "test, clean %": spread(accuracies(some, "clean", "clean")),
                "test, AutoAttack %": spread(accuracies(some, "autoattack", "autoattack")),
                **angles,
                COMPACT[0]: spread([f["geometry"][COMPACT[0]] for f in some], ".2f"),
            })  # fmt: skip
    return [table]


TABLES: dict[str, Callable[[Found], list[Table]]] = {
    "reproduce": compare,
    "search": search,
    "ablation": ablation,
}


def _beside(rows: Sequence[Found], row: Found) -> str:
    """AutoAttack accuracy less that of PGD training on the same images; empty where there is no
    such row, and beside itself."""
    pair = [row, *(other for other in rows if other["row"] == YARDSTICK != row["row"])]
    found = [r["figures"]["autoattack"] for r in pair if "autoattack" in r["figures"]]
    return str(paired.difference(found[0], found[1], "autoattack")) if len(found) == 2 else ""


def _cell(row: Found, figure: str, text: Callable[[Found, str], str], key: str) -> str:
    """A figure of a row as text; empty where it is not measured yet."""
    return text(row["figures"][figure], key) if figure in row["figures"] else ""


def _rounded(figure: Found, key: str) -> str:
    return f"{figure[key]:.1f}" if key.endswith("%") else f"{figure[key]:.2f}"


def percent(figure: Found, key: str) -> str:
    """The accuracy in %."""
    return f"{100 * figure[key] / figure['images']:.1f}"


def accuracies(figures: Sequence[Found], figure: str, key: str) -> list[float]:
    """An accuracy of each seed, in %."""
    return [100 * found[figure][key] / found[figure]["images"] for found in figures]


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """The mean, with the lowest and the highest where there are several."""
    mean = f"{statistics.mean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ({min(values):{form}} – {max(values):{form}})"


def interval(figure: Found, key: str) -> tuple[float, float]:
    """The 95 % interval of an accuracy, in %."""
    low, high = clopper_pearson(figure[key], figure["images"])
    return 100 * low, 100 * high


def with_interval(figure: Found, key: str) -> str:
    """The accuracy in %, and its 95 % interval."""
    low, high = interval(figure, key)
    return f"{percent(figure, key)} ({low:.1f} – {high:.1f})"


def _minutes(row: Found) -> str:
    minutes = f"{row['seconds'] / 60:.0f} ({row['device']})"
    return f"{PARTS} parts, the last {minutes}" if row["row"] != defense_of(row["row"]) else minutes


def _crafting(row: Found) -> str:
    if defense_of(row["row"]) in NOT_ATTACKED:
        return "none"
    settings = row["settings"]
    return "N-FGSM" if settings["inner_attack"] == "n-fgsm" else f"PGD-{settings['attack_steps']}"
