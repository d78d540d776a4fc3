"""The geometry of clean and attacked images: each measure against its definition, and the file."""

import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import pgd
from tinyproto.evaluation.geometry import (
    GeometryReport,
    class_means,
    geometry_report,
    latent_arrays,
    neural_collapse,
    pairwise_angles,
    separation,
)
from tinyproto.layers import Flatten, Linear, ReLU, Sequential, initialize
from tinyproto.networks import Network
from tinyproto.prototypes import PrototypeHead

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.random((30, 2, 2, 3)), np.arange(30) % 3


def network(kind, seed=0):
    head = PrototypeHead(4, 3, seed=seed) if kind == "prototypes" else Linear(4, 3)
    features = Sequential(Flatten(), Linear(12, 9), ReLU(), Linear(9, 4))
    made = initialize(Network(features, head), seed)
    if kind == "linear":
        made.head.params["bias"] += np.array([0.1, -0.2, 0.3], np.float32)
    return made.to(dtype=np.float64)


@pytest.mark.parametrize("kind", ["prototypes", "linear"])
def test_every_measure_is_what_its_name_says(kind):
    made = network(kind)
    report = geometry_report(made, X, Y, eps=0.1, seed=3)
    params = made.head.params
    c = params["prototypes"] if kind == "prototypes" else params["weight"].T
    bias = params.get("bias", np.zeros(3))
    assert report.settings["vectors"] == ("prototype" if kind == "prototypes" else "weight vector")
    clean, attacked = report.arrays.features
    np.testing.assert_allclose(clean, made.features(X)[0])
    for found, h in ((report.clean, clean), (report.attacked, attacked)):
        own, rival, own_angle, rival_angle, right = [], [], [], [], []
        for n, feature in enumerate(h):
            far = [float(np.linalg.norm(feature - vector)) for vector in c]
            turn = list(pairwise_angles(np.stack([feature, *c]))[0, 1:])
            own.append(far.pop(Y[n]))
            own_angle.append(turn.pop(Y[n]))
            rival.append(min(far))
            rival_angle.append(min(turn))
            right.append(int(np.argmax(c @ feature + bias)) == Y[n])
        quotient = np.divide(own, rival)
        means = class_means(h, Y, 3)
        to_mean = np.mean([np.linalg.norm(f - means[j]) for f, j in zip(h, Y, strict=True)])
        pairs = [(0, 1), (0, 2), (1, 2)]
        apart = [np.linalg.norm(means[j] - means[k]) for j, k in pairs]
        expected = {
            "accuracy %": 100 * np.mean(right),
            "distance to own prototype, median": np.median(own),
            "distance to own prototype, mean": np.mean(own),
            "distance to nearest rival prototype, median": np.median(rival),
            "distance to nearest rival prototype, mean": np.mean(rival),
            "own / rival distance, median": np.median(quotient),
            "own / rival distance, mean": np.mean(quotient),
            "angle to own prototype, degrees, median": np.median(own_angle),
            "angle to own prototype, degrees, mean": np.mean(own_angle),
            "angle to nearest rival prototype, degrees, median": np.median(rival_angle),
            "angle to nearest rival prototype, degrees, mean": np.mean(rival_angle),
            "distance to own class mean, mean": to_mean,
            "distance between class means, mean": np.mean(apart),
            "distance between class means, least": np.min(apart),
            "compactness / separation, class means": to_mean / np.mean(apart),
            "compactness / separation, prototypes": np.mean(own)
            / np.mean([np.linalg.norm(c[j] - c[k]) for j, k in pairs]),
            **separation(h, Y, 3),
            **neural_collapse(h, Y, c, bias),
        }
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value), name


