"""Training a winner-take-all network of prototypes, for `tinyproto train`."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..attacks import Victim
from ..backend.device import select_device
from ..data import load
from ..evaluation.metrics import write_metrics
from ..evaluation.report import NORMS
from ..evaluation.result_folder import remove_results, result_folder
from ..evaluation.robustness import evaluate
from ..progress import progress
from ..prototypes import (
    EDWTA,
    IPWTA,
    PlusMinusEDWTA,
    WinnerTakeAll,
    certified_accuracy,
    certify,
    preset_augmentation,
    preset_network,
    save,
)
from ..validation import check_count
from .train_network import CHECKPOINT

KINDS: dict[str, type[WinnerTakeAll]] = {
    "pm-ed-wta": PlusMinusEDWTA, "ed-wta": EDWTA, "ip-wta": IPWTA,
}  # fmt: skip
DATASETS = ("mnist", "fashion")
FILES = ("metrics.json", "model.npz", CHECKPOINT)
"""What a run leaves; the last is that of a network of layers, which must not share the folder."""
RADII = {"l2": (0.5, 1.0, 1.58), "linf": (0.05, 0.1)}
CERTIFIED = 200  # test images at most
ATTACKS, ATTACK_EPS = ("fgsm", "pgd-20"), 0.1
OWN_OPTIONS = {"random_state", "device", "prototypes_per_class", "epochs", "batch_size",
               "learning_rate"}  # fmt: skip


def prototype_settings(method: str) -> dict[str, Any]:
    """The settings of a method that have no option of their own, with their defaults."""
    parameters = KINDS[method]().get_params()
    return {name: value for name, value in parameters.items() if name not in OWN_OPTIONS}


def train_prototypes(
    method: str,
    *,
    out: Path,
    dataset: str,
    data: str | Path | None,
    preset: str,
    limit: int | None,
    examples: int,
    seed: int,
    device: str,
    overwrite: bool,
    parameters: Mapping[str, Any],
    verbose: bool,
) -> dict[str, Any]:
    """Train, save, certify, attack, and write the results; returns what metrics.json holds."""
    if preset == "accurate" and method != "pm-ed-wta":
        raise ValueError(f"--preset accurate is for pm-ed-wta, not {method}")
    network = preset_network(KINDS[method], preset, seed=seed, device=device, **parameters)
    network.check_parameters()
    select_device(device)
    with result_folder(out, FILES, overwrite=overwrite):
        images = load(dataset, data)
        shape = images.x_train.shape[1:]
        count = len(images.x_train)
        limit = check_count("limit", count if limit is None else limit, 1, count)
        x, y = _flat(images.x_train[:limit]), images.y_train[:limit]
        x_test, y_test = _flat(images.x_test), images.y_test
        if verbose:
            print(f"{dataset}: {len(x)} training and {len(x_test)} test images from "
                  f"{images.source}")  # fmt: skip
        augment = preset_augmentation(preset, shape, epochs=network.epochs, seed=seed)
        started = time.perf_counter()
        with progress(network.epochs, "epoch", verbose=verbose) as advance:
            network.fit(
                x, y, augment=augment,
                callback=lambda model, epoch, loss: advance(1, f"loss {loss:.4f}"),
            )  # fmt: skip
        seconds = time.perf_counter() - started
        remove_results(out, FILES)  # not before there is something in their place
        save(network, out / "model.npz", dataset=dataset)
        certified = min(CERTIFIED, examples)
        robust = _certified(network, x_test[:certified], y_test[:certified], verbose)
        robust |= _attacked(network, x_test[:examples], y_test[:examples], seed, verbose)
        return write_metrics(
            out / "metrics.json", data=images, clean_accuracy=network.score(x_test, y_test),
            robust_accuracy=robust, seconds=seconds,
            images_per_second=network.epochs * len(x) / max(seconds, 1e-9),
            seed=seed, device=device,
            settings={"method": method, "preset": preset, "limit": limit, **network.get_params()},
            trained_on=len(x), attacked=min(examples, len(x_test)),
        )  # fmt: skip


def _flat(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1], one row each."""
    return images.reshape(len(images), -1) / np.float32(255)


def _certified(
    network: WinnerTakeAll, x: np.ndarray, y: np.ndarray, verbose: bool
) -> dict[str, float]:
    """The certified accuracy at some radii, in [0, 1]."""
    found: dict[str, float] = {}
    for norm, eps in RADII.items():
        try:
            radius, _ = certify(network, x, y, norm=norm, lo=0.0, hi=1.0, verbose=verbose)
        except ImportError as error:
            print(f"left out: certified accuracy in {NORMS[norm]}: {error}", file=sys.stderr)
            continue
        proved = certified_accuracy(radius, np.array(eps)).tolist()
        found |= {f"exact {norm} {e}": p for e, p in zip(eps, proved, strict=True)}
    return found


def _attacked(
    network: WinnerTakeAll, x: np.ndarray, y: np.ndarray, seed: int, verbose: bool
) -> dict[str, float]:
    """The accuracy under each attack."""
    xp = select_device(network.device)
    labels = xp.asarray(np.searchsorted(network.classes_, y))
    report = evaluate(
        Victim(network), xp.asarray(x), labels, ATTACKS, eps=ATTACK_EPS, seed=seed, verbose=verbose
    )
    return {
        f"{row['attack']} {ATTACK_EPS}": row["accuracy %"] / 100
        for row in report.rows() if row["attack"] in ATTACKS
    }  # fmt: skip
