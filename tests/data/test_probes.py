"""The canvas of two images."""

import pytest
import torch

import splinelib as sl


def test_the_canvas_spans_two_training_images_of_different_classes():
    digits = sl.data.load("digits")
    grid = sl.early_bird.canvas(digits, points=5, seed=3)
    assert grid.shape == (25, 1, 8, 8)
    assert torch.equal(grid, sl.early_bird.canvas(digits, points=5, seed=3))
    assert not torch.equal(grid, sl.early_bird.canvas(digits, points=5, seed=4))
    images = digits.to_float(digits.train_images)
    found = [(images == corner).flatten(1).all(1).nonzero() for corner in (grid[20], grid[4])]
    assert [len(rows) for rows in found] == [1, 1]  # alpha = 1, beta = 0, and the other way round
    assert len({digits.train_labels[rows].item() for rows in found}) == 2
    assert not grid[0].any()
    assert torch.allclose(grid[5 * 1 + 2], 0.25 * grid[20] + 0.5 * grid[4])


def test_a_canvas_that_cannot_be_is_refused():
    digits = sl.data.load("digits")
    with pytest.raises(ValueError, match="at least 2"):
        sl.early_bird.canvas(digits, points=1)
    zeros = digits.subset(train=(digits.train_labels == 0).nonzero().flatten())
    with pytest.raises(ValueError, match="one class"):
        sl.early_bird.canvas(zeros)
