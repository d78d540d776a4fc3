"""`tinyproto evaluate`: several radii, formats, states, adversarial examples, the exit status."""

import argparse
import csv
import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest

from tests.command.test_program import status
from tinyproto import command
from tinyproto.command.subcommand import printing, status_of
from tinyproto.data import load
from tinyproto.pretrained import load as load_model
from tinyproto.state import load_arrays

MODEL = "mnist-ed-wta"
ARGUMENTS = ["evaluate", MODEL, "--attack", "fgsm", "pgd-20", "--examples", "40", "--batch", "16"]

pytestmark = pytest.mark.usefixtures("samples_only")


def rows_of(report):
    """What does not depend on the time."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in report["rows"]]


def printed(capsys, *arguments):
    assert status(*ARGUMENTS, *arguments) == 0
    return capsys.readouterr().out


def test_several_radii_are_those_of_each_alone(capsys):
    both = json.loads(printed(capsys, "--eps", "0.05", "0.1", "--format", "json"))["reports"]
    alone = [json.loads(printed(capsys, "--eps", e, "--format", "json")) for e in ("0.05", "0.1")]
    assert [report["settings"]["eps"] for report in both] == [0.05, 0.1]
    assert list(map(rows_of, both)) == list(map(rows_of, alone))


def test_the_tables_of_several_radii(tmp_path, capsys):
    out = tmp_path / "table.md"
    text = printed(capsys, "--eps", "0.05", "0.1", "--out", str(out))
    assert text.splitlines()[1].split() == ["accuracy", "%", "0.05", "0.1"]
    assert f"written to {out}" in text
    markdown = out.read_text(encoding="utf-8")
    assert markdown.startswith("| accuracy % | 0.05 | 0.1 |\n| --- | ---: | ---: |\n| none | ")
    assert markdown == printed(capsys, "--eps", "0.05", "0.1", "--format", "markdown")
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "--eps", "0.05", "0.1",
                                                   "--format", "csv"))))  # fmt: skip
    assert [row["eps"] for row in rows] == ["0.05"] * 4 + ["0.1"] * 4
    for name in ("pgd-20", "worst case"):
        (line,) = (line for line in markdown.splitlines() if line.startswith(f"| {name} "))
        found = [float(row["accuracy %"]) for row in rows if row["attack"] == name]
        assert [float(cell) for cell in line.split("|")[2:-1]] == pytest.approx(found, rel=1e-3)
        assert found[0] >= found[1]


def test_a_single_radius_prints_what_a_report_does(capsys):
    text = printed(capsys, "--eps", "0.1")
    report = command.evaluate(
        MODEL, eps=0.1, attack=["fgsm", "pgd-20"], examples=40, batch=16, verbose=False
    ).reports[0]
    without_seconds = [line.split()[:8] for line in report.text().splitlines()]
    assert [line.split()[:8] for line in text.splitlines()[1:]] == without_seconds
    assert capsys.readouterr().out == ""


def test_each_radius_has_a_state_and_continues(tmp_path, capsys):
    state = tmp_path / "state.npz"
    arguments = ["--eps", "0.05", "8/255", "--state", str(state), "--format", "json"]
    before = printed(capsys, *arguments)
    names = {"state-eps-0.05.npz", "state-eps-8_255.npz"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert printed(capsys, *arguments) == before  # also the seconds


def test_an_interrupted_evaluation_of_several_radii_continues(tmp_path, monkeypatch, capsys):
    """Stopped at the second radius, it attacks only what is left."""
    from tinyproto.evaluation import robustness

    state = tmp_path / "state.npz"
    arguments = ["--eps", "0.05", "0.1", "--state", str(state), "--format", "json"]
    whole = json.loads(printed(capsys, "--eps", "0.05", "0.1", "--format", "json"))
    save, saved = robustness._save, []

    def save_and_stop(path, report):
        save(path, report)
        saved.append(path)
        if len(saved) == 8:  # 3 batches of 2 attacks, and 2 of the second radius
            raise KeyboardInterrupt

    monkeypatch.setattr(robustness, "_save", save_and_stop)
    assert status(*ARGUMENTS, *arguments) == 130
    message = f"stopped; run the same command again to continue from {state}\n"
    assert capsys.readouterr().err.endswith(message)
    monkeypatch.setattr(robustness, "_save", save)
    continued = json.loads(printed(capsys, *arguments))
    assert list(map(rows_of, continued["reports"])) == list(map(rows_of, whole["reports"]))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_adversarial_examples_are_in_the_ball_and_misclassified(norm, tmp_path, capsys):
    """What a reader finds in the file, without this package's evaluation."""
    file, out = tmp_path / "adversarial.npz", tmp_path / "table.json"
    radii = {"linf": ["0.05", "0.1"], "l2": ["0.5", "1"]}[norm]
    text = printed(capsys, "--eps", *radii, "--norm", norm, "--save-adversarial", str(file),
                   "--out", str(out), "--state", str(tmp_path / "state.npz"))  # fmt: skip
    with np.load(file) as entries:
        found = dict(entries)
    data, model = load("mnist", download=False), load_model(MODEL)
    points = found["adversarial"]
    assert points.dtype == np.float32
    assert f"{len(points)} adversarial examples written to {file}" in text
    clean = data.x_test[found["index"]][..., None] / np.float32(255)
    difference = (points.astype(np.float64) - clean).reshape(len(points), -1)
    order = {"linf": np.inf, "l2": 2}[norm]
    distance = np.linalg.norm(difference, ord=order, axis=1)
    assert str(found["norm"]) == norm
    assert points.min() >= 0
    assert points.max() <= 1
    assert (distance <= found["eps"] + 1e-6).all()
    np.testing.assert_allclose(found["distance"], distance, rtol=1e-6)
    np.testing.assert_array_equal(found["label"], data.y_test[found["index"]])
    answers = model.predict(points.reshape(len(points), -1))
    np.testing.assert_array_equal(found["prediction"], answers)
    assert (answers != found["label"]).all()
    assert load_arrays(file)[1]["dataset"] == "mnist"
    # As many as the table says, and none twice.
    for report in json.loads(out.read_text())["reports"]:
        rows = {row["attack"]: row["accuracy %"] for row in report["rows"]}
        for attack in ("fgsm", "pgd-20"):
            of = (found["attack"] == attack) & (found["eps"] == report["settings"]["eps"])
            assert len(set(found["index"][of])) == of.sum()
            assert of.sum() == round(0.4 * (rows["none"] - rows[attack]))
    # The states do not have the points: they are found again, to the same bits.
    assert (
        status(
            *ARGUMENTS,
            "--eps",
            *radii,
            "--norm",
            norm,
            "--overwrite",
            "--save-adversarial",
            str(file),
            "--state",
            str(tmp_path / "state.npz"),
        )
        == 0
    )
    with np.load(file) as entries:
        assert set(entries) == set(found)
        for name, array in found.items():
            np.testing.assert_array_equal(entries[name], array)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eps", "0.1", "0.1"], "eps has 0.1 twice: each radius once"),
        (["--eps", "0.1", "8"], "--eps 8 is more than the size of the box"),
        (["--save-adversarial", "a.npy"], "--save-adversarial must end in .npz, not 'a.npy'"),
        (["--save-adversarial", "/dev/null/a.npz"], "cannot write /dev/null/a.npz: "),
        (["--save-adversarial", "old.npz"], "old.npz exists: choose another --save-adversarial or"),
        (["--save-adversarial", "a.npz", "--state", "a.npz"], "must be different files, not both"),
        (["--out", "a.npz"], "--out must end in .json, .csv or .md, not 'a.npz'"),
        (["--fail-below", "400"], "--fail-below must be in [0, 100] %, not 400"),
        (["--data", "nowhere"], "nowhere: expected a folder"),
    ],
)
def test_wrong_input_ends_with_2_and_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.npz").write_text("mine")
    assert status("evaluate", MODEL, "--examples", "4", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["old.npz"]
    assert (tmp_path / "old.npz").read_text() == "mine"


def test_an_accuracy_below_the_limit_ends_with_1_after_the_table(capsys):
    arguments = [*ARGUMENTS, "--eps", "0", "0.3"]
    assert status(*arguments, "--fail-below", "0") == 0
    capsys.readouterr()
    assert status(*arguments, "--fail-below", "60") == 1
    shown = capsys.readouterr()
    assert "worst case" in shown.out
    last = shown.err.splitlines()[-1]
    assert last.startswith("below 60 %: accuracy under attack at eps 0.3 is ")
    assert "eps 0 is" not in last


@pytest.mark.parametrize("count", [29, 57, 58, 100])
def test_exactly_the_limit_is_not_below_it(count, capsys):
    options = argparse.Namespace(fail_below=float(count))
    below = np.nextafter(np.float64(count), 0)
    assert status_of(options, {"accuracy": 100 * (count / 100), "certified": below}) == 0
    assert status_of(options, {"accuracy": count - 1e-3}) == 1


def test_a_table_is_in_its_file_where_standard_output_fails(tmp_path):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            pass

    out = tmp_path / "table.json"
    with redirect_stdout(Gone()), pytest.raises(BrokenPipeError), printing("json") as show:
        show({"json": lambda: "{}"}, out)
    assert out.read_text() == "{}"
