"""Detectors in feature space and their attacker through the GPU branch, against the CPU's.

    NUMBA_ENABLE_CUDASIM=1 python -m tests.cuda.feature_detector

prints, for each score and norm, how far apart the attacked images and the thresholds are, as JSON.
"""

import json

import numpy as np

from tests.cuda import standin
from tests.feature_networks import winner_take_all_detector
from tinyproto.attacks import attack_feature_detector
from tinyproto.backend import device
from tinyproto.evaluation import feature_detection_report
from tinyproto.prototypes import FEATURE_SCORES, FeatureDetector
from tinyproto.testing.networks import random_network

RUNS = [(score, "linf") for score in (*FEATURE_SCORES, "margin of ±ED-WTA")] + [("distance", "l2")]


def results(score, norm, where):
    """Attacked images, and the numbers of the report, from one device."""
    xp = device.select_device(where)
    x = np.random.default_rng(0).random((24, 3, 2))
    network = random_network(0)
    y = network(x)[0].argmax(axis=1)
    if score not in FEATURE_SCORES:
        score = winner_take_all_detector(network, x, "margin")
    images, labels = xp.asarray(x), xp.asarray(y)
    detector = FeatureDetector(network.to(xp, np.float64), score).fit(images)
    options = {"eps": 0.1, "norm": norm, "steps": 2, "targets": 1}
    found = attack_feature_detector(detector, images[:6], labels[:6], **options)
    assert (where == "cuda") == isinstance(found, standin.ndarray)
    report = feature_detection_report(
        detector, images, labels, attacked=6, outliers={"dark": images * 0.0}, **options
    )
    numbers = [value for value in report[4:] if isinstance(value, float)]
    return device.to_host(found), np.array(
        [detector.threshold_, *numbers, *report.outliers["dark"]]
    )


if __name__ == "__main__":
    standin.install()
    differences, moved = {}, False
    for score, norm in RUNS:
        cpu, cuda = (results(score, norm, where) for where in ("cpu", "cuda"))
        both = zip(cpu, cuda, strict=True)
        differences[f"{score} {norm}"] = max(float(np.abs(a - b).max()) for a, b in both)
        start = np.random.default_rng(0).random((24, 3, 2))[:6]
        moved = moved or bool((cpu[0] != start).any())
    assert moved
    print(json.dumps(differences))
