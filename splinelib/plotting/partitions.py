"""Exact partitions as figures: regions, their edges by depth, the decision boundary on top."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from .figures import finite, legend
from .palette import Palette
from .svg import Figure, figure

# Beyond this many regions a partition's fills and lines are pixels inside the SVG.
_RASTER_REGIONS = 6000
# Beyond this many their lines would cover everything: a pixel has the colour of the region that
# its middle lies in.
_PIXEL_REGIONS = 15_000
_PIXELS = 640  # along the longer side


def partition(
    part,
    alt: str,
    caption: str | None = None,
    color: str | np.ndarray = "code",
    boundary: bool = True,
    classes: tuple[int, int] | None = None,
    title: str | None = None,
    size: tuple[float, float] = (5.0, 5.0),
) -> Figure:
    """Draw an exact partition: regions, their edges by depth, the decision boundary on top.

    Parameters
    ----------
    part : splinelib.Partition
    color : {"code", "slope", "layer"} or array_like, shape (R,)
        What fills the regions: similar codes in similar hues, the direction and size of the
        affine slope, nothing (edges alone), or a value of your own per region.
    boundary : bool
        Whether to draw the decision boundary.
    classes : (int, int), optional
        The two classes that the boundary separates, for a network of several outputs.
    title : str, optional
        One line above the picture, to tell it from its neighbours.
    """

    def draw(ax: Axes, palette: Palette) -> None:
        draw_partition(ax, palette, part, color, boundary, classes)
        ax.set_title(title or "")

    return figure(draw, alt, caption, size)


def draw_partition(
    ax: Axes,
    palette: Palette,
    part,
    color: str | np.ndarray = "code",
    boundary: bool = True,
    classes: tuple[int, int] | None = None,
    among: Sequence | None = None,
) -> None:
    """`partition`, into an Axes of a drawing of your own.

    Parameters
    ----------
    among : sequence of splinelib.Partition, optional
        All partitions that are seen in turn, as under a slider, this one among them. With
        ``color="code"`` a code then has one colour in all of them. Their networks have the same
        layers, units that have gone being silent.

    Raises
    ------
    ValueError
        The networks of `among` have other layers than that of `part`.
    """
    vertices, edges = np.asarray(part.vertices), np.asarray(part.edges)
    layer_of = np.asarray(part.edge_source)[:, 0]
    raster = len(part) > _RASTER_REGIONS
    fills, pixels = _region_colours(part, color, among), len(part) > _PIXEL_REGIONS
    if fills is not None and pixels:
        _draw_pixels(ax, part, fills)
    elif fills is not None:
        for fill in np.unique(fills, axis=0):  # one path per colour keeps the file small
            loops = [part.regions[r] for r in np.flatnonzero((fills == fill).all(1))]
            outline = Outline.make_compound_path(
                *(Outline(vertices[[*loop, loop[0]]], closed=True) for loop in loops)
            )
            ax.add_patch(PathPatch(outline, facecolor=fill, linewidth=0, rasterized=raster))
    layers = len(part.layers)
    for layer in range(-1, layers):
        drawn = edges[layer_of == layer]
        if not len(drawn) or (pixels and fills is not None and layer >= 0):
            continue
        style = {"color": palette.muted, "linewidth": 1.0}
        if layer >= 0:
            style = {
                "color": palette.depth(layer, layers),
                "linewidth": np.interp(layer, [0, max(layers - 1, 1)], [1.7, 0.9]),
                "label": f"layer {layer + 1}" if layers > 1 else None,
            }
        if raster:
            style["color"] = palette.solid(style["color"])
        ax.plot(*_broken(vertices[drawn]), solid_capstyle="round", rasterized=raster, **style)
    if boundary:
        segments = np.asarray(part.decision_boundary(classes))
        if len(segments):
            line = _broken(segments)
            ax.plot(*line, color=palette.surface, linewidth=4.5, solid_capstyle="round")
            ax.plot(
                *line,
                color=palette.boundary,
                linewidth=2.2,
                solid_capstyle="round",
                label="decision boundary",
            )
    low, high = vertices.min(0), vertices.max(0)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    # On a plane through a larger space the coordinates are the plane's own.
    names = ("$x_1$", "$x_2$") if part.plane is None else ("$u$", "$v$")
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.locator_params(nbins=5)
    legend(ax)


def _draw_pixels(ax: Axes, part, fills: np.ndarray) -> None:
    """Every pixel in the colour of the region that its middle lies in."""
    low, high = np.array(part.domain).T
    counts = np.ceil(_PIXELS * (high - low) / (high - low).max()).astype(int)
    x, y = (
        a + (b - a) * (np.arange(n) + 0.5) / n for a, b, n in zip(low, high, counts, strict=True)
    )
    at = part.locate(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2))
    picture = fills[at].reshape(len(y), len(x), 4)
    extent = (low[0], high[0], low[1], high[1])
    ax.imshow(picture, extent=extent, origin="lower", interpolation="none", aspect="equal")


def _broken(segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segments (S, 2, 2) as one line with gaps."""
    line = np.full((len(segments), 3, 2), np.nan)
    line[:, :2] = segments
    return tuple(line.reshape(-1, 2).T)


