"""Colours."""

import numpy as np

from splinelib import plotting
from splinelib.plotting import palette


def contrast(one: str, two: str) -> float:
    """WCAG 2 contrast ratio of two hex colours."""

    def luminance(colour: str) -> float:
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        low = channels <= 0.04045
        linear = np.where(low, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_told_from_the_page():
    for name, (light, dark) in palette.COLOURS.items():
        if name in ("grid", "surface"):
            continue
        least = 4.5 if name in ("ink", "muted") else 3.0
        assert contrast(light, "#ffffff") >= least, name
        assert contrast(dark, "#121212") >= least, name


def test_criteria_keep_their_colour_and_unknown_names_differ():
    palette = plotting.Palette()
    known = [palette.series(name) for name in ("spline", "magnitude", "bn", "random", "fpgm")]
    assert len(set(known)) == 5
    assert palette.series("spline", 0) == palette.series("spline", 4)
    assert palette.series("mine", 0) != palette.series("mine", 1)
    assert palette.series("lottery (spline)") == palette.series("lottery", 3)
    assert palette.series("lottery") not in known
    assert palette.depth(0, 3) != palette.depth(1, 3) != palette.depth(2, 3)
