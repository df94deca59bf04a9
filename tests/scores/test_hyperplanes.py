"""Distances of hyperplanes, PCA, and the greedy order."""

import math

import pytest
import torch

import splinelib as sl
from splinelib.scores import hyperplanes as hyperplanes_module
from splinelib.scores.hyperplanes import (
    directions_for,
    hyperplane_distance,
    pca,
    redundancy_order,
    spectrum,
)


def test_spectrum_adds_up_and_tells_how_many_directions():
    torch.manual_seed(0)
    normals = torch.randn(20, 3, dtype=torch.float64) @ torch.randn(3, 50, dtype=torch.float64)
    shares = spectrum(normals)
    assert math.isclose(shares.sum().item(), 1, abs_tol=1e-9)
    assert (shares.diff() <= 1e-12).all() and shares[3:].max() < 1e-9
    assert directions_for(normals, 1.0) == 3
    assert directions_for(normals, shares[0].item() / 2) == 1
    assert not spectrum(torch.zeros(4, 5)).any() and directions_for(torch.zeros(4, 5), 0.9) == 4
    with pytest.raises(ValueError, match="share"):
        directions_for(normals, 1.5)


@pytest.fixture
def hyperplanes():
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(12, 5, generator=generator, dtype=torch.float64),
        torch.randn(12, generator=generator, dtype=torch.float64),
    )


def test_distance_by_hand():
    normals = torch.tensor([[3.0, 4.0], [0.0, 2.0]], dtype=torch.float64)
    offsets = torch.tensor([10.0, 1.0], dtype=torch.float64)
    # cosine 4/5, offsets 10/5 = 2 and 1/2
    expected = 1 - 0.8 + 0.3 * (2 - 0.5)
    distance = sl.hyperplane_distance(normals, offsets, rho=0.3)
    assert distance[0, 1].item() == pytest.approx(expected, rel=1e-12)
    mirrored = sl.hyperplane_distance(
        normals * torch.tensor([[1.0], [-1.0]]), offsets * torch.tensor([1.0, -1.0]), rho=0.3
    )
    assert mirrored[0, 1].item() == pytest.approx(expected, rel=1e-12)


def test_distance_does_not_see_scale_and_sign(hyperplanes):
    normals, offsets = hyperplanes
    factors = torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    before = sl.hyperplane_distance(normals, offsets, rho=0.7)
    after = sl.hyperplane_distance(normals * factors[:, None], offsets * factors, rho=0.7)
    torch.testing.assert_close(before, after)
    torch.testing.assert_close(before, before.T)
    assert (before.diagonal() == 0).all()
    assert (before >= 0).all()


def test_distance_at_a_right_angle_does_not_see_sign_either():
    normals, offsets = torch.eye(2), torch.tensor([1.0, 3.0])
    before = sl.hyperplane_distance(normals, offsets, rho=1.0)
    after = sl.hyperplane_distance(
        torch.tensor([[1.0, 0], [0, -1]]), offsets * torch.tensor([1, -1])
    )
    assert before[0, 1].item() == pytest.approx(1 + 2)
    assert after[0, 1].item() == pytest.approx(1 + 0.1 * 2)


def test_unit_without_hyperplane_is_the_most_redundant():
    normals = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    offsets = torch.tensor([0.0, 5.0, 0.0])
    distance = sl.hyperplane_distance(normals, offsets, rho=1.0)
    assert (distance[1] == 0).all()
    assert distance[0, 2].item() == 1
    removal = redundancy_order(normals, offsets)
    assert removal.order[0].item() == 1
    assert removal.cost[1].item() == 0


@pytest.mark.parametrize(
    ("normals", "offsets", "rho", "match"),
    [
        (torch.ones(3), torch.ones(3), 0.1, "shape"),
        (torch.ones(3, 2), torch.ones(2), 0.1, "shape"),
        (torch.full((3, 2), torch.nan), torch.ones(3), 0.1, "NaN"),
        (torch.ones(3, 2), torch.full((3,), torch.inf), 0.1, "infinite"),
        (torch.full((3, 2), 3e38), torch.ones(3), 0.1, "too long for torch.float32"),
        (torch.ones(3, 2), torch.ones(3), -1, "rho"),
    ],
)
def test_distance_refuses_bad_input(normals, offsets, rho, match):
    with pytest.raises(ValueError, match=match):
        sl.hyperplane_distance(normals, offsets, rho=rho)


def test_pca_keeps_all_distances_when_nothing_is_cut(hyperplanes):
    normals, _ = hyperplanes
    zero = torch.zeros(12, dtype=torch.float64)
    for matrix in (normals, torch.cat([normals] * 4, 1)):  # tall and wide
        reduced = pca(matrix, 1000)
        assert reduced.shape[1] <= min(matrix.shape)
        torch.testing.assert_close(
            sl.hyperplane_distance(matrix, zero), sl.hyperplane_distance(reduced, zero)
        )


