"""The geometry of clean and attacked images side by side: its table and its file."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...state import atomic_write
from ..report import NORMS, align_columns, divide, finite, format_value

KIND = "tinyproto geometry report"
SIGNED = ("silhouette",)  # a quotient of which says nothing
Figures = dict[str, float]


class LatentArrays(NamedTuple):
    """What was measured of each of N images. The first axis of 2 is clean, attacked.

    Parameters
    ----------
    labels : array (N,)
        The true classes.
    prototypes : array (M, d)
        The vectors of the classes.
    features : array (2, N, d)
        Features h, and h′ of the attacked images.
    correct : array (2, N)
        Bool: the image is classified correctly.
    own_distance, rival_distance : array (2, N)
        Distances to the own prototype, and to the nearest other one.
    own_angle, rival_angle : array (2, N)
        The angles to these, in degrees.
    cosine : array (N,)
        Of h′ − h with the direction from the own prototype to that of the strongest rival, the
        other class whose score is largest on the clean image; NaN where h′ = h.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import latent_arrays
    >>> arrays = latent_arrays(np.array([[[1.0, 0]], [[1, 1]]]), np.array([0]), np.eye(2))
    >>> arrays.own_angle.round(3).tolist(), arrays.movement.tolist(), arrays.cosine.round(3)
    ([[0.0], [45.0]], [1.0], array([0.707]))
    """

    labels: np.ndarray
    prototypes: np.ndarray
    features: np.ndarray
    correct: np.ndarray
    own_distance: np.ndarray
    rival_distance: np.ndarray
    own_angle: np.ndarray
    rival_angle: np.ndarray
    cosine: np.ndarray

    @property
    def movement(self) -> np.ndarray:
        """‖h′ − h‖ (N,): how far the attack moved each feature."""
        moved: np.ndarray = np.linalg.norm(self.features[1] - self.features[0], axis=1)
        return moved


@dataclass(eq=False, repr=False)
class GeometryReport:
    """The geometry of one network's latent space, as `geometry_report` returns it.

    Parameters
    ----------
    clean, attacked : dict of str to float
        The measures of clean and of attacked images. Those whose names begin with "distance" are
        lengths in the features' units; the others do not depend on the scale of the features, but
        those to weight vectors depend on theirs.
    movement : dict of str to float
        How the attack moves features.
    prototypes : dict of str to float
        How the prototypes lie to each other.
    settings : dict
        What was measured: number of examples, attack, eps, norm, seed; "vectors" is what the
        vectors of the classes are called.
    arrays : LatentArrays, optional
        What was measured of each image, for the pictures; None of a report that was read.

    Examples
    --------
    >>> from tinyproto.evaluation.geometry import GeometryReport
    >>> ours = GeometryReport({"silhouette": 0.5, "NC1": 1.0}, {"silhouette": 0.1, "NC1": 3.0})
    >>> print(ours.text())
    measure     clean  attacked
    silhouette    0.5       0.1
    NC1             1         3
    >>> ours.relative_to(GeometryReport({"NC1": 2.0}, {"NC1": 4.0}))
    {'NC1': (0.5, 0.75)}
    """

    clean: Figures
    attacked: Figures
    movement: Figures = field(default_factory=dict)
    prototypes: Figures = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    arrays: LatentArrays | None = None

    def __repr__(self) -> str:
        examples, vectors = self.settings.get("examples"), self.settings.get("vectors")
        return f"GeometryReport({examples} examples, {len(self.clean)} measures, {vectors}s)"

    def rows(self) -> list[dict[str, Any]]:
        """One row for each measure: its name, and its value for clean and for attacked images."""
        return [
            {"measure": name, "clean": value, "attacked": self.attacked[name]}
            for name, value in self.clean.items()
        ]

    def relative_to(self, other: "GeometryReport") -> dict[str, tuple[float, float]]:
        """Each measure, of clean and of attacked images, divided by that of another report. Left
        out are lengths, since two networks have different units, and the silhouette, which may be
        negative. What is divided by 0 is infinite, or NaN."""
        return {
            name: (divide(value, other.clean[name]), divide(self.attacked[name], there))
            for name, value in self.clean.items()
            if (there := other.attacked.get(name)) is not None
            if not name.startswith("distance") and name not in SIGNED
        }

    def text(self, other: "GeometryReport | None" = None) -> str:
        """The table, with what is `relative_to` another report if there is one, and then movement,
        prototypes and settings."""
        headings = ["measure", "clean", "attacked"]
        headings += [] if other is None else ["clean / other", "attacked / other"]
        relative = {} if other is None else self.relative_to(other)
        rows = [headings]
        for row in self.rows():
            name, *values = row.values()
            if other is not None:
                values += relative.get(name, (math.nan, math.nan))
            rows.append([self._named(name), *map(_cell, values)])
        tables = [rows]
        for heading, figures in (("movement", self.movement), ("prototypes", self.prototypes)):
            if figures:
                named = ([self._named(name), _cell(value)] for name, value in figures.items())
                tables.append([[self._named(heading), ""], *named])
        return "\n\n".join([*map(align_columns, tables), *filter(None, [self._about()])])

    def json(self) -> str:
        """Everything but the arrays as JSON; a value that is not finite is null."""
        content = {
            "kind": KIND,
            "clean": finite(self.clean),
            "attacked": finite(self.attacked),
            "movement": finite(self.movement),
            "prototypes": finite(self.prototypes),
            "settings": self.settings,
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the JSON, whole or not at all."""
        with atomic_write(path) as temporary:
            temporary.write_text(self.json(), encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> "GeometryReport":
        """The report in a file that `write` wrote. Raises ValueError for any other file."""
        with open(path, "rb") as file:
            text = file.read()
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise ValueError(f"{path} is not a geometry report")
        parts = [content.get(part) for part in ("clean", "attacked", "movement", "prototypes")]
        clean, attacked, movement, prototypes = (_figures(path, part) for part in parts)
        settings = content.get("settings")
        if clean.keys() != attacked.keys() or not isinstance(settings, dict):
            raise ValueError(f"{path}: expected equal measures and settings, found something else")
        return cls(clean, attacked, movement, prototypes, settings)

    def _named(self, text: str) -> str:
        """The text with the word for the vectors of the classes."""
        return text.replace("prototype", self.settings.get("vectors", "prototype"))

    def _about(self) -> str:
        s = self.settings
        if "eps" not in s:
            return ""
        return (
            f"{s['examples']:,} images, {s['attack']} in {NORMS[s['norm']]}, eps {s['eps']:.4g}, "
            f"seed {s['seed']}; distances are in the features' units"
        )


def _figures(path: str | Path, part: Any) -> Figures:
    if not isinstance(part, Mapping) or any(
        value is not None and type(value) not in (int, float) for value in part.values()
    ):
        raise ValueError(f"{path}: expected measures and their values, found something else")
    return {name: math.nan if value is None else float(value) for name, value in part.items()}


def _cell(value: float) -> str:
    return "" if math.isnan(value) else format_value(float(value))
