"""The scripts of a page as one text: each module once, in an order in which they can run."""

import re
from pathlib import Path

import pytest

from splinelib import plotting
from splinelib.plotting.scripts import (
    MODULES,
    bundle,
    controls_style,
    figures_script,
    playground_style,
)


def test_a_module_that_is_written_in_another_way_is_refused(tmp_path):
    (tmp_path / "one.js").write_text('import { two } from "./two.js";\nexport const one = two;\n')
    (tmp_path / "two.js").write_text("export const two = 2;\n")
    assert "return { one };" in bundle(tmp_path / "one.js")
    (tmp_path / "two.js").write_text("export default 2;\n")
    with pytest.raises(ValueError, match="write this as the other modules do: export default 2"):
        bundle(tmp_path / "one.js")


def test_modules_stand_before_those_that_import_them(tmp_path):
    (tmp_path / "top.js").write_text(
        'import { left } from "./left.js";\nimport { base } from "./base.js";\n'
    )
    (tmp_path / "left.js").write_text(
        'import { base } from "./base.js";\nexport const left = base;\n'
    )
    (tmp_path / "base.js").write_text("export const base = 1;\n")
    text = bundle(tmp_path / "top.js")
    assert re.findall(r"modules\.(\w+) = ", text) == ["base", "left", "top"]


def test_the_text_is_the_same_in_every_process(tmp_path):
    """Modules that do not need each other stand as they are imported, not as a set has them."""
    names = ["six", "one", "five", "two", "four", "three"]
    for name in names:
        (tmp_path / f"{name}.js").write_text(f"export const {name} = 1;\n")
    imports = [f'import {{ {name} }} from "./{name}.js";\n' for name in names]
    (tmp_path / "top.js").write_text("".join(imports))
    assert re.findall(r"modules\.(\w+) = ", bundle(tmp_path / "top.js")) == [*names, "top"]


def test_buttons_have_one_style():
    """The playground and the figures of the book draw theirs by the same rules."""
    assert playground_style().startswith(controls_style())
    for sheet in (MODULES / "playground.css", Path(plotting.__file__).with_name("live.css")):
        rules = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
        of_all = r"\.sl-(?:playground|live) (?::is\([^)]*)?button\b(?!\[)[^{]*\{([^}]*)"
        styled = [body for body in re.findall(of_all, rules) if "border" in body or "out" in body]
        assert styled == [], sheet.name


def test_the_script_of_figures_can_lie_in_a_page():
    text = figures_script()
    assert "</script" not in text and "<!--" not in text
    assert len(text) < 90_000, "it comes along with every figure of a notebook"
    assert "modules.explorer = " in text and "modules.playground = " not in text
    assert MODULES.is_dir()
