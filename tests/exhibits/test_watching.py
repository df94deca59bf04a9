"""A run of the page as the rules see it: detectors made of distances worked by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from shown import rows

import splinelib as sl
from splinelib.exhibits import watching


def codes_rule(distances, per_layer=()):
    """What a detector that looks back one epoch has to say of these distances to the one before."""
    threshold, epochs = 0.16, len(distances) + 1
    return SimpleNamespace(
        threshold=threshold,
        lookback=1,
        distances=[float("nan"), *distances],
        per_layer=[{}, *per_layer],
        matrix=0.5 * (1 - np.eye(epochs)),
        epoch=next((e for e, d in enumerate(distances, 1) if d < threshold), None),
    )


def masks_rule(*distances):
    rule = sl.MaskEarlyBird(queue=2)
    seen = [[], *([d] for d in distances)]
    rule.load_state_dict({"threshold": 0.1, "queue": 2, "rows": seen, "masks": []})
    return rule


CODES = [codes_rule([0.32, 0.08, 0.08])]
MASKS = {("bn", 0.5): [masks_rule(0.2, 0.2, 0.1)], ("bn", 0.7): [masks_rule(0.2, 0.2, 0.2)]}


def test_when_the_rules_fire():
    assert rows(watching.firing(CODES * 2, {key: rules * 2 for key, rules in MASKS.items()}))[
        1:
    ] == [
        ["codes", "3, 3", "3, 3"],
        ["bn (mask)", "4, 4", "never, never"],
    ]
    assert "of 4 epochs" in watching.firing(CODES, MASKS).caption


def test_distances_in_units_of_the_threshold():
    shown = watching.against_threshold(CODES, MASKS, ratio=0.5)
    assert shown.alt.endswith("codes: 3; bn (mask): 4.")
    assert "masks at 50 %, 1 seeds" in shown.caption
    assert watching.against_threshold(CODES, MASKS, ratio=0.7).alt.endswith("bn (mask): never.")
    with pytest.raises(ValueError, match="1 epochs are too few"):
        watching.against_threshold([codes_rule([])], {})


def test_layers_are_told_by_what_they_moved():
    layers = [{"a": 0.4, "b": 0.2, "c": 0.2, "d": 0.0}, {"a": 0.2, "b": 0.0, "c": 0.0, "d": 0.2}]
    shown = watching.layers_moved(codes_rule([0.2, 0.1], layers), chance=0.5)
    assert "layer 1 from 0.40 to 0.20" in shown.alt and "layer 4 from 0.00 to 0.20" in shown.alt
    assert shown.alt.endswith("layer 4 0.10, mean of all 0.15.")
    with pytest.raises(ValueError, match="two or more"):
        watching.layers_moved(codes_rule([]))


def test_a_partition_while_it_is_learned():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    part = sl.partition(net, domain=((-1, 1), (-1, 1)))
    shown = watching.partition_learned(
        {0: part, 2: part}, {2: 0.25}, [0, 2], {0: 0.4, 2: 0.0}, "A caption."
    )
    regions = f"{len(part)} regions"
    assert f"After 0 epochs: lines of all layers and the decision boundary on the square; {regions}"
    assert f"{regions}, before training, 0.400 from the last." in shown.markup
    assert f"{regions}, loss 0.250, 0.000 from the last." in shown.markup


def test_a_watcher_keeps_what_every_epoch_was_like():
    digits = torch.rand(8, 4), torch.arange(8) % 2
    model = sl.models.mlp([4, 6, 2], seed=0)
    watcher = watching.Watcher(digits[0], digits, ("magnitude", "spline"), (0.5,))
    sl.training.train(model, digits, epochs=3, batch_size=8, on_epoch=watcher, progress=False)
    assert len(watcher.codes.distances) == len(watcher.models) == len(watcher.accuracy) == 3
    assert set(watcher.rules) == {("magnitude", 0.5), ("spline", 0.5)}
    (mask,) = watcher.masks["magnitude", 0.5, 3].values()
    assert int(mask.sum()) == 3
    last = sl.models.mlp([4, 6, 2])
    last.load_state_dict(watcher.models[2])
    (asked,) = sl.select(sl.score(last, "magnitude", example=digits[0][:1]), 0.5).values()
    assert mask.tolist() == asked.tolist()
    assert not torch.equal(watcher.models[0]["linear1.weight"], last.linear1.weight)
