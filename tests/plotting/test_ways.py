"""Networks at stages of their way: what the page holds of them, and what is refused."""

import json
import re

import numpy as np
import pytest
import torch
from networks import random_network

import splinelib as sl
from splinelib.plotting import stages

COUNTS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def model():
    return random_network([5, 4], 4, outputs=2).double()


def silenced(model, units):
    masks = {"0": torch.ones(5, dtype=torch.bool), "2": torch.ones(4, dtype=torch.bool)}
    masks["0"][list(units)] = False
    return sl.apply_masks(model, masks, torch.zeros(1, 2, dtype=torch.float64))


@pytest.fixture(scope="module")
def ways(model):
    orders = {"first": (0, 1, 2), "last": (4, 3, 2)}
    return {name: [silenced(model, order[:n]) for n in COUNTS] for name, order in orders.items()}


def shown(ways, start=1, **changes):
    given = {
        "ways": {name: [sl.models.to_json(m) for m in models] for name, models in ways.items()},
        "parts": {name: sl.partition(models[start % 4]) for name, models in ways.items()},
        "values": COUNTS,
        "label": "units removed",
        "alt": "Two squares.",
        "start": start,
    }
    return stages(**given | changes)


def data(figure) -> dict:
    return json.loads(re.search(r"json\">(.*?)</script>", figure.markup, re.S)[1])


def test_a_stage_is_written_as_what_it_changes(ways):
    given = data(shown(ways))
    for (name, models), way in zip(ways.items(), given["ways"], strict=True):
        assert way["name"] == name and "layers" in way["stages"][0]
        numbers = [p.detach().flatten().numpy() for p in models[0].parameters()]
        flat = np.concatenate(numbers)
        for stage, after in zip(way["stages"][1:], models[1:], strict=True):
            assert len(stage["at"]) <= 2 + 1 + 4
            flat[stage["at"]] = stage["to"]
            expected = [p.detach().flatten().numpy() for p in after.parameters()]
            assert np.array_equal(flat, np.concatenate(expected))


def test_networks_of_other_shapes_are_written_whole(model):
    ways = {"one": [model, random_network([3, 4], 1, outputs=2).double()]}
    (way,) = data(shown(ways, values=["5", "3"], start=0))["ways"]
    assert ["layers" in stage for stage in way["stages"]] == [True, True]


def test_facts_stand_there_without_scripts(ways, model):
    points = torch.rand(50, 2, dtype=torch.float64) * 2 - 1
    labels = torch.arange(50) % 2
    figure = shown(ways, points=points, labels=labels, dense=sl.partition(model), color="code")
    for models in ways.values():
        right = (models[1](points).argmax(1) == labels).double().mean().item()
        assert f"{len(sl.partition(models[1]))} regions, {right:.1%} right" in figure.markup
    assert figure.markup.count("stroke-dasharray") == 2
    assert 'aria-label="Two squares. first."' in figure.markup


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": ("0", "1")}, "a network for each of the 2 values"),
        ({"start": 7}, "start is the index of one of 4 values"),
        ({"parts": {}}, "parts must name the same ways"),
        ({"alt": ""}, "alt must say"),
        ({"points": torch.zeros(3, 2), "labels": torch.tensor([0, 1, 2])}, "labels must be 0 or 1"),
        ({"points": torch.zeros(3, 3), "labels": torch.zeros(3)}, "the shapes"),
    ],
)
def test_bad_input_is_named(ways, changes, message):
    with pytest.raises(ValueError, match=message):
        shown(ways, **changes)


def test_a_partition_of_another_stage_is_refused(ways):
    wrong = {name: sl.partition(models[3]) for name, models in ways.items()}
    with pytest.raises(ValueError, match="not the partition of this network"):
        shown(ways, parts=wrong)
    other = {name: sl.partition(m[1]) for name, m in ways.items()}
    other["last"] = sl.partition(ways["last"][1], domain=((0, 1), (0, 1)))
    with pytest.raises(ValueError, match="must lie on one square"):
        shown(ways, parts=other)
