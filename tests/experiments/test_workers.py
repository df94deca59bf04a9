"""Processes that work for this one: each is lost alone, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from joblib import delayed

from splinelib.experiments import workers

ROOT = Path(__file__).resolve().parents[2]


def wait_for(told, seconds=60):
    """Until a condition holds, or the time is over; whether it holds."""
    end = time.monotonic() + seconds
    while not told() and time.monotonic() < end:
        time.sleep(0.05)
    return told()


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")  # one that ended and was not waited for is not alive
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def killed(file):
    file.write_text(f"{os.getpid()}")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.timeout(300)
def test_a_killed_process_takes_no_other_with_it(tmp_path):
    files = [tmp_path / "one", tmp_path / "two"]
    tasks = [delayed(lambda n: n * n)(n) for n in range(5)]
    tasks[1:1] = [delayed(killed)(file) for file in files]
    results = dict(workers.results(tasks, at_once=2))
    assert isinstance(results.pop(1), BrokenProcessPool)
    assert isinstance(results.pop(2), BrokenProcessPool)
    assert results == {0: 0, 3: 1, 4: 4, 5: 9, 6: 16}
    assert not any(alive(int(file.read_text())) for file in files)


@pytest.mark.timeout(300)
def test_an_error_ends_the_processes(tmp_path):
    file = tmp_path / "sleeper"

    def sleep():
        file.write_text(f"{os.getpid()}")
        time.sleep(600)

    def fail():
        wait_for(file.exists)
        raise KeyError("no result")

    with pytest.raises(KeyError, match="no result"):
        list(workers.results([delayed(sleep)(), delayed(fail)()], at_once=2))
    assert wait_for(lambda: not alive(int(file.read_text())))


PARENT = """
import os, sys, time
from pathlib import Path
from joblib import delayed
from splinelib.experiments import workers

def sleep(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

list(workers.results([delayed(sleep)(sys.argv[1]) for _ in range(2)], at_once=2))
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_their_parent_however_it_ends(tmp_path, by):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as parent:
        assert wait_for(lambda: len(list(tmp_path.iterdir())) == 2, 120)
        parent.send_signal(by)
        parent.wait(60)
    for file in tmp_path.iterdir():
        assert wait_for(lambda file=file: not alive(int(file.name)))
