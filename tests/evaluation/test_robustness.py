"""The table of an evaluation: what it says, in any batches, and after a stop."""

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
from tests.victims import hidden, problem
from tinyproto import networks, state
from tinyproto.attacks import ATTACKS, SINGLE_NORM, Victim, apgd, carlini_wagner, fab, pgd, square
from tinyproto.attacks.autoattack import attacks_to_run, autoattack, fab_in_ball
from tinyproto.data import load
from tinyproto.evaluation import evaluate, robustness

MODEL = ROOT / "benchmarks" / "models" / "cifar10_pgd.npz"
SHORT = {
    "apgd-ce": partial(apgd, steps=8),
    "fab-t": partial(fab_in_ball, steps=3, targets=2),
    "square": partial(square, queries=30),
}
EPS = 8 / 255


def photographs(count):
    """A network that was trained to withstand attacks, photographs, and its answers: it gets them
    right, so that there is something to attack."""
    network = networks.fold(networks.load(MODEL))
    x = load("cifar10", download=False).x_test[:count] / np.float32(255)
    return network, x, network(x)[0].argmax(axis=1)


def results(report):
    """All that is known of each example."""
    return {
        f"{name} {field}": getattr(result, field)
        for name, result in report.results.items()
        for field in ("done", "right", "right_rounded", "distance")
    }


def assert_equal(report, expected):
    for name, values in results(expected).items():
        np.testing.assert_array_equal(results(report)[name], values, err_msg=name)


def test_the_same_examples_hold_in_batches_of_1_37_and_500():
    network, x, y = photographs(45)
    first, *others = (
        evaluate(Victim(network), x, y, SHORT, eps=EPS, chain=True, batch_size=size, shown=False)
        for size in (500, 37, 1)
    )
    assert 0 < first.right.sum() < 45
    for other in others:
        assert_equal(other, first)
        for name, result in first.results.items():
            assert other.results[name].forward_passes == result.forward_passes


SCRIPT = """
from tests.evaluation.test_robustness import *
network, x, y = photographs(45)
evaluate(Victim(network), x, y, SHORT, eps=EPS, chain=True, batch_size=4, path={path!r},
         shown=False)
"""


def test_a_killed_evaluation_goes_on_to_the_same_result(tmp_path):
    path = tmp_path / "state.npz"
    script = SCRIPT.format(path=str(path))
    run = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    while run.poll() is None and not (path.exists() and "fab-t/done" in state.load(path)[0]):
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    done = state.load(path)[0]
    assert not done.get("square/done", np.zeros(1, bool)).any()
    network, x, y = photographs(45)
    options = {"eps": EPS, "chain": True, "shown": False}
    expected = evaluate(Victim(network), x, y, SHORT, batch_size=9, **options)
    victim = Victim(network)
    report = evaluate(victim, x, y, SHORT, batch_size=9, path=path, **options)
    assert_equal(report, expected)
    for name, result in expected.results.items():
        assert report.results[name].forward_passes == result.forward_passes
    assert victim.forward_passes < sum(r.forward_passes for r in expected.results.values())
    again = Victim(network)  # now that all is done, nothing is asked of it
    assert_equal(evaluate(again, x, y, SHORT, path=path, **options), expected)
    assert again.forward_passes == 0


def test_autoattack_in_batches_is_autoattack():
    victim, x, y = problem(5, count=40)
    y[:3] = (y[:3] + 1) % 5
    report = evaluate(victim, x, y, "autoattack", eps=0.06, batch_size=7, seed=3, shown=False)
    attacked = autoattack(victim, x, y, eps=0.06, seed=3)
    right = victim(attacked)[0].argmax(axis=1) == y
    np.testing.assert_array_equal(report.right, right)
    assert 0 < right.sum() < 37
    assert not report.clean[:3].any()


