"""Measure the latent space of a saved network for clean and attacked images, and print a table.

    python -m tinyproto.evaluation.geometry model.npz --out geometry.json --pictures geometry

The attack is PGD of 20 steps of eps / 4, which moves every image. --out and the pictures are
replaced if they exist; each is written completely or not at all.
"""

import argparse
from pathlib import Path

from ...backend.device import select_device
from ...networks import Network
from ..command import can_draw, run_command
from ..figures import FORMATS
from ..result_folder import lock_for
from ..saved_models import (
    add_ball_options,
    add_options,
    check_options,
    check_writable,
    open_with_test_images,
    parse_radius,
)
from .measure import geometry_report
from .pictures import plot_angles, plot_distances, plot_movement
from .plane_pictures import plot_discriminant_plane, plot_tsne
from .report import GeometryReport


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinyproto.evaluation.geometry",
        description=(__doc__ or "").splitlines()[0],
    )
    add = parser.add_argument
    add_ball_options(parser)
    add_options(
        parser, datasets="cifar10, cifar100 or svhn", examples=1000, batch="attacked"
    )  # fmt: skip
    add("--relative-to", type=Path, metavar="FILE",
        help="the --out of another network: also show the measures divided by its")  # fmt: skip
    add("--out", type=Path, metavar="FILE", help="also write the measures to this .json file")
    add("--pictures", type=Path, metavar="DIR", help="also draw pictures to this folder")
    add("--format", choices=FORMATS, default="png",
        help="file format of the pictures (default: png)")  # fmt: skip
    add("--tsne", action="store_true",
        help="draw the features as t-SNE arranges them, too (needs scikit-learn)")  # fmt: skip
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    eps = parse_radius(options.eps, options.norm)
    check_options(options)
    if options.out and options.out.suffix != ".json":
        raise ValueError(f"--out must end in .json, not {options.out.name!r}")
    if options.tsne and not options.pictures:
        raise ValueError("--tsne draws a picture: choose its folder with --pictures DIR")
    pictures = picture_paths(options)
    check_writable({"--out": options.out, "--pictures": pictures.get("distances")})
    other = GeometryReport.read(options.relative_to) if options.relative_to else None
    model, images, labels, names = open_with_test_images(
        options.model, select_device(options.device), options.examples,
        dataset=options.dataset, folder=options.data,
    )  # fmt: skip
    if not isinstance(model, Network):
        raise ValueError(
            f"{options.model}: {type(model).__name__} has no feature layer; a network of "
            "tinyproto.networks is needed"
        )
    measured = {"examples": len(images), "eps": eps, "norm": options.norm}
    for name, value in measured.items():
        if other is not None and other.settings.get(name, value) != value:
            raise ValueError(f"{options.relative_to} was measured with {name} "
                             f"{other.settings[name]}, not {value}")  # fmt: skip
    with lock_for(options.out, "measurement"):
        report = geometry_report(
            model, images, labels, eps=eps, norm=options.norm, batch_size=options.batch,
            seed=options.seed, path=options.out, verbose=True,
        )  # fmt: skip
    print(report.text(other))
    if options.out:
        print(f"written to {options.out}")
    if pictures and can_draw({"matplotlib": "matplotlib"}, *map(str, pictures.values())):
        draw(report, pictures, names, title=options.model.stem, seed=options.seed)
        print(f"drawn to {options.pictures}")


def picture_paths(options: argparse.Namespace) -> dict[str, Path]:
    """The files of the pictures that are asked for, by name."""
    names = ["distances", "angles", "movement", "discriminant", *["tsne"] * options.tsne]
    folder = options.pictures
    return {name: folder / f"{name}.{options.format}" for name in names} if folder else {}


def draw(
    report: GeometryReport, paths: dict[str, Path], class_names: list[str], title: str, seed: int
) -> None:
    """Draw the pictures; where t-SNE's package is missing, a line says what to install."""
    plot_distances(report, paths["distances"], title=title)
    plot_angles(report, paths["angles"], title=title)
    plot_movement(report, paths["movement"], title=title)
    plot_discriminant_plane(report, paths["discriminant"], class_names=class_names, title=title)
    tsne = paths.get("tsne")
    if tsne and can_draw({"sklearn": "scikit-learn"}, str(tsne)):
        plot_tsne(report, tsne, class_names=class_names, seed=seed, title=title)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    run_command(lambda: run(options), wrong_input=2)


if __name__ == "__main__":
    main()
