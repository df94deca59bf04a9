"""What layers read and make, however they are written."""

import pytest
import torch
import torch.nn.functional as F
from networks import alive, relative_error
from strangers import maps, rows
from torch import nn

import splinelib as sl
from splinelib.channels.groups import find_groups


def units(model, inputs):
    """Units by group, once masks and smaller networks have been seen to agree."""
    model = alive(model)
    layout = find_groups(model, inputs)
    masks = {name: torch.arange(g.units) % 3 != 1 for name, g in layout.groups.items()}
    with torch.no_grad():
        masked, small = (f(model, masks, inputs)(inputs) for f in (sl.apply_masks, sl.shrink))
    assert relative_error(small, masked) < 1e-5
    return {name: group.units for name, group in layout.groups.items()}


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(12, 8, 3, padding=1),
        nn.Conv2d(12, 8, 3, dilation=2, stride=2, bias=False),
        nn.ConvTranspose2d(12, 8, 2, stride=2),
    ],
    ids=["conv", "dilated", "transposed"],
)
def test_convolutions_read_and_make(layer):
    rest = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    model = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), layer, *rest)
    assert units(model, maps()) == {"0": 12, "2": 8}


@pytest.mark.parametrize(
    ("groups", "out", "found"),
    [
        (12, 12, {"0": 12}),  # depthwise
        (12, 24, {"0": 12}),
        (4, 8, {"0": 4}),  # blocks
        (3, 6, {"0": 3}),
        (3, 12, {"0": 4, "2": 4}),  # positions, of what is read and of what is made
        (2, 8, {"0": 6, "2": 4}),
    ],
)
def test_units_of_grouped_convolutions(groups, out, found):
    middle = nn.Conv2d(12, out, 3, padding=1, groups=groups)
    rest = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(out, 3)]
    model = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), middle, *rest)
    assert units(model, maps()) == found


def test_a_grouped_convolution_on_the_inputs_loses_positions_of_what_it_makes():
    rest = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 3)]
    model = nn.Sequential(nn.Conv2d(4, 12, 3, groups=2), *rest)
    inputs = torch.randn(4, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert units(model, inputs) == {"0": 6}


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        # position p of two halves of 6, and blocks of 2: three pairs of neighbours, a block of
        # each half together
        ((2, 12), (6, 12), {"0": 6, "2": 3}),
        # positions of halves and of thirds: p, p + 6 and p, p + 4, so that 2 are left apart
        ((2, 12), (3, 12), {"0": 6, "2": 2, "4": 4}),
        ((2, 12), (12, 12), {"0": 6, "2": 6}),  # and depthwise
    ],
)
def test_grouped_convolutions_behind_each_other(first, second, found):
    layers = [nn.Conv2d(12, out, 3, padding=1, groups=groups) for groups, out in (first, second)]
    model = nn.Sequential(
        *(nn.Conv2d(3, 12, 1), nn.ReLU(), layers[0], nn.ReLU(), layers[1], nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 3)),
    )
    assert units(model, maps()) == found


class Scaled(nn.Conv2d):
    """A grouped convolution whose weight is computed."""

    def forward(self, x):
        return F.conv2d(x, 0.5 * self.weight, self.bias, padding=1, groups=self.groups)


def test_a_grouped_weight_that_is_scaled_is_read_and_makes_alike():
    rest = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    model = nn.Sequential(nn.Conv2d(3, 12, 1), nn.ReLU(), Scaled(12, 8, 3, groups=2), *rest)
    assert units(model, maps()) == {"0": 6, "2": 4}


def test_a_grouped_transposed_convolution_stays_and_says_so():
    model = nn.Sequential(
        *(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.ConvTranspose2d(12, 8, 2, groups=4), nn.ReLU()),
        *(nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 49, 3)),
    )
    layout = find_groups(model, maps())
    assert list(layout.groups) == ["4"]
    assert "in blocks, a grouped transposed convolution" in layout.fixed["0"]
    assert "2" in layout.fixed


