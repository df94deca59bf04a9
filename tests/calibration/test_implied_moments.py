"""What a layer sees of the moments of channels, against convolutions."""

import pytest
import torch
from torch import nn

from splinelib.calibration import implied_moments
from splinelib.calibration.implied import implied_reads
from splinelib.calibration.implied_moments import (
    Implied,
    output_covariance,
    output_variance,
    taps,
)
from splinelib.calibration.neighbours import taps_alike, told_by_statistics
from splinelib.calibration.padding import own, taps_inside


def test_the_error_of_a_rebuilt_channel_counts_where_taps_fall():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 5, 3, padding=1, bias=False).double()
    model = nn.Sequential(nn.BatchNorm2d(2).double(), layer).eval()
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([1.0, 0.7]))
        model[0].weight.copy_(torch.tensor([0.4, 0.9]))
    read = implied_reads(model, torch.zeros(1, 2, 4, 4).double())["1"]
    weight = taps(layer.weight, read)[:, :1]  # channel 0 is rebuilt as a times channel 1
    for a in (0.0, 0.6, 1.4):
        step = torch.tensor([1.0, -a]).double()
        variance, miss = step @ read.covariance @ step, step @ read.mean
        with torch.no_grad():
            left = nn.functional.conv2d(
                miss.expand(1, 1, 4, 4), layer.weight[:, :1], padding=1
            ).flatten(2)
            each = torch.eye(9).double().reshape(9, 1, 3, 3)  # what tap t reads of ones
            hits = nn.functional.conv2d(torch.ones(1, 1, 4, 4).double(), each, padding=1)[0]
            said = weight[:, 0, :, None, None] * hits
            noise = variance * torch.einsum("otpq,tu,oupq->", said, read.alike, said) / 16
        wanted = left.var(2, correction=0).sum() + noise
        found = step @ read.seen_through(weight).covariance @ step
        torch.testing.assert_close(read.counted(weight).square().sum() * found, wanted)
        moved = read.total(weight)[:, 0] * miss  # what a bias takes over
        torch.testing.assert_close(moved, left.mean(2)[0])


def test_taps_that_never_read_anything_are_of_no_account():
    """On one pixel a kernel of 3 x 3 has one tap; what only the others would read is nothing."""
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)).double().eval()
    read = implied_reads(model, torch.zeros(1, 2, 1, 1).double())["1"]
    weight = taps(model[1].weight, read).clone()
    size = read.counted(weight).square().sum(2)
    torch.testing.assert_close(size, weight[..., 4].square())
    weight[..., 4] = 0
    assert torch.equal(read.seen_through(weight).covariance, read.covariance)
    assert not output_variance(read.counted(weight), read.covariance).any()


@pytest.mark.parametrize("by_place", [False, True])
def test_a_flatten_keeps_channels_or_places_together(by_place):
    read = Implied(torch.zeros(2).double(), torch.eye(2).double(), 3, by_place=by_place)
    columns = torch.arange(6)
    weight = taps(columns[None].float(), read)
    assert weight.shape == (1, 2, 3) and weight.dtype == torch.float64
    expected = [0, 1, 0, 1, 0, 1] if by_place else [0, 0, 0, 1, 1, 1]
    assert read.channels(columns).tolist() == expected
    for channel in range(2):
        assert weight[0, channel].tolist() == columns[read.channels(columns) == channel].tolist()


def test_two_taps_that_read_nearly_the_same_add_up_or_cancel():
    """By hand: var(x + y) = 2 + 2 r and var(x - y) = 2 - 2 r."""
    alike = torch.tensor([[1.0, 0.75], [0.75, 1.0]]).double()
    read = Implied(torch.zeros(1).double(), torch.eye(1).double(), alike=alike)
    weight = torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]]).double()
    found = output_variance(read.counted(weight), read.covariance)
    torch.testing.assert_close(found, torch.tensor([3.5, 0.5]).double())
    assert read.from_means(weight) is None


@pytest.mark.parametrize(("blocks", "made"), [(6, 6), (6, 12), (3, 6), (2, 4)])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_grouped_layer_is_one_with_zeros_elsewhere(blocks, made, padding):
    torch.manual_seed(0)
    root = torch.randn(6, 8).double()
    inside = taps_inside(own((4, 4)), (3, 3), 1, padding, 1).double() if padding else None
    read = Implied(torch.rand(6).double(), root @ root.T, inside=inside)
    read = read._replace(alike=taps_alike((3, 3), (1, 1), 0.6))
    weight = torch.randn(made, 6 // blocks, 9).double()
    whole = torch.stack([torch.block_diag(*tap.chunk(blocks)) for tap in weight.unbind(2)], 2)
    each = read.counted(whole)
    covariance = torch.einsum("oct,cd,pdt->op", each, read.covariance, each)
    for form in (weight, whole):
        torch.testing.assert_close(read.constant(form), read.total(whole) @ read.mean)
        found = output_covariance(read.counted(form), read.covariance)
        torch.testing.assert_close(found, covariance)
    moved = [read.from_means(form) for form in (weight, whole)]
    if padding:
        torch.testing.assert_close(*moved)
    else:
        assert moved == [None, None]
    variance = covariance.diagonal() + (moved[1].diagonal() if padding else 0)
    for form in (weight, whole):
        assert told_by_statistics(read, form, None, (3, 3), (1, 1), variance) == 0.6


@pytest.mark.parametrize(("columns", "rtol"), [(0, 1e-4), (8192, 1e-12)])
def test_wide_layers_are_worked_through_some_rows_at_a_time(columns, rtol, monkeypatch):
    monkeypatch.setattr(implied_moments, "_DOUBLE", columns)
    monkeypatch.setattr(implied_moments, "_ROWS", 3)
    torch.manual_seed(0)
    root, weight = torch.randn(5, 8).double(), torch.randn(10, 5, 4).double()
    found = output_covariance(weight, root @ root.T)
    expected = torch.einsum("oct,cd,pdt->op", weight, root @ root.T, weight)
    assert torch.equal(found, found.T) and found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol * 10)


def test_moments_that_become_others_forget_where_taps_fell():
    read = Implied(torch.zeros(1).double(), torch.eye(1).double(), 4, by_place=True, dim=1)
    read = read._replace(inside=torch.eye(1), alike=torch.eye(1), masks=(torch.ones(3),))
    other = read.become(read.mean + 1, read.covariance * 2)
    assert (other.inside, other.alike, other.masks) == (None, None, None)
    assert (other.repeat, other.by_place, other.dim) == (4, True, 1)
