"""Links that Sphinx does not make: to each figure, and to a notebook as something to keep."""

import itertools
import re
from pathlib import Path

_FIGURE = re.compile(r'<figure (class="sl [^>]*)>(.*?)</figure>', re.DOTALL)
_DOWNLOAD = re.compile(r'<a (href="[^"]*_sources/[^"]*\.ipynb")')
_CAPTION = "</figcaption>"


def linked(markup: str) -> str:
    """The markup of a page in which figures are numbered targets, each with a link to itself.

    The link stands in the caption, or at the end of a figure that has none. The link to the
    notebook says that browsers save it.
    """
    numbers = itertools.count(1)

    def named(found: re.Match) -> str:
        name = f"figure-{next(numbers)}"
        link = f'<a class="headerlink" href="#{name}" title="Link to this figure">#</a>'
        before, caption, after = found[2].rpartition(_CAPTION)
        inside = f"{before}{link}{caption}{after}" if caption else found[2] + link
        return f'<figure id="{name}" {found[1]}>{inside}</figure>'

    return _DOWNLOAD.sub(r"<a download \1", _FIGURE.sub(named, markup))


def complete(folder: Path) -> None:
    """Put the links into all pages of a folder, in place."""
    for path in folder.rglob("*.html"):
        path.write_text(linked(path.read_text()))
