"""Estimators of scikit-learn: answers beside predict, gradients beside finite differences."""

import functools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.attacks import Victim, apgd, autoattack, square
from tinyproto.interop import encode_labels, from_sklearn
from tinyproto.interop.classifiers import follow_answer
from tinyproto.interop.transforms import TRANSFORMS as TRANSFORM_MODELS
from tinyproto.prototypes import EDWTA

pytest.importorskip("sklearn", reason='needs pip install -e ".[sklearn]"')

from sklearn import linear_model, model_selection, preprocessing, svm
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

MLP = functools.partial(MLPClassifier, hidden_layer_sizes=(7, 5), max_iter=40, random_state=0)

WITH_GRADIENTS = {
    "logistic regression": linear_model.LogisticRegression,
    "logistic regression, cross-validated": functools.partial(
        linear_model.LogisticRegressionCV, Cs=2, cv=2
    ),
    "linear SVC": svm.LinearSVC,
    "SGD": linear_model.SGDClassifier,
    "sparse SGD": lambda: Sparse(),
    "ridge": linear_model.RidgeClassifier,
    "perceptron": linear_model.Perceptron,
    "linear discriminant analysis": LinearDiscriminantAnalysis,
    "SVC": functools.partial(svm.SVC, kernel="linear"),
    "SVC, one against one": functools.partial(
        svm.SVC, kernel="linear", decision_function_shape="ovo"
    ),
    "SVC, ties broken": functools.partial(svm.SVC, kernel="linear", break_ties=True),
    "ν-SVC": functools.partial(svm.NuSVC, kernel="linear", nu=0.1),
    "nearest centroid": NearestCentroid,
    "nearest centroid, shrunk": functools.partial(NearestCentroid, shrink_threshold=0.3),
    "nearest centroid, priors": functools.partial(NearestCentroid, priors="empirical"),
    "nearest median": functools.partial(NearestCentroid, metric="manhattan"),
    "nearest median, priors": functools.partial(
        NearestCentroid, metric="manhattan", priors="empirical"
    ),
    **{f"MLP, {a}": functools.partial(MLP, activation=a) for a in ("relu", "tanh", "logistic")},
    "MLP, identity": functools.partial(MLP, activation="identity", hidden_layer_sizes=(4,)),
    "MLP without a hidden layer": functools.partial(MLP, hidden_layer_sizes=()),
    "network of tinyproto": functools.partial(
        EDWTA, prototypes_per_class=2, epochs=2, dtype="float64"
    ),
}

TRANSFORMS = {
    "standard": preprocessing.StandardScaler,
    "standard, no mean": functools.partial(preprocessing.StandardScaler, with_mean=False),
    "standard, no deviation": functools.partial(preprocessing.StandardScaler, with_std=False),
    "min-max": functools.partial(preprocessing.MinMaxScaler, feature_range=(-1, 2)),
    "min-max, clipped": functools.partial(preprocessing.MinMaxScaler, clip=True),
    "max-abs": preprocessing.MaxAbsScaler,
    "robust": preprocessing.RobustScaler,
    "robust, no scale": functools.partial(preprocessing.RobustScaler, with_scaling=False),
    "PCA": functools.partial(PCA, 2),
    "PCA, whitened": functools.partial(PCA, 2, whiten=True),
    **{f"normalizer, {n}": functools.partial(preprocessing.Normalizer, n) for n in ("l2", "l1")},
    "normalizer, max": functools.partial(preprocessing.Normalizer, "max"),
    "pipeline of two": lambda: make_pipeline(
        preprocessing.RobustScaler(), "passthrough", PCA(3), preprocessing.MaxAbsScaler()
    ),
}

SCORES_ALONE = {
    "forest": functools.partial(RandomForestClassifier, 5),
    "neighbours": functools.partial(KNeighborsClassifier, 3),
    "naive Bayes": GaussianNB,
    "SVC with a kernel": svm.SVC,
    "SVC with a kernel, one against one": functools.partial(
        svm.SVC, decision_function_shape="ovo", gamma=20, C=100
    ),
    "scaler that is not derived": lambda: make_pipeline(
        preprocessing.QuantileTransformer(n_quantiles=9), linear_model.LogisticRegression()
    ),
    "scaler in front of a forest": lambda: make_pipeline(
        preprocessing.StandardScaler(), RandomForestClassifier(5)
    ),
}


class Sparse(linear_model.SGDClassifier):
    """Sparse coefficients; made to look like scikit-learn's own class."""

    def fit(self, X, y):
        super().fit(X, y).sparsify()
        return self


