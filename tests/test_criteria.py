"""Criteria against the definitions that their papers give."""

import functools
import itertools
import math

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.criteria import directions_for, spectrum
from splinelib.groups import find_groups
from splinelib.redundancy import activity, least_damage_order, readers


def net(*weights, dtype=torch.float64):
    """Linear layers without bias, ReLU between them."""
    layers = []
    for weight in weights:
        weight = torch.tensor(weight, dtype=dtype)
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=dtype)
        linear.weight.data.copy_(weight)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convnet(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(2, 7, 3), nn.ReLU(), nn.Conv2d(7, 4, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4 * 9, 3)).double().eval()


def inputs(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_l2_is_the_euclidean_norm():
    model = net([[3, 4], [0, 1], [2, 0]], [[1, 1, 1]])
    scores = sl.score(model, "l2", example=inputs(1, 2))["0"]
    torch.testing.assert_close(scores, torch.tensor([5.0, 1.0, 2.0]).double() / (8 / 3))


def test_snip_by_hand():
    # x = 1, logits (1, 2), label 0: the loss has gradient (-p, p) on the logits, p = 1 / (1 + 1/e).
    # |g w| is p and 2 p in the first layer; p, 0, 0 and 2 p in the second.
    model = net([[1], [2]], [[1, 0], [0, 1]])
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    scores = sl.score(model, "snip", data=one, labels=zero)["0"]
    torch.testing.assert_close(scores, torch.tensor([1 / 6, 2 / 6]).double())
    assert model[0].weight.grad is None


def test_snip_is_a_mean_over_inputs_however_they_are_cut():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    data, labels = inputs(600, 5), torch.arange(600) % 3  # more than one batch
    scores = sl.score(model, "snip", data=data, labels=labels)["0"]
    model.eval()
    loss = nn.functional.cross_entropy(model(data), labels)
    weights = [model[0].weight, model[3].weight]
    share = [
        (g * w).abs() for g, w in zip(torch.autograd.grad(loss, weights), weights, strict=True)
    ]
    expected = share[0].sum(1) / sum(s.sum() for s in share)
    torch.testing.assert_close(scores, expected.detach())


def test_snip_works_on_a_frozen_network_and_says_what_it_needs():
    model, data, labels = (
        net([[1], [2]], [[1, 0], [0, 1]]),
        inputs(4, 1),
        torch.tensor([0, 1, 1, 0]),
    )
    free = sl.score(model, "snip", data=data, labels=labels)["0"]
    model.requires_grad_(False)
    assert torch.equal(sl.score(model, "snip", data=data, labels=labels)["0"], free)
    with pytest.raises(ValueError, match="labels="):
        sl.score(model, "snip", data=data)
    with pytest.raises(ValueError, match="3 labels for 4"):
        sl.score(model, "snip", data=data, labels=labels[:3])
    with pytest.raises(TypeError, match="int64"):
        sl.score(model, "snip", data=data, labels=labels.float())
    certain = net([[500.0], [0.0]], [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="no gradient"):
        sl.score(certain, "snip", data=torch.ones(1, 1).double(), labels=torch.tensor([0]))


def small_mlp():
    return net([[1, 2], [0.5, -1], [-1, 1], [2, 0.1]], [[1, -2, 0.5, 1], [0.3, 1, 1, -1]])


@pytest.mark.parametrize("make", [small_mlp, convnet])
def test_thinet_is_its_papers_greedy(make):
    model = make()
    data = inputs(40, 2) if isinstance(model[0], nn.Linear) else inputs(12, 2, 7, 7)
    with torch.no_grad():
        hidden = model[1](model[0](data))
        parts = []  # the contribution of each unit to every output of the next layer
        for unit in range(hidden.shape[1]):
            alone = torch.zeros_like(hidden)
            alone[:, unit] = hidden[:, unit]
            parts.append((model[2](alone) - model[2](torch.zeros_like(hidden))).flatten())
    gone, left = [], list(range(len(parts)))
    while left:
        damage = {unit: sum(parts[k] for k in [*gone, unit]).square().sum().item() for unit in left}
        gone.append(min(damage, key=damage.get))
        left.remove(gone[-1])
    scores = sl.score(model, "thinet", data=data)["0"]
    assert scores.argsort().tolist() == gone


def test_thinet_keeps_its_order_where_contributions_cancel():
    # Units 0 and 1 cancel: once 0 has gone, the damage falls when 1 goes too.
    model = net([[1], [1], [1]], [[1, -1.01, 30]])
    data = torch.ones(8, 1, dtype=torch.float64) + inputs(8, 1).abs()
    layout = find_groups(model, data)
    removal = least_damage_order(readers(model, layout, data)["0"], 3)
    assert removal.order.tolist() == [0, 1, 2]
    assert removal.cost.argsort().tolist() == [0, 1, 2]
    assert removal.cost.unique().numel() == 3


def test_codes_removes_what_cuts_the_data_alike():
    # 0 and 1 cut the data alike, 2 is the mirror image of 3, 4 is never active.
    model = net([[1, 0], [2, 0], [0, 1], [0, -3], [0, 0], [1, 1]], [[1, 1, 1, 1, 1, 1]])
    data = inputs(500, 2)
    scores = sl.score(model, "codes", data=data)["0"]
    order = scores.sort(stable=True).indices.tolist()
    assert set(order[:3]) == {4, 0, 2}  # of a pair, the smaller norm goes
    assert (scores[[4, 0, 2]] < 1e-6).all() and (scores[[1, 3, 5]] > 0.1).all()


def test_codes_scores_are_shares_of_differing_codes():
    model, data = net([[1, 0.3], [0.4, 1]], [[1, 1]]), inputs(300, 2)
    codes = sl.region_codes(model, data)
    bits = codes.unpack(next(iter(codes.layers)))
    differ = (bits[:, 0] != bits[:, 1]).double().mean().item()
    scores = sl.score(model, "codes", data=data)["0"]
    assert scores.min().item() == pytest.approx(min(differ, 1 - differ), abs=1e-6)


def test_activity_is_the_region_code_of_each_unit():
    model, data = convnet(), inputs(10, 2, 7, 7)
    layout = find_groups(model, data)
    codes = sl.region_codes(model, data)
    for name, sides in activity(model, layout, data).items():
        bits = codes.unpack(name)  # (N, U, H, W)
        expected = 2 * bits.movedim(1, 0).flatten(1).float() - 1
        changing = bits.movedim(1, 0).flatten(1).float().std(1) > 0
        assert torch.equal(sides[changing], expected[changing])
        assert not sides[~changing].any()


def test_activity_samples_places_in_batches_alike():
    model, data = convnet(), inputs(300, 2, 7, 7)
    layout = find_groups(model, data)
    few = activity(model, layout, data, places=500)
    assert {name: sides.shape[1] for name, sides in few.items()} == {"0": 500, "2": 500}
    assert torch.equal(few["0"], activity(model, layout, data, places=500)["0"])


def test_spline_takes_other_settings():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 2))
    plain = sl.score(model, example=torch.zeros(1, 40))["0"]
    found = {}
    for components in (1, 16, 0.5, 1.0):
        name = f"spline {components}"
        sl.CRITERIA[name] = functools.partial(sl.criteria.spline, components=components)
        try:
            found[components] = sl.score(model, name, example=torch.zeros(1, 40))["0"]
        finally:
            del sl.CRITERIA[name]
    assert torch.equal(found[16], plain)
    for one, other in itertools.combinations(found.values(), 2):
        assert not torch.equal(one, other)


def test_spectrum_adds_up_and_tells_how_many_directions():
    torch.manual_seed(0)
    normals = torch.randn(20, 3, dtype=torch.float64) @ torch.randn(3, 50, dtype=torch.float64)
    shares = spectrum(normals)
    assert math.isclose(shares.sum().item(), 1, abs_tol=1e-9)
    assert (shares.diff() <= 1e-12).all() and shares[3:].max() < 1e-9
    assert directions_for(normals, 1.0) == 3
    assert directions_for(normals, shares[0].item() / 2) == 1
    assert not spectrum(torch.zeros(4, 5)).any() and directions_for(torch.zeros(4, 5), 0.9) == 4
    with pytest.raises(ValueError, match="share"):
        directions_for(normals, 1.5)
