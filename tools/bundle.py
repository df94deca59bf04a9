"""Put ES modules into one classic script, for pages that are opened as files.

Browsers load no modules from files, only classic scripts. Each module becomes a function that runs
once, in the order of the imports, and gives what the module exports. It reads what the modules of
``playground/`` use: named imports from files beside, and exported declarations.
"""

import re
from graphlib import TopologicalSorter
from pathlib import Path

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.js";$', flags=re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:const|class|function|async function) (\w+))", flags=re.MULTILINE)


def bundle(entry: Path) -> str:
    """The classic script of a module and all that it imports.

    Raises
    ------
    ValueError
        For an import or export that is written in another way.
    """
    texts, waiting = {}, [entry.stem]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = entry.with_name(f"{name}.js").read_text()
            waiting += [found for _, found in _IMPORT.findall(texts[name])]
    uses = {name: {found for _, found in _IMPORT.findall(text)} for name, text in texts.items()}
    order = TopologicalSorter(uses).static_order()
    parts = [f"modules.{name} = (() => {{\n{_body(name, texts[name])}}})();\n" for name in order]
    return '(() => {\n"use strict";\nconst modules = {};\n' + "".join(parts) + "})();\n"


def _body(name: str, text: str) -> str:
    exported = [found for _, found in _EXPORT.findall(text)]
    text = _IMPORT.sub(lambda m: f"const {{{m[1]}}} = modules.{m[2]};", text)
    text = _EXPORT.sub(lambda m: m[1], text)
    left = re.findall(r"^(?:import|export)\b.*", text, flags=re.MULTILINE)
    if left:
        raise ValueError(f"{name}.js: write this as the other modules do: {left[0]}")
    return f"{text}return {{ {', '.join(exported)} }};\n"
