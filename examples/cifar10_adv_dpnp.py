"""Train Adv-DPNP (arXiv 2504.03782, reconstructed) on CIFAR-10, attack it and draw what it learned.

    python examples/cifar10_adv_dpnp.py

writes metrics.json, model.npz, checkpoint.npz, curves.png, attacks.png and latent.png to the folder
--out, which must not have the results of another run: --overwrite replaces them. A run that was
stopped in any way continues with --resume, and ends with the same bits as one that was not stopped.
--method trains one of the defences that Adv-DPNP is compared with; --limit
and --epochs make a run short. Several processes train as one, each with a part of every batch:

    mpirun -n 2 python examples/cifar10_adv_dpnp.py --mpi
"""

import argparse
import math
import sys
from functools import partial
from typing import Any

import numpy as np

from tinyproto import networks
from tinyproto.attacks import Victim, pgd
from tinyproto.backend.device import array_module, select_device, to_device, to_host
from tinyproto.communicator import (
    ONE_PROCESS,
    Communicator,
    MPICommunicator,
    NCCLCommunicator,
    failing_together,
)
from tinyproto.data import Dataset, load
from tinyproto.data.augment import crop_and_flip
from tinyproto.evaluation.command import add_run_options, can_draw, run_command
from tinyproto.evaluation.deep_explanation import collect_features
from tinyproto.evaluation.figures import FORMATS
from tinyproto.evaluation.geometry import class_means, compactness
from tinyproto.evaluation.metrics import accuracy_under_attack, format_table, write_metrics
from tinyproto.evaluation.result_folder import remove_results, result_folder
from tinyproto.losses import softmax
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.pretrained import find_model
from tinyproto.schedules import one_cycle
from tinyproto.state import load_arrays, parameters_checksum
from tinyproto.training import (
    DEFENSES,
    NFGSMConfig,
    NotFinite,
    PGDConfig,
    Stopped,
    batch_and_learning_rate,
    bind_defense,
    fit,
    hold_out,
    image_statistics,
)