Sparse.__name__, Sparse.__module__ = "SGDClassifier", linear_model.SGDClassifier.__module__


def fitted(make, seed, classes, d=4, count=60, dtype=np.float64):
    """A fitted estimator whose classes are odd numbers; more examples, inside and outside."""
    random = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), random.integers(0, classes, count - classes)])
    y = np.sort(y)[random.permutation(count)]
    centers = random.random((classes, d))
    x = (centers[y] + 0.2 * random.normal(size=(count, d))).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations
        estimator = make().fit(x, 2 * y + 1)
    return estimator, (2.4 * random.random((80, d)) - 0.7).astype(dtype)


def columns(estimator, x):
    return encode_labels(estimator, estimator.predict(x))


def check_gradient(victim, x, seed, lifted=False):
    """Of Σ_c w_c z_c along a random direction, in float64; not where a score was lifted."""
    random = np.random.default_rng(seed)
    z, backward = victim(x)
    weights, direction = random.normal(size=z.shape), random.normal(size=x.shape)
    found = (backward(weights) * direction).reshape(len(x), -1).sum(axis=1)
    step = 1e-6 * direction
    change = victim(x + step)[0] - victim(x - step)[0]
    expected = (weights * change).sum(axis=1) / 2e-6
    # A step that crosses a kink of relu, |·| or a minimum has no derivative to compare with.
    wrong = np.abs(found - expected) > 1e-5 * (1 + np.abs(expected))
    wrong &= np.logical_not(lifted)
    assert wrong.sum() <= 1, (found[wrong], expected[wrong])
    assert np.abs(found).max() > 1e-3


cases = given(seed=st.integers(0, 10**6), classes=st.integers(2, 5))


@pytest.mark.parametrize("name", WITH_GRADIENTS)
@settings(max_examples=3)
@cases
def test_the_largest_score_is_the_answer_and_gradients_are_finite_differences(name, seed, classes):
    estimator, x = fitted(WITH_GRADIENTS[name], seed, classes)
    victim = from_sklearn(estimator)
    z, _ = victim(x)
    assert z.shape == (80, classes)
    np.testing.assert_array_equal(z.argmax(axis=1), columns(estimator, x))
    check_gradient(victim, x, seed, "SVC" in name and z.max(axis=1) < 0)


@pytest.mark.parametrize("name", TRANSFORMS)
@settings(max_examples=3)
@cases
def test_the_same_behind_a_transform(name, seed, classes):
    def make():
        return make_pipeline(TRANSFORMS[name](), linear_model.LogisticRegression(C=10))

    estimator, x = fitted(make, seed, classes)
    victim = from_sklearn(estimator)
    np.testing.assert_array_equal(victim(x)[0].argmax(axis=1), columns(estimator, x))
    check_gradient(victim, x, seed)


CLIPPING = [functools.partial(preprocessing.MinMaxScaler, r) for r in ((0, 1), (-1, 2))]
if hasattr(preprocessing.MaxAbsScaler(), "clip"):
    CLIPPING.append(preprocessing.MaxAbsScaler)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scaler", CLIPPING)
