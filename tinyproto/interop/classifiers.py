"""The classifiers of scikit-learn that have gradients: scores z (N, C) and dx (N, d) of dz (N, C).

Two classes have one score s at their disposal, positive for the second of them; it becomes the two
scores z = (−s, s), so ds = dz₁ − dz₀ (`two_scores`).

    linear models      z = x Wᵀ + b                            dx = dz W
    nearest centroid   z_c = −‖(x − μ_c)/σ‖² + 2 log π_c       dx = −2 Σ_c dz_c (x − μ_c)/σ²
      Manhattan        z_c = −Σ_i |x_i − μ_ci|                 dx = −Σ_c dz_c sign(x − μ_c)
    multilayer         u_l = h_{l−1} W_l + b_l, h_l = a(u_l)   du_{l−1} = (du_l W_lᵀ) a′(u_{l−1})
                       z = u_L, h_0 = x                        dx = du_1 W_1ᵀ
    linear SVC         z_c = min_{k≠c} f_ck                    dx = Σ_c dz_c ∇f_{c k(c)}

**Nearest centroid.** predict takes σ = 1 and no log π where all classes are equally probable. All
classes share ‖x/σ‖², which is left out: what remains is linear, z_c = 2 μ_c·x/σ² − ‖μ_c/σ‖² + 2 log
π_c, and no difference of scores changes.

**Multilayer perceptron.** The scores are the outputs before softmax or the logistic function, which
keep the order. a′ is a function of h = a(u): 1 (identity), h > 0 (relu), 1 − h² (tanh), h(1 − h)
(logistic).

**Linear SVC.** It decides by votes: of each pair of classes (i, j), i < j, the sign of
f_ij = w_ij·x + b_ij = −f_ji is a vote for i or for j. Votes are constant almost everywhere, so
what is attacked is the margin by which a class beats its strongest rival, k(c) = argmin_k f_ck.
Where a class beats all others, it is the only one of positive score, and it has the most votes: the
answers are the same. Where no class does, the class that the votes (or their ties) decide for is
lifted just above the others (`follow_answer`); its gradient stays that of its own margin, along
which it loses votes.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from ..attacks.victim import Backward, Model

Result = tuple[np.ndarray, Backward]


def two_scores(s: np.ndarray) -> np.ndarray:
    """(−s, s) of the score s (N,) or (N, 1) of two classes; scores (N, C) as they are."""
    return s if s.ndim == 2 and s.shape[1] > 1 else np.stack([-s.ravel(), s.ravel()], axis=1)


def one_gradient(dz: np.ndarray, outputs: int) -> np.ndarray:
    """The gradient at the outputs that a model has: (N, C), or (N, 1) of two classes."""
    return dz if outputs > 1 else dz[:, 1:] - dz[:, :1]


def follow_answer(z: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """The scores z (N, C) with those of the answers (N,) lifted above the others where they are not
    the largest."""
    z = z.astype(np.float64)
    rows = np.flatnonzero(z.argmax(axis=1) != answer)
    z[rows, answer[rows]] = np.nextafter(z[rows].max(axis=1), np.inf)
    return z


def weights(estimator: Any) -> np.ndarray:
    """`coef_`, (C, d), or (1, d) or (d,) of two classes; sparse after `sparsify()` and where an SVC
    was fitted to sparse data."""
    weight = estimator.coef_
    return np.atleast_2d(weight.toarray() if hasattr(weight, "toarray") else weight)


def linear(estimator: Any) -> Model:
    """All that have `coef_` and whose answer is the largest score."""

    def model(x: np.ndarray) -> Result:
        weight = weights(estimator)
        z = two_scores(estimator.decision_function(x))
        return z, lambda dz: one_gradient(dz, len(weight)) @ weight

    return model


def nearest_centroid(estimator: Any) -> Model:
    """Negative distances to the centroids."""
    centroids, prior = estimator.centroids_, estimator.class_prior_
    uniform = np.isclose(prior, 1 / len(prior)).all()
    deviation = np.ones(centroids.shape[1]) if uniform else estimator.within_class_std_dev_
    scale = np.where(deviation == 0, 1.0, deviation)
    offset = 0.0 if uniform else 2 * np.log(prior)
    if estimator.metric == "manhattan":
        return _nearest_median(centroids, scale, None if uniform else offset)
    weight = 2 * centroids / scale**2
    bias = offset - ((centroids / scale) ** 2).sum(axis=1)
    return lambda x: (x @ weight.T + bias, lambda dz: dz @ weight)


def _nearest_median(centroids: np.ndarray, scale: np.ndarray, offset: Any) -> Model:
    """Of Manhattan distances D, z = −D; with unequal priors, as predict has it, −D² + 2 log π."""

    def model(x: np.ndarray) -> Result:
        moved = (x[:, None] - centroids) / scale
        distance, direction = np.abs(moved).sum(axis=2), np.sign(moved) / scale
        if offset is None:
            return -distance, lambda dz: -np.einsum("nc,ncd->nd", dz, direction)
        z = offset - distance**2
        return z, lambda dz: -np.einsum("nc,ncd->nd", 2 * distance * dz, direction)

    return model


ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], ...]] = {
    "identity": (lambda u: u, np.ones_like),
    "relu": (lambda u: np.maximum(u, 0), lambda h: h > 0),
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "logistic": (lambda u: (1 + np.tanh(u / 2)) / 2, lambda h: h * (1 - h)),
}
"""a, and a′ as a function of h = a(u)."""


def multilayer(estimator: Any) -> Model:
    """MLPClassifier."""
    activate, slope = ACTIVATIONS[estimator.activation]

    def model(x: np.ndarray) -> Result:
        *hidden, last = zip(estimator.coefs_, estimator.intercepts_, strict=True)
        layers = [x]
        for weight, bias in hidden:
            layers.append(activate(layers[-1] @ weight + bias))

        def backward(dz: np.ndarray) -> np.ndarray:
            dh = one_gradient(dz, last[0].shape[1]) @ last[0].T
            for (weight, _), h in zip(reversed(hidden), reversed(layers[1:]), strict=True):
                dh = (dh * slope(h)) @ weight.T
            return dh

        return two_scores(layers[-1] @ last[0] + last[1]), backward

    return model


def linear_svc(estimator: Any) -> Model | None:
    """SVC and NuSVC with a linear kernel; None for other kernels."""
    if estimator.kernel != "linear":
        return None
    margins, count = pairwise_margins(len(estimator.classes_))
    answer = answer_of(estimator)

    def model(x: np.ndarray) -> Result:
        weight = weights(estimator)
        f = x @ weight.T + estimator.intercept_
        z, pair, sign = margins(f)

        def backward(dz: np.ndarray) -> np.ndarray:
            df = np.zeros((len(x), count))
            rows = np.arange(len(x))
            for c in range(dz.shape[1]):
                df[rows, pair[:, c]] += sign[:, c] * dz[:, c]
            return df @ weight

        return follow_answer(z, answer(x)), backward

    return model


def pairwise_margins(classes: int) -> tuple[Callable[[np.ndarray], tuple[np.ndarray, ...]], int]:
    """The margins of an SVC, and the number of pairs of classes.

    The function takes f (N, pairs), for i of each pair (i, j), i < j; of two classes f (N,) or
    (N, 1) is for j. It returns z (N, C) = min_k f_ck, the pair that each is of, and its sign there.
    """
    pairs = list(combinations(range(classes), 2))
    signs = np.zeros((classes, len(pairs)))
    for pair, (i, j) in enumerate(pairs):
        signs[i, pair], signs[j, pair] = (1, -1) if classes > 2 else (-1, 1)

    def margins(f: np.ndarray) -> tuple[np.ndarray, ...]:
        every = np.where(signs == 0, np.inf, f.reshape(len(f), 1, len(pairs)) * signs)
        pair = every.argmin(axis=2)
        z = np.take_along_axis(every, pair[..., None], axis=2)[..., 0]
        return z, pair, signs[np.arange(classes), pair]

    return margins, len(pairs)


def answer_of(estimator: Any) -> Callable[[np.ndarray], np.ndarray]:
    """What an estimator predicts, as columns of its scores."""
    return lambda x: np.searchsorted(estimator.classes_, estimator.predict(x))


LINEAR = (
    "LinearDiscriminantAnalysis", "LinearSVC", "LogisticRegression", "LogisticRegressionCV",
    "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV",
    "SGDClassifier",
)  # fmt: skip

CLASSIFIERS: dict[str, Callable[[Any], Model | None]] = {
    **dict.fromkeys(LINEAR, linear),
    "MLPClassifier": multilayer,
    "NearestCentroid": nearest_centroid,
    "NuSVC": linear_svc,
    "SVC": linear_svc,
}
"""Class of scikit-learn → its scores with gradients, of a fitted one."""
