"""Making up for what went."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import (
    ByKeyword,
    Equalised,
    Routed,
    alive,
    convnet,
    dense_mlp,
    images,
    relative_error,
)
from strangers import Force, lively, rows
from torch import nn

import splinelib as sl
from splinelib.channels.cuts import cut_by, cut_copy
from splinelib.channels.groups import find_groups
from splinelib.pruning import compensation


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


@pytest.mark.parametrize("compensate", ["merge", "fold", "refit", "distil", True])
def test_coinciding_hyperplanes_merge_without_a_trace(compensate):
    model = duplicated()
    data = torch.randn(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    test = torch.randn(100, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    how = {"criterion": "spline", "scope": "layerwise", "data": data}
    small = sl.prune(model, 0.5, compensate=compensate, **how)
    assert (small[0].out_features, small[2].out_features) == (8, 6)
    plain = sl.prune(model, 0.5, **how)
    with torch.no_grad():
        expected = model(test)
        # What is left is the ridge's.
        limit = 1e-4 if compensate in ("merge", "fold") else 1e-2
        assert relative_error(small(test), expected) < limit
        assert relative_error(plain(test), expected) > 0.1


def test_fold_through_convolution_and_batch_norm():
    model = convnet(norm=True).double()
    with torch.no_grad():
        model[0].weight[3:] = model[0].weight[:3] * 2
        for key in ("weight", "bias", "running_mean", "running_var"):
            tensor = getattr(model[1], key)
            tensor[3:] = tensor[:3]
        model[1].eps = 1e-12  # torch 2.11 refuses 0
        model[1].running_mean[3:] *= 2
        model[1].running_var[3:] *= 4
        model[1].weight[3:] *= 0.7
        model[1].bias[3:] *= 0.7
    masks = {"0": torch.tensor([False, False, False, True, True, True])}
    data = images(64, dtype=torch.float64)
    layout = find_groups(model, data)
    kept = cut_by(model, layout, masks).kept
    small = cut_copy(model, kept)
    added = compensation.fold(model, small, layout, kept, data)
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
    kept = cut_by(model, layout, masks).kept
    small = cut_copy(model, kept)
    compensation.refit(model, small, layout, kept, data, ridge=0.0)
    with torch.no_grad():
        hidden = F.relu(small[2](F.relu(small[0](data))))
        design = torch.cat([hidden, torch.ones(400, 1, dtype=torch.float64)], 1)
        solution = torch.linalg.lstsq(design, model(data)).solution
        torch.testing.assert_close(small(data), design @ solution, rtol=1e-6, atol=1e-8)


def test_refit_with_more_columns_than_rows():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    few = torch.randn(5, 3, 8, 8)  # images of five patterns
    data, new = (torch.einsum("np,pchw->nchw", torch.randn(100, 5), few) for _ in range(2))
    small = sl.prune(model, 0.25, "magnitude", data=data, compensate=True)
    plain = sl.prune(model, 0.25, "magnitude", data=data)
    with torch.no_grad():
        expected = model(new)
        better = (small(new) - expected).square().mean()
        assert better < 0.3 * (plain(new) - expected).square().mean()


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize(("how", "limit"), [("fold", 1e-4), ("refit", 1e-2)])
def test_blocks_whose_inputs_are_small_are_mended_as_well(how, limit, scale):
    """Two blocks of a grouped convolution, half of what each reads being the other half's double.

    Behind a batch norm both matter alike, whatever the scale of what they read.
    """
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2, bias=False)]
    head = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    model = nn.Sequential(*layers, nn.BatchNorm2d(8, eps=1e-30), *head).eval()
    data, new = images(200, size=10), images(100, size=10, seed=5)
    with torch.no_grad():
        for tensor in (model[0].weight, model[0].bias):
            tensor[2:4], tensor[6:8] = 2 * tensor[:2], 2 * tensor[4:6]
            tensor[4:] *= scale
        said = model[:3](data)
        model[3].running_mean.copy_(said.mean((0, 2, 3)))
        model[3].running_var.copy_(said.var((0, 2, 3)))
        masks = {"0": torch.tensor([True, True, False, False])}
        small = sl.shrink(model, masks, data[:1], data=data, compensate=how)
        assert relative_error(small(new), model(new)) < limit


@pytest.mark.parametrize("count", [3, 8])
def test_a_refit_on_a_handful_of_inputs_does_not_run_away(count):
    """Units that hardly anything switches on: fits to 8 inputs made errors 17 times as large."""
    ratios = []
    for seed in range(30):
        model = dense_mlp(seed)
        with torch.no_grad():
            model[0].bias -= 0.5
            data, new = torch.randn(count, 6), torch.randn(400, 6)
            plain, small = (
                sl.prune(model, 0.5, "magnitude", "layerwise", data=data, compensate=how)
                for how in (False, "refit")
            )
            errors = [(each(new) - model(new)).square().mean() for each in (small, plain)]
        ratios.append(float(errors[0] / errors[1]))
    assert max(ratios) < 3
    assert sum(map(math.log, ratios)) / len(ratios) < math.log(0.6)


@pytest.mark.parametrize("how", ["fold", "refit"])
def test_one_input_says_nothing_of_others(how):
    """A constant that brings one input back moved all others: the errors were doubled."""
    model, data = dense_mlp(), torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    plain = sl.prune(model, 0.5, "magnitude", data=data)
    with pytest.warns(UserWarning, match=r"give layers \['2', '4'\] a single row to read"):
        small = sl.prune(model, 0.5, "magnitude", data=data, compensate=how)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, small.state_dict()[name])
    net, one = convnet(), images(1)
    shown = sl.prune(net, 0.5, "magnitude", data=one, compensate=how)
    assert not torch.equal(shown[3].weight, sl.prune(net, 0.5, "magnitude", data=one)[3].weight)


def test_of_few_rows_that_say_nothing_a_mean_is_taken():
    """Noise of more pixels than images: a fit finds it again on none but its own."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    data, new = images(100), images(500, seed=5)
    small = sl.prune(model, 0.25, "magnitude", data=data, compensate=True)
    plain = sl.prune(model, 0.25, "magnitude", data=data)
    assert torch.equal(small[3].weight, plain[3].weight)
    with torch.no_grad():
        missing = model(data) - plain(data)
        torch.testing.assert_close(small[3].bias - plain[3].bias, missing.mean(0))
        expected = model(new)
        better = (small(new) - expected).square().mean()
        assert better < 0.8 * (plain(new) - expected).square().mean()


