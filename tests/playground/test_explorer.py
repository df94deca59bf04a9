"""The star of a chapter's figure, moved as readers do: code, A and b are the library's there."""

import io
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import integer_networks, network, random_network
from PIL import Image

import splinelib as sl
from splinelib.plotting import Live, explorer
from splinelib.plotting.pages import save_page

START = (0.35, -0.6)
PHONE = {"width": 390, "height": 844}
FIGURE = "document.querySelector('.sl-live').figure"
TIGHT = 1e-9
SHOWN = ("color", "boundary", "lines", "units", "chosen")


@pytest.fixture(scope="module")
def model():
    return random_network([7, 6], 5, outputs=2).double()


@pytest.fixture
def opened(shown, model):
    """Opens a page with the explorer of a network, as a file, with no network to load from."""

    def visit(network=model, domain=((-1, 1), (-1, 1)), star=START, **options):
        part = sl.partition(network, domain=domain)
        told = {name: options.pop(name) for name in SHOWN if name in options}
        text = sl.models.to_json(network)
        figure = explorer(text, part, "A square in pieces.", star, "Drag it.", **told)
        return shown("Before it.", figure, figure, **options)

    return visit


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def check(page, model) -> list[str]:
    """Assert that what stands on the page is what the library says at the star; gives the code."""
    page.wait_for_timeout(60)  # it is drawn in the next frame
    star, reading = page.evaluate(f"[{FIGURE}.star, {FIGURE}.reading]")
    at = torch.tensor([star], dtype=torch.float64)
    codes = sl.region_codes(model, at)
    bits = [codes.unpack(name)[0].int().tolist() for name in codes.layers]
    assert reading["bits"] == bits
    A, b = (values.numpy() for values in sl.affine_map(model, at[0]))
    size = 1 + np.abs(A).max() + np.abs(b).max()
    assert np.abs(np.array(reading["A"]) - A).max() < TIGHT * size
    assert np.abs(np.array(reading["b"]) - b).max() < TIGHT * size
    shown = page.locator(".sl-live").first
    assert shown.locator(".sl-bits").all_inner_texts() == ["".join(map(str, row)) for row in bits]
    written = [number(text) for text in shown.locator(".sl-maps .sl-value").all_inner_texts()]
    assert written == pytest.approx([*A.flatten(), *b], abs=0.00501)
    assert f"({star[0]:.2f}, {star[1]:.2f})".replace("-", "−") == re.sub(
        "−0.00", "0.00", shown.locator(".sl-place").inner_text()
    ) or 0 in np.round(star, 2)
    return shown.locator(".sl-bits").all_inner_texts()


def place(page, x: float, y: float, low=-1.0, high=1.0) -> tuple[float, float]:
    """Pixels of the page at a point of the square."""
    box = page.locator(".sl-canvas").first.bounding_box()
    unit = box["width"] / (high - low)
    return box["x"] + unit * (x - low), box["y"] + unit * (high - y)


def test_the_mouse_drags_the_star(opened, model):
    page = opened()
    first = check(page, model)
    assert page.evaluate(f"{FIGURE}.star") == list(START)
    assert "Drag the star" in page.locator(".sl-news").first.inner_text()
    page.mouse.move(*place(page, *START))
    page.mouse.down()
    seen = {tuple(first)}
    for x, y in ((0.2, -0.4), (-0.3, 0.1), (-0.6, 0.7), (0.9, 0.9)):
        page.mouse.move(*place(page, x, y), steps=5)
        seen.add(tuple(check(page, model)))
        assert page.evaluate(f"{FIGURE}.star") == pytest.approx([x, y], abs=0.005)
    assert len(seen) > 2
    page.mouse.move(*place(page, 1.4, 0.5))  # dragged out of the square it stays at its edge
    assert page.evaluate(f"{FIGURE}.star[0]") == 1
    page.mouse.up()
    page.mouse.move(*place(page, 0, 0))
    assert page.evaluate(f"{FIGURE}.star[0]") == 1, "let go, it stays"
    assert page.evaluate("document.querySelectorAll('.sl-live')[1].figure.star") == list(START)


