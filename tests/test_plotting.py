import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

import splinelib as sl
from splinelib import plotting, svg
from splinelib.plotting import Cell


@pytest.fixture(scope="module")
def part():
    network = sl.models.mlp([2, 6, 6, 1], seed=3)
    return sl.partition(network, domain=((-1, 1), (-1, 1)))


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


def test_the_same_data_gives_the_same_picture(part):
    one, two = (plotting.partition(part, "A partition.").svg for _ in range(2))
    assert one == two


@pytest.mark.parametrize("theme, ink", [("light", "#1f2430"), ("dark", "#e8e8ea")])
def test_save_writes_a_standalone_file(tmp_path, theme, ink):
    path = tmp_path / "figure.svg"
    plotting.max_affine([-1, 1], [0, 0], "A <valley>.").save(path, theme)
    text = path.read_text("utf-8")
    root = ET.fromstring(text)
    assert root[0].tag.endswith("title") and root[0].text == "A <valley>."
    assert "var(" not in text and ink in text


def contrast(one: str, two: str) -> float:
    """WCAG 2 contrast ratio of two hex colours."""

    def luminance(colour: str) -> float:
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        low = channels <= 0.04045
        linear = np.where(low, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_told_from_the_page():
    for name, (light, dark) in svg._COLOURS.items():
        if name in ("grid", "surface"):
            continue
        least = 4.5 if name in ("ink", "muted") else 3.0
        assert contrast(light, "#ffffff") >= least, name
        assert contrast(dark, "#121212") >= least, name


def test_criteria_keep_their_colour_and_unknown_names_differ():
    palette = plotting.Palette()
    known = [palette.series(name) for name in ("spline", "magnitude", "bn", "random", "fpgm")]
    assert len(set(known)) == 5
    assert palette.series("spline", 0) == palette.series("spline", 4)
    assert palette.series("mine", 0) != palette.series("mine", 1)
    assert palette.series("lottery (spline)") == palette.series("lottery", 3)
    assert palette.series("lottery") not in known
    assert palette.depth(0, 3) != palette.depth(1, 3) != palette.depth(2, 3)


def test_a_fill_stays_with_its_code_when_the_network_moves():
    """A widget would flicker otherwise: a code has the same colour in any partition."""
    network = sl.models.mlp([2, 4, 1], seed=0)
    colours = {}
    for shift in (0.0, 0.05):
        with torch.no_grad():
            network.linear1.bias += shift
        part = sl.partition(network, domain=((-2, 2), (-2, 2)))
        hue = np.arctan2(*plotting._code_plane(part).T)
        for row, value in zip(part.codes.unpack("linear1").tolist(), hue, strict=True):
            colours.setdefault(tuple(row), []).append(value)
    shared = [values for values in colours.values() if len(values) == 2]
    assert len(shared) > 3
    assert all(np.isclose(*values) for values in shared)


def test_large_partitions_become_pixels(part, monkeypatch):
    vector = plotting.partition(part, "A partition.").svg
    monkeypatch.setattr(plotting, "_RASTER_REGIONS", 1)
    raster = plotting.partition(part, "A partition.").svg
    assert "data:image/png" in raster and "data:image/png" not in vector
    assert "#51c0" not in raster


def test_figures_side_by_side():
    figure = plotting.max_affine([1], [0], "A line.")
    markup = plotting.beside(figure, figure, caption="Twice")._repr_html_()
    assert markup.count('role="img"') == 2 and markup.count("<style>") == 1
    assert len(ids(markup)) == len(set(ids(markup)))
    with pytest.raises(TypeError, match="figures made by this module"):
        plotting.beside("a picture")


def test_bad_input_is_named(part):
    bad = np.array([[0.0, np.nan]])
    cases = [
        (lambda: plotting.max_affine([1, 2], [0], "x"), "one number per line"),
        (lambda: plotting.max_affine([np.inf], [0], "x"), "slopes must hold finite"),
        (lambda: plotting.max_affine([1], [0], "x", domain=(1, 0)), "domain runs from"),
        (lambda: plotting.partition(part, "x", color="rainbow"), "rainbow"),
        (lambda: plotting.partition(part, "x", color=[1.0, 2.0]), "2 values for"),
        (lambda: plotting.curves({}, "a", "b", "x"), "nothing to draw"),
        (lambda: plotting.curves({"loss": bad}, "a", "b", "x"), "loss must hold finite"),
        (lambda: plotting.accuracy_against({"s": ([0.5], [93.0])}, "a", "x"), "not in percent"),
        (lambda: plotting.accuracy_against({"s": ([0.5], [0.9, 0.8])}, "a", "x"), "1 x for 2"),
        (lambda: plotting.distance_matrix(np.ones((2, 3)), "x"), "square"),
        (lambda: plotting.distance_matrix(np.full((2, 2), np.nan), "x"), "no finite"),
        (lambda: plotting.layer_bars({"a": 3}, {"b": 3}, "x"), "same layers"),
        (lambda: plotting.layer_bars({"a": 3}, {"a": 4}, "x"), "more channels"),
        (lambda: plotting.images(np.ones((8, 8)), "x"), "shape"),
        (lambda: plotting.images(np.ones((2, 8, 8)), "x", titles=["a"]), "1 titles"),
        (lambda: plotting.table([[1, 2]], ["a"], "t"), "every row needs 1"),
        (lambda: plotting.table([], ["a"], "t"), "every row"),
        (lambda: Cell(1.0, "guess"), "source is one of"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_column_of_prose_is_flush_left_from_head_to_foot():
    rows = [
        ["lr", 0.1, "of SGD"],
        ["seed", "3.25% (2.10% to 4.60%)", "of weights, order and crops"],
    ]
    root = ET.fromstring(plotting.table(rows, ["", "value", "what it is"], "Settings").markup)
    for row in root.findall(".//tr"):
        assert [cell.get("class") for cell in row] == [None, None, "sl-prose"]


def test_a_range_goes_below_its_mean_and_reads_the_same():
    texts = ["79.6% (79.5% to 79.8%)", "-0.61 (-0.82 to +0.40)", "3 (1–5)", "0.25 (default 1.0)"]
    cells = [Cell(text, "record", "runs/a.json") for text in texts]
    root = ET.fromstring(plotting.table([["spline", *cells]], list("abcde"), "Ranges").markup)
    found = root.findall(".//td")
    assert [td.findtext("small") for td in found] == [
        *("(79.5% to 79.8%)", "(-0.82 to +0.40)", "(1–5)", None)
    ]
    assert ["".join(td.itertext()).replace("b", "", 1) for td in found[:3]] == texts[:3]


def test_table_names_rows_columns_and_sources():
    paper, record = "https://example.org/?a=1&b=2", "runs/a.json"
    rows = [
        ["dense", Cell(93.4, "published", paper), Cell(None)],
        ["spline <50 %>", Cell(93.125, "record", record), Cell(None, note="not published")],
    ]
    columns = ["network", "accuracy", "cost"]
    shown = plotting.table(rows, columns, "Accuracy & cost", format="{:.1f}")
    root = ET.fromstring(shown._repr_html_())
    assert root.findtext(".//caption") == root.findtext("span") == "Accuracy & cost"
    assert [th.text for th in root.findall(".//thead//th[@scope='col']")] == columns
    assert [th.text for th in root.findall(".//tbody//th[@scope='row']")] == [
        "dense",
        "spline <50 %>",
    ]
    assert [a.get("href") for a in root.findall(".//td/a")] == [paper, record]
    assert [a.text for a in root.findall(".//td/a")] == ["93.4", "93.1"]
    assert [i.text for i in root.findall(".//td/i")] == ["not recorded", "not published"]
    notes = "".join(root.find("p").itertext())
    assert "recorded run" in notes and "published" in notes and "this page" not in notes
    assert root.find("div").get("tabindex") == "0", "the scrolling part must be reachable by key"
