"""Evaluation of robustness: its table, any batch size, state files, and invalid input."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

from tests import ROOT
from tinyproto import networks, state
from tinyproto.attacks import ATTACKS, Victim, apgd, carlini_wagner, fab, norms_of, pgd, square
from tinyproto.attacks.autoattack import attacks_to_run, autoattack, fab_in_ball
from tinyproto.data import load
from tinyproto.evaluation import evaluate, robustness, transfer
from tinyproto.testing.victims import hidden, problem

MODEL = ROOT / "benchmarks" / "models" / "cifar10_pgd.npz"
ATTACKS_FOR_PHOTOGRAPHS = {
    "apgd-ce": partial(apgd, steps=8),
    "fab-t": partial(fab_in_ball, steps=3, targets=2),
    "square": partial(square, queries=30),
}
EPS = 8 / 255


def photographs(count):
    """An adversarially trained network, photographs, and its predictions as their labels, so that
    every one is classified correctly and can be attacked."""
    network = networks.fold(networks.load(MODEL))
    x = load("cifar10", download=False).x_test[:count] / np.float32(255)
    return network, x, network(x)[0].argmax(axis=1)


def results(report):
    """All arrays of a report's results."""
    return {
        f"{name} {field}": getattr(result, field)
        for name, result in report.results.items()
        for field in ("attacked", "robust", "robust_8bit", "distance")
    }


def assert_equal(report, expected):
    for name, values in results(expected).items():
        np.testing.assert_array_equal(results(report)[name], values, err_msg=name)


@pytest.mark.slow
def test_results_do_not_depend_on_the_batch_size():
    network, x, y = photographs(45)
    first, *others = (
        evaluate(
            Victim(network),
            x,
            y,
            ATTACKS_FOR_PHOTOGRAPHS,
            eps=EPS,
            sequential=True,
            batch_size=size,
            verbose=False,
        )
        for size in (500, 37, 1)
    )
    assert 0 < first.robust.sum() < 45
    for other in others:
        assert_equal(other, first)
        for name, result in first.results.items():
            assert other.results[name].forward_passes == result.forward_passes


SCRIPT = """
import functools
from tests.evaluation.test_robustness import *

@functools.wraps(square)
def waiting(*arguments, **options):
    time.sleep(600)  # until the process is killed, however slow the machine is

attacks = ATTACKS_FOR_PHOTOGRAPHS | {{"square": partial(waiting, queries=30)}}
network, x, y = photographs(45)
evaluate(Victim(network), x, y, attacks, eps=EPS, sequential=True, batch_size=4,
         state_path={path!r}, verbose=False)
"""


@pytest.mark.slow
def test_a_killed_evaluation_continues_to_the_same_result(tmp_path):
    path = tmp_path / "state.npz"
    script = SCRIPT.format(path=str(path))
    run = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    while run.poll() is None and not (
        path.exists() and "fab-t/attacked" in state.load_arrays(path)[0]
    ):
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    saved = state.load_arrays(path)[0]
    assert not saved.get("square/attacked", np.zeros(1, bool)).any()
    network, x, y = photographs(45)
    options = {"eps": EPS, "sequential": True, "verbose": False}
    expected = evaluate(Victim(network), x, y, ATTACKS_FOR_PHOTOGRAPHS, batch_size=9, **options)
    victim = Victim(network)
    report = evaluate(
        victim, x, y, ATTACKS_FOR_PHOTOGRAPHS, batch_size=9, state_path=path, **options
    )
    assert_equal(report, expected)
    for name, result in expected.results.items():
        assert report.results[name].forward_passes == result.forward_passes
    assert victim.forward_passes < sum(r.forward_passes for r in expected.results.values())
    again = Victim(network)  # everything is in the state file: no more passes
    assert_equal(
        evaluate(again, x, y, ATTACKS_FOR_PHOTOGRAPHS, state_path=path, **options), expected
    )
    assert again.forward_passes == 0


@pytest.mark.slow
def test_autoattack_in_batches_equals_autoattack():
    victim, x, y = problem(5, count=40)
    y[:3] = (y[:3] + 1) % 5
    report = evaluate(victim, x, y, "autoattack", eps=0.06, batch_size=7, seed=3, verbose=False)
    attacked = autoattack(victim, x, y, eps=0.06, seed=3)
    robust = victim(attacked)[0].argmax(axis=1) == y
    np.testing.assert_array_equal(report.robust, robust)
    assert 0 < robust.sum() < 37
    assert not report.correct[:3].any()


