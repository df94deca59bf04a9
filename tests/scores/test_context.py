"""What criteria look at."""

import pytest
import torch
from networks import convnet, dense_mlp, gaussian, images, linear_net, plain_convnet

import splinelib as sl
from splinelib.channels.groups import find_groups
from splinelib.scores import context, criteria
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


def test_large_groups_are_not_held_together(monkeypatch):
    """The scores are the same; hyperplanes of a large one are asked for by itself only."""
    model, asked = plain_convnet(), []
    layout = find_groups(model, gaussian(1, 2, 7, 7))
    monkeypatch.setattr(
        context.Context,
        "hyperplanes",
        lambda self, group, given=context.Context.hyperplanes: (
            asked.append(group.name) or given(self, group)
        ),
    )
    first, *others = layout.groups.values()
    assert others
    found = {}
    for limit in (2**18, 0):
        monkeypatch.setattr(context, "_TOGETHER", limit)
        asked.clear()
        what = context.Context(model, layout, None, 0)
        found[limit] = [what.merging_distance(first, 0.1, 2, None)]
        assert asked == (list(layout.groups) if limit else [first.name])
        found[limit] += [what.merging_distance(each, 0.1, 2, None) for each in others]
        assert sorted(asked) == sorted(layout.groups)
    for one, other in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_group_of_which_lengths_overflow_is_named():
    model = dense_mlp()
    with torch.no_grad():
        model[2].weight *= 1e25
    with pytest.raises(ValueError, match=r"'2' cannot be compared.*float32.*double"):
        sl.prune(model, 0.2, "spline", example=torch.zeros(1, 6))
    example = torch.zeros(1, 6, dtype=torch.float64)
    small = sl.prune(model.double(), 0.5, "spline", "layerwise", example=example)
    assert small[2].out_features == 6