@pytest.mark.parametrize("kind", ["prototypes", "linear"])
def test_the_movement_by_a_loop(kind):
    made = network(kind)
    report = geometry_report(made, X, Y, eps=0.1)
    params = made.head.params
    c = params["prototypes"] if kind == "prototypes" else params["weight"].T
    (h, moved), cosines, lengths = report.arrays.features, [], []
    for n in range(len(h)):
        z = c @ h[n] + params.get("bias", np.zeros(3))
        rival = max((j for j in range(3) if j != Y[n]), key=lambda j: z[j])
        step, towards = moved[n] - h[n], c[rival] - c[Y[n]]
        lengths.append(np.linalg.norm(step))
        cosines.append(step @ towards / (lengths[-1] * np.linalg.norm(towards)))
    assert min(lengths) > 0  # also of images that are classified wrongly
    assert 0 < report.arrays.correct[0].mean() < 1
    np.testing.assert_allclose(report.arrays.movement, lengths)
    np.testing.assert_allclose(report.arrays.cosine, cosines)
    apart = [np.linalg.norm(c[j] - c[k]) for j, k in ((0, 1), (0, 2), (1, 2))]
    found = report.movement
    assert found["distance ‖h′ − h‖, mean"] == pytest.approx(np.mean(lengths))
    assert found["‖h′ − h‖ / ‖h‖, median"] == pytest.approx(
        np.median(lengths / np.linalg.norm(h, axis=1))
    )
    assert found["‖h′ − h‖, mean / between prototypes"] == pytest.approx(
        np.mean(lengths) / np.mean(apart)
    )
    assert found["cosine with own → rival prototype, mean"] == pytest.approx(np.mean(cosines))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_attack_stays_in_its_ball_and_moves_features_to_rivals(norm):
    seen = []

    def attack(victim, x, y, **options):
        moved = geometry_report.__kwdefaults__["attack"](victim, x, y, **options)
        seen.append(moved - x)
        return moved

    report = geometry_report(network("prototypes"), X, Y, eps=0.2, norm=norm, attack=attack)
    flat = np.concatenate(seen).reshape(len(X), -1)
    order = np.inf if norm == "linf" else 2
    lengths = np.linalg.norm(flat, order, axis=1)
    assert 0 < lengths.min() <= lengths.max() <= 0.2 * (1 + 1e-9)
    name = "own / rival distance, mean"
    assert report.attacked[name] > report.clean[name]
    assert report.movement["cosine with own → rival prototype, mean"] > 0


@given(st.integers(1, 31))
def test_the_batch_size_changes_nothing(batch_size):
    made = network("prototypes")
    whole = geometry_report(made, X, Y, eps=0.1)
    parts = geometry_report(made, X, Y, eps=0.1, batch_size=batch_size)
    np.testing.assert_allclose(parts.arrays.features, whole.arrays.features, rtol=1e-9)


def test_a_part_of_the_data_set_is_attacked_alike():
    made, index = network("prototypes"), np.arange(12, 24)
    whole = geometry_report(made, X, Y, eps=0.1)
    part = geometry_report(made, X[index], Y[index], eps=0.1, index=index)
    np.testing.assert_allclose(part.arrays.features, whole.arrays.features[:, index], rtol=1e-9)


@given(st.floats(0.01, 100))
def test_only_distances_depend_on_the_scale(scale):
    features, c = RANDOM.normal(size=(2, 12, 4)), RANDOM.normal(size=(3, 4))
    one, other = (latent_arrays(s * features, np.arange(12) % 3, s * c) for s in (1.0, scale))
    np.testing.assert_allclose(other.own_distance, scale * one.own_distance)
    np.testing.assert_allclose(other.movement, scale * one.movement)
    np.testing.assert_allclose(other.own_angle, one.own_angle)
    np.testing.assert_allclose(other.cosine, one.cosine)
    np.testing.assert_array_equal(other.correct, one.correct)


def test_without_a_radius_nothing_moves():
    report = geometry_report(network("prototypes"), X, Y, eps=0.0)
    assert report.clean == report.attacked
    assert report.movement["distance ‖h′ − h‖, mean"] == 0
    assert math.isnan(report.movement["cosine with own → rival prototype, mean"])
    assert json.loads(report.json())["movement"]["cosine with own → rival prototype, mean"] is None
    assert "nan" not in report.text()


def test_another_attack_and_whole_numbers():
    x = np.rint(255 * X).astype(np.uint8)
    report = geometry_report(network("linear").to(dtype=np.float32), x, Y, eps=0.1, attack=pgd)
    wrong = ~report.arrays.correct[0]
    assert wrong.any()
    assert not report.arrays.movement[wrong].any()  # `pgd` leaves these where they are
    assert report.settings["attack"] == "pgd"
    assert "weight vector" in report.text()
    assert "prototype" not in report.text()


def test_the_settings_say_what_was_measured():
    assert geometry_report(network("prototypes"), X, Y).settings == {
        "examples": 30, "attack": "pgd-20", "eps": 8 / 255, "norm": "linf", "seed": 0,
        "vectors": "prototype",
    }  # fmt: skip


