"""What each defence adds to the gradients, against finite differences of the loss it states, and
what it must leave alone."""

import inspect
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tinyproto.layers import BatchNorm, Conv2D, GlobalAveragePool, Linear, ReLU, Sequential
from tinyproto.losses import boosted_cross_entropy, cross_entropy, kl_divergence, weighted_kl
from tinyproto.networks import Network, compact_cnn
from tinyproto.optimizers import SGD
from tinyproto.parameters import convert, flatten, zeros
from tinyproto.prototypes.dpnp import PrototypeHead, nearest_rival
from tinyproto.training import (
    DEFENSES,
    Batch,
    Defense,
    PGDConfig,
    adv_dpnp,
    dpnp,
    mart,
    pgd,
    standard,
    trades,
)

ADVERSARIAL = [name for name, defense in DEFENSES.items() if defense.adversarial]
ATTACK = PGDConfig(eps=0.1, steps=2, step_size=0.05)


def small(prototypes=True, seed=0):
    """A network of three classes with every kind of parameter, in float64, smooth but for ReLUs."""
    random = np.random.default_rng(seed)
    layers = Conv2D(2, 4, 3, padding=1), BatchNorm(4), ReLU(), GlobalAveragePool(), Linear(4, 3)
    head = PrototypeHead(3, 3, radius=1.5, init="random") if prototypes else Linear(3, 3)
    network = Network(Sequential(*layers), head)
    for path, leaf in flatten(network.params).items():
        if "prototypes" not in path and "running" not in path:
            leaf[...] += random.normal(size=leaf.shape) * 0.3
    convert(network.params, dtype=np.float64)
    return network


def batch(seed=0, count=5):
    random = np.random.default_rng(seed)
    x = random.uniform(0.2, 0.8, (count, 4, 3, 2))
    return Batch(x, np.arange(count) % 3, np.arange(count), epoch=1, seed=3)


def fixed(attacked):
    """An attack that returns these images for any network, so that the loss has differences."""
    return lambda network, batch, **options: attacked


def slopes(network, defense, images, path, draw):
    """The derivative of the mean loss along a random direction of one leaf: by differences, and by
    the gradient."""
    leaf = flatten(network.params)[path]
    direction = draw.normal(size=leaf.shape)
    direction /= np.linalg.norm(direction)
    grads = zeros(network.params)
    defense(network, images, grads)
    kept, value = leaf.copy(), {}
    step = 1e-4
    for k in (-2, -1, 1, 2):
        leaf[...] = kept + k * step * direction
        loss, _ = defense(network, images, zeros(network.params))
        value[k] = loss.mean()
    leaf[...] = kept
    found = (8 * (value[1] - value[-1]) - (value[2] - value[-2])) / (12 * step)
    return found, float((flatten(grads)[path] * direction).sum())


LEARNED = ["features/0/weight", "features/1/scale", "features/4/weight", "features/4/bias"]


