"""The comparison of the defences: rows, budget, stopping and going on, tables, picture."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reproduce
import update_results
from reproduction import (
    budget,
    claims,
    example,
    judge,
    paired,
    picture,
    processes,
    tables,
    train,
)
from reproduction.rows import (
    ABLATIONS,
    BASE,
    COMPARE,
    GROUPS,
    LAST_PART,
    LONG,
    NOT_ATTACKED,
    TWO_VIEWS,
    VIEWS,
    chosen_rows,
    defense_of,
)

from tests.test_examples import environment, set_environment
from tinyproto import networks
from tinyproto.data.datasets import SAMPLES
from tinyproto.prototypes import clopper_pearson
from tinyproto.state import load_arrays, parameters_checksum

SHORT = ["--data", str(SAMPLES), "--limit", "64", "--evaluate", "10", "--batch", "32"]
SHORT += ["--checkpoint-every", "1"]
SECONDS = {"pgd": 300.0, "n-fgsm": 100.0, "adv-dpnp": 400.0, "standard": 40.0, "dpnp": 50.0}


def plan(group="compare", names=None, **changes):
    options = {"quick": False, "epochs": 2, "budget_file": Path("none"), "more": SHORT}
    (stage,) = train.plan(group, names, Path("runs"), **{**options, **changes})
    return stage


def test_every_row_is_a_run_that_the_example_accepts():
    for group in GROUPS.values():
        for options in group.rows.values():
            example.parsed(options)
        assert set(group.figures) <= set(judge.FIGURES)
    assert {defense_of(name) for name in GROUPS["long"].rows} == set(COMPARE)
    assert (set(tables.NAMES), set(tables.ABLATED)) == (set(COMPARE), set(ABLATIONS))
    assert len(chosen_rows("long", None)) == 2
    with pytest.raises(ValueError, match="compare has no row 'magic'; its rows are standard, pgd"):
        chosen_rows("compare", ["pgd", "magic"])


def test_a_row_of_the_search_changes_what_its_name_says():
    def settings(options):
        found = example.parsed(options)
        values = {key: getattr(found, key.replace("-", "_")) for key in (*BASE, "clean-statistics")}
        return {k: f"{v:g}" if isinstance(v, float | int) else v for k, v in values.items()}

    base = settings(GROUPS["search"].rows["base"])
    assert {key: str(value) for key, value in BASE.items()} == {key: base[key] for key in BASE}
    for name, options in GROUPS["search"].rows.items():
        found = settings(options).items() - base.items()
        parts = {key if key == "clean-statistics" else f"{key}-{value}" for key, value in found}
        assert parts == (set(name.split("+")) if name != "base" else set())


def test_epochs_follow_from_the_budget(tmp_path):
    rows = [{"row": name, "seconds an epoch": value} for name, value in SECONDS.items()]
    budget.write(tmp_path / "budget.json", rows, "")
    expected = {"pgd": 12, "n-fgsm": 36, "adv-dpnp": 9, "standard": 12, "dpnp": 12}
    written = json.loads((tmp_path / "budget.json").read_text())["rows"]
    assert {row["row"]: row["epochs"] for row in written} == expected
    expected["n-fgsm-as-pgd"] = expected["pgd"]
    names = list(expected)
    found = plan(names=names, epochs=None, budget_file=tmp_path / "budget.json")
    assert {n: example.parsed(o).epochs for n, o in found.items()} == expected
    with pytest.raises(ValueError, match="measure the seconds an epoch with `reproduce.py budget`"):
        plan(epochs=None)
    with pytest.raises(ValueError, match="the budget has no row mart: measure it"):
        plan(names=["mart"], epochs=None, budget_file=tmp_path / "budget.json")
    with pytest.raises(ValueError, match="--out is the folder of a row in --runs: leave it out"):
        plan(more=["--out", "here"])
    with pytest.raises(ValueError, match="--seed is what the rows of ablation differ by"):
        plan("ablation", more=["--seed", "5"])
    chosen, _ = reproduce.parse(["judge", "compare", "--rows", "mart", "--full", "pgd"])
    with pytest.raises(ValueError, match="--full pgd: not among the rows that are judged"):
        reproduce.judge_rows(chosen)


def test_a_long_row_goes_on_from_that_of_the_comparison_in_parts(tmp_path):
    rows = [{"row": name, "seconds an epoch": value} for name, value in SECONDS.items()]
    budget.write(tmp_path / "budget.json", rows, "")
    names = [f"pgd{LONG}", f"n-fgsm{LONG}"]
    more = {"quick": False, "epochs": None, "budget_file": tmp_path / "budget.json", "more": SHORT}
    stages = train.plan("long", names, tmp_path, **more)
    chain = ["pgd", *(stage_names[0] for stage_names in map(list, stages))]
    assert chain == ["pgd", f"pgd{LONG}/part-2", f"pgd{LONG}/part-3", f"pgd{LONG}"]
    for before, stage in zip(chain, stages, strict=False):
        (_, pgd), (_, n_fgsm) = stage.items()
        found = example.parsed(pgd)
        assert found.start_from == str(tmp_path / before / "model.npz")
        assert (found.epochs, found.average) == (12, 0.999)
        assert (example.parsed(n_fgsm).epochs, example.parsed(n_fgsm).average) == (36, 0.999)


def test_a_row_of_two_views_has_the_weights_of_the_long_row(tmp_path):
    name = f"adv-dpnp-n-fgsm{VIEWS}"
    more = {"quick": False, "epochs": 8, "budget_file": tmp_path / "none", "more": SHORT}
    assert train.plan("long", [name], tmp_path, **more) == train.plan(
        "long", [f"adv-dpnp-n-fgsm{LONG}"], tmp_path, **more
    )
    long, network = tmp_path / f"adv-dpnp-n-fgsm{LONG}", networks.compact_cnn(head="prototypes")
    long.mkdir()
    networks.save(network, long / "model.npz", dataset="cifar10", method="adv-dpnp", epochs=32)
    metrics = {"epochs": 32, "seconds": 7, "clean_accuracy": 0.7, "robust_accuracy": {"fgsm": 0.4},
               "settings": {"network": "compact"}}  # fmt: skip
    (long / "metrics.json").write_text(json.dumps(metrics))
    train.write_two_views([f"adv-dpnp-n-fgsm{LONG}", name], tmp_path)
    found = networks.load(tmp_path / name / "model.npz")
    assert parameters_checksum(found.params) == parameters_checksum(network.params)
    assert found.settings == {**network.settings, **TWO_VIEWS}
    about = [load_arrays(folder / "model.npz")[1] for folder in (long, tmp_path / name)]
    assert about[0] | {"network": about[1]["network"]} == about[1]
    written = json.loads((tmp_path / name / "metrics.json").read_text())
    assert written["settings"] == {"network": "compact", **TWO_VIEWS}
    measured = written["clean_accuracy"], written["robust_accuracy"]
    assert (written["seconds"], *measured) == (7, None, {})


def test_the_last_part_of_a_row_may_have_options_of_its_own(tmp_path):
    more = {"quick": False, "epochs": 2, "budget_file": tmp_path / "none"}
    for name, own in LAST_PART.items():
        stages = train.plan("long", [name], tmp_path, more=SHORT, **more)
        *earlier, last = [example.parsed(options) for stage in stages for options in stage.values()]
        changed = {option.removeprefix("--").replace("-", "_"): float(value)
                   for option, value in zip(own[::2], own[1::2], strict=True)}  # fmt: skip
        assert len(earlier) == 2
        assert {option: getattr(last, option) for option in changed} == changed
        for part, (option, value) in itertools.product(earlier, changed.items()):
            assert getattr(part, option) != value
        with pytest.raises(ValueError, match=f"{own[0]} is what the rows of long differ by"):
            train.plan("long", [name], tmp_path, more=own[:2], **more)


def test_a_stage_that_fails_ends_the_training(tmp_path, monkeypatch):
    begun = []

    def failing(commands, logs, jobs, describe):
        begun.extend(commands)
        return ["a"] if "a" in commands else []

    monkeypatch.setattr(processes, "run_all", failing)
    assert train.train([{"z": SHORT}, {"a": SHORT, "b": SHORT}, {"c": SHORT}], tmp_path, 1) == ["a"]
    assert begun == ["z", "a", "b"]


def test_the_search_leaves_images_unseen():
    (options,) = plan("search", ["base"], more=["--data", str(SAMPLES)]).values()
    data = example.module().load("cifar10", str(SAMPLES))
    learned, held = example.module().split(example.parsed(options), data)
    metrics = {"settings": vars(example.parsed(options))}
    row = judge.Row(Path(), None, metrics, data, "cpu")
    x, y = row.unseen(10_000)
    assert len(x) == len(data.x_train) - len(learned) - len(held) == 80
    seen = {image.tobytes() for image in data.x_train[np.concatenate([learned, held])]}
    assert not seen & {image.tobytes() for image in x}
    assert len(y) == 80
    assert example.parsed(plan("compare", ["pgd"], more=[])["pgd"]).limit is None


def test_a_finished_row_of_other_options_is_refused(tmp_path):
    options = plan(names=["trades"])["trades"]
    assert example.metrics(tmp_path, options) is None
    asked = example.parsed(options)
    chosen = {"batch": 32, "learning_rate": 0.0125, **example.module().coefficients(asked)}
    settings, other = {**vars(asked), **chosen}, ("epochs", "beta", "batch", "learning_rate")
    for changed in ({}, {"checkpoint_every": 7}, *({name: 1.5} for name in other)):
        written = {"settings": {**settings, **changed}, "trained_on": 64}
        (tmp_path / "metrics.json").write_text(json.dumps(written, default=str))
        if set(changed) & set(other):
            with pytest.raises(ValueError, match=f"a run with {next(iter(changed))}=.*another --r"):
                example.metrics(tmp_path, options)
        else:
            assert example.metrics(tmp_path, options)["settings"]["beta"] == 6.0
    for begun, asked in (("a/model.npz", []), (None, ["--start-from", "a/model.npz"])):
        written = {"settings": {**settings, "start_from": begun}, "trained_on": 64}
        (tmp_path / "metrics.json").write_text(json.dumps(written, default=str))
        with pytest.raises(ValueError, match="has the results of a run from .*another --runs"):
            example.metrics(tmp_path, [*options, *asked])


def python(code):
    return [sys.executable, "-c", code]


def test_processes_run_some_at_a_time_and_one_failure_does_not_stop_the_others(
    tmp_path, capfd, monkeypatch
):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)), raising=False)
    said = "import os; print(os.environ['NUMBA_NUM_THREADS'])"
    commands = {"a": python("raise SystemExit(3)"), "b": python(said), "c": python(said)}
    logs = {name: tmp_path / name / "log.txt" for name in commands}
    assert processes.run_all(commands, logs, 2, lambda name: f"{name} is done") == ["a"]
    assert [logs[name].read_text() for name in "bc"] == ["3\n", "3\n"]
    lines = capfd.readouterr().out.splitlines()
    assert sorted(lines) == [
        f"a: failed with exit status 3; see {logs['a']}", "b: b is done", "c: c is done"
    ]  # fmt: skip
    assert processes.run_all({"b": commands["c"]}, logs, 1, lambda name: "done") == ["b"]
    assert "KeyError" in capfd.readouterr().err  # its share is all, and it has the terminal


STOPPED = """
import sys, time
from pathlib import Path
from reproduction import processes
from tinyproto.evaluation.command import run_command
child = ('import signal, sys, time\\n'
         'from pathlib import Path\\n'
         'def stop(*_): time.sleep(0.3); Path(sys.argv[1] + "/ended").touch(); sys.exit(143)\\n'
         'signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, stop)\\n'
         'Path(sys.argv[1] + "/started").touch(); time.sleep(60)\\n')
