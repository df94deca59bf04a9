"""What two networks say is compared."""

import pytest
import torch

from splinelib.channels.agreement import agree, difference


def test_what_differs_by_rounding_agrees():
    dense = torch.tensor([[1.0, 2.0, 4.0]])
    masked = torch.tensor([[1.0, 0.0, 3.0]])
    small = masked[:, [0, 2]] * (1 + 1e-6)
    rows = torch.tensor([0, 2])
    assert agree(masked, small, rows) and difference(masked, small, dense, rows) is None
    assert agree(masked, masked.clone(), None)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([[1.0, 3.01]], "outputs differ by 0.01 where masking changes them by 1"),
        ([[1.0, 3.0, 0.0]], r"outputs of shape \(1, 3\) instead of \(1, 2\)"),
        ([[1.0, torch.inf]], "outputs are infinite in one and not in the other"),
    ],
)
def test_what_differs_by_more_says_by_how_much(found, why):
    dense, masked = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[1.0, 0.0, 3.0]])
    rows, found = torch.tensor([0, 2]), torch.tensor(found)
    assert not agree(masked, found, rows)
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(difference(masked, found, dense, rows))


def test_an_error_is_held_against_what_masking_changes():
    """Where masking changes much, rounding may be as large; where it changes nothing, it is not."""
    masked, found = torch.tensor([100.0, 1.0]), torch.tensor([100.05, 1.0])
    assert not agree(masked, found, None)
    assert difference(masked, found, torch.tensor([200.0, 1.0]), None) is None
    assert "differ by 0.05" in difference(masked, found, torch.tensor([101.0, 1.0]), None)


def test_of_nothing_there_is_no_difference():
    nothing = torch.empty(0, 3)
    assert not agree(nothing, nothing, None) and difference(nothing, nothing, nothing, None) is None


def test_what_is_infinite_or_undefined_agrees_with_nothing():
    one = torch.ones(2, 3)
    assert agree(one, one + 1e-6, None) and not agree(one, one + 1e-3, None)
    assert agree(one, one[:, :2], torch.tensor([0, 2])) and not agree(one, one.T, None)
    for value in (torch.inf, -torch.inf, torch.nan):
        other = one.clone()
        other[0, 0] = value
        assert not any(agree(*pair, None) for pair in ((one, other), (other, one)))
        assert not agree(other, other, None)
