"""Networks without the channels that go: copied, lent, or the model itself."""

import pytest
import torch
import torch.nn.functional as F
from networks import alive, dense_mlp, random_masks
from strangers import rows
from torch import nn

import splinelib as sl
from splinelib.channels import cuts
from splinelib.channels.groups import find_groups
from splinelib.network.inputs import Inputs
from splinelib.network.lending import Lender
from splinelib.network.replica import replica


class Partly(nn.Module):
    """A layer that stays whole, one that is frozen, a buffer, and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Linear(8, 12), nn.BatchNorm1d(12)
        self.whole, self.b, self.c = nn.Linear(12, 6), nn.Linear(6, 10), nn.Linear(10, 3)
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("steps", torch.tensor(3.0))
        self.a.weight.requires_grad_(False)

    def forward(self, x):
        x = self.whole(F.relu(self.norm(self.a(x)))).softmax(1)
        return self.c(F.relu(self.b(x))) * self.scale * self.steps


NETWORKS = {
    "partly": (Partly, (4, 8)),
    "layers": (dense_mlp, (4, 6)),
    "streams": (lambda: alive(sl.models.preresnet(depth=11)), (2, 3, 16, 16)),
    "transposed": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last),
            *(nn.ReLU(), nn.ConvTranspose2d(8, 6, 2), nn.PReLU(6), nn.Conv2d(6, 4, 1)),
        ),
        (2, 3, 8, 8),
    ),
}


def cut_of(name):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    model, x = make(), torch.randn(shape)
    layout = find_groups(model, x)
    return model, x, layout, random_masks(layout.groups)


def storages(model):
    return {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}


def lent(model, cut, x):
    """What is made for a run of the network, as where it is tried out."""
    with torch.no_grad(), cuts.cut_for_a_while(cut.kept, Lender(model.eval()), cut.made) as small:
        return Inputs((x,)).given_to(small)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_goes_and_what_stays_is_all_that_there_is(name):
    model, _, layout, masks = cut_of(name)
    cut, modules = cuts.cut_by(model, layout, masks), dict(model.named_modules())
    assert cut.masks is masks and not cut.made and cut.dropped
    assert {(n, role) for n, sides in cut.kept.items() for role in sides} == set(cut.dropped)
    for (module, role), gone in cut.dropped.items():
        both = torch.cat([gone, cut.kept[module][role]]).sort().values
        assert both.tolist() == list(range(cuts.side(modules[module], role)))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_replica_that_is_used_up_is_the_copy_and_shares_nothing(name):
    model, x, layout, masks = cut_of(name)
    plain = {key: value.clone() for key, value in model.state_dict().items()}
    own = replica(model).train(model.training)
    cut, expected = cuts.cut_by(own, layout, masks), cuts.removed(model, layout, masks)
    said = lent(replica(own), cut, x)
    made = set(map(id, cut.made.values()))
    small = cuts.used_up(own, cut)
    assert small is own and made and made <= set(map(id, small.parameters()))
    assert repr(small) == repr(expected) and small.training == expected.training
    right = expected.state_dict()
    for key, value in small.state_dict().items():
        assert torch.equal(value, right[key]) and value.stride() == right[key].stride(), key
    for one, other in zip(small.parameters(), expected.parameters(), strict=True):
        assert one.requires_grad == other.requires_grad and type(one) is type(other)
    assert torch.equal(small.eval()(x), said) and not storages(small) & storages(model)
    assert all(torch.equal(value, plain[key]) for key, value in model.state_dict().items())
    assert small.state_dict().keys() == plain.keys()


def test_nothing_is_noted_of_a_network_that_is_copied_for_its_run():
    class Keeping(Partly):
        def __init__(self):
            super().__init__()
            self.seen = [0]

    model, x = Keeping(), rows(8)
    layout = find_groups(model, x)
    cut = cuts.cut_by(model, layout, random_masks(layout.groups))
    said = lent(model, cut, x)
    assert not cut.made and torch.equal(cuts.cut_copy(model, cut.kept)(x), said)


@pytest.mark.parametrize("name", NETWORKS)
def test_in_place_it_is_the_same(name):
    model, _, layout, masks = cut_of(name)
    kept = cuts.cut_by(model, layout, masks).kept
    expected = cuts.removed(model, layout, masks)
    cuts.cut(model, kept)
    assert repr(model) == repr(expected)
    for one, other in zip(model.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pruned_network_has_nothing_in_common_with_the_dense_one(name):
    model, x, _, _ = cut_of(name)
    plain = {key: value.clone() for key, value in model.state_dict().items()}
    small = sl.prune(model, 0.4, "magnitude", example=x[:1])
    assert not storages(small) & storages(model)
    with torch.no_grad():
        for tensor in (*small.parameters(), *small.buffers()):
            tensor.zero_()
    assert all(torch.equal(value, plain[key]) for key, value in model.state_dict().items())
    again = sl.prune(sl.prune(model, 0.2, "magnitude", example=x[:1]), 0.2, "l2", example=x[:1])
    assert not storages(again) & storages(model) and again.pruning_record["kept"]


def test_modules_that_bring_their_own_way_of_copying_keep_it():
    class Own(nn.Linear):
        def __deepcopy__(self, memo):
            made = Own(self.in_features, self.out_features)
            made.load_state_dict(self.state_dict())
            made.copied = True
            return made

    net = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), Own(12, 4), nn.Softmax(1), nn.Linear(4, 2))
    small = sl.prune(net, 0.5, "magnitude", example=rows(8))
    expected = sl.Pruner(net, example=rows(8)).prune(0.5, "magnitude")
    assert vars(small[2]).get("copied") is vars(expected[2]).get("copied") is True
