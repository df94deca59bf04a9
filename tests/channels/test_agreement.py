"""One smaller network held against the masked one."""

import pytest
import torch
import torch.nn.functional as F
from networks import alive, dense_mlp, images
from strangers import Lambda, rows
from torch import nn

import splinelib as sl
from splinelib.channels.agreement import disagreement, is_right
from splinelib.channels.cuts import cut_by
from splinelib.channels.groups import find_groups
from splinelib.channels.layout import Group, Layout, Member
from splinelib.network.inputs import Inputs
from splinelib.network.lending import Lender


def some(layout, seed=0, share=0.5):
    """Masks that take a share of the units of every group, by chance, and leave one at least."""
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, group in layout.groups.items():
        masks[name] = torch.rand(group.units, generator=generator) > share
        masks[name][torch.randint(group.units, (1,), generator=generator)] = True
    return masks


NETWORKS = {
    "convolutions": (lambda: alive(sl.models.vgg16(width=0.25)), rows(3, 32, 32, n=2)),
    "streams": (lambda: alive(sl.models.preresnet(depth=20)), images(2)),
    "layers": (lambda: sl.models.mlp([6, 40, 30, 3]), rows(6)),
    "norms over channels": (
        lambda: nn.Sequential(
            nn.Linear(6, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 8), nn.GELU(),
            nn.Linear(8, 3),
        ),
        rows(6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_right_layout_is_right_for_any_units(name):
    torch.manual_seed(0)
    make, x = NETWORKS[name]
    net = make().eval()
    layout, before = find_groups(net, x), {k: v.clone() for k, v in net.state_dict().items()}
    for seed in range(3):
        for share in (0.1, 0.5, 0.9):
            assert is_right(
                cut_by(net, layout, some(layout, seed, share)), Inputs((x,)), Lender(net)
            )
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_whatever_member_is_off_by_one_is_noticed(name):
    torch.manual_seed(0)
    make, x = NETWORKS[name]
    net = make().eval()
    layout = find_groups(net, x)
    masks = some(layout)
    for group in list(layout.groups)[:3]:
        for at, member in enumerate(layout.groups[group].members[:6]):
            members = list(layout.groups[group].members)
            members[at] = Member(member.module, member.role, member.indices.roll(1, 0))
            groups = {**layout.groups, group: Group(group, len(masks[group]), tuple(members))}
            wrong = Layout(groups, layout.order, layout.batch_norms, layout.fixed, layout.sizes)
            assert not is_right(cut_by(net, wrong, masks), Inputs((x,)), Lender(net)), (
                group,
                member,
            )


@pytest.mark.parametrize(
    "crossing",
    [
        lambda x: x - x.mean(1, keepdim=True),
        lambda x: x.softmax(1),
        lambda x: x.flip(1),
        lambda x: x * x.shape[1],
        lambda x: x.view(len(x), -1, 2).transpose(1, 2).reshape(len(x), -1),
        lambda x: x + 1 if x.shape[1] < 8 else x,
        lambda x: x[:, :8],
    ],
)
def test_what_lets_channels_feel_each_other_is_noticed(crossing):
    """Of a layout that knows nothing of it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 12), Lambda(crossing), nn.ReLU(), nn.Linear(12, 3))
    if crossing(torch.zeros(1, 12)).shape[1] == 8:
        net[3] = nn.Linear(8, 3)
    members = (
        Member("0", "out", torch.arange(12)[:, None]),
        Member("3", "in", torch.arange(net[3].in_features).repeat(2)[:12, None]),
    )
    layout = Layout({"0": Group("0", 12, members)}, ("0", "3"), {}, {}, {})
    masks = {"0": torch.arange(12) % 2 == 1}
    assert not is_right(cut_by(net, layout, masks), Inputs((rows(6),)), Lender(net.eval()))


@pytest.mark.parametrize("says", [torch.sigmoid, torch.exp, lambda h: F.relu(h + 1)])
def test_units_of_which_nothing_is_felt_until_they_are_silent(says):
    """They are off for these inputs: 0, which a silent unit is, is another value there."""
    torch.manual_seed(0)

    class Summed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 12), nn.Linear(12, 3)

        def forward(self, x):
            h = self.a(x)
            return self.b(F.relu(h)) + says(h).sum(1, keepdim=True)

    net, members = Summed().eval(), []
    with torch.no_grad():
        net.a.bias[:4] = -60
    for module, role in (("a", "out"), ("b", "in")):
        members.append(Member(module, role, torch.arange(12)[:, None]))
    layout = Layout({"a": Group("a", 12, tuple(members))}, ("a", "b"), {}, {}, {})
    masks = {"a": torch.arange(12) >= 4}
    assert not is_right(cut_by(net, layout, masks), Inputs((rows(6),)), Lender(net))


def test_what_overflows_is_not_right():
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)).eval()
    layout = find_groups(net, rows(6))
    with torch.no_grad():
        net[2].weight.fill_(1e38)
    assert not is_right(cut_by(net, layout, some(layout)), Inputs((1e6 * rows(6),)), Lender(net))


def test_a_network_that_is_not_lent_is_copied():
    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.seen = nn.Linear(6, 12), nn.Linear(12, 3), []

        def forward(self, x):
            self.seen.append(1)
            return self.b(F.relu(self.a(x)))

    net = Keeping().eval()
    layout, lend = find_groups(net, rows(6)), Lender(net)
    assert not lend.plain and not net.seen
    assert is_right(cut_by(net, layout, some(layout)), Inputs((rows(6),)), lend) and not net.seen


def test_disagreement_of_two_models():
    model = dense_mlp()
    layout = find_groups(model, torch.randn(2, 6))
    masks = {"0": torch.arange(16) > 3}
    masked, small = (f(model, masks, torch.randn(2, 6)) for f in (sl.apply_masks, sl.shrink))
    assert disagreement(masked, small, torch.randn(4, 6)) is None
    assert "differ" in disagreement(model, small, torch.randn(4, 6))
    assert "fails" in disagreement(model, nn.Linear(5, 3), torch.randn(4, 6))
    assert "shape" in disagreement(model, nn.Linear(6, 4), torch.randn(4, 6))
    assert layout.units == 28
