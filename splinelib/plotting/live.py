"""Figures that are computed where they are read: a network in the page, and scripts that draw it.

The page holds the network itself, as the text of `splinelib.models.to_json`, and the scripts of
``splinelib/playground/`` cut the plane anew whenever the reader moves something. They are the same
with a kernel and without: in a notebook the figure brings its script along, in the built book all
figures of a page share one file. Where no scripts run, and in print, a still picture stands there.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .partitions import code_steps
from .scripts import controls_style, figures_script
from .stills import colour_plane, still
from .svg import STYLE, caption_html, check_alt, small_css
from .widgets import is_live

# What the scripts take: `LIMITS` of network.js.
DEPTH, WIDTH = 3, 16
_STYLE = small_css(controls_style() + Path(__file__).with_name("live.css").read_text("utf-8"))


@dataclass(frozen=True)
class Live:
    """A figure that moves where scripts run, and its still picture.

    Attributes
    ----------
    markup : str
        The ``<figure>`` element, without scripts that run.
    alt : str
        What the still picture shows.
    """

    markup: str
    alt: str

    def __repr__(self) -> str:
        return f"Live({self.alt!r})"

    def _repr_html_(self) -> str:
        """In a notebook with a kernel the script comes along; in the book the page has it."""
        return self.with_script() if is_live() else self.markup

    def with_script(self) -> str:
        """The figure and the script that moves it, for a page that has none yet."""
        return f"{self.markup}<script>{figures_script()}</script>"


def explorer(
    network: str,
    part,
    alt: str,
    star: tuple[float, float],
    caption: str | None = None,
    color: str = "slope",
    boundary: bool = True,
    lines: bool = False,
    units: bool = False,
    chosen: tuple[int, int] = (0, 0),
) -> Live:
    """A partition to explore: code and affine map of any place, lines to drag, units to merge.

    The reader moves a star by mouse, finger or arrow keys. Beside the square stand the bits of its
    code, ``A`` and ``b``; the region that it lies in is outlined, and bits that have changed are
    marked. With `lines` or `units` the place is where the mouse points.

    Parameters
    ----------
    network : str
        A ReLU network with two inputs and one output or two, as `splinelib.models.to_json` writes
        it: at most three hidden layers of at most sixteen units.
    part : splinelib.Partition
        Of this network, on a square: the same range for both coordinates.
    alt : str
        What the still picture shows.
    star : (float, float)
        Where the star is at first.
    caption : str, optional
    color : {"slope", "code", "layer"}
        What fills the regions: direction and size of the slope of the output, of two outputs of the
        second less the first; close codes in close hues; nothing.
    boundary : bool
        Whether to draw the decision boundary.
    lines : bool
        Whether lines can be dragged: parallel, and those of the first layer turned.
    units : bool
        Whether units can be removed, and merged into others: their heir takes over their outgoing
        weights times how much longer their row of weights and bias is. The page then says how far
        any output has changed anywhere in the square, exactly, as `splinelib.difference` does. For
        one hidden layer of at most eight units.
    chosen : (int, int)
        Layer and unit, from 0, that is chosen at first, for `lines` and `units`.

    Returns
    -------
    Live
        For the notebook to show: let it be the cell's last expression.

    Raises
    ------
    ValueError
        If the network is not of this kind, `part` is not of this network or of no square, star or
        unit are none of it, or the alt text is empty.

    Examples
    --------
    >>> import splinelib as sl
    >>> model = sl.models.mlp([2, 4, 1], seed=0).double()
    >>> shown = explorer(sl.models.to_json(model), sl.partition(model), "Four lines.", (0.2, 0.5))
    >>> shown
    Live('Four lines.')
    """
    alt = check_alt(alt)
    layers = checked_layers(network)
    square = checked_square(part, layers)
    star = (float(star[0]), float(star[1]))
    if not all(square[0] <= value <= square[1] for value in star):
        raise ValueError(f"the star must lie in the square {square}, not at {star}.")
    layer, unit = (int(number) for number in chosen)
    if not (0 <= layer < len(layers) - 1 and 0 <= unit < len(layers[layer][1])):
        raise ValueError(f"chosen names a layer and a unit, from 0; there is no {chosen}.")
    if units and (len(layers) != 2 or len(layers[0][1]) > WIDTH // 2):
        raise ValueError(
            f"units can be merged in one hidden layer of at most {WIDTH // 2} units: beyond that "
            "the page cannot say exactly what has changed. Show the steps with plotting.scrub."
        )
    dashed = part.decision_boundary() if units else None
    numbered = layers[0] if units else None  # as the page draws them
    picture = still(part, alt, color, boundary, star, dashed, numbered=numbered)
    given = {"kind": "explorer", "square": square, "star": star, "lines": lines, "units": units}
    given |= {"boundary": boundary, "chosen": (layer, unit), "network": json.loads(network)}
    given |= colouring(part, color)
    return Live(figure_html(given, square_html(picture, square), _told(part, star), caption), alt)


def colouring(part, color: str) -> dict:
    """What the scripts need to fill regions as the still picture does."""
    if color == "layer":
        return {"fill": color}
    widest = float(np.hypot(*colour_plane(part, color).T).max())
    if color == "slope":
        return {"fill": color, "widest": widest}
    steps = [np.round(step, 6).tolist() for step in code_steps(part)]
    return {"fill": color, "widest": widest, "hues": steps}


def checked_layers(network: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (out, in) and bias (out,) of every layer, if the scripts can draw the network."""
    try:
        layers = [
            (np.array(layer["weight"], float), np.array(layer["bias"], float))
            for layer in json.loads(network)["layers"]
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            "network must be the text that splinelib.models.to_json writes for a network."
        ) from error
    widths = [len(bias) for _, bias in layers]
    if not 1 <= len(layers) - 1 <= DEPTH or max(widths[:-1]) > WIDTH:
        raise ValueError(
            f"a figure in the page can draw 1 to {DEPTH} hidden layers of at most {WIDTH} units; "
            f"this network has {widths[:-1]}. Show a larger one with plotting.partition."
        )
    if layers[0][0].shape[1] != 2 or widths[-1] not in (1, 2):
        raise ValueError(
            "a figure in the page can draw networks with two inputs and one output or two; this "
            f"one has {layers[0][0].shape[1]} and {widths[-1]}. Keep the two outputs that are to "
            "be compared."
        )
    return layers


