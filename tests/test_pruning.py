"""Scores, masks, surgery, compensation, files: on our networks and on strangers'."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils import prune

import splinelib as sl
from splinelib import criteria, pruning, surgery
from splinelib.errors import DamagedFile, PruningError
from splinelib.groups import find_groups
from splinelib.models import mlp, preresnet, resnet18, vgg16


def alive(model, seed=0):
    """Batch-norm statistics and scales as after training, so that nothing is trivially zero."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.3, generator=generator)
    return model.eval()


def convnet(bias=False, norm=True, seed=0):
    torch.manual_seed(seed)
    parts = []
    for channels, out in ((3, 6), (6, 8), (8, 10)):
        parts += [nn.Conv2d(channels, out, 3, padding=1, bias=bias)]
        parts += [nn.BatchNorm2d(out)] if norm else []
        parts += [nn.ReLU(inplace=True)]
    return alive(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 4)))


def dense_mlp(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    layers = [nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)]
    return nn.Sequential(*layers).to(dtype).eval()


def images(n=64, size=8, seed=0, dtype=torch.float32):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_masks(groups, seed=0):
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, group in groups.items():
        masks[name] = torch.rand(group.units, generator=generator) > 0.5
        masks[name][group.units // 2] = True
    return masks


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def parameters(model):
    return sum(p.numel() for p in model.parameters())


# Surgery

STRANGERS = [
    *("resnet18", "resnet50", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_small", "densenet121"),
    *("squeezenet1_1", "googlenet", "resnext50_32x4d", "regnet_x_400mf", "efficientnet_b0"),
]


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.filterwarnings("ignore:layers that do not run:UserWarning")
@pytest.mark.filterwarnings("ignore:The default weight init:FutureWarning")
def test_shrunk_equals_masked_on_torchvision(name):
    torch.manual_seed(0)
    model = alive(getattr(torchvision.models, name)(weights=None))
    inputs = images(2, 64)
    layout = find_groups(model, inputs)
    masks = sl.select(sl.score(model, "random", layout=layout), 0.5)
    assert masks.units - masks.kept == int(layout.units * 0.5 + 0.5)  # to the unit
    assert all(mask.any() for mask in masks.values())
    channels = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    tied = any(len(group.producers) > 1 for group in layout.groups.values())
    assert layout.units < sum(channels) or not tied  # coupled channels count once
    masked = sl.apply_masks(model, masks, inputs)
    small = sl.shrink(model, masks, inputs)
    with torch.no_grad():
        expected = masked(inputs)
        assert relative_error(small(inputs), expected) < 1e-5
        assert relative_error(model(inputs), expected) > 1e-4  # the masks did something
    assert parameters(small) < 0.75 * parameters(model)
    assert parameters(masked) == parameters(model)


def test_networks_that_shuffle_channels_are_refused_with_the_reason():
    with pytest.raises(PruningError, match="split and shuffle channels"):
        sl.score(torchvision.models.shufflenet_v2_x0_5(weights=None), example=images(1, 64))


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp([3 * 64, 20, 20, 10]),
        lambda: vgg16(width=0.125, image_size=8),
        lambda: preresnet(depth=20, width=0.5, image_size=8),
        lambda: resnet18(width=0.125, image_size=8),
        convnet,
    ],
    ids=["mlp", "vgg16", "preresnet", "resnet18", "convnet"],
)
def test_shrunk_equals_masked_on_our_networks(make):
    model = alive(make())
    inputs = images(4)
    inputs = inputs.flatten(1) if next(model.parameters()).ndim == 2 else inputs
    scores = sl.score(model, "random", example=inputs)
    masks = sl.select(scores, 0.5)
    with torch.no_grad():
        expected = sl.apply_masks(model, masks)(inputs)
        assert relative_error(sl.shrink(model, masks, inputs)(inputs), expected) < 1e-5


