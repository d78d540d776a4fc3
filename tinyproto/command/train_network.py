"""Training a convolutional network with one of the defences, for `tinyproto train`."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import networks
from ..backend.device import select_device
from ..data import Dataset, load
from ..data.augment import crop_and_flip
from ..evaluation.metrics import accuracy_under_attack, write_metrics
from ..evaluation.result_folder import remove_results, result_folder
from ..networks import Network
from ..optimizers import SGD
from ..schedules import one_cycle
from ..training import (
    DEFENSES,
    NFGSMConfig,
    PGDConfig,
    batch_and_learning_rate,
    bind_defense,
    fit,
    hold_out,
    image_statistics,
)
from ..validation import check_count
from .settings import check_setting

BUILDERS = {"compact": networks.compact_cnn, "resnet18": networks.resnet18}
DATASETS = ("cifar10", "cifar100", "svhn")
INNER_ATTACKS = ("pgd", "n-fgsm")
EPS, STEP_SIZE, VALIDATION_STEPS = 8 / 255, 2 / 255, 5
CHECKPOINT = "checkpoint.npz"
FILES = ("metrics.json", "model.npz", CHECKPOINT)


def network_settings(method: str) -> dict[str, Any]:
    """The settings of a method that have no option of their own, with their defaults."""
    defense = DEFENSES[method]
    own: dict[str, Any] = {"features": 64, "weight_decay": 5e-4, "checkpoint_every": 100}
    own |= {"inner_attack": "pgd", "attack_steps": 5} if defense.adversarial else {}
    own |= {"radius": 3.0} if defense.prototypes else {}
    return own | defense.defaults()


def network_choices(method: str) -> dict[str, tuple[Any, ...]]:
    """The values of the settings that have a choice of some."""
    defense = DEFENSES[method]
    own: dict[str, tuple[Any, ...]] = {"inner_attack": INNER_ATTACKS} if defense.adversarial else {}
    return own | {name: found for name in defense.coefficients if (found := defense.choices(name))}


def train_network(
    method: str,
    *,
    out: Path,
    dataset: str,
    data: str | Path | None,
    network: str,
    epochs: int,
    batch: int | None,
    learning_rate: float | None,
    limit: int | None,
    examples: int,
    seed: int,
    device: str,
    resume: bool,
    overwrite: bool,
    settings: Mapping[str, Any],
    verbose: bool,
) -> dict[str, Any]:
    """Train, save, attack, and write the results; returns what metrics.json holds."""
    chosen = network_settings(method) | dict(settings)
    for name in ("features", "checkpoint_every", *({"attack_steps"} & chosen.keys())):
        check_count(name, chosen[name])
    if chosen.get("inner_attack") == "n-fgsm" and "attack_steps" in settings:
        raise ValueError("attack_steps has no effect with inner_attack=n-fgsm")
    if learning_rate is not None:
        check_setting("learning_rate", learning_rate, 1.0)
    if resume and overwrite:
        raise ValueError("--resume continues a run and --overwrite replaces it: choose one")
    select_device(device)
    folder = result_folder(out, FILES, overwrite=overwrite, checkpoint=CHECKPOINT, resume=resume)
    with folder:
        images = load(dataset, data)
        count = len(images.x_train)
        learned, held = hold_out(count, limit=limit, validate=examples, seed=seed)
        size, rate = batch_and_learning_rate(len(learned), batch, learning_rate)
        if verbose:
            print(f"{dataset}: {len(learned)} training and {len(images.x_test)} test images from "
                  f"{images.source}")  # fmt: skip
        model = _build(method, network, images, chosen, seed, device)
        if overwrite:
            remove_results(out, FILES)
        history = _fit(
            model, method, images, (learned, held), chosen, epochs=epochs, batch_size=size,
            learning_rate=rate, seed=seed, out=out, resume=resume, verbose=verbose,
        )  # fmt: skip
        networks.save(model, out / "model.npz", dataset=dataset, method=method, epochs=epochs)
        attacked = min(examples, len(images.x_test))
        clean, robust = accuracy_under_attack(
            model, images, attacked, eps=EPS, step_size=STEP_SIZE, seed=seed, verbose=verbose
        )
        seconds = history[-1]["seconds"]
        return write_metrics(
            out / "metrics.json", data=images, clean_accuracy=clean, robust_accuracy=robust,
            seconds=seconds, images_per_second=epochs * len(learned) / max(seconds, 1e-9),
            seed=seed, device=device,
            settings={"method": method, "network": network, "dataset": dataset, "epochs": epochs,
                      "batch": size, "learning_rate": rate, "limit": limit,
                      "examples": examples, **chosen},
            trained_on=len(learned), attacked=attacked, history=history,
        )  # fmt: skip


def _build(
    method: str, network: str, data: Dataset, settings: Mapping[str, Any], seed: int, device: str
) -> Network:
    """A new network, normalized for these images."""
    head: dict[str, Any] = dict(image_statistics(data.x_train))
    if DEFENSES[method].prototypes:
        head |= {"head": "prototypes", "radius": settings["radius"], "init": "simplex"}
    classes = len(data.class_names)
    built = BUILDERS[network](classes, feature_width=settings["features"], seed=seed, **head)
    return built.to(select_device(device))


def _fit(
    model: Network,
    method: str,
    images: Dataset,
    split: tuple[np.ndarray, np.ndarray],
    chosen: Mapping[str, Any],
    *,
    learning_rate: float,
    out: Path,
    **options: Any,
) -> list[dict[str, float]]:
    """Train with checkpoints on the first images of the split, and validate on the others; a row
    for each epoch."""
    learned, held = split
    coefficients = {name: chosen[name] for name in DEFENSES[method].coefficients}
    attack: PGDConfig | NFGSMConfig = NFGSMConfig(EPS)
    if chosen.get("inner_attack") == "pgd":
        attack = PGDConfig(EPS, chosen["attack_steps"], STEP_SIZE)
    defense, described = bind_defense(method, coefficients, attack)
    settings = {"method": method, "dataset": images.name, "learning_rate": learning_rate}
    return fit(
        model, defense, images.x_train[learned], images.y_train[learned],
        optimizer=SGD(momentum=0.9, weight_decay=chosen["weight_decay"]),
        schedule=partial(one_cycle, learning_rate),
        augment=partial(crop_and_flip, flip=images.name != "svhn"),
        validation=(images.x_train[held], images.y_train[held]),
        validation_attack=PGDConfig(EPS, VALIDATION_STEPS, STEP_SIZE),
        monitor="robust" if DEFENSES[method].adversarial else "clean",
        checkpoint=out / CHECKPOINT, checkpoint_every=chosen["checkpoint_every"],
        settings=settings | described, **options,
    )  # fmt: skip
