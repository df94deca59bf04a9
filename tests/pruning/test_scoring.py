"""Scores."""

import pytest
import torch
from networks import convnet, images

import splinelib as sl
from splinelib import pruning


def test_common_residual_keeps_the_order_of_the_criterion():
    model, data = convnet(), images(200)
    scores = sl.score(model, "magnitude", data=data)
    shared = pruning.common_residual(model, scores, data)
    for name in scores:
        order = scores[name].argsort(stable=True)
        assert (shared[name][order].diff() >= 0).all()
    lsq = sl.score(model, "lsq", data=data)
    again = pruning.common_residual(model, lsq, data)
    for name in lsq:
        torch.testing.assert_close(again[name], lsq[name])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"criterion": "beauty", "example": images(1)}, "no criterion 'beauty'.*'spline'"),
        ({}, "pass data="),
        ({"criterion": "lsq", "example": images(1)}, "calibration"),
        ({"data": images(0)}, "row per input"),
        ({"data": images(2) * torch.nan}, "NaN"),
        ({"data": torch.randn(4, 7)}, "does not take inputs"),
        ({"data": (images(2) * 20).to(torch.uint8)}, "uint8"),
    ],
)
def test_bad_input_to_score(options, match):
    with pytest.raises(ValueError, match=match):
        sl.score(convnet(), **options)
    with pytest.raises(ValueError, match=match):
        sl.prune(convnet(), 0.5, **options)
