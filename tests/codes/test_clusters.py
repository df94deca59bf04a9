"""Inputs grouped by the bits of their codes."""

import pytest
import torch

from splinelib.codes import RegionCodes, code_clusters


def codes_of(*rows):
    return RegionCodes.from_bool({"a": torch.tensor(rows, dtype=torch.bool)})


def test_codes_that_differ_little_are_together():
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(3, 64, generator=generator) > 0.5
    truth = torch.arange(60) % 3
    bits = centres[truth] ^ (torch.rand(60, 64, generator=generator) < 0.05)
    found = code_clusters(RegionCodes.from_bool({"a": bits}), 3)
    assert len({(int(a), int(b)) for a, b in zip(found, truth, strict=True)}) == 3
    assert torch.equal(found, code_clusters(RegionCodes.from_bool({"a": bits}), 3))


def test_only_the_layers_that_are_named_count():
    left = torch.tensor([[0], [0], [1], [1]], dtype=torch.bool)
    right = torch.tensor([[0, 0], [1, 1], [0, 0], [1, 1]], dtype=torch.bool)
    codes = RegionCodes.from_bool({"left": left, "right": right})
    one, two = code_clusters(codes, 2, ["left"]), code_clusters(codes, 2, ["right"])
    assert one[0] == one[1] != one[2] and two[0] == two[2] != two[1]


def test_clusters_without_members_are_refused():
    with pytest.raises(ValueError, match=r"2 different codes.*without members"):
        code_clusters(codes_of([0, 1], [0, 1], [1, 1]), 3)
    with pytest.raises(ValueError, match="positive"):
        code_clusters(codes_of([0, 1]), 0)
