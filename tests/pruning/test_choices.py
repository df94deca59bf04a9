"""Wrong requests are refused before any work."""

import pytest
import torch
from networks import convnet, images

import splinelib as sl
from splinelib.pruning import pruner as module


def test_other_bad_input():
    with pytest.raises(TypeError, match="tensor"):
        sl.score(convnet(), data=[1, 2])
    with pytest.raises(ValueError, match="no scope"):
        sl.prune(convnet(), 0.5, example=images(1), scope="local")
    with pytest.raises(ValueError, match="no compensation"):
        sl.prune(convnet(), 0.5, data=images(2), compensate="magic")
    for options in ({"compensate": True}, {"scope": "residual"}):
        with pytest.raises(ValueError, match="pass data="):
            sl.prune(convnet(), 0.5, example=images(1), **options)
    broken = convnet()
    broken[0].weight.data[0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        sl.score(broken, example=images(1))
    for scores in ({}, {"a": torch.rand(2, 2)}, {"a": torch.tensor([1.0, torch.nan])}):
        with pytest.raises(ValueError, match="scores"):
            sl.select(scores, 0.5)


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        ({"ratio": 1.0}, "ratio"),
        ({"ratio": 0.5, "criterion": "nonsense"}, "'spline'"),
        ({"ratio": 0.5, "scope": "everywhere"}, "'residual'"),
        ({"ratio": 0.5, "compensate": "hope"}, "'distil'"),
        ({"ratio": 0.5, "round_to": 0}, "round_to"),
    ],
)
def test_a_bad_request_is_refused_before_any_work(network, data, monkeypatch, request_, match):
    pruner = sl.Pruner(network, data)

    def never(*_):
        raise AssertionError("scored")

    monkeypatch.setattr(module, "group_scores", never)
    with pytest.raises(ValueError, match=match):
        pruner.prune(**request_)


@pytest.mark.parametrize("request_", [{"scope": "residual"}, {"compensate": True}])
def test_without_data_what_needs_them_is_refused(network, request_):
    pruner = sl.Pruner(network, example=torch.zeros(1, 3, 8, 8))
    assert pruner.prune(0.5)[0].out_channels < 12
    with pytest.raises(ValueError, match="pass data="):
        pruner.prune(0.5, **request_)
