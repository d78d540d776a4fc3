"""The tables of the rows, each figure the mean over seeds ± its standard deviation."""

import statistics
from collections.abc import Sequence
from typing import Any

from . import DATA, NETWORKS

Rows = list[dict[str, Any]]
ACCURACY, REVIVED, RATIO = "test accuracy %", "test accuracy % revived", "‖w⁺ − w⁻‖/‖w⁺‖"
RATES = {"chosen": "chosen", "authors": "authors'"}


def everything(rows: Rows) -> dict[str, Rows]:
    """All tables by their titles, in the order of the paper, without those that have no row."""
    found = {
        "Test accuracy by K": accuracy(rows),
        "Distance from centres to the data, K = 6": centres(rows),
        "Similarity of w⁺ and w⁻": similarity(rows),
        "Rejecting outliers, K = 6": outliers(rows),
        "Dead neurons": dead(rows),
    }
    return {title: table for title, table in found.items() if table}


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean ± standard deviation; the mean alone of one value."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def groups(rows: Rows, *names: str) -> list[tuple[dict[str, Any], Rows]]:
    """The rows of each combination of values of these columns, in order."""
    found: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        if "network" in row:
            found.setdefault(tuple(row[name] for name in names), []).append(row)
    orders: dict[str, tuple[str, ...]] = {"data": DATA, "network": NETWORKS, "rates": tuple(RATES)}

    def key(values: tuple[Any, ...]) -> list[int]:
        return [
            orders[name].index(value) if name in orders else value
            for name, value in zip(names, values, strict=True)
        ]

    return [
        (dict(zip(names, values, strict=True)), found[values]) for values in sorted(found, key=key)
    ]


def accuracy(rows: Rows) -> Rows:
    """By K: a column for each network."""
    table = []
    for names, some in groups(rows, "data", "rates", "prototypes"):
        by_network = {
            network: [row[ACCURACY] for row in some if row["network"] == network]
            for network in NETWORKS
        }
        seeds = [str(len(values)) for values in by_network.values()]
        table.append(
            {
                "data": names["data"],
                "learning rates": RATES[names["rates"]],
                "K": names["prototypes"],
                "seeds": seeds[0] if len(set(seeds)) == 1 else ", ".join(seeds),
                **{f"{name}, accuracy %": spread(values) for name, values in by_network.items()},
            }
        )
    return table


def centres(rows: Rows) -> Rows:
    """The distances of the authors' K, and for comparison a test image's."""
    table = []
    measured = [row for row in rows if "AUROC" in row]
    for names, some in groups(measured, "data", "network", "rates"):
        for kind in some[0]["centres"]:
            found = [row["centres"][kind] for row in some]
            table.append(
                {
                    "data": names["data"],
                    "centres": f"{names['network']}, {kind}",
                    "learning rates": RATES[names["rates"]],
                    "distance to the nearest image": spread([f["distance"] for f in found]),
                    "nearest image of own class %": spread([f["own class %"] for f in found], 1),
                }
            )
    for row in rows:
        if "test image distance" in row:
            table.append(
                {
                    "data": row["data"],
                    "centres": "a test image",
                    "learning rates": "",
                    "distance to the nearest image": f"{row['test image distance']:.2f}",
                    "nearest image of own class %": "",
                }
            )
    return sorted(table, key=lambda row: row["data"] != "mnist")


def similarity(rows: Rows) -> Rows:
    """w⁺ and w⁻ of the same neuron."""
    return [
        {
            "data": names["data"],
            "learning rates": RATES[names["rates"]],
            "K": names["prototypes"],
            "cosine of w⁺ and w⁻": spread([row["cosine"] for row in some], 4),
            "‖w⁺ − w⁻‖ / ‖w⁺‖": spread([row[RATIO] for row in some], 3),
        }
        for names, some in groups(
            [row for row in rows if "cosine" in row], "data", "rates", "prototypes"
        )
    ]


def outliers(rows: Rows) -> Rows:
    """The AUROC of the detector of each network, with the authors' K."""
    table = []
    measured = [row for row in rows if "AUROC" in row]
    for names, some in groups(measured, "data", "network", "rates"):
        others = {"other data set": [], "noise": []}  # type: dict[str, list[float]]
        for row in some:
            for name, area in row["AUROC"].items():
                others["noise" if name == "noise" else "other data set"].append(area)
        table.append(
            {
                "inliers": names["data"],
                "network": names["network"],
                "learning rates": RATES[names["rates"]],
                "score": some[0]["score"],
                **{f"AUROC, {name}": spread(areas, 4) for name, areas in others.items()},
            }
        )
    return table


def dead(rows: Rows) -> Rows:
    """Dead neurons, where there are any, and the same training with those of the first half
    revived. Accuracies are compared over the seeds that were trained both ways."""
    table = []
    chosen = [row for row in rows if row.get("rates") == "chosen"]
    for names, some in groups(chosen, "data", "prototypes", "network"):
        both = [row for row in some if "revived" in row]
        changed = [row for row in both if row["revived"]]
        if not changed and not any(row["dead"] for row in some):
            continue
        line = {
            "data": names["data"],
            "K": names["prototypes"],
            "network": names["network"],
            "neurons": 10 * names["prototypes"],
            "dead": spread([row["dead"] for row in some], 1),
            "dead if revived": spread([row["dead revived"] for row in changed], 1),
            "seeds both ways": len(changed),
            "accuracy %": spread([row[ACCURACY] for row in changed]),
            "accuracy % if revived": spread([row[REVIVED] for row in changed]),
        }
        table.append(line)
    return table
