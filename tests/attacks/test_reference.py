"""The attacks against plain loops of the same algorithms and, where it is installed, against their
authors' code; their settings against the papers'."""

import numpy as np
import pytest

from tests.attacks import reference
from tinyproto.attacks import Victim, apgd, carlini_wagner, fab, pgd, square
from tinyproto.attacks.autoattack import VERSIONS, attacks_to_run
from tinyproto.attacks.fab import _random_start
from tinyproto.attacks.region import Region, norms
from tinyproto.attacks.square import P_HALVINGS, _SquareL2, _SquareLinf, p_selection
from tinyproto.losses import cross_entropy, dlr, margin
from tinyproto.testing.victims import flattened, hidden, problem

NORMS = ["linf", "l2"]
each_norm = pytest.mark.parametrize("norm", NORMS)


@each_norm
@pytest.mark.parametrize("steps", [30, 100])
@pytest.mark.parametrize("loss", [cross_entropy, dlr, margin])
def test_apgd_is_the_paper_s_algorithm(norm, steps, loss):
    """A misclassified example stops early, so only the others are compared. Now and then two losses
    differ by rounding alone and the best point is another one: 97 of 100 must be the same."""
    differences, eps = [], 0.02
    for seed in range(8):
        victim, x, y = problem(seed, count=5)
        start = Region(x, eps, norm, victim).random_point(
            np.arange(5), stream="apgd", seed=0, restart=0
        )
        found = apgd(victim, x, y, eps=eps, norm=norm, loss=loss, steps=steps)
        for i in np.flatnonzero(victim(found)[0].argmax(axis=1) == y):
            expected = reference.apgd(victim.model, x[i], y[i], start[i], eps, norm, loss, steps)
            differences.append(np.abs(found[i] - expected).max())
            z = victim.model(np.stack([found[i], expected]))[0]
            one, other = loss(z, y[[i, i]])[0]
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert len(differences) > 15
    assert np.mean(np.array(differences) < 1e-7) >= 0.97


@each_norm
def test_fab_is_the_paper_s_algorithm(norm):
    """Now and then a point lies on the decision boundary, and rounding decides on which side."""
    differences = []
    for seed in range(15):
        victim, x, y = problem(seed, count=4)
        found = fab(victim, x, y, norm=norm, steps=12)
        examples = zip(x, y, strict=True)
        expected = np.stack([reference.fab(victim.model, *at, norm, 12) for at in examples])
        differences += list(np.abs(found - expected).max(axis=1))
        np.testing.assert_allclose(norms(found - x, norm), norms(expected - x, norm), rtol=0.02)
    assert sum(distance < 1e-7 for distance in differences) >= 57


def test_carlini_and_wagner_follow_the_gradient_of_their_objective():
    """By central differences, far from the middle of the box, where tanh is not linear."""
    found_some = 0
    for seed in range(6):
        victim, x, y = problem(seed, count=4)
        x = 0.5 + 0.49 * np.sign(x - 0.5) * np.abs(2 * x - 1) ** 0.3
        y = victim(x)[0].argmax(axis=1)
        found = carlini_wagner(
            victim, x, y, steps=8, binary_search_steps=1, initial_const=2.0, learning_rate=0.3
        )
        for i in range(4):
            expected = reference.carlini_wagner(victim.model, x[i], y[i], 8, 2.0, 0.3)
            np.testing.assert_allclose(found[i], expected, atol=1e-4)
            found_some += bool((expected != x[i]).any())
    assert found_some >= 8


