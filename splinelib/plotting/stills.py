"""The still picture of a figure that moves: what stands there where no scripts run, and in print.

It holds no text, so that it can be as small as the page wants; axes and numbers stand beside it.
"""

import html

import numpy as np

from .palette import COLOURS
from .partitions import code_steps, colour_wheel

SIDE = 520  # of the picture, in its own pixels
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


def _colour(name: str) -> str:
    return f"var(--sl-{name},{COLOURS[name][0]})"


def _stroke(colour: str, width: float, path: str, more: str = "") -> str:
    return f'<path style="stroke:{_colour(colour)}" stroke-width="{width:.1f}"{more} d="{path}"/>'


def _segments(lines: np.ndarray) -> str:
    return "".join(f"M{a:g} {b:g}L{c:g} {d:g}" for a, b, c, d in lines.reshape(-1, 4).tolist())


def _loop(corners: np.ndarray) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in corners.tolist()) + "Z"
