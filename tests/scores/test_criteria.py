"""Criteria against the definitions that their papers give."""

import copy
import functools
import itertools

import pytest
import torch
from networks import (
    PadsInside,
    Routed,
    alive,
    convnet,
    dense_mlp,
    gaussian,
    images,
    linear_net,
    plain_convnet,
    two_convolutions,
)
from strangers import PRUNABLE, lively
from torch import nn

import splinelib as sl
from splinelib.channels.groups import find_groups
from splinelib.scores.least_squares import least_damage_order, readers


def test_l2_is_the_euclidean_norm():
    model = linear_net([[3, 4], [0, 1], [2, 0]], [[1, 1, 1]])
    scores = sl.score(model, "l2", example=gaussian(1, 2))["0"]
    torch.testing.assert_close(scores, torch.tensor([5.0, 1.0, 2.0]).double() / (8 / 3))


def test_snip_by_hand():
    # x = 1, logits (1, 2), label 0: the loss has gradient (-p, p) on the logits, p = 1 / (1 + 1/e).
    # |g w| is p and 2 p in the first layer; p, 0, 0 and 2 p in the second.
    model = linear_net([[1], [2]], [[1, 0], [0, 1]])
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    scores = sl.score(model, "snip", data=one, labels=zero)["0"]
    torch.testing.assert_close(scores, torch.tensor([1 / 6, 2 / 6]).double())
    assert model[0].weight.grad is None


def test_snip_is_a_mean_over_inputs_however_they_are_cut():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    data, labels = gaussian(600, 5), torch.arange(600) % 3  # more than one batch
    scores = sl.score(model, "snip", data=data, labels=labels)["0"]
    model.eval()
    loss = nn.functional.cross_entropy(model(data), labels)
    weights = [model[0].weight, model[3].weight]
    share = [
        (g * w).abs() for g, w in zip(torch.autograd.grad(loss, weights), weights, strict=True)
    ]
    expected = share[0].sum(1) / sum(s.sum() for s in share)
    torch.testing.assert_close(scores, expected.detach())


def small_mlp():
    return linear_net([[1, 2], [0.5, -1], [-1, 1], [2, 0.1]], [[1, -2, 0.5, 1], [0.3, 1, 1, -1]])


@pytest.mark.parametrize("make", [small_mlp, plain_convnet])
def test_thinet_is_its_papers_greedy(make):
    model = make()
    data = gaussian(40, 2) if isinstance(model[0], nn.Linear) else gaussian(12, 2, 7, 7)
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
    model = linear_net([[1], [1], [1]], [[1, -1.01, 30]])
    data = torch.ones(8, 1, dtype=torch.float64) + gaussian(8, 1).abs()
    layout = find_groups(model, data)
    removal = least_damage_order(readers(model, layout, data)["0"], 3)
    assert removal.order.tolist() == [0, 1, 2]
    assert removal.cost.argsort().tolist() == [0, 1, 2]
    assert removal.cost.unique().numel() == 3


def test_codes_removes_what_cuts_the_data_alike():
    # 0 and 1 cut the data alike, 2 is the mirror image of 3, 4 is never active.
    model = linear_net([[1, 0], [2, 0], [0, 1], [0, -3], [0, 0], [1, 1]], [[1, 1, 1, 1, 1, 1]])
    data = gaussian(500, 2)
    scores = sl.score(model, "codes", data=data)["0"]
    order = scores.sort(stable=True).indices.tolist()
    assert set(order[:3]) == {4, 0, 2}  # of a pair, the smaller norm goes
    assert (scores[[4, 0, 2]] < 1e-6).all() and (scores[[1, 3, 5]] > 0.1).all()


def test_codes_scores_are_shares_of_differing_codes():
    model, data = linear_net([[1, 0.3], [0.4, 1]], [[1, 1]]), gaussian(300, 2)
    codes = sl.region_codes(model, data)
    bits = codes.unpack(next(iter(codes.layers)))
    differ = (bits[:, 0] != bits[:, 1]).double().mean().item()
    scores = sl.score(model, "codes", data=data)["0"]
    assert scores.min().item() == pytest.approx(min(differ, 1 - differ), abs=1e-6)


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


def test_in_place_activations_change_no_score():
    inside, outside = convnet(), convnet()
    for module in outside.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    for criterion in sl.CRITERIA:
        options = {"data": images(), "labels": torch.arange(64) % 4}
        one, other = (sl.score(model, criterion, **options) for model in (inside, outside))
        assert all(torch.equal(one[name], other[name]) for name in one), criterion
    small = [sl.prune(m, 0.5, data=images(), compensate=True) for m in (inside, outside)]
    with torch.no_grad():
        assert torch.equal(small[0](images()), small[1](images()))


