"""Routed small networks as the chapter shows them."""

import numpy as np
import pytest
from recorded import routes_record
from shown import rows

from splinelib.exhibits import routes


def study(gains=None):
    gains = gains or {}
    return routes.Study(routes_record(lambda way, width: 0.5 + gains.get((way, width), 0.0)))


def test_a_study_has_its_entries_at_hand():
    one = study()
    assert one.ways == ["codes 4", "static", "early exit"] and one.widths == [16, 8]
    assert one.seeds == [0, 1, 2] and one.dense == 64
    assert one.values("static", 8, "macs").tolist() == [800.0] * 3
    assert one.values("static", 32, "macs") is None


def test_gains_are_paired():
    one = study({("codes 4", 8): -0.02})
    gain = one.gain("codes 4", "static", 8)
    assert gain.mean == pytest.approx(-2) and gain.sign == -1
    assert one.gain("codes 4", "static", 32) is None


def test_the_table_has_a_row_for_each_way_and_width():
    _, *found = rows(routes.table(study({("codes 4", 8): -0.02})))
    assert len(found) == 1 + 6
    (row,) = [r for r in found if r[0] == "codes 4, 8"]
    assert row[1].startswith("49.0") and row[2].startswith("-2.0")
    assert row[3] == "800" and row[4] == "1.00" and row[5] == "100"


def test_a_slider_goes_through_costs():
    shown = routes.against_cost(study())
    assert shown.frames == len(routes.COSTS)


def test_claims_fail_where_the_record_says_otherwise():
    assert not np.all([holds for _, holds in routes.claims(study({("codes 4", 8): 0.1}))])