class Products(nn.Module):
    """Linear maps in all the ways in which people write them."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 12), nn.Linear(12, 10), nn.Linear(10, 3)
        self.how = how

    def forward(self, x):
        return self.c(F.relu(self.how(F.relu(self.a(x)), self.b.weight, self.b.bias)))


@pytest.mark.parametrize(
    "how",
    [
        F.linear,
        lambda x, w, b: x @ w.T + b,
        lambda x, w, b: torch.addmm(b, x, w.t()),
        lambda x, w, b: torch.einsum("ni,oi->no", x, w) + b,
        lambda x, w, b: torch.einsum("oi,ni->on", w, x).t() + b,
        lambda x, w, b: torch.baddbmm(b, x[None], w.t()[None])[0],
        lambda x, w, b: torch.stack([w @ row for row in x]) + b,
        lambda x, w, b: F.conv1d(x[..., None], w[..., None], b)[..., 0],
        lambda x, w, b: torch.tensordot(x, w, ([1], [1])) + b,
        lambda x, w, b: (x[:, None] * w[None]).sum(2) + b,
        lambda x, w, b: F.linear(x, w * 0.5 + w.abs() * 0.1, b),
        lambda x, w, b: F.linear(x.view(1, len(x), 1, -1), w, b).view(len(x), -1),
    ],
    ids=[
        *("linear", "matmul", "addmm", "einsum", "einsum turned", "baddbmm", "rows", "conv1d"),
        *("tensordot", "products summed", "scaled", "more axes"),
    ],
)
def test_products_however_written(how):
    model = Products(how)
    assert units(model, rows(8)) == {"a": 12}


def test_norms():
    model = nn.Sequential(
        *(nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.InstanceNorm2d(12, affine=True)),
        *(nn.GroupNorm(12, 12), nn.ReLU(), nn.Conv2d(12, 8, 1)),
        *(nn.InstanceNorm2d(8, track_running_stats=True), nn.ReLU(), nn.Flatten()),
        nn.Linear(8 * 36, 3),
    )
    layout = find_groups(alive(model), maps())
    assert "'group_norm'" not in layout.fixed.get("5", "")
    assert layout.groups["5"].units == 8


def test_bilinear_layers_read_two_inputs():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 12), nn.Linear(8, 10)
            self.both, self.c, self.d = nn.Bilinear(12, 10, 6), nn.Linear(6, 7), nn.Linear(7, 3)

        def forward(self, x):
            h = self.both(F.relu(self.a(x)), F.relu(self.b(x)))
            return self.d(F.relu(self.c(F.relu(h))))

    assert units(Both(), rows(8)) == {"a": 12, "b": 10, "c": 7}


def test_embeddings_are_cut_along():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.a = nn.Embedding(20, 12), nn.Linear(8, 12)
            self.b, self.c = nn.Linear(12, 9), nn.Linear(9, 3)

        def forward(self, x):
            words = self.words(torch.arange(len(x)) % 20)
            return self.c(F.relu(self.b(F.relu(self.a(x) + words))))

    assert units(Words(), rows(8)) == {"a": 12, "b": 9}


def test_attention_by_hand_keeps_its_heads():
    class ByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.qkv = nn.Linear(8, 12), nn.Linear(12, 36)
            self.out, self.c = nn.Linear(12, 10), nn.Linear(10, 3)

        def forward(self, x):
            h = F.relu(self.a(x))
            q, k, v = self.qkv(h).view(*h.shape[:2], 3, 3, 4).permute(2, 0, 3, 1, 4)
            weights = (q @ k.transpose(-2, -1) / 2).softmax(-1)
            h = (weights @ v).transpose(1, 2).flatten(2)
            return self.c(F.relu(self.out(h)).mean(1))

    model = ByHand()
    assert units(model, rows(5, 8)) == {"a": 12, "out": 10}
    assert "qkv" in find_groups(model, rows(5, 8)).fixed
