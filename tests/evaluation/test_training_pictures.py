"""Pictures of a training run: the content of their figures, and the files that are written."""

import numpy as np
import pytest

from tinyproto.evaluation import training_pictures
from tinyproto.evaluation.geometry import pairwise_angles, project_to_plane
from tinyproto.evaluation.training_pictures import plot_attacks, plot_history, plot_latent_space
from tinyproto.prototypes.dpnp import PrototypeHead

agg = pytest.importorskip("matplotlib.backends.backend_agg")
Image = pytest.importorskip("PIL.Image")

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
EPS = 8 / 255


def history(epochs=5, *left_out):
    rows = [
        {"epoch": e, "loss": 2 / e, "train": 0.1 * e, "seconds": 1.0 * e, "learning_rate": 0.1,
         "clean": 0.12 * e, "robust": 0.06 * e}
        for e in range(1, epochs + 1)
    ]  # fmt: skip
    return [{k: v for k, v in row.items() if k not in left_out} for row in rows]


def attacked(n=6, eps=EPS):
    """Arguments of plot_attacks. The last image is misclassified and so not attacked."""
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(n, 32, 32, 3)).astype(np.float32)
    moved = np.clip(images + EPS * rng.choice([-1, 1], size=images.shape), 0, 1)
    moved[-1] = images[-1]
    truth = np.arange(n) % 10
    before, after = truth.copy(), (truth + 1) % 10
    before[-1] = after[-1] = 9
    after[0] = truth[0]
    return {
        "images": images,
        "attacked": moved,
        "labels": truth,
        "clean_predictions": before,
        "attacked_predictions": after,
        "class_names": NAMES,
        "eps": eps,
    }


def numbered(classes):
    return [f"class {j}" for j in range(classes)]


def space(classes=10, width=16, n=200):
    rng = np.random.default_rng(0)
    prototypes = PrototypeHead(width, classes).params["prototypes"]
    labels = rng.integers(0, classes, n)
    return prototypes[labels] + 0.3 * rng.normal(size=(n, width)), labels, prototypes


PICTURES = {
    "curves": lambda path: plot_history(history(), path, title="a title"),
    "attacks": lambda path: plot_attacks(path=path, **attacked(8), title="a title"),
    "latent": lambda path: plot_latent_space(
        *space(n=500), path, class_names=NAMES, title="a title"
    ),
    "one epoch": lambda path: plot_history(history(1, "clean", "robust"), path),
    "one attack": lambda path: plot_attacks(path=path, **attacked(1, eps=0.5)),
    "two classes": lambda path: plot_latent_space(*space(2), path, class_names=NAMES[:2]),
    "fifteen classes": lambda path: plot_latent_space(*space(15), path, class_names=numbered(15)),
    "hundred classes": lambda path: plot_latent_space(
        *space(100, 128), path, class_names=[str(j) for j in range(100)]
    ),
}

