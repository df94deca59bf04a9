"""Partitions drawn."""

import numpy as np
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


def test_large_partitions_become_pixels(part, monkeypatch):
    vector = plotting.partition(part, "A partition.").svg
    monkeypatch.setattr(partitions, "_RASTER_REGIONS", 1)
    raster = plotting.partition(part, "A partition.").svg
    assert "data:image/png" in raster and "data:image/png" not in vector
    assert "#51c0" not in raster
