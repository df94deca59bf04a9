"""Links that Sphinx does not make: to each figure, and to a notebook as something to keep."""

import re
from pathlib import Path

import nbformat

_START = '<figure class="sl '
_FIGURE = re.compile(r'<figure id="(figure-[^"]+)" (class="sl [^>]*)>(.*?)</figure>', re.DOTALL)
_DOWNLOAD = re.compile(r'<a (href="[^"]*_sources/[^"]*\.ipynb")')
_CAPTION = "</figcaption>"


def name_figures(copy: nbformat.NotebookNode) -> None:
    """Name the figures that an executed copy shows after the cells that draw them, in place.

    A cell keeps its id whatever comes before it, so a link to its figure leads there for good.
    """
    for cell in copy.cells:
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        pieces = [piece for data in shown for piece in _html(data).split(_START)[1:]]
        names = iter(_names(cell.id, len(pieces)))
        for data in shown:
            if "text/html" in data:
                data["text/html"] = re.sub(
                    re.escape(_START),
                    lambda found, names=names: f'<figure id="{next(names)}" class="sl ',
                    _html(data),
                )


def _html(data: dict) -> str:
    return "".join(data.get("text/html", ""))


def _names(cell: str, count: int) -> list[str]:
    rest = [f"figure-{cell}-{number}" for number in range(2, count + 1)]
    return [f"figure-{cell}", *rest]


def linked(markup: str) -> str:
    """The markup of a page in which each named figure has a link to itself.

    The link stands in the caption, or at the end of a figure that has none. The link to the
    notebook says that browsers save it.

    Raises
    ------
    ValueError
        A figure has no name: `name_figures` has not seen it.
    """

    def with_link(found: re.Match) -> str:
        name, kind, content = found.groups()
        link = f'<a class="headerlink" href="#{name}" title="Link to this figure">#</a>'
        before, caption, after = content.rpartition(_CAPTION)
        inside = f"{before}{link}{caption}{after}" if caption else content + link
        return f'<figure id="{name}" {kind}>{inside}</figure>'

    if _START in markup:
        at = markup.index(_START)
        raise ValueError(f"a figure of the page has no name to link to: {markup[at : at + 200]}")
    return _DOWNLOAD.sub(r"<a download \1", _FIGURE.sub(with_link, markup))


def complete(folder: Path) -> None:
    """Put the links into all pages of a folder, in place."""
    for path in folder.rglob("*.html"):
        path.write_text(linked(path.read_text()))
