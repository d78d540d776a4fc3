"""What the benchmarks beside other packages count and compare: parts, queries, rows, examples."""

import importlib.util
import subprocess
import sys

import bench_hop_skip_jump as hops
import fresh_environments as fresh
import numpy as np
import onnx_rows
import pytest
from parts import Parts

from tests.test_documentation import environment
from tinyproto import networks
from tinyproto.testing import randomize


def test_parts_are_computed_once(tmp_path):
    path, computed = tmp_path / "rows.part", []

    def compute(name):
        return lambda: computed.append(name) or {"of": name}

    about = {"budgets": (1, 2)}
    first = Parts(path, about)
    assert first.get("a", compute("a")) == first.get("a", compute("again")) == {"of": "a"}
    resumed = Parts(path, about)
    assert resumed.get("a", compute("again")) == {"of": "a"}
    assert resumed.get("b", compute("b")) == {"of": "b"}
    assert computed == ["a", "b"]
    with pytest.raises(ValueError, match=r"rows.part is of .*1, 2.*, not of .*1, 3.*: remove it"):
        Parts(path, {"budgets": (1, 3)})
    resumed.remove()
    assert not list(tmp_path.iterdir())
    nowhere = Parts(None, about)
    assert nowhere.get("a", lambda: 1) == 1
    nowhere.remove()


def by_sign(points):
    """Class 1 where the sum of a point is positive."""
    total = points.sum(axis=1)
    return np.stack([-total, total], axis=1)


def test_the_nearest_point_among_so_many_queries():
    asked = hops.Asked(by_sign, np.array([-1.0, 0.0]), 0, "l2", (2, 5))
    asked(np.array([[-2.0, 0.0], [3.0, 0.0], [2.0, 0.0]]))  # the third is beyond the first budget
    assert (asked.queries, asked.nearest) == (3, {2: 4.0, 5: 3.0})
    z = asked(np.array([[4.0, 0.0], [-9.0, 0.0], [1.0, 0.0]]))  # the last is beyond both
    assert z.shape == (3, 2)
    assert (asked.queries, asked.nearest) == (6, {2: 4.0, 5: 3.0})
    spent = hops.Asked(by_sign, np.array([-1.0, 0.0]), 0, "l2", (2,))
    spent(np.zeros((2, 2)))
    for over in (asked, spent):  # by one query, and by none
        with pytest.raises(hops.Enough):
            over(np.zeros((1, 2)))


def test_our_attack_is_stopped_when_the_queries_are_spent(monkeypatch):
    """On a plane through 0, whose distance is known."""
    x, start = np.array([-0.4, 0.0, 0.0]) + 0.5, np.array([1.0, 1.0, 1.0])
    monkeypatch.setattr(hops, "ATTACKS", {"ours": hops.ours})

    def score(points):
        return by_sign(points - 0.5)

    found = hops.distances(score, x, 0, start, "l2", (50, 2000), 3)
    assert 0.4 / np.sqrt(3) <= found["ours"][1] < 0.24
    assert found["ours"][1] < found["ours"][0]


def test_the_start_is_the_next_image_with_another_answer():
    answers = np.array([0, 0, 1, 1])
    assert [hops.next_other(answers, place) for place in range(4)] == [2, 2, 0, 0]
    with pytest.raises(ValueError, match="all images have the same answer"):
        hops.next_other(np.zeros(3), 0)


def test_rows_of_distances():
    found = [
        {"ours": [4.0, 2.0], "foolbox": [5.0, 2.0]},
        {"ours": [6.0, 3.0], "foolbox": [7.0, 2.5]},
    ]
    near, far = hops.rows("net", "l2", (10, 20), found, np.array([1.0, 2.0]))
    assert (near["queries"], near["ours, median distance"], near["images"]) == (10, 5.0, 2)
    assert (near["ours nearer, images"], far["ours nearer, images"]) == (2, 0)
    assert far["ours / exact radius, median"] == pytest.approx(1.75)
    assert far["foolbox / exact radius, median"] == pytest.approx(1.625)
    (alone,) = hops.rows("net", "l2", (10,), found[:1])
    assert alone["ours / exact radius, median"] == ""


def block(robust, seconds, passes):
    return {"robust": robust, "seconds": seconds, "passes": passes}