def test_the_table_agrees_with_the_attacks(tmp_path):
    victim, x, y = problem(5, count=40)
    y[0] = (y[0] + 1) % 5
    attacks = {"pgd": pgd, "square": partial(square, queries=50)}
    report = evaluate(victim, x, y, attacks, eps=0.08, verbose=False)
    none, *rows, worst = report.rows()
    assert none == {"attack": "none", "accuracy %": 97.5}
    robust = []
    for row, attack in zip(rows, attacks.values(), strict=True):
        attacked = attack(victim, x, y, eps=0.08)
        robust.append(victim(attacked)[0].argmax(axis=1) == y)
        moved = np.abs(attacked - x).max(axis=1)[~robust[-1] & report.correct]
        assert row["accuracy %"] == pytest.approx(100 * robust[-1].mean())
        assert row["success rate %"] == pytest.approx(100 * len(moved) / 39)
        assert row["mean distance"] == pytest.approx(moved.mean())
        assert row["median distance"] == pytest.approx(np.median(moved))
        assert row["forward passes"] > 0
    assert worst["accuracy %"] == pytest.approx(100 * (robust[0] & robust[1]).mean())
    table = list(csv.DictReader(io.StringIO(report.csv())))
    assert [row["attack"] for row in table] == ["none", "pgd", "square", "worst case"]
    assert float(table[1]["accuracy %"]) == pytest.approx(100 * robust[0].mean())
    content = json.loads(report.json())
    assert content["rows"][1]["attack"] == "pgd"
    assert content["settings"]["eps"] == 0.08
    lines = report.text().splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split()[:4] == ["attack", "accuracy", "8-bit", "success"]
    assert lines[2].startswith("none")
    assert "L∞, eps 0.08, seed 0, 40 examples" in lines[6]
    for name, text in (("a.csv", report.csv()), ("a.json", report.json())):
        report.write(tmp_path / name)
        assert (tmp_path / name).read_text() == text


def test_sequential_attacks_get_only_the_robust_examples():
    victim, x, y = problem(5, count=40)
    report = evaluate(
        victim, x, y, {"pgd": pgd, "apgd": apgd}, eps=0.06, sequential=True, verbose=False
    )
    first, second = report.results.values()
    np.testing.assert_array_equal(second.attacked, first.robust)
    accuracies = [row["accuracy %"] for row in report.rows()]
    assert accuracies == sorted(accuracies, reverse=True)


def test_points_outside_the_ball_count_for_the_distances_only():
    victim, x, y = problem(5, count=40)
    without_radius = {
        "fab": lambda *a, eps, **k: fab(*a, **k),
        "cw": lambda *a, eps, norm, seed, index: carlini_wagner(*a, steps=100, learning_rate=0.05),
    }
    report = evaluate(victim, x, y, without_radius, eps=0.05, norm="l2", verbose=False)
    for row, result in zip(report.rows()[1:], report.results.values(), strict=False):
        assert row["success rate %"] == 100
        assert row["accuracy %"] == pytest.approx(100 * (result.distance > 0.05).mean())
        assert 0 < row["accuracy %"] < 100
        assert row["median distance"] == pytest.approx(np.median(result.distance))


def test_rounding_to_8_bits_can_undo_an_attack():
    """Misclassified from 128.4/255 on: 128.45 is rounded to 128 again, 128.6 to 129."""

    def model(x):
        z = np.concatenate([np.full_like(x, 128.4 / 255), x], axis=1)
        return z, lambda dz: dz[:, 1:]

    x, y = np.full((1, 1), 128 / 255), np.zeros(1, int)
    for grey, undone in ((128.45, True), (128.6, False)):
        attack = {"by hand": lambda v, x, y, grey=grey, **_: np.full((1, 1), grey / 255)}
        report = evaluate(Victim(model), x, y, attack, eps=0.01, verbose=False)
        assert not report.results["by hand"].robust[0]
        assert report.results["by hand"].robust_8bit[0] == undone


