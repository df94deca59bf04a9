"""What leading directions may hide: bounds that hold, and that are reached."""

import functools
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

import splinelib as sl
from splinelib.scores.hyperplanes import canonical, pca
from splinelib.scores.truncation import (
    BY,
    chosen_components,
    components_for,
    fewest_possible,
    in_metric,
    random_components,
    truncate,
)

ROUNDING = 1e-7  # of an arc of a cosine close to 1, in float64


@st.composite
def normals(draw):
    """Units of some rank, with zero rows, twins and near twins among them."""
    units, fan_in = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    rank = draw(st.integers(1, fan_in))
    left = torch.randn(units, rank, generator=generator, dtype=torch.float64)
    rows = left @ torch.randn(rank, fan_in, generator=generator, dtype=torch.float64)
    rows *= draw(st.sampled_from([1.0, 1e-3, 1e3]))
    if units > 3:
        rows[1] = rows[0] * draw(st.sampled_from([2.0, -1.0]))
        rows[2] = rows[0] + 1e-4 * rows[2]
        rows[3] = 0 if draw(st.booleans()) else rows[3]
    return rows


def cosines_of(rows):
    unit, _ = canonical(rows, rows.new_zeros(len(rows)))
    return unit @ unit.T


@given(normals(), st.integers(1, 12))
def test_no_cosine_leaves_its_range(rows, components):
    view, exact = truncate(rows, components), cosines_of(rows)
    low, high = view.cosine_range
    assert (low - ROUNDING <= exact).all() and (exact <= high + ROUNDING).all()
    error = (view.cosines - exact).abs().fill_diagonal_(0)
    assert (error <= view.bound + ROUNDING).all() and view.bound.max() == view.largest


@given(normals(), st.integers(1, 12))
def test_the_bounds_stand_in_their_order(rows, components):
    """Each pair's bound, the energies of its units, the eigenvalues, the energy of all."""
    view = truncate(rows, components)
    energies = view.left_out[:, None] + view.left_out
    first, second, *_ = [*view.spectrum[view.components :].tolist(), 0.0, 0.0]
    pairs = ~torch.eye(len(rows), dtype=torch.bool)
    small = pairs & (energies <= 1)
    assert (view.bound[small] <= energies[small] + ROUNDING).all()
    assert (energies[pairs] <= first + second + ROUNDING).all()
    assert first + second <= view.left_out.sum().item() + ROUNDING


@given(normals(), st.integers(1, 12), st.integers(0, 1000), st.sampled_from([0.0, 0.1, 3.0]))
def test_no_distance_leaves_its_range(rows, components, seed, rho):
    generator = torch.Generator().manual_seed(seed)
    unit, offsets = canonical(rows, torch.randn(len(rows), generator=generator).double())
    low, high = truncate(rows, components).distance_range(offsets, rho)
    exact = sl.hyperplane_distance(unit, offsets, rho)
    assert (low - 1e-6 <= exact).all() and (exact <= high + 1e-6).all()


@given(normals(), st.integers(1, 12), st.sampled_from([0.1, 3.0]))
def test_a_distance_is_wrong_by_energies_and_twice_the_smaller_offset(rows, components, rho):
    unit, offsets = canonical(rows, torch.linspace(-2, 1, len(rows)).double())
    view = truncate(rows, components)
    seen = sl.hyperplane_distance(view.coordinates, offsets * (1 - view.left_out).sqrt(), rho)
    exact = sl.hyperplane_distance(unit, offsets, rho)
    energies = view.left_out[:, None] + view.left_out
    smaller = torch.minimum(offsets.abs()[:, None], offsets.abs())
    bound = energies + 2 * rho * smaller + 1e-6
    assert ((exact - seen).abs() <= bound)[energies < 1].all()