@pytest.mark.parametrize("path", [*LEARNED, "head"])
@pytest.mark.parametrize("name", list(DEFENSES))
def test_gradients_are_those_of_the_loss(name, path):
    traits = DEFENSES[name]
    network, images = small(traits.prototypes), batch()
    head = "head/prototypes" if traits.prototypes else "head/weight"
    path = head if path == "head" else path
    attacked = images.x + np.random.default_rng(7).uniform(-0.1, 0.1, images.x.shape)
    options = {"alignment_weight": 0.3, "repulsion_weight": 0.2} if traits.prototypes else {}
    if traits.adversarial:
        options["attack"] = fixed(attacked)
    if name == "adv-dpnp" and path == head:
        # The terms that hold the prototypes fixed are off: what is left moves them.
        options |= {"adversarial_weight": 0.0, "consistency_weight": 0.0}
    defense = partial(DEFENSES[name], **options)
    for seed in range(3):
        found, stated = slopes(network, defense, images, path, np.random.default_rng(seed))
        assert stated == pytest.approx(found, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("consistency", ["kl", "features"])
@pytest.mark.parametrize("path", LEARNED)
def test_both_kinds_of_consistency(path, consistency):
    network, images = small(), batch()
    attacked = images.x + np.random.default_rng(7).uniform(-0.1, 0.1, images.x.shape)
    defense = partial(
        adv_dpnp, attack=fixed(attacked), consistency=consistency, consistency_weight=2.0
    )
    found, stated = slopes(network, defense, images, path, np.random.default_rng(0))
    assert stated == pytest.approx(found, rel=1e-7, abs=1e-9)


def test_values_are_those_of_the_formulas():
    network, images = small(), batch()
    attacked = np.clip(images.x + 0.05, 0, 1)
    attack, y = fixed(attacked), images.y
    prototypes = network.head.params["prototypes"]
    h, z = (f(images.x, True)[0] for f in (network.features, network))
    h_attacked, z_attacked = (f(attacked, True)[0] for f in (network.features, network))
    ce, ce_attacked = cross_entropy(z, y)[0], cross_entropy(z_attacked, y)[0]
    near = ((h - prototypes[y]) ** 2).sum(axis=1)
    near_attacked = ((h_attacked - prototypes[y]) ** 2).sum(axis=1)
    far = ((prototypes - prototypes[nearest_rival(prototypes)]) ** 2).sum(axis=1)[y]
    kl = kl_divergence(z, z_attacked)[0]
    expected = {
        partial(standard): ce,
        partial(pgd, attack=attack): ce_attacked,
        partial(trades, attack=attack, beta=2.0): ce + 2 * kl,
        partial(mart, attack=attack, kl_weight=3.0): boosted_cross_entropy(z_attacked, y)[0]
        + 3 * weighted_kl(z, z_attacked, y)[0],
        partial(dpnp, alignment_weight=0.1, repulsion_weight=0.2): ce + 0.1 * near - 0.2 * far,
        partial(
            adv_dpnp,
            attack=attack,
            alignment_weight=0.1,
            repulsion_weight=0.2,
            adversarial_weight=0.7,
            consistency_weight=3.0,
        ): ce + 0.1 * near - 0.2 * far + 0.7 * (ce_attacked + 0.1 * near_attacked) + 3 * kl,
    }
    for defense, value in expected.items():
        loss, _ = defense(network, images, zeros(network.params))
        np.testing.assert_allclose(loss, value, rtol=1e-12)


def test_prototypes_learn_from_clean_images_alone_to_the_bit():
    """Whatever the attacked images are, the prototypes' gradient is that of the clean branch."""
    network, images = small(), batch()
    alone = zeros(network.params)
    dpnp(network, images, alone, alignment_weight=0.3, repulsion_weight=0.2)
    for shift in (0.0, 0.1, 0.2):
        for consistency in ("kl", "features"):
            grads = zeros(network.params)
            adv_dpnp(
                network, images, grads, attack=fixed(images.x + shift), alignment_weight=0.3,
                repulsion_weight=0.2, adversarial_weight=5.0, consistency_weight=5.0,
                consistency=consistency,
            )  # fmt: skip
            ours, theirs = (g["head"]["prototypes"] for g in (grads, alone))
            assert (ours == theirs).all()
            moved = flatten(grads)["features/0/weight"] != flatten(alone)["features/0/weight"]
            assert moved.any()


def test_a_step_with_the_prototypes_slot_withheld_leaves_them_to_the_bit():
    network, images = small(), batch()
    before = network.head.params["prototypes"].copy()
    grads = zeros(network.params)
    del grads["head"]
    adv_dpnp(network, images, grads, attack=ATTACK)
    SGD().step(network.params, grads, 0.1)
    assert (network.head.params["prototypes"] == before).all()


@pytest.mark.parametrize(("clean_alone", "expected"), [(False, 2), (True, 1)])
def test_which_branches_feed_the_running_averages(clean_alone, expected):
    network, images = small(), batch()
    grads = zeros(network.params)
    adv_dpnp(network, images, grads, attack=ATTACK, clean_statistics=clean_alone)
    slot = grads["features"]["1"]["running_mean"]
    assert len(slot) == expected
    if clean_alone:
        single = zeros(network.params)
        dpnp(network, images, single)
        np.testing.assert_array_equal(slot[0], single["features"]["1"]["running_mean"][0])


@pytest.mark.filterwarnings("ignore:the gradient was exactly 0")  # as the variance grows
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_attacked_images_are_computed_in_eval_mode_and_in_the_ball(name, monkeypatch):
    network, images = small("dpnp" in name), batch()
    seen = []
    real = PGDConfig.__call__

    def watch(self, network, batch, **options):
        seen.append(real(self, network, batch, **options))
        return seen[-1]

    monkeypatch.setattr(PGDConfig, "__call__", watch)
    before = {path: leaf.copy() for path, leaf in flatten(network.params).items()}
    DEFENSES[name](network, images, zeros(network.params), attack=ATTACK)
    moved = np.abs(seen[0] - images.x)
    assert 0.01 < moved.max() <= ATTACK.eps
    for path, leaf in flatten(network.params).items():
        assert (leaf == before[path]).all()
    # The running averages decide where the attack goes: it runs in eval mode.
    network.params["features"]["1"]["running_variance"] *= 50
    network.params["features"]["1"]["running_mean"] += 5
    DEFENSES[name](network, images, zeros(network.params), attack=ATTACK)
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_attacked_images_are_worse_with_every_step_and_than_any_drawn(name, monkeypatch):
    """By what the attack is to raise: the divergence for TRADES, else the cross-entropy."""
    network, images, seen = small("dpnp" in name), batch(count=30), []
    real = PGDConfig.__call__
    monkeypatch.setattr(
        PGDConfig, "__call__", lambda *a, **k: seen.append(real(*a, **k)) or seen[-1]
    )
    for steps in (1, 2):
        attack = PGDConfig(eps=0.1, steps=steps, step_size=0.05)
        DEFENSES[name](network, images, zeros(network.params), attack=attack)
    z, _ = network(images.x)

    def raised(x):
        at_x, _ = network(x)
        loss = kl_divergence(z, at_x) if name == "trades" else cross_entropy(at_x, images.y)
        return loss[0].mean()

    once, twice = map(raised, seen)
    random = np.random.default_rng(0)
    corners = [random.choice([-0.1, 0.1], images.x.shape) for _ in range(50)]
    assert twice > once > raised(images.x)
    assert twice > max(raised(images.x + corner) for corner in corners)


def test_attacked_images_depend_on_seed_epoch_and_position_alone():
    network, images = small(), batch(count=6)
    whole = ATTACK(network, images)
    order = np.array([4, 0, 5])
    part = Batch(images.x[order], images.y[order], images.index[order], images.epoch, images.seed)
    np.testing.assert_array_equal(ATTACK(network, part), whole[order])
    for changed in ({"epoch": 2}, {"seed": 4}):
        named = {"epoch": images.epoch, "seed": images.seed, **changed}
        other = ATTACK(network, Batch(images.x, images.y, images.index, **named))
        assert (other != whole).any()


MADRY = PGDConfig(eps=8 / 255, steps=10, step_size=2 / 255, norm="linf")
OURS = {"alignment_weight": 0.05, "repulsion_weight": 0.05}
DEFAULTS = {
    "standard": {"smoothing": 0.0},
    "pgd": {"attack": MADRY},
    "trades": {"attack": MADRY, "beta": 6.0, "initial_noise": 0.001},
    "mart": {"attack": MADRY, "kl_weight": 5.0},
    "dpnp": OURS,
    "adv-dpnp": {
        **OURS, "attack": MADRY, "adversarial_weight": 4.0, "consistency_weight": 1.0,
        "consistency": "kl", "clean_statistics": False, "prototype_gradients": "clean",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(DEFENSES))
def test_defaults_are_those_of_the_papers(name):
    """The coefficients, and the attack that all of them train with."""
    parameters = inspect.signature(DEFENSES[name].step).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert defaults == DEFAULTS[name]
    assert PGDConfig() == MADRY


@pytest.mark.parametrize("name", list(DEFENSES))
def test_a_defence_declares_its_traits(name):
    """All keywords of its step are coefficients, except those of the attack."""
    defense, defaults = DEFENSES[name], DEFAULTS[name]
    assert defense.adversarial == ("attack" in defaults)
    assert defense.prototypes == ("dpnp" in name)
    coefficients = {n: v for n, v in defaults.items() if n not in ("attack", "initial_noise")}
    assert defense.defaults() == coefficients
    choices = {n: defense.choices(n) for n in coefficients if defense.choices(n)}
    words = {"consistency": ("kl", "features"), "prototype_gradients": ("clean", "both")}
    assert choices == (words if name == "adv-dpnp" else {})


def test_calling_a_defence_calls_its_step():
    defense = Defense(lambda *arguments, **options: (arguments, options))
    arguments, options = defense("network", "batch", "grads", beta=2)
    assert (arguments, options) == (("network", "batch", "grads"), {"beta": 2})
    assert (defense.adversarial, defense.prototypes, defense.coefficients) == (False, False, {})


def test_a_batch_has_epoch_0_and_seed_0_by_default():
    images = batch()
    assert Batch(images.x, images.y, images.index) == replace(images, epoch=0, seed=0)


def test_wrong_arguments_get_one_line():
    with pytest.raises(ValueError, match="need a network with head='prototypes'"):
        dpnp(small(prototypes=False), batch(), {})
    with pytest.raises(ValueError, match="'kl' or 'features', not 'l1'"):
        adv_dpnp(small(), batch(), {}, consistency="l1")


def test_dpnp_learns_and_keeps_its_prototypes_on_the_sphere():
    random = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (random.uniform(0, 0.3, (60, 8, 8, 3)) + np.eye(3)[y][:, None, None] * 0.6).astype("f4")
    network = compact_cnn(3, feature_width=4, head="prototypes", radius=3.0)
    optimizer = SGD()
    for epoch in range(15):
        grads = zeros(network.params)
        _, z = dpnp(network, Batch(x, y, np.arange(60), epoch), grads)
        optimizer.step(network.params, grads, 0.05)
        network.project()
    assert (z.argmax(axis=1) == y).mean() > 0.9
    lengths = np.linalg.norm(network.head.params["prototypes"], axis=1)
    np.testing.assert_allclose(lengths, 3.0, rtol=1e-6)
