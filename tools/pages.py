"""What a page is given when it is laid out for Sphinx: its number, and what the front page lists.

A chapter's number is that of its file, ``11_cifar.ipynb``. Its line stands in README's table, its
minutes in its own opening; the front page repeats both.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from tools import chapters

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_PLACE = re.compile(r"<!-- fill: (\w+) -->")
_MINUTES = re.compile(r"(\d+) minutes to read")
# How long it takes to read a page. A cell is its code with what it shows, or a figure or a table
# alone; a formula stands within a line, an equation on lines of its own.
WORDS_A_MINUTE, SECONDS_A_CELL, SECONDS_AN_EQUATION, SECONDS_A_FORMULA = 200, 30, 20, 3
_SOLUTION = re.compile(r"(```\{solution-(?:start|end)\}[^`]*```)")
_EQUATION = re.compile(r"\$\$[^$]+\$\$(?: \([\w-]+\))?")  # with its name
_FORMULA = re.compile(r"\$[^$]+\$")
# What Markdown has beside words: addresses, names of roles, targets and options, fences.
_NO_WORDS = re.compile(r"(?m)\]\([^)]*\)|\{[\w:-]+\}|<[^>`]*>|^:\w+:.*|^```.*")


@dataclass(frozen=True)
class Chapter:
    """A numbered page, as the front page lists it.

    Attributes
    ----------
    page : str
        As _toc.yml names it, without suffix.
    number : int
    title : str
        As the notebook has it, without the number.
    line : str
        What one does there, from README's table.
    minutes : int
        To read it, as its opening says.
    """

    page: str
    number: int
    title: str
    line: str
    minutes: int


def number(page: str | Path) -> int | None:
    """The number of a chapter, which its file's name begins with; None for other pages.

    Examples
    --------
    >>> number("book/pruning/11_cifar.ipynb"), number("book/glossary.md")
    (11, None)
    """
    found = re.match(r"(\d\d)_", Path(page).name)
    return int(found[1]) if found else None


def lines() -> dict[str, str]:
    """README's table of chapters: page without suffix -> what one does there."""
    text = (chapters.ROOT / "README.md").read_text()
    return dict(re.findall(r"(?m)^\|[^|]*\| \[\d\d\]\((\S+)\.ipynb\) \| (.+?) \|$", text))


def parts() -> list[tuple[str, list[Chapter]]]:
    """The parts of the book that have numbered chapters, in the order of _toc.yml.

    Raises
    ------
    ChapterError
        README has no line for a chapter, or its opening does not say how long it takes.
    """
    contents, told = yaml.safe_load((chapters.ROOT / "_toc.yml").read_text()), lines()
    return [
        (part["caption"], numbered)
        for part in contents["parts"]
        if (numbered := [_chapter(page["file"], told) for page in _written(part)])
    ]


def _written(part: dict) -> list[dict]:
    return [
        page
        for page in part["chapters"]
        if number(page["file"]) is not None and chapters.page_source(page["file"])
    ]


def _chapter(page: str, told: dict[str, str]) -> Chapter:
    text = "\n".join(cell.source for cell in _cells(page) if cell.cell_type == "markdown")
    title, minutes = _TITLE.search(text), _MINUTES.search(text)
    if page not in told:
        raise chapters.ChapterError(f"README's table of chapters has no line for {page}.")
    if title is None or minutes is None:
        raise chapters.ChapterError(
            f"The opening of {page} needs a title, and how long it takes: '20 minutes to read'."
        )
    return Chapter(page, number(page), title[1], told[page], int(minutes[1]))


def _cells(page: str) -> list[nbformat.NotebookNode]:
    return nbformat.read(chapters.page_source(page), as_version=4).cells


def list_of_chapters() -> str:
    """Every numbered chapter with its line and its minutes, part by part, as MyST Markdown."""
    blocks = []
    for caption, numbered in parts():
        blocks += [f"**{caption}**", ""]
        for chapter in numbered:
            address = chapter.page.removeprefix("book/")
            first = f"- {{doc}}`{chapter.number}. {chapter.title} <{address}>` "
            blocks.append(f"{first}({chapter.minutes} min): {chapter.line}")
        blocks.append("")
    return "\n".join(blocks)


