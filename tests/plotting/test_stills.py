"""The still picture: every region, every line, the boundary, and a place that is marked."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from networks import random_network

import splinelib as sl
from splinelib.plotting.stills import SIDE, colour_plane, still


@pytest.fixture(scope="module")
def model():
    return random_network([5, 4], 2, outputs=2).double()


def paths(text: str) -> list[ET.Element]:
    return [node for node in ET.fromstring(text).iter() if node.tag.endswith("path")]


def test_every_region_is_filled_and_every_line_drawn(model):
    part = sl.partition(model, domain=((0, 3), (0, 3)))
    drawn = paths(still(part, "A square.", color="slope"))
    fills = "".join(node.get("d") for node in drawn if node.get("fill"))
    assert fills.count("Z") == len(part)
    lines = "".join(node.get("d") for node in drawn if not node.get("fill"))
    inner = (part.edge_source[:, 0] >= 0).sum()
    assert lines.count("M") == inner + 2 * len(part.decision_boundary())
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", fills + lines)]
    assert min(numbers) >= 0 and max(numbers) <= SIDE


def test_corners_lie_where_the_vertices_are(model):
    part = sl.partition(model, domain=((0, 3), (0, 3)))
    star = part.centroids[1]
    outline = paths(still(part, "A square.", star=tuple(star)))[-2].get("d")
    found = np.array(re.findall(r"-?[\d.]+", outline), float).reshape(-1, 2)
    corners = part.vertices[part.regions[1]]
    expected = np.stack([corners[:, 0], 3 - corners[:, 1]], 1) * SIDE / 3
    assert np.abs(found - expected).max() <= 0.051


def test_slope_of_two_outputs_is_that_of_their_difference(model):
    part = sl.partition(model)
    A, _ = part.affine_maps()
    assert np.array_equal(colour_plane(part, "slope"), A[:, 1] - A[:, 0])
    one = sl.partition(random_network([5], 2).double())
    assert np.array_equal(colour_plane(one, "slope"), one.affine_maps()[0][:, 0])


def test_alt_text_is_escaped(model):
    picture = ET.fromstring(still(sl.partition(model), '5 < 6 "regions"'))
    assert picture.get("aria-label") == '5 < 6 "regions"' and picture.get("role") == "img"


def test_close_codes_are_close_and_a_silent_unit_moves_no_hue(model):
    part = sl.partition(model)
    place = colour_plane(part, "code")
    bits = np.concatenate([np.asarray(part.codes.unpack(name)) for name in part.layers], 1)
    one_bit = (bits[:, None] != bits).sum(2) == 1
    away = np.hypot(*(place[:, None] - place).transpose(2, 0, 1))
    assert away[one_bit].mean() < 0.9 * away.mean()
    masked = sl.apply_masks(
        model,
        {"0": torch.arange(5) != 2, "2": torch.arange(4) >= 0},
        torch.zeros(1, 2, dtype=torch.float64),
    )
    after = sl.partition(masked)
    for region in range(len(after)):
        code = [np.asarray(after.codes.unpack(name))[region] for name in after.layers]
        same = (bits == np.concatenate(code)).all(1)
        if same.any():
            assert np.allclose(colour_plane(after, "code")[region], place[same.argmax()])
    with pytest.raises(ValueError, match='color is "slope", "code" or'):
        colour_plane(part, "layer")


def test_units_have_their_numbers_on_their_lines_and_none_covers_another():
    """Also two units that draw one line; a unit whose line misses the square has no number."""
    weight = torch.tensor([[1.0, 0.5], [2.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    bias = torch.tensor([0.1, 0.2, -0.5, 5.0, 1.0])
    model = sl.models.mlp([2, 5, 1])
    with torch.no_grad():
        model.linear1.weight[:], model.linear1.bias[:] = weight, bias
    drawn = still(sl.partition(model), "A square.", numbered=(weight.numpy(), bias.numpy()))
    texts = [node for node in ET.fromstring(drawn).iter() if node.tag.endswith("text")]
    assert [node.text for node in texts] == ["0", "1", "2"]
    places = np.array([[float(node.get(name)) for name in "xy"] for node in texts])
    points = np.stack([places[:, 0], SIDE - places[:, 1]], 1) * 2 / SIDE - 1
    away = (weight.numpy()[:3] * points).sum(1) + bias.numpy()[:3]
    assert np.abs(away / np.linalg.norm(weight.numpy()[:3], axis=1)).max() < 0.01
    assert min(np.hypot(*(places[i] - places[j])) for i in range(3) for j in range(i)) > 26
    assert "<text" not in still(sl.partition(model), "A square.")
