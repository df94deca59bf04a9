"""Rows for least squares: patches, samples, moments, regressions."""

import math

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.calibration import (
    Moments,
    Regression,
    RowSample,
    channels_last,
    patches,
    pixels,
    rows_shape,
    sample_rows,
    taps_first,
)
from splinelib.models import vgg16

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


@pytest.mark.parametrize("needed", [1, 30, 10_000])
@pytest.mark.parametrize("sizes", [[60], [1, 50, 9], [20, 20, 20]])
def test_a_sample_of_rows_does_not_depend_on_the_batches(needed, sizes):
    sample, found, start = RowSample(60, needed, seed=3), [], 0
    for size in sizes:
        rows = sample.next((size, 2, 4))
        assert ((rows >= 0) & (rows < size * 8)).all()
        found.append(rows + start)
        start += size * 8
    assert torch.equal(torch.cat(found), sample.rows)
    assert torch.equal(sample.rows, sample_rows(480, needed, seed=3))
    assert len(sample.rows.unique()) == min(needed, 480)


class Viewing(nn.Module):
    """Takes no activations whose channels lie side by side."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 2)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return self.head(x.view(len(x), -1))


def test_images_go_channels_last_where_the_model_takes_them():
    model, data = vgg16(width=0.125), torch.zeros(70, 3, 32, 32)
    assert channels_last(model, data).is_contiguous(memory_format=torch.channels_last)
    data = torch.randn(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert channels_last(Viewing(), data) is data
    rows = data[:, 0, 0, :2]
    assert channels_last(nn.Linear(2, 2), rows) is rows


@pytest.mark.parametrize("compensate", ["fold", "refit"])
def test_a_model_that_calls_view_is_pruned_all_the_same(compensate):
    model = Viewing()
    data = torch.randn(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    small = sl.prune(model, 0.25, "lsq", data=data, compensate=compensate)
    assert small.conv.out_channels == 3 and small(data).isfinite().all()


def test_moments_of_counted_rows_are_those_of_repeated_rows():
    generator = torch.Generator().manual_seed(0)
    rows = 5 + torch.randn(40, 6, generator=generator)
    targets = torch.randn(40, 2, generator=generator)
    counts = torch.randint(1, 5, (40,), generator=generator)
    counted, repeated = Moments(), Moments()
    for part in (slice(0, 15), slice(15, None)):
        counted.add(rows[part], targets[part], counts[part])
    repeated.add(*(x.repeat_interleave(counts, 0) for x in (rows, targets)))
    assert counted.count == repeated.count == counts.sum()
    for name in ("mean", "target_mean"):
        torch.testing.assert_close(getattr(counted, name), getattr(repeated, name))
    for name in ("covariance", "cross_covariance", "variance"):
        torch.testing.assert_close(getattr(counted, name)(), getattr(repeated, name)())


@pytest.mark.parametrize("width", [1, 7, 256, 600, 1500])
def test_moments_of_chunks_are_those_of_all_rows(width):
    """Within, at and beyond the columns whose products are taken at a time, and in float32."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(400, width, generator=generator) @ torch.randn(
        width, width, generator=generator
    ) / width**0.5 + 100 * torch.randn(width, generator=generator)
    moments, variances = Moments(), Moments(products=False)
    for chunk in rows.split([1, 150, 249]):
        moments.add(chunk)
        variances.add(chunk)
    whole = rows.double()
    expected = torch.cov(whole.T, correction=0).reshape(width, width)
    torch.testing.assert_close(moments.covariance(), expected, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(moments.mean, whole.mean(0), rtol=1e-7, atol=1e-7)
    for found in (moments, variances):
        torch.testing.assert_close(found.variance(), expected.diagonal(), rtol=1e-5, atol=2e-5)
        assert torch.equal(found.mean, moments.mean)


@pytest.mark.parametrize("rows", [12, 500])
def test_a_regression_survives_equal_columns(rows):
    """Fewer rows than columns, and more; with next to no ridge, and with none."""
    generator = torch.Generator().manual_seed(1)
    read = torch.randn(rows, 20, generator=generator, dtype=torch.float64)
    read[:, 3] = read[:, 4]
    target = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    fit = Regression(20, rows)
    for part in (slice(0, 5), slice(5, None)):
        fit.add(read[part], target[part])
    step, constant = fit.solve(1e-12)
    centred = read - read.mean(0)
    best = centred @ torch.linalg.pinv(centred, rtol=1e-10) @ target + target.mean(0)
    torch.testing.assert_close(read @ step + constant, best, atol=1e-6, rtol=0)
    assert fit.solve(0.0)[0].isfinite().all()
