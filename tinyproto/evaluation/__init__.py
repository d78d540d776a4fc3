"""Evaluation: robustness under attack and corruption, detection, checks for masked gradients,
pictures, reports.

`python -m tinyproto.evaluation model.npz` attacks a saved network,
`python -m tinyproto.evaluation.corruption model.npz` corrupts its images, and
`python -m tinyproto.evaluation.geometry model.npz` measures its latent space. Pictures are in
`tinyproto.evaluation.pictures`, `tinyproto.evaluation.training_pictures` and
`tinyproto.evaluation.certified_picture`, which need Matplotlib. `tinyproto.evaluation.explanation`
says why a winner-take-all network chose a class, pixel by pixel, and
`tinyproto.evaluation.deep_explanation` explains a deep network by prototypes of its features.
"""

from .corruption import corruption_report
from .detection import DetectionReport, detection_report
from .feature_detection import FeatureDetectionReport, feature_detection_report
from .metrics import write_metrics
from .report import Report, Result
from .robustness import evaluate
from .transfer import TransferReport, transfer

__all__ = [
    "DetectionReport",
    "FeatureDetectionReport",
    "Report",
    "Result",
    "TransferReport",
    "corruption_report",
    "detection_report",
    "evaluate",
    "feature_detection_report",
    "transfer",
    "write_metrics",
]
