"""Every figure of the book, in one colour language.

Functions take data and return an object that a notebook shows, on light and dark pages alike.
Every figure needs `alt`, the text that stands for it where it cannot be seen: say what the picture
shows, not what it is. `figure` is the way to draw something of your own in the same colours.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline

from .svg import PALETTE, Figure, Palette, Row, beside, figure, series_style
from .tables import Cell, Table, over_seeds, table

__all__ = [
    "Cell",
    "Figure",
    "Palette",
    "Row",
    "Table",
    "accuracy_against",
    "beside",
    "curves",
    "distance_matrix",
    "draw_partition",
    "figure",
    "images",
    "layer_bars",
    "legend",
    "max_affine",
    "over_seeds",
    "partition",
    "table",
]

# Beyond this many regions a partition's fills and lines are pixels inside the SVG.
_RASTER_REGIONS = 6000


def max_affine(
    slopes: Sequence[float],
    offsets: Sequence[float],
    alt: str,
    caption: str | None = None,
    domain: tuple[float, float] = (-1.0, 1.0),
    points: tuple[Sequence[float], Sequence[float]] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Lines of one variable, their maximum, and the breakpoints where the maximum changes line.

    Parameters
    ----------
    slopes, offsets : array_like, shape (R,)
        Line r is ``slopes[r] * x + offsets[r]``.
    domain : (float, float)
    points : (x, y), optional
        Data, drawn behind the lines.
    limits : (float, float), optional
        Range of the vertical axis, where several figures are to be compared.
    """
    slopes, offsets = _finite("slopes", slopes, 1), _finite("offsets", offsets, 1)
    if slopes.shape != offsets.shape or not slopes.size:
        raise ValueError(
            f"slopes and offsets need one number per line each, got {slopes.size} and "
            f"{offsets.size}."
        )
    if not domain[0] < domain[1]:
        raise ValueError(f"domain runs from a smaller to a larger number, got {domain}.")

    def draw(ax: Axes, palette: Palette) -> None:
        x = np.linspace(*domain, 2001)
        lines = np.outer(slopes, x) + offsets[:, None]
        top, winner = lines.max(0), lines.argmax(0)
        if points is not None:
            ax.plot(*points, ".", color=palette.muted, markersize=4, alpha=0.6)
        for number, line in enumerate(lines):
            ax.plot(x[[0, -1]], line[[0, -1]], color=palette.kept, linewidth=1, alpha=0.7)
            mine = winner == number
            ax.plot(
                np.where(mine, x, np.nan),
                np.where(mine, top, np.nan),
                color=palette.depth(0, 1),
                linewidth=3,
            )
        change = np.flatnonzero(np.diff(winner))
        ax.plot(x[change], top[change], "o", color=palette.boundary, markersize=6)
        shown = np.concatenate([top, points[1]]) if points is not None else top
        room = 0.08 * (np.ptp(shown) or 1.0)
        ax.set_ylim(limits or (shown.min() - room, shown.max() + room))
        ax.set_xlim(*domain)
        ax.set(xlabel="x", ylabel="y")
        ax.locator_params(nbins=6)

    return figure(draw, alt, caption)


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
) -> None:
    """`partition`, into an Axes of a drawing of your own."""
    vertices, edges = np.asarray(part.vertices), np.asarray(part.edges)
    layer_of = np.asarray(part.edge_source)[:, 0]
    raster = len(part) > _RASTER_REGIONS
    fills = _region_colours(part, color)
    if fills is not None:
        for fill in np.unique(fills, axis=0):  # one path per colour keeps the file small
            loops = [part.regions[r] for r in np.flatnonzero((fills == fill).all(1))]
            outline = Outline.make_compound_path(
                *(Outline(vertices[[*loop, loop[0]]], closed=True) for loop in loops)
            )
            ax.add_patch(PathPatch(outline, facecolor=fill, linewidth=0, rasterized=raster))
    layers = len(part.layers)
    for layer in range(-1, layers):
        mine = edges[layer_of == layer]
        if not len(mine):
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
        ax.plot(*_broken(vertices[mine]), solid_capstyle="round", rasterized=raster, **style)
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
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.locator_params(nbins=5)
    legend(ax)


