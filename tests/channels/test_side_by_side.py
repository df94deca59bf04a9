"""Two halves of the units run in one network."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from networks import alive, convnet, images
from strangers import Lambda, rows
from torch import nn

import splinelib as sl
from splinelib.channels import trial
from splinelib.channels.groups import find_groups
from splinelib.channels.layout import Group, Layout, Member
from splinelib.channels.saying import alike, said_by, said_twice
from splinelib.channels.side_by_side import side_by_side
from splinelib.channels.surgery import dropped_channels, silenced_at
from splinelib.channels.trial_masks import at_once
from splinelib.network.inputs import Inputs
from splinelib.network.lending import Lender


class Branched(nn.Module):
    """Concatenation, two layers that make no units, and one that reads what such a one says."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 40, 3, padding=1), nn.Conv2d(40, 24, 3, groups=8, padding=1)
        self.c, self.d = nn.Conv2d(64, 30, 1), nn.ConvTranspose2d(30, 26, 2)
        self.fixed, self.e = nn.Linear(26, 9), nn.Linear(9, 28)
        self.one, self.other = nn.Linear(28, 4), nn.Linear(28, 3)

    def forward(self, x):
        h = F.relu(self.a(x))
        h = torch.cat([h, F.relu(self.b(h))], 1)
        h = F.relu(self.d(F.relu(self.c(h)))).mean((2, 3))
        h = F.relu(self.e(self.fixed(h).softmax(1)))
        return self.one(h), {"other": self.other(h)}


NETWORKS = {
    "convolutions": (lambda: alive(sl.models.vgg16(width=0.5)), (2, 3, 32, 32)),
    "streams": (lambda: alive(sl.models.preresnet(depth=20)), (2, 3, 16, 16)),
    "layers": (lambda: sl.models.mlp([6, 40, 30, 3]), (2, 6)),
    "branches": (Branched, (2, 3, 6, 6)),
}


def halves(layout):
    stay = {layout.sizes[name][0] for name in layout.fixed if name in layout.sizes}
    return at_once(layout.groups, stay)[:2]


