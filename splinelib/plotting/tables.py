"""Tables whose cells say where their numbers come from."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .svg import STYLE, check_alt

_SOURCES = {
    "page": ("a", "computed on this page"),
    "record": ("b", "read from a recorded run"),
    "published": ("c", "published figure"),
}
# What `over_seeds` writes, and the like: a number, and two in brackets.
_RANGE = re.compile(r"([+\-−]?\d[^ ()]*) (\([+\-−]?\d[^ ()]*(?:–| to )[+\-−]?\d[^ ()]*\))")


@dataclass(frozen=True)
class Cell:
    """One number of a table and where it comes from.

    Attributes
    ----------
    value : object
        None where there is no number; `note` then says why ("not recorded").
    source : {"page", "record", "published"} or None
        Said once below the table; where its cells have different sources, a superscript letter
        says which is whose.
    href : str, optional
        The record or the paper, as a link: http, https, or a place of these pages. No other
        address becomes a link.
    note : str, optional
    origins : tuple of (name, address)
        The records that the number was read from; linked once below the table.
    """

    value: object
    source: str | None = None
    href: str | None = None
    note: str | None = None
    origins: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.source not in {None, *_SOURCES}:
            raise ValueError(
                f"source is one of {', '.join(_SOURCES)} or None, not {self.source!r}."
            )


@dataclass(frozen=True)
class Table:
    """A table as HTML. On a phone it scrolls inside itself; the page does not."""

    markup: str
    caption: str

    def __repr__(self) -> str:
        return f"Table({self.caption!r})"

    def _repr_html_(self) -> str:
        return self.markup


def table(
    rows: Sequence[Sequence],
    columns: Sequence[str],
    caption: str,
    format: str | Sequence[str] = "{:g}",
) -> Table:
    """A table whose cells say where their numbers come from.

    Parameters
    ----------
    rows : sequence of rows
        The first entry of each names the row. Entries are numbers, text, or a `Cell`.
    columns : sequence of str
        Headings, one per entry of a row.
    caption : str
        Names the table for everyone, screen readers included.
    format : str or sequence of str
        Format of the numbers, for all columns or for each.

    Returns
    -------
    Table

    Examples
    --------
    >>> shown = table([["dense", Cell(93.4, "published")]], ["network", "accuracy"], "Accuracy")
    """
    caption, rows = check_alt(caption), [list(row) for row in rows]
    wrong = [row for row in rows if len(row) != len(columns)]
    if wrong or not rows:
        raise ValueError(f"every row needs {len(columns)} entries, like the columns: {wrong}.")
    formats = [format] * len(columns) if isinstance(format, str) else list(format)
    if len(formats) != len(columns):
        raise ValueError(f"{len(formats)} formats for {len(columns)} columns.")
    cells = [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in rows]
    prose = [
        ' class="sl-prose"' if any(map(_is_prose, column)) else ""
        for column in zip(*cells, strict=True)
    ]
    head = "".join(
        # A column without a name has no heading: an empty one would be read out as a heading.
        f'<th scope="col"{flush}>{html.escape(name)}</th>' if name.strip() else f"<td{flush}></td>"
        for name, flush in zip(columns, prose, strict=True)
    )
    used = [key for key in _SOURCES if any(cell.source == key for row in cells for cell in row)]
    lettered = len(used) > 1
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{text}</th>' if at == 0 else f"<td{prose[at]}>{text}</td>"
            for at, text in enumerate(
                _cell(cell, pattern, lettered) for cell, pattern in zip(row, formats, strict=True)
            )
        )
        + "</tr>"
        for row in cells
    )
    notes = _sources(used, [cell for row in cells for cell in row])
    name = html.escape(caption, quote=True)
    return Table(
        f'<div class="sl sl-table"><style>{STYLE}</style>'
        f'<span class="sl-caption" aria-hidden="true">{html.escape(caption)}</span>'
        f'<div role="region" tabindex="0" aria-label="{name}"><table>'
        f"<caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
        + (f'<p class="sl-sources">{notes}</p>' if notes else "")
        + "</div>",
        caption,
    )


def folded(shown: Table, summary: str) -> Table:
    """A table that is closed until the reader opens it; printed pages have it open.

    Parameters
    ----------
    shown : Table
    summary : str
        The line that opens it.

    Examples
    --------
    >>> folded(table([["dense", 93.4]], ["network", "accuracy"], "Accuracy"), "All networks")
    Table('Accuracy')
    """
    summary = html.escape(check_alt(summary))
    return Table(
        f'<details class="sl sl-fold"><summary>{summary}</summary>{shown.markup}</details>',
        shown.caption,
    )


def _sources(used: Sequence[str], cells: Sequence[Cell]) -> str:
    """The line below a table that says where its numbers come from, each record as a link."""
    origins = dict.fromkeys(origin for cell in cells for origin in cell.origins)
    names = ", ".join(_linked(html.escape(name), address) for name, address in origins)
    told = []
    for key in used:
        letter, text = _SOURCES[key]
        if key == "record" and names:
            text = f"read from {'recorded runs' if len(origins) > 1 else 'a recorded run'}: {names}"
        told.append(f"<sup>{letter}</sup> {text}" if len(used) > 1 else text[0].upper() + text[1:])
    return " · ".join(told)


def _linked(text: str, href: str | None) -> str:
    """Text of HTML as a link, if there is an address of the web."""
    if not href or not _is_of_the_web(href):
        return text
    return f'<a href="{html.escape(href, quote=True)}">{text}</a>'


def _is_prose(cell: Cell) -> bool:
    """Whether a column with this cell is set flush left and may break; numbers line up right."""
    text = cell.value
    return isinstance(text, str) and len(text) > 24 and len(re.findall(r"[^\W\d]{2,}", text)) > 2


def _is_of_the_web(href: str) -> bool:
    """Whether a link leads to a page, and not, as javascript: does, to something that runs."""
    address = re.sub(r"[\x00-\x20\x7f]", "", href)  # which browsers pass over
    scheme = re.match(r"([^/?#]*?):", address)
    return scheme is None or scheme[1].lower() in {"http", "https"}


def _cell(cell: Cell, pattern: str, lettered: bool) -> str:
    if cell.value is None:
        return f"<i>{html.escape(cell.note or 'not recorded')}</i>"
    number = isinstance(cell.value, (int, float, np.number)) and not isinstance(cell.value, bool)
    text = html.escape(pattern.format(cell.value) if number else str(cell.value))
    # A range goes below what it is the range of, so that a table of them stays narrow.
    spread_match = _RANGE.fullmatch(text)
    text, spread = spread_match.groups() if spread_match else (text, None)
    text = _linked(text, cell.href)
    if cell.note:
        text += f" <i>{html.escape(cell.note)}</i>"
    text += f"<sup>{_SOURCES[cell.source][0]}</sup>" if lettered and cell.source else ""
    return f"{text} <small>{spread}</small>" if spread else text
