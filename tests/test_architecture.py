"""The plan of the library holds: who uses whom, what crosses a file, and how long a file is."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import splinelib as sl
from tools.chapters import ROOT

TESTS = Path(__file__).parent
LIBRARY = ROOT / "splinelib"
TABLE = tomllib.loads((TESTS / "may_use.toml").read_text())
PACKAGES, GROUND = TABLE["packages"], set(TABLE["ground"])
FILES = sorted(LIBRARY.rglob("*.py"))
SITTING, FUNCTION = 400, 60  # lines


def names(path: Path) -> str:
    return str(path.relative_to(LIBRARY))


every_file = pytest.mark.parametrize("path", FILES, ids=names)


def room_of(path: Path) -> str:
    """The package of a file; of a file beside the packages its own name."""
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def module_of(path: Path) -> str:
    """Dotted name below splinelib: ``"codes.bits"``, of a package's face ``"codes"``."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


KNOWN = {module_of(file) for file in FILES}


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """Modules of the library that a file imports, and the names that it takes from each.

    Imports inside functions count as well. Modules are named below splinelib.
    """
    inside = ["splinelib", *path.relative_to(LIBRARY).parts[:-1]]
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            if module[0] == "splinelib":
                found.append((".".join(module[1:]), [alias.name for alias in node.names]))
        elif isinstance(node, ast.Import):
            found += [
                (alias.name.partition(".")[2], [])
                for alias in node.names
                if alias.name.split(".")[0] == "splinelib"
            ]
    return found


def modules_used(path: Path) -> set[str]:
    """Dotted names of the files that a file imports, or takes names from."""
    used = set()
    for module, taken in imports(path):
        parts = {f"{module}.{name}".lstrip(".") for name in taken} & KNOWN
        used |= parts or {module}
    return used - {""}


def third_parties(path: Path) -> set[str]:
    """Top-level packages from elsewhere that a file imports."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
    return found


def test_the_table_names_every_package():
    folders = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert set(PACKAGES) == folders, "tests/may_use.toml has a line for each package"
    assert set(PACKAGES) <= set(sl.__all__), "_PACKAGES of splinelib/__init__.py names each"
    beside = {path.stem for path in LIBRARY.glob("*.py")}
    assert beside == GROUND | {"__init__", "__main__", "former"}


def test_the_guide_has_a_row_for_every_package():
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", guide, flags=re.M))
    assert rows == set(PACKAGES), "the table of CONTRIBUTING.md has a row for each package"


@every_file
def test_a_file_uses_what_its_package_may_use(path):
    room = room_of(path)
    if room in {"__init__", "__main__", "former"}:
        return  # the face and the command line lead anywhere
    allowed = GROUND | {room} | set(PACKAGES.get(room, []))
    wrong = [module for module in modules_used(path) if module.split(".")[0] not in allowed]
    assert wrong == [], f"{names(path)} may not use {wrong}; the table is tests/may_use.toml"


def test_imports_go_one_way():
    """Between files, and between packages."""
    files = {module_of(path): modules_used(path) for path in FILES if path.stem != "__init__"}
    list(TopologicalSorter(files).static_order())  # raises if they go in a circle
    list(TopologicalSorter(PACKAGES).static_order())


@every_file
def test_no_private_name_crosses_a_file(path):
    taken = [
        f"{module}.{name}"
        for module, found in imports(path)
        for name in [*found, module.split(".")[-1]]
        if name.startswith("_") and not name.startswith("__")
    ]
    assert taken == []


def private_members(path: Path) -> set[str]:
    """Names with a leading underscore that a file defines, as attributes, methods or otherwise."""
    tree, found = tree_of(path), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return {name for name in found if re.match(r"_[^_]", name)}


# Private attributes of other libraries that have no public counterpart.
FOREIGN = {
    "_version",  # of a tensor: how often it was changed in place
    "_schema",
    "_C",
    "_ConvNd",
    "_BatchNorm",
    "_reversed_padding_repeated_twice",
    "_overloadpacket",
    "_parameters",
    "_buffers",
    "_conv_forward",
    "_forward_hooks",  # where torch keeps hooks, and what they are given
    "_forward_hooks_always_called",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backend",
    "_foreach_copy_",  # many tensors in one step
    "_exit",  # of os: a public function, in spite of its name
    "_fields",  # of a named tuple, and what changes one
    "_replace",
    "_device",  # torch's module of the default device; the next four are its stacks of modes
    "_get_current_function_mode_stack",
    "_get_current_dispatch_mode_stack",
    "_push_mode",
    "_pop_mode",
    "_repr_html_",  # of our own figures, but IPython's name
}


@every_file
def test_no_private_attribute_is_read_from_another_file(path):
    """``thing._part`` is for the file that defines `_part`."""
    own = private_members(path) | FOREIGN
    read = {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr)
    }
    assert read - own == set()


@every_file
def test_third_parties_stay_in_their_rooms(path):
    here = names(path).removesuffix(".py")
    wrong = [
        package
        for package in third_parties(path) & set(TABLE["rooms"])
        if not {room_of(path), here} & set(TABLE["rooms"][package])
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_a_package_says_what_happens_in_it(folder):
    """Its face opens with a paragraph, and binds no name that is one of its files'."""
    tree = ast.parse((LIBRARY / folder / "__init__.py").read_text())
    told = ast.get_docstring(tree)
    assert told and len(told.split()) > 15
    files = {path.stem for path in (LIBRARY / folder).glob("*.py")}
    bound = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module  # a file itself may be bound
        for alias in node.names
    }
    assert bound & files == set(), "a package binds no name that is one of its files'"


