"""The affine map of a region is the network, everywhere in that region."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import Odd, randomised
from torch import nn

import splinelib as sl


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0", "mobilenet_v2"])
def test_torchvision_networks(name):
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None, num_classes=4)
    model = randomised(model).double()
    x = torch.rand(3, 32, 32, dtype=torch.float64)
    A, b = sl.affine_map(model, x)
    assert A.shape == (4, x.numel())
    assert model.training
    model.eval()
    near = x + 1e-9 * torch.randn(x.shape, dtype=torch.float64)
    inputs = torch.stack([x, near])
    codes = sl.region_codes(model, inputs)
    assert codes.count_regions() == 1
    with torch.no_grad():
        torch.testing.assert_close(A @ inputs.flatten(1).T + b[:, None], model(inputs).T)


def test_the_map_holds_on_the_whole_region():
    model = Odd().double().eval()
    part = sl.partition(model)
    for region in (0, len(part) // 2, len(part) - 1):
        A, b = sl.affine_map(model, torch.from_numpy(part.centroids[region]))
        corners = torch.from_numpy(part.vertices[part.regions[region]])
        with torch.no_grad():  # continuity takes it to the corners
            torch.testing.assert_close(corners @ A.T + b, model(corners), rtol=0, atol=1e-9)


def test_on_a_kink_the_unit_counts_as_off():
    class Net(nn.Module):
        def forward(self, x):
            return torch.cat([x.relu(), x.abs(), nn.functional.hardtanh(x)], 1)

    A, b = sl.affine_map(Net(), torch.tensor([0.0]))
    assert A.flatten().tolist() == [0, -1, 1]
    A, b = sl.affine_map(Net(), torch.tensor([-1.0]))
    assert (A.flatten().tolist(), b.tolist()) == ([0, -1, 0], [0, 0, -1])


def test_grad_mode_and_parameters_do_not_matter():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        A, _ = sl.affine_map(model, torch.ones(1, 2))
    assert A.shape == (2, 2)
    assert not A.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_bad_input():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="does not take one input"):
        sl.affine_map(model, torch.ones(3))
    with pytest.raises(ValueError, match="NaN"):
        sl.affine_map(model, torch.tensor([torch.nan, 0]))
    with pytest.raises(TypeError, match="floating point"):
        sl.affine_map(model, torch.ones(2, dtype=torch.long))


def test_where_equal_values_share_the_largest_the_map_is_that_of_one_region():
    """On a uniform image all windows of a convolution are equal, and `amax` takes any of them."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 3, 2).double()

    class Largest(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.convolution, self.function = convolution, function

        def forward(self, x):
            return self.function(self.convolution(x))

    x = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    expected, offset = sl.affine_map(Largest(lambda h: F.adaptive_max_pool2d(h, 1).flatten(1)), x)
    A, b = sl.affine_map(Largest(lambda h: h.amax((2, 3))), x)
    torch.testing.assert_close(A, expected)
    torch.testing.assert_close(b, offset)
    assert (A.abs() > 0).sum(1).tolist() == [4, 4, 4]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_may_come_without_a_batch_though_it_has_one_channel(channels):
    """A convolution takes it as it is, and behind `flatten(2)` a channel would be an input."""
    torch.manual_seed(0)

    class Largest(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.out = nn.Conv2d(channels, 4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return self.out(F.relu(self.convolution(x)).flatten(2).max(2)[0])

    model, x = Largest().double(), torch.randn(channels, 5, 5, dtype=torch.float64)
    A, b = sl.affine_map(model, x)
    assert A.shape == (2, x.numel())
    torch.testing.assert_close(A @ x.flatten() + b, model(x[None])[0])
    torch.testing.assert_close(A, sl.affine_map(model, x[None])[0])