def test_a_scaler_clips_beyond_its_limits_and_not_at_them(scaler, dtype):
    """Where rounding puts a limit above itself, too, and for a feature that is constant."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (3, 200)).astype(dtype)
    x[:, 0] = 0.5
    fitted = scaler(clip=True).fit(x)
    low, high = x.min(axis=0), x.max(axis=0)
    if isinstance(fitted, preprocessing.MaxAbsScaler):
        high = abs(x).max(axis=0)
        low = -high
    dy = np.ones_like(x[:1])
    slope = TRANSFORM_MODELS[type(fitted).__name__](scaler().fit(x))(x[:1])[1](dy)
    model = TRANSFORM_MODELS[type(fitted).__name__](fitted)
    for limit, step in ((low, -dtype(1e-4)), (high, dtype(1e-4))):
        np.testing.assert_array_equal(model(limit[None])[1](dy), slope)
        assert not model(limit[None] + step)[1](dy)[:, 1:].any()


@pytest.mark.parametrize("name", SCORES_ALONE)
@settings(max_examples=3)
@cases
def test_scores_alone_answer_as_predict_does(name, seed, classes):
    estimator, x = fitted(SCORES_ALONE[name], seed, classes)
    victim = from_sklearn(estimator)
    z, backward = victim(x)
    assert z.shape == (80, classes)
    np.testing.assert_array_equal(z.argmax(axis=1), columns(estimator, x))
    with pytest.raises(ValueError, match="without a function for gradients, which this attack"):
        backward(z)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 6),
    kind=st.sampled_from([svm.SVC, svm.NuSVC]),
    break_ties=st.booleans(),
    dtype=st.sampled_from(["f4", "f8"]),
)
def test_an_svc_answers_by_votes_wherever_it_is_asked(seed, classes, kind, break_ties, dtype):
    """Far outside of the data, where pairs of classes disagree in cycles, too."""
    options = {"nu": 0.05} if kind is svm.NuSVC else {"C": 50}
    make = functools.partial(kind, kernel="linear", break_ties=break_ties, **options)
    estimator, x = fitted(make, seed, classes, d=2, dtype=dtype)
    x = np.concatenate([x, 50 * x])
    z, _ = from_sklearn(estimator, lo=-100, hi=100)(x)
    np.testing.assert_array_equal(z.argmax(axis=1), columns(estimator, x))
    if classes > 2:  # the margins of pairs, and votes counted by a loop
        pairs = svm.SVC.decision_function(
            estimator.set_params(decision_function_shape="ovo", break_ties=False), x
        )
        for scores, f in zip(z, pairs, strict=True):
            margin = {}
            for i in range(classes):
                for j in range(i + 1, classes):
                    margin[i, j] = f[len(margin) // 2]
                    margin[j, i] = -margin[i, j]
            least = [min(margin[i, j] for j in range(classes) if j != i) for i in range(classes)]
            lifted = scores.argmax()
            for c in range(classes):
                if c != lifted or max(least) > 1e-6:
                    assert scores[c] == pytest.approx(least[c], rel=1e-6, abs=1e-6)


def test_the_votes_of_an_svc_go_round_in_a_cycle_somewhere():
    """The test above must have met one: a point where no class beats all others."""
    make = functools.partial(svm.SVC, kernel="linear", C=50)
    for seed in range(20):
        estimator, x = fitted(make, seed, 5, d=2)
        z, _ = from_sklearn(estimator, lo=-100, hi=100)(np.concatenate([x, 50 * x]))
        if (z.max(axis=1) < 0).any():
            return
    raise AssertionError("no cycle")


def test_an_answer_that_is_not_the_largest_score_is_lifted_just_above():
    z = np.array([[1.0, 3.0, 2.0], [0.0, 0.0, 0.0], [5.0, 1.0, 2.0]])
    lifted = follow_answer(z, np.array([0, 2, 0]))
    assert lifted.argmax(axis=1).tolist() == [0, 2, 0]
    np.testing.assert_allclose(lifted, [[3, 3, 2], [0, 0, 0], [5, 1, 2]], atol=1e-15)


def test_a_threshold_of_its_own_decides():
    estimator = model_selection.FixedThresholdClassifier(GaussianNB(), threshold=0.9)
    random = np.random.default_rng(0)
    x = random.random((100, 3))
    estimator.fit(x, (x.sum(axis=1) + 0.3 * random.normal(size=100) > 1.5).astype(int))
    answers = columns(estimator, x)
    assert (answers != estimator.estimator_.predict(x)).any()
    np.testing.assert_array_equal(from_sklearn(estimator)(x)[0].argmax(axis=1), answers)


def test_two_scores_of_one():
    estimator, x = fitted(linear_model.LogisticRegression, 0, 2)
    s = estimator.decision_function(x)
    np.testing.assert_array_equal(from_sklearn(estimator)(x)[0], np.stack([-s, s], axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_are_seen_as_rows_and_their_gradients_are_images(dtype):
    estimator, x = fitted(MLP, 0, 3, d=12, dtype=dtype)
    victim = from_sklearn(estimator)
    images = x.reshape(-1, 2, 2, 3)
    z, backward = victim(images)
    dx = backward(np.ones_like(z))
    assert dx.shape == images.shape
    assert dx.dtype == dtype
    np.testing.assert_array_equal(z, victim(x)[0])


def test_a_search_over_parameters_is_its_best_estimator():
    search = model_selection.GridSearchCV(
        make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        {"logisticregression__C": [0.1, 1]}, cv=2,
    )  # fmt: skip
    estimator, x = fitted(lambda: search, 0, 3)
    victim = from_sklearn(estimator)
    expected = estimator.best_estimator_.decision_function(x)
    np.testing.assert_array_equal(victim(x)[0], expected)
    check_gradient(victim, x, 0)


def test_a_class_of_ones_own_has_scores_alone():
    """What it overrides is not known."""

    class Mine(linear_model.LogisticRegression):
        def decision_function(self, X):
            return super().decision_function(X**2)

    estimator, x = fitted(Mine, 0, 3)
    z, backward = from_sklearn(estimator)(x)
    np.testing.assert_array_equal(z.argmax(axis=1), columns(estimator, x))
    with pytest.raises(ValueError, match="without a function for gradients"):
        backward(z)


def digits(count=120):
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x[:count] / 16).astype(np.float32), y[:count]


def test_attacks_lower_the_accuracy_that_the_estimator_itself_reports():
    x, y = digits()
    estimator = make_pipeline(preprocessing.MinMaxScaler(), MLPClassifier(30, random_state=0))
    estimator.fit(x, y)
    victim = from_sklearn(estimator)
    assert repr(victim) == "Victim(Pipeline, lo=0.0, hi=1.0)"
    attacked = autoattack(victim, x[:20], y[:20], eps=0.15, version=["apgd-ce", "fab-t"])
    assert np.abs(attacked - x[:20]).max() <= 0.15
    assert estimator.score(x[:20], y[:20]) > 0.9
    assert estimator.score(attacked, y[:20]) < 0.5


def test_a_forest_is_attacked_by_square_and_refuses_what_needs_gradients():
    x, y = digits()
    estimator = RandomForestClassifier(10, random_state=0).fit(x, y)
    victim, images = from_sklearn(estimator), x[:20].reshape(-1, 8, 8, 1)
    attacked = square(victim, images, y[:20], eps=0.3, queries=60)
    assert estimator.score(attacked.reshape(20, 64), y[:20]) < 0.6
    with pytest.raises(ValueError, match="attack it by square, or let") as error:
        apgd(victim, images, y[:20], eps=0.3)
    assert "\n" not in str(error.value)


def test_labels_of_any_kind_become_columns():
    estimator, _ = fitted(linear_model.LogisticRegression, 0, 4)
    assert encode_labels(estimator, [7, 1, 3]).tolist() == [3, 0, 1]
    assert encode_labels(estimator, []).dtype == np.int64
    for wrong in ([0], [1, 2]):
        with pytest.raises(ValueError, match=r"which is none of \[1 3 5 7\]") as error:
            encode_labels(estimator, wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"must have the shape \(N,\), not \(1, 1\)"):
        encode_labels(estimator, [[1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: linear_model.LinearRegression().fit(x, x[:, 0]), "LinearRegression has no cla"),
        (lambda x: GaussianNB(), "This GaussianNB instance is not fitted yet"),
        (lambda x: PCA(1).fit(x), "takes a fitted classifier, not PCA"),
        (lambda x: len, "takes a fitted classifier, not builtin"),
        (lambda x: MLP().fit(x, x[:, :3] > 0.5), "MLPClassifier gives more than one label"),
        (
            lambda x: KNeighborsClassifier().fit(x, (x[:, :3] > 0.5).astype(int)),
            "KNeighborsClassifier gives more than one label for an example",
        ),
        (
            lambda x: VotingClassifier([("a", GaussianNB())]).fit(x, x[:, 0] > 0.5),
            "VotingClassifier has neither decision_function nor predict_proba",
        ),
    ],
)
def test_what_is_no_classifier_is_refused_in_one_line(make, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make(np.random.default_rng(0).random((30, 4)))
    with pytest.raises(ValueError, match=message) as error:
        from_sklearn(model)
    assert "\n" not in str(error.value)


def test_a_decision_function_of_another_width_is_refused():
    class Wide(linear_model.LogisticRegression):
        def decision_function(self, X):
            return np.zeros((len(X), 7))

        def predict(self, X):
            return np.full(len(X), self.classes_[0])

    estimator, x = fitted(Wide, 0, 3)
    with pytest.raises(ValueError, match="Wide has 7 scores for 3 classes"):
        from_sklearn(estimator)(x)


def test_without_scikit_learn_the_message_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs scikit-learn; .*pip install -e '.\[sklearn\]'"):
        from_sklearn(None)


def test_bounds_go_to_the_victim():
    estimator, _ = fitted(GaussianNB, 0, 2)
    victim = from_sklearn(estimator, lo=-1, hi=2)
    assert isinstance(victim, Victim)
    assert (victim.lo, victim.hi) == (-1, 2)
