"""Moments of rows that come in chunks."""

import pytest
import torch

from splinelib.calibration import Moments
from splinelib.calibration.moments import with_ridge


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_summed_in_full(dtype):
    rows = torch.randn(300, 5, generator=torch.Generator().manual_seed(0)).to(dtype) + 20
    moments = Moments()
    for part in rows.split([0, 100, 0, 200]):
        moments.add(part)
    torch.testing.assert_close(moments.mean, rows.double().mean(0))
    torch.testing.assert_close(moments.covariance(), torch.cov(rows.double().T, correction=0))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_ridge_grows_with_what_it_is_added_to(scale):
    root = torch.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]], dtype=torch.float64)
    moment = root.T @ root * scale  # singular, and the last column is always 0
    found = with_ridge(moment, 0.1)
    torch.testing.assert_close(found[:2, :2] / scale, torch.tensor([[5.5, 5], [5, 5.5]]).double())
    assert 0 < found[2, 2] < 1e-10 * scale
    torch.linalg.cholesky(found)


def test_nothing_at_all_can_be_solved_with_a_ridge():
    torch.linalg.cholesky(with_ridge(torch.zeros(3, 3, dtype=torch.float64), 0.1))
