"""Rows of a layer: patches times the kernel are the layer."""

import math

import pytest
import torch
from torch import nn

from splinelib.calibration import patches, pixels, rows_shape, sample_rows, taps_first
from splinelib.calibration.im2col import CHUNK, applied, channels_at_the_end, rows_made

LAYERS = pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), (5, 4, 7, 6)),
        (nn.Conv2d(4, 6, (3, 2), stride=2, dilation=(1, 2), padding=(2, 0)), (5, 4, 9, 8)),
        (nn.Conv2d(4, 6, 3, padding="same", padding_mode="reflect"), (5, 4, 6, 6)),
        (nn.Conv1d(4, 6, 5, stride=3), (5, 4, 20)),
        (nn.Conv3d(4, 6, 2, padding=1), (5, 4, 3, 4, 5)),
        (nn.Linear(4, 6), (5, 4)),
        (nn.Linear(4, 6), (5, 3, 4)),
    ],
)


@LAYERS
@pytest.mark.parametrize("side_by_side", [False, True])
def test_patches_times_kernel_is_the_layer(layer, shape, side_by_side):
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if side_by_side:
        inputs = inputs.movedim(1, -1).contiguous().movedim(-1, 1)
    with torch.no_grad():
        output = layer(inputs)
        flat = output.movedim(1, -1) if not isinstance(layer, nn.Linear) else output
        flat = flat.reshape(-1, 6)
        rows = sample_rows(len(flat), len(flat) // 2, seed=0)
        found = torch.cat(list(patches(layer, inputs, rows))).flatten(1)
        kernel = taps_first(layer.weight).flatten(1)
        torch.testing.assert_close(found @ kernel.T + layer.bias, flat[rows], rtol=1e-4, atol=1e-5)


@LAYERS
def test_pixels_are_what_the_patches_hold(layer, shape):
    """Each channel's values, padding among them, as often as kernel taps read them."""
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        available = math.prod(rows_shape(layer, layer(inputs)))
    rows = sample_rows(available, available // 2, seed=0)
    read = torch.cat(list(patches(layer, inputs, rows)))
    values, counts = pixels(layer, inputs, rows)
    assert counts.min() > 0 and len(values) <= inputs.numel() // 4 + 1
    held = values.repeat_interleave(counts, 0)
    assert torch.equal(held.sort(0).values, read.flatten(0, 1).sort(0).values)


def dilated(**settings):
    """A stride exchanged for a dilation after the layer was made, as segmentation networks do."""
    layer = nn.Conv2d(4, 6, 3, **settings)
    layer.stride, layer.dilation, layer.padding = (1, 1), (2, 2), (2, 2)
    return layer


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (dilated(stride=2, padding=1), (5, 4, 7, 6)),
        (dilated(stride=2, padding=1, padding_mode="circular"), (5, 4, 7, 6)),
        (nn.Conv1d(4, 6, 4, padding="same", dilation=3), (5, 4, 12)),
        (nn.Conv3d(4, 6, 2, padding="valid"), (5, 4, 3, 4, 5)),
        *LAYERS.args[1],
    ],
)
def test_a_layer_is_applied_as_it_runs(layer, shape):
    """Padding, stride and dilation are those that it has now."""
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = layer(inputs)
        made = applied(layer, inputs, layer.weight)
        made = channels_at_the_end(layer, made) + layer.bias
        said = channels_at_the_end(layer, output).flatten(0, -2)
        torch.testing.assert_close(made.flatten(0, -2), said, rtol=1e-4, atol=1e-5)
        assert rows_made(layer, inputs) == len(said)
        rows = torch.arange(len(said))
        read = torch.cat(list(patches(layer, inputs, rows))).flatten(1)
        found = read @ taps_first(layer.weight).flatten(1).T + layer.bias
        torch.testing.assert_close(found, said, rtol=1e-4, atol=1e-5)


def test_patches_of_a_wide_layer_come_in_chunks_of_bounded_size():
    """All at once they would be 200 times as large as what the layer reads."""
    layer = nn.Conv1d(64, 2, 200, bias=False)
    inputs = torch.randn(4, 64, 1200, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(rows_made(layer, inputs))
    sizes, made = [], []
    for part in patches(layer, inputs, rows):
        sizes.append(part.numel())
        made.append(part.flatten(1) @ taps_first(layer.weight.detach()).flatten(1).T)
    assert sum(sizes) == len(rows) * 64 * 200 > 5 * CHUNK
    assert max(sizes) <= CHUNK and len(sizes) == -(-sum(sizes) // (CHUNK // 12800 * 12800))
    with torch.no_grad():
        expected = layer(inputs).movedim(1, -1).flatten(0, 1)
    torch.testing.assert_close(torch.cat(made), expected, rtol=1e-4, atol=1e-4)