def test_keys_move_the_star_and_what_changed_is_said(opened, model):
    page = opened()
    page.locator(".sl-canvas").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert page.evaluate(f"{FIGURE}.star") == pytest.approx([0.39, -0.4])
    before = check(page, model)
    for _ in range(8):
        page.keyboard.press("Shift+ArrowUp")
        after = check(page, model)
        changed = sum(one != two for one, two in zip("".join(before), "".join(after), strict=True))
        if changed:
            assert page.locator(".sl-live").first.locator(".sl-changed").count() == changed
            told = page.locator(".sl-news").first.inner_text()
            one = "The star crossed the line of unit"
            assert told.startswith(one if changed == 1 else f"{changed} bits")
        before = after
    assert page.evaluate(f"{FIGURE}.star[1]") == 1
    page.wait_for_function("document.querySelector('.sl-unseen').textContent.startsWith('At 0.39')")
    label = page.locator(".sl-canvas").first.get_attribute("aria-label")
    assert f"{len(sl.partition(model))} regions" in label and "".join(after[0]) in label


def test_a_finger_takes_the_star_taps_a_place_and_else_scrolls(opened, model):
    page = opened(viewport=PHONE, has_touch=True, is_mobile=True)
    finger = page.context.new_cdp_session(page)

    def swipe(start, end) -> None:
        for kind, where in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
            points = [] if where is None else [dict(zip("xy", where, strict=True))]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            page.wait_for_timeout(80)

    page.locator(".sl-canvas").first.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    swipe(place(page, *START), place(page, -0.4, 0.5))
    assert page.evaluate(f"{FIGURE}.star") == pytest.approx([-0.4, 0.5], abs=0.03)
    assert page.evaluate("scrollY") == scrolled
    check(page, model)
    swipe(place(page, 0.6, 0.2), place(page, 0.6, 0.2))
    assert page.evaluate(f"{FIGURE}.star") == pytest.approx([0.6, 0.2], abs=0.03)
    swipe(place(page, -0.7, -0.5), place(page, -0.7, 0.4))
    assert page.evaluate(f"{FIGURE}.star") == pytest.approx([0.6, 0.2], abs=0.03)
    check(page, model)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_other_squares_and_one_output(opened):
    model = random_network([5, 4, 3], 8).double()
    page = opened(model, domain=((0, 3), (0, 3)), star=(1.0, 2.0))
    assert page.locator(".sl-along").first.inner_text().split() == ["0", "x₁", "3"]
    check(page, model)
    page.mouse.click(*place(page, 2.5, 0.5, 0, 3))
    assert page.evaluate(f"{FIGURE}.star") == pytest.approx([2.5, 0.5], abs=0.01)
    check(page, model)


def test_a_bit_shows_its_unit_s_line(opened):
    page = opened()
    bit = page.locator(".sl-live").first.locator(".sl-bit").nth(8)
    assert bit.get_attribute("title") == "unit 1 of layer 2"
    plain = page.evaluate("document.querySelector('.sl-canvas').toDataURL()")
    bit.hover()
    assert page.evaluate(f"{FIGURE}.pointed") == [1, 1]
    page.wait_for_timeout(60)
    assert page.evaluate("document.querySelector('.sl-canvas').toDataURL()") != plain
    page.mouse.move(5, 5)
    assert page.evaluate(f"{FIGURE}.pointed") is None


def test_a_unit_that_nothing_reads_changes_no_map(opened):
    model = network([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, 0.0]], [0.5])])
    page = opened(model, star=(0.5, 0.02))
    page.locator(".sl-canvas").first.focus()
    page.keyboard.press("ArrowDown")
    check(page, model)
    told = page.locator(".sl-news").first.inner_text()
    assert told == (
        "The star crossed the line of unit 1 of layer 1: one bit has changed. "
        "A and b stay: none of this reaches the outputs here."
    )


def test_colours_follow_the_page(opened):
    page = opened(color_scheme="dark")
    page.wait_for_timeout(60)
    dark = page.evaluate(f"{FIGURE}.colours.ink")
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{FIGURE}.colours.ink !== '{dark}'")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"{FIGURE}.colours.ink === '{dark}'")


