"""Adversarial examples that an evaluation keeps, and the file of them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import Victim
from tinyproto.attacks.region import norms
from tinyproto.evaluation import evaluate, evaluate_radii, save_adversarial
from tinyproto.evaluation.report import format_radius
from tinyproto.evaluation.several_radii import state_files
from tinyproto.testing.victims import problem

ATTACKS = ["fgsm", "pgd-20"]


def evaluated(seed, norm="linf", eps=0.1, **options):
    victim, x, y = problem(seed, count=12, dtype=np.float32)
    report = evaluate(
        victim, x, y, ATTACKS, eps=eps, norm=norm, keep_adversarial=True, verbose=False, **options
    )
    return victim, x, y, report


def points_of(report):
    return {(name, at): point for name, result in report.results.items()
            for at, point in result.adversarial.items()}  # fmt: skip


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key, point in one.items():
        np.testing.assert_array_equal(other[key], point)


@given(
    seed=st.integers(0, 1000), norm=st.sampled_from(["linf", "l2"]),
    eps=st.sampled_from([0.02, 0.1, 0.5]),
)  # fmt: skip
def test_every_example_that_is_not_robust_has_a_point_in_the_ball(seed, norm, eps):
    victim, x, y, report = evaluated(seed, norm, eps)
    for result in report.results.values():
        broken = np.flatnonzero(report.correct & ~result.robust)
        assert sorted(result.adversarial) == broken.tolist()
        for at, point in result.adversarial.items():
            assert victim(point[None])[0].argmax() != y[at]
            assert norms((point - x[at])[None], norm)[0] <= eps + 1e-6
            assert ((point >= 0) & (point <= 1)).all()


@pytest.mark.parametrize("sequential", [False, True])
def test_the_points_do_not_depend_on_batches_workers_and_states(sequential, tmp_path):
    options = {"sequential": sequential, "state_path": tmp_path / "state.npz"}
    _, _, _, whole = evaluated(3, sequential=sequential)
    expected = points_of(whole)
    assert expected
    assert_same(expected, points_of(evaluated(3, batch_size=5, **options)[3]))
    assert_same(expected, points_of(evaluated(3, **options)[3]))  # all from the state
    with ThreadPoolExecutor(2) as pool:
        found = evaluated(3, sequential=sequential, executor=pool, batch_size=3)[3]
    assert_same(expected, points_of(found))


def test_keeping_them_changes_no_figure_and_costs_no_pass():
    victim, x, y = problem(3, count=12, dtype=np.float32)
    kept = evaluated(3)[3]
    plain = evaluate(victim, x, y, ATTACKS, eps=0.1, verbose=False)
    assert not points_of(plain)
    for name, result in plain.results.items():
        other = kept.results[name]
        np.testing.assert_array_equal(result.distance, other.distance)
        assert result.forward_passes == other.forward_passes


def test_the_file_has_a_row_for_each(tmp_path):
    victim, x, y, report = evaluated(3)
    index = np.arange(100, 100 + len(x))
    path = tmp_path / "adversarial.npz"
    count = save_adversarial(path, victim, x, y, [report], index=index, batch_size=2)
    with np.load(path) as file:
        assert count == len(points_of(report)) == len(file["adversarial"])
        rows = zip(file["attack"].tolist(), file["index"].tolist(), file["adversarial"],
                   strict=True)  # fmt: skip
        for attack, place, point in rows:
            expected = report.results[attack].adversarial[place - 100]
            np.testing.assert_array_equal(point, expected)
        assert (file["prediction"] != file["label"]).all()
        assert file["attack"].tolist() == sorted(file["attack"], key=ATTACKS.index)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_points_have_the_dtype_in_which_they_were_found(dtype, tmp_path):
    """Just beyond the boundary at 1/3, which is between two numbers of float32."""
    boundary = np.nextafter(dtype(1 / 3), dtype(0))

    def model(x):
        z = x - dtype(1 / 3)
        return np.concatenate([z, -z - np.finfo(dtype).tiny], axis=1), lambda dz: dz[:, :1]

    victim, x, y = Victim(model), np.full((1, 1), 0.5, dtype), np.zeros(1, int)
    attack = {"by hand": lambda v, x, y, **_: np.full_like(x, boundary)}
    report = evaluate(victim, x, y, attack, eps=0.2, keep_adversarial=True, verbose=False)
    assert save_adversarial(tmp_path / "a.npz", victim, x, y, [report]) == 1
    with np.load(tmp_path / "a.npz") as file:
        assert file["adversarial"].dtype == dtype
        assert file["adversarial"][0, 0] == boundary
        assert file["prediction"] == 1


def test_a_file_without_any_point(tmp_path):
    victim, x, y, report = evaluated(3, eps=0.0)
    assert save_adversarial(tmp_path / "none.npz", victim, x, y, [report]) == 0
    with np.load(tmp_path / "none.npz") as file:
        assert file["adversarial"].shape == (0, *x.shape[1:])
        assert {len(file[name]) for name in ("label", "prediction", "index", "attack")} == {0}


def test_points_of_attacks_without_a_bound_are_not_saved(tmp_path):
    victim, x, y = problem(3, count=12, dtype=np.float32)
    far = {"far, no bound": lambda victim, x, y, **_: x[[(y != label).argmax() for label in y]]}
    report = evaluate(victim, x, y, far, eps=0.4, keep_adversarial=True, verbose=False)
    assert points_of(report)
    assert save_adversarial(tmp_path / "none.npz", victim, x, y, [report]) == 0


def test_reports_of_other_examples_or_norms_are_refused(tmp_path):
    victim, x, y, report = evaluated(3)
    other = evaluated(3, "l2")[3]
    for reports, images in (([report, other], x), ([], x), ([report], x[1:]), ([report], x[::-1])):
        with pytest.raises(ValueError, match="of these examples and of one norm"):
            save_adversarial(tmp_path / "a.npz", victim, images, y, reports)
    assert not list(tmp_path.iterdir())


def test_several_radii_are_each_evaluated_alone():
    victim, x, y = problem(3, count=12, dtype=np.float32)
    reports = evaluate_radii(victim, x, y, ATTACKS, eps=[0.1, 0.02], verbose=False)
    for radius, report in zip((0.1, 0.02), reports.reports, strict=True):
        alone = evaluate(victim, x, y, ATTACKS, eps=radius, verbose=False)
        np.testing.assert_array_equal(report.robust, alone.robust)
        assert reports.accuracy()[radius] == 100 * alone.robust.mean()


@pytest.mark.parametrize(
    ("eps", "text"),
    [(8 / 255, "8/255"), (0.5, "0.5"), (1.0, "1"), (1000.0, "1000"), (0.2, "0.2"), (0.0, "0"),
     (1 / 3, "85/255"), (0.03125, "0.03125"), (0.01234567, "0.01235")],
)  # fmt: skip
def test_a_radius_is_written_as_it_is_usually_given(eps, text):
    assert format_radius(eps) == text


@pytest.mark.parametrize(
    ("eps", "message"), [([], "one radius or more"), ([0.1, 0.2, 0.1], "eps has 0.1 twice")]
)
def test_wrong_lists_of_radii(eps, message):
    with pytest.raises(ValueError, match=message):
        state_files("state.npz", eps)
