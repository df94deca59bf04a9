"""A slider over networks: every stage is the library's partition, by hand and by the button."""

import re

import numpy as np
import pytest
import torch
from networks import random_network

import splinelib as sl
from splinelib.plotting import stages

PHONE = {"width": 390, "height": 844}
LAST = 8


@pytest.fixture(scope="module")
def model():
    return random_network([7, 6], 5, outputs=2).double()


@pytest.fixture(scope="module")
def ways(model):
    """The first silences units one by one, the second takes them out for good."""
    masks = [
        {"0": torch.arange(7) >= min(n, 5), "2": torch.arange(6) >= max(n - 5, 0)}
        for n in range(LAST + 1)
    ]
    x = torch.zeros(1, 2, dtype=torch.float64)
    return {
        "silenced": [sl.apply_masks(model, mask, x) for mask in masks],
        "out": [sl.shrink(model, mask, x) for mask in masks],
    }


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(200, 2, generator=generator, dtype=torch.float64) - 1
    return points, (points.sum(1) > 0).long()


@pytest.fixture
def opened(shown, ways, model, data):
    def visit(**options):
        figure = stages(
            {name: [sl.models.to_json(m) for m in models] for name, models in ways.items()},
            {name: sl.partition(models[2]) for name, models in ways.items()},
            range(LAST + 1),
            "units removed",
            "Two squares.",
            start=2,
            points=data[0],
            labels=data[1],
            dense=sl.partition(model),
        )
        return shown(figure, **options)

    return visit


def check(page, ways, data, at: int) -> None:
    page.wait_for_timeout(60)
    for view, models in enumerate(ways.values()):
        points, labels = data
        right = (models[at](points).argmax(1) == labels).double().mean().item()
        told = f"{len(sl.partition(models[at]))} regions, {right:.1%} right"
        assert page.locator(".sl-facts").nth(view).inner_text() == told
        assert told in page.locator(".sl-canvas").nth(view).get_attribute("aria-label")
    assert page.locator("output").inner_text() == str(at)


def test_every_stage_is_the_library_s(opened, ways, data):
    page = opened()
    check(page, ways, data, 2)
    slider = page.get_by_role("slider", name="units removed")
    slider.focus()
    page.keyboard.press("Home")
    seen = set()
    for at in range(LAST + 1):
        check(page, ways, data, at)
        seen.add(page.evaluate("document.querySelector('.sl-canvas').toDataURL()"))
        page.keyboard.press("ArrowRight")
    assert len(seen) > LAST // 2  # a unit whose line lies outside of the square changes nothing
    assert slider.get_attribute("aria-valuetext") == str(LAST)


def test_the_networks_arrive_as_they_were_given(modules, ways):
    """Of stages written as changes, too: outputs at points, to 1e-12."""
    call = "stages => readStages(stages).map(n => preActivations(n, 0.3, -0.4).at(-1))"
    figure = stages(
        {"silenced": [sl.models.to_json(m) for m in ways["silenced"]]},
        {"silenced": sl.partition(ways["silenced"][0])},
        range(LAST + 1),
        "units removed",
        "A square.",
    )
    text = re.search(r'"stages": (\[.*?\])}\]}</script>', figure.markup, re.S)[1]
    found = modules(f"text => ({call})(JSON.parse(text))", text)
    x = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    expected = np.array([m(x)[0].tolist() for m in ways["silenced"]])
    assert np.abs(np.array(found) - expected).max() < 1e-12


def test_the_button_plays_to_the_end_and_pauses(opened, ways, data):
    page = opened()
    play = page.locator(".sl-play")
    play.click()
    assert play.inner_text() == "Pause"
    page.wait_for_function("document.querySelector('output').textContent === '4'")
    play.click()
    at = page.locator("output").inner_text()
    page.wait_for_timeout(1000)
    assert page.locator("output").inner_text() == at
    play.click()
    page.wait_for_function(f"document.querySelector('output').textContent === '{LAST}'")
    assert play.inner_text() == "Play"
    check(page, ways, data, LAST)


def test_who_asks_for_less_motion_has_no_button(opened):
    page = opened(reduced_motion="reduce")
    assert page.get_by_role("slider", name="units removed").is_visible()
    assert not page.locator(".sl-play").is_visible()


def test_pictures_stand_below_each_other_on_a_phone(opened):
    page = opened(viewport=PHONE)
    one, two = (page.locator(".sl-picture").nth(i).bounding_box() for i in range(2))
    slider = page.locator("input").bounding_box()
    assert one["width"] > 300
    assert one["y"] + one["height"] < slider["y"] < two["y"], "the slider stands between them"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})
    one, two = (page.locator(".sl-picture").nth(i).bounding_box() for i in range(2))
    assert one["y"] == two["y"]


def test_without_scripts_there_are_pictures_and_no_dead_slider(opened):
    page = opened(java_script_enabled=False)
    assert page.get_by_role("img", name="Two squares. silenced.").is_visible()
    assert page.locator("input").count() == 0
    assert "regions" in page.locator(".sl-facts").first.inner_text()


def test_print_has_the_pictures_and_words_of_the_start(opened):
    page = opened()
    started = page.locator(".sl-facts").all_inner_texts()
    page.get_by_role("slider", name="units removed").press("End")
    page.wait_for_timeout(60)
    assert page.locator(".sl-facts").all_inner_texts() != started
    page.emulate_media(media="print")
    assert page.locator(".sl-still").first.is_visible()
    assert page.locator(".sl-views").inner_text().count(" regions") == len(started)
    for told in started:
        assert told in page.locator(".sl-views").inner_text()
    side = page.locator(".sl-side").inner_text()
    assert "2" in side and str(LAST) not in side


def test_a_picture_is_drawn_on_whole_pixels(opened):
    page = opened(viewport={"width": 1003, "height": 900})
    page.wait_for_timeout(60)
    fits = page.evaluate(
        """() => [...document.querySelectorAll(".sl-canvas")].map(canvas => {
            const [given, { width, height }] = [canvas.parentElement, canvas].map(
                e => e.getBoundingClientRect());
            return [given.width, width, height, canvas.width];
        })"""
    )
    for given, width, height, drawn in fits:
        assert width == height == drawn == given // 1 and given % 1, "no line is blurred"
