"""Partitions drawn."""

import numpy as np
import pytest
import torch

import splinelib as sl
from splinelib import plotting
from splinelib.plotting import partitions


def test_a_fill_stays_with_its_code_when_the_network_moves():
    """A widget would flicker otherwise: a code has the same colour in any partition."""
    network = sl.models.mlp([2, 4, 1], seed=0)
    colours = {}
    for shift in (0.0, 0.05):
        with torch.no_grad():
            network.linear1.bias += shift
        part = sl.partition(network, domain=((-2, 2), (-2, 2)))
        hue = np.arctan2(*partitions._code_plane(part).T)
        for row, value in zip(part.codes.unpack("linear1").tolist(), hue, strict=True):
            colours.setdefault(tuple(row), []).append(value)
    shared = [values for values in colours.values() if len(values) == 2]
    assert len(shared) > 3
    assert all(np.isclose(*values) for values in shared)


def test_pictures_that_are_seen_in_turn_have_one_colour_for_a_code():
    """Also where most units of a layer are silent in one of them, or strong colours are in one."""
    network = sl.models.mlp([2, 8, 1], seed=0)
    parts = []
    for silent in (0, 5, 6):
        with torch.no_grad():
            network.linear1.weight[:silent], network.linear1.bias[:silent] = 0, -1
        parts.append(sl.partition(network, domain=((-2, 2), (-2, 2))))
    colours = {}
    for part in parts:
        fills = partitions._region_colours(part, "code", parts)
        for code, fill in zip(part.codes.unpack("linear1").tolist(), fills.tolist(), strict=True):
            colours.setdefault(tuple(code), []).append(fill)
    twice = [fills for fills in colours.values() if len(fills) > 1]
    assert twice and all(fill == fills[0] for fills in twice for fill in fills)
    alone = [partitions._region_colours(part, "code") for part in parts]
    together = [partitions._region_colours(part, "code", parts) for part in parts]
    assert any(not np.array_equal(*pair) for pair in zip(alone, together, strict=True))


def test_networks_with_other_layers_are_not_seen_in_turn(part):
    other = sl.partition(sl.models.mlp([2, 3, 3, 3, 1]), domain=((-1, 1), (-1, 1)))
    with pytest.raises(ValueError, match="equal layers"):
        partitions._region_colours(part, "code", [part, other])


def test_large_partitions_become_pixels(part, monkeypatch):
    vector = plotting.partition(part, "A partition.").svg
    monkeypatch.setattr(partitions, "_RASTER_REGIONS", 1)
    raster = plotting.partition(part, "A partition.").svg
    assert "data:image/png" in raster and "data:image/png" not in vector
    assert "#51c0" not in raster
