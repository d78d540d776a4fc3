"""Accuracy under corruptions: the report, its file, its picture and its command."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ROOT
from tinyproto.data import CORRUPTION_GROUPS, CORRUPTIONS, corrupt
from tinyproto.evaluation import corruption_report
from tinyproto.evaluation.corruption import CorruptionReport, plot_corruptions
from tinyproto.evaluation.corruption.__main__ import chosen, main, parse

MODEL = str(ROOT / "benchmarks" / "models" / "cifar10_pgd.npz")
RANDOM = np.random.default_rng(0)
X = np.clip(RANDOM.normal(128, 60, (24, 1, 1, 3)) + RANDOM.normal(0, 20, (24, 32, 32, 3)), 0, 255)
X = X.astype(np.uint8)
TWO = {"corruptions": ["contrast", "fog"], "severities": [1, 4]}


class Nearest:
    """Scores of three classes by the colour of the image; it counts its calls."""

    centres = np.array([[0.2, 0.5, 0.8], [0.5, 0.5, 0.5], [0.8, 0.6, 0.2]])

    def __init__(self):
        self.images = 0

    def __call__(self, images):
        assert images.dtype == np.float32
        self.images += len(images)
        mean = images.mean(axis=(1, 2))
        return -((mean[:, None] - self.centres) ** 2).sum(axis=2)


Y = Nearest()((X / np.float32(255)).astype(np.float32)).argmax(axis=1)
Y[:3] = (Y[:3] + 1) % 3  # errors on clean images


def accuracy_of(images):
    return (Nearest()(images / np.float32(255)).argmax(axis=1) == Y).mean()


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_each_cell_is_the_accuracy_on_those_images(batch_size):
    report = corruption_report(Nearest(), X, Y, seed=3, batch_size=batch_size, **TWO)
    assert report.clean == accuracy_of(X) == 21 / 24
    for name in TWO["corruptions"]:
        for severity in TWO["severities"]:
            expected = accuracy_of(corrupt(X, name, severity, seed=3))
            assert report.accuracy[name][severity] == pytest.approx(expected)
    assert list(report.accuracy) == ["contrast", "fog"]


def test_a_network_may_return_its_gradient_too():
    both = corruption_report(lambda x: (Nearest()(x), None), X, Y, **TWO)
    assert both.accuracy == corruption_report(Nearest(), X, Y, **TWO).accuracy


def test_a_part_of_the_data_set_gives_the_same_images():
    seen = []
    index = np.array([5, 2, 17])

    def classifier(images):
        seen.append(np.rint(images * 255))
        return Nearest()(images)

    corruption_report(
        classifier, X[index], Y[index], index=index, corruptions=["fog"], severities=[2]
    )
    assert (seen[-1] == corrupt(X, "fog", 2)[index]).all()


fractions = st.floats(0, 1)
reports = st.dictionaries(
    st.sampled_from(CORRUPTIONS),
    st.fixed_dictionaries(dict.fromkeys(range(1, 6), fractions)),
    min_size=1,
).flatmap(lambda cells: fractions.map(lambda clean: CorruptionReport(clean, cells)))


@given(report=reports)
def test_the_means(report):
    usual = [n for n in report.accuracy if n not in CORRUPTION_GROUPS["extra"]]
    names = usual or list(report.accuracy)
    table = np.array([[report.accuracy[n][s] for s in range(1, 6)] for n in names])
    assert report.mean == pytest.approx(table.mean())
    assert list(report.by_severity().values()) == pytest.approx(table.mean(axis=0))
    for group, mean in report.by_group().items():
        inside = [n for n in report.accuracy if n in CORRUPTION_GROUPS[group]]
        assert mean == pytest.approx(
            np.mean([list(report.accuracy[n].values()) for n in inside])
        )  # fmt: skip
        assert inside


@given(report=reports, worse=reports)
def test_errors_relative_to_another_report(report, worse):
    def errors(of, name, least):
        return sum(1 - a - least for a in of.accuracy[name].values())

    assert set(report.relative_to(worse)) - {"mean"} == set(report.accuracy) & set(worse.accuracy)
    for clean in (False, True):
        own_least, other_least = ((1 - r.clean) * clean for r in (report, worse))
        for name, quotient in report.relative_to(worse, clean=clean).items():
            if name != "mean" and abs(errors(worse, name, other_least)) > 1e-3:
                expected = errors(report, name, own_least) / errors(worse, name, other_least)
                assert quotient == pytest.approx(expected)


def test_a_report_relative_to_itself_is_1_and_to_a_perfect_one_infinite():
    report = CorruptionReport(0.9, {"fog": {1: 0.8, 2: 0.6}, "spatter": {1: 0.5}})
    assert report.relative_to(report) == {"fog": 1, "spatter": 1, "mean": 1}
    perfect = CorruptionReport(1.0, {"fog": {1: 1.0, 2: 1.0}})
    assert report.relative_to(perfect) == {"fog": np.inf, "mean": np.inf}
    assert np.isnan(perfect.relative_to(perfect)["fog"])


def test_the_table():
    report = CorruptionReport(0.9, {"fog": {1: 0.8, 2: 0.6}, "spatter": {1: 0.5, 2: 0.25}})
    assert report.text().splitlines() == [
        "accuracy %              1      2   mean",
        "clean                             90.00",
        "fog                 80.00  60.00  70.00",
        "mean of weather     80.00  60.00  70.00",
        "spatter             50.00  25.00  37.50",
        "mean of extra       50.00  25.00  37.50",
        "mean without extra  80.00  60.00  70.00",
    ]
    other = CorruptionReport(0.9, {"fog": {1: 0.6, 2: 0.2}})
    table = report.text(other).splitlines()
    assert table[0].endswith("mean  relative error %")
    assert table[2].endswith("70.00              50.0")
    extra = CorruptionReport(0.9, {"spatter": {1: 0.5, 2: 0.25}})
    assert extra.text(report).splitlines()[-2:] == [
        "mean of extra  50.00  25.00  37.50",
        "mean           50.00  25.00  37.50             100.0",
    ]


@given(report=reports)
def test_a_report_is_read_as_it_was_written(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.json"
    report.settings = {"seed": 3}
    report.write(path)
    again = CorruptionReport.read(path)
    assert (again.clean, again.accuracy) == (report.clean, report.accuracy)
    assert again.settings == report.settings


# The file.


def test_a_stopped_run_continues(tmp_path):
    path, whole = tmp_path / "report.json", corruption_report(Nearest(), X, Y, **TWO)

    class Stopping(Nearest):
        def __call__(self, images):
            if self.images >= 16 + 3 * len(X):  # the fingerprint, clean, and two cells
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        corruption_report(Stopping(), X, Y, path=path, **TWO)
    assert CorruptionReport.read(path).accuracy == {"contrast": whole.accuracy["contrast"]}
    rest = Nearest()
    continued = corruption_report(rest, X, Y, path=path, **TWO)
    assert rest.images == 16 + 2 * len(X)
    assert continued.accuracy == whole.accuracy
    assert CorruptionReport.read(path).accuracy == whole.accuracy
    nothing, index = Nearest(), np.arange(len(X), dtype=np.uint8)
    corruption_report(nothing, X, Y, path=path, index=index, **TWO)
    assert nothing.images == 16


def test_a_file_is_extended_and_the_report_is_what_was_asked_for(tmp_path):
    path = tmp_path / "report.json"
    corruption_report(Nearest(), X, Y, path=path, **TWO)
    report = corruption_report(
        Nearest(), X, Y, path=path, corruptions=["fog", "snow"], severities=[5, 1]
    )
    assert {n: list(cells) for n, cells in report.accuracy.items()} == {
        "fog": [1, 5],
        "snow": [1, 5],
    }
    saved = CorruptionReport.read(path).accuracy
    assert {n: set(cells) for n, cells in saved.items()} == {
        "contrast": {1, 4}, "fog": {1, 4, 5}, "snow": {1, 5}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": X[::-1]}, "its images, labels or index differ"),
        ({"y": (Y + 1) % 3}, "its images, labels or index differ"),
        ({"index": np.arange(24) + 1}, "its images, labels or index differ"),
        ({"x": X[:20], "y": Y[:20]}, "its examples is 24, not 20"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"classifier": lambda x: 2 * Nearest()(x)}, "the classifier's scores differ"),
    ],
)
def test_the_file_of_another_measurement_is_refused(tmp_path, changed, message):
    path = tmp_path / "report.json"
    corruption_report(Nearest(), X, Y, path=path, **TWO)
    before = path.read_text()
    arguments = {"classifier": Nearest(), "x": X, "y": Y, "path": path} | TWO | changed
    with pytest.raises(ValueError, match=f"belongs to another measurement: {message}"):
        corruption_report(**arguments)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.clear(), "is not a corruption report"),
        (lambda c: c.update(clean=1.5), "accuracy of clean must be in"),
        (lambda c: c.update(clean=True), "accuracy of clean must be in"),
        (lambda c: c.update(accuracy=[]), "expected accuracy and settings"),
        (lambda c: c["accuracy"].update(rain={}), "'rain' is no corruption with severities 1 … 5"),
        (lambda c: c["accuracy"]["fog"].update({"6": 0.5}), "'fog' is no corruption"),
        (lambda c: c["accuracy"]["fog"].update({"1": "x"}), "accuracy of fog must be in"),
        (lambda c: c["accuracy"]["fog"].update({"1": float("nan")}), "accuracy of fog must be in"),
        (lambda c: c["settings"].update(scores="x"), "the classifier's scores differ"),
    ],
)
def test_a_changed_file_is_refused(tmp_path, change, message):
    path = tmp_path / "report.json"
    corruption_report(Nearest(), X, Y, path=path, **TWO)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        corruption_report(Nearest(), X, Y, path=path, **TWO)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"kind": 1}'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"report\.json is not a corruption report"):
        CorruptionReport.read(path)


# The published files.


@pytest.fixture
def published(tmp_path):
    images = np.concatenate([corrupt(X, "fog", s, seed=9) for s in range(1, 6)])
    np.save(tmp_path / "fog.npy", images)
    np.save(tmp_path / "labels.npy", np.tile(Y, 5).astype(np.uint8))
    return tmp_path


def test_the_images_of_a_folder(published):
    report = corruption_report(Nearest(), X, Y, corruptions=["fog"], folder=published)
    ours = corruption_report(Nearest(), X, Y, corruptions=["fog"], seed=9)
    assert report.accuracy == ours.accuracy
    index = np.array([4, 20])
    part = corruption_report(
        Nearest(), X[index], Y[index], corruptions=["fog"], folder=published, index=index
    )
    expected = Nearest()(corrupt(X, "fog", 5, seed=9)[index] / np.float32(255)).argmax(axis=1)
    assert part.accuracy["fog"][5] == (expected == Y[index]).mean()


def test_a_folder_with_other_labels_is_refused(published):
    for wrong in ({"y": (Y + 1) % 3}, {"index": np.arange(24) + 1}):
        arguments = {"x": X, "y": Y, "corruptions": ["fog"], "folder": published} | wrong
        with pytest.raises(ValueError, match="has other images than those given: their labels"):
            corruption_report(Nearest(), **arguments)


# What is refused.


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": X / 255}, "x must hold at least one image of uint8, not 24 of float64"),
        ({"x": X[:0], "y": Y[:0]}, "x must hold at least one image of uint8, not 0"),
        ({"x": X[..., :1]}, r"x must have the shape \(N, 32, 32, 3\)"),
        ({"y": Y[:4]}, "y must hold one label for each of 24 examples"),
        ({"corruptions": ["rain"]}, "name must be one of"),
        ({"severities": [6]}, "severity must be 1 … 5, not 6"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"classifier": lambda x: x.mean(axis=(1, 2))[:, :2]}, "with C > 2"),
        ({"classifier": lambda x: x.mean(axis=(1, 2, 3))}, "a classifier must return scores"),
        ({"classifier": lambda x: x.mean(axis=(1, 2)) * np.nan}, "scores are not finite"),
    ],
)
def test_wrong_arguments(changed, message):
    with pytest.raises(ValueError, match=message) as error:
        corruption_report(**({"classifier": Nearest(), "x": X, "y": Y} | TWO | changed))
    assert "\n" not in str(error.value)


# Picture and command.


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_picture_is_the_same_every_time(tmp_path, kind):
    pytest.importorskip("matplotlib")
    report = CorruptionReport(0.9, {"fog": {1: 0.8, 5: 0.6}, "saturate": {5: 0.25}})
    first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    plot_corruptions(report, first, title="A network")
    plot_corruptions(report, second, title="A network")
    assert first.read_bytes() == second.read_bytes()
    report.accuracy["fog"][5] = 0.1
    plot_corruptions(report, second, title="A network")
    assert first.read_bytes() != second.read_bytes()


def test_no_picture_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="no corruption to draw"):
        plot_corruptions(CorruptionReport(0.9, {"fog": {}}), tmp_path / "a.png")
    with pytest.raises(ValueError, match="must end in .png, .svg, .pdf"):
        plot_corruptions(CorruptionReport(0.9, {"fog": {1: 0.5}}), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_groups_stand_for_their_corruptions():
    assert chosen(["all"]) == list(CORRUPTIONS)
    assert chosen(["fog", "noise", "shot_noise"]) == [*CORRUPTION_GROUPS["noise"], "fog"]


@pytest.mark.usefixtures("samples_only")
def test_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, picture = tmp_path / "a.json", tmp_path / "a.png"
    arguments = [MODEL, "--corruption", "fog", "contrast", "--severity", "1", "5",
                 "--examples", "12", "--out", str(out), "--picture", str(picture)]  # fmt: skip
    main(arguments)
    printed = capsys.readouterr().out
    report = CorruptionReport.read(out)
    assert report.text() in printed
    assert "12 test images of cifar10" in printed
    assert picture.exists()
    main([*arguments, "--relative-to", str(out)])
    assert report.text(report) in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"a.json", "a.png"}
    main([*arguments, "--relative-to", str(out), "--format", "json"])
    assert json.loads(capsys.readouterr().out)["relative error"] == report.relative_to(report)

    fewer = [MODEL, "--corruption", "fog", "--severity", "1", "--examples", "11"]
    with pytest.raises(SystemExit) as ended:
        main([*fewer, "--relative-to", str(out)])
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert "relative error" not in shown.out
    assert shown.err.endswith("a.json is of other images\n")
    with pytest.raises(SystemExit, match="a.json has no severity 2 of fog"):
        main([*fewer, "--severity", "1", "2", "--examples", "12", "--relative-to", str(out)])


@pytest.mark.usefixtures("samples_only")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npz"], "error: nowhere.npz: expected a saved network, found nothing"),
        ([MODEL, "--corruption", "rain"], "error: name must be one of .* not 'rain'"),
        ([MODEL, "--severity", "7"], "error: --severity must be 1 … 5, not 7"),
        ([MODEL, "--examples", "0"], "error: --examples and --batch must be 1 or more"),
        ([MODEL, "--out", "a.csv"], "error: --out must end in .json, not 'a.csv'"),
        ([MODEL, "--picture", "a.gif"], "error: --picture must end in .png, .svg, .pdf"),
        ([MODEL, "--dataset", "mnist"], "choose --dataset cifar10"),
        ([MODEL, "--corrupted", "nowhere"], "fog.npy: expected an array, .npy, found nothing"),
        ([MODEL, "--relative-to", "nowhere.json"], "error: nowhere.json: No such file"),
        ([MODEL, "--seed", "-1"], r"error: --seed must be in \[0, 2\*\*32\), not -1"),
    ],
)
def test_wrong_input_gives_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    defaults = [["--examples", "4"], ["--corruption", "fog"]]
    extra = [part for pair in defaults if pair[0] not in arguments for part in pair]
    with pytest.raises(SystemExit, match=message) as error:
        main([*arguments, *extra])
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_corruptions(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = "".join(capsys.readouterr().out.split())
    assert all(name in text for name in CORRUPTIONS)
