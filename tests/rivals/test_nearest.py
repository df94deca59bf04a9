"""Dropped units are given to the kept unit that is most like them."""

import pytest
import torch
from networks import alive, convnet, gaussian, images, torch_transformer
from torch import nn

import splinelib as sl
from splinelib.rivals import neuron_merging


def kept(*stays):
    return torch.tensor([bool(flag) for flag in stays])


def filled(values, like):
    like.data.copy_(torch.tensor(values, dtype=like.dtype))


def test_a_unit_goes_to_the_largest_cosine_times_the_ratio_of_lengths():
    """By hand, bias included: unit 2 is (0, 2, 2), nearest to unit 1, (0, 1, 0) and no bias."""
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)).double()
    filled([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [-1.0, -1.0]], model[0].weight)
    filled([-1.0, 0.0, 2.0, 0.0], model[0].bias)
    filled([[1.0, 10.0, 100.0, 1000.0]], model[2].weight)
    small = neuron_merging(model, {"0": kept(1, 1, 0, 0)}, gaussian(1, 2))
    # cosine 2 / sqrt 8 = 0.71 is enough, and the last unit has none above 0.45: it is dropped
    expected = torch.tensor([[1.0, 10 + 8**0.5 * 100]], dtype=torch.float64)
    torch.testing.assert_close(small[2].weight, expected)
    assert torch.equal(small[0].weight, model[0].weight[:2])


def parallel():
    """A convolution whose channel 1 is 2.5 times channel 0, behind a batch norm too: B is 0."""
    model = convnet(bias=True).double()
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = 2.5 * model[0].weight[0], 0.3
        norm = model[1]
        norm.running_var[1] = 1.7
        # what channel 1 says is 0.8 times what channel 0 says
        slope = [norm.weight[i] / (norm.running_var[i] + norm.eps).sqrt() for i in (0, 1)]
        norm.weight[1] *= 0.8 * slope[0] / (2.5 * slope[1])
        slope[1] = norm.weight[1] / (norm.running_var[1] + norm.eps).sqrt()
        norm.running_mean[1] = 2.5 * (norm.running_mean[0] - model[0].bias[0]) + 0.3
        norm.bias[1] = 0.8 * norm.bias[0]
    return model


def test_parallel_channels_merge_without_a_trace_behind_a_batch_norm():
    model, inputs = parallel(), images(20).double()
    stays = kept(1, 0, 1, 1, 1, 1)
    small = neuron_merging(model, {"0": stays}, inputs[:1])
    torch.testing.assert_close(small(inputs), model(inputs))
    together = model[3].weight[:, 0] + 0.8 * model[3].weight[:, 1]
    torch.testing.assert_close(small[3].weight[:, 0], together)
    cut = sl.shrink(model, {"0": stays}, inputs[:1])
    assert not torch.allclose(cut(inputs), model(inputs))


def test_the_constant_that_is_lost_decides_between_equal_filters():
    """Both kept filters are parallel to the one that goes; one of them would lose a constant."""
    model = nn.Sequential(
        nn.Conv1d(1, 3, 1, bias=False), nn.BatchNorm1d(3), nn.ReLU(), nn.Conv1d(3, 1, 1, bias=False)
    ).eval()
    filled([[[1.0]], [[1.0]], [[1.0]]], model[0].weight)
    filled([1.0, 0.0, 0.0], model[1].bias)
    filled([[[1.0], [10.0], [100.0]]], model[3].weight)
    small = neuron_merging(model, {"0": kept(1, 1, 0)}, torch.zeros(1, 1, 4))
    assert small[3].weight.flatten().tolist() == [1.0, 110.0]


def test_the_formula_of_the_code():
    """By hand: s = 2; gamma 3 and 6, variance 4 and 8, the dropped unit second."""
    model = nn.Sequential(
        nn.Conv1d(1, 2, 1, bias=False), nn.BatchNorm1d(2), nn.ReLU(), nn.Conv1d(2, 1, 1, bias=False)
    ).eval()
    filled([[[1.0]], [[2.0]]], model[0].weight)
    filled([3.0, 6.0], model[1].weight)
    filled([4.0, 8.0], model[1].running_var)
    filled([[[1.0], [10.0]]], model[3].weight)
    for formula, scale in (
        ("code", 2 * (3 / 6) * (8 / 4)),
        ("exact", 2 * (6 / 3) * (4 / 8) ** 0.5),
    ):
        small = neuron_merging(model, {"0": kept(1, 0)}, torch.zeros(1, 1, 4), formula)
        assert small[3].weight.item() == pytest.approx(1 + 10 * scale, rel=1e-4)


def test_what_a_relu_does_not_pass_on_is_no_candidate():
    model = parallel()
    with torch.no_grad():
        model[1].weight[1] *= -1
        model[0].weight[2:] = 0  # no direction
        model[1].weight[5] = 0
    small = neuron_merging(model, {"0": kept(1, 0, 1, 1, 1, 1)}, images(1).double())
    assert torch.equal(small[3].weight, model[3].weight[:, [0, 2, 3, 4, 5]])
    assert all(tensor.isfinite().all() for tensor in small.parameters())


def test_a_residual_stream_is_only_dropped_and_said_to_be():
    model = alive(sl.models.build("preresnet20", sl.data.load("digits"), width=0.25))
    example = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    masks = sl.select(sl.score(model, "magnitude", example=example), 0.5, "layerwise")
    with pytest.warns(UserWarning, match="dropped, not merged"):
        small = neuron_merging(model, masks)
    cut = sl.shrink(model, masks)
    assert [p.shape for p in small.parameters()] == [p.shape for p in cut.parameters()]
    assert not torch.equal(small(example), cut(example))  # the inner layers are merged


def test_units_of_several_rows_are_only_dropped():
    model = nn.Sequential(nn.Conv2d(1, 12, 1), nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(3, 1, 1))
    masks, example = {"0": kept(1, 0, 1)}, torch.randn(1, 1, 2, 2)
    with pytest.warns(UserWarning, match="dropped, not merged"):
        small = neuron_merging(model, masks, example)
    assert torch.equal(small(example), sl.shrink(model, masks, example)(example))


def test_nothing_changes_where_nothing_goes_and_bad_masks_are_refused():
    model, example = convnet(), images(3)
    same = neuron_merging(model, {"0": torch.ones(6, dtype=torch.bool)}, example)
    assert torch.equal(same(example), model(example))
    with pytest.raises(ValueError, match="pass example="):
        neuron_merging(model, {"0": kept(1, 0, 1, 1, 1, 1)})
    with pytest.raises(ValueError, match="formula"):
        neuron_merging(model, {"0": kept(1, 0, 1, 1, 1, 1)}, example, "paper")
    with pytest.raises(ValueError, match="leaves no unit"):
        neuron_merging(model, {"0": torch.zeros(6, dtype=torch.bool)}, example)


def test_attention_of_torch_is_cut_by_its_heads():
    model, x = torch_transformer()
    masks = sl.select(sl.score(model, "magnitude", example=x), 0.5, "layerwise")
    names = list(model.state_dict())
    with torch.no_grad():
        assert neuron_merging(model, masks)(x).shape == model(x).shape
    assert list(model.state_dict()) == names
