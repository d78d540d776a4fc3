"""metrics.json: fractions, and numbers of NumPy."""

import json

import numpy as np
import pytest

from tinyproto.data import Dataset
from tinyproto.evaluation import write_metrics
from tinyproto.evaluation.metrics import format_table

IMAGES, LABELS = np.zeros((2, 2, 2, 1), np.uint8), np.zeros(2, int)


def write(path, **changed):
    data = Dataset("mnist", IMAGES, LABELS, IMAGES, LABELS, False, "a test", ("0",))
    given = {
        "data": data, "clean_accuracy": 0.9, "robust_accuracy": {"pgd": 0.4}, "seconds": 1.0,
        "images_per_second": 2.0, "seed": 0, "device": "cpu", "settings": {},
    }  # fmt: skip
    return write_metrics(path, **(given | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"clean_accuracy": 97.5},
            r"clean_accuracy must be a fraction .*, not 97.5; divide by 1",
        ),
        ({"clean_accuracy": np.nan}, r"clean_accuracy must be a fraction in \[0, 1\], not nan$"),
        ({"robust_accuracy": {"pgd": -0.1}}, r"robust_accuracy\['pgd'\] must be a fraction in"),
    ],
)
def test_accuracies_are_fractions(changed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "metrics.json", **changed)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_written(tmp_path):
    path = tmp_path / "metrics.json"
    write(path, clean_accuracy=np.float32(0.5), seed=np.int64(3), settings={"eps": np.ones(2)})
    content = json.loads(path.read_text())
    assert content["clean_accuracy"] == 0.5
    assert content["seed"] == 3
    assert content["settings"] == {"eps": [1.0, 1.0]}
    with pytest.raises(TypeError, match="metrics.json cannot hold <object object"):
        write(path, note=object())
    assert json.loads(path.read_text()) == content


def test_a_table_without_rows():
    assert format_table({}) == ""