each_picture = pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been written."""
    kept = []

    def keep(figure, path):
        figure.set_dpi(90)
        figure.draw_without_rendering()  # as `savefig` does: the layout takes two passes
        agg.FigureCanvasAgg(figure).draw()
        kept.append(figure)

    monkeypatch.setattr(training_pictures, "save_figure", keep)
    return kept


@each_picture
def test_it_is_written_and_not_blank(draw, tmp_path):
    draw(tmp_path / "new" / "picture.png")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["picture.png"]
    assert (tmp_path / "new" / "picture.png").stat().st_size < 500_000
    with Image.open(tmp_path / "new" / "picture.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert max(picture.size) < 1300
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.std() > 10
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


def written(figure):
    """The texts of a figure, without the numbers at its axes (hidden ticks have labels, too)."""
    yield from figure.texts
    for axis in figure.axes:
        yield from (axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts)
        yield from axis.get_legend().get_texts() if axis.get_legend() else ()
        ticks = (*axis.get_xticklabels(), *axis.get_yticklabels())
        yield from (tick for tick in ticks if tick.get_text()[:1].isalpha())


@pytest.mark.slow
@each_picture
def test_no_text_is_cut_off_or_overlaps_another(draw, figures, tmp_path):
    draw(tmp_path / "picture.png")
    page = figures[0].bbox.padded(1)
    texts = [text for text in written(figures[0]) if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, text
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, text
    upright = [
        (text.get_text(), box.shrunk(0.95, 0.8))
        for text, box in zip(texts, boxes, strict=True)
        if text.get_rotation() in (0, 90)
    ]
    crossing = [
        (one, other)
        for k, (one, box) in enumerate(upright)
        for other, beside in upright[:k]
        if box.overlaps(beside)
    ]
    assert crossing == []


@each_picture
def test_no_partial_file_is_left_when_matplotlib_raises(draw, tmp_path, monkeypatch):
    def fail(self, file, **options):
        file.write(b"half a picture")
        raise RuntimeError("out of memory")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    (tmp_path / "picture.png").write_bytes(b"an earlier one")
    with pytest.raises(RuntimeError, match="out of memory"):
        draw(tmp_path / "picture.png")
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]
    assert (tmp_path / "picture.png").read_bytes() == b"an earlier one"


def test_a_failed_write_keeps_the_earlier_picture(tmp_path, monkeypatch):
    def fail(self, content):
        with open(self, "wb") as file:
            file.write(content[:100])
        raise OSError("no space left on device")

    (tmp_path / "curves.png").write_text("an earlier one")
    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(OSError, match="no space left"):
        plot_history(history(), tmp_path / "curves.png")
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]
    assert (tmp_path / "curves.png").read_text() == "an earlier one"


def test_the_curves_show_the_history(figures, tmp_path):
    rows = history()
    plot_history(rows, tmp_path / "curves.png", title="a title")
    left, right = figures[0].axes
    np.testing.assert_array_equal(
        left.lines[0].get_xydata(), [(r["epoch"], r["loss"]) for r in rows]
    )
    for line, key in zip(right.lines, ("train", "clean", "robust"), strict=True):
        np.testing.assert_allclose(
            line.get_xydata(), [(r["epoch"], 100 * r[key]) for r in rows], rtol=1e-12
        )
    words = [text.get_text() for text in right.get_legend().get_texts()]
    assert words == [
        "training images, in training: 50.0% at the end",
        "held out, clean: 60.0% at the end",
        "held out, attacked: 30.0% at the end",
    ]
    assert figures[0].get_suptitle() == "a title"
    assert max(right.get_yticks()) <= 100


@pytest.mark.parametrize("epochs", [1, 2, 7, 200])
def test_epoch_ticks_are_integers_and_all_values_are_visible(epochs, figures, tmp_path):
    rows = [{**row, "train": 1.0, "clean": 1.0, "robust": 0.0} for row in history(epochs)]
    plot_history(rows, tmp_path / "curves.png")
    for axis in figures[0].axes:
        assert all(float(tick).is_integer() for tick in axis.get_xticks())
    right = figures[0].axes[1]
    low, high = right.get_ylim()
    assert low <= 0
    assert high >= 100
    assert 100 in right.get_yticks()


def test_a_missing_accuracy_has_no_curve(figures, tmp_path):
    plot_history(history(5, "robust"), tmp_path / "curves.png")
    assert len(figures[0].axes[1].lines) == 2
    with pytest.raises(ValueError, match="a row for one epoch or more"):
        plot_history([], tmp_path / "curves.png")


def test_attacks_show_images_predictions_and_scale(figures, tmp_path):
    arguments = attacked(6)
    images, moved, truth = arguments["images"], arguments["attacked"], arguments["labels"]
    plot_attacks(path=tmp_path / "attacks.png", **arguments)
    axes = np.array(figures[0].axes).reshape(3, 6)
    shown = np.array([[axis.images[0].get_array() for axis in line] for line in axes])
    np.testing.assert_allclose(shown[0], images, atol=1e-7)
    np.testing.assert_allclose(shown[2], moved, atol=1e-7)
    difference = moved.astype(np.float64) - images
    np.testing.assert_allclose(shown[1], 0.5 + difference / (2 * EPS), atol=1e-5)
    assert shown[1].max() == pytest.approx(1)  # full contrast
    np.testing.assert_array_equal(shown[1, -1], 0.5)  # not attacked: grey
    assert axes[1, 0].get_ylabel() == "difference\n× 15.9\n(grey is 0)"
    assert axes[2, 0].get_ylabel() == "attacked\nε = 8/255"
    assert [axis.get_title() for axis in axes[0]] == [NAMES[c] for c in truth]
    for line, name in ((axes[0], "clean_predictions"), (axes[2], "attacked_predictions")):
        predictions = arguments[name]
        assert [axis.get_xlabel() for axis in line] == [NAMES[c] for c in predictions]
        red = [axis.xaxis.label.get_color() == "tab:red" for axis in line]
        assert red == list(predictions != truth)


def test_an_attack_without_effect_is_grey_and_scaled_by_the_radius(figures, tmp_path):
    arguments = attacked(2, eps=0.25)
    arguments["attacked"] = arguments["images"]
    arguments["attacked_predictions"] = arguments["clean_predictions"]
    plot_attacks(path=tmp_path / "attacks.png", **arguments)
    axes = figures[0].axes
    np.testing.assert_array_equal(axes[2].images[0].get_array(), np.full((32, 32, 3), 0.5))
    assert axes[2].get_ylabel() == "difference\n× 2\n(grey is 0)"
    assert axes[4].get_ylabel() == "attacked\nε = 0.25"


def test_arrays_of_an_attack_that_do_not_match_are_refused(tmp_path):
    given = attacked(3)
    arrays = [name for name, value in given.items() if isinstance(value, np.ndarray)]
    for changed, message in (
        ({"attacked": given["attacked"][:2]}, r"must both be \(n, H, W, 3\)"),
        ({name: given[name][:0] for name in arrays}, r"must both be \(n, H, W, 3\)"),
        (
            {"clean_predictions": given["clean_predictions"][:2]},
            r"clean_predictions must hold one label .* \(3,\), not \(2,\)",
        ),
        (
            {"clean_predictions": given["labels"], "class_names": NAMES[:3]},
            "attacked_predictions must hold classes, 0 … 2, not 9",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            plot_attacks(path=tmp_path / "attacks.png", **given | changed)
    assert list(tmp_path.iterdir()) == []


def test_the_latent_space_shows_plane_names_and_angles(figures, tmp_path):
    features, labels, prototypes = space(10)
    plot_latent_space(features, labels, prototypes, tmp_path / "latent.png", class_names=NAMES)
    left, right = figures[0].axes[:2]
    flat, stars, ratio = project_to_plane(features, prototypes)
    dots, shapes = left.collections
    np.testing.assert_allclose(dots.get_offsets(), flat)
    np.testing.assert_allclose(shapes.get_offsets(), stars)
    colours = shapes.get_facecolors()
    assert len(np.unique(colours, axis=0)) == 10
    np.testing.assert_array_equal(dots.get_facecolors()[:, :3], colours[labels, :3])
    assert [text.get_text() for text in left.texts] == list(NAMES)
    assert f"{ratio:.0%}" in left.get_xlabel()
    low, high = np.array([left.get_xlim(), left.get_ylim()]).T
    assert ((flat > low) & (flat < high)).all()

    between, off = pairwise_angles(prototypes), ~np.eye(10, dtype=bool)
    drawn = right.images[0].get_array()
    np.testing.assert_allclose(drawn[off], between[off])
    assert np.ma.getmaskarray(drawn).sum() == 10 or np.isnan(drawn).sum() == 10  # the diagonal
    assert [text.get_text() for text in right.texts] == ["96"] * 90
    assert "arccos(−1/9) = 96.4°" in right.get_xlabel()
    assert [label.get_text() for label in right.get_yticklabels()] == list(NAMES)


def test_smaller_angles_are_red_and_larger_ones_blue(figures, tmp_path):
    features, labels, prototypes = space(3, 3)
    prototypes = np.array([[1, 0, 0], [1, 0.5, 0], [-1, 0.5, 0]])  # 27°, 153° and 127°, not 120°
    plot_latent_space(features, labels, prototypes, tmp_path / "latent.png", class_names=NAMES[:3])
    picture = figures[0].axes[1].images[0]
    near, far, regular = picture.to_rgba(np.array([[26.6, 153.4, 120.0]]))[0, :, :3]
    assert near[0] > near[2]
    assert far[2] > far[0]
    assert np.ptp(regular) < 0.02


def test_many_classes_have_colours_but_no_names(figures, tmp_path):
    plot_latent_space(*space(100, 128), tmp_path / "latent.png", class_names=numbered(100))
    left, right = figures[0].axes[:2]
    assert not left.texts
    assert not right.texts
    assert len(np.unique(left.collections[1].get_facecolors(), axis=0)) == 100
    assert "class 1" not in [label.get_text() for label in right.get_yticklabels()]


def test_arrays_of_a_latent_space_that_do_not_match_are_refused(tmp_path):
    features, labels, prototypes = space(10)
    path = tmp_path / "latent.png"
    with pytest.raises(ValueError, match="a prototype for each class, .* not 10 for 9 classes"):
        plot_latent_space(features, labels, prototypes, path, class_names=NAMES[:9])
    with pytest.raises(ValueError, match="labels must .*199"):
        plot_latent_space(features, labels[:-1], prototypes, path, class_names=NAMES)
    with pytest.raises(ValueError, match="labels must .*10"):
        plot_latent_space(features, np.arange(200) % 10 + 1, prototypes, path, class_names=NAMES)
    with pytest.raises(ValueError, match=r"prototypes must be \(M, 16\)"):
        plot_latent_space(features, labels, prototypes[:, :5], path, class_names=NAMES)
    assert list(tmp_path.iterdir()) == []
