"""A smaller network that is equal to a network all over a box."""

import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from networks import network, random_network, torchvision_model
from specialised import boxed, outcome
from torch import nn

import splinelib as sl

X = torch.tensor([[0.3, -0.2]])


def box_around(x, radius):
    return x - radius, x + radius


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(boxed())
def test_no_random_network_differs_by_more_than_its_slack(drawn):
    assert not outcome(*drawn).get("wrong")


def test_by_hand():
    """One unit off, one on, one undecided; the one that is on stays, and the biases are right."""
    net = network([([[1.0], [-1.0], [1.0]], [0.0, 0.0, -1.0]), ([[1.0, 1.0, 1.0]], [0.5])])
    net = net.float()
    local = sl.specialise(net, (torch.tensor([0.5]), torch.tensor([2.0])))
    (layer,) = local.layers
    assert (layer.units, layer.on, layer.off, layer.undecided) == (3, 1, 1, 1)
    assert (layer.removed, layer.merged, layer.left) == (1, 0, 2)
    assert local.model[0].weight.shape == (2, 1)
    assert local(torch.tensor([[2.0]])).item() == pytest.approx(3.5, abs=1e-6)
    # outside of the box nothing is promised: the unit that was off is missing
    outside = torch.tensor([[-3.0]])
    assert net(outside).item() == pytest.approx(3.5) and local(outside).item() == 0.5


def test_units_that_are_on_are_as_many_as_their_map_has_dimensions():
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 3))
    with torch.no_grad():
        net[0].weight.normal_(0, 0.1, generator=generator)
        net[0].bias.fill_(5.0)
    x = torch.rand(200, 5, generator=generator)
    local = sl.specialise(net, (torch.zeros(1, 5), torch.ones(1, 5)))
    assert local.left == 3 and local.layers[0].merged == 37
    with torch.no_grad():
        assert float((local(x) - net(x)).abs().max()) <= local.slack < 1e-3


@pytest.mark.parametrize("sizes", [(2, 16, 16, 16, 5), (6, 20, 3, 20, 4), (4, 9, 9, 1)])
def test_a_point_leaves_the_affine_map_of_its_region_and_its_rank(sizes):
    net = sl.models.mlp(list(sizes), seed=1).double()
    x = torch.randn(1, sizes[0], generator=torch.Generator().manual_seed(1)).double()
    local = sl.specialise(net, (x, x))
    wanted, found = sl.affine_map(net, x), sl.affine_map(local.model, x)
    for one, two in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)
    rank = int(torch.linalg.matrix_rank(wanted[0]))
    assert {layer.left for layer in local.layers} == {max(1, rank)}


def test_a_layer_that_is_off_leaves_a_constant_and_one_unit():
    net = random_network([6, 6])
    with torch.no_grad():
        net[2].bias.fill_(-50.0)
    local = sl.specialise(net, box_around(X, 0.1))
    assert [layer.left for layer in local.layers] == [1, 1]
    torch.testing.assert_close(local(X), net(X))


def test_a_saturated_unit_goes_into_a_bias_that_was_not_there():
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU6(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[0].weight[:], net[0].bias[:] = torch.tensor([[1.0], [1.0]]), torch.tensor([9.0, 1.0])
        net[2].weight[:] = torch.tensor([[2.0, 1.0]])
    local = sl.specialise(net, (torch.tensor([0.0]), torch.tensor([1.0])))
    assert local.model[2].bias.item() == pytest.approx(12.0)
    assert local.layers[0].off == local.layers[0].removed == 1


def test_slopes_of_a_prelu_stay_with_their_units():
    net = nn.Sequential(nn.Linear(2, 4), nn.PReLU(4), nn.Linear(4, 9)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        net[1].weight[:] = torch.tensor([0.1, 0.0, 0.3, 0.4])
        net[0].weight.normal_(generator=generator)
        net[0].bias[:] = torch.tensor([0.0, -30.0, 30.0, -30.0])
        net[2].weight.normal_(generator=generator)
    box = box_around(X.double(), 1.0)
    local = sl.specialise(net, box)
    assert (local.layers[0].off, local.layers[0].on, local.layers[0].left) == (1, 2, 3)
    assert local.model[1].weight.tolist() == pytest.approx([0.1, 0.3, 0.4])
    x = X.double() + 2 * torch.rand(100, 2, generator=generator) - 1
    with torch.no_grad():
        assert float((local(x) - net(x)).abs().max()) <= local.slack


def test_convolutions_lose_channels_that_are_off_everywhere_and_no_others():
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)),
    ).eval()
    with torch.no_grad():
        net[1].bias[:] = torch.tensor([-30.0, 30.0, 0.0, -30.0])
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    local = sl.specialise(net, box_around(x, 0.05))
    first = local.layers[0]
    assert 2 <= first.off == first.removed and first.merged == 0 and first.on >= 1
    with torch.no_grad():
        assert float((local(x) - net(x)).abs().max()) <= local.slack


