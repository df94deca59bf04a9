"""Widgets: live with a kernel, whole without one."""

import pytest
from pages import by_class, parse, valley

from splinelib.plotting import beside, widgets


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


def test_the_button_plays_to_the_end_and_the_slider_stops_it(static, browser, tmp_path):
    still = widgets.scrub(valley, [1, 2, 3, 4], "slope", "A valley of slope {}.", start=2)
    (tmp_path / "page.html").write_text(f"<!doctype html><body>{still.markup}</body>")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    output, play = page.locator("output"), page.get_by_role("button")
    play.click()
    page.wait_for_function("document.querySelector('output').textContent === '4'")
    assert play.inner_text() == "Play", "at the end it stops"
    play.click()
    assert (output.inner_text(), play.inner_text()) == ("1", "Pause"), "and begins anew"
    page.wait_for_function("document.querySelector('output').textContent === '2'")
    page.locator("input").focus()
    page.keyboard.press("Home")
    assert (output.inner_text(), play.inner_text()) == ("1", "Play")
    assert (
        page.locator(".sl-frame:visible svg[role=img]").get_attribute("aria-label").endswith("1.")
    )
    page.emulate_media(reduced_motion="reduce")
    assert not play.is_visible() and page.locator("input").is_visible()
    page.close()


def test_a_long_value_is_not_squeezed_on_a_phone(static, browser, tmp_path):
    told = {1: "short", 2: "half of the units removed, nothing made up for"}
    still = widgets.scrub(valley, list(told), "what goes", "A valley.", format=told.get)
    (tmp_path / "page.html").write_text(f"<!doctype html><body>{still.markup}</body>")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("input").fill("1")
    output = page.locator("output")
    assert output.inner_text() == told[2]
    assert output.bounding_box()["width"] > 0.6 * page.locator("figure").bounding_box()["width"]
    page.close()


def test_figures_beside_each_other_share_one_slider(static):
    def pair(value):
        return beside(valley(value), valley(-value))

    still = widgets.scrub(pair, [1, 2], "slope", "Valleys of slope {} and less.", caption="Two.")
    frames = by_class(parse(still), "sl-frame")
    assert len(frames) == still.frames == 2
    for value, frame in zip((1, 2), frames, strict=True):
        (row,) = frame.findall("*")
        assert (row.get("class"), row.get("role")) == ("sl-row", "group")
        assert row.get("aria-label") == f"Valleys of slope {value} and less."
        labels = [picture.get("aria-label") for picture in row.findall("*")]
        assert labels == [valley(value).alt, valley(-value).alt]
    assert still.markup.count("<figcaption>Two.</figcaption>") == 1


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
    (slider, play), view = box.children[0].children, box.children[1]
    assert (play.value, play.max) == (0, 2)
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