def legend(ax: Axes) -> None:
    """A legend below the drawing, where it covers nothing and takes no width."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        columns = min(len(labels), 3)
        ax.figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _broken(segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segments (S, 2, 2) as one line with gaps."""
    line = np.full((len(segments), 3, 2), np.nan)
    line[:, :2] = segments
    return tuple(line.reshape(-1, 2).T)


def _region_colours(part, color: str | np.ndarray) -> np.ndarray | None:
    """RGBA per region, in few enough colours that equal ones share a path."""
    if isinstance(color, str):
        if color == "layer":
            return None
        if color == "code":
            place = _code_plane(part)
        elif color == "slope":
            place = _slope_plane(part)
        else:
            raise ValueError(
                f'color is "code", "slope", "layer" or one value per region, not {color!r}.'
            )
        size = np.hypot(*place.T)
        size = size / (size.max() or 1.0)
        hue = np.round(np.arctan2(place[:, 1], place[:, 0]) / (2 * np.pi) * 48) / 48
        return _hues(hue, 0.15 + 0.25 * np.round(size * 5) / 5)
    values = _finite("color", color, 1)
    if len(values) != len(part):
        raise ValueError(f"color has {len(values)} values for {len(part)} regions.")
    share = (values - values.min()) / (np.ptp(values) or 1.0)
    return _hues(np.full(len(values), 0.7), 0.05 + 0.7 * np.round(share * 24) / 24)


def _code_plane(part) -> np.ndarray:
    """Codes (R rows) as points of a plane, (R, 2): close codes lie close together.

    A fixed random projection, so that a region keeps its hue while a widget moves the network.
    Each layer counts for less than the one before: early bits choose the hue, late ones shade it.
    """
    place, weight = np.zeros((len(part), 2)), 1.0
    for number, (name, shape) in enumerate(part.codes.layers.items()):
        units, bits = part.varying_codes(name)
        total = int(np.prod(shape))
        projection = np.random.default_rng(number).normal(size=(total, 2))
        # Few units of a convolution vary on a plane: what all regions share would drown them.
        if 2 * len(units) > total:
            bits, units = np.asarray(part.codes.unpack(name)).reshape(len(part), -1), slice(None)
        place += weight * (bits - 0.5) @ projection[units] / np.sqrt(max(bits.shape[1], 1))
        weight *= 0.7
    return place


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


def curves(
    series: Mapping[str, Sequence],
    xlabel: str,
    ylabel: str,
    alt: str,
    caption: str | None = None,
    x: Sequence[float] | None = None,
    marks: Mapping[str, float] | None = None,
    log: bool = False,
) -> Figure:
    """Curves with the spread over seeds: loss, accuracy or distance against epochs.

    Parameters
    ----------
    series : mapping of name to array_like, shape (T,) or (seeds, T)
        Several seeds are drawn as their mean in a band from the least to the greatest.
    x : array_like, shape (T,), optional
        1, 2, 3, ... where it is not given.
    marks : mapping of label to x, optional
        Vertical lines, such as the epoch at which the early bird is found.
    log : bool
        Whether the y axis is logarithmic.
    """
    runs = {name: np.atleast_2d(_finite(name, values)) for name, values in _some(series).items()}
    lengths = {name: values.shape[1] for name, values in runs.items()}
    if len(set(lengths.values())) > 1 and x is not None:
        raise ValueError(f"series of different lengths cannot share one x: {lengths}.")

    def draw(ax: Axes, palette: Palette) -> None:
        for position, (name, values) in enumerate(runs.items()):
            steps = np.arange(1, values.shape[1] + 1) if x is None else np.asarray(x)
            _band(ax, palette, name, position, steps, values)
        for label, at in (marks or {}).items():
            ax.axvline(at, color=palette.boundary, linestyle="--", linewidth=1.5, label=label)
        ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
        legend(ax)

    return figure(draw, alt, caption)