def test_where_no_scripts_run_the_still_picture_stands_there(opened):
    page = opened(java_script_enabled=False)
    still = page.get_by_role("img", name="A square in pieces.").first
    box = still.bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1) and box["width"] > 300
    assert "code " in page.locator(".sl-side").first.inner_text()


def test_a_network_that_cannot_be_drawn_says_so_and_the_others_move(browser, tmp_path, model):
    part = sl.partition(model)
    figure = explorer(sl.models.to_json(model), part, "A square in pieces.", START)
    broken = Live(figure.markup.replace('"version": 1', '"version": 7'), "Broken.")
    assert broken.markup != figure.markup
    save_page(tmp_path / "page.html", "A page", [broken, figure])
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    first, second = page.locator(".sl-live").all()
    assert "This figure does not move: This network file cannot be read" in first.inner_text()
    assert first.locator(".sl-still").is_visible() and second.locator("canvas").is_visible()
    page.close()


def test_print_has_the_still_picture(opened):
    page = opened(units=True, network=network([*AXES[:1], ([[1.0, 1.0]], [0.0])]))
    page.locator(".sl-remove").first.click()
    page.wait_for_timeout(60)
    page.emulate_media(media="print")
    assert page.locator(".sl-still").first.is_visible()
    assert not page.locator(".sl-canvas").first.is_visible()
    told = page.locator(".sl-side").first.inner_text()
    assert " ".join(told.split()) == "x = (0.35, −0.60) code 10 A = (1.00 0.00) b = (0.50)", (
        "beside the still picture stands what it shows, whatever was removed since"
    )


def test_text_is_large_enough_on_a_phone(opened):
    page = opened(viewport=PHONE)
    sizes = page.evaluate(
        """() => [...document.querySelectorAll(".sl-live *")]
            .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
            .filter(e => e.checkVisibility())
            .map(e => [parseFloat(getComputedStyle(e).fontSize), e.className])"""
    )
    assert len(sizes) > 20 and min(sizes)[0] >= 11


# --- lines and units ----------------------------------------------------------------------


def layers_of(page):
    """The network in the figure, as the library reads it."""
    call = f"{FIGURE}.layers.map(l => [[...l.weight], [...l.bias], l.inputs])"
    return network(
        [(np.reshape(w, (len(b), inputs)).tolist(), b) for w, b, inputs in page.evaluate(call)]
    )


def count(page) -> int:
    page.wait_for_timeout(60)
    return int(re.match(r"\d+", page.locator(".sl-facts").first.inner_text())[0])


def drag(page, start, *stops) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    for stop in stops:
        page.mouse.move(*place(page, *stop), steps=4)
    page.mouse.up()


AXES = [([[1.0, 0.0], [0.0, 2.0]], [0.5, 0.8]), ([[1.0, -1.0], [0.5, 1.0]], [0.1, -0.2])]


def test_a_line_is_moved_turned_and_put_back(opened):
    model = network([*AXES, ([[1.0, 1.0]], [0.0])])
    page = opened(model, lines=True, color="code", boundary=False)
    assert count(page) == len(sl.partition(model))
    drag(page, (-0.5, 0.9), (0.0, 0.9), (0.25, 0.9))  # x = -1/2, not at a handle
    moved = layers_of(page)
    assert moved[0].bias.tolist() == pytest.approx([-0.25, 0.8], abs=0.01)
    assert count(page) == len(sl.partition(moved))
    drag(page, (0.25, 0.6), (0.05, 0.7))  # one handle; the other stays at (1/4, -3/5)
    turned = layers_of(page)
    with torch.no_grad():
        on_line = turned[0](torch.tensor([[0.25, -0.6], [0.05, 0.7]], dtype=torch.float64))[:, 0]
    assert on_line.abs().max() < 0.015
    assert turned[0].weight[0].norm().item() == pytest.approx(1)
    assert count(page) == len(sl.partition(turned))
    check(page, turned)
    page.locator(".sl-back").first.click()
    assert [p.tolist() for p in layers_of(page).parameters()] == [
        p.tolist() for p in model.parameters()
    ]


