"""What a layer read is rebuilt by Gram matrices."""

import pytest
import torch
from networks import alive, convnet, gaussian, images, torch_transformer
from torch import nn

import splinelib as sl
from splinelib.rivals import gram


def even(model, data, ratio=0.5):
    return sl.select(sl.score(model, "magnitude", example=data[:1]), ratio, "layerwise")


@pytest.mark.parametrize("scale", [1e-10, 1.0])
def test_two_units_in_closed_form(scale):
    """Of two units one stays: B is g_11 and g_12, both over g_11 (1 + ridge)."""
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    data = gaussian(50, 3)
    with torch.no_grad():
        for weight in model[0].parameters():
            weight *= scale
        model[2].weight /= scale
    masks = {"0": torch.tensor([True, False])}
    read = model[:2](data).detach()
    own, both = (read[:, 0] ** 2).sum(), (read[:, 0] * read[:, 1]).sum()
    one, two = model[2].weight.detach()[0]
    for ridge in (1e-3, 0.5):
        small = gram(model, masks, data, ridge)
        expected = (one * own + two * both) / (own * (1 + ridge))
        torch.testing.assert_close(small[2].weight.detach().squeeze(), expected)
        assert torch.equal(small[2].bias, model[2].bias)
    torch.testing.assert_close(
        gram(model, masks, data)[2].weight.detach().squeeze(),
        (one * own + two * both) / (own * 1.001),
    )


def test_positions_of_a_convolution_share_one_combination():
    """By hand: over all inputs and positions, and the same for all taps of a kernel."""
    model, data = convnet(norm=False).double(), images(5).double()
    masks = {"0": torch.tensor([True, True, False, True, True, False])}
    read = model[:2](data).detach().movedim(1, -1).reshape(-1, 6)
    total, stay = read.T @ read, [0, 1, 3, 4]
    some = total[stay][:, stay]
    back = total[:, stay] @ (some + 1e-3 * some.diagonal().mean() * torch.eye(4)).inverse()
    small = gram(model, masks, data)
    expected = torch.einsum("ohxy,hk->okxy", model[2].weight.detach(), back)
    torch.testing.assert_close(small[2].weight.detach(), expected)


def test_what_others_say_exactly_is_rebuilt_without_a_trace():
    model, data = convnet(norm=False).double(), images(9).double()
    with torch.no_grad():
        model[0].weight[4:] = 2 * model[0].weight[:2]
    masks = {"0": torch.tensor([True] * 4 + [False] * 2)}
    torch.testing.assert_close(gram(model, masks, data, 1e-12)(data), model(data))


def test_a_residual_stream_is_rebuilt_in_all_that_read_it():
    digits = sl.data.load("digits")
    model = alive(sl.models.build("preresnet20", digits, width=0.25))
    data = digits.to_float(digits.train_images[:64])
    masks = even(model, data, 0.25)
    wanted = model(data)
    errors = [
        (small(data) - wanted).norm()
        for small in (gram(model, masks, data), sl.shrink(model, masks))
    ]
    assert errors[0] < 0.8 * errors[1]


class Scaled(nn.Linear):
    def forward(self, x):
        return super().forward(x) / 2


def test_layers_of_their_own_are_left_as_they_were_cut():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), Scaled(4, 1))
    data = torch.randn(30, 2)
    masks = even(model, data)
    with pytest.warns(UserWarning, match="not rebuilt"):
        small = gram(model, masks, data)
    assert torch.equal(small[2].weight, sl.shrink(model, masks)[2].weight)


def test_convolutions_in_blocks_are_named_as_such():
    layers = [nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Conv2d(8, 2, 1))
    masks, data = even(model, images(20)), images(20)
    with pytest.warns(UserWarning, match=r"layers \['2'\] are convolutions in several blocks"):
        small = gram(model, masks, data)
    plain = sl.shrink(model, masks, data[:1])
    assert torch.equal(small[2].weight, plain[2].weight)
    assert not torch.equal(small[4].weight, plain[4].weight)


def test_silent_units_and_bad_requests():
    model, data = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)), torch.randn(30, 2)
    masks = even(model, data)
    with pytest.raises(ValueError, match="at least 0"):
        gram(model, masks, data, -1.0)
    with pytest.raises(ValueError, match="NaN"):
        gram(model, masks, data / 0)
    with torch.no_grad():
        model[0].weight.zero_(), model[0].bias.fill_(-1)
    small = gram(model, masks, data)
    torch.testing.assert_close(small(data), model(data))
    whole = gram(model, {"0": torch.ones(4, dtype=torch.bool)}, data)
    assert torch.equal(whole(data), model(data))


def test_attention_of_torch_is_cut_by_its_heads():
    model, x = torch_transformer()
    masks = sl.select(sl.score(model, "magnitude", example=x), 0.5, "layerwise")
    names = list(model.state_dict())
    with torch.no_grad():
        assert gram(model, masks, x)(x).shape == model(x).shape
    assert list(model.state_dict()) == names
