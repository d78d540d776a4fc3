"""python -m tinyproto.evaluation.geometry: its table, file, pictures, and one-line errors."""

import numpy as np
import pytest

from tests import ROOT
from tinyproto.data import load
from tinyproto.evaluation.geometry import GeometryReport
from tinyproto.evaluation.geometry.__main__ import main
from tinyproto.prototypes import PlusMinusEDWTA, storage

MODEL = str(ROOT / "benchmarks" / "models" / "cifar10_adv_dpnp.npz")
OTHER = str(ROOT / "benchmarks" / "models" / "cifar10_pgd.npz")

pytestmark = pytest.mark.usefixtures("samples_only")


def test_the_table_the_file_and_the_pictures(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, folder = tmp_path / "a.json", tmp_path / "pictures"
    main([MODEL, "--examples", "20", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "20 test images of cifar10" in printed
    report = GeometryReport.read(out)
    assert report.text() in printed
    assert report.prototypes["angle, least, degrees"] > 90
    main([OTHER, "--examples", "20", "--out", str(out), "--pictures", str(folder),
          "--format", "svg", "--relative-to", str(out)])  # fmt: skip
    other = GeometryReport.read(out)
    assert other.settings["vectors"] == "weight vector"
    assert other.text(report) in capsys.readouterr().out
    names = {"distances.svg", "angles.svg", "movement.svg", "discriminant.svg"}
    assert {file.name for file in folder.iterdir()} == names
    assert {file.name for file in tmp_path.iterdir()} == {"a.json", "pictures"}
    with pytest.raises(SystemExit, match="a.json was measured with examples 20, not 21"):
        main([MODEL, "--examples", "21", "--relative-to", str(out)])


def test_a_winner_take_all_network_has_no_features(tmp_path):
    data = load("mnist", download=False)
    x = data.x_train.reshape(len(data.x_train), -1)[:200] / np.float32(255)
    path = tmp_path / "model.npz"
    storage.save(PlusMinusEDWTA(1, epochs=1).fit(x, data.y_train[:200]), path)
    with pytest.raises(SystemExit, match="model.npz: PlusMinusEDWTA has no feature layer"):
        main([str(path), "--examples", "30"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npz"], "error: nowhere.npz: expected a saved network, found nothing"),
        ([MODEL, "--eps", "8"], "error: --eps 8 is more than"),
        ([MODEL, "--examples", "0"], "error: --examples and --batch must be 1 or more"),
        ([MODEL, "--examples", "3"], "error: class . of 10 has no images: take more"),
        ([MODEL, "--seed", "-1"], r"error: --seed must be in \[0, 2\*\*32\), not -1"),
        ([MODEL, "--out", "a.csv"], "error: --out must end in .json, not 'a.csv'"),
        ([MODEL, "--tsne"], "error: --tsne draws a picture: choose its folder"),
        ([MODEL, "--pictures", "/dev/null"], "error: cannot write /dev/null/distances.png"),
        ([MODEL, "--relative-to", "nowhere.json"], "error: nowhere.json: No such file"),
        ([MODEL, "--dataset", "mnist"], "choose --dataset cifar10"),
    ],
)
def test_wrong_input_gives_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as error:
        main(arguments)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