def test_half_a_turn_in_one_step_ends_as_one_in_many(opened):
    """A hand may be faster than the page: the side on which the unit is on turns with the line."""
    page = opened(network([*AXES, ([[1.0, 1.0]], [0.0])]), lines=True)
    ways = {
        "one": [(0.2, -0.95)],
        "many": [(0.6, 0.3), (0.7, -0.3), (0.6, -0.8), (0.2, -0.95)],
    }
    reached = {}
    for name, way in ways.items():
        drag(page, (-0.5, 0.9), (0.0, 0.9), (0.25, 0.9))  # x = -1/2 becomes x = 1/4
        page.mouse.move(*place(page, 0.25, 0.6))  # a handle; the other is at (1/4, -3/5)
        page.mouse.down()
        for stop in way:
            page.mouse.move(*place(page, *stop))
        page.mouse.up()
        reached[name] = layers_of(page)[0]
        page.locator(".sl-back").first.click()
    one, many = reached.values()
    assert torch.allclose(one.weight, many.weight, atol=1e-6)
    assert torch.allclose(one.bias, many.bias, atol=1e-6)
    assert one.weight[0, 0].item() < -0.9, "what was on to the right of the line is on to its left"


def test_a_line_is_chosen_moved_and_turned_by_keys(opened):
    model = network([*AXES, ([[1.0, 1.0]], [0.0])])
    page = opened(model, lines=True)
    panel = page.locator(".sl-panel").first
    panel.locator("select").select_option("1,0")  # of the second layer: it is not turned
    panel.get_by_label("angle").wait_for(state="hidden")
    panel.locator("select").select_option("0,1")
    page.wait_for_timeout(60)
    before = model[0]
    panel.get_by_label("offset").press("ArrowRight")
    after = layers_of(page)[0]
    assert (before.bias - after.bias).tolist() == pytest.approx([0, 0.04], abs=0.011)
    panel.get_by_label("angle").press("ArrowLeft")
    turned = layers_of(page)[0]
    cosine = torch.nn.functional.cosine_similarity(after.weight[1], turned.weight[1], dim=0)
    assert torch.rad2deg(cosine.acos()).item() == pytest.approx(2, abs=1.01)
    assert turned.weight[1].norm().item() == pytest.approx(2)
    assert (-turned.bias[1] / 2).item() == pytest.approx((-after.bias[1] / 2).item())


def test_pointing_reads_a_region_and_clicking_chooses_a_line(opened, model):
    page = opened(lines=True)
    page.mouse.move(*place(page, 0.7, 0.4))
    check(page, model)
    assert page.evaluate(f"{FIGURE}.star") == pytest.approx([0.7, 0.4], abs=0.005)
    part = sl.partition(model)
    unit = part.edge_source[part.edge_source[:, 0] == 1][0]
    edge = np.flatnonzero((part.edge_source == unit).all(1))
    lengths = np.hypot(*np.diff(part.vertices[part.edges[edge]], axis=1)[:, 0].T)
    middle = part.vertices[part.edges[edge[lengths.argmax()]]].mean(0)
    page.mouse.click(*place(page, *middle))
    assert page.evaluate(f"{FIGURE}.chosen") == unit.tolist()
    assert [p.tolist() for p in layers_of(page).parameters()] == [
        p.tolist() for p in model.parameters()
    ], "a click moves nothing"


def test_a_finger_drags_the_chosen_line_only(opened):
    model = network([([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.9]), ([[1.0, -1.0]], [0.1])])
    page = opened(model, lines=True, viewport=PHONE, has_touch=True, is_mobile=True)
    finger = page.context.new_cdp_session(page)

    def swipe(start, end) -> None:
        for kind, where in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
            at = [] if where is None else [dict(zip("xy", place(page, *where), strict=True))]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
            page.wait_for_timeout(80)

    page.locator(".sl-canvas").first.scroll_into_view_if_needed()
    swipe((0.3, -0.9), (0.3, -0.7))  # not chosen: nothing moves
    assert layers_of(page)[0].bias.tolist() == [0.5, 0.9]
    swipe((-0.5, 0.1), (0.1, 0.1))
    assert layers_of(page)[0].bias.tolist() == pytest.approx([-0.1, 0.9], abs=0.03)
    page.locator(".sl-canvas").first.scroll_into_view_if_needed()
    swipe((0.8, -0.9), (0.8, -0.9))  # a tap chooses
    assert page.evaluate(f"{FIGURE}.chosen") == [0, 1]


