"""The built book in a headless Chromium, opened as files, with nothing else to load from."""

import gzip
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import printed
import pytest
from conftest import unavailable
from PIL import Image

from tools import addresses, cards, chapters, news, pages

PAGES = [page for page in chapters.pages() if chapters.page_source(page)]
# A chapter has a number; a page of reference, such as the list of records, has no exercises.
CHAPTERS = [
    str(notebook.relative_to(chapters.ROOT).with_suffix(""))
    for notebook in chapters.notebooks()
    if notebook.stem[:2].isdigit()
]
# Bytes, compressed: what every page loads, all that any page loads, the HTML of the records.
BASE, WHOLE, RECORDS = 500_000, 1_500_000, 300_000
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.timeout(1500)  # the first test waits for the chapters and the pages


@dataclass
class Visit:
    """One page that has been opened, and what went wrong while it loaded."""

    page: object
    url: str
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)
    loaded: set[Path] = field(default_factory=set)


def visit(browser, path: Path, **options) -> Visit:
    """Open a page with the network refused, and wait until its mathematics is set."""
    context = browser.new_context(viewport=DESKTOP, **options)
    context.set_offline(True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    seen = Visit(page, path.as_uri())
    page.on("console", lambda m: m.type == "error" and seen.errors.append(m.text))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("requestfinished", lambda r: seen.loaded.add(Path(unquote(urlsplit(r.url).path))))
    page.on("requestfailed", lambda r: seen.failed.append(f"{r.url}: {r.failure}"))
    page.on(
        "request",
        lambda r: urlsplit(r.url).scheme in ("http", "https") and seen.remote.append(r.url),
    )
    page.goto(seen.url, wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    return seen


@pytest.fixture(scope="module", params=PAGES, ids=lambda page: page.removeprefix("book/"))
def opened(request, html, browser):
    """Each page of the book in turn, opened once for all the tests that look at it."""
    seen = visit(browser, html / f"{request.param}.html")
    yield seen
    seen.page.context.close()


@pytest.fixture
def on_desktop(opened):
    opened.page.set_viewport_size(DESKTOP)
    return opened.page


# --- loading ----------------------------------------------------------------------------


def test_loads_without_errors(opened):
    assert opened.errors == []
    assert opened.failed == []


def test_needs_no_network(opened):
    assert opened.remote == []


def test_mathematics_is_typeset(opened):
    counts = opened.page.evaluate(
        """() => ({
            written: document.querySelectorAll("article .math, article .amsmath").length,
            set: document.querySelectorAll("article :is(.math, .amsmath) mjx-container").length,
            wrong: [...document.querySelectorAll("mjx-merror, [data-mjx-error]")]
                     .map(e => e.getAttribute("data-mjx-error") || e.textContent),
        })"""
    )
    assert counts["wrong"] == []
    assert counts["set"] >= counts["written"]


def compressed(path: Path) -> int:
    """Bytes of a file as a server sends it; fonts and pictures are compressed in themselves."""
    content = path.read_bytes()
    return len(content if path.suffix in (".woff", ".woff2", ".png") else gzip.compress(content, 6))


def test_page_is_light(html, opened):
    """What a browser loads: what all pages share, and all of it."""
    loaded = {path: compressed(path) for path in opened.loaded if path.is_file()}
    weights = {str(path.relative_to(html)): weight for path, weight in loaded.items()}
    own = ("book/", "_images/", "_static/mathjax/", "_static/playground")
    base = sum(weight for name, weight in weights.items() if not name.startswith(own))
    assert 50_000 < base < BASE, weights
    assert sum(weights.values()) < WHOLE, weights
    if opened.url.endswith("/reproduce.html"):
        assert weights["book/reproduce.html"] < RECORDS
    has_mathematics = opened.page.locator("article :is(.math, .amsmath)").count() > 0
    assert any(name.startswith("_static/mathjax/") for name in weights) == has_mathematics


def test_the_serif_comes_with_the_page(opened):
    """Running text is set in it, in the file that lies beside the pages."""
    seen = opened.page.evaluate(
        """async () => {
            await document.fonts.ready;
            const faces = [...document.fonts].filter(f => f.family.includes("Source Serif 4"));
            const text = document.querySelector("article p, article dd");
            return {
                family: getComputedStyle(text).fontFamily.split(",")[0],
                loaded: faces.filter(f => f.status === "loaded").map(f => f.style),
                failed: faces.filter(f => f.status === "error").length,
            };
        }"""
    )
    assert seen["family"] == '"Source Serif 4"'
    assert "normal" in seen["loaded"] and seen["failed"] == 0


def test_icons_are_drawn(opened):
    """Each from the one small font that has it, and not as the box of a missing character."""
    opened.page.evaluate("() => document.fonts.ready")
    absent = opened.page.evaluate(
        """() => [...document.querySelectorAll("i[class*='fa-']")].filter(e => {
            const style = getComputedStyle(e, "::before"), text = style.content.slice(1, -1);
            return text.length !== 1
                || !document.fonts.check(`900 16px "Font Awesome 6 Free"`, text);
        }).map(e => e.outerHTML)"""
    )
    assert absent == []


def test_first_page_is_found_from_the_top(html, browser):
    page = browser.new_page()
    page.goto((html / "index.html").as_uri(), wait_until="commit")
    page.wait_for_url("**/book/index.html")
    assert "Spline Theory for Deep Network Pruning" in page.title()
    assert page.locator("article h1").count() == 1
    page.close()


def test_chapter_says_its_number(opened):
    """In its title, in the browser's tab and in the sidebar: that of its file, the same way."""
    title = opened.page.locator("article h1").inner_text()
    number = pages.number(opened.url)
    assert bool(re.match(r"\d+\. ", title)) == (number is not None)
    if number is not None:
        assert title.startswith(f"{number}. ")
        assert opened.page.title().startswith(f"{number}. ")
        current = opened.page.locator(".bd-sidebar .current.active > a").first
        assert current.text_content().strip().startswith(f"{number}. ")


def test_page_describes_itself(opened):
    """For search engines, and for cards where its address is shared."""
    told = opened.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("meta[name], meta[property]")]
            .map(e => [e.getAttribute("name") ?? e.getAttribute("property"), e.content]))"""
    )
    assert 20 < len(told["description"]) <= 202 and "<" not in told["description"]
    assert told["og:description"] == told["description"]
    assert told["og:title"] == opened.page.title()
    address = addresses.book()
    assert told["twitter:card"] == ("summary_large_image" if address else "summary")
    assert told.get("og:url", "").startswith(address) and ("og:image" in told) == bool(address)
    assert opened.page.locator("head meta[name=description]").count() == 1


def test_page_has_a_picture_for_its_card(html, opened):
    page = str(Path(unquote(urlsplit(opened.url).path)).relative_to(html).with_suffix(""))
    assert Image.open(html / cards.picture(page)).size == (1200, 630)


# --- reading ----------------------------------------------------------------------------


def test_fits_a_phone(opened):
    opened.page.set_viewport_size(PHONE)
    wide = opened.page.evaluate(
        """() => {
            const root = document.documentElement;
            if (Math.max(root.scrollWidth, document.body.scrollWidth) <= innerWidth) return [];
            return ["page " + root.scrollWidth].concat(
                [...document.querySelectorAll("article *")]
                    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
                    .slice(0, 10).map(e => e.outerHTML.slice(0, 120)));
        }"""
    )
    assert wide == [], "the page scrolls sideways at 390 px"


def test_no_word_and_no_formula_leaves_a_phone(opened):
    opened.page.set_viewport_size(PHONE)
    cut = opened.page.evaluate(
        """() => [...document.querySelectorAll(
                "article mjx-container:not([display]), .prev-next-area p")]
            .filter(e => e.checkVisibility() && !e.closest("table, summary"))
            .filter(e => e.scrollWidth > e.clientWidth + 1 && e.matches("p")
                || e.getBoundingClientRect().right > innerWidth
                || e.getBoundingClientRect().left < 0)
            .map(e => e.textContent.slice(0, 80))"""
    )
    assert cut == [], "a sentence needs no scrolling sideways: break the formula at a relation"


def test_no_line_of_code_is_cut(opened):
    cut = """() => [...document.querySelectorAll(".cell_input pre")]
        .filter(e => e.scrollWidth > e.clientWidth + 1)
        .map(e => e.textContent.slice(0, 80))"""
    for size in (PHONE, DESKTOP):
        opened.page.set_viewport_size(size)
        assert opened.page.evaluate(cut) == [], f"code is wider than its box at {size['width']} px"


# The smallest text of every figure, in pixels: outlines of glyphs are scaled by a hundredth of
# their size in points, and a point is one unit of the viewBox. Sub- and superscripts, which are
# scaled within that, belong to their text. Frames that are hidden are as large as the one shown.
SMALLEST = """() => [...document.querySelectorAll("article .sl:not(.sl-table)")].flatMap(figure => {
    const shown = e => e.checkVisibility();
    const plain = [...figure.querySelectorAll("*:not(svg *, style, script)")].filter(shown)
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .map(e => [parseFloat(getComputedStyle(e).fontSize), e.textContent.trim().slice(0, 40)]);
    const width = Math.max(...[...figure.querySelectorAll("svg[role=img]")]
        .filter(shown).map(e => e.getBoundingClientRect().width));
    const drawn = [...figure.querySelectorAll("svg[role=img]:not(.sl-still)")].flatMap(svg => {
        const box = svg.getBoundingClientRect();
        const ratio = (shown(svg) ? box.width : width) / svg.viewBox.baseVal.width;
        const used = [...svg.querySelectorAll("use")].map(
            e => document.getElementById(e.getAttribute("href").slice(1)));
        return [svg, ...used].filter(Boolean)
            .flatMap(e => [e, ...e.querySelectorAll("g[transform*=scale]")])
            .filter(e => e.tagName === "g")
            .map(e => /scale\\(([\\d.]+)/.exec(e.getAttribute("transform") ?? ""))
            .filter(Boolean)
            .map(m => [100 * m[1] * ratio, svg.getAttribute("aria-label").slice(0, 40)]);
    });
    return [...plain, ...drawn].filter(([size]) => size > 0);
})"""


def test_text_in_figures_can_be_read_on_a_phone(opened):
    opened.page.set_viewport_size(PHONE)
    small = opened.page.evaluate(f"() => ({SMALLEST})().filter(([size]) => size < 11)")
    assert small == [], "text in figures is at least 11 px at 390"


def test_figures_beside_each_other_are_below_each_other_on_a_phone(opened):
    opened.page.set_viewport_size(PHONE)
    beside = opened.page.evaluate(
        """() => [...document.querySelectorAll("article .sl-row")].filter(row => {
            const boxes = [...row.querySelectorAll(":scope > svg")]
                .filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect());
            return boxes.some((b, i) => i && b.width > 120 && b.top < boxes[i - 1].bottom - 1);
        }).map(row => row.outerHTML.slice(0, 100))"""
    )
    assert beside == []


# Every run of text against the colour that lies behind it (WCAG 2.1, contrast minimum).
CONTRAST = """() => {
    const parse = c => { const n = c.match(/[\\d.]+/g).map(Number); n[3] ??= 1; return n; };
    const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
    const behind = e => {
        const layers = [];
        for (; e; e = e.parentElement) {
            const style = getComputedStyle(e);
            if (style.backgroundImage !== "none") return null;
            const colour = parse(style.backgroundColor);
            layers.push(colour);
            if (colour[3] === 1) break;
        }
        return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
    };
    const luminance = c => c.map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const faint = [];
    const walker = document.createTreeWalker(
        document.querySelector("article"), NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
        const e = node.parentElement, style = getComputedStyle(e);
        const seen = e.checkVisibility({visibilityProperty: true, opacityProperty: true});
        if (!seen || !node.data.trim()
            || e.closest("script, style, svg, .headerlink, mjx-assistive-mml")) continue;
        const ground = behind(e);
        if (!ground) continue;
        const [a, b] = [luminance(over(parse(style.color), ground)), luminance(ground)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const large = parseFloat(style.fontSize) >= 24
            || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5))
            faint.push(`${ratio.toFixed(2)} ${e.className}: ${node.data.trim().slice(0, 40)}`);
    }
    return [...new Set(faint)].slice(0, 10);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(on_desktop, theme):
    on_desktop.add_style_tag(content="*, ::before, ::after { transition: none !important }")
    on_desktop.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    background = on_desktop.evaluate("() => getComputedStyle(document.body).backgroundColor")
    brightness = sum(float(v) for v in background[4:-1].split(",")) / 3
    assert brightness > 200 if theme == "light" else brightness < 60
    assert on_desktop.evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_reader(html, browser, scheme):
    """The page takes the system's scheme at first, and the button then changes it."""
    seen = visit(browser, html / "book/index.html", color_scheme=scheme)
    theme = "() => document.documentElement.dataset.theme"
    assert seen.page.evaluate(theme) == scheme
    themes = set()
    for _ in range(3):
        seen.page.locator("button.theme-switch-button:visible").first.click()
        themes.add(seen.page.evaluate(theme))
    assert themes == {"light", "dark"}
    seen.page.context.close()