commands = {name: [sys.executable, "-c", child, name] for name in "abc"}
logs = {name: Path(name) / "log.txt" for name in "abc"}
run_command(lambda: processes.run_all(commands, logs, 2, str))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_all_that_run_and_waits_for_them(tmp_path, number):
    benchmarks = Path(reproduce.__file__).parent
    path = os.pathsep.join([str(benchmarks), str(benchmarks.parent)])
    process = subprocess.Popen(
        python(STOPPED), cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(tmp_path / "a" / "started", tmp_path / "b" / "started")
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + number, "stopped: 0 of 3 rows are finished\n")
    assert sorted(out.splitlines()) == ["a: stopped", "b: stopped"]
    assert all((tmp_path / name / "ended").exists() for name in "ab")
    assert not (tmp_path / "c").exists()


def wait_for(*files, seconds=60):
    until = time.monotonic() + seconds
    while not all(file.exists() for file in files):
        assert time.monotonic() < until, files
        time.sleep(0.05)


@pytest.mark.slow
def test_stopped_and_started_again_it_comes_to_the_same_table(tmp_path, monkeypatch, capsys):
    set_environment(monkeypatch, tmp_path)
    env = environment(tmp_path)
    found = {}
    for name in ("whole", "cut"):
        runs = ["--rows", "base", "--runs", str(tmp_path / name)]
        command = [sys.executable, reproduce.__file__, "train", "search", *runs, "--jobs", "2"]
        command += ["--epochs", "2", *SHORT]
        if name == "cut":
            process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
            wait_for(tmp_path / "cut" / "base" / "checkpoint.npz")
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=60)[0] == "base: stopped\n"
            assert process.returncode == 143
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        judging = ["judge", "search", *runs, "--quick", "--data", str(SAMPLES)]
        assert reproduce.judge_rows(reproduce.parse(judging)[0]) == []
        assert reproduce.judge_rows(reproduce.parse(judging)[0]) == []  # reads what there is
        (row,) = tables.collect("search", tmp_path / name)["rows"]
        figures = row["figures"].values()
        found[name] = {**row, "seconds": 0, "figures": [{**f, "seconds": 0} for f in figures]}
    assert found["cut"] == found["whole"]
    assert "left out: radius-1, " in capsys.readouterr().err
    path = tmp_path / "cut" / "base" / judge.JUDGED
    text = path.read_text()
    for here, other in [('"model": "', '"model": "0'), ('"classes": 10', '"classes": 11')]:
        path.write_text(text.replace(here, other))
        for use in (lambda: reproduce.judge_rows(reproduce.parse(judging)[0]),
                    lambda: tables.collect("search", tmp_path / "cut")):  # fmt: skip
            with pytest.raises(ValueError, match=r"another model: .* judged.json, unseen.npz"):
                use()


