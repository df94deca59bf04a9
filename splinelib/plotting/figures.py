"""Figures of the book's quantities, in one colour language.

Functions take data and return an object that a notebook shows, on light and dark pages alike.
Every figure needs `alt`, the text that stands for it where it cannot be seen: say what the picture
shows, not what it is. `svg.figure` is the way to draw something of your own in the same colours.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from .palette import PALETTE, Palette, series_style
from .svg import Figure, figure


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
    slopes, offsets = finite("slopes", slopes, 1), finite("offsets", offsets, 1)
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
            winning = winner == number
            ax.plot(
                np.where(winning, x, np.nan),
                np.where(winning, top, np.nan),
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


def legend(ax: Axes) -> None:
    """A legend below the drawing, where it covers nothing, in as many columns as have room."""
    handles, labels = ax.get_legend_handles_labels()
    for columns in range(min(len(labels), 3), 0, -1):
        key = ax.figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        if columns == 1 or key.get_window_extent().width <= ax.figure.bbox.width:
            return
        key.remove()


def curves(
    series: Mapping[str, Sequence],
    xlabel: str,
    ylabel: str,
    alt: str,
    caption: str | None = None,
    x: Sequence[float] | None = None,
    marks: Mapping[str, float] | None = None,
    log: bool = False,
    levels: Mapping[str, float] | None = None,
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
    levels : mapping of label to y, optional
        Horizontal lines, such as the distance that chance gives.
    """
    runs = {name: np.atleast_2d(finite(name, values)) for name, values in _some(series).items()}
    lengths = {name: values.shape[1] for name, values in runs.items()}
    if len(set(lengths.values())) > 1 and x is not None:
        raise ValueError(f"series of different lengths cannot share one x: {lengths}.")

    def draw(ax: Axes, palette: Palette) -> None:
        for position, (name, values) in enumerate(runs.items()):
            steps = np.arange(1, values.shape[1] + 1) if x is None else np.asarray(x)
            _band(ax, palette, name, position, steps, values)
        for label, at in (marks or {}).items():
            ax.axvline(at, color=palette.boundary, linestyle="--", linewidth=1.5, label=label)
        for label, at in (levels or {}).items():
            ax.axhline(at, color=palette.muted, linestyle=":", linewidth=1.5, label=label)
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
    strong: Collection[str] | None = None,
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
    strong : collection of str, optional
        Names that are drawn in their colours where they are there; of the others, thin grey lines
        alone. All of them if it is not given.
    """
    runs = {}
    for name, (x, accuracy) in _some(series).items():
        x, accuracy = finite(name, x), np.atleast_2d(finite(name, accuracy))
        if accuracy.min() < 0 or accuracy.max() > 1:
            raise ValueError(f"accuracy of {name!r} must lie in [0, 1], not in percent.")
        x = np.atleast_2d(x).mean(0)
        if len(x) != accuracy.shape[1]:
            raise ValueError(f"{name!r} has {len(x)} x for {accuracy.shape[1]} accuracies.")
        runs[name] = x, 100 * accuracy

    def draw(ax: Axes, palette: Palette) -> None:
        if dense is not None:
            ax.axhline(100 * dense, color=palette.ink, linestyle=":", linewidth=1.5, label="dense")
        others = "the others"  # one entry of the legend
        for position, (name, (x, values)) in enumerate(runs.items()):
            if strong is None or name in strong:
                _band(ax, palette, name, position, x, values, marked=True)
            else:
                ax.plot(
                    x, values.mean(0), color=palette.axis, linewidth=0.9, label=others, zorder=1
                )
                others = None
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
    pictures = finite("pictures", pictures)
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
            ax.text(x + 0.5, y + 0.04, title, ha="center", va="bottom")
        ax.set(
            xlim=(-0.02, columns * 1.08 - 0.06), ylim=(-rows * (1.08 + headline), headline + 0.04)
        )
        ax.axis("off")

    width = min(1.6 * columns, 4.4)
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


def finite(name: str, values, dimensions: int | None = None) -> np.ndarray:
    """The values as an array of floats, or an error that says which are no numbers."""
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
