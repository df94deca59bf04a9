"""Links to figures and to notebooks."""

import nbformat
import pytest

from tools import links

CAPTIONED = '<figure class="sl sl-figure"><svg/><figcaption>One.</figcaption></figure>'
BARE = '<figure class="sl sl-widget"><svg/></figure>'
REST = (
    '<figure class="other"></figure>'
    '<a href="../_sources/book/a.ipynb" target="_blank">.ipynb</a><a href="../a.html">a</a>'
)


def cell(name: str, *shown: str) -> nbformat.NotebookNode:
    outputs = [nbformat.v4.new_output("display_data", {"text/html": text}) for text in shown]
    return nbformat.v4.new_code_cell("", id=name, outputs=outputs)


def page_of(*cells: nbformat.NotebookNode) -> str:
    copy = nbformat.v4.new_notebook(cells=cells)
    links.name_figures(copy)
    return "".join(o.data["text/html"] for c in copy.cells for o in c.get("outputs", []))


def test_every_figure_of_the_book_has_a_name_and_a_link_to_itself():
    page = links.linked(page_of(cell("first", CAPTIONED), cell("next", BARE, CAPTIONED)) + REST)
    link = '<a class="headerlink" href="#figure-{}" title="Link to this figure">#</a>'
    assert (
        f'<figure id="figure-first" class="sl sl-figure"><svg/><figcaption>One.'
        f"{link.format('first')}" in page
    )
    assert f'<figure id="figure-next" class="sl sl-widget"><svg/>{link.format("next")}' in page
    assert 'id="figure-next-2"' in page
    assert '<figure class="other"></figure>' in page and page.count("headerlink") == 3


def test_a_new_figure_changes_no_link_to_another():
    alone, behind = page_of(cell("old", BARE)), page_of(cell("new", BARE), cell("old", BARE))
    assert behind.endswith(alone)


def test_a_figure_that_nobody_named_is_refused():
    with pytest.raises(ValueError, match="no name"):
        links.linked(BARE)


def test_a_notebook_is_saved_and_other_links_are_followed():
    page = links.linked(REST)
    assert '<a download href="../_sources/book/a.ipynb"' in page and '<a href="../a.html">' in page
