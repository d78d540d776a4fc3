"""The progress bar, and the lines that replace it."""

from tinyproto.progress import progress


def test_without_tqdm_there_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with progress(100, "image", initial=50) as advance:
        for _ in range(50):
            advance(1, "loss 1")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("training: 100/100 images, ")
    assert lines[-1].endswith(" s: loss 1")


def test_a_total_of_none_is_no_division_by_it(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with progress(0, "image") as advance:
        advance(1, "")
    assert "1/0 images" in capsys.readouterr().err


def test_no_progress_unless_verbose(capsys):
    with progress(2, "image", verbose=False) as advance:
        advance(2, "loss 1")
    assert capsys.readouterr().err == ""