@pytest.mark.parametrize("rows", [300, 40])
def test_refit_of_a_layer_too_wide_for_normal_equations_is_the_same(rows, monkeypatch):
    """By conjugate gradients; grouped convolutions too, and where rows are few."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv1d(2, 16, 5), nn.ReLU(), nn.Conv1d(16, 8, 7), nn.ReLU()),
        *(nn.Conv1d(8, 8, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 8, 3)),
    )
    data = torch.randn(rows, 2, 20)
    whole = sl.prune(model, 0.4, "magnitude", data=data, compensate="refit")
    solved = []
    streamed = compensation.StreamedRegression

    def counted(*given):
        solved.append(given[1:])
        return streamed(*given)

    monkeypatch.setattr(compensation, "HELD", 0)
    monkeypatch.setattr(compensation, "StreamedRegression", counted)
    again = sl.prune(model, 0.4, "magnitude", data=data, compensate="refit")
    assert len(solved) >= 3
    with torch.no_grad():
        assert relative_error(again(data), whole(data)) < 1e-3
        assert relative_error(model(data), whole(data)) > 1e-3


@pytest.mark.parametrize("how", ["merge", "fold", "refit", "distil"])
def test_compensation_of_nothing_changes_nothing(how):
    model, data = convnet(), images()
    small = sl.prune(model, 0, data=data, compensate=how)
    with torch.no_grad():
        assert torch.equal(small(data), model(data))


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


class Behind(nn.Module):
    """Two layers on time steps, which come in front of the inputs or are inputs themselves."""

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(0)
        self.way = way
        self.a, self.b, self.head = nn.Linear(6, 24), nn.Linear(24, 16), nn.Linear(16, 3)

    def forward(self, x):
        inputs, steps = x.shape[:2]
        if self.way != "steps":
            x = x.transpose(0, 1)
        if self.way == "rows":
            x = x.reshape(inputs * steps, -1)
        x = F.relu(self.b(F.relu(self.a(x))))
        x = x.view(steps, inputs, -1) if self.way == "rows" else x
        return self.head(x.mean(1 if self.way == "steps" else 0))


@pytest.mark.parametrize("way", ["first", "rows"])
@pytest.mark.parametrize("how", ["fold", "refit"])
def test_the_order_of_rows_does_not_matter(way, how):
    """Time steps that come first are fitted as those behind the inputs are, in whatever batches."""
    data = torch.randn(600, 5, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = (
            sl.prune(Behind(one), 0.3, "magnitude", data=data, compensate=how)(data)
            for one in ("steps", way)
        )
    assert relative_error(found, expected) < 1e-3


def errors_of(model, data, test, criterion, ratio=0.3):
    with torch.no_grad():
        expected = model(test).float()
        return {
            how: (
                sl.prune(model, ratio, criterion, data=data, compensate=how)(test).float()
                - expected
            )
            .square()
            .mean()
            .item()
            for how in (False, "fold", "refit")
        }


class Halved(nn.Module):
    """Runs under autocast."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.model(x)


