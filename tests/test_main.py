"""The command line."""

import copy
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from recorded import record, ticket

from splinelib.__main__ import main
from splinelib.errors import SplineError
from splinelib.experiments.studies import STUDIES

ROOT = Path(__file__).resolve().parents[1]
QUICK = [
    "--network",
    "mlp",
    "--width",
    "0.25",
    "--train-size",
    "64",
    "--test-size",
    "32",
    "--epochs",
    "2",
    "--probe",
    "8",
]
QUICK += ["--calibration", "32", "--criteria", "magnitude", "--ratios", "0.5"]


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
        (["--dataset", ""], "There is no dataset ''"),
        (["--dataset", "folder:"], "names no folder"),
        (["--dataset", "folder:~nobody-here/x"], "There is no folder ~nobody-here/x"),
        (["--dataset", "folder:é\x1b[2J"], "There is no folder é\\x1b[2J"),
        (["--network", "alexnet"], "There is no network 'alexnet'"),
        (["--network", "preresnet1000000001"], "depth is 9 n + 2"),
        (["--network", "preresnet１１"], "There is no network 'preresnet１１'"),
        (["--criteria", "best"], "There is no criterion 'best'"),
        (["--criteria", ""], "There is no criterion ''"),
        (["--criteria", "masks:"], "There is no criterion ''"),
        (["--ratios", "1.5"], "ratio"),
        (["--ratios", "nan"], "ratio"),
        *(([f"--epochs={value}"], "epochs is at least 2") for value in (-1, 0, 1, -(2**70))),
        *(([f"--batch-size={value}"], "batch_size is at least 2") for value in (-1, 1, 2**63)),
        *(
            ([f"--seed={sign * 2**bits}"], "A seed is a whole number of 64 bits")
            for sign in (1, -1)
            for bits in (64, 900)
        ),
        *(
            ([f"--{name}={value}"], f"{name.replace('-', '_')} is a finite number")
            for name in ("lr", "momentum", "weight-decay", "l1")
            for value in ("-1", "nan", "inf")
        ),
        *(
            ([f"--width={value}"], "width multiplies")
            for value in (-1, 0, "nan", "inf", 1e9, 1e308)
        ),
        *(([f"--threshold={value}"], "threshold is") for value in (-1, 0, "nan", "inf")),
        *(([f"--lookback={value}"], "lookback is") for value in (-1, 0, -(2**70))),
        *(([f"--{name}=0"], f"{name} is a number of images") for name in ("probe", "calibration")),
        *(([f"--latest-draw={value}"], "latest_draw lies in") for value in (-1, 1, 2**70)),
        *(([f"--train-size={value}"], "train asks for") for value in (-1, 0, 10**9, 2**70)),
        *(([f"--test-size={value}"], "test asks for") for value in (-1, 0, 10**9, 2**70)),
        *(([f"--validation={value}"], "validation is a share") for value in (-1, 1, "nan", "inf")),
        *(([f"--validation={value}"], "holds out none") for value in (1e-308, 1e-9, 0.001)),
        (["--validation=0.999"], "to train on"),
        (["--folder", "/dev/null"], "/dev/null"),
        (["--folder", "a" * 300], "File name too long"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_command_line_answers_bad_input_in_one_line(tmp_path, capsys, words, message):
    options = [*QUICK, "--folder", str(tmp_path), *words]
    assert main(["run", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("*.pt")) and not list(tmp_path.glob("*.json"))  # before work


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *((["sweep", f"--threads={value}"], "threads is a number") for value in (-1, 0, 2**70)),
        (["sweep", "--jobs=0"], "jobs is a number"),
        (["sweep", "--seed", "0", f"{2**63}"], "A seed is a whole number"),
        *(([action, "--folder="], "it names no folder") for action in ("run", "sweep", "runs")),
        (["run", "--epochs="], "invalid int value: ''"),
        (["run", "--epochs=1e3"], "invalid int value"),
        (["run", "--lr=é"], "invalid float value"),
        (["oneshot", "../x"], "'../x' cannot be the name of a record"),
        (["oneshot", "x", "--ratios", "nan"], "A ratio is"),
        (["oneshot", "x", "--methods", ""], "There is no criterion ''"),
        *(([study.name, "--name="], "'' cannot be the name of a record") for study in STUDIES),
        *(([study.name, f"--seeds={2**70}"], "is more than 1,000,000") for study in STUDIES),
        (["starts", "--steps=x"], "invalid int value: 'x'"),
        (["starts", f"--depths={2**70}"], "is more than 1,000,000"),
        (["starts", "--widths=10001"], "widths are whole numbers of at least 1 and at most 10,000"),
        (["starts", "--images", "--name="], "'' cannot be the name of a record"),
        (
            ["starts", "--images", "--depths=3", "--steps=9"],
            "--depths, --steps cannot be given together with --images.",
        ),
        *((["pca", f"--epochs={value}"], "epochs is at least 1") for value in (-1, 0)),
        *((["pca", f"--width={value}"], "width multiplies") for value in (-1, 0, "nan")),
        (["orders", "--run=x", "--seeds=9"], "--seeds cannot be given together with --run."),
        (["shares", "--run=x", "--network=vgg16"], "--network cannot be given together with"),
        (["rivals", "--run="], "'' cannot be the name of a record"),
        (["slice", "a:b", "c", "--out="], "it names no folder"),
        (["runs"], "There is no folder runs."),
        (["runs", "["], "There is no recorded run '['"),
        (["runs", "\udcff"], r"There is no recorded run '\udcff'"),
    ],
)
def test_other_actions_answer_bad_input_too(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    folder = words[0] != "slice" and not any(word.startswith("--folder") for word in words)
    given = ["--folder", "runs"] if folder else []
    try:
        status = main([*words, *given])
    except SystemExit as end:  # argparse, which says how the command is used
        status = end.code
    error = capsys.readouterr().err
    assert status == 2 and message in error and "Traceback" not in error
    assert not list(tmp_path.rglob("*.json"))


def test_a_package_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    """It ended in a traceback, at the end of which stood what to install."""
    monkeypatch.setattr("splinelib.models.pitch.PACKAGE", "nowhere_to_be_found")
    assert main(["pitch", "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "pip install" in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "The same command goes on"),
        (SplineError("said plainly"), 2, "said plainly"),
        (MemoryError("There is too little memory for the checkpoint"), 2, "too little memory"),
        (MemoryError(), 2, "more memory than there is"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            2,
            "more memory",
        ),
        (RuntimeError("std::bad_alloc"), 2, "more memory"),
    ],
)
def test_the_command_line_ends_quietly(monkeypatch, capsys, raised, status, message):
    def stopped(*arguments, **options):
        raise raised

    monkeypatch.setattr("splinelib.__main__.run", stopped)
    assert main(["run", "--network", "mlp"]) == status
    assert message in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr("splinelib.__main__.run", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        main(["run", "--network", "mlp"])


SLOW = """
import pathlib, time
pathlib.Path({started!r}).touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    {then}
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("then", ["raise", "raise ImportError('numpy failed')", "pass"])
def test_an_interrupt_while_modules_load_is_one_line(tmp_path, then):
    """Whatever the module makes of it that is loading."""
    started = tmp_path / "started"
    (tmp_path / "torch.py").write_text(SLOW.format(started=str(started), then=then))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-m", "splinelib", "runs"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        while not started.exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert error.strip() == "Interrupted."


def test_a_reader_who_has_left_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [sys.executable, "-m", "splinelib", "runs"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        os.close(write)
        error = process.communicate()[1]
    assert (process.returncode, error) == (141, "")


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
