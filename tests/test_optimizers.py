"""Optimizers against their formulas, frozen leaves, and restarts with the same bits."""

import math
import sys

import numpy as np
import pytest

from tinyproto.optimizers import RUNNING_MOMENTUM, SGD, Adam, Average
from tinyproto.parameters import flatten, leaves, zeros
from tinyproto.state import load_arrays, save_arrays

MAKERS = {
    "plain": lambda: SGD(momentum=0, nesterov=False),
    "momentum": lambda: SGD(momentum=0.8, nesterov=False, weight_decay=0.01),
    "nesterov": lambda: SGD(),
    "adam": lambda: Adam(weight_decay=0.01),
}
each_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def tree(dtype=np.float32, seed=0):
    """A small network's parameters: two layers and a head of prototypes."""
    random = np.random.default_rng(seed)

    def array(*shape):
        return random.normal(size=shape).astype(dtype)

    return {
        "features": {
            "0": {"weight": array(3, 2), "bias": array(2)},
            "1": {
                "scale": array(2),
                "shift": array(2),
                "running_mean": array(2),
                "running_variance": array(2),
            },
        },
        "head": {"prototypes": array(4, 2)},
    }


def gradients(params, seed):
    """Random gradients, and two batches' statistics for each running average."""
    random = np.random.default_rng(seed)
    grads = zeros(params)
    for path, slot in leaves(grads):
        leaf = flatten(params)[path]
        if isinstance(slot, list):
            slot += [random.normal(size=leaf.shape).astype(leaf.dtype) for _ in range(2)]
        else:
            slot += random.normal(size=leaf.shape).astype(leaf.dtype)
    return grads


def bits(found):
    return {path: array.tobytes() for path, array in flatten(found).items()}


