"""A page of its own."""

import pytest

from splinelib import plotting
from splinelib.plotting.pages import save_page


def test_a_page_holds_its_parts_in_order_as_text(tmp_path):
    figure = plotting.figure(lambda ax, _: ax.plot([0, 1], [0, 1]), "A rising line.")
    table = plotting.table([["a", 1]], ["name", "value"], "A table")
    path = tmp_path / "deep" / "index.html"
    save_page(path, "Title & more", ["# Head <i>", "Words <b>", figure, table])
    text = path.read_text("utf-8")
    places = [text.index(x) for x in ("Title &amp; more</h1>", "Head &lt;i&gt;", "Words &lt;b&gt;")]
    places += [text.index('aria-label="A rising line."'), text.index("<caption>A table")]
    assert places == sorted(places)
    assert 'name="viewport"' in text and 'lang="en"' in text and "<script" not in text


def test_what_cannot_be_shown_leaves_no_page(tmp_path):
    with pytest.raises(AttributeError):
        save_page(tmp_path / "index.html", "Title", [3])
    assert not (tmp_path / "index.html").exists()
