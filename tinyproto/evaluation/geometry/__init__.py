"""Geometry of a latent space: compactness of the classes, separation between them, angles, neural
collapse; a report of all of it for clean and attacked images side by side, and its pictures.

Features h (N, d) and prototypes c (M, d) are in the same units, those of the network's feature
layer. All measures are computed with NumPy on the CPU, in float64.

`python -m tinyproto.evaluation.geometry model.npz` measures a saved network. Pictures need
Matplotlib.
"""

from .angles import pairwise_angles, prototype_angles, simplex_angle
from .collapse import neural_collapse, separation, silhouette, simplex_distance
from .distances import class_means, compactness, prototype_distances
from .measure import geometry_report, latent_arrays
from .pictures import plot_angles, plot_distances, plot_movement
from .plane_pictures import plot_discriminant_plane, plot_tsne
from .planes import discriminant_plane, prototype_plane
from .report import GeometryReport, LatentArrays

__all__ = [
    "GeometryReport",
    "LatentArrays",
    "class_means",
    "compactness",
    "discriminant_plane",
    "geometry_report",
    "latent_arrays",
    "neural_collapse",
    "pairwise_angles",
    "plot_angles",
    "plot_discriminant_plane",
    "plot_distances",
    "plot_movement",
    "plot_tsne",
    "prototype_angles",
    "prototype_distances",
    "prototype_plane",
    "separation",
    "silhouette",
    "simplex_angle",
    "simplex_distance",
]
