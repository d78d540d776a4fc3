"""Evaluation: robustness under attack and corruption, detection, checks for masked gradients,
pictures, reports.

`tinyproto evaluate model.npz` attacks a saved network, `tinyproto corrupt model.npz` corrupts its
images, and
`python -m tinyproto.evaluation.geometry model.npz` measures its latent space. Pictures are in
`tinyproto.evaluation.pictures`, `tinyproto.evaluation.training_pictures` and
`tinyproto.evaluation.certified_picture`, which need Matplotlib. `tinyproto.evaluation.explanation`
says why a winner-take-all network chose a class, pixel by pixel, and
`tinyproto.evaluation.deep_explanation` explains a deep network by prototypes of its features.
"""

from .adversarial import save_adversarial
from .corruption import corruption_report
from .detection import DetectionReport, detection_report
from .feature_detection import FeatureDetectionReport, feature_detection_report
from .metrics import accuracy_under_attack, write_metrics
from .report import Report, Result
from .robustness import evaluate
from .several_radii import RadiusReports, evaluate_radii
from .transfer import TransferReport, transfer

__all__ = [
    "DetectionReport",
    "FeatureDetectionReport",
    "RadiusReports",
    "Report",
    "Result",
    "TransferReport",
    "accuracy_under_attack",
    "corruption_report",
    "detection_report",
    "evaluate",
    "evaluate_radii",
    "feature_detection_report",
    "save_adversarial",
    "transfer",
    "write_metrics",
]
