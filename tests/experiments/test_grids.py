"""Grids: every combination once, and the runs that the book records."""

from collections import Counter
from dataclasses import replace

import pytest
from runs import SETTINGS

from splinelib.__main__ import main
from splinelib.experiments import Protocol
from splinelib.experiments.grids import PRESETS, Grid, merged


def test_a_grid_is_every_combination_in_order():
    grid = Grid({"seed": (0, 1), "network": ("mlp", "vgg16")}, ("spline", "bn+refit"), (0.3, 0.5))
    plan = grid.plan()
    assert [(p.seed, p.network) for p in plan] == [
        (0, "mlp"),
        (0, "vgg16"),
        (1, "mlp"),
        (1, "vgg16"),
    ]
    for tickets in plan.values():
        names = " ".join(ticket.name for ticket in tickets)
        assert names == "spline-0.3 spline-0.5 bn+refit-0.3 bn+refit-0.5"
    with pytest.raises(ValueError, match="no setting 'layers'"):
        Grid({"layers": [1]}, (), ()).plan()
    with pytest.raises(ValueError, match="no criterion 'best'"):
        Grid({}, ("best",), (0.5,)).plan()


def test_runs_that_two_grids_share_are_made_once_with_the_tickets_of_both():
    one, two = Grid(SETTINGS, ("spline",), (0.3, 0.5)), Grid(SETTINGS, ("spline", "fpgm"), (0.5,))
    (tickets,) = merged([one, two]).values()
    assert [t.name for t in tickets] == ["spline-0.3", "spline-0.5", "fpgm-0.5"]


def test_presets_are_the_runs_to_record():
    cpu, rules, schedule, paper = (merged(grids) for grids in PRESETS.values())
    assert {p.name for p in cpu} == {
        *(f"cifar10-vgg16-w0.25-e8-s{seed}" for seed in range(3)),
        "cifar10-preresnet20-w0.5-e8-s0",
        "cifar10-vgg16-w1-e8-s0",
        *(f"cifar100-vgg16-w0.25-e8-s{seed}" for seed in range(3)),
    }
    assert [p.latest_draw for p in rules] == [20] * 6
    for protocol, tickets in rules.items():  # each is drawn twice
        ratios = {0.5, 0.7} if protocol.seed < 3 else {0.3}
        assert {t.ratio for t in tickets} == ratios
        each = 4 * len(ratios)
        assert Counter(t.rule for t in tickets) == {"codes": each, "masks": each}
        assert len({replace(t, rule="codes") for t in tickets}) == each
    assert len({p.name for p in paper}) == len(paper) == 12
    first = next(iter(paper))
    for protocol, tickets in schedule.items():  # as the paper, but for the width; or half of it
        assert replace(protocol, width=1.0, seed=0, epochs=160) == first
        drawn = {"codes", "masks", "end"} if tickets else set()
        assert {t.rule for t in tickets} == drawn
    assert {(p.width, p.epochs) for p, tickets in schedule.items() if tickets} == {(0.125, 160)}
    assert first == Protocol(dataset="cifar10", network="vgg16")  # nothing but the defaults
    assert all(replace(p, dataset="cifar10", network="vgg16", seed=0) == first for p in paper)
    assert [len(tickets) for tickets in cpu.values()] == [18, 18, 18, 21, 0, 6, 6, 6]
    assert {len(tickets) for tickets in paper.values()} == {21}
    assert main(["sweep", "--preset", "paper", "--epochs", "1"]) == 2  # refused before any work
