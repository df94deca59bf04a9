"""Tickets with their bounds: what the page holds, by hand, and what is refused."""

import json
import re

import pytest

from splinelib.plotting import Outcome, costs, tickets


def ticket(name, ratio, accuracy, cost, m, late=False) -> Outcome:
    left = {"channels": [1 - ratio] * len(cost), "multiplications": m}
    return Outcome(name, accuracy, cost, ratio, left, late)


DRAWN = [
    ticket("random", 0.2, [0.7, 0.7], [0.8, 0.8], [0.8, 0.8]),
    ticket("spline", 0.5, [0.8, 0.84], [0.5, 0.625], [0.4, 0.5]),
    ticket("spline", 0.2, [0.9, 0.9], [0.8, 0.8], [0.75, 0.75]),
    ticket("lottery (spline)", 0.5, [0.9, 0.9], [1.4, 1.5], [0.4, 0.5], late=True),
]
DRAWN = [DRAWN[2], DRAWN[0], DRAWN[1], DRAWN[3]]
DENSE = [Outcome("4 epochs", [0.83], [0.5]), Outcome("8 epochs", [0.9, 0.92], [1.0, 1.0])]


def shown(drawn=DRAWN, dense=DENSE, alt="Tickets.", **more):
    return tickets(drawn, dense, alt, **more)


def data(figure) -> dict:
    return json.loads(re.search(r"json\">(.*?)</script>", figure.markup, re.S)[1])


def test_places_and_factors_are_means_over_seeds():
    half = DRAWN[2]
    assert half.place == pytest.approx((0.5625, 82.0))
    assert half.share == pytest.approx(0.45)
    assert half.factors() == pytest.approx(((2 + 1.6) / 2, (1.4 / 0.5 + 1.5 / 0.625) / 2))


def test_what_is_better_for_less_is_found():
    assert costs.better_for_less(DRAWN[2], DENSE) == [DENSE[0]]
    assert costs.better_for_less(DRAWN[0], DENSE) == []
    assert costs.better_for_less(DENSE[0], [DENSE[0]]) == [], "not itself"


def test_the_words_name_the_ticket_its_rivals_and_its_bound():
    assert costs.told_of(DRAWN, DENSE, 0.5) == (
        "With 50 % of the units removed spline reaches 82.0 % for 0.56 of the dense run. Better "
        "for less: dense, 4 epochs. 1.80 times less training than the dense run; the most is 2.22."
    )
    assert "Better for less: nothing here. 1.25 times" in costs.told_of(DRAWN, DENSE, 0.2)


def test_the_page_holds_numbers_of_every_seed_and_colours_by_name():
    given = data(shown(start=1, level=("a factor", 3.5)))
    assert (given["ratios"], given["values"], given["start"]) == ([0.2, 0.5], ["20 %", "50 %"], 1)
    assert [(t["name"], t["ratio"]) for t in given["tickets"]] == [
        ("spline", 0.2),
        ("spline", 0.5),
        ("random", 0.2),
        ("lottery (spline)", 0.5),
    ]
    assert given["tickets"][1]["cost"] == [0.5, 0.625]
    assert given["tickets"][1]["left"]["multiplications"] == [0.4, 0.5]
    assert given["colours"] == {"spline": "blue", "random": "grey", "lottery (spline)": "brown"}
    assert given["level"] == {"name": "a factor", "value": 3.5}
    assert given["most"] >= 1.1 * (1 + 1 / 0.45) and given["spent"] > 1.45
    assert given["reached"][0] < 70 and given["reached"][1] > 91
    assert data(shown())["level"] is None


def test_tickets_of_other_ratios_than_the_slider_s_are_left_out():
    extra = ticket("random", 0.9, [0.2], [0.2], [0.1])
    assert data(shown([*DRAWN, extra]))["tickets"] == data(shown())["tickets"]


