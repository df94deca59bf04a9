"""Wrong requests are refused before any work."""

import pytest
import torch
from networks import convnet, images

import splinelib as sl
from splinelib.pruning import choices
from splinelib.pruning import pruner as module


def test_other_bad_input():
    with pytest.raises(TypeError, match="tensor"):
        sl.score(convnet(), data=[1, 2])
    with pytest.raises(ValueError, match="no scope"):
        sl.prune(convnet(), 0.5, example=images(1), scope="local")
    with pytest.raises(ValueError, match="no compensation"):
        sl.prune(convnet(), 0.5, data=images(2), compensate="magic")
    for options in ({"compensate": "refit"}, {"scope": "residual"}):
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


@pytest.mark.parametrize("request_", [{"scope": "residual"}, {"compensate": "fold"}])
def test_without_data_what_needs_them_is_refused(network, request_):
    pruner = sl.Pruner(network, example=torch.zeros(1, 3, 8, 8))
    assert pruner.prune(0.5)[0].out_channels < 12
    with pytest.raises(ValueError, match="pass data="):
        pruner.prune(0.5, **request_)


def labelled(data):
    return {"data": data, "labels": torch.arange(len(data)) % 3}


@pytest.mark.parametrize(
    ("given", "way"),
    [
        (lambda data: {"example": data[:1]}, ("bend", "global", "merge")),
        (lambda data: {"data": data}, ("lsq", "residual", "refit")),
        (labelled, ("lsq", "residual", "distil")),
    ],
    ids=["neither", "data", "labels"],
)
def test_what_is_left_out_is_the_best_way_known(network, data, given, way):
    criterion, scope, compensate = way
    options = {**given(data), "seed": 1}
    named = sl.prune(network, 0.4, criterion, scope, compensate=compensate, **options).state_dict()
    best = sl.prune(network, 0.4, **options).state_dict()
    assert all(torch.equal(best[name], value) for name, value in named.items())
    pruner = sl.Pruner(network, **options).prune(0.4).state_dict()
    assert all(torch.equal(pruner[name], value) for name, value in named.items())


def test_a_criterion_that_is_named_is_judged_as_it_is(network, data):
    alone = sl.prune(network, 0.4, "spline", data=data).state_dict()
    scores = sl.score(network, "spline", data=data)
    cut = sl.shrink(network, sl.select(scores, 0.4, "global"), data[:1]).state_dict()
    assert all(torch.equal(alone[name], value) for name, value in cut.items())


@pytest.mark.parametrize(
    ("given", "way"),
    [
        (("spline", None, None), ("spline", "global", False)),
        (("spline", "residual", "fold"), ("spline", "residual", "fold")),
        (("magnitude", None, True), ("magnitude", "global", True)),
        ((None, None, None), choices.WITH_DATA),
        ((None, "layerwise", None), ("lsq", "layerwise", "refit")),
        ((None, None, False), ("lsq", "residual", False)),
    ],
)
def test_what_is_named_stays(given, way):
    assert choices.way_of(*given, choices.WITH_DATA) == way


def test_true_is_the_best_compensation_for_what_is_given(data):
    assert choices.checked_compensation(True, data) == "refit"
    assert choices.checked_compensation(True, None) == "merge"
    assert choices.checked_compensation(False, None) is False
