"""Claims, counted by hand."""

import pytest
import torch
from recorded import record, ticket
from shown import rows

from splinelib import experiments
from splinelib.exhibits import choosing, claims


def count(records, words):
    """Cases of the one claim with these words in it."""
    (cases,) = [cases for claim, cases in claims.counts(records).items() if words in claim]
    return cases


def test_a_sentence_that_its_values_carry_shows_nothing(capsys):
    claims.claim("two is even", 2 % 2 == 0)
    claims.claim("squares are not negative", [n * n >= 0 for n in range(-3, 4)])
    assert capsys.readouterr().out == ""


def test_a_sentence_that_its_values_do_not_carry_fails_the_page_or_is_named(capsys):
    with pytest.raises(AssertionError, match=r"all numbers are odd.* 2 of 3 cases"):
        claims.claim("all numbers are odd", torch.tensor([1, 2, 4]) % 2 == 1)
    claims.claim("all numbers are odd", [True, False], scale="paper")
    assert capsys.readouterr().out == (
        "At the scale paper it is not so that all numbers are odd.\n"
    )
    with pytest.raises(ValueError, match="no case"):
        claims.claim("all of none are odd", [])


def test_codes_settle_before_the_rate_falls_or_not():
    early, late, never = record(settled_epoch=3), record(settled_epoch=4, seed=1), record(seed=2)
    assert count([early, late, never], "the codes settle") == [True, False, False]


def test_one_method_above_another_counts_pairs():
    drawn = [ticket("spline", 0.3, 0.8), ticket("random", 0.3, 0.7), ticket("bn", 0.3, 0.8)]
    drawn += [ticket("spline", 0.5, 0.6), ticket("random", 0.5, 0.7)]
    made = [record(*drawn)]
    assert claims.above(choosing.spreads(made), "spline", "random") == [True, False]
    assert count(made, "above a random one") == [True, False]
    assert count(made, "batch-norm scale") == [False]  # no better is not above
    assert count(made, "compensation") == []


def test_early_against_lottery_counts_two_criteria():
    drawn = [
        ticket("magnitude", 0.5, 0.8),
        ticket("lottery:magnitude", 0.5, 0.7),
        ticket("spline", 0.5, 0.6),
        ticket("lottery:spline", 0.5, 0.7),
    ]
    assert count([record(*drawn)], "above the lottery's") == [True, False]


def test_no_worse_than_dense_counts_spline_tickets_at_one_half():
    drawn = [ticket("spline", 0.5, 0.9), ticket("spline@residual+refit", 0.5, 0.89)]
    drawn += [ticket("spline", 0.3, 0.1), ticket("bn", 0.5, 0.1)]
    assert count([record(*drawn, accuracy=0.9)], "no worse than its dense") == [True, False]


def test_the_papers_factor_is_taken_against_the_lottery():
    drawn = [
        ticket("spline", 0.3, macs=800_000, pflop=0.6),  # 1.8 / 0.6 = 3
        ticket("spline", 0.7, macs=50_000, pflop=0.3),  # 1.05 / 0.3 = 3.5
        ticket("lottery:spline", 0.7, macs=50_000, pflop=0.1),  # no rival of itself
    ]
    assert count([record(*drawn)], "3.5 times less") == [False, True]


def test_rivals_that_were_never_pruned_are_counted():
    made = record(ticket("spline", 0.5, 0.8, macs=500_000, pflop=0.6))
    fewer = record(accuracy=0.85, epochs=4, pflop=0.5)
    narrow = record(accuracy=0.75, width=0.2, pflop=0.5, macs=520_000)
    assert count([made, fewer, narrow], "fewer epochs") == [False]
    assert count([made, fewer, narrow], "as narrow") == [True]


def test_the_table_says_in_how_many_cases():
    paper = record(ticket("spline", 0.5, 0.95), width=1.0, epochs=160)
    table = claims.table([paper, record()], "on CIFAR")
    shown = {claim: holds for holds, claim in rows(table)}
    assert shown["the codes settle before the learning rate falls"] == "0 of 2"
    assert shown["the spline order ends above a random one"] == "nothing recorded"
    assert shown["protocols recorded at full width with all 160 epochs"] == "1"
    assert "run or ticket on CIFAR" in table.caption


def test_without_records_nothing_is_claimed():
    assert {holds for holds, _ in rows(claims.table([], "anywhere"))[1:-1]} == {"nothing recorded"}


def test_every_claim_has_cases_among_the_records():
    cases = claims.counts(choosing.of_dataset(experiments.records(), "cifar"))
    assert all(cases.values())
