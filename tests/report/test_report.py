"""The report: its parts, the page, and the command; the page is read back with an HTML parser."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from tinyproto import networks
from tinyproto.data import load
from tinyproto.evaluation.command import run_command
from tinyproto.parameters import count
from tinyproto.prototypes import PlusMinusEDWTA, save
from tinyproto.report import Settings
from tinyproto.report import __main__ as command
from tinyproto.report import run as parts_run
from tinyproto.report.content import LeftOut, Picture, Section, Table, Text
from tinyproto.report.page import Judged, render
from tinyproto.report.subject import Subject
from tinyproto.state import load_arrays, save_arrays

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

VOID = {"meta", "img", "link", "br", "hr"}
QUICK = ["--examples", "40", "--attack", "fgsm"]


class Page(HTMLParser):
    """What is in a page: that its elements are nested, its ids, links, pictures and headings."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.ids, self.links, self.pictures = [], [], [], []
        self.headings, self.cells, self.loads = [], [], []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if tag == "img":
            self.pictures.append(found)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.loads += [found[name] for name in ("src", "srcset", "data") if name in found]
        self.loads += [found["href"]] if tag == "link" else []
        assert tag not in ("script", "iframe", "object", "embed")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(text)


def read_page(path: Path) -> Page:
    text = path.read_text()
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert not re.search(r"@import|url\(", text)
    assert all(picture["alt"] for picture in page.pictures)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:]))  # noqa: B905
    assert len(text) < 5e6
    return page


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A ±ED-WTA network of the sample digits, and an untrained network of layers."""
    folder = tmp_path_factory.mktemp("models")
    data = load("mnist", download=False)
    x = data.x_train.reshape(len(data.x_train), -1) / np.float32(255)
    fitted = PlusMinusEDWTA(2, epochs=2, random_state=0).fit(x, data.y_train)
    save(fitted, folder / "digits.npz", dataset="mnist")
    network = networks.compact_cnn(10, feature_width=16, head="prototypes")
    networks.save(network, folder / "objects.npz", dataset="cifar10", method="adv-dpnp")
    return folder


def test_report_of_a_winner_take_all_network(models, tmp_path, capsys):
    out = tmp_path / "report"
    command.run(command.parse([str(models / "digits.npz"), "--out", str(out), *QUICK]))
    page = read_page(out / "index.html")
    figures = json.loads((out / "report.json").read_text())["digits"]
    assert set(figures["left out"]) >= {"radii", "corruptions"}
    assert {"model", "attacks", "certificate", "prototypes", "detection"} <= set(figures["parts"])
    assert len(page.pictures) >= 4
    for part in figures["parts"].values():
        for value in part["figures"].values():
            assert value in page.cells
    capsys.readouterr()
    before = {file: file.stat().st_mtime_ns for file in out.rglob("section.json")}
    first = (out / "index.html").read_bytes()
    command.run(command.parse([str(models / "digits.npz"), "--out", str(out), *QUICK]))
    assert before == {file: file.stat().st_mtime_ns for file in out.rglob("section.json")}
    assert (out / "index.html").read_bytes() == first


def test_clean_accuracy_is_that_of_the_network(models, tmp_path):
    subject = Subject(models / "digits.npz", Settings(examples=40))
    data = load("mnist", download=False)
    network = subject.winner_take_all
    expected = network.score(data.x_test[:40].reshape(40, -1) / np.float32(255), data.y_test[:40])
    section = parts_run.PARTS["model"](subject, tmp_path)
    assert section.figures["clean accuracy"] == f"{100 * expected:.1f} %"


@pytest.mark.parametrize(
    ("model", "settings", "ball"),
    [
        ("digits", {}, "L∞ radius 0.1"),
        ("digits", {"norm": "l2"}, "L2 radius 1.58"),
        ("objects", {}, "L∞ radius 8/255"),
        ("objects", {"eps": 4 / 255}, "L∞ radius 4/255"),
        ("objects", {"eps": 0.05}, "L∞ radius 0.05"),
        ("objects", {"norm": "l2"}, "L2 radius 0.5"),
    ],
)
def test_the_radius_in_words(models, model, settings, ball):
    assert Subject(models / f"{model}.npz", Settings(examples=10, **settings)).ball == ball


def test_attacked_images_are_in_the_ball_and_do_not_depend_on_the_number(models):
    few, many = (Subject(models / "digits.npz", Settings(examples=n)) for n in (20, 40))
    assert float(np.abs(few.attacked - few.x).max()) <= few.eps + 1e-6
    np.testing.assert_array_equal(few.attacked, many.attacked[:20])
    assert (few.predicted_attacked == few.y).sum() <= (few.predicted == few.y).sum()


def test_report_of_a_network_of_layers_beside_another(models, tmp_path):
    shutil.copy(models / "objects.npz", tmp_path / "copy.npz")
    out = tmp_path / "report"
    parts = ["--parts", "model", "attacks", "mistakes", "settings", "prototypes"]
    arguments = [str(models / "objects.npz"), "--compare", str(tmp_path / "copy.npz")]
    command.run(command.parse([*arguments, "--out", str(out), *QUICK, *parts]))
    page = read_page(out / "index.html")
    figures = json.loads((out / "report.json").read_text())
    assert set(figures) == {"objects", "copy"}
    one, other = figures["objects"]["parts"], figures["copy"]["parts"]
    assert one["attacks"]["figures"] == other["attacks"]["figures"]
    assert {"objects", "copy"} <= set(page.cells)
    assert "reconstructed" in (out / "index.html").read_text()


@pytest.mark.slow
def test_every_part_of_a_network_of_layers(models, tmp_path):
    out = tmp_path / "report"
    command.run(command.parse([str(models / "objects.npz"), "--out", str(out), *QUICK]))
    read_page(out / "index.html")
    figures = json.loads((out / "report.json").read_text())["objects"]
    assert set(figures["parts"]) | set(figures["left out"]) == set(parts_run.PARTS)
    assert {"geometry", "corruptions", "detection", "radii"} <= set(figures["parts"])
    assert set(figures["left out"]) <= {"certificate", "prototypes", "features"}


def wrong(tmp_path, models):
    return {
        "not a number": (["--eps", "wide"], "--eps must be a number"),
        "no examples": (["--examples", "0"], "--examples must be 1 or more"),
        "seed": (["--seed", "-1"], "--seed must be in"),
        "attack": (["--attack", "tickle"], "tickle"),
        "twice": (["--compare", str(models / "digits.npz")], "both models are named digits"),
        "data set": (["--dataset", "cifar10"], "was trained on mnist"),
    }


@pytest.mark.parametrize(
    "case", ["not a number", "no examples", "seed", "attack", "twice", "data set"]
)
def test_wrong_options_end_with_one_line_and_no_folder(case, models, tmp_path, capsys):
    options, message = wrong(tmp_path, models)[case]
    out = tmp_path / "report"
    chosen = command.parse([str(models / "digits.npz"), "--out", str(out), *options])
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: command.run(chosen))
    assert message in str(ended.value)
    assert "\n" not in str(ended.value)
    assert not out.exists()


def test_without_jinja_nothing_is_computed(models, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    out = tmp_path / "report"
    with pytest.raises(ImportError, match="needs Jinja2; install it with: pip install jinja2"):
        command.run(command.parse([str(models / "digits.npz"), "--out", str(out), *QUICK]))
    assert not out.exists()


def test_a_part_that_fails_costs_only_itself(counted, capsys):
    made, subject, folder = counted

    def failing(subject, folder):
        raise ValueError("class 2 of 10 has no images: take more.")

    parts_run.PARTS["absent"] = failing
    sections, left_out = parts_run.make_parts(subject, folder, made)
    assert set(sections) == {"plain", "pictured"}
    assert left_out == {"absent": "class 2 of 10 has no images: take more"}
    assert "left out: absent: class 2 of 10 has no images" in capsys.readouterr().err


def test_what_is_cheap_is_made_anew(counted, monkeypatch):
    made, subject, folder = counted
    monkeypatch.setattr(parts_run, "CHEAP", ("plain",))
    for _ in range(2):
        parts_run.make_parts(subject, folder, made)
    assert made["plain"] == 2
    assert made["pictured"] == 1


def test_other_outliers_or_labels_are_another_report(models, tmp_path, monkeypatch):
    first = Subject(models / "digits.npz", Settings(examples=40)).identity
    assert Subject(models / "digits.npz", Settings(examples=40)).identity == first
    letters = np.zeros((50, 28, 28), np.uint8)
    found = "tinyproto.report.subject.load_outliers"
    monkeypatch.setattr(found, lambda folder: {"letters": letters})
    changed = Subject(models / "digits.npz", Settings(examples=40)).identity
    assert "letters" in changed["outliers"]
    assert changed != first


def test_other_weights_in_the_file_beside_it_are_another_report(models, tmp_path):
    network, settings = networks.load(models / "objects.npz"), Settings(examples=4)
    about = {"network": network.settings, networks.storage.WEIGHTS_FROM: "weights.npz"}
    save_arrays({}, tmp_path / "model.npz", about)
    networks.save(network, tmp_path / "weights.npz")
    first = Subject(tmp_path / "model.npz", settings).identity
    assert Subject(tmp_path / "model.npz", settings).identity == first
    network.params["head"][next(iter(network.params["head"]))][...] *= 2
    networks.save(network, tmp_path / "weights.npz")
    assert Subject(tmp_path / "model.npz", settings).identity["model"] != first["model"]


def test_outliers_that_cannot_be_read_cost_one_part(models, monkeypatch):
    def damaged(folder):
        raise ValueError("fashion_mnist_test.npz is not a zip file")

    monkeypatch.setattr("tinyproto.report.subject.load_outliers", damaged)
    subject = Subject(models / "digits.npz", Settings(examples=40))
    assert subject.identity["outliers"] == "fashion_mnist_test.npz is not a zip file"
    with pytest.raises(ValueError, match="not a zip file"):
        parts_run.PARTS["detection"](subject, models)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"examples": -5}, "examples must be 1 or more"),
        ({"norm": "l7"}, "norm must be"),
        ({"attacks": "pgd-20"}, "attacks must be a tuple of names"),
        ({"attacks": ("pgd-21",)}, "attack 'pgd-21' is unknown"),
        ({"seed": -1}, "seed must be in"),
        ({"eps": -0.1}, "eps must be 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)
    assert Settings(norm="L2").norm == "l2"


def test_the_card_says_what_was_used(models):
    subject = Subject(models / "digits.npz", Settings(examples=40))
    card, used = (
        {row[column]: row["value"] for row in parts_run.PARTS[part](subject, models).blocks[0].rows}
        for part, column in (("model", "what"), ("settings", "setting"))
    )
    arrays = load_arrays(models / "digits.npz")[0]
    stored = sum(a.size for name, a in arrays.items() if name != "classes_")
    assert card["parameters"] == f"{stored:,}"
    assert used["judged with: images, detection"] == "40"
    assert used["judged with: images, masked gradients"] == "40"


def test_parameters_are_those_of_the_file(models):
    """Not those of the folded network, which has none for its batch normalizations."""
    subject = Subject(models / "objects.npz", Settings(examples=4))
    arrays = load_arrays(models / "objects.npz")[0]
    stored = sum(a.size for name, a in arrays.items() if "running_" not in name)
    assert f"{stored:,}" == f"{count(networks.load(models / 'objects.npz').params):,}"
    figures = parts_run.PARTS["model"](subject, models).figures
    assert figures["parameters"] == f"{stored:,}"


def test_no_part_at_all_is_an_error(models, tmp_path):
    from tinyproto.report import write_report

    with pytest.raises(ValueError, match="no part could be made: certificate: exact radii"):
        write_report([models / "objects.npz"], tmp_path / "out", parts=["certificate"])
    assert not (tmp_path / "out" / "index.html").exists()


def test_the_page_is_utf_8_whatever_the_locale(models, tmp_path):
    out = tmp_path / "report"
    arguments = [
        str(models / "digits.npz"),
        "--out",
        str(out),
        *QUICK,
        "--parts",
        "model",
        "attacks",
    ]
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    program = f"from tinyproto.report.__main__ import main; main({arguments!r})"
    subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "L∞ radius" in (out / "index.html").read_text(encoding="utf-8")


def png(width: int, height: int) -> bytes:
    from PIL import Image

    file = Path("a.png")
    Image.new("L", (width, height)).save(file)
    return file.read_bytes()


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """Two parts that count how often they are made, and a subject that has only an identity."""
    monkeypatch.chdir(tmp_path)
    made = {"plain": 0, "pictured": 0, "absent": 0}

    def plain(subject, folder):
        made["plain"] += 1
        return Section("Plain", [Text("a & b < c"), Table("t", [{"x": 1}])], {"figure": "1 %"})

    def pictured(subject, folder):
        made["pictured"] += 1
        (folder / "p.png").write_bytes(png(30, 20))
        return Section("Pictured", [Picture("p.png", 'a "picture"')])

    def absent(subject, folder):
        made["absent"] += 1
        raise LeftOut("not for this model")

    parts = {"plain": plain, "pictured": pictured, "absent": absent}
    monkeypatch.setattr(parts_run, "PARTS", parts)

    class Named:
        name = "model"
        identity = {"eps": 0.1}  # noqa: RUF012

    return made, Named(), tmp_path / "parts"


def test_parts_are_made_once(counted):
    made, subject, folder = counted
    first = parts_run.make_parts(subject, folder, made)
    assert parts_run.make_parts(subject, folder, made) == first
    assert made == {"plain": 1, "pictured": 1, "absent": 2}
    assert first[1] == {"absent": "not for this model"}


@pytest.mark.parametrize("damage", [
    "cut", "other JSON", "unknown block", "no picture", "half a picture", "identity"
])  # fmt: skip
def test_a_damaged_part_is_made_again(counted, damage):
    made, subject, folder = counted
    sections, _ = parts_run.make_parts(subject, folder, made)
    file = folder / "pictured" / "section.json"
    text = file.read_text()
    if damage == "cut":
        file.write_text(text[: len(text) // 2])
    elif damage == "other JSON":
        file.write_text("[1]")
    elif damage == "unknown block":
        file.write_text(text.replace('"kind": "picture"', '"kind": "sound"'))
    elif damage == "no picture":
        (folder / "pictured" / "p.png").unlink()
    elif damage == "half a picture":
        picture = folder / "pictured" / "p.png"
        picture.write_bytes(picture.read_bytes()[:-1])
    else:
        subject.identity = {"eps": 0.2}
    assert parts_run.make_parts(subject, folder, made)[0] == sections
    assert made["pictured"] == 2
    assert made["plain"] == (2 if damage == "identity" else 1)


def test_progress_of_other_settings_is_removed(counted):
    made, subject, folder = counted
    parts_run.make_parts(subject, folder, made)
    (folder / "plain" / "attacks.npz").write_bytes(b"of another model")
    parts_run.make_parts(subject, folder, made)
    assert (folder / "plain" / "attacks.npz").exists()
    subject.identity = {"eps": 0.2}
    parts_run.make_parts(subject, folder, made)
    assert not (folder / "plain" / "attacks.npz").exists()


def test_page_escapes_and_embeds(counted, tmp_path):
    made, subject, folder = counted
    judged = Judged("<model>", *parts_run.make_parts(subject, folder, made), folder)
    (tmp_path / "page.html").write_text(render([judged], "A <title>"))
    page = read_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "a &amp; b &lt; c" in text
    assert "<model>" not in text
    (picture,) = page.pictures
    assert picture["alt"] == 'a "picture"'
    assert (picture["width"], picture["height"]) == ("30", "20")
    content = picture["src"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(content) == (folder / "pictured" / "p.png").read_bytes()
    assert "not for this model" in text


def test_section_as_json():
    blocks = [Text("a"), Table("c", [{"n": 1}], "note"), Picture("f", "alt")]
    section = Section("T", blocks, {"k": "v"})
    assert Section.from_json(json.loads(json.dumps(section.to_json()))) == section
