"""What criteria look at."""

import pytest
import torch
from networks import convnet, gaussian, images, linear_net, plain_convnet

import splinelib as sl
from splinelib.channels.groups import find_groups
from splinelib.scores import criteria
from splinelib.scores.context import activity


def test_snip_works_on_a_frozen_network_and_says_what_it_needs():
    model, data, labels = (
        linear_net([[1], [2]], [[1, 0], [0, 1]]),
        gaussian(4, 1),
        torch.tensor([0, 1, 1, 0]),
    )
    free = sl.score(model, "snip", data=data, labels=labels)["0"]
    model.requires_grad_(False)
    assert torch.equal(sl.score(model, "snip", data=data, labels=labels)["0"], free)
    with pytest.raises(ValueError, match="labels="):
        sl.score(model, "snip", data=data)
    with pytest.raises(ValueError, match="3 labels for 4"):
        sl.score(model, "snip", data=data, labels=labels[:3])
    with pytest.raises(TypeError, match="int64"):
        sl.score(model, "snip", data=data, labels=labels.float())
    certain = linear_net([[500.0], [0.0]], [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="no gradient"):
        sl.score(certain, "snip", data=torch.ones(1, 1).double(), labels=torch.tensor([0]))


def test_activity_is_the_region_code_of_each_unit():
    model, data = plain_convnet(), gaussian(10, 2, 7, 7)
    layout = find_groups(model, data)
    codes = sl.region_codes(model, data)
    for name, sides in activity(model, layout, data).items():
        bits = codes.unpack(name)  # (N, U, H, W)
        expected = 2 * bits.movedim(1, 0).flatten(1).float() - 1
        changing = bits.movedim(1, 0).flatten(1).float().std(1) > 0
        assert torch.equal(sides[changing], expected[changing])
        assert not sides[~changing].any()


def test_activity_samples_places_in_batches_alike():
    model, data = plain_convnet(), gaussian(300, 2, 7, 7)
    layout = find_groups(model, data)
    few = activity(model, layout, data, places=500)
    assert {name: sides.shape[1] for name, sides in few.items()} == {"0": 500, "2": 500}
    assert torch.equal(few["0"], activity(model, layout, data, places=500)["0"])


def test_hyperplanes_of_a_group_are_those_of_the_layer():
    model = convnet(bias=True)
    layout = find_groups(model, images(1))
    context = criteria.Context(model, layout, None, 0)
    for layer in sl.spline_layers(model, images(1)):
        normals, offsets = context.hyperplanes(layout.groups[layer.name])
        expected, shift = layer.hyperplanes()
        torch.testing.assert_close(normals, expected.detach())
        torch.testing.assert_close(offsets, shift.detach())
