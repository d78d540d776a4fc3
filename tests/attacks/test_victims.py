"""Models that write to their input, reuse memory, or belong to another library."""

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyproto.interop
from tests.attacks.test_inputs import EVERY, W, attack, each, linear, one_line, problem
from tinyproto.attacks import Victim, pgd, square
from tinyproto.evaluation import evaluate
from tinyproto.testing.victims import hidden

MODEL = hidden(3, d=6, classes=4)


def writes_to_its_input(x):
    """In place, as `transforms.Normalize(inplace=True)` does."""
    x *= 2
    z, backward = MODEL(x / 2)
    x[...] = 7
    return z, backward


def writes_to_dz(x):
    z, backward = MODEL(x)

    def destructive(dz):
        dx = backward(dz.copy())
        dz[...] = np.nan
        return dx

    return z, destructive


def gradients_in_the_memory_of_the_input(x):
    z, backward = MODEL(x)

    def into_x(dz):
        x[...] = backward(dz)
        return x

    return z, into_x


def one_buffer():
    """Scores and gradients in the same memory at each call."""
    memory: dict[tuple, np.ndarray] = {}

    def kept(array, what):
        found = memory.setdefault((what, array.shape), np.empty_like(array))
        found[...] = array
        return found

    def model(x):
        z, backward = MODEL(x)
        return kept(z, "z"), lambda dz: kept(backward(dz), "dx")

    return model


def views(x):
    z, backward = MODEL(x)
    frame = np.full((len(z) + 2, z.shape[1] + 2), np.nan)
    frame[1:-1, 1:-1] = z
    return frame[1:-1, 1:-1], lambda dz: np.asfortranarray(backward(dz))


def read_only(x):
    z, backward = MODEL(x)
    z.flags.writeable = False

    def frozen(dz):
        dx = backward(dz)
        dx.flags.writeable = False
        return dx

    return z, frozen


class Latest:
    """Its backward pass is that of the latest call."""

    def __call__(self, x):
        z, self.backward = MODEL(x)
        return z, lambda dz: self.backward(dz)


UNTIDY = {
    "writes to its input": lambda: writes_to_its_input,
    "writes to dz": lambda: writes_to_dz,
    "gradients in the input": lambda: gradients_in_the_memory_of_the_input,
    "one buffer": one_buffer,
    "views": lambda: views,
    "read-only": lambda: read_only,
    "the latest call": Latest,
}


@pytest.mark.parametrize("kind", UNTIDY)
@each
def test_what_a_model_does_with_memory_changes_no_result(name, kind):
    """Most: one that writes to its input makes the robustness look higher than it is."""
    x = np.random.default_rng(1).random((12, 6))
    y = MODEL(x)[0].argmax(axis=1)
    y[0] = (y[0] + 1) % 4
    for seed in (0, 1):
        given_x, given_y = x.copy(), y.copy()
        victim = Victim(UNTIDY[kind]())
        options = {} if name in ("fgsm", "cw") else {"seed": seed}
        found = attack(name, victim, given_x, given_y, eps=0.1, **options)
        clean = Victim(MODEL)
        expected = attack(name, clean, x, y, eps=0.1, **options)
        np.testing.assert_array_equal(given_x, x)
        np.testing.assert_array_equal(given_y, y)
        assert victim.forward_passes == clean.forward_passes
        assert victim.backward_passes == clean.backward_passes
        if name == "evaluate":
            assert found.correct.sum() == 11
            np.testing.assert_array_equal(found.robust, expected.robust)
        else:
            np.testing.assert_array_equal(found, expected)


def test_the_scores_of_an_earlier_call_stay():
    victim = Victim(one_buffer())
    x = np.random.default_rng(0).random((3, 6))
    z, _ = victim(x)
    before = z.copy()
    victim(1 - x)
    np.testing.assert_array_equal(z, before)


def test_the_gradient_that_is_passed_to_backward_stays():
    _, backward = Victim(writes_to_dz)(np.full((2, 6), 0.5))
    dz = np.ones((2, 4))
    first = backward(dz)
    np.testing.assert_array_equal(dz, 1)
    np.testing.assert_array_equal(backward(dz), first)


def test_a_model_that_returns_its_input():
    victim = Victim(lambda x: (x, lambda dz: dz))
    x = np.random.default_rng(0).random((5, 4))
    y, before = x.argmax(axis=1), x.copy()
    found = pgd(victim, x, y, eps=0.5)
    np.testing.assert_array_equal(x, before)
    assert (found.argmax(axis=1) != y).any()
    z, _ = victim(x)
    z[...] = 0
    np.testing.assert_array_equal(x, before)


# Scores that change


