"""All units are fused into those that stay, by optimal transport."""

import copy

import pytest
import torch
from networks import alive, convnet, gaussian, images, torch_transformer
from pretend_device import DEVICE, device
from torch import nn

import splinelib as sl
from splinelib.rivals import intra_fusion, renewed_statistics
from splinelib.rivals.transport import transport


def kept(*stays):
    return torch.tensor([bool(flag) for flag in stays])


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def twins_and_another():
    """Units 0 and 1 are the same, unit 2 is another."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1, bias=False)).double()
    for tensor, values in (
        (model[0].weight, [[1.0, 0.0], [1.0, 0.0], [0.0, 4.0]]),
        (model[0].bias, [0.5, 0.5, 2.0]),
        (model[2].weight, [[1.0, 1.0, 3.0]]),
    ):
        tensor.data.copy_(doubles(values))
    return model


def test_two_twins_and_another_into_one_twin():
    """By hand: all mass goes to the one that stays, rows are averaged and columns added."""
    small = intra_fusion(twins_and_another(), {"0": kept(1, 0, 0)}, gaussian(1, 2))
    torch.testing.assert_close(small[0].weight.detach(), doubles([[2 / 3, 4 / 3]]))
    torch.testing.assert_close(small[0].bias.detach(), doubles([1.0]))
    torch.testing.assert_close(small[2].weight.detach(), doubles([[5.0]]))


def test_equal_parts_split_a_twin_and_parts_by_importance_need_not():
    """By hand: a mass of 3 for two units is 1.5 each, so half of unit 1 goes to the other one."""
    model, masks, inputs = twins_and_another(), {"0": kept(1, 0, 1)}, gaussian(9, 2)
    small = intra_fusion(model, masks, inputs[:1])
    rows = doubles([[1.0, 0.0], [0.5 / 1.5, 4 / 1.5]])
    torch.testing.assert_close(small[0].weight.detach(), rows)
    torch.testing.assert_close(small[0].bias.detach(), doubles([0.5, 1.5]))
    torch.testing.assert_close(small[2].weight.detach(), doubles([[1.5, 3.5]]))
    coded = intra_fusion(model, masks, inputs[:1], formula="code")
    torch.testing.assert_close(coded[0].weight.detach(), 1.5 * rows)
    assert torch.equal(coded[2].weight, small[2].weight)
    fair = intra_fusion(model, masks, inputs[:1], importance={"0": doubles([2.0, 0.0, 1.0])})
    torch.testing.assert_close(fair[2].weight.detach(), doubles([[2.0, 3.0]]))
    torch.testing.assert_close(fair(inputs), model(inputs))


def test_what_lies_nearest_in_direction_gets_the_mass():
    """Rows and columns count, lengths and biases do not: unit 2 goes to unit 0, its direction."""
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(doubles([[1.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.0, 1.0]]))
        model[0].bias.copy_(doubles([0.0, 9.0, 9.0, 0.0]))
        model[2].weight.copy_(doubles([[1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 0.0, 1.0]]))
    small = intra_fusion(model, {"0": kept(1, 1, 0, 0)}, gaussian(1, 2))
    torch.testing.assert_close(small[0].weight.detach(), doubles([[2.0, 0.0], [1.5, 0.5]]))
    torch.testing.assert_close(small[2].weight.detach(), doubles([[4.0, 2.0], [0.0, 3.0]]))


@pytest.mark.parametrize("targets", [1, 3, 5])
def test_a_plan_moves_all_mass_at_the_least_cost(targets):
    """Mass is kept on both sides, and none of many other plans is cheaper."""
    cost = gaussian(5, targets).abs()
    parts = 5 * torch.softmax(gaussian(targets, seed=1), 0)
    plan = transport(cost, parts)
    assert plan.min() >= 0
    torch.testing.assert_close(plan.sum(1), torch.ones(5).double())
    torch.testing.assert_close(plan.sum(0), parts)
    for seed in range(20):
        other = gaussian(5, targets, seed=seed).exp()
        for _ in range(200):  # until both sides hold
            other /= other.sum(1, keepdim=True)
            other *= parts / other.sum(0)
        assert (cost * plan).sum() < (cost * other).sum() + 1e-6


def test_parts_in_single_precision_are_parts_all_the_same():
    plan = transport(gaussian(512, 358).abs(), torch.full((358,), 512 / 358))
    torch.testing.assert_close(plan.sum(1), torch.ones(512).double())


def test_with_as_many_targets_as_sources_the_plan_is_an_assignment():
    cost = doubles([[1.0, 2.0, 9.0], [2.0, 4.0, 9.0], [9.0, 9.0, 1.0]])
    expected = doubles([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(transport(cost, torch.ones(3)), expected)


def twinned(model, norm, first, reader):
    """Every second channel of a layer made the twin of the one before, but for the sign of both."""
    with torch.no_grad():
        for tensor in (first.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor[1::2] = tensor[::2]
        reader.weight[:, 1::2] = reader.weight[:, ::2]
        for tensor in (first.weight, norm.weight, norm.running_mean):
            tensor[1::2] *= -1


def every_second(units):
    return torch.arange(units) % 2 == 0


def test_twins_fuse_without_a_trace():
    """Behind batch norms as well, and if two signs of one of them make up for each other."""
    model = convnet().double()
    twinned(model, model[1], model[0], model[3])
    twinned(model, model[4], model[3], model[6])
    twinned(model, model[7], model[6], model[11])
    masks = {name: every_second(units) for name, units in (("0", 6), ("3", 8), ("6", 10))}
    inputs = images(9).double()
    small = intra_fusion(model, masks, inputs[:1])
    assert [len(small[i].weight) for i in (0, 3, 6)] == [3, 4, 5]
    torch.testing.assert_close(small(inputs), model(inputs))
    for place in (1, 4, 7):
        torch.testing.assert_close(small[place].weight, model[place].weight[::2].abs())
        torch.testing.assert_close(small[place].bias, model[place].bias[::2])
    cut = sl.shrink(model, masks, inputs[:1])
    assert not torch.allclose(cut(inputs), model(inputs))


def test_statistics_that_are_renewed_change_little_where_they_were_right():
    """The norms that come back expect what their layers say, scale and shift included."""
    inputs = images(200).double()
    model = renewed_statistics(convnet(bias=True).double(), inputs)
    with torch.no_grad():
        model[4].weight[3:] *= -1
        model[4].weight[0] = 0
    whole = intra_fusion(model, {"6": torch.arange(10) > 0}, inputs[:1])
    torch.testing.assert_close(whole[:6](inputs), model[:6](inputs))
    again = renewed_statistics(whole, inputs)
    torch.testing.assert_close(again[:6](inputs), model[:6](inputs), rtol=1e-3, atol=1e-3)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.branch = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head((x + self.branch(x)).relu().mean((2, 3)))


def test_all_layers_of_a_residual_stream_have_one_plan():
    model = alive(Residual()).double()
    twinned(model, model.stem[1], model.stem[0], model.branch[0])
    twinned(model, model.branch[1], model.branch[0], model.head)
    inputs = images(9).double()
    masks = {"stem.0": every_second(6)}
    small = intra_fusion(model, masks, inputs[:1])
    assert small.head.in_features == small.branch[0].in_channels == 3
    torch.testing.assert_close(small(inputs), model(inputs))


def test_a_norm_that_reads_a_sum_keeps_its_numbers_of_the_kept_units():
    model = alive(sl.models.build("preresnet20", sl.data.load("digits"), width=0.25))
    example = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    masks = sl.select(sl.score(model, "magnitude", example=example), 0.5, "layerwise")
    small, cut = intra_fusion(model, masks), sl.shrink(model, masks)
    shapes = [[p.shape for p in network.parameters()] for network in (small, cut)]
    assert shapes[0] == shapes[1]
    names = dict(cut.named_modules())
    same = [
        name
        for name, norm in small.named_modules()
        if isinstance(norm, nn.BatchNorm2d) and torch.equal(norm.weight, names[name].weight)
    ]
    layout = sl.find_groups(model, example)
    norms = [n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert same == [name for name in norms if name not in layout.batch_norms.values()]
    assert 0 < len(same) < len(norms)
    assert small(example).isfinite().all()


def test_columns_behind_a_flatten_and_rows_of_a_transposed_convolution():
    model = nn.Sequential(
        *(nn.ConvTranspose2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(18, 1)),
    )
    model = alive(model).double()
    with torch.no_grad():
        model[4].weight[:, 9:] = model[4].weight[:, :9]
        model[0].weight[:, 1] = model[0].weight[:, 0]
        for tensor in (model[0].bias, *model[1].state_dict().values()):
            if tensor.ndim:
                tensor[1] = tensor[0]
    inputs = gaussian(5, 1, 2, 2)
    small = intra_fusion(model, {"0": kept(0, 1)}, inputs[:1])
    torch.testing.assert_close(small(inputs), model(inputs))


def test_a_norm_without_scale_and_shift():
    model = alive(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4, affine=False), nn.ReLU()))
    model = nn.Sequential(*model, nn.Linear(4, 1)).double().eval()
    with torch.no_grad():
        for tensor in (model[0].weight, model[0].bias, *model[1].state_dict().values()):
            if tensor.ndim:
                tensor[1::2] = tensor[::2]
        model[3].weight[:, 1::2] = model[3].weight[:, ::2]
    inputs = gaussian(9, 2)
    small = intra_fusion(model, {"0": every_second(4)}, inputs[:1])
    torch.testing.assert_close(small(inputs), model(inputs))


def test_as_many_units_go_as_by_prune_and_what_is_left_is_saved(tmp_path):
    model, inputs = convnet(), images(3)
    masks = sl.select(sl.score(model, "magnitude", example=inputs[:1]), 0.4, "layerwise")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small = intra_fusion(model, masks)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    even = sl.prune(model, 0.4, "magnitude", "layerwise", example=inputs[:1])
    shapes = [[p.shape for p in network.parameters()] for network in (small, even)]
    assert shapes[0] == shapes[1]
    sl.save_pruned(small, tmp_path / "small.pt")
    again = sl.load_pruned(convnet, tmp_path / "small.pt")
    assert torch.equal(again(inputs), small(inputs))
    whole = intra_fusion(model, {"0": torch.ones(6, dtype=torch.bool)}, inputs[:1])
    torch.testing.assert_close(whole(inputs), model(inputs))


def test_what_it_was_not_made_for_is_refused_by_name():
    model, x = torch_transformer()
    masks = sl.select(sl.score(model, "magnitude", example=x), 0.5, "layerwise")
    with pytest.raises(sl.PruningError, match=r"in_proj' are heads of attention.*by gram"):
        intra_fusion(model, {name: masks[name] for name in masks if "in_proj" in name}, x)
    inner = {name: mask for name, mask in masks.items() if "linear1" in name}
    assert intra_fusion(model, inner, x)(x).shape == model(x).shape
    parts = [nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 2, 1)]
    with pytest.raises(sl.PruningError, match="group '0' are tied to '1'"):
        intra_fusion(nn.Sequential(*parts), {"0": kept(1, 1, 0, 0)}, images(1))
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    parts = [nn.Conv2d(3, 4, 1), norm, nn.ReLU(), nn.Conv2d(4, 2, 1)]
    with pytest.raises(sl.PruningError, match=r"tied to '1'.*running statistics"):
        intra_fusion(nn.Sequential(*parts), {"0": kept(1, 1, 0, 0)}, images(1))


def test_bad_input_is_refused():
    model, example = convnet(), images(1)
    masks = {"0": kept(1, 0, 1, 1, 1, 1)}
    for importance, message in (
        ({}, "vector of 6 numbers.*missing"),
        ({"0": torch.ones(5)}, r"not \(5,\)"),
        ({"0": torch.zeros(6)}, "above 0"),
        ({"0": torch.full((6,), torch.inf)}, "above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            intra_fusion(model, masks, example, importance)
    with pytest.raises(ValueError, match="formula"):
        intra_fusion(model, masks, example, formula="paper")
    with pytest.raises(ValueError, match="pass example="):
        intra_fusion(model, masks)
    with pytest.raises(ValueError, match="leaves no unit"):
        intra_fusion(model, {"0": torch.zeros(6, dtype=torch.bool)}, example)
    with pytest.raises(ValueError, match="should be 2 in all"):
        transport(torch.ones(2, 1), torch.ones(1))
    with pytest.raises(sl.PruningError, match="no plan"):
        transport(torch.ones(2, 2), doubles([3.0, -1.0]))
    with torch.no_grad():
        model[0].weight[0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        intra_fusion(model, masks, example)


def test_networks_on_another_device_stay_there():
    model, inputs = convnet(bias=True), images(3)
    masks = sl.select(sl.score(model, "magnitude", example=inputs[:1]), 0.5, "layerwise")
    here = intra_fusion(model, masks)
    with device():
        there = intra_fusion(copy.deepcopy(model).to(DEVICE), masks)
        assert all(tensor.device == DEVICE for tensor in there.state_dict().values())
        torch.testing.assert_close(there(inputs.to(DEVICE)).cpu(), here(inputs))
