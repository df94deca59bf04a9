"""The early bird in the page: at every threshold and look-back it is the library's."""

import re

import numpy as np
import pytest
from distances import walk

import splinelib as sl
from splinelib.plotting import early_bird

PHONE = {"width": 390, "height": 844}
TOLD = re.compile(r"after epoch (\d+) of (\d+)\. (\d+) % of the way")


@pytest.fixture(scope="module")
def codes():
    return walk()


@pytest.fixture(scope="module")
def matrix(codes):
    detector = sl.EarlyBird()
    for one in codes:
        detector.update(one)
    return detector.matrix


@pytest.fixture
def opened(shown, matrix):
    def visit(**options):
        figure = early_bird(matrix, "A run.", chance=0.5, falls=[8], caption="A run.")
        return shown(figure, **options)

    return visit


def move(page, slider: str, at: int) -> None:
    page.get_by_role("slider", name=slider, exact=True).evaluate(
        "(input, at) => { input.value = at; input.dispatchEvent(new Event('input')); }", at
    )


def told(page) -> tuple[int | None, str]:
    """The epoch that the page names, and all that it says."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    text = page.locator(".sl-facts").inner_text()
    found = TOLD.search(text)
    assert found or text.startswith("Never: no epoch is that close")
    return (int(found[1]) if found else None), text


def test_the_epoch_is_the_library_s_at_every_threshold_and_look_back(opened, codes, matrix):
    page, seen = opened(), set()
    distances = [matrix[t, s] for t in range(len(matrix)) for s in range(t)]
    for lookback in (1, 2, 3, 7, 10):
        move(page, "epochs looked back", lookback - 1)
        for at in range(0, 100, 3):
            threshold = (at + 1) / 200
            move(page, "threshold", at)
            assert page.locator("output").first.inner_text() == f"{threshold:g}"
            detector = sl.EarlyBird(threshold, lookback)
            for one in codes:
                detector.update(one)
            epoch, text = told(page)
            assert epoch == (None if detector.epoch is None else detector.epoch + 1), threshold
            seen.add(epoch)
            if epoch:
                way = matrix[epoch - 1, -1] / matrix[0, -1]
                assert int(TOLD.search(text)[3]) == pytest.approx(100 * way, abs=0.501)
    assert None in seen and len(seen) > 5 and len(set(distances)) > 40


def test_a_distance_equal_to_the_threshold_is_not_below_it(shown):
    apart = 0.16 * (1 - np.eye(4))
    page = shown(early_bird(apart, "A run.", chance=0.5, lookback=2))
    assert told(page)[0] is None
    page.get_by_role("slider", name="threshold", exact=True).press("ArrowRight")
    assert told(page)[0] == 3


def test_both_pictures_follow_and_say_what_they_show(opened):
    page = opened()
    pictures = "[...document.querySelectorAll('.sl-canvas')].map(c => c.toDataURL())"
    told(page)
    before = page.evaluate(pictures)
    labels = page.locator(".sl-canvas").evaluate_all("c => c.map(e => e.ariaLabel)")
    move(page, "threshold", 5)
    _, text = told(page)
    after = page.evaluate(pictures)
    assert all(one != two for one, two in zip(before, after, strict=True))
    for label in page.locator(".sl-canvas").evaluate_all("c => c.map(e => e.ariaLabel)"):
        assert label not in labels and "Threshold 0.03, look-back 3." in label and text in label


def test_settled_cells_have_the_colour_of_the_threshold(opened, matrix):
    """The blue cells of the picture are those below the threshold, at two of its positions."""
    page = opened()
    for at in (15, 31):
        move(page, "threshold", at)
        told(page)
        blue = page.evaluate(
            """epochs => {
                const canvas = document.querySelector(".sl-canvas");
                const figure = document.querySelector(".sl-live").figure;
                const { cells } = figure;
                const ratio = canvas.width / canvas.clientWidth;
                return Array.from({ length: epochs * epochs }, (_, i) => {
                    const at = [i % epochs, Math.floor(i / epochs)].map(k => k + 0.8);
                    const [x, y] = [cells.px(at[0]), cells.py(at[1])].map(v => v * ratio);
                    const [r, , b] = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
                    return b - r > 80; // the other colour is nearly grey
                });
            }""",
            len(matrix),
        )
        expected = (matrix < (at + 1) / 200).ravel()
        assert (np.array(blue) == expected).all()
        assert 0 < expected.sum() < len(expected)


def test_the_line_is_dragged_by_mouse(opened):
    page = opened()
    box = page.locator(".sl-canvas").nth(1).bounding_box()
    place = page.evaluate(
        "() => { const a = document.querySelector('.sl-live').figure.paceAxes;"
        "return [0.16, 0.3].map(v => a.py(v)).concat(a.px(6)); }"
    )
    x = box["x"] + place[2]
    page.mouse.move(x, box["y"] + place[0])
    assert page.locator(".sl-canvas").nth(1).evaluate("e => e.style.cursor") == "ns-resize"
    page.mouse.down()
    page.mouse.move(x, box["y"] + place[1], steps=4)
    page.mouse.up()
    assert page.locator("output").first.inner_text() == "0.3"
    page.mouse.move(x, box["y"] + place[0])
    assert page.locator("output").first.inner_text() == "0.3"


def test_a_finger_moves_the_line_and_scrolls_beside_it(opened):
    page = opened(viewport=PHONE, has_touch=True, is_mobile=True)
    canvas = page.locator(".sl-canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    reply = canvas.evaluate(
        """canvas => {
            const axes = document.querySelector(".sl-live").figure.paceAxes;
            const box = canvas.getBoundingClientRect();
            const at = v => ({ pointerType: "touch", pointerId: 1, bubbles: true, cancelable: true,
                clientX: box.left + 90, clientY: box.top + axes.py(v) });
            canvas.setPointerCapture = () => {};
            const press = v => {
                canvas.dispatchEvent(new PointerEvent("pointerdown", at(v)));
                const touch = new Event("touchstart", { cancelable: true });
                canvas.dispatchEvent(touch);
                canvas.dispatchEvent(new PointerEvent("pointermove", at(v + 0.05)));
                canvas.dispatchEvent(new PointerEvent("pointerup", at(v + 0.05)));
                return [touch.defaultPrevented, document.querySelector("output").textContent];
            };
            return [press(0.4), press(0.16)];
        }"""
    )
    assert reply == [[False, "0.16"], [True, "0.21"]]


def test_keys_and_the_button_move_the_threshold(opened):
    page = opened()
    slider = page.get_by_role("slider", name="threshold", exact=True)
    slider.press("End")
    assert slider.get_attribute("aria-valuetext") == "0.5"
    assert told(page)[0] == 4, "as soon as there are three before it"
    slider.press("Home")
    assert told(page)[0] is None
    assert page.locator(".sl-play").count() == 1, "what is looked back has none"
    page.locator(".sl-play").click()
    page.wait_for_function("document.querySelector('output').textContent === '0.02'")


def test_on_a_phone_sliders_stand_between_the_pictures(opened):
    page = opened(viewport=PHONE)
    one, two = (page.locator(".sl-canvas").nth(i).bounding_box() for i in range(2))
    slider = page.get_by_role("slider", name="threshold", exact=True).bounding_box()
    assert one["width"] > 300 and one["y"] + one["height"] < slider["y"] < two["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_without_scripts_and_in_print_the_pictures_of_the_start_are_there(opened):
    still = opened(java_script_enabled=False)
    assert still.get_by_role("img", name="A run.").is_visible()
    assert still.locator("input").count() == 0
    assert TOLD.search(still.locator(".sl-side").inner_text())
    page = opened()
    move(page, "threshold", 0)
    page.emulate_media(media="print")
    assert page.locator(".sl-still svg").first.is_visible()
    assert not page.locator(".sl-canvas").first.is_visible()
    assert page.locator(".sl-side").inner_text().strip().startswith("Threshold 0.16, look-back 3.")


def test_who_asks_for_less_motion_has_no_button(opened):
    page = opened(reduced_motion="reduce")
    assert not page.locator(".sl-play").is_visible()
    assert page.get_by_role("slider", name="threshold", exact=True).is_visible()


def test_two_figures_on_a_page_move_by_themselves(shown, matrix):
    page = shown(early_bird(matrix, "One."), early_bird(matrix, "Two."))
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    facts = page.locator(".sl-facts")
    before = facts.all_inner_texts()
    page.get_by_role("slider", name="threshold", exact=True).nth(1).press("Home")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    after = facts.all_inner_texts()
    assert after[0] == before[0] and after[1].startswith("Never") and before[1] == before[0]


def test_a_figure_that_is_opened_later_is_drawn_then(shown, matrix):
    page = shown(early_bird(matrix, "A run."))
    drawn = page.locator(".sl-canvas").first
    told(page)
    expected = drawn.evaluate("c => [c.width, c.toDataURL()]")
    page.evaluate(
        """() => {
            const live = document.querySelector(".sl-live");
            live.style.display = "none";
        }"""
    )
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(50)
    page.emulate_media(color_scheme="light")
    page.evaluate("() => { document.querySelector('.sl-live').style.display = ''; }")
    page.wait_for_function(
        "([width, url]) => { const c = document.querySelector('.sl-canvas');"
        "return c.width === width && c.toDataURL() === url; }",
        arg=expected,
    )
