"""Victims whose gradient is masked, each in its own way, and the sign that gives it away."""

from functools import partial

import numpy as np
import pytest

from tests.victims import hidden, problem
from tinyproto.attacks import FlatGradientWarning, Victim
from tinyproto.evaluation import masking
from tinyproto.evaluation.report import Report, Result
from tinyproto.evaluation.robustness import evaluate

FEW = {name: masking.ATTACKS[name] for name in ("fgsm", "pgd-20", "apgd-t", "square-1000")}


def judged(model, attacks=masking.ATTACKS, eps=0.1, **options):
    _, x, _ = problem(5, count=60)
    y = model(x)[0].argmax(axis=1)
    return evaluate(Victim(model), x, y, attacks, eps=eps, shown=False, **options).warnings


@pytest.mark.parametrize("seed", range(6))
def test_honest_victims_show_no_sign(seed):
    weights = np.random.default_rng(seed).normal(size=(6, 5))

    def linear(x):
        return (x - 0.5) @ weights, lambda dz: dz @ weights.T

    assert judged(linear) == []
    found = judged(hidden(seed), {n: a for n, a in masking.ATTACKS.items() if "no bound" not in n})
    assert found == []  # six inputs and kinks: without a bound, even the best climb ends early


@pytest.mark.parametrize("chain", [False, True])
def test_a_gradient_that_vanishes_and_square_that_needs_none(chain):
    model = hidden(5)

    def stepped(x):
        z, _ = model(np.round(x * 64) / 64)
        return z, lambda dz: np.zeros_like(x)

    with pytest.warns(FlatGradientWarning):
        found = judged(stepped, FEW, chain=chain)
    assert any(line.startswith("apgd-t: the gradient was exactly 0 in ") for line in found)
    assert any("square-1000, without gradients, made " in line for line in found)


def test_scores_so_large_that_cross_entropy_has_no_gradient():
    model = hidden(5, dtype=np.float32)

    def loud(x):
        z, backward = model(x.astype(np.float32))
        return z * 10000, lambda dz: backward(dz.astype(np.float32) * 10000)

    with pytest.warns(FlatGradientWarning):
        found = judged(loud, FEW)
    assert any("pgd-20: the gradient was exactly 0" in line for line in found)


def test_a_gradient_that_points_elsewhere():
    model = hidden(5)

    def elsewhere(x):
        z, backward = model(x)
        return z, lambda dz: -backward(dz)

    found = judged(elsewhere)
    assert any(line.startswith("a random start matters") for line in found)
    assert any(line.startswith("pgd-100, no bound, leaves ") for line in found)


def test_answers_that_differ_from_call_to_call():
    model, noise = hidden(5), np.random.default_rng(0)

    def noisy(x):
        z, backward = model(x)
        return z + 0.2 * noise.normal(size=z.shape), backward

    found = judged(noisy, {"fgsm": masking.ATTACKS["fgsm"]})
    assert found[0].startswith("the scores differ from call to call: autoattack-rand")


def test_probabilities_instead_of_logits():
    from tinyproto.losses import softmax

    def shares(x):
        z, backward = hidden(5)(x)
        p = softmax(z)
        return p, lambda dp: backward(p * (dp - (p * dp).sum(axis=1, keepdims=True)))

    assert "the scores look like probabilities" in judged(shares, {"fgsm": FEW["fgsm"]})[0]


def report(shares, **settings):
    """Of 100 examples, so many right under each attack."""
    clean = np.ones(100, dtype=bool)
    results = {}
    for name, share in shares.items():
        right = np.arange(100) < share
        distance = np.where(right, np.inf, 0.1)
        results[name] = Result(clean, right, right, distance, backward_passes=100)
    return Report(clean, results, {"chain": False} | settings)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"fgsm": 20, "pgd-20": 40}, ["pgd-20 is weaker than fgsm: 40.0 % right against 20.0 %"]),
        ({"pgd-100": 45, "pgd-20": 40}, ["pgd-100 is weaker than pgd-20: 45.0 % right against"]),
        ({"fgsm": 40, "pgd-20": 20, "pgd-100": 20}, []),
        ({"fgsm": 40, "pgd-20": 41}, []),  # not worth a warning
        ({"fgsm": 40, "pgd-20": 43}, []),  # may be chance
        ({"pgd-20": 20, "pgd-20, no random start": 50}, ["a random start matters: 20.0 % right"]),
        ({"pgd-20": 20, "pgd-20, no random start": 22}, []),
        ({"pgd-100, no bound": 7}, ["pgd-100, no bound, leaves 7.0 % right: it should leave none"]),
        ({"pgd-100, no bound": 0}, []),
    ],
)
def test_signs_between_attacks(shares, expected):
    found = masking.after(report(shares))
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start)


def test_square_that_finds_two_more_is_chance_and_five_more_is_not():
    for more, warned in ((2, False), (5, True)):
        shown = report({"apgd-t": 40, "square": 40 - more})
        shown.results["square"].backward_passes = 0
        assert any("square, without" in line for line in masking.after(shown)) == warned
    unseen = report({"apgd-t": 40, "square": 35}, chain=True)
    unseen.results["square"].backward_passes = 0
    unseen.results["apgd-t"].done = np.zeros(100, dtype=bool)  # it came after Square
    assert masking.after(unseen) == []


def test_the_unbounded_attack_counts_for_itself_alone():
    victim, x, y = problem(5, count=30)
    report = evaluate(victim, x, y, "masking", eps=0.05, shown=False)
    rows = {row["attack"]: row for row in report.rows()}
    share = rows["pgd-100, no bound"]
    assert share["right %"] == 100 - share["found %"] < 50
    assert rows["worst case"]["right %"] > share["right %"]
    assert rows["worst case"]["mean distance"] <= 0.0500001
    assert report.right.mean() == pytest.approx(rows["worst case"]["right %"] / 100)


def test_in_a_chain_attacks_are_not_compared():
    assert masking.after(report({"fgsm": 20, "pgd-20": 40}, chain=True)) == []


def test_without_a_bound_every_image_is_turned():
    victim, x, y = problem(5, count=30)
    for norm in ("linf", "l2"):
        found = masking.unbounded(victim, x, y, eps=0.01, norm=norm)
        assert (victim(found)[0].argmax(axis=1) != y).all()


def test_flat_gradients_are_counted_per_attack():
    victim, x, y = problem(5, count=30)
    zero = Victim(lambda p: (victim.model(p)[0], lambda dz: np.zeros_like(p)))
    with pytest.warns(FlatGradientWarning):
        done = evaluate(zero, x, y, {"pgd-20": partial(FEW["pgd-20"], steps=3)}, eps=0.1,
                        shown=False)  # fmt: skip
    result = done.results["pgd-20"]
    assert result.flat_gradients == result.backward_passes > 0
