"""Who earned the accuracy."""

import itertools

import numpy as np
import pytest
import torch

from splinelib import experiments
from splinelib.experiments import earnings, oneshot


def test_series_over_networks_has_what_all_of_them_have(folder):
    entries = oneshot.records(folder)[0]["entries"]
    fewer = [e for e in entries if e["ratio"] == 0.8 or e["criterion"] == "snip"]
    ratios, accuracy = earnings.series([entries, fewer], "layerwise")["magnitude"]
    assert ratios == [0.8] and accuracy.shape == (2, 1) and accuracy[0] == accuracy[1]
    without = [e for e in entries if e["criterion"] != "magnitude"]
    assert not earnings.series([entries, without], "layerwise")


@pytest.mark.parametrize("steps", ["ab", "abc", "abcd"])
def test_a_split_adds_up_and_gives_nothing_for_nothing(steps):
    generator = torch.Generator().manual_seed(0)
    others = steps[:-1]  # the last step never changes anything
    worth = {
        frozenset(some): torch.rand(3, generator=generator).numpy()
        for size in range(len(others) + 1)
        for some in itertools.combinations(others, size)
    }
    accuracy = worth | {some | {steps[-1]}: value for some, value in worth.items()}
    parts = earnings.split(accuracy)
    whole = accuracy[frozenset(steps)] - accuracy[frozenset()]
    assert sum(parts.values()) == pytest.approx(whole)
    assert parts[steps[-1]] == pytest.approx(0)
    # Steps that are worth the same get the same.
    same = {frozenset(some): len(some) / 10 for some in accuracy}
    assert list(earnings.split(same).values()) == pytest.approx([0.1] * len(steps))


def test_a_split_goes_by_the_sequences_that_are_known():
    nothing, a, b, both = map(frozenset, ["", "a", "b", "ab"])
    assert earnings.split({nothing: 0.1, a: 0.3, both: 0.4}) == pytest.approx({"a": 0.2, "b": 0.1})
    for unknown in ({}, {nothing: 0.1}, {nothing: 0.1, both: 0.4}, {a: 0.1, b: 0.2, both: 0.3}):
        with pytest.raises(ValueError, match="no sequence leads"):
            earnings.split(unknown)


def test_contributions_lead_from_random_to_everything():
    def entry(name, variant, ratio, accuracy):
        ticket = experiments.Ticket.parse(name + variant, ratio)
        shown = {key: getattr(ticket, key) for key in ("criterion", "scope", "compensate", "ratio")}
        return shown | {"accuracy": accuracy}

    worth = {  # worked by hand: the order earns 0.1 first, 0.02 and 0.06 later
        "random": (0.2, 0.6, 0.7),
        "bn": (0.3, 0.62, 0.76),
        "l2": (0.1,),
    }
    run = [
        entry(name, variant, ratio, value)
        for name, values in worth.items()
        for variant, value in zip(oneshot.VARIANTS, values, strict=False)
        for ratio in (0.5, 0.7)
    ]
    ratios, earned = earnings.contributions([run, run])
    assert ratios == [0.5, 0.7] and list(earned) == ["random", "bn"]
    assert list(earned["bn"]) == sorted(earnings.STEPS)
    by_hand = {"order": 0.06, "refit": (0.32 + 0.4 + 0.4) / 3, "share": (0.14 + 0.14 + 0.1) / 3}
    for step, value in by_hand.items():
        assert earned["bn"][step] == pytest.approx(np.full((2, 2), value))
    assert earned["random"]["order"] == pytest.approx(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="start from a random order"):
        earnings.contributions([[e for e in run if e["criterion"] != "random"]])


def test_records_of_several_seeds_stand_together():
    names = ["digits-mlp-w1-e4-s0", "digits-mlp-w1-e8-s0", "digits-mlp-w1-e4-s1"]
    groups = earnings.across_seeds([{"name": name} for name in names])
    assert [[record["name"] for record in group] for group in groups] == [
        ["digits-mlp-w1-e4-s0", "digits-mlp-w1-e4-s1"],
        ["digits-mlp-w1-e8-s0"],
    ]


def test_entries_of_one_network_stand_by_seed():
    def record(name, *seeds, width=1.0):
        entries = [{"seed": seed, "at": at} for at in range(2) for seed in seeds]
        return {"name": name, "settings": {"width": width}, "entries": entries}

    found = earnings.entries_by_seed([record("a", 0, 2), record("b", 1)])
    assert list(found) == [0, 2, 1]
    assert found[2] == [{"seed": 2, "at": 0}, {"seed": 2, "at": 1}]
    for group, why in (
        ([], "a record at least"),
        ([record("a", 0), record("b", 1, width=0.5)], "b and a have different settings"),
        ([record("a", 0, 2), record("b", 2)], r"b has the seeds \[2\] of another record"),
    ):
        with pytest.raises(ValueError, match=why):
            earnings.entries_by_seed(group)
