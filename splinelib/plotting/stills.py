"""The still picture of a figure that moves: what stands there where no scripts run, and in print.

It holds no text but the numbers of units, so that it can be as small as the page wants; axes and
facts stand beside it.
"""

import html

import numpy as np

from .palette import COLOURS
from .partitions import code_steps, colour_wheel

SIDE = 520  # of the picture, in its own pixels
# Where on its line the number of a unit may stand, the first that is free; pixels of its disc, from
# the middle, and of its digits.
_SHARES, _DISC, _DIGITS = (0.08, 0.16, 0.24, 0.32, 0.92, 0.84), 13, 20
_STAR = "M0-11L2.7-3.7L10.5-3.4L4.4 1.4L6.5 8.9L0 4.6L-6.5 8.9L-4.4 1.4L-10.5-3.4L-2.7-3.7Z"


def still(
    part,
    alt: str,
    color: str = "layer",
    boundary: bool = True,
    star: tuple[float, float] | None = None,
    dashed=None,
    widest: float | None = None,
    name: str = "sl-still",
    numbered: tuple[np.ndarray, np.ndarray] | None = None,
) -> str:
    """The partition of a square as an SVG in the colours of the page.

    Parameters
    ----------
    part : splinelib.Partition
        Of a square, the same range for both coordinates, and a network with one output or two.
    alt : str
    color : {"slope", "code", "layer"}
        What fills the regions, see `colour_plane`; ``"layer"`` leaves them empty.
    boundary : bool
        Whether to draw the decision boundary.
    star : (float, float), optional
        A place to mark, with the outline of its region.
    dashed : array_like, shape (S, 2, 2), optional
        Segments of another decision boundary.
    widest : float, optional
        What the strength of colours is measured against, if not the largest of this partition.
    name : str
        CSS class of the picture.
    numbered : (ndarray, ndarray), shapes (U, 2) and (U,), optional
        Weights and biases of a first layer, to have the number of every unit on its line.

    Returns
    -------
    str
        The ``<svg>`` element.
    """
    (low, high), _ = part.domain
    scale = SIDE / (high - low)

    def placed(points) -> np.ndarray:
        at = (np.asarray(points) - [low, high]) * [scale, -scale]
        return np.round(at, 1) + 0.0  # no minus before a zero

    drawn = _fills(part, colour_plane(part, color), widest, placed) if color != "layer" else ""
    depth = max(len(part.layers) - 1, 1)
    for layer in range(len(part.layers)):
        lines = placed(part.vertices[part.edges[part.edge_source[:, 0] == layer]])
        width = 1.5 - 0.8 * layer / depth
        drawn += _stroke(f"depth{round(7 * layer / depth)}", width, _segments(lines))
    if boundary:
        line = _segments(placed(part.decision_boundary()))
        drawn += _stroke("surface", 5.0, line) + _stroke("boundary", 2.6, line)
    if dashed is not None:
        drawn += _stroke("ink", 1.5, _segments(placed(dashed)), ' stroke-dasharray="7 6"')
    if star is not None:
        drawn += _marked(part, star, placed)
    if numbered is not None:
        drawn += _numbers(*numbered, (low, high), placed)
    label = html.escape(alt, quote=True)
    return (
        f'<svg class="{name}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" '
        f'role="img" aria-label="{label}" fill="none" stroke-linecap="round">{drawn}</svg>'
    )


def colour_plane(part, color: str) -> np.ndarray:
    """Where on the wheel of colours every region lies, (R, 2).

    For ``"slope"`` that is the slope of the output, of two outputs the second less the first; for
    ``"code"`` a sum of steps, one for each unit, so that close codes lie close together.
    """
    if color == "slope":
        A, _ = part.affine_maps()
        return A[:, 0] if A.shape[1] == 1 else A[:, 1] - A[:, 0]
    if color != "code":
        raise ValueError(f'color is "slope", "code" or "layer", not {color!r}.')
    bits = [np.asarray(part.codes.unpack(name)).reshape(len(part), -1) for name in part.layers]
    return sum((b - 0.5) @ steps for b, steps in zip(bits, code_steps(part), strict=True))


