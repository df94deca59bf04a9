"""Figures that are computed in the page: what they hold, and what they refuse."""

import json
import re

import numpy as np
import pytest
import torch
from networks import random_network

import splinelib as sl
from splinelib.plotting import explorer, live, widgets
from splinelib.plotting.scripts import MODULES, figures_script

STAR = (0.25, -0.5)


@pytest.fixture(scope="module")
def model():
    return random_network([5, 3], 4, outputs=2).double()


def shown(model, **changes):
    given = {"network": sl.models.to_json(model), "part": sl.partition(model), "star": STAR}
    return explorer(**{"alt": "A square.", **given, **changes})


def data(figure) -> dict:
    return json.loads(re.search(r"json\">(.*?)</script>", figure.markup, re.S)[1])


def test_the_page_holds_the_network_itself(model):
    given = data(shown(model))
    again = sl.models.from_json(json.dumps(given["network"]))
    assert torch.equal(again[1].weight, model[0].weight)
    assert (given["square"], given["star"]) == ([-1, 1], list(STAR))


def test_without_scripts_picture_code_and_map_are_there(model):
    markup = shown(model, caption="a < b").markup
    assert 'aria-label="A square."' in markup and "<figcaption>a &lt; b</figcaption>" in markup
    at = torch.tensor([STAR], dtype=torch.float64)
    codes = sl.region_codes(model, at)
    bits = ["".join(map(str, codes.unpack(name)[0].int().tolist())) for name in codes.layers]
    assert f"<p>code {' '.join(bits)}</p>" in markup
    A, b = sl.affine_map(model, at[0])
    for value in (*A.flatten().tolist(), *b.tolist()):
        assert f"{value:.2f}".replace("-", "−") in markup
    assert markup.count("<script") == 1, "data, and no script that runs"


def test_the_still_picture_of_units_has_the_dashed_boundary_of_all(model):
    one = random_network([5], 4, outputs=2).double()
    figure = shown(one, network=sl.models.to_json(one), part=sl.partition(one), units=True)
    assert figure.markup.count("stroke-dasharray=") == 1
    assert "stroke-dasharray=" not in shown(model).markup
    assert "</text>" in figure.markup and "</text>" not in shown(model).markup, "numbers of units"


def test_the_script_comes_along_where_there_is_a_kernel(model, monkeypatch):
    figure = shown(model)
    monkeypatch.setenv(widgets.MODE, "static")
    assert figure._repr_html_() == figure.markup
    monkeypatch.setattr(live, "is_live", lambda: True)
    assert figure._repr_html_() == f"{figure.markup}<script>{figures_script()}</script>"


def test_text_in_the_data_ends_no_script():
    figure = live.Live(live.figure_html({"name": "</script><!--"}, "", "", None), "Nothing.")
    assert figure.markup.count("</script>") == 1 and "<!--" not in figure.markup
    assert data(figure) == {"name": "</script><!--"}


def test_limits_are_those_of_the_scripts():
    text = (MODULES / "network.js").read_text()
    assert f"LIMITS = {{ depth: {live.DEPTH}, width: {live.WIDTH} }}" in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: shown(m, alt=" "), "alt must say"),
        (lambda m: shown(m, star=(1.5, 0)), "the star must lie in the square"),
        (lambda m: shown(m, chosen=(0, 5)), "there is no"),
        (lambda m: shown(m, chosen=(2, 0)), "there is no"),
        (lambda m: shown(m, units=True), "at most 8 units"),
        (lambda m: shown(m, color="depth"), 'color is "slope", "code" or "layer"'),
        (lambda m: shown(m, network="a network"), "the text that splinelib"),
        (lambda m: shown(m, network='{"layers": 3}'), "the text that splinelib.models.to_json"),
        (
            lambda m: shown(m, part=sl.partition(random_network([5, 3], 5, outputs=2))),
            "of the same",
        ),
        (lambda m: shown(m, part=sl.partition(m, domain=((0, 1), (0, 2)))), "one range for both"),
        (lambda m: shown(random_network([17], 0).double()), "at most 16 units"),
        (lambda m: shown(random_network([2, 2, 2, 2], 0).double()), "1 to 3 hidden layers"),
        (lambda m: shown(random_network([4], 0, outputs=3).double()), "Keep the two outputs"),
    ],
)
def test_what_the_scripts_cannot_draw_is_refused(model, make, message):
    with pytest.raises(ValueError, match=message):
        make(model)


def test_a_slice_is_refused():
    wide = sl.models.mlp([3, 4, 1], seed=0).double()
    corners = np.eye(3)
    plane = sl.Plane.through(*(torch.tensor(corner) for corner in corners))
    text = sl.models.to_json(random_network([4], 0).double())
    with pytest.raises(ValueError, match="on a plane"):
        explorer(text, sl.partition(wide, plane=plane), "A slice.", STAR)
