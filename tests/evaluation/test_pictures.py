"""Pictures of prototypes: what blue and red mean, grey levels, the first frame of the animation."""

import numpy as np
import pytest

from tinyproto.evaluation import pictures
from tinyproto.evaluation.pictures import animate_prototypes, plot_prototypes, plot_roc_curves

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

RANDOM = np.random.default_rng(0)
MEANING = ("blue: w⁻ is darker", "red: w⁺ is darker")


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been written."""
    kept = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: kept.append(figure))
    return kept


@pytest.mark.parametrize("end", ["png", "svg", "pdf"])
def test_each_picture_is_written(end, tmp_path):
    images = RANDOM.random((4, 8, 8))
    panels = {"positive": images, "difference": images - 0.5}
    plot_prototypes(
        panels, tmp_path / f"prototypes.{end}", class_names=["a", "b"],
        signed={"difference": MEANING}, title="A sentence.",
    )  # fmt: skip
    line = np.linspace(0, 1, 9)
    plot_roc_curves({"outliers": {"noise": (line, line**0.2)}}, tmp_path / f"detection.{end}")
    assert {p.name for p in tmp_path.iterdir()} == {f"prototypes.{end}", f"detection.{end}"}
    if end == "png":
        for path in tmp_path.iterdir():
            with Image.open(path) as picture:
                assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.1)
                assert np.asarray(picture.convert("L")).std() > 10


def test_a_bar_of_colours_says_what_blue_and_red_are(figures, tmp_path):
    images = RANDOM.random((4, 8, 8))
    panels = {"positive": images, "difference": 0.3 * images - 0.25}
    plot_prototypes(
        panels, tmp_path / "p.png", class_names=["a", "b"], signed={"difference": MEANING}
    )
    positive, difference, grey_bar, signed_bar = figures[0].axes
    assert [axis.get_title() for axis in (positive, difference)] == ["positive", "difference"]
    assert grey_bar.get_xlabel() == "grey level of a pixel"
    assert signed_bar.get_xlabel() == "blue: w⁻ is darker,  red: w⁺ is darker"
    drawn = difference.images[0]
    assert drawn.get_clim() == pytest.approx((-0.25, 0.25), abs=0.01)
    below, zero, above = drawn.to_rgba(np.array([[-0.2, 0.0, 0.2]]))[0, :, :3]
    assert below[2] > 2 * below[0]
    assert above[0] > 2 * above[2]
    assert np.ptp(zero) < 0.02
    assert [t.get_text() for t in signed_bar.get_xticklabels()] == ["-0.25", "0.00", "0.25"]
    low, high = positive.images[0].get_clim()
    assert (low, high) == (images.min(), images.max())
    assert positive.images[0].to_rgba(np.array([[high, low]]))[0, :, 0].tolist() == [0, 1]


def test_the_animation_begins_with_something_to_see(tmp_path):
    """A random start of small numbers is drawn with its own black, and the caption says so."""
    final = RANDOM.random((6, 8, 8))
    frames = [("start", RANDOM.uniform(-0.01, 0.01, (6, 8, 8))), ("epoch 1", final)]
    animate_prototypes(frames, tmp_path / "formation.gif", classes=3)
    with Image.open(tmp_path / "formation.gif") as picture:
        assert picture.n_frames == 2
        for frame in range(2):
            picture.seek(frame)
            below_caption = np.asarray(picture.convert("L"))[24:]
            assert below_caption.min() == 0
            assert below_caption.std() > 40
    animate_prototypes([("nothing", np.zeros((3, 4, 4)))], tmp_path / "zero.gif", classes=3)
    with Image.open(tmp_path / "zero.gif") as picture:
        assert np.asarray(picture.convert("L"))[24:].min() == 255