def _fills(part, plane: np.ndarray, widest: float | None, placed) -> str:
    colours = colour_wheel(plane, widest)
    drawn = ""
    for colour in np.unique(colours, axis=0):  # one path for each colour
        loops = [part.regions[r] for r in np.flatnonzero((colours == colour).all(1))]
        outline = "".join(_loop(placed(part.vertices[loop])) for loop in loops)
        red, green, blue = np.round(255 * colour[:3]).astype(int)
        drawn += f'<path fill="rgb({red},{green},{blue})" fill-opacity="{colour[3]:g}" '
        drawn += f'd="{outline}"/>'
    return drawn


def _marked(part, star: tuple[float, float], placed) -> str:
    (region,) = part.locate(np.array([star]))
    outline = _loop(placed(part.vertices[part.regions[region]]))
    x, y = placed(star)
    fill, edge = _colour("ink"), _colour("surface")
    return (
        _stroke("surface", 6.0, outline)
        + _stroke("ink", 3.0, outline)
        + f'<path style="fill:{fill};stroke:{edge}" stroke-width="4" paint-order="stroke" '
        f'transform="translate({x:g} {y:g})" d="{_STAR}"/>'
    )


def _numbers(weight: np.ndarray, bias: np.ndarray, square: tuple[float, float], placed) -> str:
    """The number of each unit on its line; those on one line stand one after another."""
    taken: list[np.ndarray] = []
    drawn = ""
    for unit, (row, shift) in enumerate(zip(weight, bias, strict=True)):
        ends = ends_in_square(row, shift, square)
        if ends is None:
            continue
        places = [placed((1 - share) * ends[0] + share * ends[1]) for share in _SHARES]
        places = np.clip(places, _DISC, SIDE - _DISC)
        free = [at for at in places if all(np.hypot(*(at - one)) > 2.2 * _DISC for one in taken)]
        taken.append(free[0] if free else places[0])
        x, y = taken[-1]
        drawn += (
            f'<circle cx="{x:g}" cy="{y:g}" r="{_DISC}" style="fill:{_colour("surface")}"/>'
            f'<text x="{x:g}" y="{y:g}" style="fill:{_colour("ink")}" font-size="{_DIGITS}" '
            f'font-weight="600" text-anchor="middle" dominant-baseline="central">{unit}</text>'
        )
    return drawn


def ends_in_square(row: np.ndarray, shift: float, square: tuple[float, float]) -> np.ndarray | None:
    """The ends (2, 2) of the line of a unit in a square, or None where it misses the square.

    Parameters
    ----------
    row : ndarray, shape (2,)
        The unit's weights.
    shift : float
        Its bias.
    square : (float, float)
        The range of both coordinates.

    Examples
    --------
    >>> ends_in_square(np.array([2.0, 0.0]), -1.0, (-1.0, 1.0)).tolist()
    [[0.5, -1.0], [0.5, 1.0]]
    """
    (low, high), length = square, np.hypot(*row)
    if not length:
        return None
    foot, way = -shift * row / length**2, np.array([-row[1], row[0]]) / length
    start, end = -np.inf, np.inf
    for at, step in zip(foot, way, strict=True):
        if abs(step) < 1e-12:
            if not low <= at <= high:
                return None
            continue
        first, last = sorted(((low - at) / step, (high - at) / step))
        start, end = max(start, first), min(end, last)
    return foot + np.outer([start, end], way) if start < end else None


def _colour(name: str) -> str:
    return f"var(--sl-{name},{COLOURS[name][0]})"


def _stroke(colour: str, width: float, path: str, more: str = "") -> str:
    return f'<path style="stroke:{_colour(colour)}" stroke-width="{width:.1f}"{more} d="{path}"/>'


def _segments(lines: np.ndarray) -> str:
    return "".join(f"M{a:g} {b:g}L{c:g} {d:g}" for a, b, c, d in lines.reshape(-1, 4).tolist())


def _loop(corners: np.ndarray) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in corners.tolist()) + "Z"
