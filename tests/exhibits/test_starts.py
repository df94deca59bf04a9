"""Exhibits of ways to a small network, on records whose values are known."""

import numpy as np
import pytest
from recorded import starts_record
from shown import rows

from splinelib.exhibits import starts
from splinelib.exhibits.starts import Condition, Interval, Study


def accuracy(data, factor, way, budget):
    """lsq gains ten points on digits and five per factor on cross; paid starts gain two."""
    if way == "pruned: lsq":
        return 0.6 if data == "digits" else 0.5 + 0.025 * factor
    return 0.52 if budget == "flops" else 0.5


@pytest.fixture
def study():
    return Study(starts_record(accuracy=accuracy, lines=lambda *key: key[1]))


CROSS = Condition("cross", 1, 4, 2)


def test_conditions_and_networks_are_counted(study):
    assert study.conditions[0] == CROSS and len(study.conditions) == 4
    assert study.networks == 2 * (2 * 10 + 3) * 3
    assert CROSS.small == "cross, 1 × 4"


def test_gains_are_paired_and_of_the_cost_asked_for(study):
    np.testing.assert_allclose(starts.gain(study, CROSS, "pruned: lsq", "epochs"), 5)
    np.testing.assert_allclose(starts.gain(study, CROSS, "pruned: lsq", "flops"), 3)
    np.testing.assert_allclose(starts.gain(study, CROSS, "spread", "flops", "pruned: lsq"), -3)
    assert starts.gain(study, CROSS, "restarts", "epochs") is None
    assert study.entry(CROSS, "random", "epochs")["factor"] == 1
    assert study.entry(CROSS, "random", "flops")["factor"] == 2


def test_verdicts_are_counted(study):
    found = starts.verdicts(study, "pruned: lsq", "random", "epochs")
    assert starts.tally(found) == (4, 0, 0)
    assert starts.tally(starts.verdicts(study, "spread", "pruned: lsq", "epochs")) == (0, 4, 0)
    assert starts.tally(starts.verdicts(study, "spread", "random", "epochs", "cross")) == (0, 0, 2)


def test_an_interval_is_students():
    one = starts.interval([1.0, 2.0, 3.0])
    assert one.mean == 2 and one.high - 2 == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert one.sign == 0 and Interval(1, 0.5, 2).sign == 1 and Interval(-1, -2, -0.5).sign == -1
    with pytest.raises(ValueError, match="two values or more, not 1"):
        starts.interval([1.0])


def test_tables_and_figures_say_what_the_values_say(study):
    shown = rows(starts.gains_table(study, "epochs"))
    (lsq,) = (row for row in shown if row[0] == "pruned, lsq")
    assert "+7.5" in lsq[1] and "+10.0" in lsq[2] and "2 : 0" in lsq[2]
    assert not any(row[0] == "best of restarts" for row in shown), "not at equal epochs"
    figure = starts.by_factor(study, ["pruned: lsq", "restarts"])._repr_html_()
    assert "pruned, lsq from +5.0 to +10.0" in figure and "pruned, lsq from +3.0 to +8.0" in figure
    chart = starts.winners(study, "pruned: lsq", ["random", "spread"])._repr_html_()
    assert "random start, equal epochs: ahead in 4 conditions, behind in 0" in chart


def test_enough_is_the_least_factor_not_told_from_the_best(study):
    assert starts.enough(study) == {"cross": [4], "digits": [2]}


def test_one_point_is_a_row_for_each_way(study):
    record = starts_record(data=["cross"], factors=[2], accuracy=accuracy)
    record["entries"][0]["flops"] = 3e5
    shown = rows(starts.one_point(record))
    assert len(shown) == 1 + 13
    assert shown[1][1:3] == ["51.0 (50.0 to 52.0)", "3.0"]
    assert [row[0] for row in shown if row[0].startswith("random start")] == [
        "random start, equal training FLOPs",
        "random start, equal epochs",
    ]