def outputs(layers: Sequence[tuple[np.ndarray, np.ndarray]], points: np.ndarray) -> np.ndarray:
    """What a ReLU network of these layers gives at points (N, 2): (N, out)."""
    *hidden, (weight, bias) = layers
    for inner, shift in hidden:
        points = np.maximum(points @ inner.T + shift, 0)
    return points @ weight.T + bias


def checked_square(part, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """The range of both coordinates, if `part` is the partition of these layers on a square."""
    if part.plane is not None or part.domain[0] != part.domain[1]:
        raise ValueError(
            "a figure in the page draws a square of the two inputs, with one range for both; "
            f"part has the domain {part.domain}" + (" on a plane." if part.plane else ".")
        )
    A, b = part.affine_maps()
    expected = np.einsum("rcd,rd->rc", A, part.centroids) + b
    values = outputs(layers, part.centroids)
    if values.shape != expected.shape or not np.allclose(values, expected, rtol=1e-4, atol=1e-6):
        raise ValueError(
            "part is not the partition of this network; give sl.partition of the same model."
        )
    low, high = part.domain[0]
    return float(low), float(high)


def _told(part, star: tuple[float, float]) -> str:
    """Code and affine map at the star as plain paragraphs, for pages without scripts."""
    (region,) = part.locate(np.array([star]))
    A, b = (values[region] for values in part.affine_maps())
    bits = [
        "".join(str(int(bit)) for bit in part.codes.unpack(name)[region])
        for name in part.codes.layers
    ]
    rows = "; ".join(" ".join(f"{value:z.2f}" for value in row) for row in A)
    told = [
        f"x = ({star[0]:z.2f}, {star[1]:z.2f})",
        "code " + " ".join(bits),
        f"A = ({rows})",
        f"b = ({', '.join(f'{value:z.2f}' for value in b)})",
    ]
    return "".join(f"<p>{html.escape(line.replace('-', '−'))}</p>" for line in told)


def square_html(picture: str, square: tuple[float, float]) -> str:
    """A picture with its axes, whose names and numbers are text of the page."""
    low, high = (f"{end:g}".replace("-", "−") for end in square)
    return (
        '<div class="sl-square">'
        f'<div class="sl-axis sl-up" aria-hidden="true"><span>{high}</span><i>x₂</i>'
        f"<span>{low}</span></div>"
        f'<div class="sl-picture">{picture}</div>'
        f'<div class="sl-axis sl-along" aria-hidden="true"><span>{low}</span><i>x₁</i>'
        f"<span>{high}</span></div></div>"
    )


def figure_html(given: dict, picture: str, side: str, caption: str | None) -> str:
    """The element of a figure: its data, its still picture, and what stands beside it."""
    # In a script element only "</" and "<!--" could end the text early.
    data = json.dumps(given, allow_nan=False).replace("<", "\\u003c")
    return (
        f'<figure class="sl sl-live"><style>{STYLE}{_STYLE}</style>'
        f'<script type="application/json">{data}</script>'
        f'<div class="sl-board">{picture}<div class="sl-side">{side}</div></div>'
        f"{caption_html(caption)}</figure>"
    )
