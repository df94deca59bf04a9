"""What went is merged into what stays, without an input."""

import copy
import warnings

import pytest
import torch
from networks import (
    alive,
    convnet,
    dense_mlp,
    gaussian,
    grouped,
    images,
    linear_net,
    relative_error,
    with_twins,
)
from torch import nn

import splinelib as sl
from splinelib.calibration.implied import reads_along
from splinelib.channels.cuts import cut_by, cut_copy
from splinelib.channels.groups import find_groups
from splinelib.errors import PruningError
from splinelib.pruning.merging import merge, renew_statistics
from splinelib.scores import implied_readers


def merged(model, dropped, example, data=None):
    """The network without the units that a dict of lists names, the rest taking over."""
    layout = find_groups(model, example)
    masks = {
        name: torch.tensor([unit not in units for unit in range(layout.groups[name].units)])
        for name, units in dropped.items()
    }
    kept = cut_by(model, layout, masks).kept
    small = cut_copy(model, kept)
    merge(model, small, layout, kept, data)
    return small


def distance(model, small, inputs):
    with torch.no_grad():
        return relative_error(small(inputs), model(inputs))


def test_a_twin_merges_without_a_trace_and_a_mirror_image_leaves_a_constant():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    with torch.no_grad():
        for unit, factor in ((1, 2.5), (2, -1.0)):
            model[0].weight[unit] = factor * model[0].weight[0]
            model[0].bias[unit] = factor * model[0].bias[0]
    example, inputs = gaussian(1, 3), gaussian(500, 3, seed=1)
    twin, mirror = (merged(model, {"0": [unit]}, example) for unit in (1, 2))
    assert distance(model, twin, inputs) < 1e-3
    assert distance(model, mirror, inputs) > 0.1
    # By hand: outgoing weights add up, in units of the kept twin.
    together = model[2].weight[:, 0] + 2.5 * model[2].weight[:, 1]
    torch.testing.assert_close(twin[2].weight[:, 0], together, rtol=1e-3, atol=1e-4)


def test_twins_merge_behind_a_batch_norm_whatever_their_scales():
    model = convnet().double()
    with torch.no_grad():
        model[0].weight[3:] = model[0].weight[:3]
        for key in ("weight", "bias", "running_mean", "running_var"):
            tensor = getattr(model[1], key)
            tensor[3:] = tensor[:3] * (0.5 if key in ("weight", "bias") else 1)
    example = images(1, dtype=torch.float64)
    small = merged(model, {"0": [3, 4, 5]}, example)
    assert distance(model, small, images(20, dtype=torch.float64)) < 2e-3
    gone = copy.deepcopy(small)
    gone[3].weight.data.copy_(model[3].weight[:, :3])
    assert distance(model, gone, images(20, dtype=torch.float64)) > 0.02


def test_twins_merge_behind_a_flatten():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    model = model.double()
    with torch.no_grad():
        model[0].weight[3], model[0].bias[3] = 2 * model[0].weight[1], 2 * model[0].bias[1]
    example = images(1, dtype=torch.float64)
    small = merged(model, {"0": [3]}, example)
    assert small[3].in_features == 3 * 36
    assert distance(model, small, images(20, dtype=torch.float64)) < 1e-3


def test_two_layers_that_are_cut_at_once():
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)]
    model = nn.Sequential(*layers).double()
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight[3:], layer.bias[3:] = 3 * layer.weight[:3], 3 * layer.bias[:3]
    small = merged(model, {"0": [0, 1, 2], "2": [3, 4, 5]}, gaussian(1, 4))
    assert distance(model, small, gaussian(300, 4, seed=1)) < 1e-3


def test_the_mean_of_what_is_dropped_goes_into_the_bias():
    # One unit stays that has nothing in common with the one that goes.
    model = linear_net([[3, 0], [0, 4]], [[1, 1]])
    small = merged(model, {"0": [1]}, gaussian(1, 2))
    assert small[2].weight.item() == pytest.approx(1, abs=1e-3)
    assert small[2].bias.item() == pytest.approx(4 / (2 * torch.pi) ** 0.5)


def test_nothing_dropped_changes_nothing():
    model = convnet()
    small = sl.prune(model, 0, example=images(1))
    assert torch.equal(small(images()), model(images()))


def test_without_data_less_is_lost_than_by_just_removing():
    model, inputs = convnet(bias=False), images(200)
    small, plain = (
        sl.prune(model, 0.3, "bend", example=images(1), compensate=how) for how in ("merge", False)
    )
    with torch.no_grad():
        expected = model(inputs)
        error = [(net(inputs) - expected).square().mean().item() for net in (small, plain)]
    assert error[0] < error[1]


