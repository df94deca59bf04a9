"""Which taps of a kernel are inside, against what a convolution of ones finds."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from splinelib.calibration.padding import own, padded, taps_inside


def by_hand(mask, kernel, **settings):
    """Shares of positions at which two taps both read a one of a mask (height, width)."""
    count = kernel[0] * kernel[1]
    taps = torch.eye(count, dtype=torch.float64).reshape(count, 1, *kernel)
    hits = F.conv2d(mask[None, None], taps, **settings)[0].flatten(1)
    return hits @ hits.T / hits.shape[1]


@pytest.mark.parametrize("stride", [1, (2, 3)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0), "valid"])
@pytest.mark.parametrize("dilation", [1, (1, 2)])
def test_taps_are_inside_as_often_as_a_convolution_of_ones_says(stride, padding, dilation):
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    found = taps_inside(own([5, 7]), (3, 2), *settings.values())
    wanted = by_hand(torch.ones(5, 7, dtype=torch.float64), (3, 2), **settings)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-15)


def test_padding_of_the_same_size_counts_its_zeros():
    found = taps_inside(own([2, 2]), (3, 3), 1, "same", 1)
    # Of four places each sees a corner tap inside at one, a middle one at two, its own always.
    assert found.diagonal().tolist() == [0.25, 0.5, 0.25, 0.5, 1, 0.5, 0.25, 0.5, 0.25]


@pytest.mark.parametrize("widths", [(1, 2), (1, 2, 3, 0), (-1, 2, 0, -2)])
def test_padded_twice(widths):
    once = padded(own([4, 6]), widths)
    image = F.pad(torch.ones(4, 6, dtype=torch.float64), widths)
    assert torch.equal(torch.outer(*once), image)
    settings = {"stride": 1, "padding": 1, "dilation": 1}
    found = taps_inside(once, (3, 3), *settings.values())
    torch.testing.assert_close(found, by_hand(image, (3, 3), **settings), rtol=0, atol=1e-15)


def test_a_setting_counts_for_each_axis():
    for one, many in itertools.product([1, [1]], [2, (2, 2)]):
        assert torch.equal(
            taps_inside(own([4, 4]), (3, 3), one, many, 1),
            taps_inside(own([4, 4]), (3, 3), (1, 1), (2, 2), (1, 1)),
        )
