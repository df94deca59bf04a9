"""Routed small networks as the chapter shows them."""

import pytest
from recorded import ROUTES, routes_record
from shown import rows

from splinelib.exhibits import routes


def study(gains=None):
    gains = gains or {}
    return routes.Study(routes_record(lambda way, width: 0.5 + gains.get((way, width), 0.0)))


def test_a_study_has_its_entries_at_hand():
    one = study()
    assert one.ways == list(ROUTES) and one.widths == [16, 8]
    assert one.seeds == [0, 1, 2] and one.dense == 64
    assert one.values("static", 8, "macs").tolist() == [64.0] * 3
    assert one.values("static", 32, "macs") is None


def test_gains_are_paired():
    one = study({("codes 4", 8): -0.02})
    gain = one.gain("codes 4", "static", 8)
    assert gain.mean == pytest.approx(-2) and gain.sign == -1
    assert one.gain("codes 4", "static", 32) is None


def test_the_table_has_a_row_for_each_way_and_width():
    _, *found = rows(routes.table(study({("codes 4", 8): -0.02})))
    assert len(found) == 1 + 11
    (row,) = [r for r in found if r[0] == "codes 4, 8"]
    assert row[1].startswith("49.0") and row[2].startswith("-2.0")
    assert row[3] == "64" and row[4] == "1.00" and row[5] == "100"


def test_a_slider_goes_through_costs():
    shown = routes.against_cost(study())
    assert shown.frames == len(routes.COSTS)


LOST = {"codes 4": (0.01, 0.05), "codes 8": (0.02, 0.1), "pixels 8": (0.02, 0.11)}
LOST |= {"codes 8 longer": (0.01, 0.01), "early exit": (-0.01, 0)}
# multiply-accumulates at widths 16 and 8, beside those of the static ticket
CHEAPER = {"codes 4": (1.03, 1.17), "codes 8": (1.01, 1.03)}


def told(change=None, seconds=None, cheaper=CHEAPER) -> dict[str, bool]:
    """What is claimed of a record like the real one, with a gain of some ways and widths."""
    change = change or {}

    def accuracy(way, width):
        return 0.7 - LOST.get(way, (0, 0))[width == 8] + change.get((way, width), 0)

    usual = {"dense": 2e-4, "static": 1e-4}
    seconds = seconds or (lambda way, width: usual.get(way, 2.5e-4))
    record = routes_record(accuracy, seconds)
    for entry in record["entries"]:
        entry["macs"] /= cheaper.get(entry["way"], (1, 1))[entry["width"] == 8]
    return dict(routes.claims(routes.Study(record)))


def test_claims_hold_of_a_record_like_the_real_one():
    assert all(told().values())


@pytest.mark.parametrize(
    "sentence, change",
    [
        ("no routed network is ahead", {("codes 4", 16): 0.05}),
        ("at the least width each is behind", {("codes 4", 8): 0.05}),
        ("at the same training the loss grows", {("codes 4", 8): 0.045}),
        ("eight clusters lose more", {("codes 8", 16): 0.015}),
        ("as many steps mend about half", {("codes 8 longer", 16): -0.005}),
        ("and nine tenths", {("codes 8 longer", 8): -0.02}),
        ("codes and pixels are within", {("pixels 8", 8): -0.02}),
        ("codes and pixels are told apart", {("pixels 8", 16): -0.01}),
        ("codes and pixels are told apart", {("pixels 8", 8): 0.01}),
        ("the early exit is ahead", {("early exit", 16): -0.05}),
    ],
)
def test_claims_fail_where_the_record_says_otherwise(sentence, change):
    found = told(change)
    assert [holds for name, holds in found.items() if name.startswith(sentence)] == [False]


def test_claims_of_latencies_fail_where_the_ticket_is_slow():
    found = told(seconds=lambda way, width: 1e-4)
    assert not found["the ticket is faster, batch"] and not found["the ticket is faster, single"]
    assert not found["with 50 times fewer operations a single image is about twice as fast"]


@pytest.mark.parametrize(
    "sentence, way, times",
    [
        ("the ticket costs 3 to 17 %", "codes 4", (1.03, 1.25)),
        ("the ticket costs 1 to 3 %", "codes 8", (0.98, 1.03)),
        ("the early exit costs about as much", "early exit", (1.3, 1)),
    ],
)
def test_claims_of_costs_fail_where_the_ticket_costs_something_else(sentence, way, times):
    found = told(cheaper={**CHEAPER, way: times})
    assert [holds for name, holds in found.items() if name.startswith(sentence)] == [False]
