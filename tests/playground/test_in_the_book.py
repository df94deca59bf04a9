"""The playground on the pages of the built book, opened as files."""

import pytest

APP = "document.querySelector('.sl-playground').playground"

pytestmark = pytest.mark.timeout(1500)  # the first test waits for the chapters and the pages


@pytest.fixture
def opened(html, browser):
    """Opens a page of the book; no error may show in its console."""
    contexts, errors = [], []

    def visit(page: str, **options):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}, **options))
        contexts[-1].set_offline(True)
        shown = contexts[-1].new_page()
        shown.on("console", lambda m: m.type == "error" and errors.append(m.text))
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.goto((html / "book" / page).as_uri())
        return shown

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


def test_the_page_trains(opened):
    page = opened("playground.html")
    page.locator(".pg-play").click()
    page.wait_for_function(f"{APP}.session.epoch > 62")


def test_the_front_page_asks_and_leads_to_the_playground(opened):
    page = opened("index.html")
    assert page.get_by_text("Half of this network can go. Which half?").is_visible()
    assert page.locator(".pg-title").all_inner_texts() == ["bend", "random"]
    slider = page.locator(".pg-gone")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.pg-count').textContent === '17 of 32'")
    shown = page.locator(".pg-facts").all_inner_texts()
    assert "#" not in page.url
    page.locator(".pg-whole").click()
    page.wait_for_url("**/playground.html#playground=1*")
    page.wait_for_function("() => document.querySelector('.pg-facts').textContent")
    assert page.locator(".pg-facts").all_inner_texts() == shown


@pytest.mark.parametrize(("name", "picture"), [("playground", ".pg-still"), ("index", "img")])
def test_without_scripts_a_picture_stands_there(opened, name, picture):
    page = opened(f"{name}.html", java_script_enabled=False)
    still = page.locator(f".sl-playground {picture}").first
    box = still.bounding_box()
    assert box["width"] > 300 and box["height"] > 150
    assert page.locator(".pg-play").count() == 0
