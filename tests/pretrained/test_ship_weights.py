"""benchmarks/ship_weights.py: from the folder of a run to weights and a card in the package."""

import json
from dataclasses import replace

import model_pages
import numpy as np
import pytest
import ship_weights
import stored_weights
from model_descriptions import MODELS

import tinyproto
from tinyproto import networks
from tinyproto.data import load
from tinyproto.data.datasets import SAMPLES
from tinyproto.parameters import flatten
from tinyproto.pretrained import Figure, card, files
from tinyproto.prototypes import PlusMinusEDWTA, exact_radius, save

METRICS = {
    "robust_accuracy": {"fgsm 0.1": 0.5, "pgd 0.1": 0.4, "exact l2 0.5": 0.9},
    "seconds": 3.0,
    "device": "cpu",
    "data": {"name": "mnist", "train": 500, "test": 60, "complete": True},
    "settings": {"model": "pm-ed-wta", "preset": "authors", "random_state": 0, "norm": None},
}
JUDGED = {
    "clean": {"images": 60, "clean": 50},
    "attacks": {"asked": 40, "images": 40, "fgsm": 20, "cw-linf": 15, "seconds": 1.0},
    "autoattack": {"images": 40, "autoattack": 12, "warnings": ["w"]},
    "autoattack_all": {"images": 60, "autoattack": 15, "device": "cpu"},
    "corruption": {"images": 10, "corrupted %": 62.5},
    "geometry": {"images": 60, "least angle": 80.25, "compactness / separation": 0.5},
    "unseen": {"images": 10, "clean": 3, "pgd-20": 2},
}
"""As `reproduce.py judge` writes it."""
COMPACT = {"dataset": "cifar10", "network": "compact"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a finished run on a few digits that pass for all of MNIST, and an empty folder
    for what ships."""
    data = load("mnist", SAMPLES)
    few = replace(data, x_test=data.x_test[:60], y_test=data.y_test[:60], complete=True)
    monkeypatch.setattr(ship_weights, "load", lambda name, folder: few)
    monkeypatch.setattr(ship_weights, "ATTACKED", 30)
    monkeypatch.setattr(ship_weights, "SAMPLE_ATTACKED", 20)
    shipped = tmp_path / "models"
    for module in (card, files):
        monkeypatch.setattr(module, "FOLDER", shipped)
    x = data.x_train[:500].reshape(500, -1) / np.float32(255)
    folder = tmp_path / "run"
    save(PlusMinusEDWTA(2, epochs=2).fit(x, data.y_train[:500]), folder / "model.npz",
         dataset="mnist")  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    monkeypatch.setattr(ship_weights.judge, "read", lambda folder: JUDGED)
    return folder


def test_a_run_becomes_a_model_and_its_card(run):
    written = ship_weights.ship(run, None, "two cores")
    found = tinyproto.zoo()["mnist-ed-wta"]
    assert found == written
    assert found.device == "two cores"
    assert found.training == {"model": "pm-ed-wta", "preset": "authors", "random_state": 0}
    assert found.weights == 2 * 20 * 784 + 1
    assert found.storage.startswith("float16")
    assert found.storage.endswith(
        "measured before the rounding: FGSM, C&W, AutoAttack, mean accuracy under 19 corruptions, "
        "least angle between two classes, compactness / separation of the classes"
    )
    model, before = tinyproto.load("mnist-ed-wta"), tinyproto.load(run / "model.npz")
    np.testing.assert_array_equal(
        model.positive_prototypes_, before.positive_prototypes_.astype(np.float16)
    )
    assert model.beta_ == before.beta_
    values = {(f.measure, f.ball): (f.value, f.images) for f in found.figures}
    data = ship_weights.load("mnist", None)
    x = data.x_test.reshape(60, -1) / np.float32(255)
    assert values["test accuracy", ""] == (pytest.approx(100 * model.score(x, data.y_test)), 60)
    assert values["PGD-20", "L∞ 0.1"][1] == 30
    assert values["AutoAttack", "L∞ 8/255"] == (25.0, 60)
    assert values["FGSM", "L∞ 0.1"] == (50.0, 30)
    radius, _ = exact_radius(model, x, data.y_test, lo=0.0, hi=1.0)
    assert values["certified", "L2 0.5"] == (pytest.approx(100 * (radius > 0.5).mean()), 60)


def test_float32_stays_where_rounding_changes_the_accuracy(run, monkeypatch):
    monkeypatch.setattr(
        ship_weights,
        "rounded",
        lambda arrays: {k: a if a.dtype.kind in "iu" or a.size == 1 else -a
                        for k, a in arrays.items()},
    )  # fmt: skip
    found = ship_weights.ship(run, None, None)
    assert found.storage.startswith("float32")
    assert found.device == "the CPU"
    model, before = tinyproto.load("mnist-ed-wta"), tinyproto.load(run / "model.npz")
    np.testing.assert_array_equal(model.positive_prototypes_, before.positive_prototypes_)


def test_the_same_weights_ship_once(tmp_path, monkeypatch):
    """Only where all of them are the same, and never in the place of the model's own file."""
    shipped, new = tmp_path / "models", tmp_path / "new"
    monkeypatch.setattr(card, "FOLDER", shipped)
    new.mkdir()
    network = networks.compact_cnn(3)
    arrays = stored_weights.rounded(flatten(network.params))
    about = {"network": network.settings, "dataset": "cifar10"}
    assert stored_weights.write(arrays, shipped / "one.npz", about) == ""
    assert stored_weights.write(arrays, shipped / "one.npz", about) == ""
    averaged = {**about, "network": {**network.settings, "flip_average": True}}
    words = stored_weights.write(arrays, new / "two.npz", averaged)
    assert words == ", in the file of one"
    assert (new / "two.npz").stat().st_size < 2000
    assert (new / "one.npz").read_bytes() == (shipped / "one.npz").read_bytes()
    loaded = networks.load(new / "two.npz")
    assert loaded.settings["flip_average"] is True
    for name, array in flatten(loaded.params).items():
        np.testing.assert_array_equal(array, arrays[name].astype(np.float32))
    changed = {**arrays, "head/bias": arrays["head/bias"] + 1}
    assert stored_weights.write(changed, new / "two.npz", averaged) == ""
    assert networks.load(new / "two.npz").params["head"]["bias"][0] == changed["head/bias"][0]


def test_nothing_is_written_before_all_is_known(run, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(ship_weights, "sample_record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ship_weights.ship(run, None, None)
    assert not card.FOLDER.exists()


def test_a_sample_is_not_enough(run, monkeypatch):
    monkeypatch.setattr(ship_weights, "load", lambda name, folder: load("mnist", SAMPLES))
    with pytest.raises(ValueError, match="all test images of mnist are needed"):
        ship_weights.ship(run, None, None)
    assert not card.FOLDER.exists()


def test_judged_figures():
    """AutoAttack on more images goes before that on fewer; nothing of unseen training images."""
    ball = "L∞ 8/255"
    assert ship_weights.judged(JUDGED) == [
        Figure("FGSM", 50.0, "%", ball, 40),
        Figure("C&W", 37.5, "%", ball, 40),
        Figure("AutoAttack", 25.0, "%", ball, 60),
        Figure("mean accuracy under 19 corruptions", 62.5, "%", "", 10),
        Figure("least angle between two classes", 80.25, "°", "", 60),
        Figure("compactness / separation of the classes", 0.5, "", "", 60),
    ]
    assert ship_weights.judged({}) == []


def test_a_mean_has_no_binomial_interval():
    figures = [figure for figure in ship_weights.judged(JUDGED) if figure.unit == "%"]
    intervals = {figure.measure: model_pages._figure(figure)[2] for figure in figures}
    assert intervals.pop("mean accuracy under 19 corruptions") == ""
    assert all(" – " in text for text in intervals.values())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({**COMPACT, "method": "trades", "inner_attack": "pgd"}, "cifar10-compact-trades"),
        ({**COMPACT, "method": "pgd", "inner_attack": "n-fgsm"}, "cifar10-compact-n-fgsm"),
        ({**COMPACT, "method": "adv-dpnp", "inner_attack": "n-fgsm"}, "cifar10-compact-adv-dpnp"),
        (
            {**COMPACT, "method": "adv-dpnp", "inner_attack": "n-fgsm", "flip_average": True},
            "cifar10-compact-adv-dpnp-two-views",
        ),
        ({"preset": "robust"}, "mnist-ed-wta-robust"),
    ],
)
def test_the_name_follows_from_the_settings(settings, name):
    assert ship_weights.name_of({"settings": settings}) == name


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"preset": "accurate"}, "mnist-ed-wta-accurate"),
        ({**COMPACT, "method": "pgd", "network": "resnet18"}, "cifar10-resnet18-pgd"),
        ({**COMPACT, "method": "pgd", "dataset": "cifar100"}, "cifar100-compact-pgd"),
    ],
)
def test_a_run_that_does_not_ship(settings, name):
    with pytest.raises(ValueError, match=f"no model ships as {name}; there are "):
        ship_weights.name_of({"settings": settings})


