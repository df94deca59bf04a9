"""The machinery of the book: what is executed again, what a failure says, what is interrupted."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tools import book, chapters, environment, oldest

CONTENTS = """
format: jb-book
root: book/index
parts:
  - caption: One
    chapters:
      - file: book/one
      - file: book/unwritten
  - caption: Two
    chapters:
      - file: book/nothing_yet
"""


def write_chapter(path: Path, *sources: str) -> None:
    """Write a notebook with a parameters cell, then one code cell per source."""
    parameters = nbformat.v4.new_code_cell('scale = "quick"', metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(
        cells=[parameters, *map(nbformat.v4.new_code_cell, sources)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, path)


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout with one small chapter, in place of this one."""
    monkeypatch.setattr(chapters, "ROOT", tmp_path)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(chapters, "BUILD", tmp_path / "_build")
    (tmp_path / "tools").mkdir()
    monkeypatch.setattr(chapters, "__file__", str(tmp_path / "tools" / "chapters.py"))
    (tmp_path / "tools" / "chapters.py").write_text("")
    (tmp_path / "_toc.yml").write_text(CONTENTS)
    for folder in ("book", "splinelib", "data/runs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "book" / "index.md").write_text("# Index\n")
    return tmp_path


def text_of(copy: Path) -> str:
    cells = nbformat.read(copy, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_contents_know_what_is_written(checkout, monkeypatch):
    write_chapter(checkout / "book" / "one.ipynb")
    assert chapters.pages() == ["book/index", "book/one", "book/unwritten", "book/nothing_yet"]
    assert chapters.notebooks() == [checkout / "book" / "one.ipynb"]
    missing = book.missing_pages()
    assert missing == ["book/unwritten", "book/nothing_yet"]
    parts = book.contents_without(missing)["parts"]
    assert parts == [{"caption": "One", "chapters": [{"file": "book/one"}]}]
    monkeypatch.setenv("CI", "true")
    with pytest.raises(chapters.ChapterError, match="book/unwritten"):
        book.stage("quick")


def test_chapter_runs_here_at_its_scale_and_only_once(checkout):
    chapter = checkout / "book" / "one.ipynb"
    probe = "import os, sys; print(sys.executable, scale, os.environ['SPLINELIB_WIDGETS'])"
    write_chapter(chapter, probe)
    (run,) = chapters.execute([chapter], "cpu")
    assert run.error is None and run.seconds > 0
    ran_with, scale, widgets = text_of(run.copy).split()
    assert os.path.samefile(ran_with, sys.executable)
    assert (scale, widgets) == ("cpu", "static")
    cells = nbformat.read(run.copy, as_version=4).cells
    assert [cell.source for cell in cells] == ['scale = "cpu"', probe]

    assert chapters.execute([chapter], "cpu")[0].seconds == 0
    assert not chapters.is_current(chapter, "quick")
    before = chapters.fingerprint(chapter, "cpu")
    (checkout / "data/runs/run.json").write_text("{}")
    assert chapters.fingerprint(chapter, "cpu") != before
    assert not chapters.is_current(chapter, "cpu")


def test_failure_shows_its_cell_and_is_tried_again(checkout):
    chapter = checkout / "book" / "one.ipynb"
    write_chapter(chapter, "fine = 1", "numbers = {}\nnumbers['absent']")
    (run,) = chapters.execute([chapter])
    assert not run.copy.exists()
    assert "numbers['absent']" in run.error and "KeyError" in run.error
    with pytest.raises(chapters.ChapterError, match=r"book/one\.ipynb"):
        chapters.report_failures([run])
    assert not any((checkout / "_build").glob("running-*"))

    write_chapter(chapter, "fine = 1", "print('mended')")
    (run,) = chapters.execute([chapter])
    assert run.error is None and text_of(run.copy) == "mended\n"


PARENT = """
import sys
from pathlib import Path
from tools import chapters

chapters.ROOT, chapters.BUILD = Path(sys.argv[1]), Path(sys.argv[1]) / "_build"
chapters.fingerprint = lambda notebook, scale: "any"
print(chapters.execute([chapters.ROOT / "book" / "one.ipynb"])[0].error)
"""


@pytest.mark.timeout(300)
def test_what_a_killed_execution_left_is_removed_but_not_what_is_in_use(checkout, monkeypatch):
    chapter, go = checkout / "book" / "one.ipynb", checkout / "go"
    wait = f"import pathlib, time\npathlib.Path({str(checkout)!r}, 'started').touch()\n"
    wait += f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.05)"
    write_chapter(chapter, wait)
    other = chapters.BUILD / "running-of-before"  # as earlier versions left them
    other.mkdir(parents=True)
    (other / "one.ipynb").touch()

    def folders():
        return set(chapters.BUILD.glob("running-*"))

    words = [sys.executable, "-c", PARENT, str(checkout)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[1]) as parent:
        while not (checkout / "started").exists():
            time.sleep(0.05)
        (running,) = folders()  # the one of before is gone
        chapters.remove_left_behind()
        assert folders() == {running}
        parent.kill()
    chapters.remove_left_behind()
    assert folders() == {running}  # papermill is still at it
    go.touch()
    end = time.monotonic() + 120
    while folders() and time.monotonic() < end:
        time.sleep(0.2)
        chapters.remove_left_behind()
    assert folders() == set()


# --- the environment ----------------------------------------------------------------------


@pytest.fixture
def venv(tmp_path, monkeypatch):
    """An empty checkout, and a record of the commands that setting it up would run."""
    for name in ("requirements.txt", "requirements-test.txt", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    folder = tmp_path / ".venv"
    monkeypatch.setattr(environment, "ROOT", str(tmp_path))
    monkeypatch.setattr(environment, "VENV", str(folder))
    monkeypatch.setattr(environment, "PYTHON", str(folder / "bin" / "python"))
    monkeypatch.setattr(environment, "STATE", str(folder / "environment.json"))
    monkeypatch.setattr(environment, "has_recent_python", lambda: True)
    commands = []

    def call(command, advice):
        if command[:2] == ["uv", "venv"] or command[1:3] == ["-m", "venv"]:
            python = Path(environment.PYTHON)
            python.parent.mkdir(parents=True)
            python.touch()
        commands.append(command)

    monkeypatch.setattr(environment, "call", call)
    return commands


def set_up(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["environment.py", *arguments])
    environment.main()


def test_environment_is_made_once_and_follows_its_requirements(venv, monkeypatch):
    set_up(monkeypatch)
    assert len(venv) == 3 and "requirements-test.txt" not in venv[1]
    set_up(monkeypatch)
    assert len(venv) == 3
    set_up(monkeypatch, "--test")
    assert len(venv) == 5 and "requirements-test.txt" in venv[3]
    set_up(monkeypatch)
    assert len(venv) == 5
    Path(environment.ROOT, "requirements.txt").write_text("changed")
    set_up(monkeypatch)
    assert len(venv) == 7


def test_interrupted_environment_is_made_again(venv, monkeypatch, capsys):
    def interrupt(command, advice):
        raise KeyboardInterrupt

    whole = environment.call
    monkeypatch.setattr(environment, "call", interrupt)
    with pytest.raises(KeyboardInterrupt):
        set_up(monkeypatch)
    assert json.loads(Path(environment.STATE).read_text()) == environment.UNFINISHED
    monkeypatch.setattr(environment, "call", whole)
    set_up(monkeypatch)
    assert "interrupted" in capsys.readouterr().out
    assert len(venv) == 3
    assert json.loads(Path(environment.STATE).read_text())["checkout"] == environment.ROOT


def test_failed_install_is_said_and_not_taken_for_finished(venv, monkeypatch):
    def fail_to_install(command, advice):
        if "install" in command:
            environment.fail(advice)
        whole(command, advice)

    whole = environment.call
    monkeypatch.setattr(environment, "call", fail_to_install)
    with pytest.raises(SystemExit, match="room on the disk"):
        set_up(monkeypatch)
    assert json.loads(Path(environment.STATE).read_text()) == environment.UNFINISHED


def test_old_python_is_told_so(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"Python 3\.9 .* needs Python 3\.11 or later"):
        environment.use_a_recent_python()


def test_requirements_cover_what_the_library_declares():
    """The library's own dependencies stand in requirements.txt with the same bounds."""
    import tomllib

    declared = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text())["project"]
    listed = (chapters.ROOT / "requirements.txt").read_text().splitlines()
    assert set(declared["dependencies"]) <= set(listed)


def test_make_alone_lists_the_commands():
    shown = subprocess.run(["make"], cwd=chapters.ROOT, capture_output=True, text=True).stdout
    for command in ("make book", "make test", "make lint", "make clean"):
        assert command in shown


# --- the oldest packages -----------------------------------------------------------------


def test_every_package_of_the_library_is_pinned_at_its_lower_bound():
    pins = oldest.oldest()
    assert "torch==2.11.*" in pins and "torch-pruning==1.6.1" in pins
    assert oldest.lower_bound("jupyter-book>=1.0.4,<2") == "jupyter-book==1.0.4"


def test_the_folders_that_the_oldest_packages_are_tested_on_are_those_of_the_library():
    """All of the library's rooms, but those of the book, of records and of ONNX."""
    rooms = {path.parent.name for path in (chapters.ROOT / "splinelib").glob("*/__init__.py")}
    assert rooms - set(oldest.TESTS) == {"exhibits", "experiments", "plotting"}
