"""A layout is tried out."""

import pytest
import torch
import torch.nn.functional as F
from networks import alive, convnet, images
from strangers import Fitting, Lambda, dense, rows
from torch import nn

import splinelib as sl
from splinelib.channels import following, rules
from splinelib.channels.groups import find_groups
from splinelib.channels.layout import Group, Layout, Member
from splinelib.channels.trial import tried_out
from splinelib.errors import PruningError
from splinelib.network.inputs import Inputs


def test_dropout_that_is_always_on_is_named():
    net = dense(nn.ReLU(), Lambda(lambda h: F.dropout(h, 0.5)))
    with pytest.raises(PruningError, match="random in evaluation mode: '3' gives other values"):
        find_groups(net, rows(16))


def wrong(layout, model, group, member, indices):
    """The layout with one member's channels exchanged."""
    members = tuple(
        Member(m.module, m.role, indices) if (m.module, m.role) == member else m
        for m in layout.groups[group].members
    )
    groups = {**layout.groups, group: Group(group, layout.groups[group].units, members)}
    return Layout(groups, layout.order, layout.batch_norms, {}, layout.sizes, layout.example)


def test_a_wrong_layout_does_not_pass_and_the_right_groups_stay():
    model, inputs = convnet(), Inputs((images(2),))
    layout = find_groups(model, images(2))
    turned = torch.arange(5, -1, -1)[:, None]
    bad = wrong(layout, model, "0", ("3", "in"), turned)
    tried = tried_out(model.eval(), bad, inputs)
    assert list(tried.groups) == ["3", "6"]
    assert "'3': outputs differ by" in tried.fixed["0"]
    missing = wrong(layout, model, "0", ("3", "in"), turned[:, :0])
    tried = tried_out(model.eval(), missing, inputs)
    assert list(tried.groups) == ["3", "6"]
    assert "the smaller network fails behind '0' (" in tried.fixed["0"]


class Shuffled(nn.Module):
    """Its forward has a number of parts in its code, to which nothing but a trial can object."""

    def __init__(self, width, parts, mirrored):
        super().__init__()
        torch.manual_seed(width)
        self.a, self.b = nn.Linear(3, width), nn.Linear(width, 3)
        self.parts, self.mirrored = parts, mirrored

    def forward(self, x):
        h = torch.tanh(self.a(x))
        h = h.view(len(h), self.parts, h.shape[1] // self.parts).transpose(1, 2).flatten(1)
        return self.b(torch.tanh(h + h.flip(1) if self.mirrored else h))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("parts", [2, 3, 4])
def test_a_number_of_parts_in_the_code_is_found_at_any_width(parts, mirrored):
    """A shuffle of units that hold one channel, or two at the same distance from both ends."""
    for width in range(2 * parts, 33, parts):
        try:
            groups = find_groups(Shuffled(width, parts, mirrored).eval(), rows(3, n=2)).groups
        except PruningError:
            continue
        # of 4 channels, in which either pair can go, or of that in the middle, which cannot go
        assert mirrored and (width == 4 or [group.units for group in groups.values()] == [1])


class Mixed(nn.Module):
    """A layer across positions is applied to each channel for itself, as in an MLP-Mixer."""

    def __init__(self, width):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, width, 1), nn.Linear(width, 32)
        self.across, self.back = nn.Linear(16, 40), nn.Linear(40, 16)

    def forward(self, x):
        h = F.relu(self.a(x)).flatten(2)
        return self.b((h + self.back(F.relu(self.across(h)))).mean(2))


@pytest.mark.parametrize("width", [64, 72, 96, 128])
def test_other_positions_are_not_compared_where_their_samples_are_as_large(width):
    """Twice 128 channels, of which each fourth is looked at, and twice the 32 that are left."""
    groups = find_groups(Mixed(width).eval(), images(2, 4)).groups
    assert {name: group.units for name, group in groups.items()} == {"a": width, "across": 40}


