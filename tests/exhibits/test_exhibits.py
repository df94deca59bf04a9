"""Exhibits are on top of the library."""

import ast
from pathlib import Path

import splinelib


def test_nothing_in_the_library_imports_them():
    folder = Path(splinelib.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder).parts
        if "exhibits" in inside or inside == ("__main__.py",):  # a command makes a page of them
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "exhibits" not in ast.unparse(node), path
