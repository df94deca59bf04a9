"""Numbers of exercises and equations, chapter by chapter: Exercise 8.2, equation (8.3).

Sphinx counts them through the whole book: it does not know a chapter's number, which is that of its
file. So they are counted again on the built pages, and every reference to them follows.
"""

import posixpath
import re
from pathlib import Path

from tools import chapters, pages

# What carries a number: Sphinx's number, and the name by which references lead to it.
_EXERCISE = re.compile(
    r'(?P<before><div class="exercise [^"]*" id="(?P<name>[^"]+)">\s*'
    r'<p class="admonition-title"><span class="caption-number">Exercise )(?P<number>\d+)'
)
_EQUATION = re.compile(
    r'(?P<before><span class="eqno">\()(?P<number>\d+)'
    r'(?=\)<a class="headerlink" href="#(?P<name>[^"]+)")'
)
_KINDS = {
    "exercise": (_EXERCISE, re.compile('<div class="exercise ')),
    "equation": (_EQUATION, re.compile('<span class="eqno">')),
}
_LINK = re.compile(
    r'(?P<start><a class="reference internal" href="(?P<path>[^"#]*)#(?P<name>[^"]+)"[^>]*>)'
    r"(?P<text>.*?)</a>",
    re.DOTALL,
)
_NUMBER = re.compile(r"(?i)(exercise |\()(\d+)\b")  # as references write it


def number_by_chapter(markups: dict[str, str]) -> dict[str, str]:
    """The pages of a book in which exercises and equations are numbered by chapter.

    Parameters
    ----------
    markups : dict of str
        Page, as _toc.yml names it, -> its markup as Sphinx has built it.

    Returns
    -------
    dict of str
        The same pages. In chapter 8 the second exercise is 8.2; on a page that is no chapter it
        is 2.

    Raises
    ------
    ChapterError
        An exercise or an equation has no number, or a reference says another than its target has.

    Examples
    --------
    >>> page = '<span class="eqno">(12)<a class="headerlink" href="#equation-distance"></a></span>'
    >>> number_by_chapter({"book/pruning/08_score": page})["book/pruning/08_score"][:25]
    '<span class="eqno">(8.1)<'
    """
    numbers: dict[tuple[str, str], tuple[str, str]] = {}
    counted = {page: _counted(page, markup, numbers) for page, markup in markups.items()}
    return {page: _referred(page, markup, numbers) for page, markup in counted.items()}


def _counted(page: str, markup: str, numbers: dict) -> str:
    """One page with its own numbers; `numbers` learns (page, name) -> (Sphinx's, ours)."""
    chapter = pages.number(page)
    for kind, (pattern, opening) in _KINDS.items():
        count = 0

        def ours(found: re.Match) -> str:
            nonlocal count
            count += 1
            number = f"{chapter}.{count}" if chapter is not None else str(count)
            numbers[page, found["name"]] = found["number"], number
            return found["before"] + number

        markup, openings = pattern.sub(ours, markup), len(opening.findall(markup))
        if count != openings:
            raise chapters.ChapterError(
                f"{page} has {openings} of {kind}, and {count} with a number. Give each a label, "
                "and none the option :nonumber:."
            )
    return markup


def _referred(page: str, markup: str, numbers: dict) -> str:
    """One page whose references say the numbers of what they lead to."""

    def mended(link: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link["path"]))
        target = target.removesuffix(".html") if link["path"] else page
        said = _NUMBER.search(link["text"])
        if (target, link["name"]) not in numbers or said is None:
            return link[0]
        earlier, ours = numbers[target, link["name"]]
        if said[2] != earlier:
            raise chapters.ChapterError(
                f"A reference in {page} says {said[0]!r}, and {link['name']} is {ours}. Leave the "
                "number to the build: {ref}`name` of an exercise and {eq}`name` write it."
            )
        return link["start"] + _NUMBER.sub(rf"\g<1>{ours}", link["text"], count=1) + "</a>"

    return _LINK.sub(mended, markup)


def complete(folder: Path) -> None:
    """Number what is on the built pages of the book, in place.

    Parameters
    ----------
    folder : Path
        Of the built pages.
    """
    files = {page: folder / f"{page}.html" for page in chapters.pages()}
    markups = {page: file.read_text() for page, file in files.items() if file.exists()}
    for page, markup in number_by_chapter(markups).items():
        files[page].write_text(markup)
