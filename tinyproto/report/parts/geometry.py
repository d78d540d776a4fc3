"""How the latent space is laid out, for clean and for attacked images."""

from pathlib import Path

from ...evaluation.geometry import (
    geometry_report,
    plot_angles,
    plot_discriminant_plane,
    plot_distances,
    plot_movement,
)
from ...evaluation.report import format_value
from ..content import Block, LeftOut, Picture, Row, Section, Table, Text
from ..subject import BATCH, Subject

SCALE = {
    "prototype": "The other measures do not depend on these units.",
    "weight vector": "Distances and angles to weight vectors depend on what training leaves open, "
    "their length and a common shift: compare networks by the class means.",
}


def geometry(subject: Subject, folder: Path) -> Section:
    """Measures of compactness, separation and neural collapse, and four pictures."""
    network = subject.network
    if network is None:
        raise LeftOut("a winner-take-all network has no feature layer")
    report = geometry_report(
        network, subject.images, subject.y, eps=subject.eps, norm=subject.norm, batch_size=BATCH,
        seed=subject.seed, verbose=True,
    )  # fmt: skip
    noun = report.settings["vectors"]
    title = f"{subject.name}, {subject.ball}"
    plot_distances(report, folder / "distances.png", title=title)
    plot_angles(report, folder / "angles.png", title=title)
    plot_movement(report, folder / "movement.png", title=title)
    plot_discriminant_plane(
        report, folder / "discriminant.png", class_names=subject.class_names, title=title
    )
    rows: list[Row] = [
        {
            "measure": row["measure"].replace("prototype", noun),
            "clean": format_value(float(row["clean"])),
            "attacked": format_value(float(row["attacked"])),
        }
        for row in report.rows()
    ]
    others: list[Row] = [
        {"measure": name.replace("prototype", noun), "value": format_value(float(value))}
        for name, value in {**report.movement, **report.prototypes}.items()
    ]
    blocks: list[Block] = [
        Text(
            f"Features of {len(subject.y):,} clean images, and of the same images moved by PGD "
            f"({subject.ball}). Distances are in the features' units. {SCALE[noun]}"
        ),
        Picture(
            "distances.png",
            f"Densities of the distance of a feature to the {noun} of its class and to the nearest "
            "of another class, clean and attacked; the table below has the medians.",
        ),
        Picture(
            "angles.png",
            f"Histograms of the angle between a feature and the {noun} of its class, and the "
            "nearest of another class, clean and attacked.",
        ),
        Picture(
            "movement.png",
            "How the attack moves features: from nearer to their own class towards another one.",
        ),
        Picture(
            "discriminant.png",
            "The plane in which the classes are best told apart, with clean features on the left "
            f"and attacked ones on the right, and the {noun}s in place.",
        ),
        Table("Measures of the latent space", rows),
        Table(f"Movement under attack, and the {noun}s", others),
    ]
    return Section("Geometry", blocks, _figures(rows))


def _figures(rows: list[Row]) -> dict[str, str]:
    wanted = {"Fisher ratio", "silhouette"}
    return {
        f"{row['measure']}, clean; attacked": f"{row['clean']}; {row['attacked']}"
        for row in rows
        if row["measure"] in wanted
    }
