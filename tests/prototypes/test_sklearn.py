"""scikit-learn's own checks and tools, and the networks without scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest

from tinyproto.testing.prototypes import KINDS

SKIPS = {
    "check_array_api_input": "asks for SCIPY_ARRAY_API=1 in the environment",
    "check_classifier_data_not_an_array": "its second half asks for pandas, which is not required",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Estimator .* does not inherit")
def test_check_estimator(kind):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    results = checks.check_estimator(kind(), on_fail=None, on_skip=None)
    assert len(results) > 40
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"]
    assert not failed
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= set(SKIPS), f"skipped without a known reason: {skipped - set(SKIPS)}"


@pytest.mark.parametrize("kind", KINDS)
def test_pipeline_and_grid_search(kind):
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), kind(epochs=20))
    step = kind.__name__.lower()
    search = GridSearchCV(pipeline, {f"{step}__prototypes_per_class": [1, 2]}, cv=3)
    search.fit(x, names)
    assert search.best_score_ > 0.85
    assert search.predict(x[:2]).tolist() == ["setosa", "setosa"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_a_data_frame(kind):
    """scikit-learn's own check, which `check_estimator` does not run."""
    pytest.importorskip("pandas")
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    checks.check_dataframe_column_names_consistency(kind.__name__, kind(epochs=2))


def test_warnings_have_the_categories_of_scikit_learn():
    exceptions = pytest.importorskip("sklearn.exceptions")
    x, y = np.repeat(np.eye(2), 10, axis=0), np.repeat([0, 1], 10)
    with pytest.warns(exceptions.DataConversionWarning):
        network = KINDS[0](1, epochs=1).fit(x, y[:, None])
    with pytest.warns(exceptions.ConvergenceWarning):
        network.set_params(prototypes_per_class=2, init="kmeans").fit(x, y)


def test_it_works_where_scikit_learn_cannot_be_imported():
    program = """
import sys
sys.modules["sklearn"] = None
import numpy as np
from tinyproto.prototypes import PlusMinusEDWTA
x = np.repeat(np.eye(2), 10, axis=0)
network = PlusMinusEDWTA(1, epochs=5).fit(x, np.repeat(["a", "b"], 10))
assert network.score(x, np.repeat(["a", "b"], 10)) == 1
try:
    PlusMinusEDWTA().predict(x)
except ValueError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == "this PlusMinusEDWTA is not fitted yet; call fit first"