PAIRS = [[1.0, 2.0], [0.8, -1.0], [-1.0, -2.0], [2.0, 4.1], [0.1, 1.0]]  # 2 mirrors 0, 3 its twin


@pytest.fixture
def pairs():
    return network(
        [(PAIRS, [0.5, 0.2, -0.5, 1.0, 0.3]), ([[1, -1, 0.5, 2, 1], [0.5, 1, 1, 1, 2]], [0.1, 0])]
    )


def without(model, goes, heir=None):
    """The model with one unit silent; its heir takes over, as chapter 8 has it."""
    weight, bias = model[0].weight.detach().clone(), model[0].bias.detach().clone()
    out = model[2].weight.detach().clone()
    if heir is not None:
        rows = torch.cat([weight, bias[:, None]], 1).norm(dim=1)
        out[:, heir] += rows[goes] / rows[heir] * out[:, goes]
    weight[goes], bias[goes], out[:, goes] = 0, 0, 0
    return network(
        [(weight.tolist(), bias.tolist()), (out.tolist(), model[2].bias.detach().tolist())]
    )


def told(page) -> float:
    page.wait_for_timeout(60)
    return float(re.search(r"up to (\S+) in", page.locator(".sl-facts").first.inner_text())[1])


def test_removing_and_merging_change_what_the_library_says(opened, pairs):
    domain = ((-1.1, 1.1), (-1.1, 1.1))
    page = opened(pairs, domain=domain, units=True, color="layer")
    panel = page.locator(".sl-panel").first
    assert told(page) == 0 and panel.locator(".sl-back").is_disabled()
    assert panel.get_by_label("into").input_value() == "0,3", "the nearest of its side"
    steps = [
        (lambda: panel.locator(".sl-remove").click(), without(pairs, 0)),
        (lambda: panel.locator(".sl-merge").click(), without(pairs, 0, 3)),
    ]
    for act, expected in steps:
        act()
        found, exact = layers_of(page), sl.difference(pairs, expected, domain).largest
        for one, two in zip(found.parameters(), expected.parameters(), strict=True):
            assert (one - two).abs().max() < 1e-12
        assert told(page) == pytest.approx(exact, rel=0.006)
        check(page, expected)
        assert panel.locator(".sl-remove").is_disabled()
        panel.locator(".sl-back").click()
        assert told(page) == 0
    panel.get_by_label("into").select_option("0,2")  # the mirror: as good as removing it
    panel.locator(".sl-merge").click()
    assert told(page) == pytest.approx(
        sl.difference(pairs, without(pairs, 0, 2), domain).largest, rel=0.006
    )


def test_numbers_of_lines_are_whole_where_a_line_cuts_a_corner(opened):
    corner = network(
        [([[-1.0, 1.0], [1.0, 0.0], [1.0, 0.1]], [-1.95, -0.99, 0.0]), ([[1.0, 1.0, 1.0]], [0.0])]
    )
    page = opened(corner, units=True, color="layer")
    written = page.evaluate(
        """() => new Promise(done => {
            const places = {}, kind = CanvasRenderingContext2D.prototype, write = kind.fillText;
            kind.fillText = function (text, x, y) { places[text] = [x, y]; };
            document.querySelector(".sl-live").figure.refresh();
            requestAnimationFrame(() => { kind.fillText = write; done(places); });
        })"""
    )
    side = page.locator(".sl-canvas").first.bounding_box()["width"]
    assert sorted(written) == ["0", "1", "2"]
    for x, y in written.values():
        assert min(x, y) > 8 and max(x, y) < side - 8


