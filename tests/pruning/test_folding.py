"""Dropped channels rebuilt from kept ones."""

import pytest
import torch
from networks import PadsInside, grouped, images, relative_error, two_convolutions, with_twins
from torch import nn

import splinelib as sl
from splinelib.channels.cuts import cut_by, cut_copy
from splinelib.channels.groups import find_groups
from splinelib.pruning.folding import fold
from splinelib.pruning.merging import renew_statistics


def with_constant_units(seed=17, padding=1):
    """Half of the first channels are constants, which zero padding cuts off at the border."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 16, 3, padding=padding, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)),
    )
    renew_statistics(model, images(32, 12, seed=3))
    with torch.no_grad():
        model[1].weight[:8], model[1].bias[:8] = 1e-4, 4.0
    return model.eval()


@pytest.mark.parametrize("criterion", ["bn", "magnitude", "spline"])
@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_a_constant_that_padding_cuts_off_does_no_harm(criterion, ratio):
    """Fold was up to a thousand times worse here than nothing."""
    model, data, test = with_constant_units(), images(256, 12), images(128, 12, seed=1)
    with torch.no_grad():
        expected = model(test)
        plain, small = (
            (sl.prune(model, ratio, criterion, data=data, compensate=how)(test) - expected)
            .square()
            .mean()
            for how in (False, "fold")
        )
    assert small <= 1.05 * plain


@torch.no_grad()
def test_the_constant_is_the_mean_over_all_positions():
    model, data = with_constant_units(), images(64, 12)
    masks = {"0": torch.arange(16) >= 4}
    layout = find_groups(model, data)
    kept = cut_by(model, layout, masks).kept
    small = cut_copy(model, kept)
    mean = small[4].running_mean.clone()
    fold(model, small, layout, kept, data)
    read = model[:3](data)
    rest = model[3](read) - small[3](read[:, 4:])
    torch.testing.assert_close(
        mean - small[4].running_mean, rest.mean((0, 2, 3)), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_without_padding_constants_are_folded_exactly():
    model, data = with_constant_units(padding=0), images(128, 12)
    small = sl.prune(model, 0.25, "bn", data=data, compensate="fold")
    expected = model(data)
    assert (small(data) - expected).abs().max() < 1e-3 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("how", ["fold", "refit"])
def test_padding_inside_is_padding(how):
    """The same weights give the same compensated network, wherever the padding is written."""
    data = images(200, 8)
    inside, outside = two_convolutions(PadsInside), two_convolutions(nn.Conv2d, padding=1)
    for criterion in ("spline", "magnitude", "lsq"):
        one, two = (
            sl.prune(model, 0.3, criterion, data=data, compensate=how)(data)
            for model in (inside, outside)
        )
        # A fold takes its rows from what the convolution reads, which holds the padding then.
        limit = 1e-3 if how == "refit" else 0.05
        assert (one - two).abs().max() < limit * two.abs().max()


@torch.no_grad()
def test_each_block_of_a_grouped_convolution_folds_its_own_twins():
    model, data = with_twins(grouped(read=3, made=4, blocks=2), factors=(2.0, 0.5)), images(64)
    masks = {"0": torch.tensor([True, True, False])}
    plain, small = (
        sl.shrink(model, masks, data[:1], data=data, compensate=how) for how in (False, "fold")
    )
    assert relative_error(plain(data), model(data)) > 1e-3
    assert relative_error(small(data), model(data)) < 1e-5
    weight = model[2].weight[:, :2].clone()
    weight[:4, 0] += 2.0 * model[2].weight[:4, 2]
    weight[4:, 0] += 0.5 * model[2].weight[4:, 2]
    torch.testing.assert_close(small[2].weight, weight, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_rows_of_a_folded_grouped_convolution_may_go_as_well():
    model, data = with_twins(grouped(read=3, made=4, blocks=2)), images(64)
    masks = {"0": torch.tensor([True, True, False]), "2": torch.tensor([True, False, True, True])}
    only = sl.apply_masks(model, {"2": masks["2"]}, data)
    small = sl.shrink(model, masks, data[:1], data=data, compensate="fold")
    rows = [0, 2, 3, 4, 6, 7]
    expected, found = only[:3](data)[:, rows], small[:3](data)
    assert relative_error(found, expected) < 1e-4
