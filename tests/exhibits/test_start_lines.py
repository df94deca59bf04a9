"""Lines against gains, on a record whose values are known."""

import numpy as np
import pytest
from recorded import starts_record
from shown import rows

from splinelib.exhibits import start_lines
from splinelib.exhibits.starts import Condition, Study

CROSS = Condition("cross", 1, 4, 2)


def accuracy(data, factor, way, budget):
    return 0.5 + 0.025 * factor * (way == "pruned: lsq") + 0.01 * (data == "digits")


def counted(data, factor, way, budget):
    return {"wide": factor, "pruned: lsq": factor}.get(way, 1 + (data == "digits"))


@pytest.fixture
def study():
    return Study(starts_record(accuracy=accuracy, lines=counted))


def test_rank_correlation_has_its_sign_and_interval():
    generator = np.random.default_rng(0)
    x = generator.normal(size=60)
    up = start_lines.rank_correlation(x, x + 0.1 * generator.normal(size=60))
    assert up.mean > 0.95 and up.sign == 1 and up.low < up.mean < up.high
    assert start_lines.rank_correlation(x, generator.normal(size=60)).sign == 0
    pairs = np.repeat(generator.normal(size=(12, 2)), 5, axis=0).T
    apart, whole = (
        start_lines.rank_correlation(*pairs, g) for g in (None, np.repeat(range(12), 5))
    )
    assert whole.high - whole.low > 1.5 * (apart.high - apart.low), "groups are drawn whole"
    assert start_lines.rank_correlation(x, -(x**3)).mean == pytest.approx(-1)
    with pytest.raises(ValueError, match="three pairs"):
        start_lines.rank_correlation([1, 2], [1, 2])
    with pytest.raises(ValueError, match="all the same"):
        start_lines.rank_correlation([1, 1, 1], [1, 2, 3])


def test_predictors_count_lines_for_each_unit(study):
    assert start_lines.wide_lines(study, CROSS) == 2 / 4
    assert start_lines.idle_units(study, CROSS) == 1 - 1 / 4
    assert start_lines.lines_gained(study, CROSS) == (2 - 1) / 4
    lines, points, networks = start_lines.points_of(
        study, start_lines.wide_lines, "epochs", data="cross"
    )
    assert lines.tolist() == [0.5, 1.0]
    np.testing.assert_allclose(points, [5, 10])
    assert networks == ["cross, 1 × 4"] * 2


def test_what_is_shown_says_the_correlation(study):
    shown = rows(start_lines.correlations(study))
    assert shown[1][1].startswith("+1.00") and shown[3][1].startswith("+0.89")
    figure = start_lines.against_gain(study, "epochs")._repr_html_()
    assert "rank correlation +1.00" in figure