@every_file
def test_a_file_is_one_sitting(path):
    """A longer one says why in its first paragraph."""
    text = path.read_text()
    told = (ast.get_docstring(tree_of(path)) or "").partition("\n\n")[0]
    assert text.count("\n") <= SITTING or "one file" in told


def lines_of_code(function: ast.FunctionDef) -> int:
    body = function.body
    told = isinstance(body[0], ast.Expr) and isinstance(
        getattr(body[0], "value", None), ast.Constant
    )
    docstring = body[0].end_lineno - body[0].lineno + 1 if told else 0
    return function.end_lineno - function.lineno + 1 - docstring


@every_file
def test_functions_are_short(path):
    functions = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef)]
    assert [f.name for f in functions if lines_of_code(f) > FUNCTION] == []


LIGHT = """
import sys
from splinelib.__main__ import main
status = main({arguments!r})
import splinelib.experiments.sweeps  # what a worker of a sweep loads
print(sorted({{"matplotlib", "ipywidgets", "sklearn", "scipy.stats"}} & set(sys.modules)))
import torch, splinelib as sl
network, points = sl.models.mlp([2, 6, 1]), torch.randn(9, 2)
small = sl.prune(network, 0.5, data=points)
sl.region_codes(small, points), sl.partition(small, ((-1, 1), (-1, 1)))
print("torch._dynamo" in sys.modules)
sys.exit(status)
"""


def test_the_command_line_and_workers_load_nothing_that_draws_or_compiles():
    script = LIGHT.format(arguments=["runs", "cifar10-vgg16-w0.25-e8-s0"])
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-2:] == ["[]", "False"]


# --- the tests ----------------------------------------------------------------------------

TEST_FILES = sorted(TESTS.rglob("*.py"))


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_imports_a_test(path):
    tree = tree_of(path)
    modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert [m for m in modules if m.split(".")[-1].startswith("test_")] == []


# Files without a test file of their own, and why.
UNMIRRORED = {
    "__init__": "test_names.py",
    "former": "test_names.py",
    "errors": "classes without behaviour, raised and caught in the tests of those who raise them",
    "progress": "one line around tqdm, seen in the executed chapters",
}


@every_file
def test_every_file_has_its_tests(path):
    if path.stem == "__init__" or names(path).removesuffix(".py") in UNMIRRORED:
        return
    folder = TESTS / path.relative_to(LIBRARY).parent
    mirror = folder / f"test_{path.stem.strip('_')}.py"
    assert mirror.is_file(), f"{names(path)} has its tests in {mirror.relative_to(ROOT)}"
