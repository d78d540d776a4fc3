"""`tinyproto certify`: the certificate's table, its file, and what cannot be certified."""

import json

import numpy as np
import pytest

from tests.command.test_program import status
from tinyproto import command
from tinyproto.data import load
from tinyproto.pretrained import load as load_model
from tinyproto.prototypes import certified_accuracy, exact_radius

MODEL = "mnist-ed-wta"
ARGUMENTS = ["certify", MODEL, "--examples", "12"]

pytestmark = pytest.mark.usefixtures("samples_only")


def test_the_radii_are_exact_and_the_table_counts_them(tmp_path, capsys):
    state, out = tmp_path / "radii.npz", tmp_path / "table.csv"
    options = ["--eps", "0.5", "1", "--state", str(state), "--out", str(out)]
    assert status(*ARGUMENTS, *options, "--format", "json") == 0
    printed = json.loads(capsys.readouterr().out)
    data = load("mnist", download=False)
    x = data.x_test[:12].reshape(12, -1) / np.float32(255)
    radius, _ = exact_radius(load_model(MODEL), x, data.y_test[:12], lo=0.0, hi=1.0)
    expected = [100 * float((radius > 0).mean()), *100 * certified_accuracy(radius, [0.5, 1.0])]
    assert [row["certified accuracy %"] for row in printed["rows"]] == expected
    assert [row["eps"] for row in printed["rows"]] == [0.0, 0.5, 1.0]
    assert out.read_text().count("\n") == 4
    with np.load(state) as file:
        np.testing.assert_array_equal(file["radius"], radius)
    assert status(*ARGUMENTS, "--state", str(state)) == 0  # other radii of the table
    assert "L2, pixels in [0, 1], 12 images; median radius " in capsys.readouterr().out


def test_without_the_box_the_radii_are_smaller():
    options = {"eps": 0.5, "examples": 5, "verbose": False}
    inside = command.certify(MODEL, **options)
    anywhere = command.certify(MODEL, in_box=False, **options)
    assert (anywhere.radius <= inside.radius * (1 + 1e-9)).all()
    assert "pixels" not in anywhere.note()


def test_the_status_says_whether_enough_is_proved(capsys):
    assert status(*ARGUMENTS, "--eps", "100", "--fail-below", "1") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "below 1 %: certified accuracy at eps 100 is 0 %"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar10-compact-pgd"], "cifar10-compact-pgd is a network of layers, of which no exact"),
        (["nowhere.npz"], "nowhere.npz: expected a saved network, found nothing"),
        ([MODEL, "--workers", "0"], "--examples and --workers must be 1 or more"),
        ([MODEL, "--norm", "linf", "--eps", "3"], "--eps 3 is more than"),
        ([MODEL, "--out", "a.txt"], "--out must end in .json, .csv or .md"),
        ([MODEL, "--dataset", "cifar10"], "choose --dataset mnist"),
    ],
)
def test_what_cannot_be_certified_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status("certify", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not list(tmp_path.iterdir())
