"""Boxes: what is refused, and the largest value of a linear function."""

import pytest
import torch

from splinelib.bounds.box import Box


def test_the_largest_value_is_at_a_corner():
    box = Box.checked((torch.tensor([[-1.0, 0.0]]), torch.tensor([[2.0, 3.0]])))
    rows = torch.tensor([[[1.0, -2.0], [-1.0, 1.0]]], dtype=torch.float64)
    assert box.most(rows).flatten().tolist() == pytest.approx([2.0, 4.0])
    assert len(box) == 1 and box.part(0, 1).range.high.tolist() == [[2.0, 3.0]]


ONE = torch.ones(1, 2)


@pytest.mark.parametrize(
    ("box", "error", "message"),
    [
        (ONE, TypeError, r"two tensors, \(low, high\)"),
        ((ONE, 1.0), TypeError, "not torch.float32 and float"),
        ((ONE.int(), ONE.int()), TypeError, "floating point"),
        ((ONE, torch.ones(2, 2)), ValueError, "have the same"),
        ((ONE[:0], ONE[:0]), ValueError, "empty"),
        ((torch.ones(()), torch.ones(())), ValueError, "empty"),
        ((ONE, ONE * torch.inf), ValueError, "infinite"),
        ((ONE * torch.nan, ONE), ValueError, "NaN"),
        ((ONE, torch.tensor([[1.0, 0.5]])), ValueError, r"above high at \(0, 1\): 1 > 0.5"),
    ],
)
def test_what_is_no_box(box, error, message):
    with pytest.raises(error, match=message):
        Box.checked(box)