def citation() -> str:
    """How to cite the book, from CITATION.cff and the year of _config.yml, as a BibTeX block."""
    cited = yaml.safe_load((chapters.ROOT / "CITATION.cff").read_text())
    year = chapters.configuration()["copyright"]
    authors = " and ".join(f"{{{author['name']}}}" for author in cited["authors"])
    fields = {
        "title": cited["title"],
        "author": authors,
        "year": year,
        "version": cited["version"],
        "note": f"{cited['license']} licence",
    }
    body = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items())
    return f"```bibtex\n@software{{spline_pruning_book,\n{body}\n}}\n```"


_FILLED: dict[str, Callable[[], str]] = {"chapters": list_of_chapters, "citation": citation}


def complete(copy: nbformat.NotebookNode, page: str | Path) -> None:
    """Put the number before the title of an executed copy, and fill its places, in place.

    A place is a comment of Markdown, ``<!-- fill: chapters -->``.

    Parameters
    ----------
    copy : NotebookNode
    page : str or Path
        Whose name says the number.
    """
    at = number(page)
    text = [cell for cell in copy.cells if cell.cell_type == "markdown"]
    if at is not None and text:
        text[0].source = _TITLE.sub(rf"# {at}. \1", text[0].source, count=1)
    if Path(page).stem == "reproduce":
        _link_within(copy)
    for cell in text:
        cell.source = _PLACE.sub(lambda found: _FILLED[found[1]](), cell.source)


def fold_once(copy: nbformat.NotebookNode) -> None:
    """Make folded cells that show nothing part of the folded cell behind, in place.

    They are one line on the page then. Else four lines that say "Code" would stand between a
    question and its picture.
    """
    kept: list[nbformat.NotebookNode] = []
    for cell in copy.cells:
        before = kept[-1] if kept else None
        if before and _is_folded(before) and not before.outputs and _is_folded(cell):
            cell.source = f"{kept.pop().source}\n\n\n{cell.source}"
        kept.append(cell)
    copy.cells = kept


def _is_folded(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and cell.metadata.get("tags", []) == ["hide-input"]


def _link_within(copy: nbformat.NotebookNode) -> None:
    """Make links to records lead to this very page; exhibits write them for the chapters."""
    for cell in copy.cells:
        for output in cell.get("outputs", []):
            shown = output.get("data", {})
            if "text/html" in shown:
                shown["text/html"] = shown["text/html"].replace('"../reproduce.html#', '"#')


def minutes_of_reading(cells: Sequence[nbformat.NotebookNode]) -> float:
    """About how long some cells take to read, in minutes.

    Their words, formulas and equations count, and each code cell with what it shows. Cells that
    the page does not show count nothing, nor do solutions, which are folded.
    """
    seconds, solved = 0.0, False
    for cell in cells:
        if cell.cell_type != "markdown":
            shown = not solved and "remove-cell" not in cell.metadata.get("tags", [])
            seconds += SECONDS_A_CELL * shown
            continue
        for piece in _SOLUTION.split(cell.source):
            if _SOLUTION.fullmatch(piece):
                solved = piece.startswith("```{solution-start}")
            elif not solved:
                seconds += _seconds_of_text(piece)
    return seconds / 60


def _seconds_of_text(text: str) -> float:
    text, equations = _EQUATION.subn(" ", text)
    text, formulas = _FORMULA.subn(" ", text)
    words = len(re.findall(r"\w[\w'’-]*", _NO_WORDS.sub(" ", text)))
    reading = words * 60 / WORDS_A_MINUTE
    return reading + equations * SECONDS_AN_EQUATION + formulas * SECONDS_A_FORMULA


def section(page: str, anchor: str) -> list[nbformat.NotebookNode]:
    """The cells of one section of a chapter, from its heading to the next of second level.

    Parameters
    ----------
    page : str
        As _toc.yml names it.
    anchor : str
        As links to it have it: the heading in lower case, with hyphens.

    Raises
    ------
    ChapterError
        The page has no such section.
    """
    inside, found = False, []
    for cell in _cells(page):
        if cell.cell_type == "code":
            found += [cell] if inside else []
            continue
        for piece in re.split(r"(?m)^(?=##? )", cell.source):
            heading = re.match(r"##? (.+)", piece)
            if heading:
                inside = _anchor(heading[1]) == anchor
            if inside and piece.strip():
                found.append(nbformat.v4.new_markdown_cell(piece))
    if not found:
        raise chapters.ChapterError(f"{page} has no section #{anchor}.")
    return found


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
