"""Points where a network bends, added to a segment layer by layer."""

import numpy as np
import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.geometry.bending import Run
from splinelib.network.trace import record


@torch.no_grad()
def run_of(model, ends):
    run, graph = Run(ends, 100), record(model, ends)
    for node in graph.nodes:
        run.apply(node)
    return run, run.values[graph.output]


def test_a_unit_bends_where_its_value_is_zero():
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU()).double()
    model[0].weight.data[:], model[0].bias.data[:] = 2.0, -0.5
    run, outputs = run_of(model, torch.tensor([[0.0], [1.0]]).double())
    assert run.shares.tolist() == [0, 0.25, 1] and outputs.flatten().tolist() == [0, 0, 1.5]
    assert run.source.tolist() == [[-1, -1], [0, 0], [-1, -1]]
    assert [bits.tolist() for bits in run.codes()] == [[[False], [True]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("at", [0.1, 1 / 3, -0.3])
def test_a_unit_bends_where_float64_has_its_breakpoint(at, dtype):
    """Whatever the default type is: in float32 these numbers are others, by some 1e-8."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Threshold(at, at)).double()
    model[0].weight.data[:] = 1.0
    torch.set_default_dtype(dtype)
    try:
        run, _ = run_of(model, torch.tensor([[-1.0], [1.0]]).double())
    finally:
        torch.set_default_dtype(torch.float32)
    assert run.shares[1] == pytest.approx((1 + at) / 2, abs=1e-15)


def test_a_candidate_that_another_one_beats_bends_nothing():
    """Of x, 2 x - 0.5 and 3 x - 0.5 the second is never the largest; of the others one leads."""
    values = nn.Linear(1, 3).double()
    values.weight.data[:] = torch.tensor([[1.0], [2.0], [3.0]])
    values.bias.data[:] = torch.tensor([0.0, -0.5, -0.5])
    model = nn.Sequential(values, nn.Unflatten(1, (1, 3)), nn.MaxPool1d(3))
    run, outputs = run_of(model, torch.tensor([[0.0], [1.0]]).double())
    assert run.shares.tolist() == [0, 0.25, 1] and outputs.flatten().tolist() == [0, 0.25, 2.5]


def test_what_float64_cannot_tell_is_refused():
    """Two units that bend a few rounding errors apart."""
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU()).double()
    model[0].weight.data[:] = torch.tensor([[1.0], [1.0]])
    model[0].bias.data[:] = torch.tensor([-0.5, -0.5 + 2e-14], dtype=torch.float64)
    ends = torch.tensor([0.0]), torch.tensor([1.0])
    with pytest.raises(sl.UndecidablePartition, match="near 0 of the way"):
        sl.segment(model, *ends)
    model[0].bias.data[1] = -0.5 + 1e-10
    assert np.allclose(np.diff(sl.segment(model, *ends).breakpoints)[1], 1e-10, rtol=1e-3)