def test_the_command_repeats_the_training():
    settings = {"method": "pgd", "limit": None, "learning_rate": 0.1, "clean_statistics": True,
                "x": False, "ranks": 2, "device": "cuda"}  # fmt: skip
    assert ship_weights.command_of(settings) == (
        "python examples/cifar10_adv_dpnp.py --method pgd --learning-rate 0.1 --clean-statistics"
    )


def test_weights_that_go_on_from_others_are_those_of_a_long_row(tmp_path):
    row, before = "n-fgsm-long", None
    for name, seconds in (("n-fgsm", 5.0), (f"{row}/part-2", 6.0), (row, 7.0)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        settings = {**COMPACT, "method": "pgd", "epochs": 3, "start_from": before}
        metrics = {"seconds": seconds, "settings": settings}
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
        before = str(tmp_path / name / "model.npz")
    runs = ship_weights.lineage(tmp_path / row)
    assert [found["seconds"] for found in runs] == [5.0, 6.0, 7.0]
    assert ship_weights.command_of(runs[-1]["settings"], row) == (
        "python benchmarks/reproduce.py train compare --rows n-fgsm --epochs 3 && "
        "python benchmarks/reproduce.py train long --rows n-fgsm-long --epochs 3"
    )
    with pytest.raises(ValueError, match="mine starts from other weights, and is no long row"):
        ship_weights.command_of(runs[-1]["settings"], "mine")
    (tmp_path / "n-fgsm" / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"n-fgsm has no metrics\.json"):
        ship_weights.lineage(tmp_path / row)


def test_every_model_that_ships_has_a_description():
    assert set(tinyproto.zoo()) <= set(MODELS)
    assert len(MODELS) == 10
