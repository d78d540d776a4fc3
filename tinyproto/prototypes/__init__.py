"""Prototype learning: winner-take-all networks, what can be computed exactly about them, detection
of outliers, and the prototypes of DPNP."""

from .base import WinnerTakeAll
from .certificate import certified_accuracy, certify, clopper_pearson, exact_radius
from .detection import SCORES, Detector, certified_detection_radius
from .dpnp import PrototypeHead, alignment, nearest_rival, repulsion, simplex
from .equivalence import (
    centre_distances,
    euclidean_to_inner_product,
    inner_product_to_euclidean,
)
from .kmeans import kmeans, kmeans_plus_plus
from .presets import (
    ACCURATE,
    AUTHORS,
    ROBUST,
    ROBUST_DEFORMATION,
    ROBUST_LARGE,
    ROBUST_LINF,
    ROBUST_LINF_LARGE,
)
from .roc import auroc, fpr_at_tpr, roc_curve
from .storage import load, save
from .winner_take_all import EDWTA, IPWTA, PlusMinusEDWTA

__all__ = [
    "ACCURATE",
    "AUTHORS",
    "EDWTA",
    "IPWTA",
    "ROBUST",
    "ROBUST_DEFORMATION",
    "ROBUST_LARGE",
    "ROBUST_LINF",
    "ROBUST_LINF_LARGE",
    "SCORES",
    "Detector",
    "PlusMinusEDWTA",
    "PrototypeHead",
    "WinnerTakeAll",
    "alignment",
    "auroc",
    "centre_distances",
    "certified_accuracy",
    "certify",
    "clopper_pearson",
    "certified_detection_radius",
    "euclidean_to_inner_product",
    "exact_radius",
    "fpr_at_tpr",
    "inner_product_to_euclidean",
    "kmeans",
    "kmeans_plus_plus",
    "load",
    "nearest_rival",
    "repulsion",
    "roc_curve",
    "save",
    "simplex",
]
