"""The command line."""

import copy
import errno
import json

import pytest
import torch
from recorded import record, ticket

from splinelib.__main__ import main
from splinelib.errors import SplineError


def test_the_command_line_runs_and_lists(tmp_path, capsys):
    words = [
        *("run", "--network", "mlp", "--dataset", "digits", "--epochs", "2"),
        *("--probe", "8", "--train-size", "64", "--test-size", "32"),
        *("--criteria", "magnitude", "--ratios", "0.5", "--folder", str(tmp_path)),
    ]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "magnitude" in shown and "50 %" in shown
    assert main(["runs", "--folder", str(tmp_path)]) == 0
    assert "1 records, 0 damaged" in capsys.readouterr().out
    (tmp_path / "broken.json").write_text("{")
    assert main(["runs", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "broken.json" in captured.err and "2 records, 1 damaged" in captured.out


def test_one_odd_record_stops_no_other_from_being_listed(tmp_path, capsys):
    sound = record(ticket("spline", 0.5), name="a-sound")
    mine = record(ticket("spline", 0.5), name="b-mine", seed=1)
    mine["tickets"][0]["criterion"] = "newest-first"  # of another process, as CONTRIBUTING's
    ratio = copy.deepcopy(sound) | {"name": "c-ratio"}
    ratio["tickets"][0]["ratio"] = 1.5
    bare = record(ticket("spline", 0.5), name="d-bare", seed=2)
    del bare["dense"]["provenance"]["versions"]["torch"]
    bare["dense"]["pflop"] = bare["tickets"][0]["dense_latency"] = 0
    for one in (sound, mine, ratio, bare):
        (tmp_path / f"{one['name']}.json").write_text(json.dumps(one))
    (tmp_path / "z.json").mkdir()
    (tmp_path / "y.json").symlink_to(tmp_path / "nowhere.json")
    (tmp_path / "x.json").write_text("[" * 100_000)
    (tmp_path / "oneshot").mkdir()
    (tmp_path / "oneshot" / "w.json").write_text('{"schema": Infinity}')
    wanted = ("c-ratio.json", "x.json", "y.json", "z.json", "w.json")
    assert main(["runs", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    for name in ("a-sound", "b-mine", "d-bare", "newest-first", "8 records, 5 damaged"):
        assert name in captured.out
    assert all(name in captured.err for name in wanted) and captured.err.count("error:") == 5
    assert main(["runs", "*", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "newest-first" in captured.out and "a-sound" in captured.out
    assert all(name in captured.err for name in wanted[:4])
    assert main(["runs", "[ab]*", "d*", "--folder", str(tmp_path)]) == 0


def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    words = ["run", "--network", "mlp", "--epochs", "2", "--probe", "8", "--train-size", "64"]
    assert main([*words, "--criteria", "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error and str(tmp_path) in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--name", "../x"], "cannot be the name of a record"),
        (["--dataset", "mnist"], "There is no dataset 'mnist'"),
        (["--network", "alexnet"], "There is no network 'alexnet'"),
        (["--criteria", "best"], "There is no criterion 'best'"),
        (["--ratios", "1.5"], "ratio"),
        (["--epochs", "0"], "epochs"),
    ],
)
def test_the_command_line_answers_bad_input_in_one_line(tmp_path, capsys, words, message):
    assert main(["run", *words, "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "The same command goes on"),
        (SplineError("said plainly"), 2, "said plainly"),
        (MemoryError("There is too little memory"), 2, "too little memory"),
    ],
)
def test_the_command_line_ends_quietly(monkeypatch, capsys, raised, status, message):
    def stopped(*arguments, **options):
        raise raised

    monkeypatch.setattr("splinelib.__main__.run", stopped)
    assert main(["run", "--network", "mlp"]) == status
    assert message in capsys.readouterr().err


def test_the_command_line_sweeps_and_compares(tmp_path, capsys):
    words = ["--network", "mlp", "--width", "0.125", "--epochs", "2", "3", "--train-size", "64"]
    words += ["--test-size", "32", "--criteria", "magnitude", "bn", "--ratios", "0.5"]
    assert main(["sweep", *words, "--folder", str(tmp_path)]) == 1  # bn has nothing to judge
    assert "2 runs: 0 made" in capsys.readouterr().out
    words.remove("bn")
    assert main(["sweep", *words, "--folder", str(tmp_path)]) == 0
    assert "2 runs: 2 made" in capsys.readouterr().out
    assert main(["runs", "*-e2-*", "*-e3-*", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.split()}
    assert rows["epochs"] == ["epochs", "2", "3"]
    assert "commit" not in rows and "width" not in rows  # only what differs
    assert main(["runs", "vgg*", "--folder", str(tmp_path)]) == 2
    assert "no recorded run 'vgg*'" in capsys.readouterr().err