# The table and the file.


def test_the_table_is_aligned_with_either_word():
    for kind in ("prototypes", "linear"):
        table = geometry_report(network(kind), X, Y).text().split("\n\n")[0].splitlines()
        assert len({len(line) for line in table}) == 1


def test_relative_to_another_report():
    ours = geometry_report(network("prototypes"), X, Y, eps=0.1)
    other = geometry_report(network("linear", seed=1), X, Y, eps=0.1)
    found = ours.relative_to(other)
    assert not any(name.startswith("distance") or name == "silhouette" for name in found)
    assert found["NC2 lengths"] == pytest.approx(
        (
            ours.clean["NC2 lengths"] / other.clean["NC2 lengths"],
            ours.attacked["NC2 lengths"] / other.attacked["NC2 lengths"],
        )
    )
    assert all(pair == (1, 1) for pair in ours.relative_to(ours).values())
    assert ours.text(other).splitlines()[0].endswith("clean / other  attacked / other")


def test_a_quotient_by_0_is_infinite():
    zero, one = GeometryReport({"NC1": 0.0}, {"NC1": 0.0}), GeometryReport({"NC1": 1}, {"NC1": 0})
    clean, attacked = one.relative_to(zero)["NC1"]
    assert clean == math.inf
    assert math.isnan(attacked)


def test_a_report_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "report.json"
    report = geometry_report(network("prototypes"), X, Y, path=path)
    again = GeometryReport.read(path)
    for part in ("clean", "attacked", "movement", "prototypes", "settings"):
        assert getattr(again, part) == getattr(report, part)
    assert again.text() == report.text()
    assert [row["measure"] for row in again.rows()] == list(report.clean)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"kind": 1}'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"report\.json is not a geometry report"):
        GeometryReport.read(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(clean=[]),
        lambda c: c["attacked"].update({"Fisher ratio": "x"}),
        lambda c: c["clean"].update({"Fisher ratio": True}),
        lambda c: c["clean"].pop("Fisher ratio"),
        lambda c: c.update(settings=None),
    ],
)
def test_a_changed_file_is_refused(tmp_path, change):
    path = tmp_path / "report.json"
    geometry_report(network("prototypes"), X, Y, path=path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"report\.json: expected") as error:
        GeometryReport.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network": lambda x: (x, None)}, "a network with a feature layer and a head"),
        ({"network": Linear(12, 3)}, "a network with a feature layer and a head"),
        ({"x": X[..., 0]}, r"x must hold images of shape \(N, H, W, C\)"),
        ({"x": 300 * X}, "x must hold floats in"),
        ({"x": X[:, :1]}, "which the network refuses"),
        ({"y": Y[:3]}, "y must hold one label for each of 30"),
        ({"y": Y + 1}, "y must hold classes, 0 … 2, not 3"),
        ({"y": Y % 2}, "class 2 of 3 has no images: take more"),
        ({"x": X[:0], "y": Y[:0]}, "class 0 of 3 has no images"),
        ({"eps": -1}, "eps must be a finite number of 0 or more, not -1"),
        ({"norm": "l1"}, "norm must be 'linf' or 'l2'"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"seed": -1}, "seed must be 0 … 4294967295, not -1"),
        ({"index": np.arange(3)}, "index must hold one position for each of 30"),
        ({"attack": lambda victim, x, y, **_: x[:1]}, "an attack must return points of shape"),
        ({"attack": lambda victim, x, y, **_: 5 - 7 * x}, "an attack left the box"),
        ({"attack": lambda victim, x, y, **_: 1 - x, "eps": 1e-6}, "left the ball of linf radius"),
    ],
)
def test_wrong_arguments(tmp_path, changed, message):
    arguments = {"network": network("prototypes"), "x": X, "y": Y, "path": tmp_path / "a.json"}
    with pytest.raises(ValueError, match=message) as error:
        geometry_report(**(arguments | changed))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_attack_is_named_without_an_address_in_memory():
    for attack, name in ((partial(pgd, steps=2), "pgd[('steps', 2)]"), (pgd, "pgd")):
        report = geometry_report(network("linear"), X, Y, eps=0.1, attack=attack)
        assert report.settings["attack"] == name
