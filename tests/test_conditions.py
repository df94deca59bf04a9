"""Nothing that a machine lacks can hide a failure in CI, and imports go one way."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import conftest
import pytest
import torch

from tools.chapters import ROOT

TESTS = Path(__file__).parent
SHORTCUTS = {"skip", "skipif", "xfail", "importorskip"}


@pytest.mark.parametrize("path", sorted(TESTS.glob("test_*.py")), ids=lambda path: path.stem)
def test_only_one_place_decides_what_is_skipped(path):
    """A test that needs something asks `conftest`, which fails in CI; none skips by itself."""
    names = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)]
    kinds = [name.value for name in names if name.attr == "Exception"]  # what this file expects
    assert [n.lineno for n in names if n.attr in SHORTCUTS and n not in kinds] == []


@pytest.mark.parametrize(
    ("ci", "card", "outcome"),
    [
        ("true", True, pytest.fail.Exception),
        ("", True, pytest.skip.Exception),
        ("true", False, pytest.skip.Exception),  # a GPU is not asked of every machine
    ],
)
def test_a_gpu_that_pytorch_cannot_use_fails_in_ci(monkeypatch, ci, card, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(conftest, "has_gpu", lambda: card)
    with pytest.raises(outcome):
        conftest.need_cuda()


def test_what_is_lacking_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no cheese"):
        conftest.unavailable("There is no cheese.")


def test_modules_of_the_library_build_on_each_other():
    """Imports inside functions count as well."""
    folder, graph = ROOT / "splinelib", {}
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    for name in names:
        tree = ast.parse((folder / f"{name}.py").read_text())
        here = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 1]
        graph[name] = {n.module for n in here if n.module} | {
            alias.name for n in here if not n.module for alias in n.names
        } & names
    order = list(TopologicalSorter(graph).static_order())  # raises if they go in a circle
    assert order.index("trace") < order.index("codes") < order.index("experiments")


def test_every_module_has_its_place_in_the_guide():
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    table = guide[guide.index("| what you look for |") : guide.index("Modules build on each other")]
    helpers = {"__init__", "__main__", "errors", "files", "progress"}
    modules = {path.stem for path in (ROOT / "splinelib").glob("*.py")} - helpers
    assert {name for name in modules if f"`{name}`" not in table} == set()