def counted(images, seed, **right):
    """A figure of judged.json: how many images are right, and which, chosen at random."""
    random = np.random.default_rng(seed)
    outcomes = {}
    for name, count in right.items():
        chosen = np.zeros(images, dtype=bool)
        chosen[random.permutation(images)[:count]] = True
        outcomes[name.replace("_", "-")] = paired.pack(chosen)
    counts = {name.replace("_", "-"): count for name, count in right.items()}
    return {"images": images, **counts, paired.OUTCOMES: outcomes}


def figures(clean=0.6, robust=0.3, seed=0):
    """Of a row that is judged, as `judge` writes them."""
    space = {
        "least angle": 90.0, "mean angle": 96.0, "greatest angle": 120.0,
        "compactness / separation": 0.5, "compactness / separation, attacked": 0.75,
    }  # fmt: skip
    return {
        "clean": counted(10_000, seed, clean=round(10_000 * clean)),
        "attacks": counted(1000, seed, fgsm=450, pgd_20=400, cw_linf=380),
        "autoattack": counted(1000, seed, autoattack=round(1000 * robust)),
        "corruption": {"images": 1000, "corrupted %": 55.5},
        "geometry": {"images": 1000, **space},
        "unseen_geometry": {"images": 1000, **space},
        "unseen": counted(4000, seed, clean=round(4000 * clean), pgd_20=1800),
        "unseen_apgd": counted(500, seed, apgd=160),
    }