def test_pictures_have_alt_text(opened):
    mute = opened.page.evaluate(
        """() => [...document.querySelectorAll("img, article svg, article canvas")]
            .filter(e => !e.closest("[aria-hidden=true], [role=presentation], button, svg svg"))
            .filter(e => !(e.getAttribute("alt") || e.getAttribute("aria-label") || "").trim()
                      || (e.tagName === "svg" && e.getAttribute("role") !== "img"))
            .map(e => e.outerHTML.slice(0, 160))"""
    )
    assert mute == []


# What axe-core finds in an article. Left out are the entries of the bibliography, whose roles are
# docutils', and two rules: contrast, which `test_text_stands_out` measures in both themes, and
# landmarks, which are the whole page's. Insides of pictures and formulas are taken out meanwhile,
# and the colours of code: nothing there can be pressed, and axe would walk through all of it.
AXE = """async () => {
    const whole = [...document.querySelectorAll(
        "article :is(svg[role=img], mjx-container, .highlight pre)")]
        .filter(e => !e.querySelector("[tabindex], a, button, input"))
        .map(e => [e, [...e.childNodes]]);
    whole.forEach(([e]) => e.replaceChildren(e.tagName === "PRE" ? e.textContent : ""));
    try {
        const found = await axe.run({include: ["article"], exclude: [".citation-list"]}, {
            resultTypes: ["violations"],
            rules: {"color-contrast": {enabled: false}, "region": {enabled: false}},
        });
        return found.violations.flatMap(rule => rule.nodes.map(
            e => `${rule.id}: ${e.html.slice(0, 120)}`));
    } finally {
        whole.forEach(([e, children]) => e.replaceChildren(...children));
    }
}"""
# The theme lets code that is wider than its box be scrolled by keys, a moment after a resize.
SCROLLED = """() => [...document.querySelectorAll("article pre")]
    .every(e => e.scrollWidth <= e.clientWidth || e.tabIndex >= 0)"""


