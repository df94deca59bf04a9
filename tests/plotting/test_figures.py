"""Figures of the book."""

import numpy as np
import pytest

from splinelib import plotting
from splinelib.plotting import Cell


def test_the_same_data_gives_the_same_picture(part):
    one, two = (plotting.partition(part, "A partition.").svg for _ in range(2))
    assert one == two


def test_curves_that_are_not_strong_are_grey():
    series = {name: ([0.1, 0.5], [0.9, 0.5]) for name in ("spline", "magnitude", "random")}
    everyone = plotting.accuracy_against(series, "ratio", "x").svg
    one = plotting.accuracy_against(series, "ratio", "x", strong=["spline", "bend"]).svg
    for colour in ("--sl-blue", "--sl-green"):
        assert colour in everyone
    assert "--sl-blue" in one and "--sl-green" not in one
    assert one.count("--sl-axis") > everyone.count("--sl-axis")


def test_bad_input_is_named(part):
    bad = np.array([[0.0, np.nan]])
    cases = [
        (lambda: plotting.max_affine([1, 2], [0], "x"), "one number per line"),
        (lambda: plotting.max_affine([np.inf], [0], "x"), "slopes must hold finite"),
        (lambda: plotting.max_affine([1], [0], "x", domain=(1, 0)), "domain runs from"),
        (lambda: plotting.partition(part, "x", color="rainbow"), "rainbow"),
        (lambda: plotting.partition(part, "x", color=[1.0, 2.0]), "2 values for"),
        (lambda: plotting.curves({}, "a", "b", "x"), "nothing to draw"),
        (lambda: plotting.curves({"loss": bad}, "a", "b", "x"), "loss must hold finite"),
        (lambda: plotting.accuracy_against({"s": ([0.5], [93.0])}, "a", "x"), "not in percent"),
        (lambda: plotting.accuracy_against({"s": ([0.5], [0.9, 0.8])}, "a", "x"), "1 x for 2"),
        (lambda: plotting.distance_matrix(np.ones((2, 3)), "x"), "square"),
        (lambda: plotting.distance_matrix(np.full((2, 2), np.nan), "x"), "no finite"),
        (lambda: plotting.layer_bars({"a": 3}, {"b": 3}, "x"), "same layers"),
        (lambda: plotting.layer_bars({"a": 3}, {"a": 4}, "x"), "more channels"),
        (lambda: plotting.images(np.ones((8, 8)), "x"), "shape"),
        (lambda: plotting.images(np.ones((2, 8, 8)), "x", titles=["a"]), "1 titles"),
        (lambda: plotting.table([[1, 2]], ["a"], "t"), "every row needs 1"),
        (lambda: plotting.table([], ["a"], "t"), "every row"),
        (lambda: Cell(1.0, "guess"), "source is one of"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("names", [["a", "b", "c"], ["as long as that", "longer still", "three"]])
def test_a_legend_is_never_wider_than_its_figure(names):
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(3.0, 3.0), layout="constrained")
    ax = canvas.add_subplot()
    for name in names:
        ax.plot([0, 1], label=name)
    plotting.legend(ax)
    (key,) = canvas.legends
    assert key.get_window_extent().width <= canvas.bbox.width
    assert len(key.get_texts()) == 3
