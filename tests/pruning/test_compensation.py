"""Making up for what went."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import alive, convnet, dense_mlp, images, relative_error
from torch import nn

import splinelib as sl
from splinelib.channels.groups import find_groups
from splinelib.channels.surgery import cut_copy, dropped_channels, kept_channels
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
        model[1].eps = 0.0
        model[1].running_mean[3:] *= 2
        model[1].running_var[3:] *= 4
        model[1].weight[3:] *= 0.7
        model[1].bias[3:] *= 0.7
    masks = {"0": torch.tensor([False, False, False, True, True, True])}
    data = images(64, dtype=torch.float64)
    layout = find_groups(model, data)
    kept = kept_channels(model, dropped_channels(layout, masks))
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
    kept = kept_channels(model, dropped_channels(layout, masks))
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
    data = images(100)
    small = sl.prune(model, 0.25, "magnitude", data=data, compensate=True)
    plain = sl.prune(model, 0.25, "magnitude", data=data)
    with torch.no_grad():
        expected = model(data)
        better = (small(data) - expected).square().mean()
        assert better < 0.1 * (plain(data) - expected).square().mean()


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