def test_a_model_that_depends_on_the_batch_is_reported():
    """BatchNorm in train mode."""

    def model(x):
        z, backward = MODEL(x)
        return z - z.mean(axis=0), backward

    x = np.random.default_rng(1).random((12, 6))
    y = model(x)[0].argmax(axis=1)
    found = evaluate(Victim(model), x, y, ["fgsm"], eps=0.01, verbose=False).warnings
    assert found[0] == (
        "an example's scores depend on the others of its batch: is the model in train mode?"
    )
    assert evaluate(Victim(MODEL), x, y, ["fgsm"], eps=0.01, verbose=False).warnings == []


def test_scores_that_change_in_one_buffer_are_reported():
    """Dropout that is left on, with an output that is reused: the two calls are compared all the
    same."""
    noise, memory = np.random.default_rng(0), {}

    def model(x):
        z, backward = MODEL(x)
        kept = memory.setdefault(z.shape, np.empty_like(z))
        kept[...] = z * noise.integers(0, 2, z.shape)
        return kept, backward

    x = np.random.default_rng(1).random((12, 6))
    y = np.zeros(12, int)
    found = evaluate(Victim(model), x, y, ["fgsm"], eps=0.01, verbose=False).warnings
    assert found[0].startswith("the scores differ from call to call")


def softmax(z):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@settings(max_examples=30)
@given(st.integers(0, 999), st.floats(0.01, 50), st.integers(2, 5), st.sampled_from(["f4", "f8"]))
def test_probabilities_are_warned_of_once(seed, scale, classes, dtype):
    z = scale * np.random.default_rng(seed).normal(size=(4, classes))
    for scores, is_warned in ((softmax(z), True), (z, False), (np.log(softmax(z) + 1e-9), False)):
        victim = Victim(partial(lambda z, x: (z[: len(x)], None), scores.astype(dtype)))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for _ in range(3):
                victim(np.zeros((4, 2)))
        assert [str(w.message) for w in seen] == is_warned * [
            "the scores look like probabilities, whose gradients vanish: return logits"
        ]
        assert all(w.filename == __file__ for w in seen)


def test_an_evaluation_warns_of_probabilities_once():
    def model(x):
        z, _ = linear(x)
        p = softmax(z)
        return p, lambda dp: (p * (dp - (p * dp).sum(axis=1, keepdims=True))) @ W.T

    _, x, y = problem(30)
    with pytest.warns(UserWarning, match="probabilities") as seen:
        evaluate(Victim(model), x, y, ["fgsm"], eps=0.1, batch_size=4, verbose=False)
    assert len(seen) == 1


# Models of other libraries


def fake_module(library):
    """An instance of a class whose base is that library's module."""
    base = type("Module", (), {"__module__": f"{library}.nn", "__call__": lambda self, x: x})
    return type("MyNetwork", (base,), {"__module__": "mine"})()


@pytest.mark.parametrize("library", ["torch", "keras", "tensorflow"])
def test_a_module_of_another_library_is_refused_with_what_to_write(library):
    write = {"torch": r"victim = tinyproto.interop.from_torch\(model\)"}.get(
        library, r"def model\(x\): return np.asarray"
    )
    message = f"not MyNetwork of {library}; write {write}"
    with pytest.raises(TypeError, match=message) as error:
        Victim(fake_module(library))
    one_line(error)
    with pytest.raises(TypeError, match=message):
        Victim(fake_module(library).__call__)


class Tensor:
    """What a tensor of PyTorch looks like from outside."""

    __module__ = "torch"
    dtype, shape = "torch.float32", (5, 6)

    def __len__(self):
        return 5


@pytest.mark.parametrize("argument", ["x", "y", "scores", "gradients"])
@each
def test_a_tensor_is_refused_with_what_makes_it_an_array(name, argument):
    victim, x, y = problem()
    if argument == "scores":
        victim = Victim(lambda x: Tensor())
    if argument == "gradients":
        if name in ("square",):
            return
        victim = Victim(lambda x: (linear(x)[0], lambda dz: Tensor()))
    x, y = (Tensor() if argument == "x" else x), (Tensor() if argument == "y" else y)
    what = {"x": "x", "y": "y"}.get(argument, "it")
    message = rf"must be an array.* not torch.Tensor; use {what}.detach\(\).cpu\(\).numpy\(\)$"
    with pytest.raises(ValueError, match=message) as error:
        attack(name, victim, x, y, eps=0.1)
    one_line(error)


@pytest.mark.parametrize("kind", ["linear_model.LogisticRegression", "naive_bayes.GaussianNB"])
def test_an_estimator_is_refused_with_what_to_write_and_that_works(kind):
    module, name = kind.split(".")
    random = np.random.default_rng(0)
    x = random.random((60, 6))
    y = (x[:, :3].sum(axis=1) * 2).astype(int) % 3
    model = getattr(pytest.importorskip(f"sklearn.{module}"), name)().fit(x, y)
    with pytest.raises(TypeError, match="not .*; of an estimator, write victim = tiny") as error:
        Victim(model)
    one_line(error)
    victim = eval(
        str(error.value).partition("victim = ")[2], {"tinyproto": tinyproto, "model": model}
    )
    label = model.predict(x)
    found = square(victim, x, label, eps=0.3, queries=40)
    assert (model.predict(found) != label).mean() > 0.2


