"""Region codes against the pre-activations that they are the signs of."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import example, given, settings
from hypothesis import strategies as st
from networks import TORCHVISION, Calling, pre_activations, randomised, small, torchvision_model
from torch import nn

import splinelib as sl


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request):
    """Where models and inputs live; every property holds on each."""
    return torch.device(request.param)


@pytest.mark.parametrize("name", TORCHVISION)
def test_codes_are_the_signs_of_the_pre_activations(name, device):
    model = randomised(torchvision_model(name)).eval().double().to(device)
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64, device=device)
    codes = sl.region_codes(model, x, batch_size=2)
    kinds = {layer.name: layer.kind for layer in sl.spline_layers(model, x)}
    with torch.no_grad():
        pre = pre_activations(model, x)
    for (layer, shape), z in zip(codes.layers.items(), pre, strict=True):
        bits, z = codes.unpack(layer), z.cpu()
        assert bits.dtype == torch.bool
        assert bits.shape == (3, *shape)
        if kinds[layer] == "relu":
            assert torch.equal(bits, z > 0)
        elif kinds[layer] == "hardtanh":
            assert torch.equal(bits, torch.stack([z > 0, z > 6], 1))


@settings(max_examples=60, deadline=None)
@given(
    *(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2), st.booleans()),
    st.sampled_from([7, 8, 10]),
)
@example(2, 2, 0, 1, False, 8)  # the usual pooling, over a power of two, an even, an odd width
@example(2, 2, 0, 1, False, 10)
@example(2, 2, 0, 1, True, 7)
def test_max_pool_bits_are_the_index_of_the_winner(kernel, stride, padding, dilation, ceil, wide):
    padding = min(padding, kernel // 2)
    x = torch.rand(2, 2, 9, wide, generator=torch.Generator().manual_seed(kernel))
    x = (x * 4).floor()  # many ties
    pool = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil)
    codes = sl.region_codes(pool, x)
    (layer,) = codes.layers
    bits = codes.unpack(layer).long()
    index = (bits * (2 ** torch.arange(bits.shape[1])).reshape(-1, 1, 1, 1)).sum(1)
    reach = F.pad(x, [9] * 4, value=-torch.inf)
    out = pool(x)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            row = i * stride - padding + index[:, :, i, j] // kernel * dilation + 9
            column = j * stride - padding + index[:, :, i, j] % kernel * dilation + 9
            n, c = torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")
            assert torch.equal(reach[n, c, row, column], out[:, :, i, j])


def test_adaptive_max_pool_and_functions():
    x = torch.rand(2, 3, 7, 5)
    codes = sl.region_codes(nn.AdaptiveMaxPool2d((3, 2)), x)
    assert codes.layers == {next(iter(codes.layers)): (4, 3, 3, 2)}  # windows of up to 3 x 3


def test_pooling_gives_values_indices_or_both(device):
    """A pooling that is asked for its indices goes on getting them."""

    class Both(nn.Module):
        def forward(self, x):
            value, index = F.max_pool2d(x, 2, return_indices=True)
            return F.max_pool2d(value, 2), index

    x = torch.rand(3, 2, 8, 8, device=device)
    codes = sl.region_codes(Both(), x)
    both = nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2))
    assert list(codes.layers.values()) == [(2, 2, 4, 4), (2, 2, 2, 2)]
    expected = sl.region_codes(both, x)
    for mine, other in zip(codes.layers, expected.layers, strict=True):
        assert torch.equal(codes.unpack(mine), expected.unpack(other))


def test_batches_arrays_and_streams_give_the_same_codes(tmp_path, device):
    model, x = small().to(device), torch.rand(11, 1, 8, 8)
    codes = sl.region_codes(model, x.to(device))
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=4)
    wide = small().to(device, memory_format=torch.channels_last)
    for other in (
        sl.region_codes(model, x, batch_size=3),
        sl.region_codes(model, mapped, batch_size=5),
        sl.region_codes(model, loader),
        sl.region_codes(wide, x, batch_size=1),
    ):
        assert codes.distance(other) == 0
        assert len(other) == 11
    rows = sl.region_codes(model, x[[3, 7]])
    assert codes[[3, 7]].distance(rows) == 0
    with pytest.raises(ValueError, match="different inputs"):
        codes[[3, 6]].distance(rows)


def test_bfloat16_flips_bits_near_zero_only(device):
    """What half the bits of a number do to the code, and to the distance of two epochs."""
    torch.manual_seed(0)
    x = torch.randn(64, 3, 32, 32, device=device)
    epochs = [randomised(sl.models.vgg16(10, width=0.125)).eval().to(device) for _ in range(2)]
    exact = [sl.region_codes(m, x) for m in epochs]
    short = [sl.region_codes(m, x, autocast=torch.bfloat16) for m in epochs]
    flipped = [a.distance(b) for a, b in zip(exact, short, strict=True)]
    assert 0 < max(flipped) < 0.02
    # the Hamming distance is a metric: rounding moves it by no more than what flipped
    moved = abs(exact[0].distance(exact[1]) - short[0].distance(short[1]))
    assert moved <= sum(flipped) + 1e-12
    # where a bit of the first layer flipped, the pre-activation was within rounding of zero
    name = next(iter(exact[0].layers))
    changed = exact[0].unpack(name) ^ short[0].unpack(name)
    with torch.no_grad():
        z = pre_activations(epochs[0], x)[0].cpu()
    assert changed.any()
    assert z[changed].abs().max() < 0.05 * z.abs().mean()
    with pytest.raises(TypeError, match="autocast"):
        sl.region_codes(epochs[0], x, autocast=torch.int8)


def test_a_code_costs_one_bit_per_unit_and_the_model_is_untouched():
    model = small()
    model.train()
    model[1].eval()  # an odd mix of modes comes back as it was
    state = {n: t.clone() for n, t in model.state_dict().items()}
    codes = sl.region_codes(model, torch.rand(64, 1, 8, 8))
    units = sum(int(np.prod(s)) for s in codes.layers.values())
    assert codes.nbytes <= 64 * (units / 8 + 8 * len(codes.layers))
    assert model.training
    assert not model[1].training
    assert all(torch.equal(state[n], t) for n, t in model.state_dict().items())


def test_bad_input():
    model, x = small(), torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match="at least one"):
        sl.region_codes(model, x[:0])
    with pytest.raises(ValueError, match="at least one"):
        sl.region_codes(model, iter([]))
    with pytest.raises(ValueError, match="batch_size"):
        sl.region_codes(model, x, batch_size=0)
    with pytest.raises(ValueError, match="NaN"):
        sl.region_codes(model, x * torch.nan)
    with torch.no_grad():
        model[0].weight[0] = 3e38  # finite, though its sum is not
    sl.region_codes(model, 0 * x)
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = -torch.inf
    with pytest.raises(ValueError, match=r"'0\.weight' holds NaN"):
        sl.region_codes(model, x)
    with pytest.raises(ValueError, match="no spline unit"):
        sl.region_codes(nn.Linear(2, 2), torch.rand(3, 2))


def test_what_is_no_tensor_is_told_what_to_do():
    model, x = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.rand(4, 3)
    for inputs in ({"image": x}, [{"image": x}], "x", None):
        with pytest.raises(TypeError, match="wrap it in a module whose forward takes one tensor"):
            sl.region_codes(model, inputs)
    with pytest.raises(ValueError, match="meta device"):
        sl.region_codes(model, x.to("meta"))
    with pytest.raises(ValueError, match=r"'0\.weight' is on the meta device"):
        sl.region_codes(nn.Sequential(nn.Linear(3, 2, device="meta"), nn.ReLU()), x)
    with pytest.raises(ValueError, match=r"inputs\.to\(torch\.float32\)"):
        sl.region_codes(model, x.double())


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50"])
def test_segmentation_networks_have_codes(name):
    make = getattr(torchvision.models.segmentation, name)
    torch.manual_seed(0)
    model = make(weights=None, weights_backbone=None, num_classes=3)
    x = torch.rand(2, 3, 64, 64)
    layers, codes = sl.spline_layers(model, x), sl.region_codes(model, x)
    relus = sum(isinstance(module, nn.ReLU) for module in model.modules())
    assert len(codes) == 2 and list(codes.layers) == [layer.name for layer in layers]
    assert len(layers) >= relus

    class Out(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x)["out"]

    expected = sl.region_codes(Out(), x)
    assert all(
        torch.equal(codes.unpack(mine), expected.unpack(other))
        for mine, other in zip(codes.layers, expected.layers, strict=True)
    )


@dataclass
class Detections:
    """What a detection head may give."""

    boxes: list
    scores: torch.Tensor
    loss: torch.Tensor | None = None


@pytest.mark.parametrize(
    "packed",
    [
        lambda y, h: {"logits": y, "loss": None},
        lambda y, h: (None, y, h),
        lambda y, h: [{"n": 3, "y": y}],
        lambda y, h: Detections([y, h], y),
        lambda y, h: (y, y.argmax(1), (h > 0).float()),
        lambda y, h: y.argmax(1),
    ],
)
def test_codes_need_no_tensor_as_output(packed):
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = small()

        def forward(self, x):
            y = self.body(x)
            return packed(y, y * 2)

    x = torch.rand(5, 1, 8, 8)
    torch.manual_seed(0)
    model = Packed()
    codes, expected = sl.region_codes(model, x), sl.region_codes(model.body, x)
    assert list(codes.layers.values()) == list(expected.layers.values())
    for mine, other in zip(codes.layers, expected.layers, strict=True):
        assert torch.equal(codes.unpack(mine), expected.unpack(other))


def test_a_model_that_writes_to_its_input_leaves_the_data_alone():
    class Standardised(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Calling(F.relu)

        def forward(self, x):
            return self.body(x.sub_(0.5).mul_(2))

    torch.manual_seed(0)
    x = torch.rand(20, 4)
    before, model = x.clone(), Standardised()
    codes = sl.region_codes(model, x, batch_size=8)
    assert torch.equal(x, before)
    expected = sl.region_codes(model.body, 2 * (x - 0.5))
    for mine, other in zip(codes.layers, expected.layers, strict=True):
        assert torch.equal(codes.unpack(mine), expected.unpack(other))