def row(name, number=0, **changes):
    method = defense_of(name).removesuffix("-as-pgd").removesuffix("-n-fgsm")
    method = method.replace("n-fgsm", "pgd")
    inner = "n-fgsm" if "n-fgsm" in name else "pgd"
    return {
        "row": name, "epochs": 10, "seconds": 3600, "device": "cpu", "seed": 0, "weights": 296_362,
        "trained on": 49_000, "figures": figures(0.6 + 0.01 * number, 0.3 + 0.005 * number),
        "settings": {"method": method, "inner_attack": inner, "attack_steps": 5}, **changes,
    }  # fmt: skip


def content(group, rows):
    return {"rows": rows, "note": tables._note(group, rows)}


def test_the_table_of_the_comparison_has_every_defence_with_its_interval():
    long = f"n-fgsm{LONG}", f"n-fgsm{VIEWS}"
    rows = [row(name, number) for number, name in enumerate([*COMPARE, *long])]
    rows[-2]["figures"]["autoattack_all"] = {"images": 10_000, "autoattack": 3456}
    accuracies, costs, full = tables.compare(content("compare", rows))
    low, high = (100 * value for value in clopper_pearson(305, 1000))
    assert accuracies[1]["defence"] == "PGD training"
    assert accuracies[1]["AutoAttack %"] == f"30.5 ({low:.1f} – {high:.1f})"
    assert accuracies[1]["less that of PGD training"] == ""
    assert accuracies[2]["less that of PGD training"].startswith("+0.5 (")
    assert [r["clean %"] for r in accuracies[:2]] == ["60.0", "61.0"]
    crafting = {r["defence"]: r["attack in training"] for r in costs}
    assert {crafting[tables.NAMES[name]] for name in NOT_ATTACKED} == {"none"}
    assert crafting["MART"] == "PGD-5"
    assert crafting["N-FGSM, 4 × the budget, averaged"] == "N-FGSM"
    assert crafting["N-FGSM, 4 × the budget, averaged, two views"] == "N-FGSM"
    assert [r["minutes of training"] for r in costs[-3:]] == [
        "60 (cpu)", *["4 parts, the last 60 (cpu)"] * 2
    ]  # fmt: skip
    assert full[0]["AutoAttack %"].startswith("34.6 (33.6 – ")
    text = update_results.reproduction("reproduce")(content("compare", rows))
    assert text.count("| TRADES, N-FGSM |") == 2
    assert text.endswith("Agresti-Min), not over training runs.")