def test_a_rule_that_is_off_by_one_is_found(monkeypatch):
    """What stands behind another in a concatenation is taken to stand one place further."""

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 24, 3), nn.Conv2d(3, 20, 3)
            self.c, self.d = nn.Conv2d(44, 30, 3), nn.Conv2d(30, 5, 3)

        def forward(self, x):
            h = torch.cat([F.relu(self.a(x)), F.relu(self.b(x))], 1)
            return self.d(F.relu(self.c(h)))

    torch.manual_seed(0)
    net = Joined().eval()
    assert list(find_groups(net, images(2)).groups) == ["a", "b", "c"]
    right = rules._joined

    def off(axis, operands):
        return [rules.field(item.labels.roll(1, axis)) for item in right(axis, operands)]

    monkeypatch.setattr(rules, "_joined", off)
    layout = find_groups(net, images(2))
    assert list(layout.groups) == ["c"]
    assert all("'c': outputs differ by" in layout.fixed[name] for name in "ab")


def test_a_faint_branch_is_looked_at_on_its_own():
    """Its error is a thousandth of the outputs, and all of what the branch says."""

    class Faint(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 15), nn.Linear(15, 8), nn.Linear(8, 3)

        def forward(self, x):
            h = F.relu(self.a(x))
            return self.c(x + 1e-4 * self.b(h * (15 / h.shape[1])))

    with pytest.raises(PruningError, match="a: removing units does not do what masking"):
        find_groups(Faint(), rows(8))


def test_heads_that_run_in_training_only_are_tried_as_well():
    """The size that is written into the head shows only where it runs."""

    class Written(nn.Module):
        def __init__(self, dropout):
            super().__init__()
            self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 12)
            self.aux, self.head = nn.Linear(16, 5), nn.Linear(12, 5)
            self.dropout = dropout

        def forward(self, x):
            x = F.relu(self.a(x))
            out = self.head(F.relu(self.b(x)))
            if not self.training:
                return out
            return out, self.aux(F.dropout(x, self.dropout, self.training).reshape(-1, 16))

    layout = find_groups(Written(0.0).eval(), rows(8))
    assert list(layout.groups) == ["b"] and "does not do what masking" in layout.fixed["a"]
    # with dropout at work nothing can be compared, and nothing is held against it
    assert "b" in find_groups(Written(0.5).eval(), rows(8)).groups


def test_a_shortcut_that_is_added_where_its_shape_fits_is_noticed():
    with pytest.raises(PruningError, match=r"a: [^;]*where as many channels are left as elsewhere"):
        find_groups(Fitting(), rows(8))


def test_the_model_that_is_tried_is_left_as_it_was():
    model = alive(convnet())
    nn.init.zeros_(model[11].weight)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    find_groups(model, torch.zeros(2, 3, 8, 8))
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_a_network_runs_no_more_often_than_its_faults_take():
    """One that fails behind a layer: what makes the layer's rows is looked at first.

    Then five show that the rest passes: two halves and both of them masked in one, and as many as
    the head has, removed and masked.
    """

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 40), nn.Linear(40, 48)
            self.c, self.d = nn.Linear(48, 40), nn.Linear(40, 3)

        def forward(self, x):
            runs.append(self)
            h = F.relu(self.b(F.relu(self.a(x))).view(-1, 48))
            return self.d(F.relu(self.c(h)))

    runs = []
    torch.manual_seed(0)
    layout = find_groups(Fixed().eval(), rows(8))
    assert list(layout.groups) == ["a", "c"]
    assert layout.fixed["b"].startswith("removing units does not do what masking them does: the sm")
    # one is followed, and two fail: with all groups, and with the one behind which it fails
    assert len(runs) == 1 + 2 + 3 + 2


def test_what_fails_in_one_block_is_taken_to_fail_in_the_others():
    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.up, self.down, self.width = nn.Linear(8, width), nn.Linear(width, 8), width

        def forward(self, x):
            return x + self.down(F.relu(self.up(x)).view(-1, self.width))

    # the last block is sound, and stands at another place
    tail = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    model = nn.Sequential(*[Block(12) for _ in range(4)], tail).eval()
    layout = find_groups(model, rows(8))
    assert list(layout.groups) == ["4.0"]
    reasons = [layout.fixed[f"{block}.up"] for block in range(4)]
    assert sum("as '" in why and "the same place of another block" in why for why in reasons) == 3
    assert all("the smaller network fails behind" in why for why in reasons)


