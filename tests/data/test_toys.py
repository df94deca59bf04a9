"""Problems in the plane."""

import pytest
import torch

from splinelib import data


@pytest.mark.parametrize("name", ["cross", "spiral", "moons"])
def test_toys_are_two_classes_in_the_square_and_seeded(name):
    points, labels = data.toy(name, n=501, noise=0.0, seed=1)
    assert points.shape == (501, 2) and points.dtype == torch.float32
    assert labels.dtype == torch.int64 and labels.unique().tolist() == [0, 1]
    assert points.abs().max() <= 1
    assert torch.equal(points, data.toy(name, n=501, noise=0.0, seed=1)[0])
    assert not torch.equal(points, data.toy(name, n=501, noise=0.0, seed=2)[0])


def test_the_cross_has_an_x_for_a_boundary():
    points, labels = data.toy("cross", n=1000, noise=0.0)
    assert torch.equal(labels == 1, points[:, 0].abs() > points[:, 1].abs())


def test_bad_toys():
    with pytest.raises(ValueError, match="cross, spiral, moons"):
        data.toy("circle")
    with pytest.raises(ValueError, match="n >= 2"):
        data.toy("cross", n=1)
    with pytest.raises(ValueError, match="noise"):
        data.toy("cross", noise=-1)
