"""The page as readers use it: by mouse, by keys, by touch, with links and files, good and bad."""

import re

import pytest
import torch
from networks import network, random_network

import splinelib as sl

APP = "document.querySelector('.sl-playground').playground"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
INPUT = torch.zeros(1, 2, dtype=torch.float64)


def session(page, what: str):
    return page.evaluate(f"{APP}.session.{what}")


def model_of(page, text: str = f"{APP}.session.network"):
    """The network on the page, as the library reads it."""
    call = "async () => (await import('./file.js')).toJson(" + text + ")"
    return sl.models.from_json(page.evaluate(call))


def facts(page, view: int = 0) -> tuple[int, int]:
    """Regions and units that the page names under a picture."""
    page.wait_for_timeout(100)
    text = page.locator(".pg-facts").nth(view).inner_text().replace(",", "")
    return tuple(int(number) for number in re.search(r"(\d+) regions · (\d+) units", text).groups())


def slide(page, selector: str, value) -> None:
    page.locator(selector).fill(str(value))


def message(page) -> str:
    page.wait_for_function("() => document.querySelector('.pg-message').textContent")
    return page.locator(".pg-message").inner_text()


def open_model(page, model, name="network.json") -> None:
    content = model if isinstance(model, str) else sl.models.to_json(model)
    file = {"name": name, "mimeType": "application/json", "buffer": content.encode()}
    page.locator("input[type=file]").set_input_files(file)
    message(page)


@pytest.fixture
def page(site):
    return site.open(viewport=DESKTOP)


def test_shows_a_trained_network_whose_facts_are_the_library_s(page):
    model = model_of(page)
    assert facts(page) == (len(sl.partition(model)), 32)
    share = float(page.locator(".pg-facts").first.inner_text().partition(" %")[0])
    points = torch.tensor(
        page.evaluate(
            f"[...{APP}.session.points.x.keys()].map(i => "
            f"['x', 'y', 'label'].map(k => {APP}.session.points[k][i]))"
        ),
        dtype=torch.float64,
    )
    right = ((model(points[:, :2])[:, 0] > 0) == (points[:, 2] > 0)).double().mean()
    assert share == pytest.approx(100 * right.item(), abs=0.05)


def test_trains_undoes_and_draws_the_code_distance(page):
    page.locator(".pg-reset").click()
    before = model_of(page)
    accuracy = page.evaluate(f"{APP}.views[0].accuracy")
    page.locator(".pg-play").click()
    page.wait_for_function(f"{APP}.session.epoch > 25")
    page.locator(".pg-play").click()
    assert page.evaluate(f"{APP}.views[0].accuracy") > max(accuracy, 0.75)
    assert session(page, "bird.distances.length") == session(page, "epoch")
    assert "Code distance over" in page.locator(".pg-chart").get_attribute("aria-label")
    page.locator(".pg-undo").click()
    assert session(page, "epoch") == 0
    assert sl.models.to_json(model_of(page)) == sl.models.to_json(before)


def test_the_slider_prunes_as_the_library_does_side_by_side(page):
    model = random_network([10, 6], 4).double()
    open_model(page, model)
    page.locator(".pg-criterion").nth(1).select_option("magnitude")
    slide(page, ".pg-gone", 8)
    for view, criterion in enumerate(("bend", "magnitude")):
        expected = sl.prune(model, 0.5, criterion=criterion, compensate="merge", example=INPUT)
        assert facts(page, view) == (len(sl.partition(expected)), 8)
        found = model_of(page, f"{APP}.views[{view}].network")
        x = 2 * torch.rand(50, 2, dtype=torch.float64) - 1
        assert (found(x) - expected(x)).abs().max() < 1e-9
    page.locator(".pg-keep").click()
    assert session(page, "gone") == 0 and facts(page)[1] == 8
    page.locator(".pg-undo").click()
    assert session(page, "gone") == 8
    slide(page, ".pg-gone", 0)
    assert facts(page) == (len(sl.partition(model)), 16)