def test_channels_last_stays():
    model = convnet().to(memory_format=torch.channels_last)
    data = images().to(memory_format=torch.channels_last)
    small = sl.prune(model, 0.5, "lsq", data=data, compensate=True)
    for layer in (small[0], small[3], small[6]):
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    expected = sl.prune(convnet(), 0.5, "lsq", data=images(), compensate=True)(images())
    with torch.no_grad():
        assert relative_error(small(data), expected) < 1e-3
        assert small[:3](data).is_contiguous(memory_format=torch.channels_last)


def test_masks_of_torch_hold_in_training_and_can_be_removed():
    model, data = convnet(bias=True).train(), images(32)
    masks = sl.select(sl.score(model, "random", example=data), 0.5)
    masked, held = sl.apply_masks(model, masks), sl.attach_masks(model, masks)
    with torch.no_grad():
        assert torch.equal(held.eval()(data), masked.eval()(data))
    assert torch.equal(held[0].weight_orig, model[0].weight)  # what was there is kept
    optimiser = torch.optim.SGD(held.train().parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        F.cross_entropy(held(data), torch.arange(32) % 4).backward()
        optimiser.step()
    held.eval()
    hidden = held[:3](data)
    assert not hidden[:, ~masks["0"]].any() and hidden[:, masks["0"]].any()
    with torch.no_grad():
        expected = held(data)
    for module in list(held.modules()):
        for key in ("weight", "bias"):
            if hasattr(module, f"{key}_mask"):
                prune.remove(module, key)
    with torch.no_grad():
        assert torch.equal(held(data), expected)
        assert relative_error(sl.shrink(held, masks)(data), expected) < 1e-5


def test_masks_of_torch_on_a_stranger():
    torch.manual_seed(0)
    model = alive(torchvision.models.mobilenet_v2(weights=None, num_classes=10))
    masks = sl.select(sl.score(model, "random", example=images(1, 32)), 0.5)
    with torch.no_grad():
        found = sl.attach_masks(model, masks)(images(2, 32))
        assert relative_error(found, sl.apply_masks(model, masks)(images(2, 32))) < 1e-6


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


def test_prelu_batchnorm1d_and_flatten_follow():
    torch.manual_seed(0)
    model = alive(
        nn.Sequential(
            *(nn.Conv2d(3, 6, 3), nn.PReLU(6), nn.Flatten(), nn.BatchNorm1d(6 * 36)),
            *(nn.Linear(6 * 36, 7), nn.PReLU(), nn.BatchNorm1d(7, affine=False), nn.Linear(7, 2)),
        )
    )
    model[1].weight.data.uniform_(-1, 1)
    masks = random_masks(find_groups(model, images(2)).groups)
    small = sl.shrink(model, masks, images(2))
    with torch.no_grad():
        expected = sl.apply_masks(model, masks, images(2))(images(5))
        assert relative_error(small(images(5)), expected) < 1e-5
    assert small[1].num_parameters == small[0].out_channels == int(masks["0"].sum())


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


def test_model_is_left_as_it_was():
    model = convnet().train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    small = sl.prune(model, 0.5, "lsq", data=images(), compensate=True)
    sl.apply_masks(model, sl.select(sl.score(model, data=images(4)), 0.5))
    assert [m.training for m in model.modules()] == modes
    assert [m.training for m in small.modules()] == modes
    assert not model[0].weight.requires_grad
    assert not small[0].weight.requires_grad
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in small.modules())


# Scores


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


def test_hyperplanes_of_a_group_are_those_of_the_layer():
    model = convnet(bias=True)
    layout = find_groups(model, images(1))
    context = criteria.Context(model, layout, None, 0)
    for layer in sl.spline_layers(model, images(1)):
        normals, offsets = context.hyperplanes(layout.groups[layer.name])
        expected, shift = layer.hyperplanes()
        torch.testing.assert_close(normals, expected.detach())
        torch.testing.assert_close(offsets, shift.detach())


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