def _region_colours(
    part, color: str | np.ndarray, among: Sequence | None = None
) -> np.ndarray | None:
    """RGBA per region, in few enough colours that equal ones share a path."""
    if isinstance(color, str):
        if color == "layer":
            return None
        if color == "code" and among is not None:
            shown = _telling_units([part, *among])
            widest = max(np.hypot(*_code_plane(one, shown).T).max() for one in among)
            return colour_wheel(_code_plane(part, shown), widest)
        if color == "code":
            place = _code_plane(part)
        elif color == "slope":
            place = _slope_plane(part)
        else:
            raise ValueError(
                f'color is "code", "slope", "layer" or one value per region, not {color!r}.'
            )
        return colour_wheel(place)
    values = finite("color", color, 1)
    if len(values) != len(part):
        raise ValueError(f"color has {len(values)} values for {len(part)} regions.")
    share = (values - values.min()) / (np.ptp(values) or 1.0)
    return _hues(np.full(len(values), 0.7), 0.05 + 0.7 * np.round(share * 24) / 24)


def code_steps(part) -> list[np.ndarray]:
    """For each layer (U, 2), how far each unit's bit moves the colour of a region.

    A fixed random projection. Each layer counts for less than the one before: early bits choose the
    hue, late ones shade it.
    """
    sizes = [int(np.prod(shape)) for shape in part.codes.layers.values()]
    return [
        0.7**number / np.sqrt(size) * np.random.default_rng(number).normal(size=(size, 2))
        for number, size in enumerate(sizes)
    ]


def colour_wheel(place: np.ndarray, largest: float | None = None) -> np.ndarray:
    """RGBA (R, 4) of points of a plane (R, 2): hue by direction, strength by size.

    The size is measured against the `largest`, of these if none is given. The scripts of a page
    have the same colours, in ``drawing.js``.
    """
    size = np.hypot(*place.T)
    size = np.minimum(size / (largest or size.max() or 1.0), 1)
    hue = np.round(np.arctan2(place[:, 1], place[:, 0]) / (2 * np.pi) * 48) / 48
    return _hues(hue, 0.15 + 0.25 * np.round(size * 5) / 5)


def _code_plane(part, shown: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Codes (R rows) as points of a plane, (R, 2): close codes lie close together.

    Which units of each layer count is found from this partition, or given (`_telling_units`) where
    a code has to have the same colour in several pictures.
    """
    place = np.zeros((len(part), 2))
    for name, steps in zip(part.codes.layers, code_steps(part), strict=True):
        units, bits = part.varying_codes(name)
        if shown is not None or 2 * len(units) > len(steps):
            units = slice(None) if shown is None else shown[name]
            bits = np.asarray(part.codes.unpack(name)).reshape(len(part), -1)[:, units]
        place += (bits - 0.5) @ steps[units] * np.sqrt(len(steps) / max(bits.shape[1], 1))
    return place


def _telling_units(parts: Sequence) -> dict[str, np.ndarray]:
    """For each layer, the units that vary in one of the partitions, or all if most do.

    Few units of a convolution vary on a plane: what all regions share would drown them.
    """
    layers = parts[0].codes.layers
    if any(part.codes.layers != layers for part in parts):
        raise ValueError("partitions that are seen in turn must be of networks with equal layers.")
    found = {}
    for name, shape in layers.items():
        units = np.unique(np.concatenate([part.varying_codes(name)[0] for part in parts]))
        size = int(np.prod(shape))
        found[name] = np.arange(size) if 2 * len(units) > size else units
    return found


def _slope_plane(part) -> np.ndarray:
    """The slope of every region, (R, 2), that of several outputs projected to two numbers."""
    slopes = part.affine_maps()[0].reshape(len(part), -1)
    if slopes.shape[1] == 2:
        return slopes
    return slopes @ np.random.default_rng(0).normal(size=(slopes.shape[1], 2))


def _hues(hue: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """RGBA of equal lightness (OKLCH 0.68, 0.14), hue in turns: see-through on any page."""
    a, b = 0.14 * np.cos(2 * np.pi * hue), 0.14 * np.sin(2 * np.pi * hue)
    # Ottosson's OKLab to linear sRGB, https://bottosson.github.io/posts/oklab/
    lms = 0.68 + np.outer([0.3963, -0.1056, -0.0895], a) + np.outer([0.2158, -0.0639, -1.2915], b)
    rgb = np.array(
        [[4.0767, -3.3077, 0.231], [-1.2684, 2.6098, -0.3413], [-0.0042, -0.7034, 1.7076]]
    )
    linear = np.clip(rgb @ lms**3, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.column_stack([encoded.T, alpha]).round(3)