def made(name):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    net, x = make().eval(), torch.randn(shape)
    return net, Inputs((x,)), find_groups(net, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_half_says_what_it_says_when_all_others_are_masked(name):
    net, inputs, layout = made(name)
    dropped = [dropped_channels(layout, mask) for mask in halves(layout)]
    lengths = {}
    dense_said = said_by(net, inputs, lengths)
    with side_by_side(*dropped, lengths, Lender(net)) as network:
        both = said_twice(network, inputs, lengths)
    modules = dict(net.named_modules())
    for said, gone in zip(both, dropped, strict=True):
        masked = said_by(silenced_at(net, gone, share=True), inputs)
        left = {}
        for (layer, role), channels in gone.items():
            if role == "out":
                bias = modules[layer].bias
                count = len(modules[layer].weight) if bias is None else len(bias)
                stays = torch.ones(count, dtype=torch.bool)
                stays[channels] = False
                left[layer] = stays.nonzero().flatten()
        found = {
            layer: [t[:, left[layer]] if layer in left else t for t in tensors]
            for layer, tensors in said.items()
        }
        assert masked.keys() == said.keys() and alike(masked, found, left)
        assert not alike(dense_said, found, left)
    assert not any(module._forward_pre_hooks for module in net.modules())


def wide(*between, width=40):
    return nn.Sequential(
        nn.Linear(16, width), *between, nn.Linear(width, 30), nn.ReLU(), nn.Linear(30, 5)
    ).eval()


def spied(monkeypatch):
    """What `_pass_side_by_side` says, each time."""
    verdicts, right = [], trial._Trial._pass_side_by_side

    def spy(self, *smaller):
        verdicts.append(right(self, *smaller))
        return verdicts[-1]

    monkeypatch.setattr(trial._Trial, "_pass_side_by_side", spy)
    return verdicts


@pytest.mark.parametrize("name", NETWORKS)
def test_a_right_layout_passes_without_another_masked_network(name, monkeypatch):
    net, inputs, layout = made(name)
    verdicts = spied(monkeypatch)
    monkeypatch.setattr(trial, "silenced_at", None)
    monkeypatch.setattr(trial, "at_once", lambda *a, right=at_once: right(*a)[:2])
    assert trial.tried_out(net, layout, inputs) is layout and verdicts == [True]


def off_by_one(layout, group, at):
    """The layout with one member's channels one place further."""
    members = list(layout.groups[group].members)
    right = members[at]
    members[at] = Member(right.module, right.role, right.indices.roll(1, 0), right.judged)
    wrong = Group(group, layout.groups[group].units, tuple(members), layout.groups[group].heads)
    groups = {**layout.groups, group: wrong}
    return Layout(groups, layout.order, layout.batch_norms, layout.fixed, layout.sizes)


@pytest.mark.parametrize("name", NETWORKS)
def test_whichever_channels_are_off_by_one_it_is_noticed(name, monkeypatch):
    """Every member of a group in turn; of networks of many groups, those of the first and last."""
    net, inputs, layout = made(name)
    verdicts = spied(monkeypatch)
    names = list(layout.groups)
    for group in dict.fromkeys([names[0], names[-1]]):
        for at in range(len(layout.groups[group].members))[:12]:
            wrong = off_by_one(layout, group, at)
            verdicts.clear()
            assert not trial._Trial(net, wrong, inputs).passes(wrong.groups, wrong.fixed), (
                group,
                at,
            )
            assert verdicts == [False], (group, at)


# What no layer does, and what the channels of one half then feel of the others.
CROSSING = {
    "softmax": lambda h: h.softmax(1),
    "norm": lambda h: F.layer_norm(h, h.shape[1:]),
    "gate by the mean": lambda h: h * h.mean(1, keepdim=True).sigmoid(),
    "flip": lambda h: h + h.flip(1),
    "shift": lambda h: h.roll(1, 1),
    "sort": lambda h: h.sort(1).values,
    "width": lambda h: h / h.shape[1],
    "width by name": lambda h: h * (h.shape[1] == 40),
    "how many are off": lambda h: h * (h == 0).sum(1, keepdim=True),
    "by number": lambda h: h * torch.linspace(0, 1, h.shape[1]),
    "written down": lambda h: h.view(-1, 40),
    "neighbours": lambda h: F.avg_pool1d(h[:, None], 3, 1, 1)[:, 0],
}
# Silent units count for nothing in these, so that they may go; loud ones would.
UNFELT = {
    "gate by the largest": lambda h: h * (h.amax(1, keepdim=True) - h).cos(),
    "only the largest": lambda h: h * (h == h.amax(1, keepdim=True)),
    "sum so far": lambda h: h.cumsum(1),
    "how many are on": lambda h: h * (h > 0).sum(1, keepdim=True),
}


@pytest.mark.parametrize("name", CROSSING | UNFELT)
def test_what_crosses_channels_is_found_as_by_masking(name, monkeypatch):
    """The layout is that of a network without it, as if a rule had let it pass."""
    net, inputs = wide(nn.ReLU(), nn.Identity()), Inputs((rows(16),))
    layout = find_groups(net, rows(16))
    net[2] = Lambda((CROSSING | UNFELT)[name])
    verdicts = spied(monkeypatch)
    tried = trial.tried_out(net, layout, inputs)
    assert list(layout.groups) == ["0", "3"]
    assert list(tried.groups) == (["3"] if name in CROSSING else ["0", "3"])
    first = [] if name == "written down" else [False]  # where it runs at all
    assert verdicts == first + [True] * (name in CROSSING)  # what is left passes
    monkeypatch.setattr(trial, "side_by_side", lambda *_: contextlib.nullcontext())
    assert trial.tried_out(net, layout, inputs).fixed == tried.fixed


def test_what_cannot_be_told_apart_is_left_to_masking():
    for between in (nn.LayerNorm(160), nn.GroupNorm(4, 160)):
        net = wide(between, nn.ReLU(), width=160)
        layout = find_groups(net, rows(16))
        first, second = (dropped_channels(layout, mask) for mask in halves(layout))
        with side_by_side(first, second, {}, Lender(net)) as both:
            assert both is None

    class Own(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight - self.weight.mean(1, keepdim=True), self.bias)

    net = wide(nn.ReLU())
    layout = find_groups(net, rows(16))
    first, second = (dropped_channels(layout, mask) for mask in halves(layout))
    for kind in (nn.Linear, Own):
        net[-1].__class__ = kind
        with side_by_side(first, second, {}, Lender(net)) as both:
            assert (both is None) == (kind is Own)


def test_the_model_is_left_as_it_was():
    net = alive(convnet())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    find_groups(net, images(2))
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())