def test_what_is_implied_is_worked_out_once(monkeypatch):
    counted = []

    def counting(*given):
        counted.append(given)
        return reads_along(*given)

    monkeypatch.setattr(implied_readers, "reads_along", counting)
    pruner = sl.Pruner(convnet(), example=images(1))
    for ratio in (0.2, 0.4):
        pruner.prune(ratio)
    assert len(counted) == 1


def test_inputs_only_renew_the_statistics():
    model, data = convnet(), images(100)
    renew_statistics(model, images(200, seed=7))  # those of what it was trained on
    without = sl.prune(model, 0.3, "bend", example=images(1), compensate="merge")
    given = sl.prune(model, 0.3, "bend", data=data, compensate="merge")
    theirs = without.state_dict()
    for name, value in given.state_dict().items():
        changed = "running" in name or "num_batches" in name
        assert torch.equal(value, theirs[name]) != changed, name
    with torch.no_grad():
        hidden = given[0](data)
    torch.testing.assert_close(given[1].running_mean, hidden.mean((0, 2, 3)))


def test_renewing_does_not_see_the_order_of_the_inputs():
    """By hand: half of the inputs are 0, half are 2. Batches of one kind each have no variance."""
    inputs = torch.cat([torch.zeros(512, 1), torch.full((512, 1), 2.0)])
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    renew_statistics(model, inputs)
    slope, bias = model[0].weight.item(), model[0].bias.item()
    assert model[1].running_var.item() == pytest.approx(slope**2, rel=0.02)
    assert model[1].running_mean.item() == pytest.approx(slope + bias, rel=1e-5)


def test_renewing_gives_modes_and_momenta_back():
    model = convnet().train()
    model[4].eval()
    model[1].momentum = 0.3
    renew_statistics(model, images(40))
    assert [m.training for m in model] == [name != 4 for name in range(len(model))]
    assert (model[1].momentum, model[4].momentum) == (0.3, 0.1)


def test_renewing_that_fails_changes_nothing():
    model = convnet()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError):
        renew_statistics(model, torch.zeros(4, 5, 8, 8))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.training and not model[1].training and model[1].momentum == 0.1


def test_one_input_has_no_statistics():
    model = convnet()
    before = copy.deepcopy(model.state_dict())
    renew_statistics(model, images(1))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class Gated(nn.Module):
    """Layers of which the last reads a product."""

    def __init__(self, *layers):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Sequential(*layers), nn.Linear(6, 2)

    def forward(self, x):
        x = self.first(x)
        return self.last(x * x.sigmoid())


def test_a_network_that_cannot_be_followed_is_refused_if_merging_was_asked_for():
    model, example = Gated(nn.Linear(4, 6)), torch.zeros(1, 4)
    with pytest.raises(PruningError, match=r"cannot follow.*\(last\).*compensate='refit'"):
        sl.prune(model, 0.5, example=example, compensate="merge")
    with pytest.warns(UserWarning, match="nothing takes over what is dropped. Pass data="):
        small = sl.prune(model, 0.5, example=example)
    bare = sl.prune(model, 0.5, "bend", example=example)
    assert torch.equal(small.last.weight, bare.last.weight) and small.last.in_features == 3


