"""Frames of a widget share what they have in common."""

import re
import xml.etree.ElementTree as ET

from pages import by_class, parse, valley

from splinelib.plotting import widgets


def test_ids_are_unique_across_widgets_and_every_reference_resolves(static):
    both = [widgets.scrub(valley, [1, 2], "slope", "{}").markup for _ in range(2)]
    page = "".join(both)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    for markup in both:
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup))
        assert used and used <= set(re.findall(r'\bid="([^"]+)"', markup))


def flatten(svg: ET.Element, definitions: dict[str, ET.Element]) -> list:
    """What an SVG draws, with every <use> followed."""
    drawn = []
    for node in svg:
        target = node.get("href", "")[1:]
        if node.tag.endswith("use") and target in definitions:
            drawn.append(flatten_one(definitions[target], definitions, node))
        elif not node.tag.endswith("defs"):
            drawn.append(flatten_one(node, definitions))
    return drawn


def flatten_one(node: ET.Element, definitions: dict, use: ET.Element | None = None):
    at = tuple(use.get(k) for k in ("x", "y", "transform")) if use is not None else ()
    if at == (None, None, None):  # a shared group, not a marker or a glyph
        at = ()
    clip = node.get("clip-path", "")[5:-1]
    outline = ET.tostring(definitions[clip][0], encoding="unicode") if clip else ""
    outline = re.sub(r'( xmlns="[^"]*"| id="[^"]*")', "", outline)
    # A path that draws nothing apart, such as an empty group, is kept: structure must match.
    return (node.tag.rpartition("}")[2], node.get("d"), node.get("transform"), node.get("style"),
            at, outline, flatten(node, definitions))  # fmt: skip


def definitions_of(root: ET.Element) -> dict[str, ET.Element]:
    return {node.get("id"): node for node in root.iter() if node.get("id")}


def test_sharing_changes_no_picture(static):
    """Each frame, with what it shares put back, draws what its figure drew."""
    values = [0.5, 1.0, 2.0]
    root = parse(widgets.scrub(valley, values, "slope", "{}"))
    shared = definitions_of(root)
    for frame, value in zip(by_class(root, "sl-frame"), values, strict=True):
        alone = ET.fromstring(valley(value).svg)
        assert flatten(frame[0], shared) == flatten(alone, definitions_of(alone))


def test_frames_share_what_does_not_change(static):
    frames = 20
    still = widgets.scrub(valley, [1 + i / 1000 for i in range(frames)], "slope", "{}")
    alone = len(valley(1.0).svg)
    assert len(still.markup) < 0.5 * frames * alone