def test_a_unit_is_removed_merged_moved_turned_and_a_weight_cut(page):
    model = random_network([5, 4], 2).double()
    open_model(page, model)
    page.locator(".pg-unit").nth(1).click()
    before = model_of(page)[1]
    page.locator(".pg-shift").press("ArrowRight")
    moved = model_of(page)[1]
    length = before.weight[1].norm()
    assert (before.bias - moved.bias)[1].item() == pytest.approx(0.01 * length.item())
    page.locator(".pg-turn").press("ArrowLeft")
    turned = model_of(page)[1]
    cosine = torch.nn.functional.cosine_similarity(moved.weight[1], turned.weight[1], dim=0)
    assert torch.rad2deg(cosine.acos()).item() == pytest.approx(1, abs=1e-6)
    page.locator(".pg-weight").first.click()
    assert model_of(page)[1].weight[1, 0] == 0
    assert page.locator(".pg-weight").first.inner_text().endswith("cut")
    units = facts(page)[1]
    page.locator(".pg-remove").click()
    assert facts(page)[1] == units - 1
    for _ in range(4):
        page.locator(".pg-undo").click()
    assert sl.models.to_json(model_of(page)) == sl.models.to_json(model)


def test_a_weight_is_cut_at_its_line_and_a_unit_removed_by_a_key(page):
    open_model(page, network([([[1.0, 0.5], [0.3, 1.0]], [0.5, 0.5]), ([[1.0, -1.0]], [0.1])]))
    diagram = page.locator(".pg-diagram canvas")

    def click_between(one, two) -> None:
        a, b = one.bounding_box(), two.bounding_box()
        x, y = ((a[k] + b[k]) / 2 + (a[s] + b[s]) / 4 for k, s in (("x", "width"), ("y", "height")))
        box = diagram.bounding_box()
        diagram.click(position={"x": x - box["x"], "y": y - box["y"]})

    x, unit = page.locator(".pg-input").first, page.locator(".pg-unit").first
    click_between(x, unit)  # no unit is chosen: nothing happens
    assert model_of(page)[1].weight.count_nonzero() == 4
    unit.click()
    click_between(x, unit)
    assert model_of(page)[1].weight.tolist() == [[0.0, 0.5], [0.3, 1.0]]
    unit.focus()
    page.keyboard.press("Delete")
    assert model_of(page)[1].weight.tolist() == [[0.3, 1.0]]
    page.locator(".pg-unit").first.click()
    page.keyboard.press("Delete")  # a layer keeps its last unit
    assert facts(page)[1] == 1


def test_merging_takes_the_nearest_line_on_the_same_side(page):
    twins = [[1.0, 2.0], [-1.0, 1.0], [2.0, 4.1], [-1.0, -2.0]]
    model = network([(twins, [0.5, 0.2, 1.0, -0.5]), ([[1.0, -1.0, 0.5, 2.0]], [0.1])])
    open_model(page, model)
    page.locator(".pg-unit").first.click()
    assert page.locator(".pg-merge").inner_text() == "Merge into 2"
    names = page.locator(".pg-unit").evaluate_all("all => all.map((u) => u.ariaLabel)")
    assert names[:2] == ["Unit 0 of layer 1", "Unit 1 of layer 1"]
    assert page.locator(".pg-inspector strong").inner_text() == "Unit 0, layer 1"
    page.locator(".pg-merge").click()
    merged = model_of(page)
    share = model[0].weight[0].norm() / model[0].weight[2].norm()
    expected = torch.tensor([-1.0, 0.5 + share.item(), 2.0], dtype=torch.float64)
    assert merged[3].weight[0].tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_a_line_is_dragged_through_the_pointer(page):
    model = network([([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5]), ([[1.0, -1.0]], [0.1])])
    open_model(page, model)
    box = page.locator(".pg-canvas").first.bounding_box()

    def place(x: float, y: float) -> tuple[float, float]:
        return box["x"] + box["width"] * (x + 1) / 2, box["y"] + box["height"] * (1 - y) / 2

    page.mouse.move(*place(-0.5, 0.6))  # on the line x = -0.5
    page.mouse.down()
    page.mouse.move(*place(0.0, 0.6), steps=4)
    page.mouse.move(*place(0.25, 0.6), steps=4)
    page.mouse.up()
    bias = model_of(page)[1].bias.tolist()
    assert bias == pytest.approx([-0.25, 0.5], abs=0.01)
    assert page.locator(".pg-inspector strong").inner_text() == "Unit 0, layer 1"
    page.locator(".pg-undo").click()
    assert model_of(page)[1].bias.tolist() == [0.5, 0.5]


