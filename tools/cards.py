"""What a page says of itself where it is linked to: its description and picture, for cards.

A chapter's description is its line in README's table; other pages are described by their first
paragraph. Cards ask for the whole address of a picture: where nobody has said where the book will
be (`tools.addresses`), the pictures are made all the same, and the pages do not name them.
"""

import html
import os
import re
from pathlib import Path

from tools import addresses, card_pictures, chapters, news, pages, raster

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
    text = _words(found[1])
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition(" ")[0] + " …"


def heading(markup: str) -> str:
    """The title that stands on a page, as plain text."""
    found = re.search(r"<h1>(.*?)(?:<a class=\"headerlink\".*?)?</h1>", markup, re.DOTALL)
    return _words(found[1])


def _words(markup: str) -> str:
    """What is left of some markup without its tags, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", markup)).split())


def picture(page: str) -> str:
    """Where the picture of a page's card lies, from the folder of pages."""
    return f"cards/{page.replace('/', '-')}.png"


def described(page: str, markup: str, alt: str = "", address: str = "") -> str:
    """The markup of a page with its description and its Open Graph and Twitter tags.

    Parameters
    ----------
    page : str
        As _toc.yml names it.
    markup : str
        The built page.
    alt : str
        What the figure in its card's picture shows.
    address : str
        Of the folder of pages on the web, with a slash at its end; "" if it is not known, and
        then no tag names the picture.
    """
    told, title = description(page, markup), _words(_TITLE.search(markup)[1])
    tags = [
        ("name", "description", told),
        ("property", "og:type", "article" if pages.number(page) else "website"),
        ("property", "og:site_name", book_name()),
        ("property", "og:title", title),
        ("property", "og:description", told),
        ("name", "twitter:card", "summary_large_image" if address else "summary"),
    ]
    if address:
        tags += [
            ("property", "og:url", f"{address}{page}.html"),
            ("property", "og:image", address + picture(page)),
            ("property", "og:image:type", "image/png"),
            ("property", "og:image:width", card_pictures.WIDTH),
            ("property", "og:image:height", card_pictures.HEIGHT),
            ("property", "og:image:alt", alt),
        ]
    lines = "".join(
        f'<meta {kind}="{name}" content="{html.escape(str(content), quote=True)}"/>\n'
        for kind, name, content in tags
    )
    feed = os.path.relpath(news.FILE, Path(page).parent)
    lines += f'<link rel="alternate" type="application/atom+xml" title="News" href="{feed}"/>\n'
    return markup.replace("</head>", f"{lines}</head>", 1)


def book_name() -> str:
    """The title of the book, from _config.yml."""
    return chapters.configuration()["title"]


def describe(folder: Path, scale: str = "quick") -> None:
    """Write the tags into every page of the book that has been built, and draw the pictures.

    Parameters
    ----------
    folder : Path
        Of the built pages; they are changed in place, pictures come into ``cards/`` of it.
    scale : str
        Of the executed copies whose figures are drawn.

    Raises
    ------
    ChapterError
        An address of _config.yml is none, or a figure cannot be drawn.
    """
    address = addresses.book()
    (folder / "cards").mkdir(exist_ok=True)
    for page in chapters.pages():
        file = folder / f"{page}.html"
        if not file.exists():
            continue
        markup, source = file.read_text(), chapters.page_source(page)
        copy = chapters.executed_path(source, scale) if source.suffix == ".ipynb" else None
        try:
            figure = card_pictures.opening(page, copy)
            card = card_pictures.draw(heading(markup), book_name(), figure)
        except raster.NotDrawable as error:
            raise chapters.ChapterError(
                f"The card of {page} cannot be drawn: {error} tools/raster.py says what can."
            ) from error
        card.image().quantize(256).save(folder / picture(page), optimize=True)
        file.write_text(described(page, markup, figure.alt, address))
