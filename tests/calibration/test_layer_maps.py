"""Which linear map a layer is, whatever its forward looks like."""

import copy

import pytest
import torch
import torch.nn.functional as F
from networks import Equalised, PadsInside, Standardised
from torch import nn

from splinelib.calibration.im2col import output_rows, patches, rows_made, taps_first
from splinelib.calibration.layer_maps import is_plain, layer_map, run_again


class Scaling(nn.Linear):
    """Scales what it says, bias included."""

    def forward(self, x):
        return 3 * super().forward(x)


class ByProduct(nn.Linear):
    """Calls no function of torch that is a linear layer."""

    def forward(self, x):
        return x @ self.weight.T + self.bias


class HalvedInput(nn.Linear):
    def forward(self, x):
        return F.linear(x / 2, self.weight, self.bias)


class Flattening(nn.Linear):
    def forward(self, x):
        return F.linear(x.flatten(1), self.weight, self.bias)


class Circular(nn.Conv2d):
    def forward(self, x):
        padded = F.pad(x, (1, 1, 1, 1), mode="circular")
        return 0.5 * F.conv2d(padded, self.weight, self.bias, self.stride)


def seeded(kind, *sizes, **settings):
    torch.manual_seed(0)
    return kind(*sizes, **settings)


def with_hook(layer, hook):
    layer.register_forward_hook(hook)
    return layer


