"""Clusters of units fold into their means."""

import pytest
import torch
from networks import alive, convnet, gaussian, images, torch_transformer
from torch import nn

import splinelib as sl
from splinelib.rivals import folding


def layer(weight, bias=None):
    weight = torch.tensor(weight, dtype=torch.float64)
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None).double()
    made.weight.data.copy_(weight)
    if bias is not None:
        made.bias.data.copy_(torch.tensor(bias))
    return made


def test_a_cluster_has_the_mean_of_its_rows_and_the_sum_of_its_columns():
    """By hand: units 0 and 1 are close, 2 is far; 0 and 1 fold."""
    model = nn.Sequential(
        layer([[1.0, 0.0], [1.2, 0.0], [0.0, 9.0]], [0.5, 0.7, 0.0]),
        nn.ReLU(),
        layer([[1.0, 1.1, 3.0], [0.0, 0.2, 1.0]]),
    )
    small = folding(model, 1 / 3, gaussian(1, 2))
    torch.testing.assert_close(
        small[0].weight, gaussian(2, 2).copy_(torch.tensor([[1.1, 0], [0, 9]]))
    )
    torch.testing.assert_close(small[0].bias, torch.tensor([0.6, 0.0], dtype=torch.float64))
    expected = torch.tensor([[2.1, 3.0], [0.2, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(small[2].weight, expected)


def test_batch_norms_have_the_means_of_all_that_they_hold():
    model = nn.Sequential(
        nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1, bias=False)
    ).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.0, 9.0], [1.0, 0.0], [1.0, 0.0]]))
        model[0].bias.zero_()
        model[1].weight.copy_(torch.tensor([5.0, 1.0, 2.0]))
        model[1].bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
        model[1].running_mean.copy_(torch.tensor([7.0, 2.0, 4.0]))
        model[1].running_var.copy_(torch.tensor([9.0, 4.0, 6.0]))
    norm = folding(model, 1 / 3, torch.zeros(1, 2))[1]
    assert norm.weight.tolist() == [5.0, 1.5] and norm.bias.tolist() == [0.0, 2.0]
    assert norm.running_mean.tolist() == [7.0, 3.0] and norm.running_var.tolist() == [9.0, 5.0]


def twinned(model, norm, first, reader):
    """Every second channel of a layer made the twin of the one before."""
    with torch.no_grad():
        for tensor in (first.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor[1::2] = tensor[::2]
        reader.weight[:, 1::2] = reader.weight[:, ::2]
    return model


def test_twins_fold_without_a_trace():
    model = convnet().double()
    twinned(model, model[1], model[0], model[3])
    twinned(model, model[4], model[3], model[6])
    twinned(model, model[7], model[6], model[11])
    small = folding(model, 0.5, images(1).double())
    assert [len(small[i].weight) for i in (0, 3, 6)] == [3, 4, 5]
    torch.testing.assert_close(small(images(9).double()), model(images(9).double()))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.branch = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head((x + self.branch(x)).relu().mean((2, 3)))


def test_twins_of_a_residual_stream_fold_without_a_trace():
    model = alive(Residual()).double()
    twinned(model, model.stem[1], model.stem[0], model.branch[0])
    twinned(model, model.branch[1], model.branch[0], model.head)
    small = folding(model, 0.5, images(1).double())
    assert small.head.in_features == small.branch[0].in_channels == 3
    torch.testing.assert_close(small(images(9).double()), model(images(9).double()))


def test_columns_behind_a_flatten_belong_to_their_channel():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)).double()
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = model[0].weight[0], model[0].bias[0]
    inputs = gaussian(5, 1, 2, 2)
    torch.testing.assert_close(folding(model, 0.5, inputs[:1])(inputs), model(inputs))


def test_with_fewer_points_than_clusters_equal_units_stay_apart():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)).double()
    with torch.no_grad():
        for tensor in (model[0].weight, model[0].bias, model[2].weight.T):
            tensor[1:] = tensor[0]
    small, inputs = folding(model, 0.25, gaussian(1, 2)), gaussian(20, 2)
    assert small[0].out_features == 3
    torch.testing.assert_close(small(inputs), model(inputs))


def test_as_many_units_go_as_layerwise_and_nothing_at_nought(tmp_path):
    model = convnet()
    small = folding(model, 0.4, images(1), seed=1)
    even = sl.prune(model, 0.4, "magnitude", "layerwise", example=images(1))
    shapes = [[p.shape for p in m.parameters()] for m in (small, even)]
    assert shapes[0] == shapes[1]
    with pytest.warns(UserWarning, match="nothing goes"):
        whole = folding(model, 0.01, images(1))
    torch.testing.assert_close(whole(images(3)), model(images(3)))
    sl.save_pruned(small, tmp_path / "small.pt")
    again = sl.load_pruned(convnet, tmp_path / "small.pt")
    assert torch.equal(again(images(3)), small(images(3)))
    with pytest.raises(ValueError, match="ratio"):
        folding(model, 1.0, images(1))
    with pytest.raises(ValueError, match="ratio"):
        folding(model, 0.99, images(1))


def test_heads_of_attention_are_refused():
    model, x = torch_transformer()
    with pytest.raises(sl.PruningError, match=r"self_attention.in_proj'\] are heads of attention"):
        folding(model, 0.5, x)
    assert type(model.encoder.layers[0].self_attention) is nn.MultiheadAttention