def test_channels_of_a_residual_stream_go_only_if_nobody_reads_anything_of_them():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.block = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1)
            self.head = nn.Linear(3, 2)

        def forward(self, x):
            x = self.stem(x).relu()
            return self.head((x + self.block(x)).relu().mean((2, 3)))

    net, x = Net(), torch.zeros(1, 1, 2, 2)
    with torch.no_grad():
        net.stem.bias[:] = torch.tensor([-30.0, -30.0, 1.0])
        net.block.bias[:] = torch.tensor([-30.0, 30.0, 1.0])
    local = sl.specialise(net, box_around(x, 0.05))
    assert [layer.left for layer in local.layers] == [2, 2]
    torch.testing.assert_close(local(x), net(x))


def test_it_can_be_saved_and_bounded(tmp_path):
    net = sl.models.mlp([2, 16, 16, 2], seed=0)
    box = box_around(X, 0.05)
    local = sl.specialise(net, box)
    sl.save_pruned(local.model, tmp_path / "local.pt")
    again = sl.load_pruned(lambda: sl.models.mlp([2, 16, 16, 2]), tmp_path / "local.pt")
    assert torch.equal(again(X), local(X))
    assert sl.pruning_bound(net, local.model, box).largest < 1


def test_the_model_is_left_as_it_was():
    net = random_network([8, 8]).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    local = sl.specialise(net, box_around(X, 0.1))
    assert net.training and local.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    with torch.no_grad():
        local.model[0].weight.zero_()
    assert torch.equal(net[0].weight, before["0.weight"])


@pytest.mark.filterwarnings("ignore")
def test_resnet18_of_torchvision_in_a_tiny_box():
    net = torchvision_model("resnet18").eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # a random ResNet-18 has hardly a channel that is off everywhere
        net.layer1[0].bn1.bias[:7] = -50.0
    local = sl.specialise(net, box_around(x, 1e-6))
    assert local.layers[1].removed >= 7
    near = x + 1e-6 * (2 * torch.rand(4, *x.shape[1:]) - 1)
    with torch.no_grad():
        torch.testing.assert_close(local(near), net(near), rtol=1e-4, atol=1e-4)


def test_what_is_no_box_of_the_network_is_refused():
    net = random_network([8, 8])
    for box, words in [
        ((X, X[:, :1]), "same"),
        ((X + 1, X), "above"),
        ((X, X + torch.inf), "infinite"),
        ((X[:0], X[:0]), "empty"),
        ((torch.zeros(1, 3), torch.ones(1, 3)), "does not take"),
        ((X.expand(2, -1), X.expand(2, -1)), "2 boxes"),
        ((X.double() - 1e308, X.double() + 7e307), "overflow"),
    ]:
        with pytest.raises(ValueError, match=words):
            sl.specialise(net.double(), box)
    with pytest.raises(TypeError, match="two tensors"):
        sl.specialise(net, X)
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        sl.specialise(net.state_dict(), box_around(X, 0.1))
    with torch.no_grad():
        net[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        sl.specialise(net, box_around(X, 0.1))
    smooth = random_network([6], activation=nn.GELU)
    with pytest.raises(sl.NotPiecewiseAffine, match="'1'"):
        sl.specialise(smooth, box_around(X, 0.1))
    with pytest.raises(sl.PruningError), warnings.catch_warnings():
        sl.specialise(nn.Sequential(nn.Linear(2, 2)), box_around(X, 0.1))


def test_a_layer_loses_outputs_that_are_always_zero_though_no_activation_is_behind_it():
    """How far rounding may have taken them was of another length: these raised RuntimeError."""
    net = nn.Sequential(
        nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 3, bias=False), nn.Linear(3, 2), nn.ReLU()
    )
    net.append(nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [-2.0]]))
        net[0].bias.zero_()
        net[2].weight[1] = 0
    local = sl.specialise(net, box_around(torch.tensor([[1.5]]), 0.5))
    assert local.model[2].weight.shape == (2, 1)
    x = torch.linspace(1, 2, 50)[:, None]
    with torch.no_grad():
        assert float((local(x) - net(x)).abs().max()) <= local.slack < 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_a_residual_stream_is_cut_where_it_is_read_by_pairs_as_well(seed):
    torch.manual_seed(seed)
    net = Stream().eval()
    x = torch.randn(1, 3)
    local = sl.specialise(net, box_around(x, 0.05))
    assert local.model.a.out_features < 8
    inputs = x + 0.05 * (2 * torch.rand(200, 3) - 1)
    with torch.no_grad():
        assert float((local(inputs) - net(inputs)).abs().max()) <= local.slack < 1e-4


class Stream(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 8), nn.Linear(8, 7), nn.Linear(7, 8)
        self.d = nn.Linear(8, 2)
        with torch.no_grad():  # what the branch adds is off where the stream is
            for layer in (self.a, self.c):
                layer.weight[:2], layer.bias[:2] = 0, -1

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.d(torch.relu(h + self.c(torch.relu(self.b(h)))))
