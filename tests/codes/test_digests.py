"""Numbers that tell inputs apart."""

import pytest
import torch

from splinelib.codes import digests as module


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.bfloat16])
def test_digests_tell_rows_apart_and_ignore_how_they_are_held(dtype, monkeypatch):
    x = (torch.rand(200, 3, 5, 7) * 4).floor().to(dtype)  # few values: most bits are the same
    x = torch.unique(x, dim=0)
    digests = module.digests(x)
    assert len(torch.unique(digests)) == len(x)
    assert torch.equal(module.digests(x.contiguous(memory_format=torch.channels_last)), digests)
    assert torch.equal(module.digests(x[3:5]), digests[3:5])
    swapped = x.clone()
    swapped[:, 0, 0, 0], swapped[:, 0, 0, 1] = x[:, 0, 0, 1], x[:, 0, 0, 0]
    differ = (swapped != x).flatten(1).any(1)
    assert torch.equal(module.digests(swapped) != digests, differ)
    assert differ.any()
    monkeypatch.setattr(module, "_AT_ONCE", 1000)
    assert torch.equal(module.digests(x), digests)


def test_digests_of_a_single_column_of_any_stride():
    column = torch.rand(6, 1, dtype=torch.float64)
    for view in (column.expand(6, 1).as_strided((6, 1), (1, 0)), column.t().contiguous().t()):
        assert torch.equal(module.digests(view), module.digests(column))