def test_pointing_reads_the_region(page):
    model = random_network([6, 3], 8).double()
    open_model(page, model)
    box = page.locator(".pg-canvas").first.bounding_box()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_timeout(100)
    x, y = page.evaluate(f"{APP}.point")
    codes = sl.region_codes(model, torch.tensor([[x, y]], dtype=torch.float64))
    bits = ["".join(map(str, codes.unpack(name)[0].int().tolist())) for name in codes.layers]
    assert page.locator(".pg-region code").all_inner_texts() == bits
    slopes, (constant,) = sl.affine_map(model, torch.tensor([x, y], dtype=torch.float64))
    text = page.locator(".pg-region span").inner_text().replace("−", "-").replace(" ", "")
    for value in (*slopes.flatten().tolist(), constant.item()):
        assert f"{value:.2f}" in text
    slide(page, ".pg-gone", 3)
    page.wait_for_timeout(100)
    assert page.locator(".pg-region b").all_inner_texts() == ["bend", "before pruning"]


def test_points_of_one_s_own_come_and_go(page):
    page.locator("[data-name=own]").click()
    page.locator(".pg-play").click()
    assert "nothing to train on" in message(page)
    canvas = page.locator(".pg-canvas").first
    canvas.click(position={"x": 100, "y": 100})
    page.locator("[data-label='0']").click()
    canvas.click(position={"x": 300, "y": 100})
    canvas.click(position={"x": 200, "y": 300})
    assert [label for _, _, label in session(page, "data.points")] == [1, 0, 0]
    canvas.click(position={"x": 301, "y": 101})
    assert len(session(page, "data.points")) == 2
    page.locator(".pg-undo").click()
    assert len(session(page, "data.points")) == 3
    page.locator(".pg-play").click()
    page.wait_for_function(f"{APP}.session.epoch > 65")


def test_no_more_points_than_a_link_holds(page):
    page.locator("[data-name=own]").click()
    page.evaluate(
        f"{APP}.session.data.points = Array.from({{ length: 400 }}, (_, i) => [i / 400, 0.5, 0])"
    )
    page.locator(".pg-canvas").first.click(position={"x": 100, "y": 400})
    assert "No more than 400 points fit" in message(page)
    assert len(session(page, "data.points")) == 400
    state = good_state(page)
    assert page.evaluate(
        "async text => (await import('./state.js')).decodeState(text).data.points.length", state
    )


def test_a_link_shows_what_one_saw(page, site):
    page.locator("[data-name=own]").click()
    page.locator(".pg-canvas").first.click(position={"x": 120, "y": 90})
    page.locator("[aria-label='One layer more']").click()
    page.locator("[aria-label='One unit less in layer 2']").click()
    page.locator(".pg-criterion").nth(1).select_option("random")
    page.locator(".pg-fill").select_option("slope")
    page.locator(".pg-rate").select_option("0.03")
    slide(page, ".pg-gone", 9)
    page.wait_for_timeout(500)
    assert "#playground=1" in page.url and len(page.url) < 8000
    other = site.open("index.html" + page.url[page.url.index("#") :], viewport=DESKTOP)
    assert [facts(other, i) for i in (0, 1)] == [facts(page, i) for i in (0, 1)]
    for what in ("data.name", "fill", "rate", "gone", "criteria", "epoch", "takeOver"):
        assert session(other, what) == session(page, what)
    assert session(other, "data.points") == [
        pytest.approx(point, abs=1e-4) for point in session(page, "data.points")
    ]
    assert [p.shape for p in model_of(other).parameters()] == [
        p.shape for p in model_of(page).parameters()
    ]
    assert other.url.partition("#")[2] == page.url.partition("#")[2]


