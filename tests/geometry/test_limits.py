"""Too many regions are refused before they are made."""

import numpy as np
import pytest
import torch
from networks import network, random_network

import splinelib as sl
from splinelib.geometry import limits


def test_more_regions_than_allowed_are_refused():
    limits.check_regions(50, 50, layer=0)
    with pytest.raises(sl.RegionLimitExceeded, match="layer 3 makes about 1,001 regions or more"):
        limits.check_regions(1001, 1000, layer=3)
    with pytest.raises(sl.RegionLimitExceeded, match="raise max_regions"):
        sl.partition(random_network([64, 64]), max_regions=50)
    with pytest.raises(sl.RegionLimitExceeded, match="1,001 regions or more"):
        parallel = [([[1, 0]] * 1000, np.linspace(-0.9, 0.9, 1000).tolist()), ([[1] * 1000], [0])]
        sl.partition(network(parallel), max_regions=900)


def test_lines_that_cross_too_often_are_refused_before_the_crossings_are_made(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    wide = [(torch.randn(60, 2, generator=generator).tolist(), [0.1] * 60), ([[1] * 60], [0])]
    bundle = [(wide[0][0], [0] * 60), wide[1]]
    # Through one point, as many pairs of lines make few regions, and the limit is for regions.
    assert len(sl.partition(network(bundle), max_regions=120)) == 120
    with pytest.raises(sl.RegionLimitExceeded, match="makes about"):
        sl.partition(network(wide), max_regions=120)
    monkeypatch.setattr(limits, "MAX_PAIRS", 0)
    with pytest.raises(sl.RegionLimitExceeded, match=r"cross each other 1,\d+ times"):
        sl.partition(network(wide), max_regions=120)


@pytest.mark.parametrize("seed", range(5))
def test_a_limit_of_as_many_regions_as_there_are_is_one_that_holds(seed):
    """Whole numbers: lines coincide, and more than two of them meet in a point."""
    rng = np.random.default_rng(seed)
    first = rng.integers(-2, 3, (12, 2)).tolist(), rng.integers(-1, 2, 12).tolist()
    second = rng.integers(-2, 3, (6, 12)).tolist(), rng.integers(-1, 2, 6).tolist()
    model = network([first, second, ([[1] * 6], [0])])
    regions = len(sl.partition(model))
    assert len(sl.partition(model, max_regions=regions)) == regions > 10
    with pytest.raises(sl.RegionLimitExceeded):
        sl.partition(model, max_regions=regions - 1)


def test_lines_that_run_through_too_many_regions_are_refused_before_they_are_cut(monkeypatch):
    model = network([([[1, 0]] * 100, [0.5] * 100), ([[1] * 100], [0])])
    assert len(sl.partition(model, max_regions=2)) == 2  # all lines are one
    monkeypatch.setattr(limits, "MAX_LINES", 0)
    with pytest.raises(sl.RegionLimitExceeded, match="through regions 100 times"):
        sl.partition(model, max_regions=2)


def test_a_way_that_would_not_fit_into_memory_is_refused(monkeypatch):
    net, ends = random_network([64, 64]), (torch.tensor([-3.0, -3.0]), torch.tensor([3.0, 2.0]))
    regions = len(sl.segment(net, *ends).breakpoints) - 1
    assert regions > 20
    # four times a layer's 64 units, and 64 values twice, of 8 bytes, at each point
    needed = 8 * 6 * 64 * (regions + 1)
    monkeypatch.setattr(limits, "physical_memory", lambda: 2 * needed)
    assert len(sl.segment(net, *ends).breakpoints) == regions + 1
    monkeypatch.setattr(limits, "physical_memory", lambda: needed)
    with pytest.raises(sl.RegionLimitExceeded, match="GB at once, more than half of the memory"):
        sl.segment(net, *ends)


def test_where_the_system_does_not_tell_its_memory_all_fits(monkeypatch):
    assert limits.physical_memory() > 1e8
    monkeypatch.delattr(limits.os, "sysconf")
    assert limits.physical_memory() == float("inf")
    limits.check_memory(10**18, regions=1, layer=0)
