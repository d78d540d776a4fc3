"""Each shipped model answers what was recorded, its card is complete, and all are small."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from ship_weights import sample_record
from stored_weights import SMALL

import tinyproto
from tests import ROOT
from tinyproto import networks, prototypes, state
from tinyproto.attacks import Victim
from tinyproto.data import load
from tinyproto.data.datasets import SAMPLES
from tinyproto.evaluation.saved_models import open_model
from tinyproto.networks.storage import weights_file
from tinyproto.parameters import count, flatten
from tinyproto.pretrained import Card, Figure, Zoo
from tinyproto.pretrained.card import FOLDER, MAIN
from tinyproto.prototypes import WinnerTakeAll

CARDS = tinyproto.zoo()
NAMES = list(CARDS)


def test_there_are_models_and_every_file_belongs_to_one():
    assert {"cifar10-compact-adv-dpnp", "cifar10-compact-pgd", "mnist-ed-wta"} <= set(NAMES)
    expected = {f"{name}.{end}" for name in NAMES for end in ("npz", "json")}
    assert {path.name for path in FOLDER.iterdir()} == expected


def test_all_together_are_below_8_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 8_000_000


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_what_was_recorded(name):
    """Another processor may round one image over a boundary, not more."""
    recorded = CARDS[name].sample
    model, dataset, _ = open_model(CARDS[name].path, np)
    found = sample_record(model, dataset)
    for key in ("correct", "correct under PGD-20"):
        assert abs(found.pop(key) - recorded[key]) <= 1, key
    assert found.items() <= recorded.items()
    assert 0 < recorded["correct"] <= recorded["images"]


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_and_the_test_images_agree(name):
    """CIFAR-10's sample is 200 of the test images: 15 points are four standard deviations."""
    card = CARDS[name]
    accuracy = next(f.value for f in card.figures if f.measure == "test accuracy")
    if card.sample["dataset"] == "cifar10":
        assert abs(100 * card.sample["correct"] / card.sample["images"] - accuracy) < 15
    assert accuracy > 50


@pytest.mark.parametrize("name", NAMES)
def test_large_arrays_are_stored_in_float16_and_loaded_as_float32(name):
    card = CARDS[name]
    arrays, _ = state.load_arrays(weights_file(card.path))
    expected = np.float16 if card.storage.startswith("float16") else np.float32
    assert card.storage.startswith(("float16", "float32"))
    floats = {k: a for k, a in arrays.items() if a.dtype.kind == "f"}
    assert {a.dtype for a in floats.values() if a.size > SMALL} == {np.dtype(expected)}
    assert {a.dtype for a in floats.values() if a.size <= SMALL} <= {np.dtype(np.float32)}
    model = tinyproto.load(name)
    if isinstance(model, WinnerTakeAll):
        loaded = {k: getattr(model, k) for k in floats}
    else:
        loaded = flatten(model.params)
    for key, array in floats.items():
        assert loaded[key].dtype == np.float32
        np.testing.assert_array_equal(loaded[key], array.astype(np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_a_victim_takes_it(name):
    card = CARDS[name]
    data = load(card.sample["dataset"], SAMPLES)
    x = data.x_test[:40] / np.float32(255)
    x = x.reshape(40, -1) if x.ndim == 3 else x
    z, backward = Victim(tinyproto.load(name))(x)
    assert (z.argmax(axis=1) == data.y_test[:40]).mean() > 0.4
    assert backward(np.ones_like(z)).shape == x.shape


@pytest.mark.parametrize("name", NAMES)
def test_its_card_is_complete(name):
    card, model = CARDS[name], tinyproto.load(name)
    content = asdict(card)
    assert [k for k, v in content.items() if v in ("", None, (), {})] in (
        [],
        ["seconds"],
        ["source"],
    )
    assert card.name == name
    measures = {figure.measure for figure in card.figures}
    assert {"test accuracy", "PGD-20"} <= measures
    if isinstance(model, WinnerTakeAll):
        assert "certified" in measures
        assert card.network == type(model).__name__
    else:
        assert card.network == model.settings["kind"]
        assert card.weights == count(model.params)
    for figure in card.figures:
        assert figure.unit != "%" or 0 <= figure.value <= 100
        assert figure.images >= 0
    text = str(card)
    assert all(limit in text for limit in card.limits)
    assert card.command in text
    for command in card.command.split(" && "):
        python, script, *_ = command.split()
        assert python == "python"
        assert script.startswith(("examples/", "benchmarks/"))
        assert (ROOT / script).is_file()


def test_the_cards_print_as_a_table():
    lines = str(CARDS).splitlines()
    assert len(lines) == 1 + len(CARDS)
    assert [line.split()[0] for line in lines] == ["name", *NAMES]
    assert all(measure in lines[0] for measure in MAIN)
    card = CARDS["mnist-ed-wta"]
    figures = (Figure("PGD-20", 12.5, ball="A"), Figure("PGD-20", 50.0, ball="B"))
    assert replace(card, figures=figures).main() == ["", "12.5 % at A", "", ""]
    assert str(Zoo()).split()[0] == "name"


def test_figures_say_as_much_as_was_measured():
    assert str(Figure("test accuracy", 67.374, images=10_000)) == "67.37 %"
    assert str(Figure("AutoAttack", 33.51, ball="L∞ 8/255", images=1000)) == "33.5 % at L∞ 8/255"
    assert str(Figure("NC1", 0.123456, unit="")) == "0.1235"


def test_a_card_is_read_as_it_was_written():
    for name in NAMES:
        assert Card.read(FOLDER / f"{name}.json") == CARDS[name]


def test_load_takes_a_file_too(tmp_path):
    path = tmp_path / "model.npz"
    networks.save(networks.compact_cnn(5), path)
    assert tinyproto.load(path).settings["classes"] == 5
    network = prototypes.IPWTA(1, epochs=1).fit(np.eye(2), [0, 1])
    prototypes.save(network, path)
    assert isinstance(tinyproto.load(str(path)), prototypes.IPWTA)