@pytest.mark.parametrize("model", [None, 5, "model", np.zeros((3, 2)), object(), {"a": 1}])
def test_what_cannot_be_called_is_refused(model):
    with pytest.raises(TypeError, match=r"must be a function z, backward = model\(x\), not") as e:
        Victim(model)
    one_line(e)


def test_a_model_of_pytorch_written_as_the_message_says():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    module = torch.nn.Linear(6, 4).eval()
    with pytest.raises(TypeError, match="not Linear of torch; write victim = ") as error:
        Victim(module)
    code = str(error.value).partition("victim = ")[2]
    victim = eval(code, {"tinyproto": tinyproto, "model": module})
    x = np.random.default_rng(0).random((20, 6), dtype=np.float32)
    y = victim(x)[0].argmax(axis=1)
    found = pgd(victim, x, y, eps=0.3)
    assert (victim(found)[0].argmax(axis=1) != y).any()
    for wrong in (torch.from_numpy(x), torch.from_numpy(x).requires_grad_()):
        with pytest.raises(ValueError, match=r"x must be an array, not torch.Tensor; use x.detach"):
            pgd(victim, wrong, y, eps=0.3)

    def in_place(x):
        t = torch.from_numpy(x)
        t.sub_(0.5)
        z = module(t.requires_grad_())
        return z.detach().numpy(), lambda dz: torch.autograd.grad(z, t, torch.from_numpy(dz))[
            0
        ].numpy()

    before = x.copy()
    pgd(Victim(in_place), x, y, eps=0.3, steps=2)
    np.testing.assert_array_equal(x, before)


# Scores alone


@pytest.mark.parametrize("model", [lambda x: linear(x)[0], lambda x: (linear(x)[0], None)])
@each
def test_scores_alone_are_attacked_by_square_only(name, model):
    victim, x, y = problem()
    if name == "square":
        expected = square(victim, x, y, eps=0.1, queries=8)
        np.testing.assert_array_equal(EVERY[name](Victim(model), x, y, eps=0.1), expected)
        report = evaluate(Victim(model), x, y, {"square": EVERY[name]}, eps=0.1, verbose=False)
        assert report.correct.all()
        return
    with pytest.raises(
        ValueError, match="without a function for gradients, which this attack"
    ) as e:
        attack(name, Victim(model), x, y, eps=0.1)
    one_line(e)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            lambda z: (z, z),
            r"a function for gradients, or scores alone, not \(numpy.ndarray, n",
        ),
        (
            lambda z: (z, None.__eq__, 0),
            r"or scores alone, not \(numpy.ndarray, method-w",
        ),
        (lambda z: (), r"or scores alone, not \(\)"),
        (lambda z: None, r"the victim's scores must be an array \(5, C\), not NoneType"),
        (lambda z: [z, None.__eq__], r"must be an array \(5, C\), not list; use np.asarray\(it\)"),
        (
            lambda z: z[:, 0],
            r"an array \(5, C\), not \(5,\); of one score s make two, np.stack",
        ),
        (lambda z: z.T, r"must be an array \(5, C\), not \(4, 5\)"),
        (lambda z: z.argmax(axis=1)[:, None], "must be floating-point numbers, not int64"),
        (lambda z: z + 1j, "must be floating-point numbers, not complex128"),
        (lambda z: z * np.nan, "scores must be finite, not NaN or infinite"),
        (lambda z: z[:, :1], "the scores must have two classes or more, not 1"),
        (lambda z: (z, lambda dz: None), r"gradients must be an array \(5, 6\), not NoneType"),
        (lambda z: (z, lambda dz: dz), r"gradients must be an array \(5, 6\), not \(5, 4\)"),
        (
            lambda z: (z, lambda dz: np.ones((5, 6), int)),
            "gradients must be floating-point numbers",
        ),
        (lambda z: (z, lambda dz: np.full((5, 6), np.inf)), "gradients must be finite"),
    ],
)
def test_what_a_model_must_not_return(output, message):
    _, x, y = problem()
    with pytest.raises(ValueError, match=message) as error:
        pgd(Victim(lambda x: output(linear(x)[0])), x, y, eps=0.1)
    one_line(error)


# Reprs


def test_the_repr_of_a_victim_names_its_model_its_box_and_its_passes():
    victim, x, y = problem(lo=-1)
    assert repr(victim) == "Victim(linear, lo=-1.0, hi=1.0)"
    pgd(victim, x, y, eps=0.001, steps=2, early_exit=False)
    assert repr(victim) == "Victim(linear, lo=-1.0, hi=1.0, forward_passes=20, backward_passes=10)"
    assert repr(Victim(Latest())) == "Victim(Latest, lo=0.0, hi=1.0)"
    assert "<lambda>" in repr(Victim(lambda x: x))
