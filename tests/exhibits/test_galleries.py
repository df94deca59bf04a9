"""A page of slices through a network of the reader's own."""

import numpy as np
import pytest
import torch
from networks import alive, small

import splinelib as sl
from splinelib.exhibits import galleries


@pytest.fixture(scope="module")
def model():
    return alive(small())


@pytest.fixture(scope="module")
def images():
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) / 10


def test_a_slice_holds_its_images_and_their_ways(model, images):
    found = galleries.slice_through(model, images[:3], ["a", "b", "c"])
    assert found.whole and set(found.ways) == {(0, 1), (0, 2), (1, 2)}
    distance = float((images[1] - images[0]).norm())
    assert found.ways[0, 1].length == pytest.approx(distance)
    np.testing.assert_allclose(found.places[:2], [[0, 0], [distance, 0]], atol=1e-5)
    part = found.part
    with torch.no_grad():
        truth = model.double()(part.plane(part.vertices[:9]))
    model.float()
    np.testing.assert_allclose(part.outputs[:9], truth.numpy(), atol=1e-6)
    shown = galleries.layers_table(found).markup
    assert f"{len(part):,}" in shown  # the last layer's count is that of all regions


def test_too_many_regions_show_a_part_and_say_so(model, images, tmp_path):
    found = galleries.slice_through(model, images[:3], ["a", "b", "c"], max_regions=20)
    assert len(found.part) <= 20 and not found.whole
    page = tmp_path / "index.html"
    galleries.save_gallery(page, model, images, list("abcdef"), 1, max_regions=20)
    text = page.read_text()
    assert "a part around the first is shown" in text and "not shown" in text


def test_a_page_needs_nothing_from_elsewhere(model, images, tmp_path):
    names = ["<b>", "b", "c", "d", "e", "f"]
    found = galleries.save_gallery(tmp_path / "index.html", model, images, names, slices=1)
    text = (tmp_path / "index.html").read_text()
    assert len(found) == 1 and text.count("<h2>") == 1
    assert "http" not in text.replace("http://www.w3.org", "")
    assert "<b>" not in text and "color-scheme:light dark" in text
    assert f"{len(found[0].part):,} regions" in text


def test_a_plane_that_is_cut_too_finely_everywhere_is_refused(model, images, monkeypatch):
    monkeypatch.setattr(galleries, "_HALVINGS", 1)
    with pytest.raises(sl.RegionLimitExceeded, match="even a small part"):
        galleries.slice_through(model, images[:3], max_regions=2)


def test_images_that_span_no_plane_are_named(model, images, tmp_path):
    with pytest.raises(ValueError, match="goes through three images; there are 2"):
        galleries.save_gallery(tmp_path / "x.html", model, images[:2], ["a", "b"])
    line = torch.stack([images[0], 2 * images[0], 3 * images[0]])
    with pytest.raises(ValueError, match="a, b, c: the three points lie on one line"):
        galleries.save_gallery(tmp_path / "x.html", model, line, ["a", "b", "c"])
    with pytest.raises(ValueError, match="shape"):
        galleries.save_gallery(tmp_path / "x.html", model, torch.randn(3, 2, 8, 8), list("abc"))
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("told", "message"),
    [({"slices": 0}, "at least one slice"), ({"max_regions": 0}, "at least one region")],
)
def test_less_than_one_is_refused(model, images, tmp_path, told, message):
    with pytest.raises(ValueError, match=message):
        galleries.save_gallery(tmp_path / "index.html", model, images, list("abcdef"), **told)
    assert not list(tmp_path.iterdir())
