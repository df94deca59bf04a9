"""The scripts that run in the reader's browser, and their styles, as text that a page can hold.

They are the ES modules of ``splinelib/playground/``, which the playground of the book and its
figures share. Browsers load no modules from files, only classic scripts, so `bundle` puts them into
one. It reads what these modules use: named imports from files beside, and exported declarations.
"""

import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

MODULES = Path(__file__).parents[1] / "playground"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.js";$', flags=re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:const|class|function|async function) (\w+))", flags=re.MULTILINE)


def bundle(entry: Path) -> str:
    """The classic script of a module and all that it imports.

    Each module becomes a function that runs once, in the order of the imports, and gives what the
    module exports.

    Parameters
    ----------
    entry : Path
        The module that starts the others.

    Raises
    ------
    ValueError
        For an import or export that is written in another way.
    """
    texts, waiting = {}, [entry.stem]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = entry.with_name(f"{name}.js").read_text("utf-8")
            waiting += [found for _, found in _IMPORT.findall(texts[name])]
    # lists, not sets, whose order differs from process to process: the same text every time
    uses = {name: [found for _, found in _IMPORT.findall(text)] for name, text in texts.items()}
    order = TopologicalSorter(uses).static_order()
    parts = [f"modules.{name} = (() => {{\n{_body(name, texts[name])}}})();\n" for name in order]
    return '(() => {\n"use strict";\nconst modules = {};\n' + "".join(parts) + "})();\n"


@cache
def figures_script() -> str:
    """The script that moves the figures of a page: all that are there and do not move yet."""
    return bundle(MODULES / "figures.js")


def controls_style() -> str:
    """The rules for buttons and lists that the playground and figures share."""
    return (MODULES / "controls.css").read_text("utf-8")


def playground_style() -> str:
    """The stylesheet of the playground, with the rules that figures share."""
    return controls_style() + (MODULES / "playground.css").read_text("utf-8")


def _body(name: str, text: str) -> str:
    exported = [found for _, found in _EXPORT.findall(text)]
    text = _IMPORT.sub(lambda m: f"const {{{m[1]}}} = modules.{m[2]};", text)
    text = _EXPORT.sub(lambda m: m[1], text)
    left = re.findall(r"^(?:import|export)\b.*", text, flags=re.MULTILINE)
    if left:
        raise ValueError(f"{name}.js: write this as the other modules do: {left[0]}")
    return f"{_shorter(text)}return {{ {', '.join(exported)} }};\n"


def _shorter(text: str) -> str:
    """A module without the comments that stand on lines of their own, and without indentation."""
    text = re.sub(r"^\s*/\*.*?\*/\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^\s+", "", text, flags=re.MULTILINE)
