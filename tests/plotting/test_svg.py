"""Drawings as SVG that follow the page they lie on."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from splinelib import plotting
from splinelib.plotting import svg


def every_figure(part) -> dict[str, plotting.Figure]:
    random = np.random.default_rng(0)
    accuracy = ([0.3, 0.5, 0.7], [[0.9, 0.8, 0.7], [0.8, 0.8, 0.6]])
    return {
        "max_affine": plotting.max_affine([-1, 0, 2], [0, 0.1, -1], "Three lines."),
        "code": plotting.partition(part, "A partition."),
        "layer": plotting.partition(part, "A partition.", color="layer"),
        "slope": plotting.partition(part, "A partition.", color="slope"),
        "areas": plotting.partition(part, "A partition.", color=part.areas),
        "curves": plotting.curves({"a": random.random((3, 5))}, "epoch", "loss", "Falling."),
        "accuracy": plotting.accuracy_against({"spline": accuracy}, "ratio", "Falling."),
        "matrix": plotting.distance_matrix(random.random((4, 4)), "Distances.", mark=1),
        "bars": plotting.layer_bars({"conv": 8}, {"conv": 3}, "Three of eight left."),
        "images": plotting.images(
            random.normal(size=(2, 8, 8)), "Noise.", titles=["a", "b"], signed=True
        ),
    }


def ids(markup: str) -> list[str]:
    return re.findall(r'\bid="([^"]+)"', markup)


def test_every_colour_follows_the_theme(part):
    for name, figure in every_figure(part).items():
        markup = figure._repr_html_()
        assert "#51c0" not in markup, f"{name}: a sentinel is left"
        assert "var(--sl-" in figure.svg, f"{name}: no colour follows the theme"
        for variable in set(re.findall(r"var\((--sl-\w+)", figure.svg)):
            assert f"{variable}:light-dark(" in svg.STYLE


def test_inline_svg_is_well_formed_and_leaves_the_page_alone(part):
    for name, figure in every_figure(part).items():
        root = ET.fromstring(figure.svg)
        tags = {node.tag.rpartition("}")[2] for node in root.iter()}
        assert not tags & {"style", "metadata", "script"}, name
        assert "width" not in root.attrib and "viewBox" in root.attrib, name


def test_ids_are_unique_even_when_a_figure_is_shown_twice():
    figure = plotting.max_affine([-1, 1], [0, 0], "A valley.")
    first, second = ids(figure._repr_html_()), ids(figure._repr_html_())
    assert first and not set(first) & set(second)
    markup = figure._repr_html_()
    assert len(ids(markup)) == len(set(ids(markup)))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup))
    assert used <= set(ids(markup)), "a reference to something that is not there"


def test_alt_and_caption_are_escaped():
    figure = plotting.max_affine([1], [0], 'A "line" <of> one', "a < b & c")
    markup = figure._repr_html_()
    assert 'aria-label="A &quot;line&quot; &lt;of&gt; one"' in markup
    assert "<figcaption>a &lt; b &amp; c</figcaption>" in markup


@pytest.mark.parametrize("alt", ["", "   ", None])
def test_alt_is_demanded(alt):
    with pytest.raises(ValueError, match="alt must say"):
        plotting.max_affine([1], [0], alt)


@pytest.mark.parametrize("theme, ink", [("light", "#1f2430"), ("dark", "#e8e8ea")])
def test_save_writes_a_standalone_file(tmp_path, theme, ink):
    path = tmp_path / "figure.svg"
    plotting.max_affine([-1, 1], [0, 0], "A <valley>.").save(path, theme)
    text = path.read_text("utf-8")
    root = ET.fromstring(text)
    assert root[0].tag.endswith("title") and root[0].text == "A <valley>."
    assert "var(" not in text and ink in text


def test_figures_side_by_side():
    figure = plotting.max_affine([1], [0], "A line.")
    markup = plotting.beside(figure, figure, caption="Twice")._repr_html_()
    assert markup.count('role="img"') == 2 and markup.count("<style>") == 1
    assert len(ids(markup)) == len(set(ids(markup)))
    with pytest.raises(TypeError, match="figures made by this module"):
        plotting.beside("a picture")


def test_a_wide_figure_is_drawn_such_that_a_phone_can_show_its_text():
    figure = plotting.figure(lambda ax, _: ax.set(xlabel="epoch"), "Nothing.", size=(9.0, 3.0))
    box = [float(number) for number in re.search(r'viewBox="([^"]+)"', figure.svg)[1].split()]
    assert box[2:] == pytest.approx([4.4 * 72, 3.0 * 72])
    assert figure.width == pytest.approx(1.15 * 4.4 * 96, abs=1)
    sizes = [100 * float(s) for s in re.findall(r"<g[^>]*scale\(([\d.]+)", figure.svg)]
    assert sizes and min(sizes) * 320 / box[2] >= 11
    wide = plotting.figure(lambda ax, _: None, "Nothing.", size=(9.0, 3.0), phone=False)
    assert f'viewBox="0 0 {9 * 72} ' in wide.svg and wide.width == 9 * 96


@pytest.mark.parametrize("place", ["xlabel", "ylabel", "title"])
def test_a_label_that_is_too_long_goes_on_in_a_second_line(place):
    canvas = Canvas(figsize=(3.0, 3.0), layout="constrained")
    ax = canvas.add_subplot()
    ax.set(**{place: "share of a random start's units without a line of their own"})
    svg.break_labels(ax)
    text = {"xlabel": ax.get_xlabel, "ylabel": ax.get_ylabel, "title": ax.get_title}[place]()
    assert 1 <= text.count("\n") <= 2 and text.replace("\n", " ").endswith("of their own")
    ax.set(**{place: "short"})
    svg.break_labels(ax)
    assert "\n" not in getattr(ax, f"get_{place}")()


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        ([1800, 15_000], ["2,000", "5,000", "10,000"]),
        ([0.5, 3], ["0.5", "1", "2"]),
        ([91, 210], ["120", "160", "200"]),
    ],
)
def test_a_logarithmic_axis_that_spans_little_has_few_plain_numbers(values, inside):
    canvas = Canvas()
    ax = canvas.add_subplot()
    ax.plot(values, values)
    ax.set(xscale="log")
    svg.plain_ticks(ax)
    canvas.draw_without_rendering()
    low, high = ax.get_xlim()
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert [text for text in shown if low <= float(text.replace(",", "")) <= high] == inside
    assert len(ax.get_xticks(minor=True)) == 0


def test_ticks_of_ones_own_and_wide_axes_stay_as_they_are():
    canvas = Canvas()
    ax = canvas.add_subplot()
    ax.plot([1, 16], [1e-9, 1e9])
    ax.set(xscale="log", yscale="log")
    ax.set_xticks([2, 7], ["two", "seven"])
    wide = ax.yaxis.get_major_locator()
    svg.plain_ticks(ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["two", "seven"]
    assert ax.yaxis.get_major_locator() is wide


@pytest.mark.parametrize(
    ("x", "whole"), [(range(1, 17), True), ([0.5, 1, 2, 3], False), ([1, np.nan, 3], False)]
)
def test_an_axis_of_whole_numbers_has_no_others(x, whole):
    ax = Canvas().add_subplot()
    ax.plot(list(x), range(len(x)))
    ax.axvline(0.5)
    ax.set_xlim(1, 3)
    svg.whole_ticks(ax)
    assert all(float(at).is_integer() for at in ax.get_xticks()) == whole