@pytest.mark.parametrize("nesterov", [True, False])
def test_three_steps_of_sgd_by_hand(nesterov):
    params = tree(np.float64)
    grads = [gradients(params, seed) for seed in range(3)]
    start = {path: leaf.copy() for path, leaf in leaves(params)}
    rates = [0.1, 0.1, 0.02]
    optimizer = SGD(momentum=0.9, nesterov=nesterov, weight_decay=0.05, decayed=("weight",))
    for slot, rate in zip(grads, rates, strict=True):
        optimizer.step(params, slot, rate)
    for path in ("features/0/weight", "features/1/scale", "head/prototypes"):
        decay = 0.05 if path == "features/0/weight" else 0
        at = start[path]
        g = flatten(grads[0])[path] + decay * at
        v = g
        at = at - 0.1 * (g + 0.9 * v if nesterov else v)
        g = flatten(grads[1])[path] + decay * at
        v = 0.9 * v + g
        at = at - 0.1 * (g + 0.9 * v if nesterov else v)
        g = flatten(grads[2])[path] + decay * at
        v = 0.9 * v + g
        at = at - 0.02 * (g + 0.9 * v if nesterov else v)
        np.testing.assert_allclose(flatten(params)[path], at, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(optimizer.state["velocity"][path], v, rtol=1e-13)


def test_sgd_without_momentum_by_hand():
    params = {"bias": np.array([1.0, 2.0]), "weight": np.array([4.0])}
    optimizer = SGD(momentum=0, nesterov=False, weight_decay=0.5)
    for _ in range(3):
        optimizer.step(params, {"bias": np.array([1.0, -2.0]), "weight": np.array([1.0])}, 0.25)
    np.testing.assert_array_equal(params["bias"], [0.25, 3.5])
    at = 4.0
    for _ in range(3):
        at -= 0.25 * (1 + 0.5 * at)
    np.testing.assert_allclose(params["weight"], [at], rtol=1e-15)
    assert optimizer.state_dict() == {}


def test_three_steps_of_adam_by_hand():
    values, rate, decay = [0.5, -0.25, 2.0], 0.1, 0.03
    params = {"weight": np.array([1.5]), "bias": np.array([1.5])}
    optimizer = Adam(beta1=0.8, beta2=0.95, epsilon=1e-3, weight_decay=decay)
    for g in values:
        optimizer.step(params, {"weight": np.array([g]), "bias": np.array([g])}, rate)
    for name, of in (("weight", decay), ("bias", 0.0)):
        at, m, v = 1.5, 0.0, 0.0
        for t, g in enumerate(values, start=1):
            m = 0.8 * m + 0.2 * g
            v = 0.95 * v + 0.05 * g**2
            mean, square = m / (1 - 0.8**t), v / (1 - 0.95**t)
            at = at - rate * of * at - rate * mean / (math.sqrt(square) + 1e-3)
        np.testing.assert_allclose(params[name], [at], rtol=1e-13)
        assert optimizer.state["steps"][name] == 3


def test_the_first_step_of_adam_is_the_rate():
    params = {"weight": np.array([1.0, 1.0, 1.0])}
    Adam().step(params, {"weight": np.array([1e3, -1e-3, 0.0])}, 0.01)
    np.testing.assert_allclose(params["weight"], [0.99, 1.01, 1.0], rtol=1e-6)


@each_optimizer
def test_only_weights_decay(make):
    params = tree()
    before = bits(params)
    start = params["features"]["0"]["weight"].copy()
    optimizer = make()
    optimizer.step(params, zeros(params), 0.5)
    after = bits(params)
    assert {path for path in before if before[path] != after[path]} == {"features/0/weight"}
    factor = 1 - 0.5 * optimizer.weight_decay * (1.9 if getattr(optimizer, "nesterov", 0) else 1)
    np.testing.assert_allclose(params["features"]["0"]["weight"], factor * start, rtol=1e-6)


def test_decayed_are_full_names_of_leaves():
    params = {"weight": np.ones(1), "scale": np.ones(1), "weights": np.ones(1)}
    SGD(weight_decay=0.5, decayed=("scale",)).step(params, zeros(params), 1.0)
    assert [leaf[0] for leaf in params.values()] == [1, 1 - 0.5 * 1.9, 1]


@each_optimizer
def test_a_leaf_without_a_slot_is_frozen_to_the_bit(make):
    params = tree()
    optimizer = make()
    optimizer.step(params, gradients(params, 0), 0.1)
    before, kept = bits(params), bits(optimizer.state_dict())
    grads = gradients(params, 1)
    del grads["head"]["prototypes"], grads["features"]["0"]["weight"], grads["features"]["1"]
    frozen = {path for path in before if path != "features/0/bias"}
    for _ in range(3):
        optimizer.step(params, grads, 0.1)
    after, kept_after = bits(params), bits(optimizer.state_dict())
    assert {path for path in before if before[path] == after[path]} == frozen
    for name in kept:
        assert (kept[name] == kept_after[name]) == (name.partition("/")[2] in frozen)
    # with a slot again, it continues from the momentum that it had
    optimizer.step(params, gradients(params, 2), 0.1)
    apart = tree()
    other = make()
    for seed in (0, 2):
        other.step(apart, gradients(apart, seed), 0.1)
    assert bits(params)["head/prototypes"] == bits(apart)["head/prototypes"]


@each_optimizer
def test_a_leaf_frozen_from_the_start_has_no_state(make):
    params = tree()
    grads = gradients(params, 0)
    del grads["head"]
    optimizer = make()
    optimizer.step(params, grads, 0.1)
    assert not [name for name in optimizer.state_dict() if "head" in name or "running" in name]


@each_optimizer
def test_running_averages_take_in_each_statistic(make):
    params = tree(np.float64)
    start = params["features"]["1"]["running_mean"].copy()
    variance = params["features"]["1"]["running_variance"].copy()
    first, second = np.array([1.0, 2.0]), np.array([-3.0, 5.0])
    grads = {"features": {"1": {"running_mean": [first, second], "running_variance": []}}}
    make().step(params, grads, 0.1)
    once = 0.9 * start + 0.1 * first
    twice = 0.9 * once + 0.1 * second
    np.testing.assert_allclose(params["features"]["1"]["running_mean"], twice, rtol=1e-14)
    np.testing.assert_array_equal(params["features"]["1"]["running_variance"], variance)
    assert RUNNING_MOMENTUM == 0.1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SGD, {"momentum": 0.9, "weight_decay": 0.1}),
        (Adam, {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-3, "weight_decay": 0.1}),
    ],
)
def test_options_that_are_numpys_numbers_give_the_same_bits(kind, options):
    found = []
    for number in (float, np.float64):
        params = tree()
        optimizer = kind(**{name: number(value) for name, value in options.items()})
        average = Average(params, decay=number(0.99))
        for seed in range(3):
            optimizer.step(params, gradients(params, seed), 0.1)
            average.update(params)
        found.append((bits(params), bits(average.weights)))
    assert found[0] == found[1]


