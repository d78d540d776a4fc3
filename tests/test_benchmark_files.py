"""Benchmarks go on where they were stopped, and only with results of the same thing."""

import json
import sys

import bench_certified_suite
import bench_gpu
import bench_robust
import common
import pytest
import ship_weights
import update_results
from reproduction import budget

from tinyproto.data.datasets import SAMPLES
from tinyproto.prototypes import EDWTA, PlusMinusEDWTA, save

SUITE = ["--data", str(SAMPLES), "--images", "3", "--attacks", "fgsm", "pgd-20"]


def run(module, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, options)])
    module.main()


def test_rows_go_on_in_a_file_about_the_same(tmp_path):
    path, about = tmp_path / "rows.json", {"images": 3, "whole data": True}
    assert common.known_rows(None, about) == common.known_rows(path, about) == []
    common.write_rows([{"a": 1}], path, "note", about)
    assert common.known_rows(path, about) == [{"a": 1}]
    before = path.read_bytes()
    for other in ({**about, "images": 4}, {"images": 3}, {}):
        with pytest.raises(ValueError, match=r"rows\.json is about .*: choose another --json"):
            common.known_rows(path, other)
    with pytest.raises(ValueError, match="not JSON compliant"):
        common.write_rows([{"a": float("nan")}], path, "note", about)
    assert path.read_bytes() == before
    common.write_rows([{"a": 1}], path, "note")
    with pytest.raises(ValueError, match="is about None"):
        common.known_rows(path, about)


def test_a_suite_of_attacks_is_of_one_network_and_norm(tmp_path, monkeypatch, capsys):
    x, y, *_ = common.load_mnist(str(SAMPLES))
    models = [tmp_path / f"{seed}.npz" for seed in (0, 1)]
    for seed, path in enumerate(models):
        save(PlusMinusEDWTA(2, epochs=1, random_state=seed).fit(x[:200], y[:200]), path)
    table = tmp_path / "suite.json"
    first = ["--model", models[0], "--norm", "l2", "--json", table, *SUITE]
    run(bench_certified_suite, monkeypatch, *first[:-1])  # fgsm alone
    written = json.loads(table.read_text())["rows"]
    run(bench_certified_suite, monkeypatch, *first)
    rows = json.loads(table.read_text())["rows"]
    assert [row["attack"] for row in rows] == ["fgsm", "pgd-20"]
    assert rows[0] == written[0]  # and its seconds: it was not computed again
    for model, norm in ((models[1], "l2"), (models[0], "linf")):
        with pytest.raises(ValueError, match=r"suite\.json is about .*choose another --json"):
            run(bench_certified_suite, monkeypatch, "--model", model, "--norm", norm,
                "--json", table, *SUITE)  # fmt: skip
    capsys.readouterr()


def test_a_network_of_other_parameters_is_not_judged_as_that_of_a_preset(tmp_path):
    x, y, *_ = common.load_mnist(str(SAMPLES))
    settings = {**bench_robust.settings_of("robust", quick=True), "epochs": 0}
    save(EDWTA(**settings).fit(x[:500], y[:500]), tmp_path / "other.npz")
    with pytest.raises(ValueError, match="is no network of the preset robust: remove it"):
        bench_robust.opened(tmp_path / "other.npz", "robust", quick=True)


def test_what_a_section_has_found_is_kept_when_a_later_one_fails(tmp_path, monkeypatch, capsys):
    def failing(chosen):
        yield {"kernel": "im2col", "GB/s": 1.0}
        raise ChildProcessError("times.py failed")

    sections = {"agreement": lambda chosen: iter([{"what": "scores", "value": 0.0}])}
    monkeypatch.setattr(bench_gpu, "SECTIONS", {**sections, "kernels": failing})
    table = ["--device", "cpu", "--json", tmp_path / "gpu.json"]
    with pytest.raises(ChildProcessError):
        run(bench_gpu, monkeypatch, *table, "--only", "agreement", "kernels")
    assert len(json.loads((tmp_path / "gpu.json").read_text())["rows"]) == 2
    monkeypatch.setattr(bench_gpu, "FAILED", ["tests"])
    with pytest.raises(SystemExit, match="1"):
        run(bench_gpu, monkeypatch, *table, "--only", "agreement")
    capsys.readouterr()


def test_an_unknown_option_writes_no_page(monkeypatch, capsys):
    monkeypatch.setattr(update_results.Path, "write_text", pytest.fail)
    for option in ("--chek", "--help"):
        with pytest.raises(SystemExit):
            update_results.main([option])
    update_results.main(["--check"])
    capsys.readouterr()


def test_the_budget_is_not_measured_on_a_sample():
    with pytest.raises(ValueError, match="has a sample: a budget is measured for all of CIFAR-10"):
        budget.measure(str(SAMPLES), rounds=1, threads=1)


def test_the_command_of_a_card_has_what_differs_from_the_preset():
    preset = ship_weights.preset_network(EDWTA, "robust").get_params()
    settings = {"preset": "robust", "model": "ed-wta", **preset, "random_state": 3}
    plain = "python examples/mnist_ed_wta.py --preset robust --model ed-wta --seed 3"
    assert ship_weights.command_of(settings) == plain
    changed = {**settings, "prototypes_per_class": 50, "epochs": 3}
    assert ship_weights.command_of(changed) == f"{plain} --prototypes 50 --epochs 3"
