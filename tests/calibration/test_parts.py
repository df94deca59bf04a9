"""Parts of rows that a fit is tried on."""

import pytest
import torch

from splinelib.calibration.parts import in_part, parts_tried


@pytest.mark.parametrize("count", [2, 3, 5, 40, 1024])
def test_each_of_few_rows_is_in_one_part_that_is_tried(count):
    parts = [in_part(part, count, count) for part in parts_tried(count)]
    assert len(parts) == min(4, count)
    assert torch.stack(parts).sum(0).eq(1).all() and all(map(torch.any, parts))


def test_of_many_rows_a_quarter_is_tried_in_stretches():
    (part,) = parts_tried(4000)
    tried = in_part(part, 4000, 4000)
    assert tried.sum() == 1000 and tried[300:400].all() and not tried[:300].any()
    chunks = [in_part(part, 700, 4000, start) for start in range(0, 3500, 700)]
    assert torch.equal(torch.cat(chunks), tried[:3500])