def test_rounding_in_float32_is_allowed_and_leaving_the_box_is_not():
    victim, x, y = problem(5, count=40, dtype=np.float32)

    def rough(victim, x, y, *, eps, **_):
        moved = x + np.float32(eps) * np.sign(pgd(victim, x, y, eps=eps) - x)
        return np.minimum(np.maximum(moved, 0), 1)

    eps = 0.1
    moved = np.abs(rough(victim, x, y, eps=eps).astype(np.float64) - x).max(axis=1)
    assert (moved > eps).any()
    report = evaluate(victim, x, y, {"rough": rough}, eps=eps, verbose=False)
    result = report.results["rough"]
    np.testing.assert_array_equal(result.robust, ~np.isfinite(result.distance))
    assert 0 < result.robust.sum() < 40
    with pytest.raises(ValueError, match=r"an attack left the box \[0.0, 1.0\]"):
        evaluate(victim, x, y, {"far": lambda v, x, y, **_: x + 1}, eps=eps, verbose=False)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_each_feature_is_rounded_in_its_own_units(norm):
    """A box of [0, 1] and [0, 10⁶], with a feature that is kept: a millionth of each width."""
    W = np.array([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]])
    box = {"hi": np.array([1.0, 1e6, 1.0]), "keep": np.array([False, False, True])}
    victim = Victim(lambda x: ((x - 0.5) @ W, lambda dz: dz @ W.T), **box)
    x, y, eps = np.array([[0.51, 0.5, 0.0]]), np.array([0]), 0.02

    def robust(*move):
        by_hand = {"by hand": lambda v, x, y, **_: x + np.array([move])}
        return evaluate(victim, x, y, by_hand, eps=eps, norm=norm, verbose=False).robust[0]

    assert not robust(-eps - 0.9e-6, 0, 0)  # as rounding may have it
    assert robust(-eps - 2e-6, 0, 0)
    assert robust(-0.4, 0, 0)
    for beyond in ((0.5, 0, 0), (-0.52, 0, 0), (0, -1.6, 0), (0, 0, 1e-9)):
        with pytest.raises(ValueError, match="an attack left the box"):
            robust(*beyond)
    assert not robust(-0.011, -0.4, 0)
    report = transfer({"a": victim}, {"b": victim}, lambda *a, **_: x - [0.4, 0, 0], x, y, eps=eps)
    assert report.accuracy[0, 0] == 1


def test_rounding_to_8_bits_stays_in_the_ball_if_possible():
    """x is 128.4/255, misclassified from 128.5 on; attacked, 128.6, nearest to 129, which is within
    0.7/255 of x, but not within 0.5/255, where only 128 is."""

    def model(x):
        z = np.concatenate([np.full_like(x, 128.5 / 255), x], axis=1)
        return z, lambda dz: dz[:, 1:]

    x, y = np.full((1, 1), 128.4 / 255), np.zeros(1, int)
    attack = {"by hand": lambda v, x, y, **_: np.full((1, 1), 128.6 / 255)}
    for radius, undone in ((0.5 / 255, True), (0.7 / 255, False)):
        report = evaluate(Victim(model), x, y, attack, eps=radius, verbose=False)
        assert not report.results["by hand"].robust[0]
        assert report.results["by hand"].robust_8bit[0] == undone


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_rounding_to_8_bits_does_not_look_like_a_defense(norm):
    """With a radius that is no multiple of 1/255, or in L2, rounding undoes few attacks: those
    whose points, as PGD's often are, lie just beyond the boundary."""
    network, x, y = photographs(30)
    eps = {"linf": 0.03, "l2": 0.5}[norm]
    report = evaluate(Victim(network), x, y, "pgd-20", eps=eps, norm=norm, verbose=False)
    row = report.rows()[1]
    assert 0 < row["accuracy %"] < 80
    assert row["8-bit accuracy %"] <= {"linf": 80, "l2": row["accuracy %"] + 7}[norm]


def test_labels_without_a_score_are_refused():
    victim, x, y = problem(5)
    with pytest.raises(ValueError, match="y must hold classes, 0 … 4, not 7"):
        evaluate(victim, x, y * 0 + 7, {"pgd": pgd}, eps=0.1)


def test_a_file_of_another_evaluation_is_refused(tmp_path):
    victim, x, y = problem(5, count=6)
    path, options = tmp_path / "state.npz", {"eps": 0.05, "verbose": False}
    evaluate(victim, x, y, {"pgd": pgd}, state_path=path, **options)
    before = path.read_bytes()
    for other, message in (
        ({"eps": 0.1}, "its eps is 0.05, not 0.1"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"x": x + 0}, None),
        ({"x": x / 2}, "its examples, labels or index differ"),
        ({"y": (y + 1) % 5}, "its examples, labels or index differ"),
        ({"index": np.arange(6) + 1}, "its examples, labels or index differ"),
        ({"index": np.arange(6, dtype=np.uint8)}, None),
        ({"attacks": {"apgd": apgd}}, "its attacks are pgd, not apgd"),
        ({"attacks": {"pgd": partial(pgd, steps=1)}}, "its attacks differ"),
        ({"victim": Victim(hidden(8))}, "the victim's scores differ"),
        ({"victim": Victim(victim.model, hi=2.0)}, r"its box is \[0.0, 1.0\], not \[0.0, 2.0\]"),
    ):
        given = {"victim": victim, "x": x, "y": y, "attacks": {"pgd": pgd}, "state_path": path}
        given |= options | other
        if message is None:
            evaluate(**given)
            continue
        with pytest.raises(ValueError, match=f"belongs to another evaluation: {message}"):
            evaluate(**given)
    assert path.read_bytes() == before
    for content in (b"no archive", MODEL.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="state.npz is not"):
            evaluate(victim, x, y, {"pgd": pgd}, state_path=path, **options)


