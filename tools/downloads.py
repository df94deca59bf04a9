"""Notebooks to keep: executed copies whose text reads well in any Jupyter.

The pages' Markdown has roles and directives, such as ``{eq}`eq-03-line` `` and admonitions, which
only Sphinx knows. In the copy that the download button gives, each says in plain Markdown what the
page says: numbers, names of papers, links.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import nbformat
from pybtex.database import parse_file

from tools import addresses, chapters, pages

_EQUATION = re.compile(r"(?s)\$\$(?P<body>.+?)\$\$ \((?P<name>[\w-]+)\)")
_EXERCISE = re.compile(
    r"(?m)^```\{exercise(?:-start)?\}(?P<title>.*)\n(?::.*\n)*?:label: (?P<name>\S+)\n"
)
_BLOCK = (
    r"(?ms)^(?P<fence>```|:::)\{%s\} ?(?P<title>[^\n]*)\n(?P<options>(?::[\w-]+:[^\n]*\n)*)"
    r"(?P<body>.*?)^(?P=fence)[ \t]*$"
)
_ROLE = re.compile(r"\{(?P<role>[\w:]+)\}`(?P<text>[^`<]*?)(?:\s*<(?P<target>[^`>]+)>)?`")
_LINK = re.compile(r"\]\((?P<path>[\w./-]+)(?P<suffix>\.ipynb|\.md)(?P<anchor>#[\w-]+)?\)")
_LEFT = re.compile(r"\{[\w:]+\}`|(?m:^(?:```|:::)\{)")


def numbers_of(notebook: nbformat.NotebookNode, page: str) -> dict[str, str]:
    """Label of each equation and exercise of a page -> its number, as `tools.numbering` counts.

    Parameters
    ----------
    notebook : NotebookNode
    page : str
        As _toc.yml names it.
    """
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    chapter, numbers = pages.number(page), {}
    for pattern in (_EQUATION, _EXERCISE):
        for count, found in enumerate(pattern.finditer(text), 1):
            numbers[found["name"]] = f"{chapter}.{count}" if chapter is not None else f"{count}"
    return numbers


@cache
def book_numbers() -> dict[str, str]:
    """`numbers_of` all notebooks of the book."""
    numbers: dict[str, str] = {}
    for notebook in chapters.notebooks():
        page = str(notebook.relative_to(chapters.ROOT).with_suffix(""))
        numbers |= numbers_of(nbformat.read(notebook, as_version=4), page)
    return numbers


@cache
def works() -> dict[str, tuple[str, str, str]]:
    """Key of each work of ``references.bib`` -> authors in short, year, and address or ""."""
    found = {}
    for key, entry in parse_file(str(chapters.ROOT / "book/references.bib")).entries.items():
        names = [" ".join(map(str, person.rich_last_names)) for person in entry.persons["author"]]
        authors = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        found[key] = (authors, entry.fields["year"], entry.fields.get("url", ""))
    return found


def plain(copy: nbformat.NotebookNode, page: str, numbers: Mapping[str, str]) -> None:
    """Write the text of an executed copy in Markdown that any Jupyter shows, in place.

    Parameters
    ----------
    copy : NotebookNode
    page : str
        As _toc.yml names it.
    numbers : mapping of str to str
        As `book_numbers` gives them.

    Raises
    ------
    ChapterError
        It has a role or a directive that nobody has said how to write.
    """
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = _plain_text(cell.source, page, numbers)
    copy.cells = [c for c in copy.cells if c.cell_type != "markdown" or c.source.strip()]


def _plain_text(text: str, page: str, numbers: Mapping[str, str]) -> str:
    text = re.sub(r"(?m)^\([\w-]+\)=\n", "", text)
    text = re.sub(_BLOCK % "raw", "", text)
    text = re.sub(_BLOCK % "image", "", text)
    text = re.sub(_BLOCK % "admonition", _quoted, text)
    text = _EQUATION.sub(lambda m: rf"$${m['body'].rstrip()} \tag{{{numbers[m['name']]}}}$$", text)
    text = re.sub(_BLOCK % "exercise", lambda m: _exercise(m, numbers) + m["body"], text)
    text = re.sub(_BLOCK % "exercise-start", lambda m: _exercise(m, numbers), text)
    text = re.sub(
        _BLOCK % "solution-start", lambda m: f"**Solution of {numbers[m['title']]}.**\n", text
    )
    text = re.sub(
        r"(?m)^```\{(?:exercise|solution)-end\}\n```\s*?$|^```\{exercise-end\}$", "", text
    )
    text = _ROLE.sub(lambda m: _role(m, page, numbers), text)
    text = _LINK.sub(lambda m: _link(m, page), text)
    left = _LEFT.search(text)
    if left:
        raise chapters.ChapterError(
            f"{page}: tools/downloads.py does not know how {text[left.start() :][:60]!r} reads "
            "outside of the book."
        )
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _quoted(found: re.Match) -> str:
    lines = [f"**{found['title']}**", "", *found["body"].strip().splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _exercise(found: re.Match, numbers: Mapping[str, str]) -> str:
    label = re.search(r":label: (\S+)", found["options"])[1]
    title = f" ({found['title'].strip()})" if found["title"].strip() else ""
    return f"**Exercise {numbers[label]}{title}.**\n\n"


def _role(found: re.Match, page: str, numbers: Mapping[str, str]) -> str:
    text, target = found["text"], found["target"]
    writers: dict[str, Callable[[], str]] = {
        "eq": lambda: f"({numbers[text]})",
        "ref": lambda: f"exercise {numbers[text]}",
        "term": lambda: text,
        "doc": lambda: _document(text, target, page),
        "cite": lambda: _cited(text, brackets=True),
        "cite:p": lambda: _cited(text, brackets=True),
        "cite:t": lambda: _cited(text, brackets=False),
    }
    return writers[found["role"]]() if found["role"] in writers else found[0]


def _cited(keys: str, brackets: bool) -> str:
    told = []
    for key in (key.strip() for key in keys.split(",")):
        authors, year, address = works()[key]
        name = f"{authors}, {year}" if brackets else f"{authors} ({year})"
        told.append(f"[{name}]({address})" if address else name)
    return f"({'; '.join(told)})" if brackets else ", ".join(told)


def _document(text: str, target: str | None, page: str) -> str:
    """A page of the book by its title, or by other words, as a link."""
    path = target or text
    source = chapters.page_source(_joined(page, path))
    if target is None:
        opening = source.read_text()
        if source.suffix == ".ipynb":
            opening = nbformat.reads(opening, as_version=4).cells[0].source
        text = re.search(r"(?m)^# (.+)$", opening)[1]
    return f"[{text}]({_address(path, source.suffix, '', page)})"


def _link(found: re.Match, page: str) -> str:
    return f"]({_address(found['path'], found['suffix'], found['anchor'] or '', page)})"


def _address(path: str, suffix: str, anchor: str, page: str) -> str:
    """Where another page is: on the web if anyone has said where, else beside this notebook."""
    base = addresses.book()
    return f"{base}{_joined(page, path)}.html{anchor}" if base else f"{path}{suffix}{anchor}"


def _joined(page: str, path: str) -> str:
    """The name of a page, as _toc.yml has it, that another one calls by a relative path."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path))


def complete(folder: Path, scale: str) -> None:
    """Put the notebooks to keep where the download buttons of built pages lead, in place.

    Parameters
    ----------
    folder : Path
        Of the built pages.
    scale : str
        At which the chapters were executed.
    """
    for notebook in chapters.notebooks():
        name = notebook.relative_to(chapters.ROOT)
        target, page = folder / "_sources" / name, str(name.with_suffix(""))
        if target.exists():
            copy = nbformat.read(chapters.executed_path(notebook, scale), as_version=4)
            pages.complete(copy, notebook)
            plain(copy, page, book_numbers())
            nbformat.write(copy, target)