def inputs(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


MAPS = [
    (nn.Linear, (6, 4), {}, (20, 6), 1.0, 1.0),
    (nn.Conv1d, (4, 6, 3), {"padding": 1, "dilation": 2}, (5, 4, 9), 1.0, 1.0),
    (nn.Conv3d, (2, 4, 2), {}, (5, 2, 3, 4, 3), 1.0, 1.0),
    (Equalised, (16, 4), {}, (20, 16), 0.25, 1.0),
    (Scaling, (6, 4), {}, (5, 3, 6), 3.0, 3.0),
    (ByProduct, (6, 4), {}, (20, 6), 1.0, 1.0),
    (HalvedInput, (6, 4), {}, (20, 6), 1.0, 1.0),
    (Flattening, (6, 4), {}, (20, 2, 3), 1.0, 1.0),
    (PadsInside, (4, 6, 3), {}, (5, 4, 7, 6), 1.0, 1.0),
    (Circular, (4, 6, 3), {"stride": 2, "padding": 1}, (5, 4, 8, 6), 0.5, 0.5),
]


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "sizes", "settings", "shape", "gain", "bias_gain"),
    MAPS,
    ids=[case[0].__name__ for case in MAPS],
)
def test_patches_times_the_weight_that_runs_is_the_layer(
    kind, sizes, settings, shape, gain, bias_gain
):
    layer, x = seeded(kind, *sizes, **settings), inputs(*shape)
    before = copy.deepcopy(layer.state_dict())
    said = layer(x)
    found = layer_map(layer, (x,), {}, said)
    assert found.gain == pytest.approx(gain, rel=1e-5)
    assert torch.as_tensor(found.bias_gain).allclose(torch.tensor(bias_gain), rtol=1e-5)
    rows = torch.arange(rows_made(found.layer, found.inputs))
    read = torch.cat(list(patches(found.layer, found.inputs, rows))).flatten(1)
    made = read @ taps_first(found.layer.weight).flatten(1).T + found.shift
    torch.testing.assert_close(made, output_rows(layer, said, rows), rtol=1e-4, atol=1e-5)
    # What it says of its weight and bias is so.
    step = inputs(*layer.weight.shape)
    moved = run_again(layer, (x,), {}, weight=layer.weight + step, bias=layer.bias + 1)
    expected = made + found.gain * read @ taps_first(step).flatten(1).T + found.bias_gain
    torch.testing.assert_close(output_rows(layer, moved, rows), expected, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def cosine():
    class Cosine(nn.Linear):
        def forward(self, x):
            return F.linear(F.normalize(x), F.normalize(self.weight))

    return seeded(Cosine, 6, 4)


def normalised():
    class Normalised(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight / self.weight.norm(), self.bias)

    return seeded(Normalised, 6, 4)


@pytest.mark.parametrize("layer", [cosine(), normalised()], ids=["cosine", "norm"])
def test_a_weight_that_is_no_multiple_is_known_as_it_runs(layer):
    x = inputs(20, 6)
    found = layer_map(layer, (x,), {})
    assert found.gain is None
    made = found.inputs @ found.layer.weight.T + found.shift
    torch.testing.assert_close(made, layer(x), rtol=1e-4, atol=1e-5)


def test_weight_standardisation_is_known_as_it_runs():
    layer, x = seeded(Standardised, 4, 6, 3, padding=1), inputs(5, 4, 7, 7)
    found = layer_map(layer, (x,), {})
    assert found.gain is None and found.layer.padding == (1, 1)
    torch.testing.assert_close(found.layer.weight.std((1, 2, 3)), torch.ones(6), rtol=1e-3, atol=0)


class Clipped(nn.Linear):
    def forward(self, x):
        return super().forward(x).clamp(min=0)


class Unsteady(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.rand(len(x), 1)


class Two(nn.Linear):
    def forward(self, x):
        return super().forward(x) + F.linear(x.square(), self.weight)


@pytest.mark.parametrize(
    "layer",
    [
        seeded(Clipped, 6, 4),
        seeded(Unsteady, 6, 4),
        seeded(Two, 6, 4),
        with_hook(seeded(nn.Linear, 6, 4), lambda *given: given[2].relu()),
        with_hook(seeded(nn.Linear, 6, 4), lambda *given: given[2] + given[1][0][:, :1]),
        with_hook(seeded(nn.Linear, 6, 4), lambda *given: (given[2], 0)),
    ],
    ids=["clipped", "unsteady", "two", "hook", "shifting hook", "tuple"],
)
def test_what_is_no_linear_map_is_not_taken_for_one(layer):
    assert not is_plain(layer)
    assert layer_map(layer, (inputs(20, 6),), {}) is None


def test_hooks_that_scale_or_shift_are_part_of_the_map():
    layer = with_hook(seeded(nn.Linear, 6, 4), lambda *given: 2 * given[2] + 1)
    found = layer_map(layer, (), {"input": inputs(20, 6)})
    assert found.gain == pytest.approx(2) and torch.allclose(found.bias_gain, torch.tensor(2.0))
    torch.testing.assert_close(found.shift, 2 * layer.bias.detach() + 1, rtol=1e-4, atol=1e-5)


def test_a_bias_that_nobody_looks_at_is_of_no_use():
    class Biasless(nn.Linear):
        def forward(self, x):
            return F.linear(x, 2 * self.weight)

    assert layer_map(seeded(Biasless, 6, 4), (inputs(20, 6),), {}).bias_gain is None
    assert layer_map(seeded(Equalised, 6, 4), (inputs(20, 6),), {}).bias_gain is not None


def test_a_single_input_without_a_batch_and_an_empty_batch_have_no_rows():
    layer = seeded(nn.Conv2d, 3, 4, 3)
    assert layer_map(layer, (inputs(3, 8, 8),), {}) is None
    assert layer_map(layer, (inputs(0, 3, 8, 8),), {}) is None
    assert layer_map(nn.Linear(3, 2), (inputs(3),), {}) is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_rounding_of_the_type_is_no_fault(dtype):
    layer = seeded(Equalised, 16, 4).to(dtype)
    found = layer_map(layer, (inputs(50, 16).to(dtype),), {})
    assert found.gain == pytest.approx(0.25, rel=1e-2)


def test_autocast_is_no_fault():
    layer = seeded(Equalised, 16, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer_map(layer, (inputs(50, 16),), {})
    assert found.gain == pytest.approx(0.25, rel=1e-2)


def test_inputs_that_are_all_alike_show_what_other_weights_make_of_them():
    layer = with_hook(seeded(nn.Linear, 6, 4), lambda *given: None)  # only looks
    found = layer_map(layer, (torch.ones(20, 6),), {})
    assert found.gain == pytest.approx(1)
    doubled = with_hook(seeded(nn.Linear, 6, 4), lambda *given: 2 * given[2])
    assert layer_map(doubled, (torch.ones(20, 6),), {}).gain is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_rounded_weight_is_no_multiple(bits, dtype):
    class Rounded(nn.Linear):
        def forward(self, x):
            step = self.weight.abs().max() / 2 ** (bits - 1)
            return F.linear(x, (self.weight / step).round() * step, self.bias)

    if (bits, dtype) == (8, torch.bfloat16):
        return  # that is what the type can hold
    found = layer_map(seeded(Rounded, 30, 8).to(dtype), (inputs(50, 30).to(dtype),), {})
    assert found.gain is None