def test_the_headline_has_what_is_judged_and_the_most_robust_long_row():
    long = [row(f"{name}{LONG}", number) for name, number in (("n-fgsm", 7), ("adv-dpnp", 9))]
    rows = [row("trades", 2), row("standard", 1), row("pgd", 4), row("mart", 5), *long]
    del rows[3]["figures"]["autoattack"]
    found = tables.headline(rows)
    named = "PGD training", "TRADES", "Adv-DPNP, 4 × the budget, averaged"
    assert [text.partition(":")[0] for text in found] == list(named)
    assert list(found.values()) == ["64.0 %; 32.0 %", "62.0 %; 31.0 %", "69.0 %; 34.5 %"]
    assert tables.headline(rows[3:4]) == {}


def test_the_ablation_is_the_mean_over_seeds_with_the_extremes():
    rows = [row(f"full-seed-{n}", n, seed=n) for n in range(3)] + [
        row("linear-head-seed-0", seed=0)
    ]
    full, linear = tables.ablation(content("ablation", rows))[0]
    assert (full["seeds"], linear["seeds"]) == ("3", "1")
    assert full["test, AutoAttack %"] == "30.5 (30.0 – 31.0)"
    assert full["unseen, clean %"] == "61.0 (60.0 – 62.0)"
    assert linear["test, clean %"] == "60.0"
    assert "seeds 0, 1, 2" in update_results.reproduction("ablation")(content("ablation", rows))


def test_rows_that_cannot_be_compared_are_refused():
    few = row("pgd")
    few["figures"]["autoattack"]["images"] = 4
    for group, other, message in (
        ("compare", few, "pgd has 4 images for autoattack, and standard 1,000"),
        ("compare", row("pgd", **{"trained on": 64}), "64 training images, and standard 49,000"),
        ("search", row("pgd", epochs=3), "pgd has 3 epochs, and standard 10"),
    ):
        with pytest.raises(ValueError, match=message):
            tables._check_alike(group, [row("standard"), other])
    tables._check_alike("compare", [row("standard"), row("pgd", epochs=3)])