def test_lsq_costs_compare_between_layers():
    """The widest gap between groups after a cut at one residual is one removal."""
    model, data = convnet(), images(200)
    scores = sl.score(model, "lsq", data=data)
    masks = sl.select(scores, 0.4)
    gone = torch.cat([scores[name][~masks[name]] for name in scores])
    stays = torch.cat([scores[name][masks[name]] for name in scores])
    assert gone.max() <= stays.min()


def test_common_residual_keeps_the_order_of_the_criterion():
    model, data = convnet(), images(200)
    scores = sl.score(model, "magnitude", data=data)
    shared = pruning.common_residual(model, scores, data)
    for name in scores:
        order = scores[name].argsort(stable=True)
        assert (shared[name][order].diff() >= 0).all()
    lsq = sl.score(model, "lsq", data=data)
    again = pruning.common_residual(model, lsq, data)
    for name in lsq:
        torch.testing.assert_close(again[name], lsq[name])


# Selection


def scores_of(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {f"g{i}": torch.rand(n, generator=generator) for i, n in enumerate(sizes)}


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("ratio", [0, 0.1, 0.25, 0.333, 0.5, 0.71, 0.9])
def test_ratio_is_honoured_to_the_unit(scope, ratio):
    scores = scores_of(7, 33, 64, 5, 128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks = sl.select(scores, ratio, scope)
    assert masks.units - masks.kept == int(ratio * 237 + 0.5)
    for name, mask in masks.items():
        assert mask.any()
        assert mask.dtype == torch.bool
        if not mask.all():  # the lowest go
            assert scores[name][~mask].max() <= scores[name][mask].min()


def test_layerwise_shares_are_even():
    scores = scores_of(7, 33, 64, 5, 128)
    masks = sl.select(scores, 0.4, "layerwise")
    for name, mask in masks.items():
        assert abs(int((~mask).sum()) - 0.4 * len(scores[name])) < 1


def test_a_layer_keeps_its_best_unit_and_says_so():
    scores = {"low": torch.tensor([0.1, 0.3, 0.2]), "high": torch.tensor([1.0, 2.0, 3.0])}
    with pytest.warns(UserWarning, match="'low'.*keeps its best"):
        masks = sl.select(scores, 0.5)
    assert masks["low"].tolist() == [False, True, False]
    assert masks["high"].tolist() == [False, True, True]
    with pytest.warns(UserWarning, match="'one'"):
        masks = sl.select({"one": torch.rand(1), "many": torch.rand(3)}, 0.25 + 0.25)
    assert (masks["one"].sum(), masks["many"].sum()) == (1, 1)


def test_too_high_a_ratio_is_refused_with_the_highest_possible():
    with pytest.raises(ValueError, match=r"at most 4 can go \(a ratio of 0\.6667\)"):
        sl.select({"a": torch.rand(3), "b": torch.rand(3)}, 0.84)


def test_ties_fall_the_same_way_each_time():
    scores = {"a": torch.zeros(4), "b": torch.zeros(4)}
    for scope, expected in (
        ("global", [[False, False, False, True], [True] * 4]),
        ("layerwise", [[False, False, True, True], [False, True, True, True]]),
    ):
        masks = sl.select(scores, 0.375, scope)
        assert [mask.tolist() for mask in masks.values()] == expected


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("step", [2, 8, 16])
@pytest.mark.parametrize("ratio", [0, 0.1, 0.3, 0.5, 0.6])
def test_channels_in_whole_steps_at_nearly_the_ratio(scope, step, ratio):
    scores = scores_of(7, 33, 64, 5, 128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        free, masks = sl.select(scores, ratio, scope), sl.select(scores, ratio, scope, step)
    assert abs(masks.kept - free.kept) <= step / 2
    for name, mask in masks.items():
        assert mask.all() or mask.sum() % step == 0
        assert mask.any()
        if not mask.all():  # the lowest go
            assert scores[name][~mask].max() <= scores[name][mask].min()


def test_whole_steps_that_cannot_be_had_are_refused():
    scores = scores_of(24, 24)
    masks = sl.select(scores, 0.5, "layerwise", round_to=8)
    assert sorted(int(mask.sum()) for mask in masks.values()) == [8, 16]
    with pytest.raises(ValueError, match=r"at least 8 units.*highest ratio here is 0\.6667"):
        sl.select(scores, 0.8, round_to=8)
    for wrong in (0, 1.5, True, "8"):
        with pytest.raises(ValueError, match="round_to"):
            sl.select(scores, 0.5, round_to=wrong)
        with pytest.raises(ValueError, match="round_to"):
            sl.prune(convnet(), 0.5, example=images(1), round_to=wrong)
    small = sl.prune(convnet(), 0.4, example=images(1), round_to=4)
    kept = sl.select(sl.score(convnet(), example=images(1)), 0.4, round_to=4)
    assert [int(mask.sum()) for mask in kept.values()] == [small[i].out_channels for i in (0, 3, 6)]


@pytest.mark.parametrize(
    ("ratio", "error"),
    [
        *((ratio, ValueError) for ratio in (1, -0.1, 1.5, float("nan"))),
        *((ratio, TypeError) for ratio in ("half", True, None)),
    ],
)
def test_ratios_outside_are_refused(ratio, error):
    with pytest.raises(error, match="ratio"):
        sl.select(scores_of(4), ratio)
    with pytest.raises(error, match="ratio"):
        sl.prune(dense_mlp(), ratio, example=torch.zeros(1, 6))


# Compensation


def duplicated(dtype=torch.float64):
    """An MLP whose second half of hidden units are the first half's, rescaled."""
    model = dense_mlp(dtype=dtype)
    with torch.no_grad():
        for layer in (model[0], model[2]):
            half = len(layer.weight) // 2
            factor = torch.linspace(0.5, 3, half, dtype=dtype)
            layer.weight[half:] = factor[:, None] * layer.weight[:half]
            layer.bias[half:] = factor * layer.bias[:half]
    return model


@pytest.mark.parametrize("compensate", ["fold", "refit", "distil", True])
def test_coinciding_hyperplanes_merge_without_a_trace(compensate):
    model = duplicated()
    data = torch.randn(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    test = torch.randn(100, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    small = sl.prune(model, 0.5, data=data, scope="layerwise", compensate=compensate)
    assert (small[0].out_features, small[2].out_features) == (8, 6)
    plain = sl.prune(model, 0.5, data=data, scope="layerwise")
    with torch.no_grad():
        expected = model(test)
        # What is left is the ridge's.
        limit = 1e-4 if compensate == "fold" else 1e-2
        assert relative_error(small(test), expected) < limit
        assert relative_error(plain(test), expected) > 0.1


def test_fold_through_convolution_and_batch_norm():
    model = convnet(norm=True).double()
    with torch.no_grad():
        model[0].weight[3:] = model[0].weight[:3] * 2
        for key in ("weight", "bias", "running_mean", "running_var"):
            tensor = getattr(model[1], key)
            tensor[3:] = tensor[:3]
        model[1].eps = 0.0
        model[1].running_mean[3:] *= 2
        model[1].running_var[3:] *= 4
        model[1].weight[3:] *= 0.7
        model[1].bias[3:] *= 0.7
    masks = {"0": torch.tensor([False, False, False, True, True, True])}
    data = images(64, dtype=torch.float64)
    layout = find_groups(model, data)
    small, kept = pruning._shrink(model, layout, masks)
    added = pruning.compensation.fold(model, small, layout, kept, data)
    assert added == []
    with torch.no_grad():
        test = images(20, seed=3, dtype=torch.float64)
        assert relative_error(small(test), model(test)) < 1e-4


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_refit_lowers_the_error_wherever_the_constant_goes(bias, norm):
    model, data = convnet(bias, norm), images(256)
    test = images(64, seed=5)
    with torch.no_grad():
        expected = model(test)
        error = {
            how: (sl.prune(model, 0.4, "magnitude", data=data, compensate=how)(test) - expected)
            .square()
            .mean()
            .item()
            for how in (False, "fold", "refit")
        }
    assert error["refit"] < error["fold"] < error[False]
    assert error["refit"] < 0.2 * error[False]


def test_refit_is_the_least_squares_solution_for_one_layer():
    model = dense_mlp(dtype=torch.float64)
    data = torch.randn(400, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    masks = {"2": torch.arange(12) < 5}
    layout = find_groups(model, data)
    small, kept = pruning._shrink(model, layout, masks)
    pruning.compensation.refit(model, small, layout, kept, data, ridge=0.0)
    with torch.no_grad():
        hidden = F.relu(small[2](F.relu(small[0](data))))
        design = torch.cat([hidden, torch.ones(400, 1, dtype=torch.float64)], 1)
        solution = torch.linalg.lstsq(design, model(data)).solution
        torch.testing.assert_close(small(data), design @ solution, rtol=1e-6, atol=1e-8)


def test_refit_with_more_columns_than_rows():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    data = images(100)
    small = sl.prune(model, 0.25, "magnitude", data=data, compensate=True)
    plain = sl.prune(model, 0.25, "magnitude", data=data)
    with torch.no_grad():
        expected = model(data)
        better = (small(data) - expected).square().mean()
        assert better < 0.1 * (plain(data) - expected).square().mean()


@pytest.mark.parametrize("how", ["fold", "refit", "distil"])
def test_compensation_of_nothing_changes_nothing(how):
    model, data = convnet(), images()
    small = sl.prune(model, 0, data=data, compensate=how)
    with torch.no_grad():
        assert torch.equal(small(data), model(data))


def logits_and_probabilities(model, data):
    with torch.no_grad():
        return model(data), model(data).softmax(1)


@pytest.mark.parametrize("bias", [True, False])
def test_distil_matches_probabilities_where_refit_matches_logits(bias):
    model = dense_mlp(dtype=torch.float64)
    model[4] = nn.Linear(12, 3, bias=bias, dtype=torch.float64)
    model[4].weight.data *= 100  # certain most of the time, as trained networks are
    data, test = (
        torch.randn(n, 6, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        for n in (600, 2000)
    )
    wanted, certain = logits_and_probabilities(model, test)
    off, divergence = {}, {}
    for how in ("refit", "distil"):
        small = sl.prune(model, 0.6, "lsq", data=data, compensate=how)
        logits, _ = logits_and_probabilities(small, test)
        off[how] = (logits - wanted).square().mean().item()
        divergence[how] = F.cross_entropy(logits, certain).item()
    assert divergence["distil"] < divergence["refit"]
    assert off["distil"] > off["refit"]


def test_distil_is_at_the_minimum_of_its_loss():
    generator = torch.Generator().manual_seed(0)
    read = torch.randn(300, 5, generator=generator, dtype=torch.float64)
    read = torch.cat([read, torch.ones(300, 1, dtype=torch.float64)], 1)
    wanted = torch.randn(300, 4, generator=generator, dtype=torch.float64).mul(3).softmax(1)
    anchor = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    found = pruning.compensation._logistic(read, wanted, anchor, 1e-3, anchor).requires_grad_()
    pull = 1e-3 * read.square().mean()
    loss = F.cross_entropy(read @ found.T, wanted) + pull / 2 * (found - anchor).square().sum()
    (gradient,) = torch.autograd.grad(loss, found)
    assert gradient.abs().max() < 1e-3


def test_distil_takes_classifiers_only():
    class Map(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.last(F.relu(self.first(x)))

    regressor = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    doubled = nn.Sequential(*dense_mlp(), nn.Softplus())
    for model, data in (
        (Map(), images(8)),
        (regressor, torch.randn(8, 6)),
        (doubled, torch.randn(8, 6)),
    ):
        with pytest.raises(ValueError, match=r"row of logits.*'refit' takes any"):
            sl.prune(model, 0.5, "l2", data=data, compensate="distil")


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "resnext50_32x4d", "squeezenet1_1"])
def test_compensation_on_torchvision(name):
    torch.manual_seed(0)
    model = alive(getattr(torchvision.models, name)(weights=None, num_classes=10))
    data, test = images(48, 32), images(16, 32, seed=1)
    with torch.no_grad():
        expected = model(test)
        error = {
            how: (sl.prune(model, 0.3, "magnitude", data=data, compensate=how)(test) - expected)
            .square()
            .mean()
            .item()
            for how in (False, "refit")
        }
    assert error["refit"] < error[False]


def trained_digits_mlp(seed=0):
    digits = sl.data.load("digits")
    inputs, labels = digits.to_float(digits.train_images).flatten(1), digits.train_labels
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(20):
        for rows in torch.randperm(len(inputs)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimiser.step()
    test = digits.to_float(digits.test_images).flatten(1)
    return model.eval(), inputs, test, digits.test_labels


def test_digits_mlp_without_retraining():
    model, inputs, test, labels = trained_digits_mlp()

    def accuracy(net):
        with torch.no_grad():
            return 100 * (net(test).argmax(1) == labels).float().mean().item()

    dense = accuracy(model)
    assert dense > 96
    for ratio, loss in ((0.5, 0.6), (0.7, 1.2), (0.9, 4.0)):
        small = sl.prune(model, ratio, "lsq", data=inputs, compensate=True)
        assert accuracy(small) > dense - loss, ratio
    assert accuracy(sl.prune(model, 0.9, "lsq", data=inputs, compensate="distil")) > dense - 3
    assert accuracy(sl.prune(model, 0.9, "magnitude", data=inputs)) < dense - 30


# Files


def test_pruned_networks_save_and_load(tmp_path):
    model, data = convnet(norm=False), images(128)
    small = sl.prune(model, 0.5, "lsq", data=data, compensate=True)
    path = tmp_path / "small.pt"
    sl.save_pruned(small, path)
    loaded = sl.load_pruned(lambda: convnet(norm=False, seed=9), path)
    with torch.no_grad():
        assert torch.equal(loaded(data), small(data))
    assert not loaded.training
    assert torch.load(path, weights_only=True)["kept"]["0"]["out"].dtype == torch.int64
    assert list(tmp_path.iterdir()) == [path]


def test_added_biases_are_saved(tmp_path):
    model, data = alive(preresnet(depth=20, width=0.5, image_size=8)), images(128)
    small = sl.prune(model, 0.5, data=data, compensate=True)
    assert small.pruning_record["added_biases"]
    sl.save_pruned(small, tmp_path / "small.pt")
    loaded = sl.load_pruned(
        lambda: preresnet(depth=20, width=0.5, image_size=8, seed=4), tmp_path / "small.pt"
    )
    with torch.no_grad():
        assert torch.equal(loaded(data), small(data))


def test_rewinding_takes_the_kept_channels_of_another_dense_network():
    data = images(64)
    start, trained = convnet(), alive(convnet())
    small = sl.prune(trained, 0.3, data=data, compensate=True)
    smaller = sl.prune(small, 0.4, "magnitude", data=data)
    for pruned in (small, smaller):
        before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
        ticket = sl.rewind(pruned, start)
        assert all(torch.equal(before[n], t) for n, t in start.state_dict().items())
        assert parameters(ticket) == parameters(pruned)
        for name, tensor in ticket.state_dict().items():
            kept = pruned.pruning_record["kept"].get(name.rpartition(".")[0], {})
            wanted = before[name]
            if "out" in kept or "channel" in kept:
                wanted = wanted[kept.get("out", kept.get("channel"))] if wanted.ndim else wanted
            if "in" in kept and name.endswith("weight"):
                wanted = wanted[:, kept["in"]]
            assert torch.equal(tensor, wanted)
        # pruned once more, it knows where it comes from
        assert sl.rewind(ticket, trained).pruning_record["kept"] is not None
    with pytest.raises(ValueError, match="no record of what was kept; rewind takes"):
        sl.rewind(trained, start)
    with pytest.raises(ValueError, match="dense is not the network that the pruned network was"):
        sl.rewind(small, preresnet(depth=20, width=0.5, image_size=8))


def test_pruning_twice_remembers_the_dense_network(tmp_path):
    data = images(64)
    small = sl.prune(convnet(), 0.3, data=data, compensate=True)
    smaller = sl.prune(small, 0.4, "magnitude", data=data, compensate=True)
    assert parameters(smaller) < parameters(small)
    sl.save_pruned(smaller, tmp_path / "smaller.pt")
    loaded = sl.load_pruned(convnet, tmp_path / "smaller.pt")
    with torch.no_grad():
        assert torch.equal(loaded(data), smaller(data))


def test_damaged_and_foreign_files_are_refused(tmp_path):
    small = sl.prune(convnet(), 0.5, example=images(1))
    path = tmp_path / "small.pt"
    sl.save_pruned(small, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFile, match="truncated"):
        sl.load_pruned(convnet, path)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(DamagedFile, match="not written by save_pruned"):
        sl.load_pruned(convnet, path)
    path.write_bytes(whole)
    torch.save({**torch.load(path, weights_only=True), "version": 99}, path)
    with pytest.raises(DamagedFile, match="version 99"):
        sl.load_pruned(convnet, path)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="does not make the network"):
        sl.load_pruned(dense_mlp, path)
    with pytest.raises(TypeError, match="make_dense_model"):
        sl.load_pruned(lambda: 3, path)
    with pytest.raises(FileNotFoundError, match="no pruned network"):
        sl.load_pruned(convnet, tmp_path / "none.pt")
    with pytest.raises(ValueError, match="no record"):
        sl.save_pruned(convnet(), path)


# Bad input


def test_bad_masks_are_refused():
    model, inputs = convnet(), images(1)
    scores = sl.score(model, example=inputs)
    masks = sl.select(scores, 0.5)
    for change, match in [
        ({"7": torch.ones(4, dtype=torch.bool)}, "no prunable group '7'"),
        ({"0": torch.ones(5, dtype=torch.bool)}, r"bool of shape \(6,\)"),
        ({"0": torch.ones(6)}, "bool"),
        ({"0": torch.zeros(6, dtype=torch.bool)}, "leaves no unit"),
    ]:
        for work in (sl.apply_masks, sl.shrink):
            with pytest.raises(ValueError, match=match):
                work(model, {**masks, **change}, inputs)
    with pytest.raises(ValueError, match="another model"):
        sl.shrink(dense_mlp(), masks, torch.zeros(1, 6))
    with pytest.raises(ValueError, match="plain dict"):
        sl.apply_masks(model, dict(masks))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"criterion": "beauty", "example": images(1)}, "unknown criterion 'beauty'.*'spline'"),
        ({}, "pass data="),
        ({"criterion": "lsq", "example": images(1)}, "calibration"),
        ({"data": images(0)}, "row per input"),
        ({"data": images(2) * torch.nan}, "NaN"),
        ({"data": torch.randn(4, 7)}, "does not take inputs"),
        ({"data": (images(2) * 20).to(torch.uint8)}, "uint8"),
    ],
)
def test_bad_input_to_score(options, match):
    with pytest.raises(ValueError, match=match):
        sl.score(convnet(), **options)
    with pytest.raises(ValueError, match=match):
        sl.prune(convnet(), 0.5, **options)


def test_other_bad_input():
    with pytest.raises(TypeError, match="tensor"):
        sl.score(convnet(), data=[1, 2])
    with pytest.raises(ValueError, match="unknown scope"):
        sl.prune(convnet(), 0.5, example=images(1), scope="local")
    with pytest.raises(ValueError, match="unknown compensate"):
        sl.prune(convnet(), 0.5, data=images(2), compensate="magic")
    for options in ({"compensate": True}, {"scope": "residual"}):
        with pytest.raises(ValueError, match="pass data="):
            sl.prune(convnet(), 0.5, example=images(1), **options)
    broken = convnet()
    broken[0].weight.data[0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        sl.score(broken, example=images(1))
    for scores in ({}, {"a": torch.rand(2, 2)}, {"a": torch.tensor([1.0, torch.nan])}):
        with pytest.raises(ValueError, match="scores"):
            sl.select(scores, 0.5)


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


def test_scores_of_a_known_layout_are_the_same():
    model, data = convnet(), images(8)
    scores = sl.score(model, "l2", example=data)
    again = sl.score(model, "l2", layout=scores.layout)
    assert all(torch.equal(scores[name], again[name]) for name in scores)
    with pytest.raises(ValueError, match="another model"):
        sl.score(dense_mlp(), "l2", layout=scores.layout)


@pytest.mark.cuda
@pytest.mark.parametrize("criterion", list(sl.CRITERIA))
def test_works_on_cuda_as_on_the_cpu(criterion):
    model, data = convnet(), images(128)
    options = {"data": data, "labels": torch.arange(128) % 4, "compensate": True}
    there = sl.prune(model.cuda(), 0.5, criterion, **options)
    here = sl.prune(model.cpu(), 0.5, criterion, **options)
    with torch.no_grad():
        assert relative_error(there(data.cuda()).cpu(), here(data)) < 1e-2


class Peculiar(nn.Module):
    """A module used twice, tied weights, attributes of its own, one that copies in its own way."""

    class Own(nn.Linear):
        def __deepcopy__(self, memo):
            copied = type(self)(self.in_features, self.out_features)
            copied.load_state_dict(self.state_dict())
            copied.copied_by_itself = True
            return copied

    def __init__(self):
        super().__init__()
        self.twice, self.tied, self.own = nn.Linear(4, 4), nn.Linear(4, 4), self.Own(4, 4)
        self.tied.weight = self.twice.weight
        self.again = nn.ModuleList([self.twice, nn.BatchNorm1d(4)])
        self.notes = {"seen": [1, 2], "none": []}
        self.same = self.notes["none"]
        self.register_buffer("scale", torch.ones(4), persistent=False)

    def forward(self, x):
        return self.own(self.again[1](self.twice(x)) + self.tied(x)) * self.scale


def test_the_quick_copy_is_what_deepcopy_gives():
    mobile = torchvision.models.mobilenet_v2(weights=None, num_classes=5).eval()
    for model in (Peculiar().eval(), mobile.requires_grad_(False)):
        calls = []
        handle = model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        quick = surgery._deepcopy(model, {})
        handle.remove()
        assert repr(quick) == repr(model)
        state, copied = model.state_dict(), quick.state_dict()
        assert list(state) == list(copied)
        x = torch.rand(3, 4) if isinstance(model, Peculiar) else torch.rand(2, 3, 32, 32)
        before = model(x)
        assert torch.equal(quick(x), before) and calls, "hooks travel, as with deepcopy"
        for name, parameter in quick.named_parameters():
            assert parameter.requires_grad == dict(model.named_parameters())[name].requires_grad
            parameter.data.add_(1.0)
        assert torch.equal(model(x), before)
    mine, copied = Peculiar(), surgery._deepcopy(Peculiar(), {})
    assert copied.tied.weight is copied.twice.weight and copied.again[0] is copied.twice
    assert copied.notes == mine.notes and copied.same is copied.notes["none"]
    assert copied.own.copied_by_itself and not hasattr(mine.own, "copied_by_itself")
    assert "scale" not in copied.state_dict() and torch.equal(copied.scale, torch.ones(4))