def vectors(n, seed=0, width=16):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def equalised(seed=0):
    torch.manual_seed(seed)
    layers = [Equalised(16, 64), nn.ReLU(), Equalised(64, 32), nn.ReLU(), Equalised(32, 5)]
    return nn.Sequential(*layers).eval()


def with_hooks(seed=0):
    model = dense_mlp(seed)
    model[2].register_forward_hook(lambda layer, inputs, output: 3 * output - 1)
    model[4].register_forward_pre_hook(lambda layer, inputs: (2 * inputs[0] + 1,))
    return model


class InPlace(nn.Linear):
    """Changes what it is given."""

    def forward(self, x):
        return F.linear(x.mul_(2), self.weight, self.bias)


class Residual(nn.Module):
    """Outputs in a tuple, a layer that scales what it says, one called by keyword."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(16, 32), nn.Linear(32, 48), Equalised(48, 32)
        self.head = nn.Linear(32, 5)
        self.head.register_forward_hook(lambda layer, inputs, output: 2.5 * output)

    def forward(self, x):
        x = F.relu(self.a(x))
        return self.head(F.relu(x + self.c(x=F.relu(self.b(input=x)))))


class ByPosition(nn.Module):
    """Tokens; linear layers at every position, channels last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.a, self.b = nn.Embedding(20, 12), nn.Linear(12, 32), Equalised(32, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(F.relu(self.b(F.gelu(self.a(self.tokens(x))))).mean(1))


def in_place():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 48), nn.ReLU(), InPlace(48, 32), nn.ReLU(), nn.Linear(32, 5))


def recorded():
    model = convnet(bias=True)
    for module in model:
        module.register_forward_hook(lambda layer, inputs, output: None)
    return model


def tokens(n, seed=0):
    return torch.randint(0, 20, (n, 6), generator=torch.Generator().manual_seed(seed))


ODD = {
    "in place": (in_place, vectors(512), vectors(256, 1)),
    "residual": (Residual, vectors(512), vectors(256, 1)),
    "tokens": (ByPosition, tokens(300), tokens(200, 1)),
    "recorded": (recorded, images(200), images(100, seed=1)),
    "equalised": (equalised, vectors(512), vectors(256, 1)),
    "hooks": (with_hooks, vectors(512, 0, 6), vectors(256, 1, 6)),
    "keywords": (ByKeyword, images(200), images(100, seed=1)),
    "routed": (Routed, vectors(512, 0, 8), vectors(256, 1, 8)),
    "autocast": (lambda: Halved(dense_mlp()), vectors(512, 0, 6), vectors(256, 1, 6)),
    "autocast equalised": (lambda: Halved(equalised()), vectors(512), vectors(256, 1)),
    "bfloat16": (
        lambda: dense_mlp(dtype=torch.bfloat16),
        vectors(512, 0, 6).bfloat16(),
        vectors(256, 1, 6).bfloat16(),
    ),
    "float64": (
        lambda: dense_mlp(dtype=torch.float64),
        vectors(512, 0, 6).double(),
        vectors(256, 1, 6).double(),
    ),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("criterion", ["lsq", "spline", "magnitude"])
def test_layers_that_run_in_their_own_way_are_fitted_as_they_run(name, criterion):
    """Equalised layers were up to twenty times worse than without, the others raised or worse."""
    make, data, test = ODD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = errors_of(make().eval(), data, test, criterion)
    assert error["refit"] < 0.8 * error[False] and error["fold"] < 0.95 * error[False]


def test_autocast_is_fitted_as_well_as_full_precision():
    """What autocast had made of a bias was taken once more when the bias had changed."""
    data, test = vectors(512), vectors(256, 1)
    full = errors_of(equalised(), data, test, "magnitude")
    half = errors_of(Halved(equalised()), data, test, "magnitude")
    assert half["refit"] < 1.1 * full["refit"]


@pytest.mark.parametrize("how", ["fold", "refit"])
def test_a_forward_that_takes_gradients_is_fitted_too(how):
    net = lively(Force)
    data, others = rows(6, n=600), torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    plain, fitted = (sl.prune(net, 0.4, data=data, compensate=by) for by in (False, how))
    left = (fitted(others) - net(others)).square().mean() / (
        plain(others) - net(others)
    ).square().mean()
    assert left < 0.5


def test_an_expert_that_no_row_reaches_is_left_as_it_was():
    model = Routed().eval()
    data, test = vectors(512, 0, 8), vectors(256, 1, 8)
    masks = sl.select(sl.score(model, "magnitude", data=data), 0.3, "layerwise")
    with torch.no_grad():
        model.router.bias[1] = -100
    plain = sl.shrink(model, masks)
    for how in ("fold", "refit"):
        small = sl.shrink(model, masks, data=data, compensate=how)
        for key, value in plain.experts[1].state_dict().items():
            assert torch.equal(small.experts[1].state_dict()[key], value)
        with torch.no_grad():
            error = [(net(test) - model(test)).square().mean() for net in (small, plain)]
        assert error[0] < 0.5 * error[1]


def test_an_expert_that_other_rows_reach_is_named_and_left():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), Routed()).eval()
    data = vectors(700, 0, 6)
    with pytest.warns(UserWarning, match=r"other inputs reach layers \['3.experts"):
        small = sl.prune(model, 0.4, "magnitude", data=data, compensate="refit")
    plain = sl.prune(model, 0.4, "magnitude", data=data)
    with torch.no_grad():
        error = [(net(data) - model(data)).square().mean() for net in (small, plain)]
    assert error[0] <= error[1]


