"""Exercises and equations that are numbered by chapter."""

import re

import pytest

from tools import numbering
from tools.chapters import ChapterError

THREE, EIGHT, NOTES = "book/splines/03_cut", "book/pruning/08_score", "book/notation"


def exercise(name: str, number: str, title: str = "") -> str:
    """As sphinx-exercise writes one; `number` is empty for one that has none."""
    return (
        f'<div class="exercise admonition" id="{name}">\n\n<p class="admonition-title">'
        f'<span class="caption-number">Exercise {number} </span>{title}</p></div>'
    )


def equation(name: str, number: int) -> str:
    """As Sphinx writes the number of one."""
    return f'<span class="eqno">({number})<a class="headerlink" href="#{name}">#</a></span>'


def reference(address: str, text: str) -> str:
    return f'<a class="reference internal" href="{address}">{text}</a>'


@pytest.fixture
def book() -> dict[str, str]:
    """Three pages whose numbers run through, with references within and across."""
    return {
        THREE: exercise("ex-a", 1, " (All 2 lines)")
        + reference("#ex-a", " Exercise 1 (All 2 lines)")
        + exercise("ex-b", 2)
        + equation("equation-a", 1)
        + reference("../pruning/08_score.html#equation-b", "(2)"),
        EIGHT: equation("equation-b", 2)
        + equation("equation-c", 3)
        + exercise("ex-c", 3)
        + reference("../splines/03_cut.html#ex-b", '<span class="std">exercise 2</span>')
        + reference("#equation-c", "(3)")
        + reference("../notation.html#equation-d", "(4)"),
        NOTES: equation("equation-d", 4) + reference("pruning/08_score.html#ex-c", "Exercise 3"),
    }


def test_numbers_are_those_of_their_chapter_and_references_follow(book):
    assert numbering.number_by_chapter(book) == {
        THREE: exercise("ex-a", "3.1", " (All 2 lines)")
        + reference("#ex-a", " Exercise 3.1 (All 2 lines)")
        + exercise("ex-b", "3.2")
        + equation("equation-a", "3.1")
        + reference("../pruning/08_score.html#equation-b", "(8.1)"),
        EIGHT: equation("equation-b", "8.1")
        + equation("equation-c", "8.2")
        + exercise("ex-c", "8.1")
        + reference("../splines/03_cut.html#ex-b", '<span class="std">exercise 3.2</span>')
        + reference("#equation-c", "(8.2)")
        + reference("../notation.html#equation-d", "(1)"),
        NOTES: equation("equation-d", "1")
        + reference("pruning/08_score.html#ex-c", "Exercise 8.1"),
    }


@pytest.mark.parametrize(
    "link",
    [
        reference("#section-2", "Exercise 1"),  # leads to neither
        reference("#ex-a", "the one with 2 lines"),  # says no number
        reference("https://example.org/#ex-a", "(1)"),  # leads elsewhere
    ],
)
def test_other_links_are_left_alone(book, link):
    book[THREE] += link
    assert numbering.number_by_chapter(book)[THREE].endswith(link)


def test_a_number_that_somebody_typed_is_refused_where_it_is_wrong(book):
    book[EIGHT] += reference("../splines/03_cut.html#ex-b", "exercise 7")
    message = re.escape(f"A reference in {EIGHT} says 'exercise 7', and ex-b is 3.2.")
    with pytest.raises(ChapterError, match=message):
        numbering.number_by_chapter(book)


@pytest.mark.parametrize(
    "nameless",
    [exercise("ex-z", ""), '<span class="eqno">(9)</span>'],
    ids=["exercise", "equation"],
)
def test_what_has_no_number_or_no_name_is_refused(book, nameless):
    book[EIGHT] += nameless
    with pytest.raises(ChapterError, match=f"{EIGHT} has [23] .*Give each a label"):
        numbering.number_by_chapter(book)


def test_the_pages_of_a_folder_are_numbered_in_place(book, tmp_path, monkeypatch):
    monkeypatch.setattr(numbering.chapters, "pages", lambda: [*book, "book/not_written"])
    for page, markup in book.items():
        (tmp_path / f"{page}.html").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{page}.html").write_text(markup)
    numbering.complete(tmp_path)
    written = {page: (tmp_path / f"{page}.html").read_text() for page in book}
    assert written == numbering.number_by_chapter(book)
