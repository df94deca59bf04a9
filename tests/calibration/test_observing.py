"""Samples of rows, and the passes that take them."""

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.calibration import RowSample, channels_last, sample_rows
from splinelib.models import vgg16


@pytest.mark.parametrize("needed", [1, 30, 10_000])
@pytest.mark.parametrize("sizes", [[60], [1, 50, 9], [20, 20, 20]])
def test_a_sample_of_rows_does_not_depend_on_the_batches(needed, sizes):
    sample, found, start = RowSample(60, needed, seed=3), [], 0
    for size in sizes:
        rows = sample.next((size, 2, 4))
        assert ((rows >= 0) & (rows < size * 8)).all()
        found.append(rows + start)
        start += size * 8
    assert torch.equal(torch.cat(found), sample.rows)
    assert torch.equal(sample.rows, sample_rows(480, needed, seed=3))
    assert len(sample.rows.unique()) == min(needed, 480)


class Viewing(nn.Module):
    """Takes no activations whose channels lie side by side."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 2)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return self.head(x.view(len(x), -1))


def test_images_go_channels_last_where_the_model_takes_them():
    model, data = vgg16(width=0.125), torch.zeros(70, 3, 32, 32)
    assert channels_last(model, data).is_contiguous(memory_format=torch.channels_last)
    data = torch.randn(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert channels_last(Viewing(), data) is data
    rows = data[:, 0, 0, :2]
    assert channels_last(nn.Linear(2, 2), rows) is rows


@pytest.mark.parametrize("compensate", ["fold", "refit"])
def test_a_model_that_calls_view_is_pruned_all_the_same(compensate):
    model = Viewing()
    data = torch.randn(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    small = sl.prune(model, 0.25, "lsq", data=data, compensate=compensate)
    assert small.conv.out_channels == 3 and small(data).isfinite().all()
