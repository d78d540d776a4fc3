"""The folder of a run's results: whose results it may hold, and that two runs never share it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import ROOT
from tinyproto.evaluation.result_folder import exclusive, lock_for, remove_results, result_folder

FILES = ("metrics.json", "model.npz", "checkpoint.npz")

HOLD = """
import sys, time
from pathlib import Path
from tinyproto.evaluation.result_folder import result_folder
with result_folder(Path(sys.argv[1]), ["metrics.json"]):
    print("inside", flush=True)
    time.sleep(600)
"""


def content(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


def enter(folder, arguments):
    """What a run finds in its folder."""
    with result_folder(folder, FILES, **arguments):
        found = content(folder)
        if "overwrite" in arguments:
            remove_results(folder, FILES)
        return found


@settings(max_examples=200)
@given(
    there=st.sets(st.sampled_from([*FILES, "notes.txt"])),
    option=st.sampled_from(["", "overwrite", "resume"]),
    checkpoint=st.sampled_from([None, "checkpoint.npz"]),
)
def test_a_run_enters_a_folder_of_no_other_run_only(there, option, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    for name in there:
        (folder / name).write_text(name)
    before, results = content(folder), there & set(FILES)
    allowed = not results or option == "overwrite"
    allowed |= option == "resume" and checkpoint in results
    arguments = {"checkpoint": checkpoint} | ({option: True} if option else {})
    if not allowed:
        with pytest.raises(ValueError, match="has .*the results of a run") as refused:
            enter(folder, arguments)
        message = str(refused.value)
        assert str(folder) in message
        assert "\n" not in message
        assert all(name in message for name in results)
        assert "--overwrite" in message
        assert ("--resume" in message) == (checkpoint in results)
    else:
        assert enter(folder, arguments) == {**before, ".lock": ""}
        if option == "overwrite":
            before = {name: text for name, text in before.items() if name not in FILES}
    assert content(folder) == before


def test_nothing_to_resume_is_said(tmp_path, capsys):
    with result_folder(tmp_path / "out", FILES, checkpoint="checkpoint.npz", resume=True):
        pass
    message = capsys.readouterr().err
    assert message == f"{tmp_path / 'out'} has nothing to resume: this run starts anew\n"


def test_a_folder_that_a_run_made_and_left_empty_is_removed(tmp_path):
    with pytest.raises(ZeroDivisionError), result_folder(tmp_path / "a" / "b", FILES):
        _ = 1 / 0
    assert list((tmp_path / "a").iterdir()) == []
    with result_folder(tmp_path / "b", FILES):
        (tmp_path / "b" / "model.npz").write_text("")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["model.npz"]
    (tmp_path / "c").mkdir()
    with result_folder(tmp_path / "c", FILES):
        pass
    assert (tmp_path / "c").is_dir()


def test_the_folder_of_a_locked_file_is_made_and_removed_if_it_is_left_empty(tmp_path):
    path = tmp_path / "a" / "b" / "state.npz"
    with lock_for(path, "evaluation"):
        assert content(path.parent) == {".state.npz.lock": ""}
    assert list((tmp_path / "a").iterdir()) == []
    with lock_for(path, "evaluation"):
        message = r"another evaluation is writing to .*state\.npz"
        with pytest.raises(ValueError, match=message), lock_for(path, "evaluation"):
            pass
        path.write_text("")
    assert content(path.parent) == {"state.npz": ""}
    below = path / "state.npz"
    with (
        pytest.raises(ValueError, match="cannot write .*state.npz: Not a directory"),
        lock_for(below, "evaluation"),
    ):
        pass


def test_what_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    refused = {
        tmp_path / "file": "file is a file: a folder for the results is needed",
        tmp_path / "file" / "below": "cannot write results to .*below: Not a directory",
    }
    if Path("/proc/self").exists():
        refused[Path("/proc/out")] = "cannot write results to /proc/out: No such file"
    for folder, message in refused.items():
        with pytest.raises(ValueError, match=message), result_folder(folder, FILES):
            pass
    assert content(tmp_path) == {"file": "mine"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_second_run_is_refused_and_a_dead_one_holds_nothing(tmp_path, how):
    folder = tmp_path / "out"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert first.stdout.readline() == b"inside\n"
    for arguments in ({}, {"overwrite": True}, {"resume": True, "checkpoint": "metrics.json"}):
        message = "another run is writing its results to "
        with pytest.raises(ValueError, match=message), result_folder(folder, FILES, **arguments):
            pass
    first.send_signal(how)
    first.wait()
    first.stdout.close()
    with result_folder(folder, FILES):  # although the file of the lock is still there
        assert (folder / ".lock").exists()
    assert not (folder / ".lock").exists()


RACE = """
import sys
from pathlib import Path
from tinyproto.evaluation.result_folder import exclusive
folder, name = Path(sys.argv[1]), sys.argv[2]
while not (folder / "go").exists():
    pass
for _ in range(200):
    try:
        with exclusive(folder / "lock", "taken"):
            (folder / "inside").touch(exist_ok=False)  # fails where another is inside
            (folder / "inside").unlink()
    except ValueError as error:
        assert str(error) == "taken"
print("done")
"""


def test_only_one_of_many_is_inside(tmp_path):
    """The lock's file is removed and made again all the time."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), str(n)], cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(3)
    ]  # fmt: skip
    (tmp_path / "go").touch()
    for process in processes:
        out, errors = process.communicate(timeout=120)
        assert out == "done\n", errors


def test_without_locks_of_the_operating_system_a_run_goes_on(tmp_path, monkeypatch):
    def unsupported(file):
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr("tinyproto.evaluation.result_folder._lock", unsupported)
    with exclusive(tmp_path / "lock", "taken"):
        assert (tmp_path / "lock").exists()
    assert list(tmp_path.iterdir()) == []