def test_keys_go_on_where_a_button_has_been_pressed(opened, pairs):
    page = opened(pairs, units=True)
    panel = page.locator(".sl-panel").first
    for name in ("remove", "back", "merge", "back"):
        button = panel.locator(f".sl-{name}")
        button.press("Enter")
        page.wait_for_timeout(60)
        assert button.is_disabled()
        assert panel.locator("select").first.evaluate("made => made === document.activeElement")


def test_bits_that_a_removal_changes_are_marked_until_all_is_back(opened, pairs):
    page = opened(pairs, units=True)  # at the star units 1 and 2 are on
    panel, marked = page.locator(".sl-panel").first, page.locator(".sl-changed")
    panel.locator("select").first.select_option("0,1")
    panel.locator(".sl-remove").click()
    page.wait_for_timeout(60)
    assert [marked.nth(i).get_attribute("title") for i in range(marked.count())] == [
        "unit 1 of layer 1"
    ]
    panel.locator(".sl-back").click()
    page.wait_for_timeout(60)
    assert marked.count() == 0


def test_a_unit_that_has_gone_is_no_heir(opened, pairs):
    page = opened(pairs, units=True)
    panel = page.locator(".sl-panel").first
    panel.locator("select").first.select_option("0,3")
    panel.locator(".sl-remove").click()
    panel.locator("select").first.select_option("0,0")
    page.wait_for_timeout(60)
    heirs = (
        panel.get_by_label("into")
        .locator("option:enabled")
        .evaluate_all("all => all.map(o => o.value)")
    )
    assert heirs == ["0,1", "0,2", "0,4"]


def test_the_still_picture_and_the_live_one_have_the_same_colours(opened, model):
    """At the middle of every region that is large enough, in slopes and in codes."""
    for color in ("slope", "code"):
        page = opened(color=color, viewport={"width": 700, "height": 900})
        part = sl.partition(model)
        large = np.argsort(-part.areas)[:12]
        assert part.areas[large[-1]] > 0.01
        spots = [place(page, *part.centroids[r]) for r in large]
        page.evaluate("document.querySelectorAll('.sl-canvas')[1].scrollIntoView(false)")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(60)
        live = pixels(page.screenshot(), spots)
        page.evaluate("document.querySelector('.sl-live').classList.remove('sl-on')")
        page.evaluate("document.querySelector('.sl-canvas').style.display = 'none'")
        still = pixels(page.screenshot(), spots)
        assert np.abs(live - still).max() <= 4, color
        assert len(np.unique(still, axis=0)) > 4


def pixels(png: bytes, spots) -> np.ndarray:
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return np.array([image[round(y), round(x)] for x, y in spots])


CALL = """([text, points]) => {
    const layers = layersOf(text);
    return points.map(([x, y]) => readingAt(layers, x, y));
}"""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(integer_networks(), st.integers(0, 1000))
def test_readings_of_any_network_are_the_library_s(modules, layers, seed):
    model = network(layers)
    points = np.random.default_rng(seed).uniform(-1, 1, (6, 2))
    found = modules(CALL, [sl.models.to_json(model), points.tolist()])
    for point, reading in zip(points, found, strict=True):
        at = torch.from_numpy(point)
        codes = sl.region_codes(model, at[None])
        assert reading["bits"] == [codes.unpack(n)[0].int().tolist() for n in codes.layers]
        A, b = (values.numpy() for values in sl.affine_map(model, at))
        size = 1 + np.abs(A).max() + np.abs(b).max()
        assert np.abs(np.array(reading["A"]) - A).max() < TIGHT * size
        assert np.abs(np.array(reading["b"]) - b).max() < TIGHT * size


def test_a_unit_of_zeros_takes_nothing_over(modules):
    """It has no length to be measured against: merging into it is removing."""
    model = random_network([3], 0).double()
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = 0, 0
    call = "text => Array.from(handedOver(layersOf(text), [0, 0], 1).at(-1).weight)"
    weights = model[-1].weight.detach().clone()
    weights[:, 0] = 0
    assert modules(call, sl.models.to_json(model)) == weights.flatten().tolist()