def test_a_state_file_of_the_previous_version_is_read(tmp_path):
    """Its arrays and one of its settings have other names."""
    victim, x, y = problem(5, count=12)
    path, options = tmp_path / "state.npz", {"eps": 0.05, "sequential": True, "verbose": False}
    attacks = {"pgd": pgd, "square": partial(square, queries=20)}
    expected = evaluate(victim, x, y, attacks, state_path=path, **options)
    arrays, metadata = state.load_arrays(path)
    metadata["settings"]["chain"] = metadata["settings"].pop("sequential")
    old = {
        "correct": "clean",
        "fingerprint": "probe",
        "attacked": "done",
        "robust": "right",
        "robust_8bit": "right_rounded",
    }
    for name in list(arrays):
        attack, slash, field = name.rpartition("/")
        arrays[f"{attack}{slash}{old.get(field, field)}"] = arrays.pop(name)
    assert {"clean", "probe", "pgd/done", "pgd/right", "square/right_rounded"} < set(arrays)
    state.save_arrays(arrays, path, metadata)
    again = Victim(victim.model)
    assert_equal(evaluate(again, x, y, attacks, state_path=path, **options), expected)
    assert again.forward_passes == 0


def test_an_evaluation_saved_under_the_earlier_names_of_attacks_is_continued(tmp_path, monkeypatch):
    victim, x, y = problem(5, count=6)
    earlier = {
        "apgd-ce": "apgd[('eot', 1), ('restarts', 1)]",
        "apgd-dlr": "apgd[('eot', 1), ('loss', 'dlr'), ('restarts', 1)]",
        "fab": "fab_inside[('restarts', 1)]",
    }
    attacks = attacks_to_run(list(earlier))
    options = {"eps": 0.05, "state_path": tmp_path / "state.npz", "verbose": False}
    with monkeypatch.context() as patch:
        names = iter(earlier.values())
        patch.setattr(robustness, "describe_attack", lambda attack: next(names))
        expected = evaluate(victim, x, y, attacks, **options)
    assert expected.settings["attacks"] == earlier
    again = Victim(victim.model)
    assert_equal(evaluate(again, x, y, attacks, **options), expected)
    assert again.forward_passes == 0


