"""The picture of a card: a page's title, the name of the book, and the page's opening figure.

A chapter's figure is the first that its executed copy shows; other pages have the picture of the
front page, or one of their own in ``book/_assets``.
"""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from splinelib.plotting.palette import COLOURS
from tools import chapters, pages
from tools.raster import Canvas, NotDrawable

WIDTH, HEIGHT = 1200, 630  # what those who show cards ask for
_ASSETS = chapters.ROOT / "book" / "_assets"
_DRAWN = {"book/playground": "playground.svg"}
_FRONT = "partition_pruned.svg"
_EDGE, _GAP, _COLUMN = 60, 24, 460  # pixels
_TITLE, _NAME = 54, 29  # pixels; a card is often shown at a third of its size
_BOLD, _PLAIN = FontProperties(weight="bold"), FontProperties()


@dataclass(frozen=True)
class Opening:
    """The figure that a page opens with.

    Attributes
    ----------
    svgs : tuple of Element
        Its panels, each an ``<svg>``.
    shared : Element or None
        An ``<svg>`` of definitions that they use.
    alt : str
        What it shows, in words.
    """

    svgs: tuple[ET.Element, ...]
    shared: ET.Element | None
    alt: str


def opening(page: str, executed: Path | None) -> Opening:
    """The opening figure of a page.

    Parameters
    ----------
    page : str
        As _toc.yml names it.
    executed : Path, optional
        The executed copy, for a page that is a notebook.

    Raises
    ------
    ChapterError
        A chapter shows no figure.
    """
    if pages.number(page) is None or executed is None:
        svg = ET.fromstring((_ASSETS / _DRAWN.get(page, _FRONT)).read_text())
        title = svg.find("{*}title")
        return Opening((svg,), None, svg.get("aria-label") or title.text)
    for markup in _shown(executed):
        found = _first(markup)
        if found is not None:
            return found
    raise chapters.ChapterError(f"{page} shows no figure, and its card needs one.")


def _shown(executed: Path) -> Iterator[str]:
    """What the cells of a copy show as HTML that has a drawing in it."""
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "<svg" in (markup := output.get("data", {}).get("text/html", "")):
                yield markup


def _first(markup: str) -> Opening | None:
    """The figure in some HTML, in its first visible frame; None if there is no drawing."""
    try:
        root = ET.fromstring(f"<div>{markup}</div>")
    except ET.ParseError as error:
        raise NotDrawable(f"a figure whose markup cannot be read: {error}.") from error
    parents = {child: parent for parent in root.iter() for child in parent}
    shared, panels = None, []
    for node in root.iter():
        if node.tag.rpartition("}")[2] != "svg" or node in panels:
            continue
        if node.get("class") == "sl-shared":
            shared = node
        elif node.get("viewBox") and not _hidden(node, parents):
            panels.append(node)
    if not panels:
        return None
    figure = _around(panels[0], parents)
    panels = [panel for panel in panels if _around(panel, parents) is figure]
    told = parents[panels[0]].get("aria-label")
    alts = [told] if told else [panel.get("aria-label") for panel in panels]
    return Opening(tuple(panels), shared, " ".join(alt for alt in alts if alt))


def _around(panel: ET.Element, parents: dict) -> ET.Element:
    """The figure that a panel belongs to, or itself."""
    node = panel
    while node in parents:
        node = parents[node]
        if node.tag == "figure":
            return node
    return panel


def _hidden(node: ET.Element, parents: dict) -> bool:
    while node in parents:
        if node.get("hidden") is not None or node.get("aria-hidden") == "true":
            return True
        node = parents[node]
    return False


def draw(title: str, name: str, figure: Opening) -> Canvas:
    """A card: the title and the figure beside each other, or below each other if that is larger.

    Parameters
    ----------
    title : str
        Of the page.
    name : str
        Of the book; the page that has it as its title shows it once.
    figure : Opening
    """
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.fill(Outline.unit_rectangle(), Affine2D().scale(14, HEIGHT), COLOURS["kept"][0])
    low = HEIGHT - _EDGE
    across = WIDTH - 2 * _EDGE
    below = len(_lines(title, across, _TITLE, _BOLD)) * 1.2 * _TITLE + _EDGE
    boxes = {  # width of the title -> where the figure then lies
        _COLUMN: (_COLUMN + _EDGE + _GAP, 40, across - _COLUMN - 2 * _GAP, HEIGHT - 80),
        across: (_EDGE, below + 10, across, low - below - _NAME - 40),
    }
    wide = max(boxes, key=lambda width: _room(figure.svgs, boxes[width])[0])
    _, placed = _room(figure.svgs, boxes[wide])
    for svg, box in zip(figure.svgs, placed, strict=True):
        canvas.svg(svg, figure.shared, box)
    longest = max(_width(word, _TITLE, _BOLD) for word in title.split())
    size = _TITLE * min(1, wide / longest)
    _write(canvas, title, (_EDGE, _EDGE), wide, size, _BOLD, COLOURS["ink"][0])
    if name != title:
        lines = len(_lines(name, wide, _NAME, _PLAIN))
        top = low - lines * 1.2 * _NAME + 0.2 * _NAME
        _write(canvas, name, (_EDGE, top), wide, _NAME, _PLAIN, COLOURS["muted"][0])
    return canvas


def _room(svgs: tuple[ET.Element, ...], box: tuple) -> tuple[float, list[tuple]]:
    """How large panels can be in a box, in a row or in a column, and where each then lies."""
    sizes = [tuple(map(float, svg.get("viewBox").split()))[2:] for svg in svgs]
    left, top, width, height = box
    gaps = _GAP * (len(svgs) - 1)
    rows = min((width - gaps) / sum(w for w, _ in sizes), height / max(h for _, h in sizes))
    column = min(width / max(w for w, _ in sizes), (height - gaps) / sum(h for _, h in sizes))
    scale, along = max((rows, 0), (column, 1))
    lengths = [scale * size[along] for size in sizes]
    start = (height if along else width) - sum(lengths) - gaps
    places = list(itertools.accumulate(lengths, lambda at, by: at + by + _GAP, initial=start / 2))
    boxes = [
        (left, top + at, width, length) if along else (left + at, top, length, height)
        for at, length in zip(places, lengths, strict=False)
    ]
    return scale, boxes


def _width(text: str, size: float, font: FontProperties) -> float:
    return TextPath((0, 0), text, size=size, prop=font).get_extents().width


def _lines(text: str, width: float, size: float, font: FontProperties) -> list[str]:
    """The text in lines that are no wider than `width` pixels; a longer word has its own line."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer, size, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _write(
    canvas: Canvas, text: str, corner: tuple, width: float, size: float, font, colour: str
) -> None:
    for index, line in enumerate(_lines(text, width, size, font)):
        base = corner[1] + size * (0.8 + 1.2 * index)
        place = Affine2D().scale(1, -1).translate(corner[0], base)
        canvas.fill(TextPath((0, 0), line, size=size, prop=font), place, colour)
