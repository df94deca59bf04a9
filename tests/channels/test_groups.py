"""Channels that go together."""

import warnings

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import alive, dense_mlp, images, relative_error
from torch import nn

import splinelib as sl
from splinelib.channels.groups import find_groups
from splinelib.errors import PruningError
from splinelib.models import resnet18


def test_networks_that_shuffle_channels_are_refused_with_the_reason():
    with pytest.raises(PruningError, match="split and shuffle channels"):
        sl.score(torchvision.models.shufflenet_v2_x0_5(weights=None), example=images(1, 64))


def test_coupled_channels_are_one_unit():
    model = alive(resnet18(width=0.25, image_size=8))
    groups = find_groups(model, images(2)).groups
    stream = next(iter(groups.values()))  # the stem, and what is added to it
    assert len(stream.producers) == 3
    assert stream.units == 16
    assert sum(g.units for g in groups.values()) < sum(
        m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)
    )


def test_blocks_of_a_grouped_convolution_are_units():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.ReLU()),
        *(nn.Conv2d(12, 5, 1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 2)),
    )
    layout = find_groups(model, images(2, 4))
    assert {name: group.units for name, group in layout.groups.items()} == {"0": 4, "4": 5}
    masks = {"0": torch.tensor([True, False, False, True])}
    small = sl.shrink(model, masks, images(1, 4))
    assert (small[2].groups, small[2].in_channels, small[2].out_channels) == (2, 4, 6)
    inputs = images(3, 4)
    expected = sl.apply_masks(model, masks, inputs)(inputs)
    assert relative_error(small(inputs), expected) < 1e-5


def test_partial_coupling_through_a_concatenation():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 5, 1)
            self.sum, self.head = nn.Conv2d(3, 7, 1), nn.Linear(7, 2)

        def forward(self, x):
            both = torch.cat([self.a(x), self.b(x)], 1)
            return self.head(F.relu(both + self.sum(x)).mean((2, 3)))

    torch.manual_seed(0)
    model = Net()
    layout = find_groups(model, images(2))
    assert {name: group.units for name, group in layout.groups.items()} == {"a": 2, "b": 5}
    masks = {"b": torch.tensor([True, False, True, False, True])}
    small = sl.shrink(model, masks, images(1))
    assert small.sum.out_channels == 5
    expected = sl.apply_masks(model, masks, images(1))(images(4))
    assert relative_error(small(images(4)), expected) < 1e-5


def test_what_cannot_be_removed_is_left_alone_with_the_reason():
    class Shaped(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1)
            self.norm, self.last = nn.GroupNorm(2, 6), nn.Linear(6 * 64, 3)

        def forward(self, x):
            x = F.relu(self.second(F.relu(self.first(x))))
            return self.last(self.norm(x).view(-1, 6 * 64))

    layout = find_groups(Shaped(), images(2))
    assert list(layout.groups) == ["first"]
    assert "GroupNorm" in layout.fixed["second"]
    assert "outputs" in layout.fixed["last"]


def test_a_size_written_into_the_code_is_found_by_trying():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1)
            self.last = nn.Linear(64, 3)

        def forward(self, x):
            x = F.relu(self.second(F.relu(self.first(x))))
            return self.last(x.reshape(-1, 6, 64).sum(1))

    layout = find_groups(Written(), images(2))
    assert list(layout.groups) == ["first"]
    assert "does not do what masking" in layout.fixed["second"]


def test_networks_that_share_weights_are_refused():
    tied = dense_mlp()
    tied.append(nn.ReLU())
    tied.append(nn.Linear(3, 6))
    tied.append(nn.Linear(6, 16))
    tied[-1].weight = tied[0].weight
    with pytest.raises(PruningError, match="share"):
        sl.score(tied, example=torch.zeros(1, 6))
    layer = nn.Linear(6, 6)
    with pytest.raises(PruningError, match="runs 2 times"):
        sl.score(
            nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(6, 2)),
            example=torch.zeros(1, 6),
        )
    masked = dense_mlp()
    torch.nn.utils.parametrizations.weight_norm(masked[0])
    with pytest.raises(PruningError, match="parametrisation"):
        sl.score(masked, example=torch.zeros(1, 6))
    with pytest.raises(PruningError, match="no layer"):
        sl.score(nn.Linear(6, 2), example=torch.zeros(1, 6))


class Quantised(nn.Module):
    """Stands for the modules of torch.ao.nn.quantized, which need an engine to be made."""


Quantised.__module__ = "torch.ao.nn.quantized.dynamic.modules.linear"


def test_frozen_layers_stay_frozen_quantised_and_compiled_ones_are_refused():
    model, data = dense_mlp(), torch.randn(64, 6)
    model.requires_grad_(False)
    small = sl.prune(model, 0.5, "lsq", data=data, compensate=True)
    assert not any(parameter.requires_grad for parameter in small.parameters())
    with pytest.raises(PruningError, match=r"'5'.*quantised.*floating-point network first"):
        sl.score(nn.Sequential(*model, Quantised()), example=data)
    with pytest.raises(PruningError, match="TorchScript"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and still out there
            compiled = torch.jit.trace(model, data)
        sl.score(compiled, example=data)
