"""Records are grouped by what they have in common."""

import pytest
from recorded import record, ticket

from splinelib.exhibits import choosing


def names(protocols):
    return [[made["name"] for made in runs] for runs in protocols]


SEEDS = [record(ticket("spline", 0.5), seed=seed) for seed in (1, 0)]
LONG = record(ticket("spline", 0.5), ticket("bn", 0.3), epochs=160, macs=5_000_000)
BARE = record(width=1.0)


def test_records_of_one_protocol_stand_together_by_seed():
    assert names(choosing.by_protocol([BARE, *SEEDS, LONG])) == [
        ["cifar10-vgg16-w1-e8-s0"],
        ["cifar10-vgg16-w0.25-e8-s0", "cifar10-vgg16-w0.25-e8-s1"],
        ["cifar10-vgg16-w0.25-e160-s0"],
    ]
    assert choosing.by_protocol([]) == []


def test_records_of_one_name_are_refused():
    with pytest.raises(ValueError, match="same name"):
        choosing.by_protocol([BARE, BARE])


def test_most_seeds_come_first_then_the_larger_network():
    short = record(ticket("spline", 0.5), epochs=4)  # fewer multiplications than LONG
    found = choosing.with_tickets([short, BARE, LONG, *SEEDS])
    assert [len(runs) for runs in found] == [2, 1, 1]
    assert found[1] == [LONG] and found[2] == [short]


def test_protocols_are_chosen_by_their_settings():
    protocols = choosing.by_protocol([BARE, *SEEDS, LONG])
    assert choosing.having(protocols, epochs=160) == [[LONG]]
    assert names(choosing.having(protocols, epochs=8, width=1)) == [["cifar10-vgg16-w1-e8-s0"]]
    assert choosing.having(protocols, network="resnet18") == []
    with pytest.raises(ValueError, match="no setting epoch"):
        choosing.having(protocols, epoch=160)


def test_datasets_are_chosen_by_how_their_names_begin():
    digits = record(dataset="digits")
    hundred = record(dataset="cifar100")
    assert choosing.of_dataset([digits, BARE, hundred], "cifar") == [BARE, hundred]


def test_a_group_is_of_one_protocol():
    group = choosing.spreads(SEEDS)
    assert [(s.method, s.seeds) for s in group] == [("dense", [0, 1]), ("spline", [0, 1])]
    assert choosing.spreads([]) == []
    with pytest.raises(ValueError, match="of 2 protocols"):
        choosing.spreads([BARE, LONG])


def test_methods_and_ratios_are_those_of_tickets():
    group = choosing.spreads([LONG])
    assert choosing.methods(group) == ["spline", "bn"]
    assert choosing.ratios(group) == [0.3, 0.5]
