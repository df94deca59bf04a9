"""The playground's folder as a site of its own in the headless Chromium, with no server."""

import pytest

from splinelib.plotting.pages import save_page
from splinelib.plotting.scripts import MODULES

ENTRIES = ("playground", "figures")  # they start something; the others only give names
DESKTOP = {"width": 1280, "height": 900}
SITE = "http://playground.test/"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def serve(route) -> None:
    """Answer a request with a file of the playground."""
    path = MODULES / route.request.url.removeprefix(SITE).partition("?")[0]
    if path.name in ("blank.html", "favicon.ico"):
        route.fulfill(body="", content_type="text/html")
        return
    kind = TYPES.get(path.suffix, "application/octet-stream")
    route.fulfill(body=path.read_bytes(), content_type=f"{kind}; charset=utf-8")


class Site:
    """Opens the playground, and notes what a reader would find in the console."""

    def __init__(self, browser):
        self.browser, self.errors, self.contexts = browser, [], []

    def open(self, address: str = "index.html", **options):
        context = self.browser.new_context(**options)
        self.contexts.append(context)
        context.route("**/*", serve)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(SITE + address)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture
def site(browser):
    """A `Site`; a test that uses it fails if anything was an error in the console."""
    site = Site(browser)
    yield site
    site.close()
    assert site.errors == []


@pytest.fixture
def shown(browser, tmp_path):
    """Opens parts of a page as readers do who saved it: as a file, with nothing to load from.

    ``shown(*parts, **options)``, the options those of a context; at 1280 pixels unless told. A test
    that uses it fails if anything was an error in the console.
    """
    contexts, errors = [], []

    def visit(*parts, **options):
        save_page(tmp_path / "page.html", "A page", parts)
        contexts.append(browser.new_context(**{"viewport": DESKTOP, **options}))
        contexts[-1].set_offline(True)
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda m: m.type == "error" and errors.append(m.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        if options.get("java_script_enabled", True):
            # Figures are drawn in the next frame, which a busy machine may leave for later.
            page.evaluate(
                "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
            )
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="module")
def modules(browser):
    """Calls JavaScript with all names of the modules at hand: ``modules("x => f(x)", value)``.

    Networks go there as the text of their file.
    """
    site = Site(browser)
    page = site.open("blank.html")
    names = [path.name for path in MODULES.glob("*.js") if path.stem not in ENTRIES]
    page.evaluate(
        "async names => { for (const n of names) Object.assign(window, await import('/' + n)); }",
        names,
    )
    yield page.evaluate
    site.close()
    assert site.errors == []
