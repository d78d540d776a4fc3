"""A name in place of a file: where it is found, and one clear line where it is not."""

import pytest

import tinyproto
from tinyproto.evaluation.__main__ import main as evaluate
from tinyproto.evaluation.corruption.__main__ import main as corrupt
from tinyproto.evaluation.geometry.__main__ import main as measure
from tinyproto.pretrained import find_model
from tinyproto.report.__main__ import main as report

NAMES = list(tinyproto.zoo())


@pytest.mark.parametrize(
    ("wrong", "closest"),
    [
        ("cifar10-compact-pdg", "cifar10-compact-pgd"),
        ("cifar10-adv-dpnp", "cifar10-compact-adv-dpnp"),
        ("MNIST-ED-WTA", "mnist-ed-wta"),
        ("mnist_ed_wta", "mnist-ed-wta"),
    ],
)
def test_a_wrong_name_gets_the_names_that_exist_closest_first(wrong, closest):
    with pytest.raises(ValueError, match=f"^{wrong}: expected .* one of {closest}, ") as caught:
        tinyproto.load(wrong)
    message = str(caught.value)
    assert "\n" not in message
    assert all(name in message for name in NAMES)


def test_a_path_stays_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("nowhere.npz", "runs/nowhere", tmp_path):
        assert str(find_model(path)) == str(path)
    with pytest.raises(FileNotFoundError):
        tinyproto.load("nowhere.npz")


def test_a_file_goes_before_a_name_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = find_model(NAMES[0])
    assert shipped.is_file()
    (tmp_path / NAMES[0]).mkdir()
    assert find_model(NAMES[0]) == shipped
    (tmp_path / NAMES[1]).write_bytes(b"")
    assert str(find_model(NAMES[1])) == NAMES[1]


@pytest.mark.usefixtures("samples_only")
@pytest.mark.parametrize("name", ["cifar10-compact-pgd", "mnist-ed-wta"])
def test_the_command_line_takes_a_name(name, tmp_path, capsys):
    evaluate([name, "--examples", "20", "--attack", "fgsm"])
    assert f"20 test images of {name.split('-')[0]}" in capsys.readouterr().out


@pytest.mark.usefixtures("samples_only")
def test_the_other_commands_take_a_name(tmp_path, capsys):
    name = "cifar10-compact-adv-dpnp"
    measure([name, "--examples", "20"])
    corrupt([name, "--examples", "10", "--corruption", "brightness", "--severity", "1"])
    assert capsys.readouterr().out.count("test images of cifar10") == 2


@pytest.mark.usefixtures("samples_only")
def test_a_report_takes_names(tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    report(["mnist-ed-wta", "--out", str(tmp_path), "--parts", "model", "settings",
            "--examples", "20", "--compare", "mnist-ed-wta-robust"])  # fmt: skip
    page = (tmp_path / "index.html").read_text()
    assert "mnist-ed-wta.npz" in page
    assert "mnist-ed-wta-robust.npz" in page
    assert "training: preset" in page


@pytest.mark.parametrize("main", [evaluate, measure, corrupt, report])
def test_a_wrong_name_on_the_command_line_is_one_line(main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="^error: cifar10-pgd: expected .*, one of cifar10-c"):
        main(["cifar10-pgd"])
