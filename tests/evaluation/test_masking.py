"""Victims with masked gradients, each masked in another way, and the warning for it."""

import json
from functools import partial

import numpy as np
import pytest

from tinyproto.attacks import FlatGradientWarning, Victim
from tinyproto.evaluation import masking
from tinyproto.evaluation.report import Report, Result
from tinyproto.evaluation.robustness import evaluate
from tinyproto.testing.victims import hidden, problem

FEW = {name: masking.ATTACKS[name] for name in ("fgsm", "pgd-20", "apgd-t", "square-1000")}


def warnings_for(model, attacks=masking.ATTACKS, eps=0.1, **options):
    _, x, _ = problem(5, count=60)
    y = model(x)[0].argmax(axis=1)
    return evaluate(Victim(model), x, y, attacks, eps=eps, verbose=False, **options).warnings


@pytest.mark.parametrize("seed", range(6))
def test_victims_without_masking_get_no_warning(seed):
    weights = np.random.default_rng(seed).normal(size=(6, 5))

    def linear(x):
        return (x - 0.5) @ weights, lambda dz: dz @ weights.T

    assert warnings_for(linear) == []
    found = warnings_for(
        hidden(seed), {n: a for n, a in masking.ATTACKS.items() if "no bound" not in n}
    )
    assert found == []  # without a bound, gradient ascent on so few inputs ends in local optima


@pytest.mark.parametrize("sequential", [False, True])
def test_a_vanishing_gradient_and_the_success_of_square(sequential):
    model = hidden(5)

    def stepped(x):
        z, _ = model(np.round(x * 64) / 64)
        return z, lambda dz: np.zeros_like(x)

    with pytest.warns(FlatGradientWarning):
        found = warnings_for(stepped, FEW, sequential=sequential)
    assert any(line.startswith("apgd-t: the gradient was exactly 0 in ") for line in found)
    assert any("square-1000, which uses no gradients, succeeded on " in line for line in found)


def test_scores_too_large_for_a_gradient_of_cross_entropy():
    model = hidden(5, dtype=np.float32)

    def loud(x):
        z, backward = model(x.astype(np.float32))
        return z * 10000, lambda dz: backward(dz.astype(np.float32) * 10000)

    with pytest.warns(FlatGradientWarning):
        found = warnings_for(loud, FEW)
    assert any("pgd-20: the gradient was exactly 0" in line for line in found)


def test_a_gradient_of_the_wrong_sign():
    model = hidden(5)

    def reversed_gradient(x):
        z, backward = model(x)
        return z, lambda dz: -backward(dz)

    found = warnings_for(reversed_gradient)
    assert any(line.startswith("a random start matters") for line in found)
    assert any(line.startswith("pgd-100, no bound: accuracy ") for line in found)


def test_scores_that_differ_from_call_to_call():
    model, noise = hidden(5), np.random.default_rng(0)

    def noisy(x):
        z, backward = model(x)
        return z + 0.2 * noise.normal(size=z.shape), backward

    found = warnings_for(noisy, {"fgsm": masking.ATTACKS["fgsm"]})
    assert found[0].startswith("the scores differ from call to call: autoattack-rand")


def test_probabilities_instead_of_logits():
    from tinyproto.losses import softmax

    def probabilities(x):
        z, backward = hidden(5)(x)
        p = softmax(z)
        return p, lambda dp: backward(p * (dp - (p * dp).sum(axis=1, keepdims=True)))

    assert (
        "the scores look like probabilities"
        in warnings_for(probabilities, {"fgsm": FEW["fgsm"]})[0]
    )


def report(accuracies, **settings):
    """100 examples, with this accuracy in per cent under each attack."""
    correct = np.ones(100, dtype=bool)
    results = {}
    for name, accuracy in accuracies.items():
        robust = np.arange(100) < accuracy
        distance = np.where(robust, np.inf, 0.1)
        results[name] = Result(correct, robust, robust, distance, backward_passes=100)
    return Report(correct, results, {"sequential": False} | settings)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        (
            {"fgsm": 20, "pgd-20": 40},
            ["pgd-20 is weaker than fgsm: accuracy 40.0 % against 20.0 %"],
        ),
        ({"pgd-100": 45, "pgd-20": 40}, ["pgd-100 is weaker than pgd-20: accuracy 45.0 % against"]),
        ({"fgsm": 40, "pgd-20": 20, "pgd-100": 20}, []),
        ({"fgsm": 40, "pgd-20": 41}, []),  # within the tolerance
        ({"fgsm": 40, "pgd-20": 43}, []),  # may be chance
        (
            {"pgd-20": 20, "pgd-20, no random start": 50},
            ["a random start matters: accuracy 20.0 %"],
        ),
        ({"pgd-20": 20, "pgd-20, no random start": 22}, []),
        ({"pgd-100, no bound": 7}, ["pgd-100, no bound: accuracy 7.0 %, where 0 % is expected"]),
        ({"pgd-100, no bound": 0}, []),
    ],
)
def test_comparisons_between_attacks(accuracies, expected):
    found = masking.check_results(report(accuracies))
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start)