class Ranked(nn.Module):
    """It ranks rows, and goes on with the better half."""

    def __init__(self, ranks=None, after=None):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.score = nn.Linear(8, 40), nn.Linear(40, 48), nn.Linear(40, 1)
        self.c, self.d = nn.Linear(48, 40), nn.Linear(40, 3)
        self.ranks = ranks or (lambda h, score: score.topk(len(h) // 2, 0)[1])
        self.after = after or (lambda h, out: out)

    def forward(self, x):
        h = F.relu(self.a(x.flatten(0, 1)))
        best = self.ranks(h, self.score(h)[:, 0])
        return self.after(h, self.d(F.relu(self.c(F.relu(self.b(h))[best]))))


def test_rows_that_rounding_ranks_are_those_of_the_whole_network(monkeypatch):
    """Nothing is held against the groups, and nothing is searched."""
    net, x = Ranked().eval(), rows(10_000, 8, n=2)  # so many that some are nearly as good
    seen = []
    net.register_forward_hook(lambda *_: seen.append(1))
    assert list(find_groups(net, x).groups) == ["a", "b", "c"]
    # one is followed, and one makes the choices; then two halves, as many as the score has, and as
    # the head has, each removed and masked: twice as many rows in one cannot be chosen so, and fail
    assert len(seen) == 1 + 1 + 2 * 4
    seen.clear()
    monkeypatch.setattr(following, "RANKING", frozenset())
    find_groups(net, x)
    assert len(seen) > 15


@pytest.mark.parametrize(
    "ranks",
    [
        lambda h, score: score.topk(len(h) * h.shape[1] // 80, 0)[1],  # how many
        lambda h, score: (score if h.shape[1] == 40 else -score).argsort(),
        lambda h, score: (score > score.mean() + 0.1 * (40 - h.shape[1])).nonzero()[:, 0].sort()[0],
    ],
)
def test_a_choice_that_depends_on_the_number_of_channels_is_found(ranks):
    layout = find_groups(Ranked(ranks).eval(), rows(40, 8, n=2))
    assert list(layout.groups) == ["b", "c"]
    assert "does not do what masking" in layout.fixed["a"]


def test_what_is_wrong_behind_a_choice_and_in_the_outputs_only_is_found():
    wrong = Ranked(after=lambda h, out: out * (40 / h.shape[1])).eval()
    layout = find_groups(wrong, rows(40, 8, n=2))
    assert list(layout.groups) == ["b", "c"]
    assert "does not do what masking" in layout.fixed["a"]


class Own(Exception):
    """As checks of shapes raise that people bring."""


def without_words(h):
    if h.shape[1] < 32:
        raise AssertionError
    return h


def with_an_error_of_its_own(h):
    if h.shape[1] < 32:
        raise Own
    return h


@pytest.mark.parametrize(
    "fails, what",
    [
        (without_words, "AssertionError"),
        (with_an_error_of_its_own, "Own"),
        (lambda h: h * {32: 2}[h.shape[1]], "KeyError"),
        (lambda h: h / (1 / (h.shape[1] // 32)), "ZeroDivisionError"),
        (lambda h: h if h.shape[1] == 32 else h.nothing, "AttributeError"),
    ],
)
def test_whatever_a_forward_raises_at_other_sizes_is_a_reason(fails, what):
    net = nn.Sequential(
        nn.Linear(6, 32), Lambda(fails), nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 3)
    )
    layout = find_groups(net, rows(6))
    assert list(layout.groups) == ["3"]
    assert f"the smaller network fails behind '0' ({what}" in layout.fixed["0"]
    assert sl.prune(net, 0.25, "magnitude", example=rows(6))[0].out_features == 32
