"""Where the channels of a module lie in its tensors."""

import pytest
import torch
from torch import nn

from splinelib.channels.axes import (
    by_position,
    channels_read,
    is_depthwise,
    roles_of,
    rows_first,
    side,
    tensors_of_role,
)


@pytest.mark.parametrize(
    ("module", "roles"),
    [
        (nn.Linear(3, 5), {("weight", 0): "out", ("weight", 1): "in", ("bias", 0): "out"}),
        (nn.Conv2d(4, 6, 3), {("weight", 0): "out", ("weight", 1): "in", ("weight", 2): None}),
        (nn.Conv2d(4, 6, 3, groups=2), {("weight", 0): "out", ("weight", 1): "in"}),
        (nn.Conv2d(6, 9, 3, groups=3), {("weight", 0): "out", ("weight", 1): None}),
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
        turned = isinstance(module, nn.ConvTranspose2d)
        if role is not None and not (turned and module.groups > 1):
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


@pytest.mark.parametrize(
    ("read", "made", "blocks", "positions"),
    [
        *((4, 4, 4, True), (3, 4, 4, False), (4, 3, 4, False), (1, 1, 2, False), (1, 9, 2, False)),
        *((16, 16, 17, True), (15, 16, 17, False), (168, 168, 2, True)),
    ],
)
def test_units_of_a_grouped_convolution_are_what_there_is_more_of(read, made, blocks, positions):
    layer = nn.Conv2d(read * blocks, made * blocks, 1, groups=blocks)
    assert by_position(layer.weight.shape, blocks) is positions


def test_a_column_of_a_grouped_convolution_reads_one_channel_of_each_block():
    columns = torch.tensor([[0], [2]])
    assert channels_read(nn.Conv2d(6, 4, 1, groups=2), columns).tolist() == [[0, 3], [2, 5]]
    assert channels_read(nn.Conv2d(6, 4, 1), columns).tolist() == [[0], [2]]
    assert channels_read(nn.Linear(6, 4), torch.tensor([[1, 4]])).tolist() == [[1, 4]]
