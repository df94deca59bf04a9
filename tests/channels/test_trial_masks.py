"""Which units go when a layout is tried out."""

import math

import pytest
import torch
from networks import convnet, images
from torch import nn

from splinelib.channels.groups import find_groups
from splinelib.channels.layout import Group, Member
from splinelib.channels.trial_masks import at_once, coincidences, equal, halves, turned
from splinelib.models import preresnet, resnet18, vgg16


def test_every_unit_goes_in_one_trial_and_stays_in_the_other():
    layout = find_groups(convnet(), images(2))
    first, second = halves(layout.groups)
    for name in first:
        assert torch.equal(first[name], ~second[name])
        assert first[name].any() and second[name].any()
    assert len({int(mask.sum()) / len(mask) for mask in first.values()}) > 1


@pytest.mark.parametrize("spared", [0, 2])
def test_no_mask_is_the_same_from_back_to_front(spared):
    """Else a layout that numbers the units of one layer backwards would pass."""
    groups = chain(*range(2, 40), *range(3, 40))
    names = {name: spared if group.units > 4 else 0 for name, group in groups.items()}
    first, others = halves(groups, names if spared else None)
    for masks in (first, others):
        for name, mask in masks.items():
            assert not torch.equal(mask, mask.flip(0)), name
            assert 0 < mask.sum() < groups[name].units
            assert math.gcd(int(mask.sum()), len(mask)) == 1, "no division of both leaves no rest"
            assert len(mask) < 4 or mask[0] == mask[-1]
        assert masks is others or all(len(m) - m.sum() >= names[n] for n, m in masks.items())


def test_a_group_has_the_same_masks_whichever_others_are_tried():
    groups = chain(*range(2, 12))
    for at, masks in enumerate(halves(groups)):
        for name, mask in masks.items():
            assert torch.equal([*halves({name: groups[name]})][at][name], mask)


def test_groups_of_few_units_are_tried_in_another_order_too():
    groups = chain(2, *range(3, 16))
    (masks,) = turned(groups)
    assert [len(mask) for mask in masks.values()] == [*range(3, 13)]
    for name, mask in masks.items():
        assert not any(torch.equal(mask, half[name]) for half in halves(groups))
        assert mask[0] != mask[-1] and 2 * mask.sum() > len(mask)
    assert not [*turned(chain(2, 13))]


def chain(*widths):
    layers = [nn.Linear(a, b) for a, b in zip((4, *widths), widths, strict=False)]
    parts = [part for layer in layers for part in (layer, nn.ReLU())]
    net = nn.Sequential(*parts, nn.Linear(widths[-1], 3))
    return find_groups(net, torch.randn(2, 4)).groups


def test_groups_are_tried_at_the_width_of_the_smallest_and_of_layers_that_stay():
    groups = chain(40, 20, 60)
    assert coincidences(groups, {3, 100}) == [3, 20]
    assert coincidences(groups, {100}) == [20] and coincidences(groups, {60}) == [20]
    (masks,) = equal(groups, [30])
    assert [int(mask.sum()) for mask in masks.values()] == [30, 20, 30]


@pytest.mark.parametrize("make", [vgg16, lambda: preresnet(depth=20), resnet18])
def test_two_trials_do_for_many_channels(make):
    """Every unit goes in one, and in the second all groups are as wide as the layer that stays."""
    groups = find_groups(make().eval(), images(2, 32)).groups
    first, second = at_once(groups, {10})
    assert {int(mask.sum()) for mask in second.values()} == {10}
    assert not any((first[name] & second[name]).any() for name in groups)
    kept = {int(mask.sum()) for mask in first.values()}
    assert len(kept) > len(groups) / 3, "sizes that agree by chance show in the first"


def test_what_two_trials_do_not_cover_is_tried_by_itself():
    groups = chain(40, 20, 60)
    first, second, third = at_once(groups, {30})
    assert [int(mask.sum()) for mask in third.values()] == [30, 20, 30]
    assert len({int(mask.sum()) for mask in second.values()}) == 1
    assert not any((first[name] & second[name]).any() for name in groups)


def heads(*units):
    """Groups of which each unit has four channels."""
    of = {n: torch.arange(4 * n).view(n, 4) for n in units}
    return {f"{n}": Group(f"{n}", n, (Member(f"{n}", "out", of[n]),)) for n in units}


@pytest.mark.parametrize("stay", [set(), {8}, {12}])
def test_no_mask_of_a_trial_at_once_is_the_same_from_back_to_front(stay):
    found = 0
    for units in range(7, 60):
        masks = at_once(groups := heads(units, 60), stay)
        found += masks is not None
        for mask in (mask for each in masks or () for mask in each.values()):
            assert not torch.equal(mask, mask.flip(0))
        # of few units a third is tried
        assert masks is None or (len(masks) > 2) == (units <= 12)
        assert masks is None or units > 12 or masks[2].keys() == {groups[f"{units}"].name}
    assert found > 40


def test_few_channels_are_tried_half_by_half():
    assert at_once(chain(40, 10), {3}) is None, "of 10 units no 8 are left once as many others go"