def test_the_table_says_what_became_of_the_examples(tmp_path):
    victim, x, y = problem(5, count=40)
    y[0] = (y[0] + 1) % 5
    attacks = {"pgd": pgd, "square": partial(square, queries=50)}
    report = evaluate(victim, x, y, attacks, eps=0.08, shown=False)
    none, *rows, worst = report.rows()
    assert none == {"attack": "none", "right %": 97.5}
    rights = []
    for row, attack in zip(rows, attacks.values(), strict=True):
        attacked = attack(victim, x, y, eps=0.08)
        rights.append(victim(attacked)[0].argmax(axis=1) == y)
        moved = np.abs(attacked - x).max(axis=1)[~rights[-1] & report.clean]
        assert row["right %"] == pytest.approx(100 * rights[-1].mean())
        assert row["found %"] == pytest.approx(100 * len(moved) / 39)
        assert row["mean distance"] == pytest.approx(moved.mean())
        assert row["median distance"] == pytest.approx(np.median(moved))
        assert row["forward passes"] > 0
    assert worst["right %"] == pytest.approx(100 * (rights[0] & rights[1]).mean())
    table = list(csv.DictReader(io.StringIO(report.csv())))
    assert [row["attack"] for row in table] == ["none", "pgd", "square", "worst case"]
    assert float(table[1]["right %"]) == pytest.approx(100 * rights[0].mean())
    content = json.loads(report.json())
    assert content["rows"][1]["attack"] == "pgd"
    assert content["settings"]["eps"] == 0.08
    lines = report.text().splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[1].startswith("none")
    assert "linf, eps 0.08, seed 0, 40 examples" in lines[5]
    for name, text in (("a.csv", report.csv()), ("a.json", report.json())):
        report.write(tmp_path / name)
        assert (tmp_path / name).read_text() == text


def test_in_a_chain_each_attack_gets_the_survivors():
    victim, x, y = problem(5, count=40)
    report = evaluate(victim, x, y, {"pgd": pgd, "apgd": apgd}, eps=0.06, chain=True, shown=False)
    first, second = report.results.values()
    np.testing.assert_array_equal(second.done, first.right)
    shown = [row["right %"] for row in report.rows()]
    assert shown == sorted(shown, reverse=True)


def test_what_is_found_outside_the_ball_counts_for_the_distances_alone():
    victim, x, y = problem(5, count=40)
    nearest = {
        "fab": lambda *a, eps, **k: fab(*a, **k),
        "cw": lambda *a, eps, norm, seed, index: carlini_wagner(*a, steps=100, learning_rate=0.05),
    }
    report = evaluate(victim, x, y, nearest, eps=0.05, norm="l2", shown=False)
    for row, result in zip(report.rows()[1:], report.results.values(), strict=False):
        assert row["found %"] == 100
        assert row["right %"] == pytest.approx(100 * (result.distance > 0.05).mean())
        assert 0 < row["right %"] < 100
        assert row["median distance"] == pytest.approx(np.median(result.distance))


def test_an_attack_that_8_bits_undo():
    """Wrong from 128.4/255 on: the attacked 128.45 becomes 128 again, 128.6 becomes 129."""

    def model(x):
        z = np.concatenate([np.full_like(x, 128.4 / 255), x], axis=1)
        return z, lambda dz: dz[:, 1:]

    x, y = np.full((1, 1), 128 / 255), np.zeros(1, int)
    for grey, undone in ((128.45, True), (128.6, False)):
        attack = {"by hand": lambda v, x, y, grey=grey, **_: np.full((1, 1), grey / 255)}
        report = evaluate(Victim(model), x, y, attack, eps=0.01, shown=False)
        assert not report.results["by hand"].right[0]
        assert report.results["by hand"].right_rounded[0] == undone


