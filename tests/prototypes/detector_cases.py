"""Small calibrated detectors for the tests of their gradients, proofs and attacks."""

import numpy as np
from hypothesis import strategies as st

from tinyproto.prototypes import EDWTA, IPWTA, Detector, PlusMinusEDWTA


def clusters(seed, classes=3, features=4, count=120, spread=0.12):
    """Samples x (count, features) in [0, 1] around one centre for each class, and labels."""
    random = np.random.default_rng(seed)
    centres = random.uniform(0.2, 0.8, size=(classes, features))
    y = np.arange(count) % classes
    return np.clip(centres[y] + spread * random.normal(size=(count, features)), 0, 1), y


@st.composite
def detectors(draw, scores, features=(1, 6), classes=(2, 4), per_class=(1, 3)):
    """A detector in float64, and x, y on which it was calibrated."""
    ranges = (classes, per_class, features)
    c, k, d = (draw(st.integers(*bounds)) for bounds in ranges)
    score, seed = draw(st.sampled_from(scores)), draw(st.integers(0, 2**20))
    kinds = (EDWTA, PlusMinusEDWTA, IPWTA) if score == "margin" else (EDWTA, PlusMinusEDWTA)
    return make_detector(draw(st.sampled_from(kinds)), score, seed, c, d, k)


def make_detector(kind, score, seed, classes=3, features=4, per_class=2, rejection=0.2):
    x, y = clusters(seed, classes, features)
    options = {} if kind is IPWTA else {"beta": 5.0}
    network = kind(per_class, epochs=0, init="kmeans", dtype="float64", **options).fit(x, y)
    right = network.predict(x) == y
    for name in np.unique(y[~right]):  # every class needs a sample that is classified correctly
        if not (right & (y == name)).any():
            y = network.predict(x)
    if len(np.unique(y)) < classes:
        return make_detector(kind, score, seed + 1, classes, features, per_class, rejection)
    return Detector(network, score, false_rejection=rejection).fit(x, y), x, y
