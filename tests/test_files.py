"""Files are written whole or not at all."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from splinelib import files


def test_a_file_is_replaced_at_the_end_and_not_before(tmp_path):
    path = tmp_path / "folder" / "note.txt"
    with files.replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists() and temporary.parent == path.parent
        assert temporary.suffix == ".txt"  # numpy appends its own to names that lack it
    assert path.read_text() == "one" and [p.name for p in path.parent.iterdir()] == ["note.txt"]


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("before")
    with pytest.raises(KeyError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_others_may_read_it_as_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    with files.replacing(tmp_path / "ours") as temporary:
        temporary.write_text("")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_the_umask_is_that_of_the_system_and_never_set(tmp_path, monkeypatch):
    before = os.umask(0o077)
    try:
        monkeypatch.setattr(os, "umask", None)
        with files.replacing(tmp_path / "private") as temporary:
            temporary.write_text("")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_an_error_of_the_disk_names_the_file(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(OSError, match=r"No space.*note\.txt"),
        files.replacing(tmp_path / "note.txt"),
    ):
        raise full


KILLED = """
import os, signal, sys
from splinelib.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    old = tmp_path / ".note-abcd_123.part.txt"  # as names were made before there were locks
    foreign = tmp_path / ".download.part"
    for path in (old, foreign):
        path.write_text("")
    words = [sys.executable, "-c", KILLED, str(tmp_path / "note.txt")]
    writers = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=files.checkout())
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == b"writing\n"
        assert len(list(tmp_path.glob(".note-*"))) == 2 and not old.exists()
        writers[0].kill()
        writers[0].wait()
        assert len(list(tmp_path.glob(".note-*"))) == 2  # the next who writes removes it
        with files.replacing(tmp_path / "other.pt") as temporary:
            assert len(list(tmp_path.glob(".note-*"))) == 1 and temporary.exists()
        writers[1].communicate(timeout=60)  # goes on to its end
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert (tmp_path / "note.txt").read_text() == "half"
    assert {path.name for path in tmp_path.iterdir()} == {"note.txt", "other.pt", foreign.name}


def test_a_file_that_was_taken_for_left_behind_is_made_anew(tmp_path, monkeypatch):
    """Between making a file and locking it another process may have removed it."""
    lock, calls = files.fcntl.flock, []

    def slow(file, how):
        if not calls:
            os.unlink(file.name)
        calls.append(how)
        lock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", slow)
    with files.replacing(tmp_path / "note.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "note.txt").read_text() == "whole" and len(calls) == 2


def test_an_installed_package_has_no_checkout(tmp_path, monkeypatch):
    assert (files.checkout() / "pyproject.toml").is_file()
    monkeypatch.setattr(files, "PACKAGE", tmp_path / "site-packages" / "splinelib")
    assert files.repository() is None
    with pytest.raises(ValueError, match="pip install -e"):
        files.checkout()