@each_optimizer
def test_leaves_change_in_place_and_keep_their_dtype(make):
    params = tree()
    own = flatten(params)
    grads = gradients(params, 0)
    kept = bits({path: slot for path, slot in leaves(grads) if not isinstance(slot, list)})
    optimizer = make()
    for _ in range(2):
        optimizer.step(params, grads, np.float64(0.1))
    for path, leaf in leaves(params):
        assert leaf is own[path]
        assert leaf.dtype == np.float32
    for name, array in optimizer.state_dict().items():
        assert array.dtype == (np.int64 if name.startswith("steps/") else np.float32)
    assert kept == bits({path: flatten(grads)[path] for path in kept})
    again, other = tree(), make()
    for _ in range(2):  # a rate that is NumPy's widens no leaf
        other.step(again, grads, 0.1)
    assert bits(params) == bits(again)


@each_optimizer
@pytest.mark.parametrize("frozen", [False, True])
def test_a_restart_continues_with_the_same_bits(make, frozen, tmp_path):
    def steps(optimizer, params, average, seeds):
        for seed in seeds:
            grads = gradients(params, seed)
            if frozen:
                del grads["head"]
            optimizer.step(params, grads, 0.1)
            average.update(params)

    whole, optimizer = tree(), make()
    average = Average(whole, decay=0.4)
    steps(optimizer, whole, average, range(7))

    params, first = tree(), make()
    half = Average(params, decay=0.4)
    steps(first, params, half, range(3))
    for name, arrays in (("params", flatten(params)), ("optimizer", first.state_dict()),
                         ("average", half.state_dict())):  # fmt: skip
        save_arrays(arrays, tmp_path / f"{name}.npz")
    parts = ("params", "optimizer", "average")
    saved = {name: load_arrays(tmp_path / f"{name}.npz")[0] for name in parts}
    resumed, second = tree(seed=1), make()
    for path, leaf in leaves(resumed):
        leaf[...] = saved["params"][path]
    again = Average(resumed, decay=0.4)
    second.load_state_dict(saved["optimizer"], resumed)
    again.load_state_dict(saved["average"])
    kept = bits(saved["optimizer"])
    steps(second, resumed, again, range(3, 7))
    assert bits(resumed) == bits(whole)
    assert bits(second.state_dict()) == bits(optimizer.state_dict())
    assert bits(again.state_dict()) == bits(average.state_dict())
    assert bits(saved["optimizer"]) == kept  # what was restored is a copy


def test_the_names_of_the_state():
    params = {"features": {"0": {"weight": np.ones((2, 2))}}}
    for optimizer, kinds in ((SGD(), ["velocity"]), (Adam(), ["mean", "square", "steps"])):
        optimizer.step(params, zeros(params), 0.1)
        assert list(optimizer.state_dict()) == [f"{kind}/features/0/weight" for kind in kinds]