def test_a_row_of_blocks():
    found = {
        "ours": [block([True, False], 1.0, 5), block([False], 2.0, 6)],
        "pyautoattack": [block([False, True], 4.0, 7), block([False], 2.0, 8)],
    }
    row = onnx_rows.autoattack_row("net", "8/255", 50.0, found)
    assert row["ours, accuracy %"] == row["pyautoattack, accuracy %"] == pytest.approx(100 / 3)
    assert (row["images"], row["images that differ"]) == (3, 2)
    assert (row["ours / pyautoattack"], row["ours, passes"]) == (0.5, 11)


def test_a_row_of_engines():
    seconds = {"ours": 0.002, "PyTorch, channels_last": 0.004, "PyTorch, compiled": 0.003}
    row = onnx_rows.forward_row("net", 1, 2, {**seconds, "OpenVINO": 0.001})
    assert (row["ours, ms"], row["PyTorch, ms"], row["JAX, ms"]) == (2.0, 3.0, "")
    assert (row["fastest of the others"], row["ours / fastest"]) == ("OpenVINO", 2.0)
    assert onnx_rows.forward_row("net", 1, 2, seconds)["fastest of the others"] == "PyTorch"


@pytest.mark.parametrize("wrong", [1.0, np.nan])
def test_other_scores_are_refused(wrong):
    z = np.ones((2, 3), np.float32)
    onnx_rows.check_scores("engine", z * np.float32(1.00001), z)
    other = z.copy()
    other[1, 2] += wrong
    for found in (other, z[:1]):
        with pytest.raises(ValueError, match="engine computes other scores than the module"):
            onnx_rows.check_scores("engine", found, z)


def test_jax_computes_the_same():
    pytest.importorskip("jax", reason="a peer: pip install jax")
    import jax
    import jax_peer

    random = np.random.default_rng(0)
    x = random.random((2, 8, 8, 3), dtype=np.float32)
    for network in (
        networks.compact_cnn(4, head="prototypes"),
        networks.wide_resnet(10, 1, 3, feature_width=None),
    ):
        network = randomize(network, random, np.float32)
        for some in (network, networks.fold(network)):
            z = jax.jit(jax_peer.function(some))(jax_peer.weights(some), x)
            onnx_rows.check_scores("JAX", np.asarray(z), some(x)[0])


def test_sections_of_a_page():
    text = "before\n## One\n```python\n## no heading\nx = 1\n```\n### Deep\n## Two\n"
    found = fresh.sections(text)
    assert list(found) == ["", "One", "Two"]
    assert "".join(found.values()) == text
    assert "### Deep" in found["One"]


def test_a_heading_that_is_missing_is_named(monkeypatch):
    with pytest.raises(ValueError, match=r"interop.md has no heading 'Keras'"):
        fresh.program(fresh.Example("keras", fresh.INTEROP, ("Keras",)))


@pytest.mark.parametrize("name", fresh.EXAMPLES)
def test_three_lines_judge_a_model(name):
    """What stands behind these words is three lines, and one of them calls evaluate."""
    example = fresh.EXAMPLES[name]
    text = fresh.sections((fresh.ROOT / example.page).read_text())
    promised = [t for h, t in text.items() if not example.headings or h in example.headings[1:]]
    (rest,) = ["".join(promised).split("Three lines judge it")[1]]
    lines = list(filter(None, fresh.FENCE.search(rest)[2].splitlines()))
    assert len(lines) == 3
    assert any("evaluate(" in line for line in lines)
    compile(fresh.program(example), example.page, "exec")


NEEDED = {"torch": "torch", "sklearn": "sklearn", "onnx": "safetensors"}


@pytest.mark.slow
@pytest.mark.parametrize("name", fresh.EXAMPLES)
def test_an_example_runs_alone(name, tmp_path):
    """Without the blocks of other sections of its page."""
    package = NEEDED.get(name, "numpy")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the example needs {package}")
    (tmp_path / "example.py").write_text(fresh.program(fresh.EXAMPLES[name]))
    out = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment(tmp_path),
        capture_output=True, text=True,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert "worst case" in out.stdout


def test_unknown_examples_and_pages(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fresh_environments.py", "keras"])
    with pytest.raises(
        ValueError, match="examples are torch, sklearn, onnx, function, not 'keras'"
    ):
        fresh.main()


@pytest.mark.parametrize("text", ["{", "3", '{"about": {}}'])
def test_a_damaged_file_of_parts_is_refused(tmp_path, text):
    (tmp_path / "rows.part").write_text(text)
    with pytest.raises(ValueError, match="rows.part holds no parts of a benchmark: remove it"):
        Parts(tmp_path / "rows.part", {})
