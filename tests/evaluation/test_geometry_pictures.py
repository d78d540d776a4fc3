"""Pictures of clean and attacked features: what they show, and the files that are written."""

import builtins
from functools import partial

import numpy as np
import pytest

from tinyproto.evaluation.geometry import (
    GeometryReport,
    discriminant_plane,
    geometry_report,
    pictures,
    plane_pictures,
    plot_angles,
    plot_discriminant_plane,
    plot_distances,
    plot_movement,
    plot_tsne,
)
from tinyproto.layers import Flatten, Linear, initialize
from tinyproto.networks import Network
from tinyproto.prototypes import PrototypeHead

pytest.importorskip("matplotlib")

NAMES = ["apple", "pear", "plum"]
X, Y = np.random.default_rng(0).random((60, 2, 2, 3)), np.arange(60) % 3
PLOTS = {
    "distances": plot_distances,
    "angles": plot_angles,
    "movement": plot_movement,
    "plane": partial(plot_discriminant_plane, class_names=NAMES),
}


def report_of(head):
    made = Network(Flatten(), head)
    return geometry_report(initialize(made, 0).to(dtype=np.float64), X, Y, eps=0.1)


@pytest.fixture(scope="module")
def report():
    return report_of(PrototypeHead(12, 3))


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    kept = []

    def keep(figure, path):
        kept.append(figure)

    for module in (pictures, plane_pictures):
        monkeypatch.setattr(module, "save_figure", keep)
    return kept


def texts(figure):
    from matplotlib.text import Text

    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", PLOTS)
def test_a_picture_is_the_same_every_time(name, report, tmp_path):
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        PLOTS[name](report, path, title="A network")
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(ValueError, match="must end in .png, .svg, .pdf"):
        PLOTS[name](report, tmp_path / "a.gif")


@pytest.mark.parametrize("name", PLOTS)
def test_weight_vectors_are_called_so(name, figures):
    PLOTS[name](report_of(Linear(12, 3)), "a.png", title="A network")
    said = texts(figures[0])
    assert "weight vector" in said
    assert "prototype" not in said
    assert "the decision" not in said


@pytest.mark.parametrize("name", PLOTS)
def test_a_report_from_a_file_cannot_be_drawn(name, report, tmp_path):
    report.write(tmp_path / "a.json")
    with pytest.raises(ValueError, match="read from a file has no features to draw"):
        PLOTS[name](GeometryReport.read(tmp_path / "a.json"), tmp_path / "a.png")


def test_densities_have_the_area_1_and_share_their_axes(report, figures):
    plot_distances(report, "a.png")
    left, right = figures[0].axes
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    for axis in (left, right):
        for line in axis.lines:
            x, density = line.get_data()
            assert np.trapezoid(density, x) == pytest.approx(1, abs=0.05)
        assert [line.get_linestyle() for line in axis.lines] == ["-", "--"]


def test_the_movement_is_drawn_from_clean_to_attacked(report, figures):
    plot_movement(report, "a.png")
    (axis,) = figures[0].axes
    arrays = report.arrays
    for side, line in enumerate(axis.lines[:2]):
        x, y = line.get_data()
        np.testing.assert_array_equal(x, arrays.own_distance[side])
        np.testing.assert_array_equal(y, arrays.rival_distance[side])
    arrows = [text for text in axis.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 40
    heads = {tuple(arrow.xy) for arrow in arrows}
    assert heads <= set(zip(arrays.own_distance[1], arrays.rival_distance[1], strict=True))
    assert "equal distances: the decision" in texts(figures[0])


def test_the_discriminant_plane_has_every_feature_and_prototype_in_place(report, figures):
    plot_discriminant_plane(report, "a.png", class_names=NAMES)
    origin, axes = discriminant_plane(report.arrays.features[0], Y, 3)
    for side, axis in enumerate(figures[0].axes):
        drawn = [group.get_offsets() for group in axis.collections]
        for j in range(3):
            expected = (report.arrays.features[side, j == Y] - origin) @ axes.T
            np.testing.assert_allclose(drawn[j], expected)
        marks = np.concatenate(list(drawn[3::2]))
        np.testing.assert_allclose(marks, (report.arrays.prototypes - origin) @ axes.T)
        assert [text.get_text() for text in axis.texts] == ["0", "1", "2"]
    assert figures[0].axes[0].get_xlim() == figures[0].axes[1].get_xlim()
    assert all(name in texts(figures[0]) for name in NAMES)


def test_marks_are_moved_apart():
    moved = plane_pictures._apart(np.array([[0.5, 0.5], [0.5, 0.5], [0.52, 0.5], [0.1, 0.1]]))
    between = np.linalg.norm(moved[:, None] - moved, axis=2)[np.triu_indices(4, 1)]
    assert between.min() > 0.05
    np.testing.assert_array_equal(moved[3], [0.1, 0.1])


def test_names_of_other_classes_are_refused(report, tmp_path):
    for plot in (plot_discriminant_plane, plot_tsne):
        with pytest.raises(ValueError, match="class_names must name 3 classes, not 2"):
            plot(report, tmp_path / "a.png", class_names=NAMES[:2])


def test_tsne_places_clean_and_attacked_features_and_prototypes(report, figures):
    pytest.importorskip("sklearn")
    plot_tsne(report, "a.png", class_names=NAMES, seed=1)
    clean, attacked = (
        np.concatenate([group.get_offsets() for group in axis.collections])
        for axis in figures[0].axes
    )
    assert len(clean) == len(attacked) == len(X) + 2 * 3
    np.testing.assert_array_equal(clean[-6:], attacked[-6:])
    assert (clean[:60] != attacked[:60]).any()


def test_without_scikit_learn_a_line_says_what_to_install(report, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="t-SNE needs scikit-learn: pip install scikit-learn"):
        plot_tsne(report, tmp_path / "a.png", class_names=NAMES)
