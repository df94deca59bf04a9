"""The pictures of cards: which figure is on them, and that all of it can be read."""

import xml.etree.ElementTree as ET

import nbformat
import numpy as np
import pytest

from splinelib import plotting
from tools import card_pictures, chapters, raster

NAME = "Spline Theory for Deep Network Pruning"


def line(ax, palette) -> None:
    ax.plot([0, 1], [0, 1], color=palette.kept)


def copy_of(tmp_path, *shown):
    cells = [nbformat.v4.new_markdown_cell("# Title")]
    for one in shown:
        output = nbformat.v4.new_output("display_data", {"text/html": one})
        cells.append(nbformat.v4.new_code_cell("", outputs=[output]))
    path = tmp_path / "03_copy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def still(monkeypatch):
    """Widgets as a page has them."""
    monkeypatch.setenv("SPLINELIB_WIDGETS", "static")


def test_the_first_figure_of_a_chapter_is_on_its_card(tmp_path):
    one, two = (plotting.figure(line, f"Figure {n}.") for n in "ab")
    path = copy_of(tmp_path, "<p>words</p>", one._repr_html_(), two._repr_html_())
    found = card_pictures.opening("book/a/03_copy", path)
    assert found.alt == "Figure a." and len(found.svgs) == 1 and found.shared is None


def test_of_a_widget_the_frame_that_is_shown_first(tmp_path, still):
    def drawn(_):
        return plotting.beside(plotting.figure(line, "Left."), plotting.figure(line, "Right."))

    moving = plotting.scrub(drawn, [1, 2, 3], "step", "Frame {}.", start=1)
    found = card_pictures.opening("book/a/03_copy", copy_of(tmp_path, moving._repr_html_()))
    assert found.alt == "Frame 2." and len(found.svgs) == 2
    assert found.shared is not None


def test_of_a_figure_with_several_pictures_all(tmp_path):
    views = "".join(f'<div><svg viewBox="0 0 1 1" aria-label="{n}."/></div>' for n in "ab")
    other = '<figure class="sl"><svg viewBox="0 0 1 1" aria-label="c."/></figure>'
    data = '<script type="application/json">{"a": 1}</script>'
    path = copy_of(tmp_path, f'<figure class="sl sl-live">{data}{views}</figure>{other}')
    assert card_pictures.opening("book/a/03_copy", path).alt == "a. b."


def test_a_chapter_without_a_figure_is_named(tmp_path):
    with pytest.raises(chapters.ChapterError, match="book/a/03_copy shows no figure"):
        card_pictures.opening("book/a/03_copy", copy_of(tmp_path, "<p>words</p>"))
    with pytest.raises(raster.NotDrawable, match="cannot be read"):
        card_pictures.opening("book/a/03_copy", copy_of(tmp_path, "<svg viewBox='0 0 1 1'>"))


def test_other_pages_have_a_picture_of_the_book():
    assert "regions" in card_pictures.opening("book/glossary", None).alt
    assert "decision boundary" in card_pictures.opening("book/playground", None).alt


@pytest.mark.parametrize("title", ["Short", "5. Overparametrise and prune, or initialise well?"])
@pytest.mark.parametrize("panels", [1, 2])
def test_title_and_figure_do_not_meet_and_end_inside(title, panels):
    figure = card_pictures.opening("book/glossary", None)
    figure = card_pictures.Opening(figure.svgs * panels, None, figure.alt)
    whole = np.asarray(card_pictures.draw(title, NAME, figure).image()).astype(int)
    assert whole.shape == (card_pictures.HEIGHT, card_pictures.WIDTH, 3)
    nothing = ET.fromstring('<svg viewBox="0 0 1 1"/>')
    empty = card_pictures.Opening((nothing,), None, "")
    bare = np.asarray(card_pictures.draw(title, NAME, empty).image())
    edge = np.concatenate([whole[:20, 20:], whole[-20:, 20:]])
    assert (edge == 255).all() and (whole[:, -12:] == 255).all()
    # the figure is large: it is most of what is not white
    assert (whole < 250).any(axis=2).mean() > 2 * (bare < 250).any(axis=2).mean()
