"""Saving and loading networks, and files that hold none."""

import numpy as np
import pytest
from hypothesis import given

from tinyproto import state
from tinyproto.prototypes import PlusMinusEDWTA, load, save
from tinyproto.testing.prototypes import KINDS, problems


@given(problem=problems())
def test_round_trip(tmp_path_factory, problem):
    path = tmp_path_factory.mktemp("model") / "model.npz"
    save(problem.network, path)
    again = load(path)
    assert type(again) is type(problem.network)
    assert again.get_params() == problem.network.get_params()
    np.testing.assert_array_equal(
        again.decision_function(problem.x), problem.network.decision_function(problem.x)
    )
    assert [p.name for p in path.parent.iterdir()] == ["model.npz"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [["a", "b"], np.array(["a", "b"], object), [3, 7]])
def test_classes_of_any_kind_are_restored_and_training_can_continue(tmp_path, kind, names):
    y = np.repeat(names, 5)
    x = np.random.default_rng(0).normal(size=(10, 3))
    network = kind(1, epochs=2).fit(x, y)
    save(network, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert again.classes_.tolist() == list(names)
    again.partial_fit(x, y)
    np.testing.assert_array_equal(again.linear()[0], network.partial_fit(x, y).linear()[0])


def test_parameters_may_be_numbers_of_numpy(tmp_path):
    network = PlusMinusEDWTA(np.int64(1), epochs=1, learning_rate=np.float32(0.5))
    save(network.fit(np.eye(2), [0, 1]), tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").get_params()["learning_rate"] == 0.5


@pytest.fixture
def saved(tmp_path):
    network = PlusMinusEDWTA(1, epochs=1).fit(np.eye(2), [0, 1])
    save(network, tmp_path / "model.npz")
    return tmp_path / "model.npz"


def rewrite(path, change):
    arrays, metadata = state.load_arrays(path)
    change(arrays, metadata)
    state.save_arrays(arrays, path, metadata)


def test_a_file_with_the_former_names_of_parameters_loads(tmp_path):
    network = PlusMinusEDWTA(1, epochs=1, init_spread=0.3, negative_init_fraction=0.25)
    path = tmp_path / "model.npz"
    save(network.fit(np.eye(2), [0, 1]), path)

    def former(arrays, metadata):
        stored = metadata["parameters"]
        stored["spread"] = stored.pop("init_spread")
        stored["epsilon"] = stored.pop("negative_init_fraction")

    rewrite(path, former)
    assert load(path).get_params() == network.get_params()
    for name in ("spread", "epsilon"):
        with pytest.raises(ValueError, match=f"Invalid parameter '{name}'"):
            PlusMinusEDWTA().set_params(**{name: 0.5})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, m: a.pop("_beta"), "misses entries: _beta"),
        (lambda a, m: a.update(extra=np.ones(1)), "has unknown entries: extra"),
        (lambda a, m: a.update(_beta=np.ones(3)), r"_beta has shape \(3,\), expected \(1,\)"),
        (lambda a, m: m.update(kind="Tree"), "holds no winner-take-all network but 'Tree'"),
    ],
)
def test_entries_missing_unknown_or_misshaped_are_named(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(ValueError, match=message):
        load(saved)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_file_that_holds_no_model(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is not a file that tinyproto saved"):
        load(tmp_path / "model.npz")


def test_truncated_and_hostile_files(saved, tmp_path):
    whole = saved.read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 10):
        saved.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="is not a file"):
            load(saved)
    np.savez(tmp_path / "evil.npz", **{state.METADATA: np.array([print], object)})
    with pytest.raises(ValueError, match="is not a file"):
        load(tmp_path / "evil.npz")


def test_a_failed_write_leaves_the_old_file(saved):
    before = saved.read_bytes()

    def cut_off():
        with state.atomic_write(saved) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        cut_off()
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["model.npz"]


def test_python_objects_and_the_reserved_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="its elements are Python objects"):
        state.save_arrays({"a": np.array([{}])}, tmp_path / "x.npz", {})
    with pytest.raises(ValueError, match="is not a name for an array"):
        state.save_arrays({state.METADATA: np.ones(1)}, tmp_path / "x.npz", {})
    assert list(tmp_path.iterdir()) == []


def test_metadata_are_what_json_can_hold_and_have_names_of_their_own(saved):
    network, before = load(saved), saved.read_bytes()
    for metadata, message in (
        ({"kind": "best"}, "metadata must not be called 'kind'"),
        ({"epochs": 3}, "metadata must not be called 'epochs'"),
        ({"feature_names": "a"}, "metadata must not be called 'feature_names'"),
        ({"loss": np.float32(1)}, "metadata must be what JSON can hold: Object of type float32"),
    ):
        with pytest.raises(ValueError, match=message):
            save(network, saved, **metadata)
    assert saved.read_bytes() == before


def test_a_wrong_device_is_no_fault_of_the_file(saved):
    with pytest.raises(ValueError, match="^device must be"):
        load(saved, "gpu")


def test_an_unfitted_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not fitted yet"):
        save(PlusMinusEDWTA(), tmp_path / "model.npz")
