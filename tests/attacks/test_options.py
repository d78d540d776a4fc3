"""The options of every attack: each is used or refused, and none that is accepted idles it."""

import inspect
from functools import partial

import numpy as np
import pytest

from tests.attacks.test_inputs import problem
from tinyproto.attacks import (
    ATTACKS,
    apgd,
    apgd_targeted,
    autoattack,
    carlini_wagner,
    carlini_wagner_linf,
    fab,
    fgsm,
    hop_skip_jump,
    minimum_norm,
    n_fgsm,
    norms_of,
    pgd,
    pgd_inner,
    square,
)

EPS, STEPS = {"eps": 0.3}, {"steps": 3}
QUICK = {
    "fgsm": (fgsm, EPS),
    "pgd": (pgd, EPS | STEPS | {"random_start": False}),
    "pgd_inner": (pgd_inner, EPS | STEPS | {"step_size": 0.1, "initial_noise": 0.0}),
    "n_fgsm": (n_fgsm, EPS),
    "apgd": (apgd, EPS | STEPS),
    "apgd-t": (apgd_targeted, EPS | STEPS),
    "square": (square, EPS | {"queries": 5}),
    "autoattack": (autoattack, EPS | {"version": ["apgd-ce"]}),
    "cw-linf": (carlini_wagner_linf, EPS | STEPS),
    "cw": (carlini_wagner, {"steps": 30, "binary_search_steps": 1, "initial_const": 10.0,
                            "learning_rate": 0.1}),
    "fab": (fab, STEPS),
    "hop-skip-jump": (hop_skip_jump, {"steps": 1, "probes": 3}),
    "minimum norm": (partial(minimum_norm, pgd), {"halvings": 3}),
}  # fmt: skip
NO_NUMBERS = {"norm", "loss", "version", "index", "start", "random_start", "early_exit"}
RADII = {"eps", "farthest"}  # 0 is one: nothing is to be found


def options_of(attack):
    found = inspect.signature(attack).parameters.values()
    return [p.name for p in found if p.kind is p.KEYWORD_ONLY and p.name not in NO_NUMBERS | RADII]


OPTIONS = [(name, option) for name, (attack, _) in QUICK.items() for option in options_of(attack)]


@pytest.mark.parametrize("value", [0, 0.0, -1, -0.5, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_a_number_is_refused_by_name_or_the_attack_moves(name, option, value):
    victim, x, y = problem()
    attack, settings = QUICK[name]
    try:
        found, message = attack(victim, x, y, **settings | {option: value}), ""
    except ValueError as error:
        found, message = None, str(error)
    if found is None:
        assert message.startswith(f"{option} must be ")
        assert "\n" not in message
        return
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found != x).any()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_by_name_takes_no_option_and_no_norm_that_it_does_not_use(name):
    victim, x, y = problem()
    options = {"eps": 0.1, "seed": 0, "index": np.arange(len(x))}
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        ATTACKS[name](victim, x, y, norm=norms_of(name)[0], **options, nonsense=1)
    for norm in {"linf", "l2", "l1"} - set(norms_of(name)):
        with pytest.raises(ValueError, match=f"norm must be .*, not '{norm}'"):
            ATTACKS[name](victim, x, y, norm=norm, **options)


def test_a_step_may_be_0_where_the_radius_is():
    victim, x, y = problem()
    eps = np.array([0.0, 0.3, 0.3, 0.3, 0.3])
    found = pgd(victim, x, y, eps=eps, step_size=eps)
    assert (found != x).any(axis=1).tolist() == [False, True, True, True, True]
    with pytest.raises(ValueError, match="step_size must be above 0 where eps is, not 0"):
        pgd(victim, x, y, eps=0.3, step_size=eps)
