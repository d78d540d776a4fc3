"""Pictures of a training run: the content of their figures, and the files that are written."""

import numpy as np
import pytest

from tinyproto.evaluation import latent_picture, training_pictures
from tinyproto.evaluation.geometry import prototype_angles, prototype_plane
from tinyproto.evaluation.latent_picture import plot_latent_space
from tinyproto.evaluation.training_pictures import plot_attacks, plot_history
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
    """Arguments of plot_attacks. The first image keeps its class, the last is not changed."""
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(n, 32, 32, 3)).astype(np.float32)
    moved = np.clip(images + EPS * rng.choice([-1, 1], size=images.shape), 0, 1)
    moved[-1] = images[-1]
    truth = np.arange(n) % 10
    before, after = np.full((2, n, 10), 0.04)
    before[np.arange(n), truth] = 0.64
    after[np.arange(n), truth], after[np.arange(n), (truth + 1) % 10] = 0.21, 0.47
    after[[0, -1]] = before[[0, -1]]
    return {
        "images": images,
        "attacked": moved,
        "labels": truth,
        "clean_probabilities": before,
        "attacked_probabilities": after,
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
        figure.set_dpi(150)
        figure.draw_without_rendering()  # as `savefig` does: the layout takes two passes
        agg.FigureCanvasAgg(figure).draw()
        kept.append(figure)

    for module in (training_pictures, latent_picture):
        monkeypatch.setattr(module, "save_figure", keep)
    return kept


@each_picture
def test_it_is_written_and_not_blank(draw, tmp_path):
    draw(tmp_path / "new" / "picture.png")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["picture.png"]
    assert (tmp_path / "new" / "picture.png").stat().st_size < 500_000
    with Image.open(tmp_path / "new" / "picture.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert max(picture.size) < 2000
        assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.std() > 10
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


@pytest.mark.parametrize("name", ["curves", "attacks", "latent"])
@pytest.mark.parametrize(("end", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_other_formats_are_the_same_file_each_time(name, end, start, tmp_path):
    paths = [tmp_path / f"{n}.{end}" for n in (1, 2)]
    for path in paths:
        PICTURES[name](path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "picture.PNG.gz"])
def test_another_format_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"a picture must end in \.png, \.svg, \.pdf, not 'pic"):
        plot_history(history(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


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
    assert left.get_title() == "The training loss ends at 0.4."
    assert right.get_title() == "Attacked, 30.0% of the held-out images are right at the end."
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
    answers = [axis.get_xlabel() for axis in axes[0]]
    assert answers == [f"{NAMES[c]} 64%" for c in truth]
    changed = [f"{NAMES[c + 1]} 47%" for c in truth]
    assert [axis.get_xlabel() for axis in axes[2]] == [answers[0], *changed[1:-1], answers[-1]]
    red = [axis.xaxis.label.get_color() == "tab:red" for axis in axes[2]]
    assert red == [False, True, True, True, True, False]
    for axis, true, wrong in zip(axes[2, 1:], truth[1:], red[1:], strict=True):
        assert [text.get_text() for text in axis.texts] == [f"{NAMES[true]} 21%"] * wrong
    sentence = "The attack changes 4 of 6 right answers into wrong ones."
    assert figures[0].get_suptitle() == sentence


def test_an_attack_without_effect_is_grey_and_scaled_by_the_radius(figures, tmp_path):
    arguments = attacked(2, eps=0.25)
    arguments["attacked"] = arguments["images"]
    arguments["attacked_probabilities"] = arguments["clean_probabilities"]
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
        ({"labels": given["labels"][:2]}, "labels must "),
        (
            {"clean_probabilities": given["clean_probabilities"][:2]},
            r"clean_probabilities must be \(3, 10\), not \(2, 10\)",
        ),
        (
            {"class_names": NAMES[:3]},
            r"clean_probabilities must be \(3, 3\), not \(3, 10\)",
        ),
        (
            {"labels": np.array([0, 5, 2])},
            "image 1 is misclassified before the attack: leave it out",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            plot_attacks(path=tmp_path / "attacks.png", **given | changed)
    assert list(tmp_path.iterdir()) == []


def confused(*pairs):
    """Features at their prototypes, but for some that are at that of another class."""
    prototypes = np.eye(10, 16)
    labels = np.repeat(np.arange(10), 20)
    at = labels.copy()
    for true, other, count in pairs:
        at[np.flatnonzero(labels == true)[:count]] = other
    features = prototypes[at] + 0.05 * np.random.default_rng(0).normal(size=(200, 16))
    return features, labels, prototypes


def test_the_plane_is_that_of_the_three_classes_that_are_confused_most(figures, tmp_path):
    features, labels, prototypes = confused((3, 5, 9), (5, 3, 2), (8, 3, 4), (0, 8, 8))
    plot_latent_space(features, labels, prototypes, tmp_path / "latent.png", class_names=NAMES)
    left = figures[0].axes[0]
    drawn = [3, 5, 8]  # 11 between 3 and 5, then 4 with 8; 8 between 0 and 8 are not with these
    of_these = np.isin(labels, drawn)
    origin, axes = prototype_plane(features[of_these], prototypes[drawn])
    dots, stars = left.collections
    expected = (features[of_these] - origin) @ axes.T
    by_x = [sorted(map(tuple, points)) for points in (dots.get_offsets(), expected)]
    np.testing.assert_allclose(*by_x)  # drawn in a random order
    np.testing.assert_allclose(stars.get_offsets(), (prototypes[drawn] - origin) @ axes.T)
    assert [text.get_text() for text in left.texts] == [NAMES[j] for j in drawn]
    right = 60 - 9 - 2 - 4  # at a prototype of another of the three classes
    assert left.get_title() == f"{right / 60:.0%} of the dots are in their class's region."
    assert "60 images of cat, dog and ship (dots)" in left.get_xlabel()
    low, high = np.array([left.get_xlim(), left.get_ylim()]).T
    assert ((expected > low) & (expected < high)).all()


def test_a_dot_is_on_its_colour_where_its_class_has_the_largest_score(figures, tmp_path):
    """Also with biases and with vectors of several lengths, as a linear head has."""
    rng = np.random.default_rng(1)
    prototypes, biases = rng.normal(size=(3, 6)) * [[1], [2], [3]], rng.normal(size=3)
    features, labels = 2 * rng.normal(size=(300, 6)), rng.integers(0, 3, 300)
    plot_latent_space(
        features, labels, prototypes, tmp_path / "latent.png", class_names=NAMES[:3], biases=biases
    )
    left = figures[0].axes[0]
    regions, dots = left.images[0], left.collections[0]
    x0, x1, y0, y1 = regions.get_extent()
    picture = np.asarray(regions.get_array())
    places = np.asarray(dots.get_offsets())
    column = ((places[:, 0] - x0) / (x1 - x0) * 399).round().astype(int)
    row = ((places[:, 1] - y0) / (y1 - y0) * 399).round().astype(int)
    on = (picture[row, column, :3] == dots.get_facecolors()[:, :3]).all(axis=1)
    expected = ((features @ prototypes.T + biases).argmax(axis=1) == labels).mean()
    assert on.mean() == pytest.approx(expected, abs=0.02)  # some are at a border
    assert left.get_title().startswith(f"{expected:.0%} of the dots")


def test_the_densities_are_those_of_the_angles(figures, tmp_path):
    features, labels, prototypes = space(10, n=800)
    plot_latent_space(
        features, labels, prototypes, tmp_path / "latent.png", class_names=NAMES, noun="vector"
    )
    right = figures[0].axes[1]
    for line, angles in zip(
        right.lines, prototype_angles(features, labels, prototypes), strict=True
    ):
        x, density = line.get_data()
        assert np.trapezoid(density, x) == pytest.approx(1, abs=0.01)
        assert np.trapezoid(density * x, x) == pytest.approx(angles.mean(), abs=0.5)
        assert f"{np.median(angles):.0f}° in the median" in line.get_label()
    own, rival = prototype_angles(features, labels, prototypes)
    share = f"{(own < rival).mean():.0%} of the features are nearest to their own vector."
    assert right.get_title() == share
    assert "96.4° to 96.4° apart" in right.get_xlabel()
    assert "simplex of 10, all are 96.4° apart" in right.get_xlabel()


@pytest.mark.parametrize("classes", [2, 3])
def test_perfect_and_equal_features(classes, figures, tmp_path):
    prototypes = np.eye(classes, 4)
    labels = np.full(5, classes - 1)
    plot_latent_space(
        prototypes[labels], labels, prototypes, tmp_path / "l.png", class_names=NAMES[:classes]
    )
    assert figures[0].axes[0].get_title().startswith("100% of the dots")


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
