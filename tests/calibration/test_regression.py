"""Least squares of rows that come in chunks."""

import pytest
import torch
from held import Peak

from splinelib.calibration import Regression
from splinelib.calibration.regression import HELD, StreamedRegression, held, solved


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


def test_a_fit_on_few_rows_is_tried_on_others():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(100, 90, generator=generator)
    noise, line = torch.randn(100, 2, generator=generator), rows[:, :2] * 3
    for columns, targets, helps in ((90, noise, False), (90, line, True), (10, noise, True)):
        fit = Regression(columns, 100)
        for part, wanted in zip(rows[:, :columns].split(30), targets.split(30), strict=True):
            fit.add(part, wanted)
        error, shifted, without = fit.aside(1e-3)
        assert (error <= min(shifted, without)) == helps
        # with rows enough nothing is tried
        assert (error, shifted, without) == (0, 0, 0) or columns == 90
        assert fit.count == 100


def asides(rows, targets, ridge=1e-3):
    """`Regression.aside` of the rows, after a look at whether streams give the same."""
    fit = Regression(rows.shape[1], len(rows))
    fit.add(rows, targets)
    streamed = StreamedRegression(lambda: iter([(rows, targets)]), rows.shape[1], len(rows))
    assert streamed.aside(ridge) == pytest.approx(fit.aside(ridge), rel=1e-4)
    return fit.aside(ridge)


@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_each_row_is_left_out_once(count):
    """Against fits of all other parts, written out: part k has each fourth row from k on."""
    generator = torch.Generator().manual_seed(count)
    rows, targets = (torch.randn(count, width, generator=generator).double() for width in (2, 3))
    parts, expected = min(4, count), torch.zeros(3, dtype=torch.float64)
    for part in range(parts):
        out = torch.arange(count) % parts == part
        mean = targets[~out].mean(0)
        centred = rows[~out] - rows[~out].mean(0)
        normal = centred.T @ centred / len(centred)
        normal += 1e-3 * normal.diagonal().mean() * torch.eye(2)
        step = torch.zeros(2, 3, dtype=torch.float64)
        if len(centred) > 1:
            step = torch.linalg.solve(normal, centred.T @ (targets[~out] - mean) / len(centred))
        found = mean + (rows[out] - rows[~out].mean(0)) @ step
        errors = [targets[out] - each for each in (found, mean, 0)]
        expected += torch.stack([each.square().sum() for each in errors])
    assert asides(rows, targets) == pytest.approx(expected.tolist(), rel=1e-4)


def test_few_rows_are_few_of_few_columns_as_well():
    """Five rows are enough for two columns by count, and noise is found on them all the same."""
    generator = torch.Generator().manual_seed(0)
    error = shifted = 0.0
    for _ in range(20):
        rows, noise = torch.randn(5, 2, generator=generator), torch.randn(5, 1, generator=generator)
        fit = Regression(2, 5)
        fit.add(rows, noise)
        parts = fit.aside(1e-3)
        error, shifted = error + parts[0], shifted + parts[1]
    assert error > 1.5 * shifted > 0
    assert Regression(2, 63).few and not Regression(2, 64).few


@pytest.mark.parametrize("columns", [90, 120])  # fewer than rows, and more
def test_where_only_a_mean_is_found_it_is_all_that_is_added(columns):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(100, columns, generator=generator)
    noise = torch.randn(100, 2, generator=generator)
    fits = []
    for shift in (3.0, 0.0):
        fit = Regression(columns, 100)
        fit.add(rows, noise + shift)
        fits.append(fit)
    ((step, constant),) = solved(fits[:1], 1e-3, torch.ones(1))
    assert not step.any() and step.shape == (columns, 2)
    torch.testing.assert_close(constant, (noise.double() + 3).mean(0))
    streamed = StreamedRegression(lambda: iter([(rows, noise + 3)]), columns, 100)
    ((_, other),) = solved([streamed], 1e-3, torch.ones(1))
    torch.testing.assert_close(other, constant)


def test_a_block_that_hardly_varies_is_held_back_as_the_others_are():
    """A unit that is off on all inputs: of its own variance any share holds back nothing."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(200, 2, generator=generator)
    for make in (
        lambda rows: Regression(3, 200),
        lambda rows: StreamedRegression(lambda: iter([(rows, targets)]), 3, 200),
    ):
        fits = []
        for scale in (1.0, 1e-12):
            rows = scale * torch.randn(200, 3, generator=generator)
            fits.append(make(rows))
            if isinstance(fits[-1], Regression):
                fits[-1].add(rows, targets)
        (step, _), (silent, _) = solved(fits, 1e-3, torch.ones(2))
        torch.testing.assert_close(step, fits[0].solve(1e-3)[0], rtol=1e-2, atol=1e-3)
        assert silent.abs().max() < 1e-6 < 1e6 < fits[1].solve(1e-3)[0].abs().max()


def test_blocks_are_held_back_by_what_is_asked_of_them_at_most_as_the_mean():
    """The same at a thousandth of the scale: the fit is a thousand times that, but not for more."""
    generator = torch.Generator().manual_seed(0)
    rows, targets = (torch.randn(200, width, generator=generator).double() for width in (3, 2))
    fits = [Regression(3, 200) for _ in range(2)]
    for fit, scale in zip(fits, (1.0, 1e-3), strict=True):
        fit.add(scale * rows, targets)
    mean = float(torch.stack([fit.spread() for fit in fits]).mean())
    for wanted, spread in ((1e-7, fits[1].spread()), (1e-4, 1e-4), (7.0, mean), (torch.nan, mean)):
        step, _ = solved(fits, 1e-3, torch.tensor([1.0, wanted]))[1]
        expected, _ = fits[1].solve(1e-3, torch.as_tensor(spread))
        torch.testing.assert_close(step, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("rows", [400, 60, 30])  # many, few, less than columns
def test_conjugate_gradients_find_the_same_and_hold_no_rows(rows):
    generator = torch.Generator().manual_seed(0)
    read = torch.randn(rows, 50, generator=generator) @ torch.randn(50, 50, generator=generator) + 3
    said = read @ torch.randn(50, 4, generator=generator) + 1
    said += torch.randn(rows, 4, generator=generator)
    whole = Regression(50, rows)
    whole.add(read, said)
    streamed = StreamedRegression(
        lambda: zip(read.split(17), said.split(17), strict=True), 50, rows
    )
    one, other = (
        read.double() @ step + constant
        for step, constant in (fit.solve(1e-3) for fit in (streamed, whole))
    )
    assert (one - other).norm() < 5e-5 * said.norm()
    assert streamed.aside(1e-3) == pytest.approx(whole.aside(1e-3), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [300, 700, 1250, 1700, 4000])
def test_what_a_regression_holds_is_not_more_than_was_told(rows, dtype):
    columns, generator = 1200, torch.Generator().manual_seed(0)
    with Peak() as peak:
        fit = Regression(columns, rows)
        for start in range(0, rows, 100):
            read = torch.randn(min(100, rows - start), columns, generator=generator).to(dtype)
            fit.add(read, read[:, :2])
        solved([fit], 1e-3, torch.ones(1))
    assert 0.95 < peak.most / held(columns, rows, dtype.itemsize) < 1.05


def test_what_a_regression_holds_is_told_beforehand():
    assert held(1000, 4000) == 24 * 1000**2
    assert held(1000, 1200) > held(1000, 4000), "few rows are kept"
    assert held(7000, 28000) < HELD < held(7100, 28400)
    assert held(32768, 49152) > 20 * HELD, "the second layer of torchcrepe's network"
