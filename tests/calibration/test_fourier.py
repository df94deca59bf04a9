"""Products with the patches of a convolution, beside those with the patches themselves."""

import pytest
import torch
from torch import nn

from splinelib.calibration.fourier import FourierPatches, fourier_products
from splinelib.calibration.im2col import columns, patches, rows_made

LAYERS = [
    (nn.Conv1d(3, 4, 5, padding=2), (3, 19)),
    (nn.Conv1d(3, 4, 5, stride=2, padding=3, dilation=2), (3, 23)),
    (nn.Conv1d(2, 4, 4, padding="same", padding_mode="circular"), (2, 11)),
    (nn.Conv2d(3, 4, 3), (3, 7, 5)),
    (nn.Conv2d(3, 4, (3, 2), stride=(1, 2), padding=1, padding_mode="reflect"), (3, 9, 8)),
    (nn.Conv3d(2, 3, (2, 3, 1), padding=(0, 1, 0)), (2, 4, 5, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
@pytest.mark.parametrize("every", [1, 3], ids=["all rows", "every third row"])
def test_products_are_those_of_the_patches(layer, shape, every):
    """Of all rows or a sample, and of a part of these; inputs that are far from zero."""
    generator = torch.Generator().manual_seed(0)
    inputs = 30 + torch.randn(6, *shape, generator=generator, dtype=torch.float64)
    rows = torch.arange(0, rows_made(layer, inputs), every)
    matrix = torch.cat(list(patches(layer, inputs, rows))).flatten(1)
    values = torch.randn(columns(layer), 4, generator=generator, dtype=torch.float64)
    found = FourierPatches(layer, inputs, rows)
    for tried in (None, torch.rand(len(rows), generator=generator) < 0.5):
        part = matrix if tried is None else matrix[tried]
        part = part - part.mean(0)
        expected = part.T @ (part @ values)
        made = found.centred_products(values, tried)
        torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-9)


def test_many_outputs_are_taken_a_part_at_a_time(monkeypatch):
    layer, inputs = nn.Conv1d(3, 4, 5, padding=2), torch.randn(4, 3, 16, dtype=torch.float64)
    values = torch.randn(15, 7, dtype=torch.float64)
    found = FourierPatches(layer, inputs, torch.arange(64))
    whole = found.centred_products(values)
    monkeypatch.setattr("splinelib.calibration.fourier.CHUNK", 1)
    torch.testing.assert_close(found.centred_products(values), whole)


def test_each_group_has_its_own_products_and_what_gains_nothing_has_none():
    inputs = torch.randn(5, 4, 30)
    grouped = nn.Conv1d(4, 6, 7, groups=2)
    rows = torch.arange(rows_made(grouped, inputs))
    first, second = fourier_products(grouped, inputs, rows)
    values = torch.randn(14, 3)
    for product, part in zip((first, second), inputs.chunk(2, dim=1), strict=True):
        alone = FourierPatches(nn.Conv1d(2, 3, 7), part.double(), rows)
        torch.testing.assert_close(product(values, None), alone.centred_products(values.double()))
    assert fourier_products(grouped, inputs, rows[:40]) == [None, None], "few of 120 rows"
    for layer in (nn.Conv1d(4, 6, 1, groups=2), nn.Conv1d(4, 6, 7, stride=6, groups=2)):
        every = torch.arange(rows_made(layer, inputs))
        assert fourier_products(layer, inputs, every) == [None, None]
    assert fourier_products(nn.Linear(30, 2), inputs, torch.arange(5)) == [None]
