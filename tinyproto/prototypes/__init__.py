"""Prototype learning: winner-take-all networks, what can be computed exactly about them, the
choice of their size, detection of outliers, and the prototypes of DPNP."""

from .base import WinnerTakeAll
from .certificate import certified_accuracy, certify, clopper_pearson, exact_radius
from .dead_neurons import count_wins, dead_neurons, revive
from .detection import (
    FEATURE_SCORES,
    SCORES,
    Detector,
    FeatureDetector,
    certified_detection_radius,
    head_vectors,
)
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
    PRESETS,
    ROBUST,
    ROBUST_LARGE,
    ROBUST_LINF,
    ROBUST_LINF_LARGE,
    preset_augmentation,
    preset_network,
    robust_deformation,
)
from .roc import auroc, fpr_at_tpr, roc_curve
from .selection import Selection, select_prototypes_per_class
from .storage import load, save
from .winner_take_all import EDWTA, IPWTA, PlusMinusEDWTA

__all__ = [
    "ACCURATE",
    "AUTHORS",
    "EDWTA",
    "FEATURE_SCORES",
    "IPWTA",
    "PRESETS",
    "ROBUST",
    "ROBUST_LARGE",
    "ROBUST_LINF",
    "ROBUST_LINF_LARGE",
    "SCORES",
    "Detector",
    "FeatureDetector",
    "PlusMinusEDWTA",
    "PrototypeHead",
    "Selection",
    "WinnerTakeAll",
    "alignment",
    "auroc",
    "centre_distances",
    "certified_accuracy",
    "certified_detection_radius",
    "certify",
    "clopper_pearson",
    "count_wins",
    "dead_neurons",
    "euclidean_to_inner_product",
    "exact_radius",
    "fpr_at_tpr",
    "head_vectors",
    "inner_product_to_euclidean",
    "kmeans",
    "kmeans_plus_plus",
    "load",
    "nearest_rival",
    "preset_augmentation",
    "preset_network",
    "repulsion",
    "revive",
    "robust_deformation",
    "roc_curve",
    "save",
    "select_prototypes_per_class",
    "simplex",
]