def test_layers_that_cannot_be_followed_are_named():
    model = Gated(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
    with pytest.warns(UserWarning, match=r"what layers \['last'\] read cannot be followed"):
        sl.prune(model, 0.5, example=torch.zeros(1, 4))


@pytest.mark.parametrize("key", ["weight", "running_var"])
def test_channels_that_a_batch_norm_has_switched_off_cost_nothing(key):
    model = convnet()
    with torch.no_grad():
        getattr(model[1], key)[:3] = 0
        if key == "running_var":  # a filter that says nothing has no variance
            model[0].weight[:3], model[1].running_mean[:3] = 0, 0
    model[3].padding = 0  # on padding a constant is not one
    small = merged(model, {"0": [0, 1, 2]}, images(1))
    with torch.no_grad():
        expected, found = (net[:5](images()) for net in (model, small))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    pruned = sl.prune(model, 0.5, example=images(1))
    assert torch.isfinite(pruned(images())).all()


def test_at_zero_padding_a_constant_costs_less_than_in_a_bias():
    """On 2 x 2 images most taps of a 3 x 3 kernel read padding, and most of a bias is wrong."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)),
    ).eval()
    alive(model)
    with torch.no_grad():
        model[1].weight[:3] = 0
        model[1].bias[:3] = 1.0  # constants
    small = merged(model, {"0": [0, 1, 2]}, images(1, size=2))
    bias = copy.deepcopy(small)
    with torch.no_grad():
        bias[3].weight.copy_(model[3].weight[:, 3:])
        moved = model[3].weight[:, :3].sum((1, 2, 3))
        bias[3].bias.copy_(model[3].bias + moved)
        truth, ours, other = (net[:4](images(size=2)) for net in (model, small, bias))
    assert (ours - truth).square().mean() < 0.5 * (other - truth).square().mean()


def test_each_block_of_a_grouped_convolution_takes_over_its_own_twins():
    model = with_twins(grouped(read=3, made=4, blocks=2), factors=(2.0, 0.5))
    small = merged(model, {"0": [2]}, images(1))
    assert distance(model, small, images(20)) < 1e-3
    weight = model[2].weight.detach()[:, :2].clone()
    weight[:4, 0] += 2.0 * model[2].weight.detach()[:4, 2]
    weight[4:, 0] += 0.5 * model[2].weight.detach()[4:, 2]
    torch.testing.assert_close(small[2].weight.detach(), weight, rtol=1e-3, atol=1e-4)


def test_a_block_that_goes_takes_its_own_reader_along():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)),
    )
    alive(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is left for the grouped layer to take over
        small = sl.prune(
            model,
            0.25,
            criterion="random",
            scope="layerwise",
            compensate="merge",
            example=images(1),
        )
    assert small[3].groups == 3 and small[0].out_channels == small[3].in_channels == 6
    assert torch.isfinite(small(images(2))).all()


@pytest.mark.parametrize("bounded", [nn.ReLU6, lambda: nn.Hardtanh(-1.0, 1.0)])
def test_behind_a_bounded_activation_twins_merge_as_far_as_they_are_alike(bounded):
    """An equal twin without a trace, a steeper one in part: never worse than leaving it out."""
    errors = {}
    for scale in (1.0, 3.0):
        model = linear_net([[2, 1], [0, 4], [2 * scale, scale]], [[1, 1, 2]])
        model[1] = bounded()
        small = merged(model, {"0": [2]}, gaussian(1, 2))
        plain = merged(model, {"0": [2]}, gaussian(1, 2))
        plain[2].weight.data.copy_(model[2].weight[:, :2])
        plain[2].bias = None
        inputs = gaussian(2000, 2, seed=1)
        errors[scale] = distance(model, small, inputs)
        assert errors[scale] < 0.9 * distance(model, plain, inputs)
    assert errors[1.0] < 1e-3 < errors[3.0]


def test_where_no_unit_draws_the_line_on_the_same_side_only_what_is_common_is_taken_over():
    """Units of lines at right angles have nothing in common: the reader's weights stay."""
    model = linear_net([[3, 0], [0, 4], [-3, 0]], [[1, 1, 1]])
    small = merged(model, {"0": [2]}, gaussian(1, 2))
    assert small[2].weight[0, 1].item() == pytest.approx(1, abs=1e-3)
    assert small[2].weight[0, 0].item() < 1, "relu(-z) falls where relu(z) rises"
    inputs = gaussian(2000, 2, seed=1)
    plain = copy.deepcopy(small)
    plain[2].weight.data.copy_(model[2].weight[:, :2])
    plain[2].bias.data.zero_()
    assert distance(model, small, inputs) < distance(model, plain, inputs)


def test_units_that_no_layer_reads_are_named():
    class Summed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(4, 6)
            self.out = nn.Linear(6, 2)

        def forward(self, x):
            total = torch.relu(self.a(x)).sum(1, keepdim=True)
            return torch.cat([self.out(torch.relu(self.b(x))), total], 1)

    torch.manual_seed(0)
    model = Summed()
    with pytest.warns(UserWarning, match=r"no layer reads the units of \['a'\] that could take"):
        sl.prune(
            model, 0.5, "random", "layerwise", example=gaussian(1, 4).float(), compensate="merge"
        )


def test_data_that_a_way_does_not_need_change_nothing():
    model, data, labels = convnet(), images(40), torch.arange(40) % 3
    plain = sl.prune(model, 0.4, "magnitude", example=data[:1])
    given = sl.prune(model, 0.4, "magnitude", data=data, labels=labels)
    assert all(
        torch.equal(one, other)
        for one, other in zip(plain.parameters(), given.parameters(), strict=True)
    )


@pytest.mark.parametrize("scale", [1e-15, 1e-8, 1e8])
def test_in_what_unit_a_layer_computes_does_not_matter(scale):
    """What one layer gains the next one loses: what takes over does, too."""
    model, inputs = dense_mlp(), gaussian(200, 6).float()
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in (other[0].weight, other[0].bias):
            weight *= scale
        other[2].weight /= scale
    one, two = (merged(net, {"0": [1, 4, 7]}, inputs[:1]) for net in (model, other))
    torch.testing.assert_close(one(inputs), two(inputs))