@pytest.mark.parametrize("criterion", list(sl.CRITERIA))
def test_every_criterion_scores_every_unit_alike_twice(criterion):
    model, labels = convnet(), torch.arange(64) % 4
    scores = sl.score(model, criterion, data=images(), labels=labels)
    assert {name: len(s) for name, s in scores.items()} == {"0": 6, "3": 8, "6": 10}
    assert all(torch.isfinite(s).all() and s.std() > 0 for s in scores.values())
    again = sl.score(model, criterion, data=images(), labels=labels)
    assert all(torch.equal(scores[name], again[name]) for name in scores)


def test_magnitude_bn_and_fpgm_by_hand():
    model = convnet(norm=True)
    weight = model[3].weight.detach().flatten(1)
    scores = sl.score(model, "magnitude", example=images(1))
    norms = weight.abs().sum(1)
    torch.testing.assert_close(scores["3"], norms / norms.mean())
    scores = sl.score(model, "bn", example=images(1))
    torch.testing.assert_close(scores["3"], model[4].weight.detach().abs())
    scores = sl.score(model, "fpgm", example=images(1))
    distance = torch.stack([sum((a - b).norm() for b in weight) for a in weight])
    torch.testing.assert_close(scores["3"], distance / distance.mean(), rtol=1e-4, atol=1e-4)


def test_fpgm_sees_signs():
    model = dense_mlp()
    with torch.no_grad():
        model[0].weight[0] = -model[0].weight[1]
    before = sl.score(model, "fpgm", example=torch.zeros(1, 6))["0"]
    with torch.no_grad():
        model[0].weight[0] *= -1
    assert not torch.allclose(before, sl.score(model, "fpgm", example=torch.zeros(1, 6))["0"])


def test_bn_leaves_groups_without_batch_norm_whole():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU()),
        nn.Linear(5, 2),
    )
    alive(model)
    assert list(sl.score(model, "bn", example=torch.zeros(2, 6))) == ["0"]
    small = sl.prune(model, 0.5, "bn", example=torch.zeros(2, 6))
    assert (small[0].out_features, small[3].out_features) == (4, 5)
    with pytest.raises(ValueError, match="judge no layer"):
        sl.score(dense_mlp(), "bn", example=torch.zeros(2, 6))


def test_spline_removes_the_rescaled_duplicate_first():
    model = dense_mlp()
    with torch.no_grad():
        for target, source, factor in ((3, 7, 0.5), (9, 2, -2.0)):
            model[0].weight[target] = factor * model[0].weight[source]
            model[0].bias[target] = factor * model[0].bias[source]
    scores = sl.score(model, "spline", example=torch.zeros(1, 6))["0"]
    lowest = set(scores.argsort()[:2].tolist())
    assert lowest == {3, 2}  # of each pair the weaker one
    assert scores[list(lowest)].max() < 1e-3 < scores.sort().values[2]


def test_a_criterion_of_ones_own():
    sl.CRITERIA["alternating"] = lambda context, group: torch.arange(group.units) % 2
    try:
        small = sl.prune(dense_mlp(), 0.5, "alternating", example=torch.zeros(1, 6))
        assert (small[0].out_features, small[2].out_features) == (8, 6)
        sl.CRITERIA["wrong"] = lambda context, group: torch.zeros(group.units + 1)
        with pytest.raises(ValueError, match="'wrong' gave scores of shape"):
            sl.score(dense_mlp(), "wrong", example=torch.zeros(1, 6))
    finally:
        del sl.CRITERIA["alternating"]
        sl.CRITERIA.pop("wrong", None)


def test_bend_by_hand_where_nothing_is_shared():
    # Lines at right angles: what goes is lost but for its mean, and the least loss goes first.
    model = linear_net([[3, 0, 0], [0, 1, 0], [0, 0, 2]], [[1, 2, -1]])
    scores = sl.score(model, "bend", example=gaussian(1, 3))["0"]
    lost = torch.tensor([9.0, 4.0, 4.0]) * (1 / 2 - 1 / (2 * torch.pi))  # variance of a ReLU
    share = (lost / lost.sum()).double()
    order = scores.argsort().tolist()
    assert order[-1] == 0
    torch.testing.assert_close(scores[order[0]], share[1], rtol=1e-2, atol=1e-6)


