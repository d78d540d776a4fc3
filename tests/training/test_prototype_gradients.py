"""What moves the head in Adv-DPNP: the clean branch, or both; prototypes, or an ordinary head."""

from functools import partial

import numpy as np
import pytest

from tests.training.test_defenses import LEARNED, batch, fixed, slopes, small
from tinyproto.losses import cross_entropy, kl_divergence
from tinyproto.parameters import flatten, zeros
from tinyproto.training import adv_dpnp, dpnp, standard

WEIGHTS = {"adversarial_weight": 0.7, "consistency_weight": 2.0}
TERMS = {"alignment_weight": 0.3, "repulsion_weight": 0.2}
WITHOUT = {"alignment_weight": 0.0, "repulsion_weight": 0.0}


def moved(images, size=0.1):
    return images.x + np.random.default_rng(7).uniform(-size, size, images.x.shape)


@pytest.mark.parametrize("consistency", ["kl", "features"])
@pytest.mark.parametrize("path", [*LEARNED, "head/prototypes"])
def test_with_both_branches_every_gradient_is_that_of_the_whole_loss(path, consistency):
    network, images = small(), batch()
    defense = partial(
        adv_dpnp, attack=fixed(moved(images)), prototype_gradients="both",
        consistency=consistency, **WEIGHTS, **TERMS,
    )  # fmt: skip
    for seed in range(3):
        found, stated = slopes(network, defense, images, path, np.random.default_rng(seed))
        assert stated == pytest.approx(found, rel=1e-7, abs=1e-9)


def test_the_notes_formula_is_what_both_branches_add_to_the_prototypes():
    network, images = small(), batch()
    attacked, y, count = moved(images), images.y, len(images.y)
    grads = {}
    for which in ("clean", "both"):
        grads[which] = zeros(network.params)
        adv_dpnp(
            network, images, grads[which], attack=fixed(attacked), prototype_gradients=which,
            **WEIGHTS, **TERMS,
        )  # fmt: skip
    c = network.head.params["prototypes"]
    (h, z), (h_attacked, z_attacked) = (
        (network.features(x, True)[0], network(x, True)[0]) for x in (images.x, attacked)
    )
    _, g, g_attacked = kl_divergence(z, z_attacked)
    _, dz = cross_entropy(z_attacked, y)  # p′ − 1[y]
    own = np.eye(3)[y]
    expected = np.zeros_like(c)
    for i in range(count):
        for j in range(3):
            towards = dz[i, j] * h_attacked[i] + 2 * 0.3 * own[i, j] * (c[j] - h_attacked[i])
            expected[j] += 0.7 * towards + 2.0 * (g[i, j] * h[i] + g_attacked[i, j] * h_attacked[i])
    difference = grads["both"]["head"]["prototypes"] - grads["clean"]["head"]["prototypes"]
    np.testing.assert_allclose(difference, expected / count, rtol=1e-9, atol=1e-12)
    for path in LEARNED:  # which do not differ
        both, clean = flatten(grads["both"])[path], flatten(grads["clean"])[path]
        np.testing.assert_allclose(both, clean, rtol=1e-12)


@pytest.mark.parametrize("which", ["clean", "both"])
@pytest.mark.parametrize("path", [*LEARNED, "head/weight", "head/bias"])
def test_an_ordinary_head_learns_from_the_same_branches(path, which):
    network, images = small(prototypes=False), batch()
    defense = partial(
        adv_dpnp, attack=fixed(moved(images)), prototype_gradients=which, **WITHOUT, **WEIGHTS
    )
    if which == "clean" and path.startswith("head"):  # standard training's gradient
        grads, alone = zeros(network.params), zeros(network.params)
        defense(network, images, grads)
        standard(network, images, alone)
        np.testing.assert_allclose(flatten(grads)[path], flatten(alone)[path], rtol=1e-9)
        return
    found, stated = slopes(network, defense, images, path, np.random.default_rng(0))
    assert stated == pytest.approx(found, rel=1e-7, abs=1e-9)


def test_dpnp_without_its_terms_is_standard_training():
    network, images = small(prototypes=False), batch()
    ours, theirs = zeros(network.params), zeros(network.params)
    loss, _ = dpnp(network, images, ours, **WITHOUT)
    expected, _ = standard(network, images, theirs)
    np.testing.assert_array_equal(loss, expected)
    for path in (*LEARNED, "head/weight", "head/bias"):
        np.testing.assert_allclose(flatten(ours)[path], flatten(theirs)[path], rtol=1e-9)


@pytest.mark.parametrize("name", ["alignment_weight", "repulsion_weight"])
def test_terms_of_prototypes_need_prototypes(name):
    network = small(prototypes=False)
    for defense in (dpnp, adv_dpnp):
        with pytest.raises(ValueError, match=f"{name} need a network with head='prototypes'"):
            defense(network, batch(), {}, **{**WITHOUT, name: 0.1})


def test_other_branches_are_refused():
    with pytest.raises(ValueError, match="must be 'clean' or 'both', not 'attacked'"):
        adv_dpnp(small(), batch(), {}, prototype_gradients="attacked")