def test_scores_that_are_nan_are_refused_and_nothing_is_written(tmp_path):
    victim = Victim(lambda x: (np.full((len(x), 3), np.nan), lambda dz: x))
    x, y = np.full((2, 4), 0.5), np.zeros(2, int)
    with pytest.raises(ValueError, match="scores must be finite"):
        evaluate(victim, x, y, eps=0.1, state_path=tmp_path / "state.npz", verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_attacks_by_name():
    victim, x, y = problem(5, count=20)
    for norm in ("linf", "l2"):
        slow = ("cw", "square", "hop-skip-jump")
        names = [n for n in ATTACKS if norm in norms_of(n) and n not in slow]
        report = evaluate(victim, x, y, names, eps=0.05, norm=norm, verbose=False)
        assert list(report.results) == names
        assert all(row["success rate %"] > 0 for row in report.rows()[1:])
    assert list(evaluate(victim, x, y, "fgsm", eps=0.05, verbose=False).results) == ["fgsm"]
    with pytest.raises(ValueError, match="attack 'cw' is for norm 'l2', not 'linf'"):
        evaluate(victim, x, y, ["fgsm", "cw"], eps=0.05)


def test_invalid_input_gives_one_line():
    victim, x, y = problem(5, count=6)
    for changed, message in (
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"batch_size": -1}, "batch_size must be 1 or more, not -1"),
        ({"x": x.tolist()}, "x must be an array, not list"),
        ({"y": y.tolist()}, "y must be an array, not list"),
        (
            {"y": np.eye(5)[y].astype(int)},
            r"each of 6 examples, shape \(6,\), not \(6, 5\); use y.argmax",
        ),
        ({"x": x * 255}, r"x must lie in \[0.0, 1.0\]"),
        ({"victim": victim.model}, r"the victim must be a Victim: write Victim\(model\)"),
        ({"attacks": {"first": lambda v, x, y, **_: x[:1]}}, r"points of shape \(6, 6\)"),
        ({"attacks": {"none": lambda v, x, y, **_: None}}, r"points of shape \(6, 6\)"),
    ):
        given = {"victim": victim, "x": x, "y": y, "attacks": "fgsm", "eps": 0.1, "verbose": False}
        with pytest.raises(ValueError, match=message) as error:
            evaluate(**(given | changed))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 2.5}, "batch_size must be a whole number, 1 or more, not 2.5"),
        ({"seed": 1.5}, "seed must be a whole number, 0 … 4294967295, not 1.5"),
        ({"seed": 1 << 32}, "seed must be 0 … 4294967295, not 4294967296"),
        ({"eps": np.full(6, 0.1)}, r"eps must be one number for all examples, not an array \(6,\)"),
        ({"attacks": pgd}, "attacks must be names, or functions by name, .*, not <function pgd"),
        ({"attacks": [pgd]}, "attacks must be names, or functions by name, .*, not <function pgd"),
        ({"attacks": {"pgd": "pgd"}}, "attacks must be names, .*, not 'pgd': 'pgd'"),
        ({"attacks": {3: pgd}}, "attacks must be names, .*, not 3: <function pgd"),
        ({"attacks": {}}, r"attacks must be names, or functions by name, .*, not \{\}"),
        ({"attacks": []}, r"attacks must be names, or functions by name, .*, not \[\]"),
        ({"attacks": None}, "attacks must be names, or functions by name, .*, not None"),
        ({"attacks": {"nan": lambda v, x, y, **_: x * np.nan}}, "an attack returned NaN"),
        ({"attacks": {"far": lambda v, x, y, **_: x + 1}}, r"an attack left the box \[0.0, 1.0\]"),
    ],
)
def test_what_cannot_be_right_is_refused_before_a_file_is_written(changed, message, tmp_path):
    victim, x, y = problem(5, count=6)
    given = {"attacks": "fgsm", "eps": 0.1, "verbose": False, "state_path": tmp_path / "state.npz"}
    with pytest.raises(ValueError, match=message) as error:
        evaluate(victim, x, y, **(given | changed))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_attack_that_writes_to_its_examples_does_not_look_nearer_than_it_goes():
    victim, x, y = problem(5, count=20)
    far = fab(victim, x, y)  # at any distance

    def in_place(victim, x, y, *, index, **_):
        x[...] = far[index]
        return x

    report, expected = (
        evaluate(victim, x, y, {"fab": attack}, eps=0.02, verbose=False)
        for attack in (in_place, lambda victim, x, y, *, index, **_: far[index])
    )
    assert_equal(report, expected)
    assert 0 < expected.robust.sum() < 20


def test_an_infinite_radius_is_the_box_in_the_report_as_well(tmp_path):
    victim, x, y = problem(5, count=12)
    path, options = tmp_path / "state.npz", {"state_path": tmp_path / "state.npz", "verbose": False}
    report = evaluate(victim, x, y, {"pgd": pgd}, eps=np.inf, **options)
    assert report.settings["eps"] == 1.0
    assert "Infinity" not in report.json()
    before = path.read_bytes()
    again = Victim(victim.model)
    with pytest.warns(UserWarning, match="eps 1 is more than half the size of the box, 1 in linf"):
        assert_equal(evaluate(again, x, y, {"pgd": pgd}, eps=1.0, **options), report)
    assert again.forward_passes == 0
    assert path.read_bytes() == before


def test_reprs_are_short_and_say_what_was_found():
    victim, x, y = problem(5, count=8)
    y[0] = (y[0] + 1) % 5
    report = evaluate(victim, x, y, {"pgd": pgd}, eps=0.5, verbose=False)
    assert repr(report) == (
        "Report(8 examples, linf, eps 0.5; accuracy: none 87.5 %, pgd 0 %, worst case 0 %)"
    )
    assert repr(report.results["pgd"]).startswith(
        "Result(attacked=7, robust=0, examples=8, seconds="
    )


def test_no_images():
    victim, x, y = problem(5)
    report = evaluate(victim, x[:0], y[:0], {"pgd": pgd}, eps=0.1, verbose=False)
    assert report.text()


def test_an_unknown_list_of_attacks():
    victim, x, y = problem(5)
    with pytest.raises(ValueError, match="attack 'pgd' is unknown; there are autoattack, "):
        evaluate(victim, x, y, "pgd", eps=0.1)
    with pytest.raises(ValueError, match="version must be one of standard, plus, rand, not 'x'"):
        evaluate(victim, x, y, "autoattack-x", eps=0.1)