def test_an_attack_that_rounds_in_float32_counts_and_one_that_leaves_the_box_does_not():
    victim, x, y = problem(5, count=40, dtype=np.float32)

    def rough(victim, x, y, *, eps, **_):
        moved = x + np.float32(eps) * np.sign(pgd(victim, x, y, eps=eps) - x)
        return np.minimum(np.maximum(moved, 0), 1)

    eps = 0.1
    moved = np.abs(rough(victim, x, y, eps=eps).astype(np.float64) - x).max(axis=1)
    assert (moved > eps).any()
    report = evaluate(victim, x, y, {"rough": rough}, eps=eps, shown=False)
    found = report.results["rough"]
    np.testing.assert_array_equal(found.right, ~np.isfinite(found.distance))
    assert 0 < found.right.sum() < 40
    with pytest.raises(ValueError, match=r"an attack left the box \[0.0, 1.0\]"):
        evaluate(victim, x, y, {"far": lambda v, x, y, **_: x + 1}, eps=eps, shown=False)


def test_rounding_to_8_bits_stays_in_the_ball_where_it_can():
    """x is 128.4/255 and wrong from 128.5 on; attacked, 128.6, whose nearest level is 129: within
    0.7/255 of x, but not within 0.5/255, where only 128 is."""

    def model(x):
        z = np.concatenate([np.full_like(x, 128.5 / 255), x], axis=1)
        return z, lambda dz: dz[:, 1:]

    x, y = np.full((1, 1), 128.4 / 255), np.zeros(1, int)
    attack = {"by hand": lambda v, x, y, **_: np.full((1, 1), 128.6 / 255)}
    for radius, undone in ((0.5 / 255, True), (0.7 / 255, False)):
        report = evaluate(Victim(model), x, y, attack, eps=radius, shown=False)
        assert not report.results["by hand"].right[0]
        assert report.results["by hand"].right_rounded[0] == undone


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_8_bits_do_not_undo_attacks_with_any_eps(norm):
    """Neither a radius that is no multiple of 1/255 nor L2 makes rounding look like a defence,
    though points that are barely wrong, as PGD leaves them, are sometimes saved."""
    network, x, y = photographs(30)
    eps = {"linf": 0.03, "l2": 0.5}[norm]
    report = evaluate(Victim(network), x, y, "pgd-20", eps=eps, norm=norm, shown=False)
    row = report.rows()[1]
    assert 0 < row["right %"] < 80
    assert row["rounded to 8 bits, right %"] <= {"linf": 80, "l2": row["right %"] + 7}[norm]


def test_labels_that_are_no_columns_are_refused():
    victim, x, y = problem(5)
    with pytest.raises(ValueError, match="y must hold columns of z, 0 … 4, not 7"):
        evaluate(victim, x, y * 0 + 7, {"pgd": pgd}, eps=0.1)


def test_a_file_of_another_evaluation_is_refused(tmp_path):
    victim, x, y = problem(5, count=6)
    path, options = tmp_path / "state.npz", {"eps": 0.05, "shown": False}
    evaluate(victim, x, y, {"pgd": pgd}, path=path, **options)
    before = path.read_bytes()
    for other, message in (
        ({"eps": 0.1}, "its eps is 0.05, not 0.1"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"x": x + 0}, None),
        ({"x": x / 2}, "its images and labels are not these"),
        ({"y": (y + 1) % 5}, "its images and labels are not these"),
        ({"attacks": {"apgd": apgd}}, "its attacks are pgd, not apgd"),
        ({"attacks": {"pgd": partial(pgd, steps=1)}}, "its attacks differ"),
        ({"victim": Victim(hidden(8))}, "the victim's scores are not its"),
        ({"victim": Victim(victim.model, hi=2.0)}, r"its box is \[0.0, 1.0\], not \[0.0, 2.0\]"),
    ):
        given = {"victim": victim, "x": x, "y": y, "attacks": {"pgd": pgd}, "path": path}
        given |= options | other
        if message is None:
            evaluate(**given)
            continue
        with pytest.raises(ValueError, match=f"belongs to another evaluation: {message}"):
            evaluate(**given)
    assert path.read_bytes() == before
    for content in (b"no archive", MODEL.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="state.npz is no"):
            evaluate(victim, x, y, {"pgd": pgd}, path=path, **options)


