"""Detecting outliers: inputs that a network should not classify, with scores, gradients, proofs.

A fitted ±ED-WTA (or ED-WTA) network assigns a class to every input, also to one that is no digit.
`Detector` (`detector`) computes one of four outlier scores from its prototypes and rejects the
inputs whose score is above a threshold:

    distance   ‖x − w⁺‖ to the positive prototype of the winning neuron
    margin     minus the difference of the two largest class scores
    combined   −log P(distance as large) − log P(margin as small), estimated on the training samples
               that the same neuron wins and classifies correctly (Fisher's method of combining
               p-values)
    profile    the Mahalanobis distance of the input's profile from those of the training samples

The first three, with their gradients, are in `scores`, the last in `profile`. Everything, also the
threshold of `accepts`, is calibrated on training data alone.

**An attacker who knows the detector** attacks classifier and detector together, for which the
gradients are made: `attacks.attack_detector` is that attacker, and `evaluation.detection_report`
names no figure of one who ignores the detector without the figure of one who knows it. What no
attacker can do is proved by `certified_detection_radius` (`certificate`), for the scores distance
and margin.

`FeatureDetector` (`feature_detector`) does the same in the feature space of a deep network, with
the scores of `feature_scores`; its attacker is `attacks.attack_feature_detector`, its report
`evaluation.feature_detection_report`.
"""

from .certificate import certified_detection_radius
from .detector import Detector
from .feature_detector import FeatureDetector
from .feature_scores import FEATURE_SCORES, head_vectors
from .scores import SCORES

__all__ = [
    "FEATURE_SCORES",
    "SCORES",
    "Detector",
    "FeatureDetector",
    "certified_detection_radius",
    "head_vectors",
]
