"""What every example writes beside its pictures: one JSON file of the same keys."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..data import Dataset
from ..state import atomic_write


def write_metrics(
    path: str | Path,
    *,
    data: Dataset,
    clean_accuracy: float,
    robust_accuracy: Mapping[str, float],
    seconds: float,
    images_per_second: float,
    seed: int,
    device: str,
    settings: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Write `metrics.json` and return what it holds. Accuracies are shares; `seconds` is the time
    of training, and `images_per_second` its speed. The file appears whole or not at all."""
    metrics = {
        "clean_accuracy": clean_accuracy,
        "robust_accuracy": dict(robust_accuracy),
        "seconds": seconds,
        "images_per_second": images_per_second,
        "seed": seed,
        "device": device,
        "data": {
            "name": data.name,
            "train": len(data.x_train),
            "test": len(data.x_test),
            "complete": data.complete,
        },
        "settings": dict(settings),
        "version": __version__,
        **more,
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def table(rows: Mapping[str, str]) -> str:
    """Names and values in two aligned columns."""
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows.items())