def test_states_that_do_not_fit():
    params = tree()
    optimizer = Adam()
    optimizer.step(params, gradients(params, 0), 0.1)
    good = {name: array.copy() for name, array in optimizer.state_dict().items()}
    before = bits(optimizer.state_dict())
    name = "mean/head/prototypes"
    for bad, message in (
        ({**good, "velocity/head/prototypes": good[name]}, "'velocity/head/prototypes' is no"),
        ({**good, "mean/head/other": good[name]}, "'mean/head/other' is no state of Adam"),
        ({**good, "mean/features/1/running_mean": np.ones(2)}, "is no state of Adam"),
        ({**good, "mean": good[name]}, "'mean' is no state"),
        ({**good, name: good[name][:2]}, r"has shape \(2, 2\), expected \(4, 2\)"),
        ({**good, "steps/head/prototypes": np.ones(2)}, r"has shape \(2,\), expected \(\)"),
        ({n: a for n, a in good.items() if n != name}, "mean/head/prototypes is missing"),
        ({**good, name: good[name] * np.nan}, "mean/head/prototypes holds values .* NaN"),
        ({**good, name: good[name] > 0}, "mean/head/prototypes holds no real numbers, but bool"),
        ({**good, "square/head/prototypes": -(good[name] ** 2)}, "holds negative values"),
        ({**good, "steps/head/prototypes": np.array(-1)}, "holds negative values"),
        ({**good, "steps/head/prototypes": np.array(1.5)}, "holds no integers, but float64"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            optimizer.load_state_dict(bad, params)
        assert "\n" not in str(raised.value)
        assert bits(optimizer.state_dict()) == before
    with pytest.raises(ValueError, match="is no state of SGD"):
        MAKERS["plain"]().load_state_dict({"velocity/head/prototypes": good[name]}, params)


@each_optimizer
def test_steps_that_are_refused_change_nothing(make):
    params = tree()
    before = bits(params)
    good = gradients(params, 0)
    for grads, rate, message in (
        ({**good, "tail": {"weight": np.ones(2)}}, 0.1, "a slot 'tail/weight' and params no such"),
        ({**good, "head": {"prototypes": np.ones(2)}}, 0.1, r"shape \(2,\), expected \(4, 2\)"),
        ({**good, "features": {"1": {"running_mean": np.ones(2)}}}, 0.1, "must be a list of"),
        (
            {**good, "head": {"prototypes": np.ones((4, 2), int)}},
            0.1,
            "must hold float32 or float64, not int64",
        ),
        (
            {**good, "head": {"prototypes": np.ones((4, 2), np.float16)}},
            0.1,
            "must hold float32 or float64, not float16",
        ),
        ({**good, "head": {"prototypes": [1.0]}}, 0.1, r"head/prototypes has shape None, expected"),
        ({**good, "head": np.ones((4, 2))}, 0.1, "head must be a tree, not of type ndarray"),
        (good, -0.1, "learning_rate must be 0 or more, not -0.1"),
        (good, float("nan"), "learning_rate must be 0 or more, not nan"),
    ):
        with pytest.raises(ValueError, match=message):
            make().step(params, grads, rate)
        assert bits(params) == before


@each_optimizer
@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_leaves_in_which_a_step_is_lost_are_refused(make, dtype):
    """In float16 Adam's epsilon is 0, and 0 / 0 where a gradient is 0."""
    params = tree()
    params["head"]["prototypes"] = params["head"]["prototypes"].astype(dtype)
    before = bits(params)
    with pytest.raises(
        ValueError, match=f"head/prototypes must hold float32 or float64, not {dtype}"
    ):
        make().step(params, zeros(params), 0.1)
    assert bits(params) == before


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam"])
@pytest.mark.parametrize("shape", [(1, 2), (4, 1), (5, 2), (2,), (8,)])
def test_an_optimizer_of_another_network_is_refused(name, shape):
    """Its momentum would be broadcast, or end the step when half of it is done."""
    params, optimizer = tree(), MAKERS[name]()
    optimizer.step(params, gradients(params, 0), 0.1)
    params["head"]["prototypes"] = np.ones(shape, np.float32)
    before = bits(params)
    with pytest.raises(ValueError, match=r"head/prototypes: shape .*, its state \(4, 2\)"):
        optimizer.step(params, gradients(params, 0), 0.1)
    assert bits(params) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(momentum=-0.5), r"momentum must be in \[0, 1\), not -0.5"),
        (lambda: SGD(momentum=1.0), r"momentum must be in \[0, 1\), not 1.0"),
        (lambda: SGD(momentum=0.0), "nesterov needs a momentum above 0, not 0.0"),
        (lambda: SGD(weight_decay=-1), "weight_decay must be 0 or more, not -1"),
        (lambda: SGD(weight_decay=float("nan")), "weight_decay must be 0 or more, not nan"),
        (lambda: SGD(decayed="weight"), "decayed must be a tuple of names, not 'weight'"),
        (lambda: Adam(beta1=1.0), r"beta1 must be in \[0, 1\), not 1.0"),
        (lambda: Adam(beta2=-0.1), r"beta2 must be in \[0, 1\), not -0.1"),
        (lambda: Adam(epsilon=0), "epsilon must be above 0 in float32, not 0"),
        (lambda: Adam(epsilon=1e-46), "epsilon must be above 0 in float32, not 1e-46"),
        (lambda: Adam(weight_decay=-1), "weight_decay must be 0 or more, not -1"),
        (lambda: Average({}, decay=1.0), r"decay must be in \[0, 1\), not 1.0"),
    ],
)
def test_arguments_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_average_by_hand():
    params = {"weight": np.array([1.0]), "norm": {"running_mean": np.array([4.0])}}
    average = Average(params, decay=0.15)
    expected = {"weight": 1.0, "norm/running_mean": 4.0}
    for decay, values in ((0.1, (3.0, 8.0)), (0.15, (-2.0, 1.0)), (0.15, (5.0, 0.0))):
        params["weight"][0], params["norm"]["running_mean"][0] = values
        average.update(params)
        for path, value in zip(expected, values, strict=True):
            expected[path] = decay * expected[path] + (1 - decay) * value
            np.testing.assert_allclose(average.weights[path], [expected[path]], rtol=1e-14)
    own = params["weight"]
    average.copy_to(params)
    assert params["weight"] is own
    np.testing.assert_allclose(params["weight"], expected["weight"], rtol=1e-14)
    np.testing.assert_allclose(params["norm"]["running_mean"], expected["norm/running_mean"])
    params["weight"][0] = 9.0  # and the average is no view of them
    np.testing.assert_allclose(average.weights["weight"], expected["weight"], rtol=1e-14)