@pytest.mark.parametrize("angle", [0.05, 0.4, 0.7])
def test_twins_that_differ_in_a_discarded_direction_reach_every_bound(angle):
    """Chapter 14's counterexample, worked by hand: 1 - cos(2 a) = 2 sin^2 a, all of the energy."""
    c, s = math.cos(angle), math.sin(angle)
    rows = torch.tensor([[c, s], [c, -s], *[[1.0, 0.0]] * 6], dtype=torch.float64)
    view = truncate(rows, 1)
    assert view.cosines[0, 1].item() == pytest.approx(1)
    assert view.bound[0, 1].item() == pytest.approx(2 * s**2)
    assert view.left_out.tolist() == pytest.approx([s**2, s**2, *[0] * 6], abs=1e-12)
    assert view.spectrum[1].item() == pytest.approx(2 * s**2)
    assert view.cosine_range[0][0, 1].item() == pytest.approx(cosines_of(rows)[0, 1].item())


def test_both_ends_of_a_range_are_reached():
    k, out = math.sqrt(0.75), 0.5
    rows = [[k, 0, out], [0, k, out], [k, 0, -out], [0, k, -out], *[[1, 0, 0], [0, 1, 0]] * 9]
    view = truncate(torch.tensor(rows, dtype=torch.float64), 2)
    exact = cosines_of(torch.tensor(rows, dtype=torch.float64))
    for other, end in ((1, 1), (3, 0)):
        assert view.cosines[0, other].item() == pytest.approx(0, abs=1e-9)
        assert view.cosine_range[end][0, other].item() == pytest.approx(exact[0, other].item())
        assert abs(exact[0, other].item()) == pytest.approx(0.25)


def test_the_view_is_that_of_the_criterion():
    rows = torch.randn(30, 12, generator=torch.Generator().manual_seed(0)).double()
    offsets = torch.zeros(30, dtype=torch.float64)
    shown = 1 - truncate(rows, 4).cosines.abs()
    torch.testing.assert_close(
        shown.fill_diagonal_(0), sl.hyperplane_distance(pca(rows, 4), offsets)
    )


@given(normals(), st.sampled_from([0.02, 0.1, 0.5, 0.9]))
def test_so_many_components_are_accurate_and_fewer_are_not(rows, accuracy):
    counts = {by: components_for(rows, accuracy, by) for by in BY}
    assert counts["truth"] <= counts["pairs"] <= counts["units"] <= counts["spectrum"]
    assert fewest_possible(rows, accuracy) <= counts["truth"]
    for count in counts.values():
        error = (truncate(rows, count).cosines - cosines_of(rows)).abs().fill_diagonal_(0)
        assert error.max() <= accuracy + ROUNDING
    assert truncate(rows, accuracy=accuracy).components == counts["pairs"]
    if counts["pairs"] > 1:
        assert truncate(rows, counts["pairs"] - 1).largest > accuracy


def test_more_components_than_there_are_keep_all():
    rows = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)) @ torch.randn(2, 7)
    view = truncate(rows, 100)
    assert view.components == 5 and view.largest < 1e-9 and not view.left_out.any()
    assert truncate(rows, 3).largest < 1e-6, "beyond the rank nothing is left out"
    assert components_for(rows, 1e-4) == 2


def test_units_without_a_hyperplane_and_single_units_are_defined():
    view = truncate(torch.zeros(3, 4), 2)
    assert not view.bound.any() and not view.left_out.any() and not view.cosines.any()
    low, high = truncate(torch.tensor([[1.0, 0], [0, 0]]), 1).distance_range(torch.ones(2))
    assert not low.any() and not high.any()
    one = torch.tensor([[3.0, 4.0]])
    assert truncate(one, 1).largest == 0 and truncate(one, accuracy=0.1).components == 1
    assert [components_for(one, 0.01, by) for by in BY] == [1] * 4
    assert fewest_possible(one, 0.1) == random_components(1, 0.1) == 1
    assert fewest_possible(torch.zeros(3, 4), 0.1) == 1
    hidden = truncate(torch.eye(2), 1)  # a unit of which nothing is left
    assert hidden.left_out.sum() == 1 and hidden.cosine_range[1][0, 1] == 0