def good_state(page) -> str:
    return page.evaluate(f"{APP}.stateText()")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s[:400], "weights|ends too early|lacks"),
        (lambda s: s.replace("playground=1", "playground=9"), "another version"),
        (lambda s: s.replace("widths=16-16", "widths=16-99"), "too large"),
        (lambda s: s.replace("widths=16-16", "widths=16-16-16-16"), "too large"),
        (lambda s: s.replace("widths=16-16", "widths=0"), "too large or empty"),
        (lambda s: s.replace("widths=16-16", "widths=banana"), "no numbers"),
        (lambda s: s.replace("widths=16-16", "widths=16-15"), "weights where"),
        (lambda s: s.replace("gone=0", "gone=31"), "gone"),
        (lambda s: s.replace("seed=1", "seed=-1"), "seed"),
        (lambda s: s.replace("data=cross", "data=stars"), "stars"),
        (lambda s: s.replace("criteria=bend", "criteria=luck"), "luck"),
        (lambda s: s.replace("rate=0.01", "rate=1e9"), "rate"),
        (lambda s: s.replace("data=cross", "data=own"), "points"),
        (lambda s: re.sub("weights=.{8}", "weights=!!!!!!!!", s), "cannot be read"),
        (lambda s: re.sub("weights=.{8}", "weights=AADAfwAA", s), "not finite"),
        (lambda s: s + "&points=" + 30000 * "A", "too long"),
    ],
)
def test_a_broken_link_says_so_and_the_playground_goes_on(page, site, change, said):
    state = good_state(page)
    broken = change(state)
    assert broken != state
    other = site.open("index.html#" + broken, viewport=DESKTOP)
    assert re.search(said, message(other))
    assert facts(other)[1] == 32
    other.locator(".pg-play").click()
    other.wait_for_function(f"{APP}.session.epoch > 61")


LAYERS = '"activation": "relu", "layers": '


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "not JSON"),
        ('{"format": "onnx"}', 'its format should be "splinelib network"'),
        ('{"format": "splinelib network", "version": 7}', "version 1"),
        (random_network([17], 0), "up to 16 units in a layer; this network has 17"),
        (random_network([3, 3, 3, 3], 0), "1 to 3 hidden layers; this network has 4"),
        (random_network([3], 0, outputs=3), "one output, or two; this one has 3|network has 3"),
        (sl.models.mlp([5, 3, 1]), "two inputs; this one has 5"),
        (sl.models.mlp([2, 1]), "1 to 3 hidden layers; this network has 0"),
        ('{"format": "splinelib network", "version": 1, ' + LAYERS + "[{}]}", "Layer 1"),
        (
            '{"format": "splinelib network", "version": 1, '
            + LAYERS
            + '[{"weight": [[1, 2]], "bias": [1e999]}, {"weight": [[1]], "bias": [0]}]}',
            "not finite",
        ),
        (
            '{"format": "splinelib network", "version": 1, '
            + LAYERS
            + '[{"weight": [[1, 2]], "bias": [0]}, {"weight": [[1, 2]], "bias": [0]}]}',
            "reads 2 units, but layer 1 has 1",
        ),
        (" " * 400_000, "too large"),
    ],
)
def test_a_file_that_is_not_ours_says_so_and_the_playground_goes_on(page, content, said):
    open_model(page, content)
    assert re.search(said, message(page))
    assert facts(page)[1] == 32


def test_a_file_comes_back_as_it_was_saved(page, tmp_path):
    model = random_network([7, 5], 3, outputs=2).double()
    open_model(page, model)
    with page.expect_download() as download:
        page.locator(".pg-save").click()
    saved = sl.models.from_json(download.value.path().read_text())
    x = torch.randn(20, 2, dtype=torch.float64)
    out = model(x)
    assert torch.allclose(saved(x)[:, 0], out[:, 1] - out[:, 0], atol=1e-12)


def test_numbers_that_overflow_while_training_say_so_and_training_goes_on(page):
    tiny, huge = 1e-310, 1e200
    model = network([([[tiny, tiny]], [tiny]), ([[huge]], [0]), ([[huge]], [0])])
    open_model(page, model)
    page.locator(".pg-play").click()
    page.wait_for_function(
        "() => document.querySelector('.pg-message').textContent.match(/finite/)"
    )
    assert page.locator(".pg-play").inner_text() == "Train"
    assert all(p.isfinite().all() for p in model_of(page).parameters())
    page.locator(".pg-reset").click()
    page.locator(".pg-play").click()
    page.wait_for_function(f"{APP}.session.epoch > 2")