def faults(page) -> list[str]:
    """What axe-core has to say about the article of an open page."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ModuleNotFoundError:
        unavailable("axe-playwright-python is not there; requirements-test.txt names it.")
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(Axe().axe_script)
    return page.evaluate(AXE)


@pytest.mark.parametrize(
    ("theme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark"]
)
def test_axe_finds_no_fault(opened, theme, size):
    opened.page.set_viewport_size(size)
    opened.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    opened.page.wait_for_function(SCROLLED, timeout=5_000)
    assert faults(opened.page) == []


def test_axe_finds_the_faults_that_are_there(browser):
    page = browser.new_page()
    page.set_content(
        """<article><input type=range><svg role=img><path d="M0 0"/></svg>
        <table><tr><th scope=col></th></tr><tr><td>1</td></tr></table></article>"""
    )
    before = page.content()
    found = {fault.partition(":")[0] for fault in faults(page)}
    assert found >= {"label", "svg-img-alt", "empty-table-header"}
    assert page.content() == before, "what was taken out meanwhile is not back"
    page.close()


# --- what moves ---------------------------------------------------------------------------

# How many frames an input shows now, and how many different pictures it has shown, which are large
# and stay in the page.
PICTURE = """input => {
    const widget = input.closest(".sl-widget") ?? input.closest(".cell_output");
    const frames = [...widget.querySelectorAll(".sl-frame")].filter(f => f.checkVisibility());
    input.pictures ??= new Set();
    input.pictures.add(frames.map(f => f.outerHTML).join());
    return {shown: frames.length, pictures: input.pictures.size};
}"""


def test_sliders_move_their_pictures(on_desktop):
    """Every range input, by the keyboard alone: each position shows one frame of its own."""
    # What is computed in the page has tests of its own, in tests/playground.
    sliders = "article input[type=range]:not(.sl-playground *, .sl-live *)"
    for slider in on_desktop.locator(sliders).all():
        named = slider.evaluate("e => [...e.labels].map(l => l.textContent).join() + e.ariaLabel")
        assert named.strip() not in ("", "null"), "a slider without a label"
        assert slider.evaluate("e => e.tabIndex") >= 0
        slider.focus()
        on_desktop.keyboard.press("Home")
        positions = slider.evaluate("e => Math.round((e.max - e.min) / (e.step || 1)) + 1")
        assert positions >= 2
        for position in range(positions):
            if position:
                on_desktop.keyboard.press("ArrowRight")
            state = slider.evaluate(PICTURE)
            assert state["shown"] == 1
        assert state["pictures"] > 1, "the slider moves and its picture stays"
        assert float(slider.input_value()) == slider.evaluate("e => Number(e.max)")


def test_figures_that_are_computed_in_the_page_have_started(on_desktop):
    """And a page loads their script if it has one, once."""
    figures = on_desktop.locator("article .sl-live")
    assert on_desktop.locator("article .sl-live.sl-on").count() == figures.count()
    scripts = on_desktop.locator("script[src*='/figures.js']").count()
    assert scripts == (1 if figures.count() else 0)
    for canvas in figures.locator("canvas").all():
        colours = canvas.evaluate(
            """e => new Set(new Uint32Array(
                e.getContext("2d").getImageData(0, 0, e.width, e.height).data.buffer)).size"""
        )
        assert colours > 20 and canvas.get_attribute("aria-label").strip()


def test_no_dead_widgets(opened):
    dead = opened.page.evaluate(
        r"""() => {
            const views = "script[type*='jupyter.widget'], .jupyter-widgets";
            const words = /\b(interactive\(children|[VH]Box\(children|Slider\(value)|<IPython/g;
            return [...document.querySelectorAll(views)].map(e => e.outerHTML.slice(0, 120))
                .concat(document.querySelector("article").innerText.match(words) ?? []);
        }"""
    )
    assert dead == []


def test_solutions_open_by_keyboard(on_desktop):
    solutions = on_desktop.locator("article .solution.dropdown").all()
    if on_desktop.url.removesuffix(".html").endswith(tuple(CHAPTERS)):
        assert len(solutions) >= 3
    for solution in solutions:
        body = solution.locator("> .section, > section, > div").first
        assert not body.is_visible(), "a solution that is not hidden"
        solution.locator("button.toggle-button").first.press("Enter")
        assert body.is_visible()


def test_notebook_can_be_downloaded(html, opened):
    """The executed copy, by a link that needs no server."""
    page = str(Path(unquote(urlsplit(opened.url).path)).relative_to(html).with_suffix(""))
    if chapters.page_source(page).suffix != ".ipynb":
        return
    link = opened.page.locator("a.btn-download-source-button").first
    file = Path(unquote(urlsplit(link.evaluate("e => e.href")).path))
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert any(cell.get("outputs") for cell in notebook.cells)
    assert link.evaluate("e => e.hasAttribute('download')")
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not re.search(r"\{[\w:]+\}`|(```|:::)\{", text), "only Sphinx can read this"
    numbers = opened.page.locator("article span.eqno").all_inner_texts()
    shown = [re.search(r"[\d.]+", number)[0] for number in numbers]
    assert re.findall(r"\\tag\{([\d.]+)\}", text) == shown, "as on the page"
    exercises = opened.page.locator("article .exercise .caption-number").all_inner_texts()
    assert [f"Exercise {n}" for n in re.findall(r"\*\*Exercise (\d+\.\d+)", text)] == [
        exercise.strip() for exercise in exercises
    ]


def test_buttons_lead_somewhere_or_are_not_there(html, opened):
    """Binder and Colab need a repository; where nobody has said which, they are not offered."""
    page = str(Path(unquote(urlsplit(opened.url).path)).relative_to(html).with_suffix(""))
    links = opened.page.locator("a[href*='mybinder.org']").count()
    is_notebook = chapters.page_source(page).suffix == ".ipynb"
    assert bool(links) == bool(addresses.repository() and is_notebook)


def test_figures_have_links_of_their_own(html, opened):
    figures = opened.page.locator("article figure.sl").all()
    ids = [figure.get_attribute("id") for figure in figures]
    assert None not in ids and len(set(ids)) == len(ids)
    page = str(Path(unquote(urlsplit(opened.url).path)).relative_to(html).with_suffix(""))
    cells = nbformat.read(chapters.page_source(page), as_version=4).cells if ids else []
    drawn_by = {re.sub(r"^figure-|-\d$", "", name) for name in ids}
    assert drawn_by <= {re.sub(r"-\d$", "", cell.id) for cell in cells}, "named after their cells"
    for figure, name in zip(figures, ids, strict=True):
        assert figure.locator(f"a.headerlink[href='#{name}']").count() == 1


def test_icon_of_the_tab_is_there(html, opened):
    """The favicon is a picture that the browser can draw."""
    icon = opened.page.locator("link[rel*=icon]").first.evaluate("e => e.href")
    width = opened.page.evaluate(
        """async url => {
            const image = new Image();
            image.src = url;
            await image.decode();
            return image.naturalWidth;
        }""",
        icon,
    )
    assert width > 0 and Path(unquote(urlsplit(icon).path)).is_relative_to(html)


# --- on paper -----------------------------------------------------------------------------

# What is wider than the paper, or stands on it though it can only be pressed.
PRINTED = """paper => {
    const seen = e => e.checkVisibility({visibilityProperty: true, opacityProperty: true});
    const boxes = "pre, figure, table, .sl-table > div, div.math, mjx-container, .cell_output";
    const wide = [...document.querySelectorAll("article :is(" + boxes + ")")]
        .filter(e => seen(e) && e.getBoundingClientRect().right > innerWidth + 1);
    const controls = "button, input, summary, .bd-sidebar, .bd-header-article, .prev-next-area";
    const idle = [...document.querySelectorAll(controls)]
        .filter(e => seen(e) && !e.closest(".sl-playground"));
    const tall = [...document.querySelectorAll("article figure svg")]
        .filter(e => e.getBoundingClientRect().height > paper.height);
    const still = [...document.querySelectorAll(".sl-widget:has(.sl-frame)")]
        .filter(e => [...e.querySelectorAll(".sl-frame")].filter(seen).length !== 1);
    return [...wide, ...idle, ...tall, ...still].map(e => e.outerHTML.slice(0, 120));
}"""
# A4 less its margins, in CSS pixels.
PAPER = {"width": 673, "height": 1001}


def test_nothing_is_cut_on_paper(opened):
    try:
        opened.page.set_viewport_size(PAPER)
        opened.page.emulate_media(media="print")
        assert opened.page.evaluate(PRINTED, PAPER) == []
        assert opened.page.locator("article h1").is_visible()
    finally:
        opened.page.emulate_media(media="screen")


def test_chapter_prints_whole(html, browser):
    """From its title to its last line, solutions open, in the light colours on a dark screen."""
    seen = visit(browser, html / "book/splines/03_partition.html", color_scheme="dark")
    seen.page.evaluate("addEventListener('beforeprint', () => document.title = 'being printed')")
    pages_of_paper = printed.texts(seen.page.pdf(format="A4"))
    assert seen.page.title() == "being printed"  # so what the page does before was done
    assert seen.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert 5 < len(pages_of_paper) < 30
    assert all(pages_of_paper[:-1]) and pages_of_paper[0].startswith("3.Cutaplane")
    text = "".join(pages_of_paper)
    paragraphs = seen.page.locator("article p").all_inner_texts()
    words = [group for told in paragraphs for group in re.findall(r"(?:[A-Za-z]+ ){5}", told)]
    lost = [group for group in words if group.replace(" ", "") not in text]
    assert len(words) > 100 and len(lost) <= len(pages_of_paper), lost  # where a page ends
    assert "Exercise3.1" in text
    assert "Showcodecell" not in text and "Contents" not in text
    seen.page.context.close()


# --- numbers ------------------------------------------------------------------------------

# What is referred to by its number, where it stands: its name and its number.
EXERCISES = re.compile(r'class="exercise [^"]*" id="([^"]+)".*?caption-number">([^<]*)<', re.DOTALL)
EQUATIONS = re.compile(r'class="eqno">([^<]*)<a class="headerlink" href="#([^"]+)"')
REFERENCES = re.compile(
    r'<a class="reference[^"]*" href="([^"#]*)#([^"]+)"[^>]*>(.*?)</a>', re.DOTALL
)


def plain(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", markup).split())


def numbers_of(html: Path) -> dict[tuple[Path, str], str]:
    """All exercises and equations of the book: file and name -> "Exercise 8.2", "(8.3)"."""
    found = {}
    for file in (html / f"{page}.html" for page in PAGES):
        text = file.read_text()
        found |= {(file, name): number.strip() for name, number in EXERCISES.findall(text)}
        found |= {(file, name): number.strip() for number, name in EQUATIONS.findall(text)}
    return found


NAMED = {"exercise": r"(?m)^:label: (ex-\S+)", "equation": r"(?m)^\$\$ \((eq-\S+)\)$"}
FORM = {"exercise": "Exercise {}.{}", "equation": "({}.{})"}


@pytest.mark.parametrize("kind", NAMED)
def test_numbers_are_those_of_the_chapter(html, kind):
    """From 1 without a gap, in the order of the page, and nothing that is named goes without."""
    prefix = "equation-" if kind == "equation" else ""
    expected = {}
    for page in CHAPTERS:
        source = nbformat.read(chapters.ROOT / f"{page}.ipynb", as_version=4)
        text = "\n".join(cell.source for cell in source.cells if cell.cell_type == "markdown")
        for place, name in enumerate(re.findall(NAMED[kind], text), 1):
            number = FORM[kind].format(pages.number(page), place)
            expected[html / f"{page}.html", prefix + name] = number
    found = numbers_of(html)
    assert len(expected) > 30
    assert expected == {key: found[key] for key in found if key[1].startswith(prefix or "ex-")}


def test_references_say_the_number_of_what_they_lead_to(html):
    """And a number that goes through the whole book is nowhere."""
    numbers, said = numbers_of(html), 0
    for file in (html / f"{page}.html" for page in PAGES):
        article = file.read_text().partition("<article")[2].partition("</article>")[0]
        for path, name, text in REFERENCES.findall(article):
            target = (file.parent / path).resolve() if path else file
            if (target, name) in numbers:
                assert plain(text).partition(" (")[0] == numbers[target, name], text
                said += 1
        assert not re.search(r"(?i)\bexercises? \d+(?!\.?\d)", plain(article)), file
    assert said >= len(numbers) / 2  # each exercise from its solution, and equations from prose


# --- links --------------------------------------------------------------------------------


def test_the_feed_leads_to_its_entries(html):
    feed = ET.parse(html / news.FILE).getroot()
    name = "{http://www.w3.org/2005/Atom}"
    links = [entry.find(f"{name}link").get("href") for entry in feed.iter(f"{name}entry")]
    assert len(links) == len(news.entries())
    ids = Anchors((html / f"{news.PAGE}.html").read_text()).ids
    assert {link.partition("#")[2] for link in links} <= ids
    assert all(link.startswith(f"{addresses.book()}{news.PAGE}.html#") for link in links)


class Anchors(HTMLParser):
    """Collects the targets that a page offers and the links that it follows."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag in ("a", "link", "area") and given.get("href"):
            self.links.add(given["href"])


def test_internal_links_arrive(html):
    files = [f for f in html.rglob("*.html") if not f.name.endswith("webpack-macros.html")]
    anchors = {f: Anchors(f.read_text()) for f in files}
    broken = []
    for source, page in anchors.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme in ("https", "http", "mailto", "data"), link
                continue
            target = (source.parent / unquote(parts.path)).resolve() if parts.path else source
            if not target.exists():
                broken.append(f"{source.relative_to(html)} -> {link}: no such file")
            elif parts.fragment and target in anchors:
                ids = anchors[target].ids
                if unquote(parts.fragment) not in ids:
                    broken.append(f"{source.relative_to(html)} -> {link}: no such anchor")
    assert broken == []
