"""Ways to a small network: what each costs, by hand, and that equal budgets are equal."""

import pytest
import torch

from splinelib.codes import distinct_lines
from splinelib.cost.flops import FlopCounter, forward_flops
from splinelib.experiments import start_ways as ways
from splinelib.experiments import starts
from splinelib.models import mlp


@pytest.fixture(scope="module")
def given():
    return starts.problem(["cross", "moons"], seeds=2, steps=16)


def test_sets_are_those_of_names_and_seeds(given):
    assert given.sets == 4 and given.classes == 2 and given.train[0].shape == (4, 256, 2)
    assert [given.seed(i) for i in range(4)] == [0, 1, 0, 1]
    assert not torch.equal(given.train[0][0], given.train[0][1])
    assert not torch.equal(given.train[0][0], given.validation[0][0])
    digits = starts.problem(["digits"], seeds=2)
    assert digits.train[0].shape == (2, 1152, 64) and digits.validation[0].shape[1] == 1438 - 1152
    assert digits.test[0].shape[1] == 359 and digits.classes == 10


def test_flops_of_each_way_are_those_counted_by_hand(given):
    start = ways.drawn(given, [2, 4, 4, 2])
    forward = 2 * (2 * 4 + 4 * 4 + 4 * 2)  # of one input: 64
    step = 3 * forward * 64
    assert ways.step_flops(start) == step == 12_288
    rates = torch.full((4,), 0.1)
    plain = ways.from_start(given, "random", start, rates)
    assert (plain.steps, plain.flops) == (16, 16 * step)
    spread = ways.from_start(given, "spread", start, rates)
    assert spread.flops == 16 * step + 256 * forward  # placing reads each input once
    layerwise = ways.from_start(given, "layerwise", start, rates)
    # Four steps of 2-4-2, four of 4-4-2, eight of all; and both layers said once of each input.
    parts = 4 * 64 * 3 * 2 * (2 * 4 + 4 * 2) + 4 * 64 * 3 * 2 * (4 * 4 + 4 * 2)
    passes = 256 * 2 * (2 * 4 + 4 * 4)
    assert layerwise.steps == 8
    assert layerwise.flops == parts + passes + 8 * step


def test_what_a_step_costs_is_what_is_counted_while_it_runs(given):
    network = ways.drawn(given, [2, 4, 2])[:1]
    with FlopCounter() as counter:
        network.train(*(v[:1] for v in given.train), steps=1, lr=0.1, seeds=[0], batch_size=64)
    # Nobody asks for the gradient of the inputs, which the rule of three forwards counts.
    assert counter.total == ways.step_flops(network) - 2 * 2 * 4 * 64
    assert network.flops == forward_flops(mlp([2, 4, 2]), torch.zeros(1, 2))


@pytest.mark.parametrize("way", ways.STARTS)
@pytest.mark.parametrize("budget", [400_000, 1_234_567])
def test_budgets_are_met_to_within_one_step(given, way, budget):
    start = ways.drawn(given, [2, 4, 4, 2])
    reached = ways.from_start(given, way, start, torch.full((4,), 0.1), budget)
    assert budget - ways.step_flops(start) < reached.flops <= budget


def test_cuts_have_the_final_widths_and_lottery_the_first_weights(given):
    untrained = ways.drawn(given, [2, 8, 8, 2])
    wide = ways.fit(given, untrained, torch.full((4,), 0.3), 8)
    cuts, flops = ways.cut_out(given, wide, untrained, 2)
    assert set(cuts) == {*ways.CUTS, ways.LOTTERY} and flops > 0
    assert all(cut.widths == [2, 4, 4, 2] and len(cut) == 4 for cut in cuts.values())
    for trained, ticket, first in zip(
        wide.weights[0], cuts[ways.LOTTERY].weights[0], untrained.weights[0], strict=True
    ):
        at = (ticket[:, None] == first).all(2).int().argmax(1)
        assert torch.equal(ticket, first[at])
        assert not torch.equal(ticket, trained[at])


def test_a_wide_network_that_diverged_is_cut_as_it_began(given):
    untrained = ways.drawn(given, [2, 8, 2])
    broken = untrained[torch.arange(4)]
    broken.weights[0][1] = float("nan")
    cuts, _ = ways.cut_out(given, broken, untrained, 2)
    assert all(weight.isfinite().all() for cut in cuts.values() for weight in cut.weights)


def test_lines_are_those_that_the_library_counts(given):
    network = ways.drawn(given, [2, 8, 8, 2])
    for index, count in enumerate(ways.lines(network, given.train[0])):
        model = network.model(index, mlp([2, 8, 8, 2]))
        assert count == sum(distinct_lines(model, given.train[0][index]).values())


def test_the_rate_is_chosen_by_validation_alone(given):
    start = ways.repeated(given, ways.drawn(given, [2, 4, 2]))
    rates = ways.every_rate(given)
    end = ways.fit(given, start, rates, 16)
    reached = ways.Reached(start, end, rates, 16, 1.0)
    found = ways.chosen(given, reached, "moons")
    sets = torch.tensor([2, 3])
    means = {
        rate: end[sets + 4 * at].accuracy(*(v[sets] for v in given.validation)).mean()
        for at, rate in enumerate(given.rates)
    }
    assert found["rate"] == max(means, key=means.get)
    best = sets + 4 * given.rates.index(found["rate"])
    assert found["test"] == end[best].accuracy(*(v[sets] for v in given.test)).tolist()


def test_a_layout_that_would_make_unequal_steps_is_refused():
    part = torch.zeros(1, 65, 2), torch.zeros(1, 65, dtype=torch.int64)
    with pytest.raises(ValueError, match="a multiple of 64"):
        ways.Problem(("cross",), 1, part, part, part, 8, (0.1,))
