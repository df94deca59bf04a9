import re
import xml.etree.ElementTree as ET

import pytest

from splinelib import plotting, widgets


def valley(width: float) -> plotting.Figure:
    return plotting.max_affine([-width, width], [0, 0], "replaced by the widget's alt")


@pytest.fixture
def static(monkeypatch):
    monkeypatch.setenv(widgets.MODE, "static")


def parse(still: widgets.Still) -> ET.Element:
    return ET.fromstring(still._repr_html_())  # well-formed, so that it can be read as XML too


def by_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [node for node in root.iter() if name in node.get("class", "").split()]


def test_every_frame_is_in_the_page_and_one_is_visible(static):
    still = widgets.scrub(valley, [1, 2, 3], "slope", "A valley of slope {}.", start=1)
    frames = by_class(parse(still), "sl-frame")
    assert len(frames) == still.frames == 3
    assert ["hidden" in frame.attrib for frame in frames] == [True, False, True]


def test_the_slider_is_labelled_and_says_its_value(static):
    root = parse(
        widgets.scrub(valley, [0.5, 1], 'slope <"a">', "Slope {:.1f}.", format="{:.0%}", start=-1)
    )
    slider, label, output = root.find(".//input"), root.find(".//label"), root.find(".//output")
    assert slider.get("type") == "range"
    assert (slider.get("min"), slider.get("max"), slider.get("value")) == ("0", "1", "1")
    assert label.get("for") == output.get("for") == slider.get("id")
    assert label.text == 'slope <"a">'
    assert output.text == slider.get("aria-valuetext") == "100%"


def test_each_frame_has_its_own_escaped_alt_text(static):
    still = widgets.scrub(valley, [1, 2], "slope", lambda value: f'"{value}" < 3', caption="a & b")
    pictures = parse(still).findall(".//*[@role='img']")
    assert [picture.get("aria-label") for picture in pictures] == ['"1" < 3', '"2" < 3']
    assert "<figcaption>a &amp; b</figcaption>" in still.markup


def test_ids_are_unique_across_widgets_and_every_reference_resolves(static):
    both = [widgets.scrub(valley, [1, 2], "slope", "{}").markup for _ in range(2)]
    page = "".join(both)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    for markup in both:
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup))
        assert used and used <= set(re.findall(r'\bid="([^"]+)"', markup))


def flatten(svg: ET.Element, definitions: dict[str, ET.Element]) -> list:
    """What an SVG draws, with every <use> followed."""
    drawn = []
    for node in svg:
        target = node.get("href", "")[1:]
        if node.tag.endswith("use") and target in definitions:
            drawn.append(flatten_one(definitions[target], definitions, node))
        elif not node.tag.endswith("defs"):
            drawn.append(flatten_one(node, definitions))
    return drawn


def flatten_one(node: ET.Element, definitions: dict, use: ET.Element | None = None):
    at = tuple(use.get(k) for k in ("x", "y", "transform")) if use is not None else ()
    if at == (None, None, None):  # a shared group, not a marker or a glyph
        at = ()
    clip = node.get("clip-path", "")[5:-1]
    outline = ET.tostring(definitions[clip][0], encoding="unicode") if clip else ""
    outline = re.sub(r'( xmlns="[^"]*"| id="[^"]*")', "", outline)
    # A path that draws nothing apart, such as an empty group, is kept: structure must match.
    return (node.tag.rpartition("}")[2], node.get("d"), node.get("transform"), node.get("style"),
            at, outline, flatten(node, definitions))  # fmt: skip


def definitions_of(root: ET.Element) -> dict[str, ET.Element]:
    return {node.get("id"): node for node in root.iter() if node.get("id")}


def test_sharing_changes_no_picture(static):
    """Each frame, with what it shares put back, draws what its figure drew."""
    values = [0.5, 1.0, 2.0]
    root = parse(widgets.scrub(valley, values, "slope", "{}"))
    shared = definitions_of(root)
    for frame, value in zip(by_class(root, "sl-frame"), values, strict=True):
        alone = ET.fromstring(valley(value).svg)
        assert flatten(frame[0], shared) == flatten(alone, definitions_of(alone))


def test_frames_share_what_does_not_change(static):
    frames = 20
    still = widgets.scrub(valley, [1 + i / 1000 for i in range(frames)], "slope", "{}")
    alone = len(valley(1.0).svg)
    assert len(still.markup) < 0.5 * frames * alone


def test_a_page_that_grows_too_large_is_reported(static, monkeypatch):
    monkeypatch.setattr(widgets, "_BUDGET", 1000)
    with pytest.warns(UserWarning, match="use fewer values"):
        widgets.scrub(valley, [1, 2], "slope", "{}")


def test_without_a_kernel_the_widget_is_static(monkeypatch):
    monkeypatch.delenv(widgets.MODE, raising=False)
    assert not widgets.is_live()
    assert isinstance(widgets.scrub(valley, [1, 2], "slope", "{}"), widgets.Still)


def test_with_a_kernel_the_picture_follows_the_slider(monkeypatch):
    monkeypatch.setattr(widgets, "is_live", lambda: True)
    drawn = []

    def draw(value):
        drawn.append(value)
        return valley(value)

    box = widgets.scrub(draw, [1, 2, 3], "slope", "Slope {}.", format="{} units")
    slider, view = box.children
    assert slider.description == "slope"
    assert drawn == [1] and 'aria-label="Slope 1."' in view.value
    slider.value = 2
    assert drawn == [1, 3] and 'aria-label="Slope 3."' in view.value
    slider.value = 0
    assert drawn == [1, 3], "a picture already drawn is not drawn again"


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: widgets.scrub(valley, [1], "slope", "{}"), ValueError, "at least two values"),
        (lambda: widgets.scrub(valley, [1, 2], " ", "{}"), ValueError, "label must say"),
        (lambda: widgets.scrub(valley, [1, 2], "slope", ""), ValueError, "alt must say"),
        (lambda: widgets.scrub(valley, [1, 2], "s", "{}", start=2), ValueError, "start is"),
        (lambda: widgets.scrub(lambda v: v, [1, 2], "s", "{}"), TypeError, "must return a figure"),
    ],
)
def test_bad_input_is_named(static, call, error, message):
    with pytest.raises(error, match=message):
        call()
