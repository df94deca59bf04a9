"""Which units stay."""

import warnings

import pytest
import torch
from networks import convnet, dense_mlp, images

import splinelib as sl


def scores_of(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {f"g{i}": torch.rand(n, generator=generator) for i, n in enumerate(sizes)}


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("ratio", [0, 0.1, 0.25, 0.333, 0.5, 0.71, 0.9])
def test_ratio_is_honoured_to_the_unit(scope, ratio):
    scores = scores_of(7, 33, 64, 5, 128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks = sl.select(scores, ratio, scope)
    assert masks.units - masks.kept == int(ratio * 237 + 0.5)
    for name, mask in masks.items():
        assert mask.any()
        assert mask.dtype == torch.bool
        if not mask.all():  # the lowest go
            assert scores[name][~mask].max() <= scores[name][mask].min()


def test_layerwise_shares_are_even():
    scores = scores_of(7, 33, 64, 5, 128)
    masks = sl.select(scores, 0.4, "layerwise")
    for name, mask in masks.items():
        assert abs(int((~mask).sum()) - 0.4 * len(scores[name])) < 1


def test_a_layer_keeps_its_best_unit_and_says_so():
    scores = {"low": torch.tensor([0.1, 0.3, 0.2]), "high": torch.tensor([1.0, 2.0, 3.0])}
    with pytest.warns(UserWarning, match="'low'.*keeps its best"):
        masks = sl.select(scores, 0.5)
    assert masks["low"].tolist() == [False, True, False]
    assert masks["high"].tolist() == [False, True, True]
    with pytest.warns(UserWarning, match="'one'"):
        masks = sl.select({"one": torch.rand(1), "many": torch.rand(3)}, 0.25 + 0.25)
    assert (masks["one"].sum(), masks["many"].sum()) == (1, 1)


def test_too_high_a_ratio_is_refused_with_the_highest_possible():
    with pytest.raises(ValueError, match=r"at most 4 can go \(a ratio of 0\.6667\)"):
        sl.select({"a": torch.rand(3), "b": torch.rand(3)}, 0.84)


def test_ties_fall_the_same_way_each_time():
    scores = {"a": torch.zeros(4), "b": torch.zeros(4)}
    for scope, expected in (
        ("global", [[False, False, False, True], [True] * 4]),
        ("layerwise", [[False, False, True, True], [False, True, True, True]]),
    ):
        masks = sl.select(scores, 0.375, scope)
        assert [mask.tolist() for mask in masks.values()] == expected


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("step", [2, 8, 16])
@pytest.mark.parametrize("ratio", [0, 0.1, 0.3, 0.5, 0.6])
def test_channels_in_whole_steps_at_nearly_the_ratio(scope, step, ratio):
    scores = scores_of(7, 33, 64, 5, 128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        free, masks = sl.select(scores, ratio, scope), sl.select(scores, ratio, scope, step)
    assert abs(masks.kept - free.kept) <= step / 2
    for name, mask in masks.items():
        assert mask.all() or mask.sum() % step == 0
        assert mask.any()
        if not mask.all():  # the lowest go
            assert scores[name][~mask].max() <= scores[name][mask].min()


def test_whole_steps_that_cannot_be_had_are_refused():
    scores = scores_of(24, 24)
    masks = sl.select(scores, 0.5, "layerwise", round_to=8)
    assert sorted(int(mask.sum()) for mask in masks.values()) == [8, 16]
    with pytest.raises(ValueError, match=r"at least 8 units.*highest ratio here is 0\.6667"):
        sl.select(scores, 0.8, round_to=8)
    for wrong in (0, 1.5, True, "8"):
        with pytest.raises(ValueError, match="round_to"):
            sl.select(scores, 0.5, round_to=wrong)
        with pytest.raises(ValueError, match="round_to"):
            sl.prune(convnet(), 0.5, example=images(1), round_to=wrong)
    small = sl.prune(convnet(), 0.4, example=images(1), round_to=4)
    kept = sl.select(sl.score(convnet(), example=images(1)), 0.4, round_to=4)
    assert [int(mask.sum()) for mask in kept.values()] == [small[i].out_channels for i in (0, 3, 6)]


@pytest.mark.parametrize(
    ("ratio", "error"),
    [
        *((ratio, ValueError) for ratio in (1, -0.1, 1.5, float("nan"))),
        *((ratio, TypeError) for ratio in ("half", True, None)),
    ],
)
def test_ratios_outside_are_refused(ratio, error):
    with pytest.raises(error, match="ratio"):
        sl.select(scores_of(4), ratio)
    with pytest.raises(error, match="ratio"):
        sl.prune(dense_mlp(), ratio, example=torch.zeros(1, 6))


def test_a_selection_that_takes_nothing_says_so():
    scores = {"a": torch.arange(8.0), "b": torch.arange(5.0)}
    with pytest.warns(UserWarning, match="round_to=16 every group keeps.*the largest has 8"):
        masks = sl.select(scores, 0.5, round_to=16)
    assert masks.kept == 13
    with pytest.warns(UserWarning, match="a ratio of 0.01 of 13 units is less than half a unit"):
        sl.select(scores, 0.01)
