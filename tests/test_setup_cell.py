"""The cell that prepares Colab: the same in every notebook, and inert anywhere else."""

import subprocess
import sys
import types

import nbformat
import pytest

from tools import addresses, chapters, setup_cell


@pytest.fixture
def commands(monkeypatch) -> list:
    """What would have been run."""
    run = []
    monkeypatch.setattr(subprocess, "run", lambda words, **options: run.append(words))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return run


@pytest.fixture
def known(monkeypatch):
    """A repository with an address."""
    monkeypatch.setattr(addresses, "repository", lambda: "https://github.com/a/b")


def in_colab(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))


@pytest.mark.parametrize("notebook", chapters.notebooks(), ids=lambda path: path.stem)
def test_every_notebook_has_the_cell_of_this_repository(notebook):
    code = [c for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]
    tags = [cell.metadata.get("tags", []) for cell in code]
    assert "parameters" in tags[0] and setup_cell.TAG in tags[1] and "remove-cell" in tags[1]
    assert sum(setup_cell.TAG in given for given in tags) == 1
    assert code[1].source == setup_cell.source(), "run python -m tools.setup_cell"


def test_nothing_happens_here(known, commands):
    before = set(sys.modules)
    exec(setup_cell.source(), {})
    assert commands == [] and set(sys.modules) == before


def test_colab_gets_the_library_and_its_records_once(known, commands, monkeypatch):
    in_colab(monkeypatch)
    for _ in range(2):
        exec(setup_cell.source(), {})
    clone, install = commands
    assert clone == ["git", "clone", "--depth=1", "https://github.com/a/b", "/content/book"]
    assert install[:4] == [sys.executable, "-m", "pip", "install"] and "/content/book" in install
    assert sys.path[0] == "/content/book"


def test_colab_is_told_what_is_missing(commands, monkeypatch):
    monkeypatch.setattr(addresses, "repository", str)
    in_colab(monkeypatch)
    with pytest.raises(RuntimeError, match=r"repository\.url"):
        exec(setup_cell.source(), {})
    assert commands == []


def test_writing_it_twice_changes_nothing(known):
    cells = [{"id": "a", "cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": []}]
    once = setup_cell.prepared({"cells": cells})
    assert [cell["id"] for cell in once["cells"]] == ["a", "setup"]
    assert setup_cell.prepared(once) == once
