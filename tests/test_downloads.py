"""Notebooks to keep: what only Sphinx knows is said in plain Markdown."""

import nbformat
import pytest

from tools import chapters, downloads, pages

NUMBERS = {"eq-03-line": "3.1", "ex-03-count": "3.2"}
PAGE = "book/splines/03_partition"


@pytest.fixture(autouse=True)
def nowhere_on_the_web(monkeypatch):
    monkeypatch.setattr(downloads.addresses, "book", lambda: "")


def plain(*texts: str) -> list[str]:
    copy = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    downloads.plain(copy, PAGE, NUMBERS)
    return [cell.source for cell in copy.cells]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("By {eq}`eq-03-line`, as in {ref}`ex-03-count`.", "By (3.1), as in exercise 3.2."),
        ("$$\na = b\n$$ (eq-03-line)", "$$\na = b \\tag{3.1}$$"),
        ("a {term}`region`, its {term}`codes <code>`", "a region, its codes"),
        ("(name)=\n# Title", "# Title"),
        (
            "{cite:t}`you2022spline` {cite:p}`frankle2019lottery, arthur2007kmeans`",
            "[You et al. (2022)](https://arxiv.org/abs/2101.02338) ([Frankle and Carbin, "
            "2019](https://arxiv.org/abs/1803.03635); Arthur and Vassilvitskii, 2007)",
        ),
        (
            "```{admonition} Before\n:class: tip\n- one\n  more\n- two\n```\n\nafter",
            "> **Before**\n>\n> - one\n>   more\n> - two\n\nafter",
        ),
        (":::{admonition} In practice\n:class: note\none\n:::", "> **In practice**\n>\n> one"),
        (
            "```{exercise-start}\n:label: ex-03-count\n```\nCount.\n```{exercise-end}\n```",
            "**Exercise 3.2.**\n\nCount.",
        ),
        (
            "```{exercise} A title\n:label: ex-03-count\nCount.\n```",
            "**Exercise 3.2 (A title).**\n\nCount.",
        ),
        ("```{solution-start} ex-03-count\n:class: dropdown\n```", "**Solution of 3.2.**"),
        ("```python\nx = {1: 2}\n```", "```python\nx = {1: 2}\n```"),
        ("[next](04_see_pruning.ipynb#a)", "[next](04_see_pruning.ipynb#a)"),
        (
            "{doc}`01_max_affine_splines`, {doc}`the words <../notation>`",
            "[Fit a curve with a maximum of lines](01_max_affine_splines.ipynb), "
            "[the words](../notation.md)",
        ),
    ],
)
def test_what_only_sphinx_knows_is_said_in_markdown(text, expected):
    assert plain(text) == [expected]


def test_what_has_nothing_to_say_is_left_out():
    assert plain("one", "```{solution-end}\n```", "```{raw} html\n<b>\n```") == ["one"]


def test_links_lead_to_the_pages_where_these_have_an_address(monkeypatch):
    monkeypatch.setattr(downloads.addresses, "book", lambda: "https://a.org/b/")
    link = "[next](../pruning/08_score.ipynb#twins) {doc}`notation <../notation>`"
    shown = "[next](https://a.org/b/book/pruning/08_score.html#twins)"
    assert plain(link) == [shown + " [notation](https://a.org/b/book/notation.html)"]


@pytest.mark.parametrize("text", ["{sub}`a`", "```{note}\na\n```", ":::{note}\na\n:::"])
def test_what_nobody_has_said_how_to_write_is_refused(text):
    with pytest.raises(chapters.ChapterError, match=r"03_partition.*outside of the book"):
        plain(text)


@pytest.mark.parametrize("notebook", chapters.notebooks(), ids=lambda path: path.stem)
def test_every_notebook_of_the_book_reads_well(notebook):
    copy = nbformat.read(notebook, as_version=4)
    pages.complete(copy, notebook)
    page = str(notebook.relative_to(chapters.ROOT).with_suffix(""))
    downloads.plain(copy, page, downloads.book_numbers())
    nbformat.validate(copy)
