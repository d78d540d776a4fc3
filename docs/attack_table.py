"""Write the table of docs/concepts/attacks.md: what each attack needs and does, observed.

    python docs/attack_table.py [FILE]

Every attack that an evaluation knows by name is run on two small images of a linear victim, in a
ball so small that nothing succeeds in it: the passes are those of an attack that never stops early.
"""

import re
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np

from tinyproto.attacks import ATTACKS, Victim, from_labels, norms, norms_of

PAGE = Path(__file__).parent / "concepts" / "attacks.md"
MARK = re.compile(r"(?<=<!-- attacks -->\n\n).*?(?=\n\n<!-- /attacks -->)", re.DOTALL)
EPS, CLASSES = 1e-6, 10
NAMES = {"linf": "L∞", "l2": "L2", "l1": "L1"}
SOURCES = {
    "fgsm": "1412.6572",
    "pgd": "1706.06083",
    "cw": "1608.04644",
    "apgd": "2003.01690",
    "fab": "1907.02044",
    "square": "1912.00049",
    "hop-skip-jump": "1904.02144",
}
HEAD = ["name", "norms", "looks at", "returns", "random", "forward passes", "backward", "arXiv"]


def model(x):
    """Scores that differ by more than a step of EPS, and by less than the box."""
    W = np.random.default_rng(0).normal(size=(16, CLASSES)) / 4
    z = (x.reshape(-1, 16) - 0.5) @ W
    return z, lambda dz: (dz @ W.T).reshape(x.shape)


def problem():
    x = np.random.default_rng(1).random((2, 4, 4, 1))
    return x, model(x)[0].argmax(axis=1)


def observe(name):
    """A row of the table."""
    norm = norms_of(name)[0]
    x, y = problem()
    run = partial(ATTACKS[name], x=x, y=y, eps=EPS, norm=norm, index=np.arange(2))
    victim = Victim(model)
    found = run(victim, seed=0)
    forward, backward = victim.forward_passes / 2, victim.backward_passes / 2
    far = norms(found - x, norm).max() > EPS
    return [
        f"`{name}`",
        ", ".join(NAMES[n] for n in norms_of(name)),
        looks_at(run, found),
        "the nearest" if far else "in the ball",
        "yes" if asked(run, seed=0) != asked(run, seed=1) else "no",
        rounded(forward),
        rounded(backward),
        SOURCES[next(key for key in SOURCES if name.startswith(key))],
    ]


def asked(run, seed):
    """Where the attack asks the victim, call by call."""
    points = []

    def watched(x):
        points.append(x.sum())
        return model(x)

    run(Victim(watched), seed=seed)
    return points


def looks_at(run, found):
    """What of the victim the attack needs: gradients, scores, or labels alone."""
    try:
        run(Victim(lambda x: model(x)[0]), seed=0)
    except ValueError:
        return "gradients"
    labels = Victim(from_labels(lambda x: model(x)[0].argmax(axis=1), CLASSES))
    return "labels" if (run(labels, seed=0) == found).all() else "scores"


def rounded(passes):
    """Three digits, of large numbers two: where an attack searches, they depend on the example."""
    digits = max(len(str(round(passes))) - (3 if passes < 10_000 else 2), 0)
    return f"{round(passes, -digits):,.0f}"


def table():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [observe(name) for name in ATTACKS]
    lines = [HEAD, ["---"] * 5 + ["---:"] * 2 + ["---"], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main():
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page.write_text(MARK.sub(lambda _: table(), PAGE.read_text()))


if __name__ == "__main__":
    main()