NETWORKS = {"compact": networks.compact_cnn, "resnet18": networks.resnet18}
DATASETS = {  # how many official images there are for training and testing
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "svhn": (73_257, 26_032),
}
EPS, STEP_SIZE = 8 / 255, 2 / 255
BATCH = 100  # images of which the activations of all layers are in memory at once, at the end
SHOWN, PLOTTED = 8, 1000  # test images in attacks.png and latent.png
CHECKPOINT, PICTURES = "checkpoint.npz", ("curves", "attacks", "latent")
FILES = ["metrics.json", "model.npz", CHECKPOINT, *(f"{p}.{f}" for p in PICTURES for f in FORMATS)]
SOMETIMES = {  # options that not every method uses, with their defaults
    "inner_attack": "pgd", "attack_steps": 5, "radius": 3.0, "prototype_start": "simplex",
}  # fmt: skip
MEASURES = {  # what the table calls the measures of the features
    "compactness": "mean distance of a feature to the mean of its class",
    "mean_separation": "mean distance between the means of two classes",
    "least_separation": "distance between the two nearest of these means",
}
COEFFICIENTS = list(
    dict.fromkeys(name for defense in DEFENSES.values() for name in defense.coefficients)
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with cifar10.npz or the authors' files")
    add("--dataset", choices=list(DATASETS), default="cifar10", help="the data set (cifar10)")
    add("--method", choices=list(DEFENSES), default="adv-dpnp", help="the defence (adv-dpnp)")
    add("--network", choices=list(NETWORKS), default="compact", help="the network (compact)")
    add("--epochs", type=int, default=10, metavar="N", help="passes over the training images (10)")
    add("--limit", type=int, metavar="N", help="train on N images (all but those held out)")
    add("--evaluate", type=int, default=1000, metavar="N",
        help="attack N test images, and validate on N held-out ones (1000)")  # fmt: skip
    add("--resume", action="store_true", help="continue from checkpoint.npz in --out")
    add("--start-from", metavar="MODEL",
        help="weights to start with: a saved network, or one that ships (new ones)")  # fmt: skip
    add("--batch", type=int, metavar="N", help="images in a step (128; 32 if fewer than 5,000)")
    add("--learning-rate", type=float, metavar="X",
        help="peak of one cycle (0.1; less for a small batch or few images)")  # fmt: skip
    add("--weight-decay", type=float, default=5e-4, metavar="X",
        help="coefficient of the weight decay (0.0005)")  # fmt: skip
    add("--attack-steps", type=int, metavar="N", help="PGD steps in training (5)")
    add("--inner-attack", choices=["pgd", "n-fgsm"],
        help="attack of training images; n-fgsm is one step from a noisy start (pgd)")  # fmt: skip
    add("--features", type=int, default=64, metavar="N", help="width of the feature layer (64)")
    add("--radius", type=float, metavar="X", help="length of a prototype (3)")
    add("--prototype-start", choices=["simplex", "random"],
        help="initial prototypes: as far apart as possible, or random (simplex)")  # fmt: skip
    add("--head", choices=["prototypes", "linear"],
        help="the last layer (what the method needs; dpnp and adv-dpnp learn a linear one, too, "
        "with --alignment-weight 0 --repulsion-weight 0)")  # fmt: skip
    add("--average", type=float, metavar="X",
        help="evaluate a moving average of the weights with this decay (none)")  # fmt: skip
    add("--checkpoint-every", type=int, default=100, metavar="N",
        help="steps from one checkpoint to the next (100)")  # fmt: skip
    add("--mpi", action="store_true", help="train in all ranks that mpirun has started, as one")
    add_run_options(parser, out="runs/cifar10_adv_dpnp")
    add_coefficients(parser.add_argument_group("coefficients of one or more methods"))
    parser.set_defaults(**SOMETIMES)
    return parser.parse_args(arguments)


def add_coefficients(group: Any) -> None:
    """An option for each coefficient that a defence declares."""
    for name in COEFFICIENTS:
        methods = [m for m, defense in DEFENSES.items() if name in defense.coefficients]
        defense = DEFENSES[methods[0]]
        default = defense.defaults()[name]
        text = f"{', '.join(methods)}: {defense.coefficients[name]}"
        kind: dict[str, Any] = {"type": type(default), "help": f"{text} ({default})"}
        if isinstance(default, bool):
            kind = {"action": "store_true", "default": None, "help": text}
        elif choices := defense.choices(name):
            kind["choices"] = choices
        else:
            kind["metavar"] = "X"
        group.add_argument(f"--{name.replace('_', '-')}", **kind)


def coefficients(options: argparse.Namespace) -> dict[str, Any]:
    """All coefficients of the method; ValueError for one that it does not have."""
    found = DEFENSES[options.method].defaults()
    for name in COEFFICIENTS:
        option, value = name.replace("_", "-"), getattr(options, name)
        if value is not None and name not in found:
            raise ValueError(f"--{option} is no option of --method {options.method}")
        if isinstance(value, float) and not 0 <= value < math.inf:
            raise ValueError(f"--{option} must be 0 or more, and finite, not {value}")
        at_most = DEFENSES[options.method].at_most.get(name)
        if at_most is not None and value is not None and value > at_most:
            raise ValueError(f"--{option} must be in [0, {at_most:g}], not {value}")
        if value is not None:
            found[name] = value
    return found


def head_of(options: argparse.Namespace) -> str:
    """The kind of the last layer: --head, or what the method needs."""
    return options.head or ("prototypes" if DEFENSES[options.method].prototypes else "linear")


def build(options: argparse.Namespace, data: Dataset) -> Network:
    """A new network, normalized for these images, on the device of --device."""
    head: dict[str, Any] = dict(image_statistics(data.x_train))
    if head_of(options) == "prototypes":
        start = options.prototype_start
        head |= {"head": "prototypes", "radius": options.radius, "init": start}
    network = NETWORKS[options.network](
        len(data.class_names), feature_width=options.features, seed=options.seed, **head
    )
    return network.to(select_device(options.device))


def starting(options: argparse.Namespace, data: Dataset) -> tuple[Network, int | None]:
    """The network to train, and for how many epochs it has been trained before, None where its file
    does not say. Raises ValueError unless the network of --start-from is of the kind that the other
    options ask for."""
    network = build(options, data)
    if options.start_from is None:
        return network, 0
    path = find_model(options.start_from)
    found = networks.load(path, select_device(options.device))
    asked, has = ({"head": "linear", **n.settings} for n in (network, found))
    for name in sorted((asked.keys() | has.keys()) - {"seed", "init", "mean", "std"}):
        if asked.get(name) != has.get(name):
            raise ValueError(
                f"--start-from {options.start_from}: expected a network with "
                f"{name}={asked.get(name)!r}, not {has.get(name)!r}"
            )
    return found, load_arrays(path)[1].get("epochs")


def split(options: argparse.Namespace, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training images to learn from, and of those to validate on. A tenth of all
    is held out, at most 1,000; --evaluate of these are used."""
    count = len(data.x_train)
    if options.limit is not None and not 1 <= options.limit <= count:
        raise ValueError(f"--limit must be between 1 and {count} images, not {options.limit}")
    return hold_out(count, limit=options.limit, validate=options.evaluate, seed=options.seed)


def objective(options: argparse.Namespace) -> tuple[partial[Any], dict[str, Any]]:
    """The defence with its coefficients and its attack, and a description of these."""
    pgd_steps, one_step = PGDConfig(EPS, options.attack_steps, STEP_SIZE), NFGSMConfig(EPS)
    attack = pgd_steps if options.inner_attack == "pgd" else one_step
    return bind_defense(options.method, coefficients(options), attack)


def augmentation(data: Dataset) -> partial[Any]:
    """Random crops and, except of digits, mirrored images."""
    return partial(crop_and_flip, flip=data.name != "svhn")


def train(
    options: argparse.Namespace, network: Network, data: Dataset, communicator: Communicator
) -> list[dict[str, float]]:
    """Fit with checkpoints; returns a row for each epoch."""
    learned, held = split(options, data)
    defense, described = objective(options)
    settings = {
        "method": options.method, "dataset": data.name, "learning_rate": options.learning_rate,
        **described,
    }  # fmt: skip
    if options.start_from is not None:
        settings["start_from"] = parameters_checksum(network.params)
    return fit(
        network,
        defense,
        data.x_train[learned],
        data.y_train[learned],
        epochs=options.epochs,
        batch_size=options.batch,
        optimizer=SGD(momentum=0.9, weight_decay=options.weight_decay),
        schedule=partial(one_cycle, options.learning_rate),
        average=options.average,
        augment=augmentation(data),
        validation=(data.x_train[held], data.y_train[held]),
        validation_attack=PGDConfig(EPS, 5, STEP_SIZE),
        monitor="robust" if DEFENSES[options.method].adversarial else "clean",
        seed=options.seed,
        checkpoint=options.out / CHECKPOINT,
        checkpoint_every=options.checkpoint_every,
        resume=options.resume,
        settings=settings,
        communicator=communicator,
    )


def look(network: Network, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, d) and probabilities (N, C) of images, on the host."""
    xp = array_module(_weights(network))
    h, _ = collect_features(network, to_device(images, xp), batch_size=BATCH)
    z, _ = network.head(to_device(h, xp))
    return h, to_host(softmax(z))


def _weights(network: Network) -> Any:
    """The head's vectors, one row for each class."""
    params = network.head.params
    return params["prototypes"] if "prototypes" in params else params["weight"].T


def measure(network: Network, data: Dataset) -> dict[str, float]:
    """How compact and how separate the classes' features are."""
    labels = data.y_test[:PLOTTED]
    features, _ = look(network, data.x_test[:PLOTTED] / np.float32(255))
    seen, place = np.unique(labels, return_inverse=True)
    return compactness(features, place, class_means(features, place, len(seen)))


def draw(
    options: argparse.Namespace,
    network: Network,
    data: Dataset,
    history: list[dict[str, float]],
    title: str,
) -> None:
    """Draw the three pictures, or say in one line what to install."""
    path = {name: options.out / f"{name}.{options.format}" for name in PICTURES}
    if not can_draw({"matplotlib": "matplotlib"}, *(file.name for file in path.values())):
        return
    from tinyproto.evaluation import training_pictures as pictures

    if history:
        pictures.plot_history(history, path["curves"], title=title)
    x, y = data.x_test[:PLOTTED] / np.float32(255), data.y_test[:PLOTTED]
    features, probabilities = look(network, x)
    bias = network.head.params.get("bias")
    pictures.plot_latent_space(
        features,
        y,
        to_host(_weights(network)),
        path["latent"],
        class_names=data.class_names,
        biases=None if bias is None else to_host(bias),
        noun="prototype" if head_of(options) == "prototypes" else "weight vector",
        title=title,
    )
    right = np.flatnonzero(probabilities.argmax(axis=1) == y)[:SHOWN]
    if not len(right):
        missing = f"left out: {path['attacks'].name}: no test image is classified correctly"
        print(missing, file=sys.stderr)
        return
    xp = array_module(_weights(network))
    images, labels = to_device(x[right], xp), to_device(y[right], xp)
    steps: dict[str, Any] = {"steps": 20, "step_size": STEP_SIZE, "seed": options.seed}
    attacked = to_host(pgd(Victim(network), images, labels, eps=EPS, index=right, **steps))
    pictures.plot_attacks(
        x[right],
        attacked,
        path["attacks"],
        labels=y[right],
        clean_probabilities=probabilities[right],
        attacked_probabilities=look(network, attacked)[1],
        class_names=data.class_names,
        eps=EPS,
        title=title,
    )


def sentence(options: argparse.Namespace, data: Dataset, accuracy: float) -> str:
    """The title of the pictures."""
    network = f"{options.method} ({options.network} network)"
    return f"{network} classifies {accuracy:.1%} of {data.name}'s test images correctly."


def check(options: argparse.Namespace) -> None:
    """Raises ValueError for options that cannot be right, before anything is written."""
    for name in ("evaluate", "attack_steps", "learning_rate", "epochs", "batch", "features",
                 "radius", "checkpoint_every"):  # fmt: skip
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must be above 0, and finite, not {value}")
    if not 0 <= options.weight_decay < math.inf:
        raise ValueError(
            f"--weight-decay must be 0 or more, and finite, not {options.weight_decay}"
        )
    if options.average is not None and not 0 <= options.average < 1:
        raise ValueError(f"--average must be in [0, 1), not {options.average}")
    if options.resume and options.overwrite:
        raise ValueError("--resume continues a run and --overwrite replaces it: choose one")
    if options.features < 2:
        raise ValueError("--features must be 2 or more: the latent space is drawn in a plane")
    found = coefficients(options)
    for name, reason in unused(options).items():
        if getattr(options, name) != SOMETIMES[name]:
            raise ValueError(f"--{name.replace('_', '-')} has no effect with {reason}")
    if head_of(options) == "prototypes" and not DEFENSES[options.method].prototypes:
        raise ValueError(f"--head prototypes is no option of --method {options.method}")
    needed = [name for name in ("alignment_weight", "repulsion_weight") if found.get(name)]
    if head_of(options) == "linear" and needed:
        option = needed[0].replace("_", "-")
        raise ValueError(f"--head linear has no prototypes: it needs --{option} 0")
    select_device(options.device)


def unused(options: argparse.Namespace) -> dict[str, str]:
    """The options of `SOMETIMES` that have no effect, each with the option that is the reason."""
    names: dict[str, str] = {}
    if not DEFENSES[options.method].adversarial:
        names |= dict.fromkeys(("inner_attack", "attack_steps"), f"--method {options.method}")
    elif options.inner_attack == "n-fgsm":
        names["attack_steps"] = "--inner-attack n-fgsm"
    if head_of(options) == "linear":
        reason = "--head linear" if options.head else f"--method {options.method}"
        names |= dict.fromkeys(("radius", "prototype_start"), reason)
    elif options.start_from is not None:
        names["prototype_start"] = "--start-from"
    return names


def run(options: argparse.Namespace) -> None:
    """Check the options, and train in the folder --out."""
    check(options)
    communicator = ONE_PROCESS
    if options.mpi:
        communicator = (MPICommunicator if options.device == "cpu" else NCCLCommunicator)()
    given = {"overwrite": options.overwrite, "resume": options.resume}
    with failing_together(communicator, Stopped, NotFinite):
        if communicator.rank:  # only rank 0 writes to the folder
            help_to_train(options, communicator)
            return
        with result_folder(options.out, FILES, checkpoint=CHECKPOINT, **given):
            train_and_evaluate(options, communicator)


def help_to_train(options: argparse.Namespace, communicator: Communicator) -> None:
    """Train with this rank's part of each batch."""
    data = load(options.dataset, options.data)
    network, _ = starting(options, data)
    choose_steps(options, data)
    train(options, network, data, communicator)


def choose_steps(options: argparse.Namespace, data: Dataset) -> int:
    """Give --batch and --learning-rate their defaults; returns the number of training images."""
    trained_on = len(split(options, data)[0])
    options.batch, options.learning_rate = batch_and_learning_rate(
        trained_on, options.batch, options.learning_rate
    )
    return trained_on


def train_and_evaluate(options: argparse.Namespace, communicator: Communicator) -> None:
    """Train, evaluate, draw, and write the results."""
    data = load(options.dataset, options.data)
    network, before = starting(options, data)
    trained_on = choose_steps(options, data)
    print(
        f"{data.name}: {len(data.x_train)} training and {len(data.x_test)} test images from "
        f"{data.source}"
    )
    if options.overwrite:
        remove_results(options.out, FILES)
    history = train(options, network, data, communicator)
    epochs = None if before is None else before + options.epochs
    networks.save(
        network, options.out / "model.npz", dataset=data.name, method=options.method, epochs=epochs
    )
    attacked = min(options.evaluate, len(data.x_test))
    clean, robust = accuracy_under_attack(
        network, data, attacked, eps=EPS, step_size=STEP_SIZE, seed=options.seed
    )
    latent = measure(network, data)
    seconds = history[-1]["seconds"]
    speed = options.epochs * trained_on / max(seconds, 1e-9)
    ignored = {"out", "data", "resume", "overwrite", "format", "mpi", *COEFFICIENTS}
    write_metrics(
        options.out / "metrics.json",
        data=data,
        clean_accuracy=clean,
        robust_accuracy=robust,
        seconds=seconds,
        images_per_second=speed,
        seed=options.seed,
        device=options.device,
        settings={
            **{k: v for k, v in vars(options).items() if k not in ignored},
            **coefficients(options),
            **({"ranks": communicator.size} if options.mpi else {}),
        },
        trained_on=trained_on,
        epochs=epochs,
        attacked=attacked,
        history=history,
        latent=latent,
    )
    draw(options, network, data, history, sentence(options, data, clean))
    rows = {"test accuracy": f"{clean:.2%}"}
    for name, value in robust.items():
        kind, radius = name.upper().split()
        rows[f"accuracy under {kind}, L∞ radius {radius} ({attacked:,} images)"] = f"{value:.1%}"
    rows |= {MEASURES[name]: f"{value:.3f}" for name, value in latent.items()}
    rows["training"] = f"{seconds:.1f} s, {speed:,.0f} images per second"
    print(format_table(rows))
    if not data.complete:
        official = DATASETS[data.name]
        print(
            f"trained on {trained_on:,} of {official[0]:,} official images and tested on "
            f"{len(data.x_test):,} of {official[1]:,}: not comparable with published results"
        )
    print(f"written to {options.out}")


def main() -> None:
    options = parse()
    started = (options.out / CHECKPOINT).exists
    run_command(lambda: run(options), lambda: "continue with --resume" if started() else "")


if __name__ == "__main__":
    main()