def test_the_axis_of_factors_holds_tickets_that_cost_more_than_the_dense_run():
    assert data(shown())["least"] == 1
    dear = ticket("refitted", 0.5, [0.9], [1.6], [0.5])
    assert data(shown([*DRAWN, dear]))["least"] < 1 / 1.6


def test_ratios_that_are_close_are_told_apart():
    close = [ticket("spline", ratio, [0.9], [0.9], [0.8]) for ratio in (0.301, 0.302, 0.29)]
    assert data(shown(close))["values"] == ["29 %", "30.1 %", "30.2 %"]


def test_without_scripts_pictures_and_words_are_there():
    markup = shown(start=1, caption="a < b").markup
    assert 'aria-label="Tickets."' in markup and "a &lt; b" in markup
    told = "spline keeps 0.45, 1.80 times less than the dense run where 2.22 is the most, 2.60 than"
    assert told in markup and "a lottery where 3.22 is" in markup
    assert "lottery (spline) keeps" not in markup, "the bounds are not for it"
    assert costs.told_of(DRAWN, DENSE, 0.5) in markup
    assert markup.count("<script") == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: shown([]), "there must be tickets, and a dense"),
        (lambda: shown(dense=[]), "there must be tickets, and a dense"),
        (lambda: shown(DRAWN[:2]), "'spline' at two ratios at least"),
        (lambda: shown(start=2), "one of 2 ratios, got 2"),
        (lambda: shown(alt=""), "alt must say"),
        (lambda: shown(dense=[Outcome("dense", [90.0], [1.0])]), "not in percent"),
        (lambda: shown(dense=[Outcome("dense", [0.9], [0.0])]), "cost above 0"),
        (lambda: shown(dense=[Outcome("dense", [0.9, 0.8], [1.0])]), "2 accuracies for 1 costs"),
        (lambda: shown(dense=[Outcome("dense", [float("nan")], [1.0])]), "finite"),
        (lambda: shown([Outcome("spline", [0.9], [0.5], 0.5, {"channels": [0.5]})]), "same parts"),
        (lambda: shown([*DRAWN, ticket("bn", 0.5, [0.9], [0.5], [0.5, 0.6])]), "for each seed"),
        (lambda: shown([*DRAWN, ticket("bn", 0.5, [0.9], [0.5], [0.0])]), "a share above 0"),
        (lambda: shown([*DRAWN, ticket("bn", 0.5, [0.9], [0.5], [1.1])]), "of at most 1"),
        (lambda: shown([*DRAWN, ticket("bn", 1.0, [0.9], [0.5], [0.5])]), r"in \[0, 1\), not 1.0"),
        (lambda: shown([*DRAWN, ticket("bn", 50, [0.9], [0.5], [0.5])]), r"in \[0, 1\), not 50"),
        (lambda: shown([*DRAWN, ticket("bn", float("nan"), [0.9], [0.5], [0.5])]), "not nan"),
        (lambda: shown([*DRAWN, DRAWN[0]]), "spline: two tickets of the ratio 0.2"),
        (lambda: shown(DRAWN[::-1]), "first name are drawn early"),
        (lambda: shown(DRAWN[3:]), "first name are drawn early"),
        (lambda: shown([*DRAWN, ticket("", 0.5, [0.9], [0.5], [0.5])]), "1 to 40 characters"),
        (lambda: shown([*DRAWN, ticket("b" * 41, 0.5, [0.9], [0.5], [0.5])]), "1 to 40 characters"),
        (lambda: shown(dense=DENSE[:1]), "4 epochs: the last dense network is the dense run"),
        (lambda: shown(start=0.5), "one of 2 ratios, got 0.5"),
        (lambda: shown(level=("a factor",)), "a name and a factor of 1 or more"),
        (lambda: shown(level=("a factor", float("nan"))), "a name and a factor of 1 or more"),
        (lambda: shown(level=("a factor", -3)), "a name and a factor of 1 or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
