"""The page's JavaScript, under Node, computes what Python does, for its digits and in the plane."""

import base64
import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinyproto
from tests.play.test_page import PLAY, page_data
from tinyproto.attacks import Victim, fab, fgsm, minimum_norm, norms, pgd
from tinyproto.evaluation.explanation import explain, score_shares
from tinyproto.prototypes import PlusMinusEDWTA, exact_radius
from tinyproto.prototypes.certificate.convex import nonnegative_quadratic_program

HERE = Path(__file__).parent
EPS = {"l2": 1.0, "linf": 0.1}
FEW = 3  # digits whose nearest points are looked for by every attack
PLANES, INPUTS = 9, 5
WITH_ATTACKS = 3  # planes in which they are looked for too
PLANE_EPS = {"l2": 0.15, "linf": 0.1}


def plane(seed):
    """A network in the unit square with three classes, and inputs, some at the border. Every fourth
    network has one class everywhere."""
    random = np.random.default_rng(seed)
    per_class = 1 + seed % 3
    y = np.arange(3 * per_class) % 3
    network = PlusMinusEDWTA(per_class, epochs=0, dtype="float64").fit(np.eye(len(y), 2), y)
    network.positive_prototypes_, network.negative_prototypes_ = random.random((2, len(y), 2))
    network._beta[:] = 10.0
    if seed % 4 == 3:
        network.negative_prototypes_[0] = 5.0
    x = random.random((INPUTS, 2))
    x[0] = [1.0, 0.0]
    x[1, 0] = 0.0
    return network, x


def question(network, x, few):
    """One for answer.js."""
    positive, negative = network.positive_prototypes_, network.negative_prototypes_
    described = {"positive": positive.tolist(), "negative": negative.tolist()}
    described |= {"beta": network.beta_, "perClass": network._per_class}
    return {"network": described, "inputs": x.tolist(), "eps": PLANE_EPS, "few": few}


def digit_question(few):
    """That of the page's own network and digits."""
    return {"network": {"page": page_data()}, "eps": EPS, "few": few}


def few_of(seed):
    """Of how many inputs of a plane the nearest points are looked for."""
    return INPUTS if seed < WITH_ATTACKS else 0


