"""What is new, as a feed that readers subscribe to: ``feed.xml`` beside the pages (Atom, RFC 4287).

The entries are those of CHANGELOG.md, which is also the page `book/news`: a heading with a date and
a title, ``## 2026-11-28: Title``, and what follows until the next.
"""

import datetime
import itertools
import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from docutils.nodes import make_id
from markdown_it import MarkdownIt

from tools import addresses, chapters

PAGE, FILE = "book/news", "feed.xml"
_ATOM = "http://www.w3.org/2005/Atom"
_HEADING = re.compile(r"(?m)^## (.*)$")
_DATED = re.compile(r"(\d{4}-\d\d-\d\d): (\S.*)")
# Of this book, so that an entry keeps its identity wherever the pages lie.
_IDENTITY = uuid.uuid5(uuid.NAMESPACE_URL, "Spline Theory for Deep Network Pruning")


@dataclass(frozen=True)
class Entry:
    """One thing that is new.

    Attributes
    ----------
    day : date
    title : str
    text : str
        In Markdown.
    anchor : str
        Of its heading on the page, where Sphinx leaves out the date.
    """

    day: datetime.date
    title: str
    text: str
    anchor: str


def entries() -> list[Entry]:
    """The entries of CHANGELOG.md, the newest first.

    Raises
    ------
    ChapterError
        A heading has no date, an entry no text, or they are not in the order of their dates.
    """
    pieces = _HEADING.split((chapters.ROOT / "CHANGELOG.md").read_text())
    found = [_entry(*pair) for pair in zip(pieces[1::2], pieces[2::2], strict=True)]
    for newer, older in itertools.pairwise(found):
        if newer.day < older.day:
            raise chapters.ChapterError(
                f"CHANGELOG.md has the newest first: '{older.title}' is newer than '{newer.title}'."
            )
    if len({entry.anchor for entry in found}) < len(found) or not found:
        raise chapters.ChapterError("CHANGELOG.md needs entries, no two of one title.")
    return found


def _entry(heading: str, text: str) -> Entry:
    dated = _DATED.fullmatch(heading.strip())
    try:
        day = datetime.date.fromisoformat(dated[1])
    except (TypeError, ValueError):
        raise chapters.ChapterError(
            f"The heading '{heading}' of CHANGELOG.md is not a date and a title: "
            "'## 2026-11-28: Title'."
        ) from None
    if not text.strip():
        raise chapters.ChapterError(f"The entry '{heading}' of CHANGELOG.md says nothing.")
    return Entry(day, dated[2], text.strip(), make_id(dated[2]))


def feed() -> str:
    """The feed as XML. Its links are whole addresses where the book's is known (`addresses`)."""
    config = chapters.configuration()
    address, found = addresses.book(), entries()
    root = ET.Element("feed", xmlns=_ATOM)
    _add(root, "title", config["title"])
    _add(root, "id", _IDENTITY.urn)
    _add(root, "updated", _time(found[0].day))
    _add(root, "link", href=f"{address}{PAGE}.html")
    if address:  # a feed's own address is a whole one
        _add(root, "link", rel="self", href=address + FILE)
    _add(_add(root, "author"), "name", config["author"])
    for entry in found:
        item = _add(root, "entry")
        _add(item, "title", entry.title)
        _add(item, "id", uuid.uuid5(_IDENTITY, entry.anchor).urn)
        _add(item, "updated", _time(entry.day))
        _add(item, "link", href=f"{address}{PAGE}.html#{entry.anchor}")
        _add(item, "content", MarkdownIt().render(entry.text), type="html")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, name, attributes)
    child.text = text or None
    return child


def _time(day: datetime.date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def write(folder: Path) -> None:
    """Put the feed beside the built pages."""
    (folder / FILE).write_text(feed())
