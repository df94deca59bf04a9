"""What a page says of itself where it is linked to: its description, for search and for cards.

A chapter's is its line in README's table; other pages are described by their first paragraph.
"""

import html
import re
from pathlib import Path

from tools import chapters, pages

LONGEST = 200  # characters; what is behind them is not shown anywhere
_PARAGRAPH = re.compile(r"<article.*?<h1.*?</h1>.*?<p>(.*?)</p>", re.DOTALL)
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


def description(page: str, markup: str) -> str:
    """A sentence about a page, as plain text.

    Parameters
    ----------
    page : str
        As _toc.yml names it.
    markup : str
        The built page.

    Raises
    ------
    ChapterError
        It is no chapter, and has no paragraph.
    """
    if page in pages.lines():
        line = pages.lines()[page]
        return f"Chapter {pages.number(page)}: {line}."
    found = _PARAGRAPH.search(markup)
    if found is None:
        raise chapters.ChapterError(f"{page} has no paragraph that describes it.")
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", found[1])).split())
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition(" ")[0] + " …"


def described(page: str, markup: str) -> str:
    """The markup of a page with its description and its Open Graph and Twitter tags."""
    told = html.escape(description(page, markup), quote=True)
    title = html.escape(html.unescape(_TITLE.search(markup)[1].strip()), quote=True)
    tags = "".join(
        f'<meta {key} content="{content}"/>\n'
        for key, content in (
            ('name="description"', told),
            ('property="og:type"', "article" if pages.number(page) else "website"),
            ('property="og:title"', title),
            ('property="og:description"', told),
            ('name="twitter:card"', "summary"),
        )
    )
    return markup.replace("</head>", f"{tags}</head>", 1)


def describe(folder: Path) -> None:
    """Write the tags into every page of the book that has been built, in place."""
    for page in chapters.pages():
        file = folder / f"{page}.html"
        if file.exists():
            file.write_text(described(page, file.read_text()))
