"""Where the channels of a module lie in its tensors."""

import pytest
import torch
from torch import nn

from splinelib.channels.axes import is_depthwise, roles_of, rows_first, side, tensors_of_role


@pytest.mark.parametrize(
    ("module", "roles"),
    [
        (nn.Linear(3, 5), {("weight", 0): "out", ("weight", 1): "in", ("bias", 0): "out"}),
        (nn.Conv2d(4, 6, 3), {("weight", 0): "out", ("weight", 1): "in", ("weight", 2): None}),
        (nn.Conv2d(4, 6, 3, groups=2), {("weight", 0): "out", ("weight", 1): None}),
        (nn.ConvTranspose2d(4, 6, 3), {("weight", 0): "in", ("weight", 1): "out"}),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), {("weight", 0): "in", ("weight", 1): None}),
        (nn.BatchNorm2d(6), {("weight", 0): "channel", ("running_var", 0): "channel"}),
        (nn.PReLU(6), {("weight", 0): "channel"}),
        (nn.Embedding(7, 4), {("weight", 0): "weight:0", ("weight", 1): "weight:1"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_roles_of_axes(module, roles):
    for key in {key for key, _ in roles}:
        found = dict(roles_of(module, key, getattr(module, key).shape))
        here = {axis: role for (name, axis), role in roles.items() if name == key}
        assert {axis: found.get(axis) for axis in here} == here
    for (key, axis), role in roles.items():
        if role is not None and not (role == "in" and getattr(module, "groups", 1) > 1):
            assert (key, axis) in tensors_of_role(module, role)
            assert side(module, role) == getattr(module, key).shape[axis]


def test_a_norm_without_parameters_counts_its_channels():
    bare = nn.BatchNorm2d(6, affine=False, track_running_stats=False)
    assert tensors_of_role(bare, "channel") == [] and side(bare, "channel") == 6


def test_rows_of_a_transposed_convolution_come_first():
    layer = nn.ConvTranspose2d(4, 6, 3)
    assert rows_first(layer).shape == (6, 4, 3, 3)
    assert torch.equal(rows_first(layer)[2, 1], layer.weight[1, 2])
    assert rows_first(nn.Conv2d(4, 6, 3)).shape == (6, 4, 3, 3)


def test_depthwise():
    assert is_depthwise(nn.Conv2d(4, 4, 3, groups=4)) and not is_depthwise(nn.Conv2d(4, 4, 3))
    assert not is_depthwise(nn.Conv2d(1, 1, 3)) and not is_depthwise(nn.Linear(4, 4))