def write_run(folder, figures, **metrics):
    """What the training and the judging of a row leave behind."""
    folder.mkdir(parents=True)
    history = [{"epoch": 1, "clean": 0.5, "robust": 0.3}]
    found = {
        "settings": {"method": "adv-dpnp"}, "epochs": 8, "history": history, "seconds": 600,
        "device": "cpu", "seed": 0, "trained_on": 45_000, **metrics,
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(found))
    network = networks.compact_cnn(2, feature_width=2)
    networks.save(network, folder / "model.npz")
    model = parameters_checksum(network.params)
    judged = {"model": model, "figures": figures, "weights": 296_352}
    (folder / judge.JUDGED).write_text(json.dumps(judged))


def test_rows_that_were_trained_on_several_machines_become_one_table(tmp_path, monkeypatch, capsys):
    def table(machine):
        program = ["reproduce", "table", "search", "--runs", str(tmp_path / machine)]
        monkeypatch.setattr(sys, "argv", [*program, "--json", str(tmp_path / "search.json")])
        reproduce.main()
        return {r["row"]: r for r in json.loads((tmp_path / "search.json").read_text())["rows"]}

    write_run(tmp_path / "one" / "radius-5", figures(0.6))
    write_run(tmp_path / "one" / "base", figures(0.5))
    write_run(tmp_path / "two" / "radius-1", figures(0.7))
    write_run(tmp_path / "two" / "radius-5", figures(0.8))
    assert list(table("one")) == ["base", "radius-5"]
    both = table("two")
    assert {name: r["figures"]["unseen"]["clean"] for name, r in both.items()} == {
        "base": 2000, "radius-1": 2800, "radius-5": 3200,
    }  # fmt: skip
    assert list(both) == ["base", "radius-1", "radius-5"]
    said = capsys.readouterr().err.splitlines()[-1]
    assert "radius-2" in said and "base" not in said  # noqa: PT018
    write_run(tmp_path / "three" / "radius-8", figures(), trained_on=64)
    before = (tmp_path / "search.json").read_bytes()
    with pytest.raises(ValueError, match="radius-8 has 64 training images, and base 45,000"):
        table("three")
    assert (tmp_path / "search.json").read_bytes() == before


def test_figures_of_a_sample_give_way_to_those_of_all_images(tmp_path, monkeypatch):
    write_run(tmp_path / "pgd", {})
    sample = example.module().load("cifar10", SAMPLES)
    judged = []

    def clean(row, count):
        judged.append(row.data.complete)
        return {"images": min(count, len(row.data.x_test))}

    monkeypatch.setattr(judge, "FIGURES", {"clean": (clean, 10_000, 10)})
    for complete in (False, False, True, False, True):
        few = replace(sample, complete=complete)
        monkeypatch.setattr(example.module(), "load", lambda *_, few=few: few)
        judge.judge(tmp_path / "pgd", ["clean"], {}, data=None, device="cpu", quick=False)
    assert judged == [False, True]


def test_a_row_of_the_comparison_may_be_judged_in_part(tmp_path, capsys):
    settings = {"method": "trades", "inner_attack": "pgd", "attack_steps": 5, "start_from": "/a/b"}
    whole, part = figures(), figures()
    del part["autoattack"]
    write_run(tmp_path / "pgd", whole, settings={**settings, "method": "pgd"})
    write_run(tmp_path / "trades", part, settings=settings)
    content = tables.collect("compare", tmp_path)
    accuracies, costs = tables.compare(content)
    assert "/a/b" not in json.dumps(content)
    assert [r["AutoAttack %"] != "" for r in accuracies] == [True, False]
    assert [r["less that of PGD training"] for r in accuracies] == ["", ""]
    assert all(r["corrupted %"] == "55.5" for r in accuracies)
    assert all(r["compactness / separation"] == "0.50" for r in costs)
    assert "trades (autoattack)" in capsys.readouterr().err
    judged_elsewhere = [row("trades", **{"trained on": 45_000})]
    _, trades = tables.collect("compare", tmp_path, judged_elsewhere)["rows"]
    assert trades == judged_elsewhere[0]
    runs = [{**r, "row": name} for r in content["rows"] for name in ("adv-dpnp", r["row"], "mart")]
    found = claims.table({"reproduce": {"rows": [*runs[:2], *runs[4:]]}})
    assert found[0]["does it hold here"] == claims.WITHIN
    assert found[2]["our figures"] == "no autoattack yet"
    with pytest.raises(ValueError, match="no row has been judged by AutoAttack"):
        picture.plot_accuracies({"rows": content["rows"][1:]}, tmp_path / "a.png")