def test_an_average_soon_forgets_its_start():
    """d = 1/10, 2/11, 3/12, … as long as that is below the decay."""
    params, at = {"weight": np.array([5.0])}, 5.0
    average = Average(params, decay=0.35)
    for t in range(8):
        params["weight"][0] = t**2
        average.update(params)
        d = min(0.35, (1 + t) / (10 + t))
        at = d * at + (1 - d) * t**2
        np.testing.assert_allclose(average.weights["weight"], [at], rtol=1e-13)
        assert average.state_dict()["updates"] == t + 1
    assert 7 / 16 > 0.35 > 4 / 13  # both were the least


def test_averages_that_do_not_fit():
    average = Average(tree())
    average.update(tree(seed=1))
    before = bits(average.state_dict())
    short = tree()
    del short["head"]
    wide = tree()
    wide["head"]["prototypes"] = np.ones((5, 2), dtype=np.float32)
    with pytest.raises(ValueError, match=r"head/prototypes has shape None, the average \(4, 2\)"):
        average.update(short)
    with pytest.raises(ValueError, match=r"head/prototypes has shape \(5, 2\), the average"):
        average.update(wide)
    with pytest.raises(ValueError, match="the average has unknown entries: head/prototypes"):
        average.copy_to(short)
    with pytest.raises(ValueError, match="saved average misses entries: average/head/prototypes"):
        average.load_state_dict(Average(short).state_dict())
    with pytest.raises(ValueError, match=r"average/head/prototypes has shape \(5, 2\), expected"):
        average.load_state_dict(Average(wide).state_dict())
    assert bits(average.state_dict()) == before


@each_optimizer
def test_the_gpu_branch(make, monkeypatch):
    pytest.importorskip("cupy")
    from tests.cuda import standin

    def moved(found):
        if isinstance(found, dict):
            return {name: moved(value) for name, value in found.items()}
        if isinstance(found, list):
            return [moved(value) for value in found]
        return standin.module.asarray(found)

    def host(arrays):
        found = {name: getattr(array, "host", array) for name, array in flatten(arrays).items()}
        return {name: (array.dtype, array.tobytes()) for name, array in found.items()}

    monkeypatch.setitem(sys.modules, "cupy", standin.module)
    params, optimizer = tree(), make()
    there = moved(params)
    on_device = make()
    average, average_there = Average(params), Average(there)
    for seed in range(4):
        grads = gradients(params, seed)
        optimizer.step(params, grads, 0.1)
        on_device.step(there, moved(grads), 0.1)
        average.update(params)
        average_there.update(there)
        if seed == 1:  # a restart from arrays of the host's, as a file gives them
            arrays = {name: getattr(a, "host", a) for name, a in on_device.state_dict().items()}
            on_device = make()
            on_device.load_state_dict(arrays, there)
            saved = {name: getattr(a, "host", a) for name, a in average_there.state_dict().items()}
            average_there = Average(there)
            average_there.load_state_dict(saved)
    average.copy_to(params)
    average_there.copy_to(there)
    assert all(isinstance(leaf, standin.ndarray) for leaf in flatten(there).values())
    assert host(there) == host(params)
    assert host(on_device.state_dict()) == host(optimizer.state_dict())
    assert host(average_there.state_dict()) == host(average.state_dict())