def accuracy_against(
    series: Mapping[str, tuple[Sequence, Sequence]],
    xlabel: str,
    alt: str,
    caption: str | None = None,
    dense: float | None = None,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Accuracy against the ratio pruned, FLOPs or another cost, for each criterion.

    Parameters
    ----------
    series : mapping of name to (x, accuracy)
        Each (T,) or (seeds, T); accuracy in [0, 1]. Criteria in `CRITERIA`, "dense",
        "lottery", "narrow" and "spline + compensation" keep one colour wherever they appear, with
        anything in brackets behind them.
    dense : float, optional
        Accuracy of the network before pruning, as a line across.
    log : bool
        Whether the x axis is logarithmic.
    limits : (float, float), optional
        Range of the accuracy in [0, 1], where several figures are to be compared.
    """
    runs = {}
    for name, (x, accuracy) in _some(series).items():
        x, accuracy = _finite(name, x), np.atleast_2d(_finite(name, accuracy))
        if accuracy.min() < 0 or accuracy.max() > 1:
            raise ValueError(f"accuracy of {name!r} must lie in [0, 1], not in percent.")
        x = np.atleast_2d(x).mean(0)
        if len(x) != accuracy.shape[1]:
            raise ValueError(f"{name!r} has {len(x)} x for {accuracy.shape[1]} accuracies.")
        runs[name] = x, 100 * accuracy

    def draw(ax: Axes, palette: Palette) -> None:
        if dense is not None:
            ax.axhline(100 * dense, color=palette.ink, linestyle=":", linewidth=1.5, label="dense")
        for position, (name, (x, values)) in enumerate(runs.items()):
            _band(ax, palette, name, position, x, values, marked=True)
        ax.set(xlabel=xlabel, ylabel="accuracy (%)", xscale="log" if log else "linear")
        if limits is not None:
            ax.set_ylim(100 * limits[0], 100 * limits[1])
        legend(ax)

    return figure(draw, alt, caption)


def distance_matrix(
    matrix: np.ndarray,
    alt: str,
    caption: str | None = None,
    label: str = "distance",
    axis: str = "epoch",
    mark: int | None = None,
    limit: float | None = None,
) -> Figure:
    """Distances of every two epochs, or of every two units, as a square of colours.

    Parameters
    ----------
    matrix : array_like, shape (T, T)
        NaN where nothing is known.
    label, axis : str
        What a cell is, and what rows and columns are.
    mark : int, optional
        Row and column (from 0) to point out, such as the early-bird epoch.
    limit : float, optional
        Top of the colour scale, where several matrices are to be compared.
    """
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"matrix must be square, got shape {matrix.shape}.")
    if not np.isfinite(matrix).any():
        raise ValueError("matrix holds no finite distance.")

    def draw(ax: Axes, palette: Palette) -> None:
        size = len(matrix)
        image = ax.imshow(
            matrix,
            cmap="viridis",
            vmin=0,
            vmax=np.nanmax(matrix) if limit is None else limit,
            extent=(0.5, size + 0.5, size + 0.5, 0.5),
            interpolation="none",
        )
        if mark is not None:
            for line in (ax.axvline, ax.axhline):
                line(mark + 1, color=palette.boundary, linestyle="--", linewidth=1.5)
        ax.set(xlabel=axis, ylabel=axis)
        ax.locator_params(integer=True)  # epochs and units are whole numbers
        ax.grid(False)
        ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85).outline.set_visible(False)

    return figure(draw, alt, caption, (5.0, 4.2))


def layer_bars(
    before: Mapping[str, int], after: Mapping[str, int], alt: str, caption: str | None = None
) -> Figure:
    """Channels of each layer in the dense network and in the pruned one.

    Parameters
    ----------
    before, after : mapping of layer name to int
        The same names in the same order; after is at most before.
    """
    if list(_some(before)) != list(after):
        raise ValueError(
            f"before and after must name the same layers, got {list(before)} and {list(after)}."
        )
    grown = [name for name in before if not 0 <= after[name] <= before[name]]
    if grown:
        raise ValueError(f"more channels after pruning than before in {', '.join(grown)}.")

    def draw(ax: Axes, palette: Palette) -> None:
        rows = np.arange(len(before))
        dense, kept = list(before.values()), list(after.values())
        gone = np.subtract(dense, kept)
        ax.barh(rows, kept, color=palette.kept, label="kept", height=0.75)
        ax.barh(
            rows,
            gone,
            left=kept,
            facecolor="none",
            edgecolor=palette.pruned,
            hatch="////",
            linewidth=0.8,
            height=0.75,
            label="pruned",
        )
        ax.set_yticks(rows, list(before))
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set(xlabel="channels")
        legend(ax)

    return figure(draw, alt, caption, (5.8, max(2.0, 0.26 * len(before) + 1.2)))


def images(
    pictures,
    alt: str,
    caption: str | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 5,
    signed: bool = False,
) -> Figure:
    """Pictures in a grid: inputs, or templates with a sign.

    Parameters
    ----------
    pictures : array_like, shape (K, H, W), or (K, H, W, 3) in [0, 1]
    titles : sequence of str, optional
        One line above each picture.
    columns : int
    signed : bool
        Draw positive values in one colour, negative ones in another, zero as the page.
    """
    pictures = _finite("pictures", pictures)
    if pictures.ndim not in (3, 4) or not len(pictures):
        raise ValueError(
            f"pictures must have shape (K, H, W) or (K, H, W, 3), got {pictures.shape}."
        )
    titles = [""] * len(pictures) if titles is None else list(titles)
    if len(titles) != len(pictures):
        raise ValueError(f"{len(titles)} titles for {len(pictures)} pictures.")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    headline = 0.22 if any(titles) else 0.0

    def draw(ax: Axes, palette: Palette) -> None:
        shown = _signed(pictures) if signed else pictures
        for number, (picture, title) in enumerate(zip(shown, titles, strict=True)):
            x, y = (number % columns) * 1.08, -(number // columns) * (1.08 + headline)
            ax.imshow(
                picture,
                extent=(x, x + 1, y - 1, y),
                cmap="gray",
                vmin=None if signed else min(0, pictures.min()),
                vmax=None if signed else pictures.max() or 1,
                interpolation="none",
            )
            ax.add_patch(Rectangle((x, y - 1), 1, 1, fill=False, edgecolor=palette.axis, lw=0.6))
            ax.text(x + 0.5, y + 0.04, title, ha="center", va="bottom", fontsize=10)
        ax.set(
            xlim=(-0.02, columns * 1.08 - 0.06), ylim=(-rows * (1.08 + headline), headline + 0.04)
        )
        ax.axis("off")

    width = min(1.6 * columns, 6.2)
    return figure(draw, alt, caption, (width, width * rows * (1.1 + headline) / (columns * 1.08)))


def _signed(pictures: np.ndarray) -> np.ndarray:
    """RGBA: hue by sign, opacity by size."""
    ends = [Palette.solid(PALETTE.kept), Palette.solid(PALETTE.pruned)]
    colours = LinearSegmentedColormap.from_list("sign", ends)((pictures > 0).astype(float))
    # Small values would be lost on a dark page: opacity grows faster than size at first.
    colours[..., 3] = (np.abs(pictures) / (np.abs(pictures).max() or 1.0)) ** 0.7
    return colours


def _band(ax, palette, name, position, x, values, marked=False) -> None:
    colour, marker = series_style(name, position)
    marker = marker if marked or values.shape[1] == 1 else None
    ax.plot(x, values.mean(0), color=colour, label=name, marker=marker)
    if len(values) > 1:
        ax.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)


def _finite(name: str, values, dimensions: int | None = None) -> np.ndarray:
    array = np.asarray(values, float)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers, at least one.")
    if dimensions is not None and array.ndim != dimensions:
        raise ValueError(f"{name} must have {dimensions} dimension, got shape {array.shape}.")
    return array


def _some(mapping: Mapping) -> Mapping:
    if not mapping:
        raise ValueError("there is nothing to draw: the mapping is empty.")
    return mapping