def test_two_more_successes_of_square_may_be_chance_and_five_may_not():
    for more, warned in ((2, False), (5, True)):
        both = report({"apgd-t": 40, "square": 40 - more})
        both.results["square"].backward_passes = 0
        found = masking.check_results(both)
        assert any("square, which uses no gradients" in line for line in found) == warned
    square_only = report({"apgd-t": 40, "square": 35}, sequential=True)
    square_only.results["square"].backward_passes = 0
    square_only.results["apgd-t"].attacked = np.zeros(100, dtype=bool)  # it ran after Square
    assert masking.check_results(square_only) == []


def test_the_unbounded_attack_does_not_count_in_the_worst_case():
    victim, x, y = problem(5, count=30)
    report = evaluate(victim, x, y, "masking", eps=0.05, verbose=False)
    rows = {row["attack"]: row for row in report.rows()}
    unbounded = rows["pgd-100, no bound"]
    assert unbounded["accuracy %"] == 100 - unbounded["success rate %"] < 50
    assert rows["worst case"]["accuracy %"] > unbounded["accuracy %"]
    assert rows["worst case"]["mean distance"] <= 0.0500001
    assert report.robust.mean() == pytest.approx(rows["worst case"]["accuracy %"] / 100)
    assert report.verdict == masking.verdict(report) != ""
    assert report.text().splitlines()[-1] == f"verdict: {report.verdict}"
    assert json.loads(report.json())["verdict"] == report.verdict


ALL = dict.fromkeys(masking.ATTACKS, 30)


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (report(ALL), "7 attacks on 100 examples show no sign of masked gradients"),
        (report({"pgd-20": 30}), ""),
        (report(ALL, sequential=True), ""),
        (report({**ALL, "more": 30}), "7 attacks on 100 examples show no sign"),
    ],
)
def test_the_verdict_is_for_all_attacks_of_the_list(report, verdict):
    assert masking.verdict(report).startswith(verdict)
    assert bool(masking.verdict(report)) == bool(verdict)


def test_the_verdict_counts_the_signs():
    found = report(ALL)
    found.warnings = ["a"]
    assert masking.verdict(found).startswith("1 sign of masked gradients: the victim may be less")
    found.warnings = ["a", masking.NOISY + ": …", "b", masking.MIXED]
    assert masking.verdict(found).startswith("2 signs of masked gradients: ")
    found.warnings = [masking.MIXED]
    assert masking.verdict(found).endswith("no sign of masked gradients, but see the warning")
    found.correct = np.zeros(100, dtype=bool)
    assert masking.verdict(found).startswith("nothing can be said about masked gradients: no ")


def test_attacks_of_a_sequential_evaluation_are_not_compared():
    assert masking.check_results(report({"fgsm": 20, "pgd-20": 40}, sequential=True)) == []


def test_without_a_bound_every_example_is_misclassified():
    victim, x, y = problem(5, count=30)
    for norm in ("linf", "l2"):
        found = masking.unbounded(victim, x, y, eps=0.01, norm=norm)
        assert (victim(found)[0].argmax(axis=1) != y).all()


def test_flat_gradients_are_counted_per_attack():
    victim, x, y = problem(5, count=30)
    zero = Victim(lambda p: (victim.model(p)[0], lambda dz: np.zeros_like(p)))
    attacks = {"pgd-20": partial(FEW["pgd-20"], steps=3)}
    with pytest.warns(FlatGradientWarning):
        report = evaluate(zero, x, y, attacks, eps=0.1, verbose=False)
    result = report.results["pgd-20"]
    assert result.flat_gradients == result.backward_passes > 0
