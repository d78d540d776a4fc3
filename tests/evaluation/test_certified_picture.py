"""The picture of certified accuracy: what its curves show."""

import numpy as np
import pytest

from tinyproto.evaluation import certified_picture
from tinyproto.evaluation.certified_picture import plot_certified_accuracy

pytest.importorskip("matplotlib")

RADIUS = np.array([0.0, 1.0, 2.0, 4.0])
ATTACKED = np.array([0.0, 1.5, 2.1, np.inf])


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been written."""
    kept = []
    monkeypatch.setattr(certified_picture, "save_figure", lambda figure, path: kept.append(figure))
    return kept


def test_the_picture_is_written(tmp_path):
    path = tmp_path / "certified.png"
    plot_certified_accuracy(RADIUS, ATTACKED, path, norm="linf", marked=1.0, title="A sentence.")
    assert path.stat().st_size > 10_000


def test_each_curve_counts_the_inputs_and_attacks_are_the_upper_one(figures, tmp_path):
    plot_certified_accuracy(RADIUS, ATTACKED, tmp_path / "c.png", unboxed=RADIUS / 2, marked=1.2)
    axis = figures[0].axes[0]
    left, proved, unboxed, _ = axis.get_lines()
    for line, distances in ((left, ATTACKED), (proved, RADIUS), (unboxed, RADIUS / 2)):
        grid, values = line.get_data()
        for at in (0.3, 1.2, 1.7, 3.0):
            i = int(np.argmin(np.abs(grid - at)))
            assert values[i] == pytest.approx(100 * (distances > grid[i]).mean())
    assert (left.get_ydata() >= proved.get_ydata()).all()
    assert axis.get_xlabel() == "L2 norm of the perturbation"
    (text,) = axis.texts
    assert text.get_text() == "at 1.2: 50.0 % proved,\n75.0 % under attack"


def test_other_inputs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="attacked"):
        plot_certified_accuracy(RADIUS, ATTACKED[:2], tmp_path / "c.png")
    with pytest.raises(ValueError, match="norm must be"):
        plot_certified_accuracy(RADIUS, ATTACKED, tmp_path / "c.png", norm="l7")
