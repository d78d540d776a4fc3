"""Modules of PyTorch as victims, beside the same networks of ours."""

import gc
import weakref

import numpy as np
import pytest

from tinyproto.attacks import FlatGradientWarning, Victim, autoattack, fab, pgd, square
from tinyproto.interop import from_torch
from tinyproto.networks import compact_cnn

torch = pytest.importorskip("torch", reason='needs pip install -e ".[torch]"')

nn = torch.nn


def perceptron(d=6, classes=4, dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d, 9), nn.Tanh(), nn.Linear(9, classes)).to(dtype)


def cnn(dtype=torch.float64):
    """With all that must be looked after: dropout, BatchNorm, in-place layers, a view."""
    torch.manual_seed(0)

    class View(nn.Module):
        def forward(self, x):
            return x.view(len(x), -1)

    return nn.Sequential(
        nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4),
        nn.ReLU(inplace=True), View(), nn.Dropout(0.5), nn.Linear(4 * 5 * 4, 3),
    ).to(dtype)  # fmt: skip


def images(count=6, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).random((count, 5, 4, 3)).astype(dtype)


def check_gradient(victim, x):
    random = np.random.default_rng(1)
    z, backward = victim(x)
    weights, direction = random.normal(size=z.shape), random.normal(size=x.shape)
    found = (backward(weights) * direction).reshape(len(x), -1).sum(axis=1)
    change = victim(x + 1e-6 * direction)[0] - victim(x - 1e-6 * direction)[0]
    np.testing.assert_allclose(found, (weights * change).sum(axis=1) / 2e-6, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("batch_size", [None, 1, 4, 6])
def test_scores_and_gradients(batch_size):
    module = cnn()
    victim, x = from_torch(module, batch_size=batch_size), images()
    expected = module.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(victim(x)[0], expected.detach().numpy(), rtol=1e-12)
    check_gradient(victim, x)


def test_rows_and_channels_last_go_to_the_module_as_they_are():
    rows = np.random.default_rng(0).random((5, 6))
    victim = from_torch(perceptron())
    np.testing.assert_allclose(
        victim(rows)[0], perceptron()(torch.from_numpy(rows)).detach().numpy(), rtol=1e-12
    )
    check_gradient(victim, rows)
    seen = []

    class Last(nn.Module):
        def forward(self, x):
            seen.append(tuple(x.shape))
            return x[:, 0, 0]

    from_torch(Last(), channels_first=False)(images())
    from_torch(Last())(images().transpose(0, 1, 3, 2))
    assert seen == [(6, 5, 4, 3), (6, 4, 5, 3)]


@pytest.mark.parametrize("inputs", [np.float32, np.float64])
@pytest.mark.parametrize("weights", [torch.bfloat16, torch.float32, torch.float64])
def test_arrays_come_back_in_the_dtype_of_the_inputs(inputs, weights):
    x = images(dtype=inputs)
    z, backward = from_torch(cnn(weights))(x)
    dx = backward(np.ones_like(z))
    assert z.dtype == dx.dtype == inputs
    assert dx.shape == x.shape
    assert np.abs(dx).max() > 0


def test_a_module_without_parameters_computes_in_the_dtype_of_the_inputs():
    victim = from_torch(nn.Flatten())
    for dtype in (np.float32, np.float64):
        assert victim(images(dtype=dtype))[0].dtype == dtype


def state_of(module):
    return (
        [part.training for part in module.modules()],
        [leaf.requires_grad for leaf in module.parameters()],
        [leaf.grad for leaf in module.parameters()],
        [buffer.clone().tolist() for buffer in module.buffers()],
    )


def test_mode_gradients_and_statistics_of_the_module_stay_as_they_are():
    module = cnn().train()
    module[2].eval()  # BatchNorm held fixed, as in fine-tuning
    module[1].weight.requires_grad_(False)
    module[1].bias.grad = torch.full_like(module[1].bias, 3.0)
    before = state_of(module)
    x = images()
    pgd(from_torch(module), x, np.zeros(6, int), eps=0.1, steps=3)
    after = state_of(module)
    assert after[0] == before[0]
    assert after[1] == before[1]
    assert all(a is b for a, b in zip(after[2], before[2], strict=True))
    assert after[3] == before[3]
    assert module[1].bias.grad.unique().tolist() == [3]


def test_they_are_restored_when_the_module_raises():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            raise RuntimeError("broken")

    module = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        from_torch(module)(images())
    assert module.training
    assert module.weight.requires_grad


def test_dropout_is_off_in_a_module_in_train_mode():
    victim, x = from_torch(cnn().train()), images()
    np.testing.assert_array_equal(victim(x)[0], victim(x)[0])


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_where_the_caller_has_switched_them_off(context):
    x, victim = images(), from_torch(cnn())
    z, backward = victim(x)
    expected = backward(np.ones_like(z))
    with context():
        z, backward = victim(x)
        np.testing.assert_allclose(backward(np.ones_like(z)), expected, rtol=1e-12)


class Observed(nn.Module):
    """Its graph holds an object that one can watch."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def forward(self, x):
        class Kept:
            def __init__(self, tensor):
                self.tensor = tensor

        def keep(tensor):
            kept = Kept(tensor)
            self.kept.append(weakref.ref(kept))
            return kept

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
            return torch.sin(x)  # which keeps its input

    def alive(self):
        gc.collect()
        return sum(kept() is not None for kept in self.kept)


def test_the_graph_lives_as_long_as_its_function_for_gradients():
    module = Observed()
    x = np.random.default_rng(0).random((3, 4))
    z, backward = from_torch(module)(x)
    assert module.alive() == 1
    for c in range(4):  # one forward pass, many gradients
        dz = np.zeros_like(z)
        dz[:, c] = 1
        np.testing.assert_allclose(backward(dz), dz * np.cos(x))
    del backward
    assert module.alive() == 0


def test_in_parts_no_graph_is_held():
    module = Observed()
    _, backward = from_torch(module, batch_size=2)(np.random.default_rng(0).random((5, 4)))
    assert len(module.kept) == 3
    assert module.alive() == 0
    backward(np.ones((5, 4)))
    assert len(module.kept) == 6


def test_the_input_is_never_written_to():
    x = np.random.default_rng(0).random((5, 6)) - 0.5
    before = x.copy()
    module = nn.Sequential(nn.ReLU(inplace=True), perceptron())
    pgd(from_torch(module, lo=-1), x, np.zeros(5, int), eps=0.1, steps=2)
    np.testing.assert_array_equal(x, before)


# Modules without gradients


def test_a_module_through_which_no_gradient_flows_has_scores_alone():
    class Rounded(nn.Module):
        def forward(self, x):
            return torch.from_numpy(x.detach().numpy().reshape(len(x), -1)[:, :4].copy())

    x = images()
    for batch_size in (None, 4):
        victim = from_torch(Rounded(), batch_size=batch_size)
        y = victim(x)[0].argmax(axis=1)
        with pytest.raises(ValueError, match="without a function for gradients, which this"):
            pgd(victim, x, y, eps=0.1)
        found = square(victim, x, y, eps=0.5, queries=30)
        assert (victim(found)[0].argmax(axis=1) != y).any()


def test_a_gradient_that_does_not_reach_the_input_is_flat():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.free = torch.ones(4, requires_grad=True)  # no parameter: it is not frozen

        def forward(self, x):
            return x.detach().flatten(1)[:, :4] * self.free

    x = images(count=20)
    victim = from_torch(Beside())
    with pytest.warns(FlatGradientWarning):
        pgd(victim, x, victim(x)[0].argmax(axis=1), eps=0.1, steps=1)


# Refusals


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x.flatten(1))


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda z: (z, z), r"must return scores \(N, C\), not tuple; wrap it in a module whose"),
        (lambda z: {"logits": z}, r"must return scores \(N, C\), not dict; wrap it"),
        (lambda z: z[:, 0], r"C\), not \(\d,\); of one score s make two, torch.stack\(\[-s, s\]"),
        (lambda z: z[:, :1], r"C\), not \(\d, 1\); of one score s make two, torch.stack"),
        (lambda z: z[:, :, None, None], r"must return scores \(\d, C\), not \(\d, 60, 1, 1\)$"),
        (lambda z: z[1:], r"must return scores \(\d, C\), not \(\d, 60\)$"),
        (lambda z: z * torch.nan, "scores must be finite, not NaN"),
    ],
)
def test_what_a_module_must_not_return(make, message, batch_size):
    victim = from_torch(Returns(make), batch_size=batch_size)
    with pytest.raises(ValueError, match=message) as error:
        victim(images())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [None, len, torch.zeros(2), nn.Linear, "module"])
def test_what_is_no_module_is_refused(wrong):
    with pytest.raises(TypeError, match=r"from_torch takes a torch.nn.Module, not \w+") as error:
        from_torch(wrong)
    assert "\n" not in str(error.value)


def test_wrong_batch_sizes_are_refused():
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match="batch_size must be"):
            from_torch(perceptron(), batch_size=wrong)


def test_the_victim_is_named_after_the_class_of_the_module():
    assert repr(from_torch(perceptron(), lo=-1, hi=2)) == "Victim(Sequential, lo=-1.0, hi=2.0)"


# Beside our own


@pytest.fixture(scope="module")
def twins():
    """A convolutional network of ours in float64 whose mean scores are 0, and its twin."""
    import torch_peer

    network = compact_cnn(3, feature_width=8).to(dtype=np.float64)
    x = np.random.default_rng(2).random((6, 8, 8, 3))
    network.params["head"]["bias"] -= network(x)[0].mean(axis=0)
    return network, torch_peer.module(network), x


def test_autoattack_comes_to_the_same_verdicts_as_on_our_own_network(twins):
    network, module, x = twins
    ours, theirs = Victim(network), from_torch(module)
    z, backward = ours(x)
    w, theirs_backward = theirs(x)
    np.testing.assert_allclose(w, z, rtol=1e-9, atol=1e-12)
    dx = backward(z)
    np.testing.assert_allclose(theirs_backward(z), dx, rtol=1e-7, atol=1e-9 * np.abs(dx).max())
    y, eps = z.argmax(axis=1), np.geomspace(1e-4, 0.1, 6)
    wrong = [
        victim(autoattack(victim, x, y, eps=eps, version=["apgd-ce", "fab-t"]))[0].argmax(axis=1)
        != y
        for victim in (ours, theirs)
    ]
    np.testing.assert_array_equal(*wrong)
    assert 0 < wrong[0].sum() < 6
    assert (theirs.forward_passes, theirs.backward_passes) == (
        ours.forward_passes,
        ours.backward_passes,
    )


def test_fab_asks_several_times_for_gradients_of_one_pass():
    x = np.random.default_rng(2).random((6, 6))
    victim = from_torch(perceptron())
    fab(victim, x, victim(x)[0].argmax(axis=1), steps=3)
    assert victim.backward_passes > victim.forward_passes


@pytest.mark.gpu
def test_a_module_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device")
    x = images()
    z, backward = from_torch(cnn())(x)
    w, back = from_torch(cnn().cuda(), batch_size=4)(x)
    np.testing.assert_allclose(w, z, rtol=1e-9)
    np.testing.assert_allclose(back(w), backward(z), rtol=1e-7, atol=1e-9)
