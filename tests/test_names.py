"""Names by which the library is used: all that there were, and what an editor is told."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import splinelib as sl
from splinelib import former
from tools.chapters import ROOT

NAMES = tomllib.loads((Path(__file__).parent / "public_names.toml").read_text())


@pytest.mark.parametrize("name", NAMES["sl"].split())
def test_every_name_of_the_face_works(name):
    assert getattr(sl, name) is not None and name in dir(sl)


@pytest.mark.parametrize("module", NAMES["modules"])
def test_every_name_of_a_former_module_works(module):
    imported = importlib.import_module(f"splinelib.{module}")
    assert getattr(sl, module) is imported
    for name in NAMES["modules"][module].split():
        assert hasattr(imported, name), f"splinelib.{module}.{name} is gone"


def test_a_name_that_never_was_is_refused_as_ever():
    with pytest.raises(AttributeError, match="no attribute 'prunes'"):
        sl.prunes  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'prunes'"):
        sl.redundancy.prunes  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("splinelib.prunes")


def test_partition_is_the_function_whatever_is_imported():
    script = (
        "import splinelib.geometry.partition as module, splinelib as sl; "
        "from splinelib.geometry.partition import partition; "
        "assert sl.partition is partition is module.partition and callable(partition); "
        "import types, splinelib.geometry; "
        "assert isinstance(splinelib.geometry.partition, types.ModuleType); "
        "assert isinstance(splinelib.geometry.difference, types.ModuleType)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert importlib.import_module("splinelib.partition").Plane is sl.Plane
    assert callable(sl.partition)


def test_what_is_set_on_a_view_is_set_where_it_is_read():
    model, before = sl.models.mlp([4, 40, 2]), sl.criteria.COMPONENTS
    scores = sl.score(model, example=torch.zeros(1, 4))["linear1"]
    try:
        sl.criteria.COMPONENTS = 1
        assert sl.criteria.COMPONENTS == 1
        assert not torch.equal(sl.score(model, example=torch.zeros(1, 4))["linear1"], scores)
    finally:
        sl.criteria.COMPONENTS = before


def test_a_view_shows_what_it_holds():
    assert {"pca", "prices", "readers"} <= set(dir(sl.redundancy))
    assert {"pca", "prices", "readers"} <= set(sl.redundancy.__all__)
    assert Path(sl.redundancy.__file__).name == "hyperplanes.py"
    names = {}
    exec("from splinelib.redundancy import *", names)
    assert names["pca"] is sl.redundancy.pca


def test_what_is_set_on_a_former_module_is_set_on_the_one_that_moved():
    assert importlib.import_module("splinelib.sweeps") is importlib.import_module(
        "splinelib.experiments.sweeps"
    )
    for module, homes in former.HOMES.items():
        assert module not in {path.parent.name for path in (ROOT / "splinelib").glob("*/")}
        for home in homes:
            importlib.import_module(f"splinelib.{home}")


def test_editors_are_told_the_same_names():
    """`__init__.pyi` says statically what `__init__.py` finds on first use."""
    stub = ast.parse((ROOT / "splinelib" / "__init__.pyi").read_text())
    told = {
        alias.asname: f"{node.module or ''}.{alias.name}".strip(".")
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(told) == set(sl.__all__)
    for name, place in told.items():
        module, _, attribute = place.rpartition(".")
        home = importlib.import_module(f"splinelib.{module}" if module else "splinelib")
        if name in former.HOMES:  # a view: what it holds is told there, or it has one module
            assert place in (name, *former.HOMES[name][:1])
        else:
            assert getattr(home, attribute) is getattr(sl, name), place
    assert (ROOT / "splinelib" / "py.typed").exists()


def test_editors_are_told_what_a_view_holds():
    """`redundancy.pyi` names what its modules define, which is not all that they import."""
    told = ast.parse((ROOT / "splinelib" / "redundancy.pyi").read_text()).body[1:]
    told = {(node.module, alias.name) for node in told for alias in node.names}
    assert told == {
        (home, name)
        for home in former.HOMES["redundancy"]
        for name in defined(importlib.import_module(f"splinelib.{home}"))
    }


def defined(module):
    """Public names that a module's own lines bind."""
    for node in ast.parse(Path(module.__file__).read_text()).body:
        named = [getattr(node, "name", None), *map(ast.unparse, getattr(node, "targets", []))]
        yield from (name for name in named if name and not name.startswith("_"))


@pytest.mark.parametrize("first", ["archives", "parallel", "codes.regioncodes", "partition"])
def test_any_file_can_be_imported_first(first):
    """PyTorch's import asks every module for its file, so that must not load any."""
    script = f"import splinelib.{first}, splinelib; splinelib.geometry.partition.partition"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_importing_the_library_loads_none_of_what_it_stands_on():
    script = "import sys, splinelib; print({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "set()", run.stderr