def test_everything_is_reached_by_keys(page):
    page.locator(".pg-play").focus()
    page.keyboard.press("Space")
    page.wait_for_function(f"{APP}.session.epoch > 61")
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached |= set((page.evaluate("document.activeElement.className") or "").split())
    controls = {"undo", "reset", "rate", "fill", "canvas", "data", "unit", "gone", "criterion"}
    controls |= {"take-over", "link", "save", "open"}
    assert {f"pg-{name}" for name in controls} <= reached
    page.locator(".pg-canvas").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert page.evaluate(f"{APP}.cross") == pytest.approx([0.04, 0.2])
    assert "code" in page.locator("[aria-live=polite]").inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".pg-inspector").is_visible()
    page.keyboard.press("Escape")
    assert page.locator(".pg-inspector").is_hidden()
    page.locator(".pg-gone").focus()
    page.keyboard.press("ArrowRight")
    assert facts(page)[1] == 31


def test_fits_a_phone_and_follows_a_finger(site):
    page = site.open(viewport=PHONE, has_touch=True, is_mobile=True)
    wide = "() => document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= 390
    page.locator(".pg-criterion").nth(1).select_option("spline")
    slide(page, ".pg-gone", 12)
    page.locator(".pg-unit").nth(20).tap()
    assert page.locator(".pg-inspector").is_visible()
    page.locator("[data-name=own]").tap()
    page.locator(".pg-canvas").first.tap(position={"x": 60, "y": 60})
    assert len(session(page, "data.points")) == 1
    assert page.evaluate(wide) <= 390


def test_a_finger_moves_the_line_that_it_chose_and_else_scrolls(site):
    page = site.open(viewport=PHONE, has_touch=True, is_mobile=True)
    open_model(page, network([([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.9]), ([[1.0, -1.0]], [0.1])]))
    page.evaluate("scrollTo(0, 0)")
    box = page.locator(".pg-canvas").first.bounding_box()
    finger = page.context.new_cdp_session(page)

    def swipe(start, end) -> None:
        for kind, (x, y) in (("touchStart", start), ("touchMove", end), ("touchEnd", end)):
            place = {
                "x": box["x"] + box["width"] * (x + 1) / 2,
                "y": box["y"] + box["height"] * (1 - y) / 2,
            }
            points = [] if kind == "touchEnd" else [place]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            page.wait_for_timeout(80)

    swipe((-0.5, 0.2), (0.25, 0.2))  # not chosen yet: nothing moves
    assert model_of(page)[1].bias.tolist() == [0.5, 0.9]
    swipe((-0.5, 0.2), (-0.5, 0.2))
    assert page.locator(".pg-inspector").is_visible()
    swipe((-0.5, 0.2), (0.25, 0.2))
    assert model_of(page)[1].bias.tolist() == pytest.approx([-0.25, 0.9], abs=0.02)
    assert page.evaluate("scrollY") == 0
    swipe((0.6, -0.6), (0.6, 0.7))
    page.wait_for_function("() => scrollY > 50")
    assert model_of(page)[1].bias.tolist() == pytest.approx([-0.25, 0.9], abs=0.02)


def test_reduced_motion_trains_and_draws_seldom(site):
    page = site.open(viewport=DESKTOP, reduced_motion="reduce")
    page.evaluate(
        f"() => {{ const app = {APP}, draw = app.draw.bind(app); window.drawn = 0; "
        "app.draw = () => { window.drawn++; draw(); }; }"
    )
    page.locator(".pg-play").click()
    page.wait_for_timeout(1600)
    page.locator(".pg-play").click()
    assert session(page, "epoch") > 62
    assert page.evaluate("window.drawn") <= 6


def test_colours_follow_the_theme(site):
    page = site.open(viewport=DESKTOP, color_scheme="light")
    light = page.evaluate(f"{APP}.colours.ink")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"{APP}.colours.ink !== '{light}'")