@pytest.mark.parametrize("accuracy", [0, 1, -0.1, 2, math.nan, math.inf, True, "0.1", None])
def test_what_is_no_accuracy_is_refused(accuracy):
    rows = torch.eye(3)
    for ask in (components_for, fewest_possible):
        with pytest.raises(ValueError, match="a number between 0 and 1, not"):
            ask(rows, accuracy)
    with pytest.raises(ValueError, match="a number between 0 and 1, not"):
        random_components(3, accuracy)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: truncate(torch.eye(3)), "one of the two"),
        (lambda: truncate(torch.eye(3), 2, 0.1), "one of the two"),
        (lambda: truncate(torch.eye(3), 0), "at least 1, not 0"),
        (lambda: truncate(torch.eye(3), 1.5), "whole number"),
        (lambda: truncate(torch.ones(3), 1), r"\(U, fan_in\)"),
        (lambda: truncate(torch.ones(0, 3), 1), "one row for each unit"),
        (lambda: truncate(torch.tensor([[math.nan]]), 1), "NaN"),
        (lambda: components_for(torch.eye(3), 0.1, "luck"), "luck"),
        (lambda: random_components(0, 0.1), "at least 1"),
        (lambda: random_components(8, 0.1, 0), "failure is a chance"),
        (lambda: truncate(torch.eye(3), 1).distance_range(torch.ones(2)), "each of 3 units"),
        (lambda: truncate(torch.eye(3), 1).distance_range(torch.ones(3), -1), "rho"),
        (lambda: in_metric(torch.eye(3), torch.eye(2)), "a row for each"),
        (lambda: in_metric(torch.eye(2), -torch.eye(2)), "this matrix is none"),
        (lambda: in_metric(torch.eye(2), torch.tensor([[1.0, 1], [0, 1]])), "symmetric"),
        (lambda: in_metric(torch.eye(1), torch.tensor([[math.nan]])), "NaN"),
        (lambda: chosen_components(torch.eye(3), 2, 0.1), "give one of them"),
    ],
)
def test_bad_input_is_refused(ask, match):
    with pytest.raises(ValueError, match=match):
        ask()


def test_a_metric_is_a_change_of_coordinates():
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(50, 4, generator=generator).double()
    data[:, 3] = 0  # an input that is always 0
    rows = torch.randn(6, 4, generator=generator).double()
    rows[5] = torch.tensor([0, 0, 0, 2.0])
    seen, said = in_metric(rows, data.T @ data / 50), data @ rows.T
    torch.testing.assert_close(seen @ seen.T, said.T @ said / 50)
    assert not seen[5].any()


def test_random_directions_fail_no_more_often_than_they_may():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(10, 6, generator=generator).double()
    exact, accuracy, failure = cosines_of(rows), 0.5, 0.2
    count, failed = random_components(10, accuracy, failure), 0
    unit, _ = canonical(rows, torch.zeros(10))
    for _ in range(100):
        drawn = torch.randn(6, count, generator=generator).double() / count**0.5
        products = (unit @ drawn) @ (unit @ drawn).T
        failed += int((products - exact).abs().fill_diagonal_(0).max() > accuracy)
    assert failed <= 100 * failure
    assert random_components(20, accuracy, failure) > count > random_components(10, 0.6, failure)


def test_the_criterion_chooses_its_components():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20, 12), torch.nn.ReLU(), torch.nn.Linear(12, 2))
    count = components_for(model[0].weight.detach(), 0.2, "units")
    settings = {"by accuracy": {"accuracy": 0.2}, "by number": {"components": count}}
    found = {}
    for name, setting in settings.items():
        sl.CRITERIA[name] = functools.partial(sl.criteria.spline, **setting)
        found[name] = sl.score(model, name, example=torch.zeros(1, 20))["0"]
        del sl.CRITERIA[name]
    assert torch.equal(found["by accuracy"], found["by number"]) and 1 < count < 12
    assert sl.redundancy.truncate is truncate
