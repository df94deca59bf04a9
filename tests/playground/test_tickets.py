"""Tickets in the page: at every ratio the numbers are those that were given."""

from dataclasses import replace

import numpy as np
import pytest

from splinelib.plotting import Outcome, costs, tickets

PHONE = {"width": 390, "height": 844}
RATIOS = (0.1, 0.3, 0.5, 0.7)


def outcomes(seed=4):
    """Tickets of four ratios and three methods, two and three seeds of each."""
    generator = np.random.default_rng(seed)
    drawn = []
    for ratio in RATIOS:
        for name, seeds in (("spline", 3), ("random", 2), ("lottery (spline)", 2)):
            if name == "random" and ratio == 0.3:
                continue
            m = 1 - ratio + generator.uniform(-0.05, 0.05, seeds)
            late = name.startswith("lottery")
            cost = (1 + m) if late else m + generator.uniform(0.01, 0.1, seeds)
            accuracy = 0.9 - 0.2 * ratio + generator.uniform(-0.02, 0.02, seeds)
            left = {"channels": [1 - ratio] * seeds, "multiplications": m}
            drawn.append(Outcome(name, accuracy, cost, ratio, left, late))
    dense = [Outcome("4 epochs", [0.8], [0.3]), Outcome("8 epochs", [0.86, 0.88], [0.65, 0.65])]
    return drawn, [*dense, Outcome("16 epochs", [0.9, 0.91], [1.0, 1.0])]


@pytest.fixture
def opened(shown):
    def visit(**options):
        figure = tickets(*outcomes(), "Tickets.", start=1, level=("a factor", 3.5), caption="Some.")
        return shown(figure, **options)

    return visit


def settle(page) -> str:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    return page.locator(".sl-facts").inner_text()


def table(page) -> dict[str, list[str]]:
    rows = page.locator(".sl-shares:visible tr").evaluate_all(
        "rows => rows.map(r => [...r.children].map(c => c.textContent.trim()))"
    )
    return {row[0]: row[1:] for row in rows}


def as_shown(values) -> str:
    low, high = (f"{100 * end:.1f}" for end in (min(values), max(values)))
    return f"{100 * np.mean(values):.1f} %" + (f" {low} to {high}" if low != high else "")


def test_words_and_table_are_those_of_the_numbers_at_every_ratio(opened):
    page = opened()
    drawn, dense = outcomes()
    slider = page.get_by_role("slider", name="units removed")
    assert slider.get_attribute("aria-valuetext") == "30 %"
    slider.press("Home")
    said = set()
    for ratio in RATIOS:
        text = settle(page)
        said.add(text.split("Better for less: ")[1].split(".")[0])
        assert text == costs.told_of(drawn, dense, ratio)
        found = table(page)
        names = ["spline", "random", "lottery (spline)"]
        assert found.pop(f"{100 * ratio:.0f} % removed") == names
        here = {one.name: one for one in drawn if one.ratio == ratio}
        for title, of in {
            "accuracy": lambda one: one.accuracy,
            "training FLOPs": lambda one: one.cost,
            "channels": lambda one: one.left["channels"],
            "multiplications": lambda one: one.left["multiplications"],
        }.items():
            cells = [as_shown(of(here[name])) if name in here else "–" for name in names]
            assert found.pop(title) == cells
        assert not found
        slider.press("ArrowRight")
    assert len(said) > 1, "the page has something else to say at some ratio"


def test_the_factor_is_taken_against_the_baseline_that_is_chosen(opened):
    page = opened()
    drawn, _ = outcomes()
    ours = next(one for one in drawn if one.name == "spline" and one.ratio == 0.3)
    before = page.locator(".sl-canvas").nth(1).evaluate("c => c.toDataURL()")
    page.get_by_label("factor against").select_option("a one-shot lottery")
    text = settle(page)
    most = 1 + 1 / ours.share
    assert text.endswith(
        f"{ours.factors()[1]:.2f} times less training than a one-shot lottery; the most is "
        f"{most:.2f}."
    )
    assert ours.factors()[1] < most
    assert page.locator(".sl-canvas").nth(1).evaluate("c => c.toDataURL()") != before