@pytest.mark.slow
def test_autoattack_has_the_authors_settings():
    assert VERSIONS["standard"] == ("apgd-ce", "apgd-t", "fab-t", "square")
    assert VERSIONS["plus"] == ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t")
    assert VERSIONS["rand"] == ("apgd-ce", "apgd-dlr")
    victim, x, y = problem(1, count=3, classes=12)
    queries = 5000 * 3
    expected = {  # forward passes of each attack, for an example that stays correct
        "standard": {"apgd-ce": 101, "apgd-t": 909, "fab-t": 1800, "square": queries // 3},
        "plus": {"apgd-ce": 505, "apgd-dlr": 505, "fab": 1000, "square": queries // 3,
                 "apgd-t": 909, "fab-t": 1800},
        "rand": {"apgd-ce": 2020, "apgd-dlr": 2020},
    }  # fmt: skip
    for version, passes in expected.items():
        for name, attack in attacks_to_run(version).items():
            victim.forward_passes = 0
            attack(victim, x, y, eps=1e-9, norm="linf", seed=0, index=np.arange(3))
            assert victim.forward_passes == 3 * (passes[name] + 1), (version, name)


def test_the_attacks_of_autoattack_have_the_authors_losses():
    for version in VERSIONS:
        attacks = attacks_to_run(version).items()
        losses = {name: getattr(attack, "keywords", {}).get("loss") for name, attack in attacks}
        assert losses["apgd-ce"] is None
        assert losses.get("apgd-dlr", "dlr") == "dlr"


def sampler_for(norm, shape, eps=0.1, count=3):
    x = np.random.default_rng(0).uniform(0.3, 0.7, (count, *shape))
    region = Region(x, eps, norm, Victim(lambda x: None))
    sampler = _SquareLinf if norm == "linf" else _SquareL2
    return sampler(region, 0, np.arange(count)), x


def test_the_windows_of_square_shrink_as_the_authors_do():
    """Sides for images of 32 × 32 pixels after each halving of p; in L2 they are odd, 3 or more."""
    assert P_HALVINGS == (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    ps = [0.8 / 2**k for k in range(8)]
    linf, l2 = (sampler_for(norm, (32, 32, 3))[0] for norm in NORMS)
    assert [linf.window_size(p, 1)[0] for p in ps] == [29, 20, 14, 10, 7, 5, 4, 3]
    assert [l2.window_size(p, 3, odd=True)[0] for p in ps] == [29, 21, 15, 11, 7, 5, 5, 3]


def test_the_schedule_of_square_is_counted_in_queries(monkeypatch):
    victim, x, y = problem(1, count=2)
    seen = []
    propose = _SquareLinf.propose

    def watched(self, examples, best, query, p):
        seen.append((query, p))
        return propose(self, examples, best, query, p)

    monkeypatch.setattr(_SquareLinf, "propose", watched)
    square(victim, x, y, eps=1e-9, queries=600)
    expected = [0.8 * 0.5 ** sum(q > end for end in (10, 50, 200, 500)) for q in range(1, 600)]
    assert [p for _, p in seen] == expected
    assert [p_selection(0.8, query) for query, _ in seen] == expected


def test_square_in_linf_sets_a_window_to_the_bounds_of_the_ball():
    sampler, x = sampler_for("linf", (9, 9, 2))
    start = sampler.initialize()
    assert set(np.unique(np.round(np.abs(start - x), 12))) == {0.1}
    assert (np.sign(start - x) == np.sign(start - x)[:, :1]).all()  # vertical stripes
    moved = sampler.propose(np.arange(3), x.copy(), 5, 0.2)
    for image in moved - x:
        rows, columns = np.nonzero(np.abs(image).any(axis=2))
        window = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert window.shape == (4, 4, 2)  # √(0.2 · 81) = 4.02
        np.testing.assert_allclose(np.abs(window), 0.1)
        assert (np.sign(window) == np.sign(window[0, 0])).all()  # one sign a channel


def test_windows_reach_every_pixel():
    sampler, _ = sampler_for("linf", (6, 7, 1), count=400)
    rows, columns = sampler.window(np.arange(400), (3, 3), 1, "window")
    assert sorted({int(r) for r in rows[:, 0, 0]}) == [0, 1, 2, 3]
    assert sorted({int(c) for c in columns[:, 0, 0]}) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("side", [3, 4, 5, 11])
def test_eta_of_square_in_l2(side):
    sampler, _ = sampler_for("l2", (15, 15, 1))
    half = side // 2
    expected = np.concatenate(
        [reference.peak(half, side), -reference.peak(side - half, side)], axis=0
    ) / np.sqrt(2)
    eta, transposed = sampler.eta(side, side)
    np.testing.assert_allclose(eta, expected, atol=1e-12)
    np.testing.assert_allclose(transposed, expected.T, atol=1e-12)


@pytest.mark.parametrize("fraction", [1.0, 0.6])
def test_square_in_l2_moves_the_energy_of_a_second_window(fraction):
    """One channel: the first window gets η plus what was there, with the energy of both windows and
    what the ball has left; the second one is cleared where they do not overlap."""
    sampler, x = sampler_for("l2", (15, 15, 1), eps=0.2, count=6)
    best = x + fraction * (sampler.initialize() - x)  # below 1, as where the box binds
    np.testing.assert_allclose(norms(best - x), 0.2 * fraction, atol=1e-9)
    examples, size = np.arange(6), sampler.window_size(0.1, 3, odd=True)
    moved = sampler.propose(examples, best, 7, 0.1)
    windows = [sampler.window(examples, size, 7, what) for what in ("window", "second window")]
    turn = sampler.uniform(examples, 1, 7, "turn")[:, 0] < 0.5
    sign = sampler.signs(examples, 1, 7, "sign")[:, 0]
    for i in range(6):
        delta = (best - x)[i, :, :, 0]
        first, second = ((rows[i], columns[i]) for rows, columns in windows)
        covered = np.zeros(delta.shape, dtype=bool)
        covered[first] = covered[second] = True
        energy = (delta[covered] ** 2).sum() + max(0.04 - (delta**2).sum(), 0)
        old = delta[first] / (np.linalg.norm(delta[first]) + 1e-12)
        new = sampler.eta(*size)[0 if turn[i] else 1] * sign[i] + old
        expected = delta.copy()
        expected[second] = 0
        expected[first] = new / np.linalg.norm(new) * np.sqrt(energy)
        expected *= 0.2 / np.linalg.norm(expected)
        np.testing.assert_allclose((moved - x)[i, :, :, 0], expected, atol=1e-8)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((10, 20, 1), (2, 2)), ((40, 6, 1), (1, 1)), ((1, 20, 1), (1, 4)), ((32, 32, 3), (6, 6)),
     ((28, 19, 1), (3, 3)), ((28, 28, 1), (5, 5))],
)  # fmt: skip
def test_square_in_l2_starts_from_a_grid_of_tiles(shape, size, monkeypatch):
    sampler, x = sampler_for("l2", shape)
    eta, sizes = sampler.eta, []
    monkeypatch.setattr(sampler, "eta", lambda *size: sizes.append(size) or eta(*size))
    start = sampler.initialize()
    np.testing.assert_allclose(norms(start - x), 0.1, atol=1e-9)
    assert sizes == [size]
    moved = (start != x).any(axis=(0, 3))
    for axis, (pixels, side) in enumerate(zip(shape, size, strict=False)):  # it is in the middle
        at = np.flatnonzero(moved.any(axis=1 - axis))
        assert (at[0], len(at)) == (pixels % side // 2, pixels // side * side)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_fab_restarts_at_half_the_distance(norm):
    x, distance = np.full((4, 9), 0.5), np.array([0.1, 0.2, 0.3, 0.4])
    key = {"seed": 0, "restart": 1, "step": 0}
    start = _random_start(Victim(lambda x: None), x, distance, norm, np.arange(4), key)
    np.testing.assert_allclose(norms(start - x, norm), distance / 2)


def test_momentum_adds_gradients_of_l1_norm_1():
    """MI-FGSM, equation 6 of arXiv 1710.06081."""
    victim, x, y = problem(3, count=5)
    options = {"norm": "l2", "momentum": 0.8, "random_start": False, "early_exit": False}
    found = pgd(victim, x, y, eps=0.05, step_size=0.01, steps=4, **options)
    point, velocity = x, 0.0
    for _ in range(4):
        z, backward = victim(point)
        gradient = backward(cross_entropy(z, y)[1])
        velocity = 0.8 * velocity + gradient / np.abs(gradient).sum(axis=1, keepdims=True)
        moved = point + 0.01 * velocity / np.linalg.norm(velocity, axis=1, keepdims=True)
        point = np.stack([reference.project(*at, 0.05, "l2") for at in zip(x, moved, strict=True)])
    correct = victim(found)[0].argmax(axis=1) == y
    assert correct.sum() >= 2
    np.testing.assert_allclose(found[correct], point[correct], atol=1e-9)


@each_norm
@pytest.mark.parametrize("shape", [(6, 6, 1), (40, 6, 1), (4, 9, 2)])
def test_more_queries_of_square_fool_more_images(norm, shape):
    model = flattened(hidden(3, int(np.prod(shape))))
    x = np.random.default_rng(3).random((40, *shape))
    victim = Victim(model)
    y = victim(x)[0].argmax(axis=1)
    eps = {"linf": 0.05, "l2": 0.3}[norm]
    correct = []
    for queries in (1, 30, 300):
        attacked = square(victim, x, y, eps=eps, norm=norm, queries=queries)
        assert (attacked != x).any(axis=(1, 2, 3)).all()
        correct.append((victim(attacked)[0].argmax(axis=1) == y).sum())
    assert correct[0] > correct[1] > correct[2]


@each_norm
def test_apgd_and_fab_equal_the_authors_code_from_the_same_start(norm):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[peers]'")
    peer = pytest.importorskip("pyautoattack.autopgd_base", reason="needs pyautoattack, likewise")
    from logging import getLogger

    from pyautoattack.fab_pt import FABAttack_PT

    random = np.random.default_rng(0)
    A, B = random.normal(size=(12, 40)), random.normal(size=(40, 6))

    def model(x):
        hidden = np.stack([row @ A for row in x.reshape(len(x), -1)])
        z = np.stack([row @ B for row in np.maximum(hidden, 0)])
        return z, lambda dz: (((dz @ B.T) * (hidden > 0)) @ A.T).reshape(x.shape)

    def torch_model(x):
        hidden = x.reshape(len(x), -1) @ torch.from_numpy(A).to(x.dtype)
        return torch.relu(hidden) @ torch.from_numpy(B).to(x.dtype)

    x = random.uniform(0.2, 0.8, (60, 1, 3, 4))
    victim, eps = Victim(model), {"linf": 0.05, "l2": 0.12}[norm]
    y = model(x)[0].argmax(axis=1)
    settings = {"norm": {"linf": "Linf", "l2": "L2"}[norm], "eps": eps, "device": "cpu"}
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    start = Region(x, eps, norm, victim).random_point(
        np.arange(60), stream="apgd", seed=0, restart=0
    )
    for loss, name in ((cross_entropy, "ce"), (dlr, "dlr")):
        attack = peer.APGDAttack(torch_model, loss=name, logger=getLogger("peer"), **settings)
        attack.init_hyperparam(images)
        _, robust, value, _ = attack.attack_single_run(images, labels, torch.from_numpy(start))
        found = apgd(victim, x, y, eps=eps, norm=norm, loss=name)
        correct = model(found)[0].argmax(axis=1) == y
        assert 5 < correct.sum() < 55
        np.testing.assert_array_equal(correct, robust.numpy() > 0)
        reached = loss(model(found)[0], y)[0]
        if norm == "linf":  # in L2 the order of clipping and scaling differs from theirs
            np.testing.assert_allclose(
                reached[correct], value.numpy()[correct], rtol=1e-3, atol=1e-5
            )
    attack = FABAttack_PT(torch_model, n_iter=30, **settings)
    theirs = attack.attack_single_run(images.float(), labels).numpy().astype(np.float64)
    ours = fab(victim, x, y, norm=norm, steps=30)
    ratio = norms(ours - x, norm) / norms(theirs - x, norm)
    np.testing.assert_allclose(ratio, 1, atol=2e-3)