def test_bend_knows_a_twin_from_a_mirror_image():
    torch.manual_seed(0)
    first = torch.randn(6, 8).tolist()
    twins, mirrors = (
        linear_net([*first, [factor * x for x in first[0]]], [[1.0] * 7]) for factor in (2, -2)
    )
    twin, mirror = (
        sl.score(model, "bend", example=gaussian(1, 8))["0"] for model in (twins, mirrors)
    )
    assert twin.argmin().item() in (0, 6) and twin.min() < 0.2 * twin.sort().values[1]
    assert mirror[[0, 6]].min() > 100 * twin.min()
    # The spline criterion, which asks only where the line is, takes the two for the same.
    spline = [sl.score(model, "spline", example=gaussian(1, 8))["0"] for model in (twins, mirrors)]
    torch.testing.assert_close(*(scores.min() for scores in spline), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("criterion", ["spline", "bend", "lsq"])
def test_a_layer_whose_units_stand_twice_keeps_no_more(criterion):
    """The wider layer draws the same lines: with one threshold its copies go before anything."""
    narrow, data = dense_mlp(), gaussian(200, 6).float()
    first, _, second = (narrow[index] for index in (0, 1, 2))
    wide = copy.deepcopy(narrow)
    wide[0] = nn.Linear(first.in_features, 2 * first.out_features)
    wide[2] = nn.Linear(2 * second.in_features, second.out_features)
    with torch.no_grad():
        wide[0].weight.copy_(torch.cat([first.weight] * 2))
        wide[0].bias.copy_(torch.cat([first.bias] * 2))
        wide[2].weight.copy_(torch.cat([second.weight / 2] * 2, 1))
        wide[2].bias.copy_(second.bias)
    torch.testing.assert_close(wide(data), narrow(data))
    scores, twice = (sl.score(model, criterion, data=data) for model in (narrow, wide))
    units, more = (sum(map(len, found.values())) for found in (scores, twice))
    kept, still = sl.select(scores, 0.5), sl.select(twice, 1 - 0.5 * units / more)
    assert abs(int(kept["0"].sum()) - int(still["0"].sum())) <= 1


def test_bend_looks_at_no_value_of_the_example():
    model = convnet()
    here, there = (sl.score(model, "bend", example=x) for x in (images(1), 100 * images(3, seed=1)))
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_bend_is_lsq_where_the_moments_are_those_of_the_data():
    """On Gaussian inputs of variance 1, what is implied of the first layer is what there is."""
    model = linear_net(gaussian(8, 4, seed=1).tolist(), gaussian(3, 8, seed=11).tolist())
    implied = sl.score(model, "bend", example=gaussian(1, 4))["0"]
    observed = sl.score(model, "lsq", data=gaussian(100_000, 4, seed=2))["0"]
    assert implied.argsort().tolist() == observed.argsort().tolist()
    torch.testing.assert_close(implied, observed, rtol=0.05, atol=5e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("criterion", sorted(sl.CRITERIA))
def test_halves_are_judged_as_what_they_round_is(criterion, dtype):
    """`spline`, the default among others, raised what torch raises where it has no such kernel."""
    model, data, labels = convnet(), images(64), torch.arange(64) % 4
    half, rounded = copy.deepcopy(model).to(dtype), copy.deepcopy(model).to(dtype).float()
    one = sl.score(half, criterion, data=data.to(dtype), labels=labels)
    other = sl.score(rounded, criterion, data=data.to(dtype).float(), labels=labels)
    for name, found in one.items():
        assert found.isfinite().all()
        if criterion in {"spline", "fpgm", "magnitude", "l2", "bn", "random"}:  # weights alone
            torch.testing.assert_close(found, other[name], rtol=1e-3, atol=1e-5)
    small = sl.prune(half, 0.4, criterion, data=data.to(dtype), labels=labels, compensate=True)
    assert small(data.to(dtype)).dtype == dtype and small(data.to(dtype)).isfinite().all()


@pytest.mark.parametrize("criterion", ["lsq", "thinet", "codes"])
def test_units_that_no_input_reaches_are_left(criterion):
    """An expert to which no calibration input is sent; these raised AttributeError."""
    model, data = Routed().eval(), torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    assert {"experts.0.0", "experts.1.0", "experts.2.0"} <= set(sl.find_groups(model, data).groups)
    layout = sl.find_groups(model, data)
    with torch.no_grad():
        model.router.bias[1] = -100
    scores = sl.score(model, criterion, data=data, layout=layout)
    assert "experts.1.0" not in scores and {"experts.0.0", "experts.2.0"} <= set(scores)
    named = sl.score(model, "magnitude", data=data, layout=layout)
    priced = sl.common_residual(model, named, data)
    assert "experts.1.0" not in priced and "experts.0.0" in priced


def test_what_a_layer_reads_is_weighed_with_the_weight_that_runs():
    """Of layers with a forward of their own `lsq` gave other scores than of the same plain ones."""
    data = images(128)
    inside, outside = two_convolutions(PadsInside), two_convolutions(nn.Conv2d, padding=1)
    for criterion in ("lsq", "thinet"):
        one, other = (sl.score(model, criterion, data=data) for model in (inside, outside))
        for name in other:
            torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-9)


def test_a_reader_that_is_no_linear_map_is_named_and_not_looked_at():
    model, data = dense_mlp(), torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    model[2].register_forward_hook(lambda layer, inputs, output: output.tanh())
    with pytest.warns(UserWarning, match=r"layers \['2'\] do not compute.*units are judged"):
        scores = sl.score(model, "lsq", data=data)
    assert list(scores) == ["2"]
    model[4].register_forward_hook(lambda layer, inputs, output: output.tanh())
    with (
        pytest.warns(UserWarning, match="do not compute"),
        pytest.raises(ValueError, match="take a criterion without data, such as 'spline'"),
    ):
        sl.score(model, "lsq", data=data)
    with (
        pytest.warns(UserWarning, match="do not compute"),
        pytest.raises(ValueError, match="take scope='global'"),
    ):
        sl.prune(model, 0.3, "magnitude", "residual", data=data)


def test_without_a_batch_norm_there_is_no_scale_to_judge_by():
    with pytest.raises(ValueError, match="none of the layers that can be pruned has a batch norm"):
        sl.score(dense_mlp(), "bn", example=torch.zeros(1, 6))


def test_groups_that_a_criterion_cannot_look_at_are_named():
    make, inputs, _ = PRUNABLE["transposed"]
    model, data = lively(make), torch.randn(64, *inputs.shape[1:])
    with pytest.warns(UserWarning, match=r"'lsq' cannot look at .* groups \['fc', 'up1'\]: they"):
        assert list(sl.score(model, "lsq", data=data)) == ["up2"]
    assert list(sl.score(model, "spline", data=data)) == ["fc", "up1", "up2"]
    labels = torch.zeros(64, dtype=torch.long)
    with pytest.raises(ValueError, match=r"gradient of a classifier's loss, which cannot be taken"):
        sl.score(model, "snip", data=data, labels=labels)


def test_units_of_transposed_convolutions_are_scored_by_their_rows():
    """The rows of a transposed convolution lie along axis 1 of its weight."""
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(6, 4, 2, stride=2)
    rest = [nn.ReLU(), nn.Conv2d(4, 5, 1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 64, 3)]
    model, plain = nn.Sequential(up, *rest), nn.Conv2d(6, 4, 2)
    with torch.no_grad():
        plain.weight.copy_(up.weight.transpose(0, 1))
        plain.bias.copy_(up.bias)
    # of the same rows: a convolution in its place, over a map enlarged before
    other = nn.Sequential(plain, *copy.deepcopy(rest)[:-1], nn.Linear(5 * 9, 3))
    one = find_groups(model, torch.randn(2, 6, 4, 4))
    same = find_groups(other, torch.randn(2, 6, 4, 4))
    for criterion in ("magnitude", "l2", "fpgm", "spline"):
        found = sl.score(model, criterion, layout=one)["0"]
        torch.testing.assert_close(found, sl.score(other, criterion, layout=same)["0"])


@pytest.mark.parametrize("scale", [1e-35, 1e-25, 1e-12, 1e-5, 1.0, 1e5, 1e12, 1e25])
@pytest.mark.parametrize("criterion", ["bend", "codes", "fpgm", "l2", "lsq", "magnitude", "thinet"])
def test_in_what_unit_a_layer_computes_does_not_matter(criterion, scale):
    """What one layer gains the next one loses: the function stays, and so do all scores."""
    model, data = dense_mlp(), gaussian(200, 6).float()
    plain = sl.score(copy.deepcopy(model), criterion, data=data)
    with torch.no_grad():
        for weight in (model[0].weight, model[0].bias):
            weight *= scale
        model[2].weight /= scale
    scaled = sl.score(model, criterion, data=data)
    for name, values in plain.items():
        torch.testing.assert_close(scaled[name], values, rtol=1e-3, atol=1e-6)