def test_pca_does_not_see_signs_and_keeps_the_leading_directions():
    generator = torch.Generator().manual_seed(3)
    line = torch.randn(30, 1, generator=generator) @ torch.randn(1, 8, generator=generator)
    normals = line + 0.01 * torch.randn(30, 8, generator=generator)
    flipped = normals * torch.where(torch.arange(30) % 2 == 0, 1, -1)[:, None]
    one, other = pca(normals, 1), pca(flipped, 1)
    torch.testing.assert_close(one.abs(), other.abs())
    assert one.abs().min() > 0.9  # unit normals, nearly all of whose length lies on the line
    with pytest.raises(ValueError, match="component"):
        pca(normals, 0)


def test_pca_of_a_large_layer_finds_the_same_directions(monkeypatch):
    generator = torch.Generator().manual_seed(6)
    strength = 0.8 ** torch.arange(60, dtype=torch.float64)
    normals = torch.randn(60, 60, generator=generator, dtype=torch.float64) * strength
    whole = pca(normals, 3)
    monkeypatch.setattr(hyperplanes_module, "MAX_EIGEN", 10)
    again = pca(normals, 3)
    torch.testing.assert_close(again.abs(), whole.abs(), rtol=1e-4, atol=1e-5)
    assert torch.equal(again, pca(normals, 3))


def test_pca_keeps_coinciding_hyperplanes_together():
    normals = torch.randn(40, 300, generator=torch.Generator().manual_seed(7))
    normals[1], normals[3] = -2 * normals[0], 0.1 * normals[2]
    distance = sl.hyperplane_distance(pca(normals, 4), torch.zeros(40))
    assert distance[0, 1] < 1e-5 and distance[2, 3] < 1e-5


def brute_force_order(normals, offsets, rho):
    """The definition, without any bookkeeping."""
    distance = sl.hyperplane_distance(normals, offsets, rho)
    norm, alive, order, costs = normals.norm(dim=1), list(range(len(normals))), [], {}
    while len(alive) > 1:
        gap, i, j = min((distance[i, j].item(), i, j) for i in alive for j in alive if i < j)
        goes = i if norm[i] < norm[j] else j
        costs[goes] = gap
        order.append(goes)
        alive.remove(goes)
    return [*order, alive[0]], costs


@pytest.mark.parametrize("block", [3, 1024])
def test_greedy_order_is_the_definition(block):
    generator = torch.Generator().manual_seed(4)
    normals = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    offsets = torch.randn(40, generator=generator, dtype=torch.float64)
    removal = redundancy_order(normals, offsets, rho=0.2, block=block)
    order, costs = brute_force_order(normals, offsets, 0.2)
    assert removal.order.tolist() == order
    for unit, cost in costs.items():
        assert removal.cost[unit].item() == pytest.approx(cost, rel=1e-9)
    along = removal.cost[removal.order]
    assert (along.diff() >= 0).all()
    assert along[-1] > along[-2]


@pytest.mark.parametrize("seed", [26, 53, 107])
def test_costs_never_fall_along_the_order_though_distances_are_rounded(seed):
    """Of three that coincide a distance was taken once more, and came out as 0 in place of 6e-8."""
    generator = torch.Generator().manual_seed(seed)
    units, fan_in = 4 + seed % 5, 2 + seed % 3
    normals = torch.randn(units, fan_in, generator=generator)
    offsets = torch.randn(units, generator=generator)
    normals[1], offsets[1] = 2 * normals[0], 2 * offsets[0]
    normals[2], offsets[2] = normals[0], offsets[0]
    for block in (1, 2, 1024):
        removal = redundancy_order(normals, offsets, block=block)
        assert (removal.cost[removal.order].diff() >= 0).all()


def test_two_of_three_duplicates_go_never_all():
    normals = torch.tensor([[1.0, 2.0], [-2.0, -4.0], [3.0, 6.0], [5.0, -1.0]])
    removal = redundancy_order(normals, torch.zeros(4))
    assert removal.order[:2].tolist() == [0, 1]  # the weaker ones
    assert removal.cost[2] > 0.5


def test_a_layer_of_8192_units_needs_little_memory(monkeypatch):
    held = []
    rows_of = hyperplanes_module.distance_rows

    def noting(*arguments):
        distance = rows_of(*arguments)
        held.append(distance.numel())
        return distance

    monkeypatch.setattr(hyperplanes_module, "distance_rows", noting)
    normals = torch.randn(8192, 8, generator=torch.Generator().manual_seed(5))
    removal = redundancy_order(normals, torch.zeros(8192), block=64)
    assert sorted(removal.order.tolist()) == list(range(8192))
    assert max(held) == 64 * 8192


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_geometry_of_halves_is_that_of_the_same_numbers(dtype):
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(20, 9, generator=generator).to(dtype)
    offsets = torch.randn(20, generator=generator).to(dtype)
    for function in (hyperplane_distance,):
        found = function(normals, offsets)
        torch.testing.assert_close(found, function(normals.float(), offsets.float()))
    torch.testing.assert_close(spectrum(normals), spectrum(normals.float()))
    order = redundancy_order(normals, offsets).order
    assert torch.equal(order, redundancy_order(normals.float(), offsets.float()).order)
