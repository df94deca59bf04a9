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