def test_the_search_has_a_row_for_each_choice():
    names = "base", "radius-8+alignment-weight-0", "consistency-features", "consistency-weight-1"
    rows = [row(name, number) for number, name in enumerate(names)]
    (table,) = tables.search(content("search", rows))
    changed = ["base", "radius 8, λ₊ 0", "consistency of features", "λ_con 1"]
    assert [r["changed"] for r in table] == changed
    assert (table[1]["clean %"], table[0]["PGD-20 %"], table[0]["APGD %"]) == (
        "61.0",
        "45.0",
        "32.0",
    )


def test_the_picture_shows_every_row(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    long = f"adv-dpnp-n-fgsm{LONG}", f"adv-dpnp-n-fgsm{VIEWS}"
    rows = [row(name, number) for number, name in enumerate([*COMPARE, *long])]
    kept = []
    monkeypatch.setattr(picture, "save_figure", lambda figure, path: kept.append(figure))
    picture.plot_accuracies(content("compare", rows), tmp_path / "p.png")
    everything, attacked = kept[0].axes
    assert len(everything.containers) == len(rows)
    assert len(attacked.containers) == len(rows) - len(NOT_ATTACKED)
    looks = set()
    for container in everything.containers:
        line = container.lines[0]
        looks.add((line.get_marker(), line.get_markerfacecolor() == "white", line.get_markersize()))
    assert len(looks) == len(rows)  # all differ without their colours
    points = [container.lines[0].get_ydata()[0] for container in everything.containers]
    robust = sorted((r["figures"]["autoattack"]["autoattack"] / 10 for r in rows), reverse=True)
    assert points == pytest.approx(robust)


def test_wrong_options(capsys):
    for arguments in (["judge", "compare", "--epochs", "3"], ["train", "compare", "--jobs", "0"]):
        with pytest.raises(SystemExit):
            reproduce.parse(arguments)
    assert reproduce.parse(["train", "long", "--device", "cuda"])[1] == ["--device", "cuda"]
    for epochs in (-1, 0):
        with pytest.raises(ValueError, match=f"--epochs must be above 0, and finite, not {epochs}"):
            plan(names=["pgd"], epochs=epochs)


def verdicts(compared, ablated):
    found = claims.table({"reproduce": {"rows": compared}, "ablation": {"rows": ablated}})
    return {row["claim"].split()[0]: row["does it hold here"] for row in found}, found


def judged(name, clean, robust, **changes):
    seed = sum(map(ord, name))
    return row(name, figures=figures(clean, robust, seed), **changes)


def test_a_claim_holds_where_the_interval_of_the_difference_says_so():
    rivals = [judged(name, 0.60, 0.30) for name in ("pgd", "trades", "mart", "dpnp")]
    for clean, expected in ((0.70, "yes"), (0.605, claims.WITHIN), (0.50, "no")):
        found, table = verdicts([judged("adv-dpnp", clean, 0.30), *rivals], [])
        assert found["Clean"] == expected
        assert (
            f"PGD training 60.0 %, difference {100 * (clean - 0.6):+.1f} ("
            in (table[0]["our figures"])
        )
    for robust, expected in ((0.40, "yes"), (0.31, claims.WITHIN), (0.20, "no")):
        found, table = verdicts([judged("adv-dpnp", 0.6, robust), *rivals], [])
        assert (found["and"], found["Features"]) == (expected, expected)
        assert table[2]["our figures"].startswith(f"AutoAttack: Adv-DPNP {100 * robust:.1f} %; ")
    assert {found["The"], found["Classes"]} == {"not shown", "yes" + claims.UNTESTED}


def test_the_difference_on_the_same_images_is_known_better():
    """Both right for 794 images, the first alone for 150, the second alone for 86, of 1,600."""
    first, second = np.zeros(1600, dtype=bool), np.zeros(1600, dtype=bool)
    first[: 794 + 150], second[:794], second[1000:1086] = True, True, True
    one, other = (
        {"images": 1600, paired.OUTCOMES: {"x": paired.pack(right)}} for right in (first, second)
    )
    np.testing.assert_array_equal(paired.unpack(one[paired.OUTCOMES]["x"], 1600), first)
    found = paired.difference(one, other, "x")
    centre, deviation = 64 / 1602, np.sqrt(237 - 64**2 / 1602) / 1602
    np.testing.assert_allclose(found.value, 4.0)
    np.testing.assert_allclose(found.low, 100 * (centre - 1.959964 * deviation))
    np.testing.assert_allclose(found.high, 100 * (centre + 1.959964 * deviation))
    low, high = (clopper_pearson(int(right.sum()), 1600) for right in (second, first))
    assert found.high - found.low < 100 * (high[1] - low[0])
    with pytest.raises(ValueError, match="1,600 and 8 images cannot be paired"):
        paired.difference(one, {"images": 8, paired.OUTCOMES: {"x": "ff"}}, "x")


def test_intervals_of_differences_cover_the_truth():
    """95 % of them, within three deviations of 2,000 draws of two answers to 300 images."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        cell = random.choice(4, size=300, p=[0.3, 0.12, 0.08, 0.5])
        figures = [
            {"images": 300, paired.OUTCOMES: {"x": paired.pack(right)}}
            for right in (cell < 2, (cell == 0) | (cell == 2))
        ]
        found = paired.difference(*figures, "x")
        covered += found.low <= 4.0 <= found.high
    assert abs(covered / 2000 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize(
    ("clean", "robust", "expected"),
    [
        (0.50, 0.30, "yes"),
        (0.50, 0.20, "yes"),
        (0.60, 0.30, "not seen: the seeds overlap"),
        (0.70, 0.30, "no"),
        (0.70, 0.20, "one accuracy at the cost of the other"),
    ],
)
def test_a_part_helps_where_all_seeds_are_worse_without_it(clean, robust, expected):
    def seeds(name, clean, robust):
        shift = [-0.005, 0, 0.005]
        return [
            judged(f"{name}-seed-{n}", clean + d, robust + d, seed=n) for n, d in enumerate(shift)
        ]

    rows = [*seeds("full", 0.6, 0.3), *seeds("no-alignment", clean, robust)]
    assert verdicts([], rows)[0]["Alignment"] == expected
    found, table = verdicts([], rows[:-1])
    assert found["Alignment"] == (expected if "overlap" in expected else claims.OPEN)
    assert table[8]["our figures"].endswith("; seeds: 3, 2")


def test_a_verdict_that_comes_early_is_that_of_all_seeds():
    random, early = np.random.default_rng(0), 0
    for _ in range(300):
        rows = [
            judged(f"{name}-seed-{seed}", *random.integers(40, 60, 2) / 100, seed=seed)
            for name in ("full", "no-alignment") for seed in (1, 2, 3)
        ]  # fmt: skip
        final = verdicts([], rows)[0]["Alignment"]
        kept = [*rows[: random.integers(1, 4)], *rows[3 : 3 + random.integers(1, 4)]]
        found = verdicts([], kept)[0]["Alignment"]
        assert found in (claims.OPEN, final)
        early += found == final and len(kept) < 6
    assert early > 20


def test_a_claim_without_runs_is_not_shown():
    found, table = verdicts([judged("adv-dpnp", 0.6, 0.3)], [])
    assert set(found.values()) == {claims.OPEN}
    assert table[0]["our figures"] == "no run of pgd"
    assert {row["does it hold here"] for row in claims.table({})} == {claims.OPEN}
