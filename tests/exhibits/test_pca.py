"""Exhibits of prunings after a PCA, on records whose values are known."""

import numpy as np
import pytest
from recorded import pca_record
from shown import rows

from splinelib.exhibits import pca
from splinelib.exhibits.pca import Study

END = (0.5, "nothing")


def accuracy(order, ratio, compensate):
    """The lot has 60 %, all directions 50 %, 16 leading ones 55 %, 16 others 57 %."""
    if order.directions == "by lot":
        return 0.6
    if order.components != 16:
        return 0.5
    return 0.55 if order.directions == "leading" else 0.57


@pytest.fixture
def study():
    return Study(pca_record(accuracy, lambda metric, layer, count: -count / 5000 * layer))


def test_what_is_in_a_record(study):
    assert study.ends == [END, (0.9, "refit")] and study.metrics == ["identity", "implied", "data"]
    assert study.components == [1, 2, 4, 8, 16, 4096] and study.whole == 4096
    assert study.networks == 3 and study.dense[0] == pytest.approx(90)
    np.testing.assert_allclose(study.test(END, "data", "leading", 16), [55, 55.1, 55.2])
    whole = [study.test(END, "data", name, 4096) for name in ("leading", "random")]
    np.testing.assert_array_equal(*whole)
    assert study.lot(END)[0] == pytest.approx(60)
    assert study.rival(END, "magnitude")[0] == pytest.approx(50)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("whole − lot", -10),
        ("PCA − whole", 5),
        ("PCA − lot", -5),
        ("random − PCA", 2),
        ("trailing − PCA", 2),
    ],
)
def test_differences_are_paired(study, which, expected):
    found = pca.difference(study, END, "identity", which)
    assert found.mean == pytest.approx(expected) and found.high - found.low < 1e-9
    shown = rows(pca.differences_table(study))
    assert shown[0] == ["", "50% gone", "90% refitted"]
    row = 1 + list(pca.COMPARISONS).index(which)
    assert shown[row][0] == which and shown[row][1].startswith(f"{expected:+.1f} (")
    assert "metric of data" in pca.differences_table(study, "data", "either")._repr_html_()


def test_what_is_drawn_is_what_is_told(study):
    figure = pca.by_components(study)._repr_html_()
    assert "leading from 50.1 to 50.1" in figure and "by lot 60.1" in figure
    assert figure.count("90% removed, refitted") >= 3
    loud = pca.loudness(study)
    assert loud["weights"].shape == (3, 6)
    np.testing.assert_allclose(loud["weights"][:, -1], -1.5 * 4096 / 5000)
    np.testing.assert_allclose(pca.loudness(study, 1)["weights"][:, -1], -4096 / 5000)
    assert "weights from +0.00 to -1.23" in pca.loud_figure(study).alt
    x, y = pca.explained(study, END)["data"]
    assert x[-1] == pytest.approx(-1.2288) and y[-1] == pytest.approx(-10)
    assert "weights -1.23, -10.0" in pca.explained_figure(study)._repr_html_()


def test_directions_that_are_needed(study):
    assert list(pca.needed(study, "data", 2, 0.1, "pairs")) == [8, 9, 10]
    shown = rows(pca.needs_table(study))
    assert shown[1] == ["weights, layer 1", "16", "12", "9 (8 to 10)", "6"]
    assert len(shown) == 1 + 3 * 2
