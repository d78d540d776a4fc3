"""python -m tinyproto.evaluation: attacks on saved models, and one-line errors."""

import json
import re

import numpy as np
import pytest

from tests import ROOT
from tinyproto.data import load
from tinyproto.evaluation.__main__ import main, parse
from tinyproto.evaluation.result_folder import exclusive
from tinyproto.evaluation.saved_models import parse_radius
from tinyproto.evaluation.suites import ATTACKS, LISTS
from tinyproto.prototypes import PlusMinusEDWTA, storage

MODEL = str(ROOT / "benchmarks" / "models" / "cifar10_pgd.npz")


pytestmark = pytest.mark.usefixtures("samples_only")


@pytest.mark.parametrize(
    ("text", "value"),
    [("8/255", 8 / 255), ("0.03", 0.03), (" 8 / 255 ", 8 / 255), ("0", 0.0), ("1", 1.0)],
)
def test_a_radius_is_a_fraction_or_a_decimal(text, value):
    assert parse_radius(text, "linf") == value


def test_a_radius_above_1_is_refused_in_linf_only():
    message = r"--eps 8 is more than the size of the box, 1 in linf; did you mean 8/255\?"
    with pytest.raises(ValueError, match=message):
        parse_radius("8", "linf")
    assert parse_radius("8", "l2") == 8


@pytest.mark.parametrize("text", ["", "x", "1/0", "nan", "inf", "8/255/2"])
def test_an_invalid_radius_is_refused(text):
    with pytest.raises(ValueError, match="--eps must be a number like 0.031 or 8/255"):
        parse_radius(text, "linf")


def test_help_names_every_option_and_its_default(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")  # no name is broken at its hyphen
    with pytest.raises(SystemExit) as stop:
        parse(["--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Attack a saved network and print its accuracy under each attack." in text
    for option in ("attack", "eps", "norm", "examples", "batch", "seed", "device"):
        assert re.search(rf"--{option} .*?\(default: [\w/]+\)", text), option
    for name in (*LISTS, *ATTACKS):
        assert name in text


@pytest.mark.parametrize("saved", [False, True])
def test_an_interrupted_run_says_how_to_continue(saved, tmp_path, monkeypatch, capsys):
    def interrupt(model, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyproto.command.evaluation.evaluate", interrupt)
    path = tmp_path / "state.npz"
    if saved:
        path.write_bytes(b"")
    with pytest.raises(SystemExit) as stop:
        main([MODEL, "--state", str(path)])
    assert stop.value.code == 130
    message = capsys.readouterr().err
    if saved:
        assert message == f"stopped; run the same command again to continue from {path}\n"
    else:
        assert message == "stopped; no progress was saved (use --state FILE)\n"


def test_attacks_on_a_convolutional_network(tmp_path, capsys):
    out, saved = tmp_path / "table.json", tmp_path / "state.npz"
    arguments = [MODEL, "--attack", "fgsm", "pgd-20", "--examples", "12", "--batch", "5",
                 "--out", str(out), "--state", str(saved)]  # fmt: skip
    main(arguments)
    printed = capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert [row["attack"] for row in rows] == ["none", "fgsm", "pgd-20", "worst case"]
    assert rows[3]["accuracy %"] <= rows[0]["accuracy %"]
    assert "12 test images of cifar10" in printed
    assert saved.exists()
    before = out.read_text()
    main(arguments)  # everything is in the state file
    assert out.read_text() == before
    with (
        exclusive(tmp_path / ".state.npz.lock", "taken"),
        pytest.raises(SystemExit, match=r"error: another evaluation is writing to .*state\.npz"),
    ):
        main(arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"table.json", "state.npz"}
    arguments[2:4] = ["pgd-20", "fgsm"]
    main(arguments)
    arguments[arguments.index("12")] = "13"
    capsys.readouterr()
    main(arguments)
    assert "L∞, eps 0.03137, seed 0, 13 examples" in capsys.readouterr().out


def test_attacks_on_a_winner_take_all_network(tmp_path, capsys):
    data = load("mnist", download=False)
    x = data.x_train.reshape(len(data.x_train), -1)[:500] / np.float32(255)
    path = tmp_path / "model.npz"
    storage.save(PlusMinusEDWTA(1, epochs=1).fit(x, data.y_train[:500]), path, dataset="fashion")
    with pytest.raises(SystemExit, match="fashion: not in /nowhere"):
        main([str(path)])
    storage.save(storage.load(path), path)
    out = tmp_path / "table.csv"
    main([str(path), "--attack", "apgd-ce", "fab", "cw-linf", "square", "--eps", "0.1",
          "--examples", "8", "--out", str(out)])  # fmt: skip
    assert "8 test images of mnist" in capsys.readouterr().out
    assert out.read_text().count("\n") == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npz"], "error: nowhere.npz: expected a saved network, found nothing"),
        (["."], "error: .: expected a saved network, found a folder"),
        ([__file__], "error: .*test_command.py is not a file that tinyproto saved"),
        ([MODEL, "--eps", "8"], "error: --eps 8 is more than"),
        ([MODEL, "--eps", "-1"], "error: --eps must be 0 or more, not -1"),
        ([MODEL, "--attack", "cw2"], "error: attack 'cw2' is unknown; there are autoattack, "),
        (
            [MODEL, "--attack", "fgsm", "autoattack"],
            "error: attack 'autoattack' cannot be combined with others",
        ),
        ([MODEL, "--attack", "cw"], "error: attack 'cw' is for norm 'l2', not 'linf'"),
        ([MODEL, "--examples", "0"], "error: --examples and --batch must be 1 or more"),
        ([MODEL, "--seed", "-1"], r"error: --seed must be in \[0, 2\*\*32\), not -1"),
        ([MODEL, "--state", "/"], "error: / is a folder: a file is needed"),
        ([MODEL, "--out", "/dev/null/a.csv"], "error: cannot write /dev/null/a.csv: "),
        (
            [MODEL, "--out", "a.csv", "--state", "a.csv"],
            "--out and --state must be different files",
        ),
        ([MODEL, "--out", "table.txt"], "--out must end in .json, .csv or .md, not 'table.txt'"),
        (
            [MODEL, "--dataset", "mnist"],
            "was trained on cifar10, images of 32 × 32 × 3 in 10 classes; mnist has "
            "images of 28 × 28 in 10 classes: choose --dataset cifar10",
        ),
        ([MODEL, "--dataset", "cifar100"], "cifar100 has images of 32 × 32 × 3 in 100 classes"),
        ([MODEL, "--dataset", "imagenet"], "expected one of the data sets .* found 'imagenet'"),
        ([MODEL, "--data", "nowhere"], "error: nowhere: expected a folder"),
    ],
)
def test_wrong_input_gives_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as error:
        main([*arguments, "--examples", "4"] if "--examples" not in arguments else arguments)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
