"""Networks as they are recorded for bounding, and which are refused."""

import pytest
import torch
from bounded import Function
from networks import random_network
from torch import nn

import splinelib as sl
from splinelib.bounds.box import Box
from splinelib.bounds.recorded import in_float64, recorded

BOX = Box(torch.zeros(1, 2).double(), torch.ones(1, 2).double())


def test_in_float64_whatever_the_model_is():
    model = random_network([3])
    graph = recorded(model, BOX)
    assert set(graph.dtypes.values()) == {torch.float64}
    assert model[0].weight.dtype == torch.float32
    assert in_float64(torch.tensor([3])).dtype == torch.int64


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"give low\[None\]"):
        recorded(nn.Linear(3, 1), BOX)
    with pytest.raises(ValueError, match=r"computes in torch\.float32"):
        recorded(nn.Sequential(nn.Linear(2, 2), Function(lambda h: h.float())), BOX)
    with pytest.raises(sl.NotPiecewiseAffine, match="gelu"):
        recorded(nn.Sequential(nn.Linear(2, 2), nn.GELU()), BOX)
    with pytest.raises(TypeError, match="expected one tensor"):
        recorded(Function(lambda x: (x, x)), BOX)
    with pytest.raises(sl.NotPiecewiseAffine, match=r"first dimension"):
        recorded(
            Function(lambda x: x + x.sum(0, keepdim=True)),
            Box(*(torch.rand(2, 2, 2).double().sort(0)[0])),
        )
    for moves in (lambda h: h.t().relu().t(), lambda h: h.reshape(-1, 2).relu().reshape(-1, 4)):
        with pytest.raises(sl.NotPiecewiseAffine, match="first dimension"):
            recorded(nn.Sequential(nn.Linear(2, 4), Function(moves)), BOX)
    for mixes in (lambda h: h.expand(2, *h.shape)[0], lambda h: h.roll(1, 0), lambda h: h + h[0]):
        with pytest.raises(sl.NotPiecewiseAffine, match=r"first dimension|rows of a batch"):
            recorded(nn.Sequential(nn.Linear(2, 4), Function(mixes)), BOX)
    broken = random_network([3])
    broken[0].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        recorded(broken, BOX)