def run_node(questions):
    """What answer.js says. Skips without Node, or where it is too old."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node, which runs JavaScript: apt install nodejs")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip("v\n").split(".")[0]) < 16:
        pytest.skip(f"needs Node 16 or newer, not {version.strip()}")
    command = [node, str(HERE / "node.mjs"), str(PLAY / "src")]
    out = subprocess.run(command, input=json.dumps(questions), capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


def digit_drawing():
    """A bar of 4 × 12 pixels in a corner."""
    drawing = np.zeros((28, 28))
    drawing[1:13, 2:6] = 1.0
    return drawing


@pytest.fixture(scope="module")
def answers():
    """Of the digits first, then of the planes."""
    drawings = [digit_drawing().ravel().tolist(), [0.0] * 784]
    planes = [question(*plane(seed), few_of(seed)) for seed in range(PLANES)]
    return run_node([digit_question(FEW) | {"drawings": drawings}, *planes])


def shipped():
    """The shipped network, and the digits of the page."""
    digits = np.frombuffer(base64.b64decode(page_data()["digits"]), np.uint8)
    return tinyproto.load("mnist-ed-wta"), digits.reshape(-1, 784) / np.float32(255)


def infinite(values):
    """None, which is what JSON has of ∞, as ∞."""
    return np.array([math.inf if value is None else value for value in values])


def nearest_distance(attack, network, x, y, norm):
    """The distance to the points that an attack finds; ∞ where it finds none."""
    found = attack(Victim(network), x, y)
    wrong = network(found)[0].argmax(axis=1) != y
    return np.where(wrong, norms(found.astype(np.float64) - x, norm), math.inf)


ATTACKS = {
    "fab": lambda norm: lambda v, x, y: fab(v, x, y, norm=norm),
    "pgd": lambda norm: lambda v, x, y: minimum_norm(pgd, v, x, y, norm=norm, random_start=False),
    "fgsm": lambda norm: (
        lambda v, x, y: minimum_norm(lambda *a, seed, index, **k: fgsm(*a, **k), v, x, y, norm=norm)
    ),
}
"""For each norm the attack that looks for the nearest point, as the page does."""


def check_against_python(found, network, x, eps, few, tolerance):
    """Scores, decisions, radii, verdicts and distances."""
    scores = network.neuron_scores(x)
    np.testing.assert_allclose(found["scores"], scores, atol=1e-4)
    why = explain(network, x)
    assert found["winner"] == why.winner.tolist()
    assert found["rival"] == why.rival.tolist()
    y = network(x)[0].argmax(axis=1)
    assert found["predicted"] == y.tolist()
    shares, _ = score_shares(network, x[:3], why.rival[:3])
    np.testing.assert_allclose(found["shares"], shares, atol=1e-12)
    victim = Victim(network)
    for norm, size in eps.items():
        of = found[norm]
        assert all(of["exact"])
        radius, delta = exact_radius(network, x, norm=norm, lo=0.0, hi=1.0)
        np.testing.assert_allclose(infinite(of["radius"]), radius, rtol=1e-7, atol=1e-12)
        for i in np.flatnonzero(np.isfinite(radius[:few])) if norm == "l2" else ():
            np.testing.assert_allclose(of["delta"][i], delta[i], atol=1e-6)
        within = {
            "pgd": pgd(victim, x, y, eps=size, norm=norm, random_start=False),
            "fgsm": fgsm(victim, x, y, eps=size, norm=norm),
        }
        for name, attacked in within.items():
            verdicts = network(attacked)[0].argmax(axis=1) != y
            assert [attack[name] for attack in of["attacks"]] == verdicts.tolist(), (norm, name)
        for name, attack in ATTACKS.items() if few else ():
            distance = nearest_distance(attack(norm), network, x[:few], y[:few], norm)
            reached = infinite([truth[name] for truth in of["truth"]])
            np.testing.assert_allclose(reached, distance, rtol=tolerance, err_msg=f"{norm} {name}")
            assert (reached >= radius[:few] * (1 - 1e-6)).all(), "no attack beats the exact radius"


def test_the_digits(answers):
    network, x = shipped()
    assert len(x) == 200
    check_against_python(answers[0], network, x, EPS, FEW, 1e-3)


@pytest.mark.parametrize("seed", range(PLANES))
def test_networks_in_the_plane(answers, seed):
    network, x = plane(seed)
    check_against_python(answers[1 + seed], network, x, PLANE_EPS, few_of(seed), 1e-4)


def test_some_planes_have_inputs_whose_class_is_everywhere(answers):
    radii = [answer[norm]["radius"] for answer in answers[1:] for norm in EPS]
    assert {None in radius for radius in radii} == {True, False}


def test_the_weights_are_decoded_exactly(answers):
    network, _ = shipped()
    np.testing.assert_array_equal(answers[0]["positive"], network.positive_prototypes_)
    np.testing.assert_array_equal(answers[0]["negative"], network.negative_prototypes_)


def test_multipliers_are_those_of_python_where_some_have_to_become_zero_again():
    """Quadratic programs of rows that are nearly parallel."""
    random, programs = np.random.default_rng(0), []
    for _ in range(30):
        G = random.normal(size=5) + 0.5 * random.normal(size=(6, 5))
        programs.append((G @ G.T + 0.01 * np.eye(6), random.normal(size=6) + 1))
    (found,) = run_node([{"programs": [(Q.tolist(), h.tolist()) for Q, h in programs]}])
    for multipliers, (Q, h) in zip(found, programs, strict=True):
        expected = nonnegative_quadratic_program(Q, h)
        np.testing.assert_allclose(multipliers, expected, rtol=1e-6, atol=1e-9)


def test_a_drawing_is_scaled_to_20_pixels_and_centred(answers):
    fitted, empty = np.array(answers[0]["fitted"]).reshape(2, 28, 28)
    assert not empty.any()
    inked = np.argwhere(fitted >= 0.5)
    height, width = np.ptp(inked, axis=0) + 1
    assert 19 <= height <= 21
    assert 5 <= width <= 8
    centre = (np.indices((28, 28)) * fitted).sum(axis=(1, 2)) / fitted.sum()
    np.testing.assert_allclose(centre, 13.5, atol=0.3)
