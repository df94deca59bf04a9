"""What the frames of a widget have in common, kept once."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence

from .svg import SVG, own_ids

# Shorter groups are not worth a reference.
_WORTH_SHARING = 100
_GROUP, _DEFINITIONS = f"{{{SVG}}}g", f"{{{SVG}}}defs"


def shared(svgs: Sequence[str], identity: str) -> tuple[str, list[str]]:
    """Keep what frames have in common once: an SVG of definitions, and frames that use them.

    Axes, ticks, labels and legends are mostly the same in every frame. A group that stands in
    more than one place is defined once, with a ``<use>`` wherever it was.
    """
    definitions: dict[str, str] = {}
    roots = [_take_definitions(svg, index, definitions) for index, svg in enumerate(svgs)]
    counts = Counter(_text(group) for root in roots for group in root.iter(_GROUP))
    repeated = {
        text: f"g{number}"
        for number, (text, count) in enumerate(counts.items())
        if count > 1 and len(text) > _WORTH_SHARING
    }
    for root in roots:
        _refer(root, repeated, definitions)
    shared = (
        f'<svg class="sl-shared" aria-hidden="true" xmlns="{SVG}"><defs>'
        f"{''.join(definitions.values())}</defs></svg>"
    )
    return own_ids(shared, identity + "-"), [own_ids(_text(root), identity + "-") for root in roots]


def _take_definitions(svg: str, frame: int, definitions: dict[str, str]) -> ET.Element:
    """Move the definitions of one frame (glyphs, clip paths) to those that all frames share."""
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in parent.findall(_DEFINITIONS):
            parent.remove(child)
            for node in child:
                name, text = node.get("id"), _text(node)
                if definitions.setdefault(name, text) != text:  # same name, something else
                    own = f"{name}f{frame}"
                    definitions[own] = text.replace(f'id="{name}"', f'id="{own}"', 1)
                    _rename(root, name, own)
    return root


def _rename(root: ET.Element, name: str, new: str) -> None:
    references = {f"#{name}": f"#{new}", f"url(#{name})": f"url(#{new})"}
    for node in root.iter():
        for key, value in node.items():
            if value in references:
                node.set(key, references[value])


def _refer(parent: ET.Element, repeated: dict[str, str], definitions: dict[str, str]) -> None:
    """Replace the groups that are repeated, outermost first."""
    for position, child in enumerate(list(parent)):
        text = _text(child)
        if text in repeated:
            name = repeated[text]
            definitions.setdefault(name, text.replace("<g", f'<g id="{name}"', 1))
            parent[position] = ET.Element(f"{{{SVG}}}use", href=f"#{name}")
        else:
            _refer(child, repeated, definitions)


def _text(node: ET.Element) -> str:
    return ET.tostring(node, encoding="unicode").replace(f' xmlns="{SVG}"', "")