def test_an_evaluation_saved_under_the_earlier_names_of_attacks_is_continued(tmp_path, monkeypatch):
    victim, x, y = problem(5, count=6)
    earlier = {
        "apgd-ce": "apgd[('eot', 1), ('restarts', 1)]",
        "apgd-dlr": "apgd[('eot', 1), ('loss', 'dlr'), ('restarts', 1)]",
        "fab": "fab_inside[('restarts', 1)]",
    }
    attacks = attacks_to_run(list(earlier))
    options = {"eps": 0.05, "path": tmp_path / "state.npz", "shown": False}
    with monkeypatch.context() as patch:
        names = iter(earlier.values())
        patch.setattr(robustness, "_describe", lambda attack: next(names))
        expected = evaluate(victim, x, y, attacks, **options)
    assert expected.settings["attacks"] == earlier
    again = Victim(victim.model)
    assert_equal(evaluate(again, x, y, attacks, **options), expected)
    assert again.forward_passes == 0


def test_scores_that_are_no_numbers_are_refused_and_nothing_is_written(tmp_path):
    victim = Victim(lambda x: (np.full((len(x), 3), np.nan), lambda dz: x))
    x, y = np.full((2, 4), 0.5), np.zeros(2, int)
    with pytest.raises(ValueError, match="scores must be finite"):
        evaluate(victim, x, y, eps=0.1, path=tmp_path / "state.npz", shown=False)
    assert list(tmp_path.iterdir()) == []


def test_attacks_by_their_names():
    victim, x, y = problem(5, count=20)
    for norm in ("linf", "l2"):
        slow = ("cw", "square")
        names = [n for n in ATTACKS if SINGLE_NORM.get(n, norm) == norm and n not in slow]
        report = evaluate(victim, x, y, names, eps=0.05, norm=norm, shown=False)
        assert list(report.results) == names
        assert all(row["found %"] > 0 for row in report.rows()[1:])
    assert list(evaluate(victim, x, y, "fgsm", eps=0.05, shown=False).results) == ["fgsm"]
    with pytest.raises(ValueError, match="attack 'cw' is for norm 'l2', not 'linf'"):
        evaluate(victim, x, y, ["fgsm", "cw"], eps=0.05)


def test_what_cannot_be_evaluated_is_one_line():
    victim, x, y = problem(5, count=6)
    for changed, message in (
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"batch_size": -1}, "batch_size must be 1 or more, not -1"),
        ({"x": x.tolist()}, "x must be an array, not list"),
        ({"y": y.tolist()}, "y must be an array, not list"),
        ({"y": np.eye(5)[y].astype(int)}, r"one label for each of the 6 examples, not \(6, 5\)"),
        ({"x": x * 255}, r"x must lie in \[0.0, 1.0\]"),
        ({"victim": victim.model}, r"the victim must be a Victim: write Victim\(model\)"),
        ({"attacks": {"first": lambda v, x, y, **_: x[:1]}}, r"points of shape \(6, 6\)"),
        ({"attacks": {"none": lambda v, x, y, **_: None}}, r"points of shape \(6, 6\)"),
    ):
        given = {"victim": victim, "x": x, "y": y, "attacks": "fgsm", "eps": 0.1, "shown": False}
        with pytest.raises(ValueError, match=message) as error:
            evaluate(**(given | changed))
        assert "\n" not in str(error.value)


def test_no_images():
    victim, x, y = problem(5)
    report = evaluate(victim, x[:0], y[:0], {"pgd": pgd}, eps=0.1, shown=False)
    assert report.text()


def test_an_unknown_list_of_attacks():
    victim, x, y = problem(5)
    with pytest.raises(ValueError, match="attack 'pgd' is unknown; there are autoattack, "):
        evaluate(victim, x, y, "pgd", eps=0.1)
    with pytest.raises(ValueError, match="version must be one of standard, plus, rand, not 'x'"):
        evaluate(victim, x, y, "autoattack-x", eps=0.1)