@pytest.mark.parametrize("how", ["fold", "refit"])
def test_a_layer_that_is_no_linear_map_of_its_weight_is_named_and_left(how):
    model, data = dense_mlp(), vectors(512, 0, 6)
    model[2].register_forward_hook(lambda layer, inputs, output: output * output.sigmoid())
    with pytest.warns(UserWarning, match=r"layers \['2'\] do not compute.*plain torch.nn.Linear"):
        small = sl.prune(model, 0.3, "magnitude", data=data, compensate=how)
    plain = sl.prune(model, 0.3, "magnitude", data=data)
    assert torch.equal(small[2].weight, plain[2].weight)
    assert not torch.equal(small[4].weight, plain[4].weight)


def test_few_rows_do_no_harm_to_others():
    """A linear layer behind a flatten, with about as many rows as columns: tripled the error."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 32), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(32, 5)).eval()
    error = errors_of(model, images(250), images(200, seed=1), "magnitude")
    assert error["refit"] < 1.1 * error[False] and error["fold"] < 1.1 * error[False]


def test_a_channel_that_is_off_on_the_data_and_on_elsewhere_does_not_explode():
    """A depthwise convolution fits each channel for itself: this one got weights of 1e7.

    Unit 0 alone switches channel 6 on. Without it the channel is off on all of the data, as far as
    a SiLU is ever off, and on brighter images it is on.
    """
    torch.manual_seed(0)
    first, second, deep = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, groups=8)
    with torch.no_grad():
        first.weight[0], first.weight[1:, 0], first.bias[0] = 0, 0, 0
        first.weight[0, 0] = 1
        second.weight[6], second.bias[6], second.weight[6, 0], second.weight[6, 1] = 0, -30, 12, 1.5
    model = nn.Sequential(
        first, nn.ReLU(), second, nn.SiLU(), deep, nn.Flatten(), nn.Linear(288, 5)
    )
    masks = {"0": torch.arange(8) > 0}
    dim, bright = images(200), images(200, seed=1) + 40
    small = sl.shrink(model, masks, dim)
    fitted = sl.shrink(model, masks, dim, data=dim, compensate="refit")
    with torch.no_grad():
        dense, without, after = (net(bright) for net in (model, small, fitted))
    assert (after - dense).norm() < 3 * (without - dense).norm()
    assert fitted[4].weight.abs().max() < 100


def test_an_equalised_network_is_merged_as_its_weights_would_be():
    model, data = equalised(), vectors(300)
    folded = nn.Sequential(*(nn.Linear(*layer.weight.shape[::-1]) for layer in model[::2])).eval()
    folded = nn.Sequential(folded[0], nn.ReLU(), folded[1], nn.ReLU(), folded[2])
    with torch.no_grad():
        for one, other in zip(model[::2], folded[::2], strict=True):
            other.weight.copy_(one.weight * one.scale)
            other.bias.copy_(one.bias)
        masks = sl.select(sl.score(folded, "bend", example=data[:1]), 0.3)
        found, expected = (
            sl.shrink(net, dict(masks), data[:1], compensate="merge")(data)
            for net in (model, folded)
        )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
