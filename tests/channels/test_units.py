"""Ties become groups, and nothing is forgotten."""

import warnings

import pytest
import torch
import torchvision
from networks import alive, images
from strangers import FIXED, PRUNABLE, Attention, Recurrent, lively, rows
from torch import nn
from torch.nn.modules.conv import _ConvNd

from splinelib.channels.groups import find_groups


def missing(model, layout):
    """Rows of layers that are neither in a group nor in a layer that is said to stay."""
    left = {}
    for name, module in model.named_modules():
        if name in layout.fixed or not isinstance(module, (_ConvNd, nn.Linear)):
            continue
        size = module.out_features if isinstance(module, nn.Linear) else module.out_channels
        seen = [
            member.indices.flatten()
            for group in layout.groups.values()
            for member in group.members
            if (member.module, member.role) == (name, "out")
        ]
        rows_ = torch.cat(seen).sort().values if seen else torch.empty(0, dtype=torch.long)
        if not torch.equal(rows_, torch.arange(size)):
            left[name] = (size, rows_.tolist())
    return left


@pytest.mark.parametrize("name", [*PRUNABLE, *(name for name in FIXED if FIXED[name][2])])
def test_every_row_is_in_one_group_or_its_layer_says_why(name):
    make, inputs, *_ = (PRUNABLE | FIXED)[name]
    model = lively(make)
    layout = find_groups(model, inputs)
    assert missing(model, layout) == {}
    assert all(isinstance(why, str) and why for why in layout.fixed.values())


@pytest.mark.parametrize("name", ["densenet121", "googlenet", "shufflenet_v2_x0_5", "swin_t"])
@pytest.mark.filterwarnings("ignore:The default weight init:FutureWarning")
def test_it_adds_up_on_torchvision(name):
    extra = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    model = alive(getattr(torchvision.models, name)(weights=None, num_classes=10, **extra))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        layout = find_groups(model, images(2, 64))
    assert missing(model, layout) == {}


def test_modules_with_weights_of_their_own_are_listed():
    layout = find_groups(lively(Recurrent), rows(5, 8))
    assert "those of a LSTM: only the rows of convolutions" in layout.fixed["r"]
    assert "m" not in find_groups(lively(Attention), rows(7, 8)).fixed


def test_tied_units_come_in_the_order_of_the_first_layer():
    make, inputs, _ = PRUNABLE["flip"]
    group = find_groups(lively(make), inputs).groups["0"]
    members = {(m.module, m.role): m.indices.flatten().tolist() for m in group.members}
    assert members["0", "out"] == list(range(15))
    assert members["3", "in"] == list(range(14, -1, -1))


def test_a_layer_of_one_channel_stays():
    net = nn.Sequential(*(nn.Linear(4, 1), nn.ReLU(), nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 2)))
    layout = find_groups(net, torch.randn(2, 4))
    assert list(layout.groups) == ["2"]
    assert layout.fixed["0"] == "it has one channel only, which others share"
