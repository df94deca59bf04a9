"""Rows of a layer: patches times the kernel are the layer."""

import math

import pytest
import torch
from torch import nn

from splinelib.calibration import patches, pixels, rows_shape, sample_rows, taps_first

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