def test_dots_lie_where_the_numbers_are(opened):
    """In the right picture, at each ratio: the colour of the ticket at its share and factor."""
    page = opened()
    drawn, _ = outcomes()
    slider = page.get_by_role("slider", name="units removed")
    slider.press("Home")
    for ratio in RATIOS:
        settle(page)
        ours = next(one for one in drawn if one.name == "spline" and one.ratio == ratio)
        for place, (x, y) in {
            "left": ours.place,
            "right": (ours.share, ours.factors()[0]),
        }.items():
            red, _, blue, _ = page.evaluate(
                """([place, x, y]) => {
                    const axes = document.querySelector(".sl-live").figure[place];
                    const ratio = axes.canvas.width / axes.canvas.clientWidth;
                    const at = [axes.px(x), axes.py(y)].map(v => Math.round(v * ratio));
                    return [...axes.canvas.getContext("2d").getImageData(...at, 1, 1).data];
                }""",
                [place, x, y],
            )
            assert (red, blue) == (0x17, 0xAA), (ratio, place)
        slider.press("ArrowRight")


def test_pictures_say_what_they_show(opened):
    page = opened()
    settle(page)
    labels = page.locator(".sl-canvas").evaluate_all("c => c.map(e => e.ariaLabel)")
    assert "With 30 % of the units removed spline reaches" in labels[0]
    assert labels[1].startswith("Savings and their bounds. ") and "the most is" in labels[1]


def test_nothing_is_cut_on_a_phone(opened):
    page = opened(viewport=PHONE)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    fits = page.locator(".sl-shares :is(td, th)").evaluate_all(
        "cells => cells.map(c => c.scrollWidth <= c.clientWidth + 1)"
    )
    assert all(fits)
    sizes = page.locator(".sl-live :is(td, th, small, p, label, output)").evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11


def test_without_scripts_and_in_print_the_pictures_of_the_start_are_there(opened):
    drawn, dense = outcomes()
    still = opened(java_script_enabled=False)
    assert still.get_by_role("img", name="Tickets.").is_visible()
    assert still.locator(".sl-side").inner_text() == costs.told_of(drawn, dense, 0.3)
    first = table(still)
    assert first["30 % removed"] == ["spline", "random", "lottery (spline)"]
    assert first["accuracy"][:2] == [as_shown(drawn[3].accuracy), "–"] and drawn[3].ratio == 0.3
    page = opened()
    settle(page)
    assert table(page) == first, "scripts write the same"
    page.get_by_role("slider", name="units removed").press("End")
    settle(page)
    assert table(page) != first
    page.emulate_media(media="print")
    assert page.locator(".sl-still svg").first.is_visible()
    assert page.locator(".sl-side").inner_text().strip() == costs.told_of(drawn, dense, 0.3)
    assert table(page) == first


def test_the_button_plays_to_the_end(opened):
    page = opened()
    page.locator(".sl-play").click()
    page.wait_for_function("document.querySelector('output').textContent === '70 %'")
    assert page.locator(".sl-play").inner_text() == "Play"


def test_the_key_names_every_method_as_it_is_written(shown):
    drawn, dense = outcomes()
    odd = [replace(one, name="<b>&") if one.name == "random" else one for one in drawn]
    page = shown(tickets(odd, dense, "Tickets."))
    key = page.locator(".sl-key span").all_inner_texts()
    assert sorted(key) == [
        *("<b>&", "dense, by its epochs", "lottery (spline)", "spline; shaded: better for less")
    ]


def test_dots_of_tickets_that_cost_more_than_the_dense_run_lie_in_the_box(shown):
    drawn, dense = outcomes()
    dear = [replace(one, cost=[1.6] * len(one.cost)) if not one.late else one for one in drawn]
    page = shown(tickets(dear, dense, "Tickets."))
    settle(page)
    inside = page.evaluate(
        "() => { const a = document.querySelector('.sl-live').figure.right;"
        "return a.py(1 / 1.6) < a.bottom; }"
    )
    assert inside


def test_controls_do_not_touch_in_a_window_of_any_width(opened):
    page = opened()
    for width in (320, 480, 600, 640, 700, 800, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        boxes = [
            page.locator(name).first.bounding_box() for name in (".sl-play", ".sl-pair .sl-row")
        ]
        play, row = boxes
        below = row["y"] >= play["y"] + play["height"]
        assert below or row["x"] >= play["x"] + play["width"] + 8, width


def test_names_stay_on_the_canvas(shown):
    drawn, dense = outcomes()
    long = [replace(one, name=f"{one.name}, which is a long name") for one in dense]
    page = shown(tickets(drawn, long, "Tickets."), viewport=PHONE)
    settle(page)
    cut = page.evaluate(
        """() => {
            const { left: axes } = document.querySelector(".sl-live").figure;
            const places = [];
            const { context } = axes;
            context.fillText = (text, x) => places.push([x, x + context.measureText(text).width]);
            for (const align of ["left", "center", "right"])
                for (const x of [0, axes.right]) axes.write("some long name", x, 9, { align });
            return places.filter(([l, r]) => l < 0 || r > axes.canvas.clientWidth + 1e-6);
        }"""
    )
    assert cut == []
