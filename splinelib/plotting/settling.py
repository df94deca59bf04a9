"""The early bird of a run whose distances are all known, at any threshold and look-back.

The page holds the distances themselves, and its scripts apply the rule of `splinelib.EarlyBird` to
them whenever the reader moves the threshold.
"""

import html
from collections.abc import Sequence

import numpy as np

from .live import Live, figure_html
from .palette import PALETTE, Palette, colour_name
from .svg import Figure, check_alt, figure

STEPS = 200  # of the slider from 0 to 1: thresholds are multiples of 0.005
MOST = 10  # epochs that one can look back
_FAINTEST = 0.06


def early_bird(
    matrix,
    alt: str,
    threshold: float = 0.16,
    lookback: int = 3,
    chance: float | None = None,
    falls: Sequence[int] = (),
    caption: str | None = None,
) -> Live:
    """When the rule of the early bird fires: the reader moves its threshold and its look-back.

    On the left the distances of every two epochs, those below the threshold in a colour of their
    own. On the right what the rule looks at after each epoch, which is the pace of the partition,
    and how far it is to the last epoch, its place. The threshold is a slider, and a line to drag.

    Parameters
    ----------
    matrix : array_like, shape (T, T)
        Distances of every two epochs, in [0, 1], as `splinelib.EarlyBird.matrix` gives them.
    alt : str
        What the still pictures show.
    threshold : float
        The one shown first, in (0, 1], to the nearest of the slider's.
    lookback : int
        How many epochs the rule looks back at first.
    chance : float, optional
        Distance of two networks of different seeds: a line. The scale goes up to it, or to the
        largest distance or the threshold where these are larger.
    falls : sequence of int
        After which epochs, counted from 1, the learning rate fell.
    caption : str, optional

    Returns
    -------
    Live
        For the notebook to show: let it be the cell's last expression.

    Raises
    ------
    ValueError
        If the matrix is not one of distances of at least two epochs, threshold, look-back, chance
        or falls are out of range, or the alt text is empty.

    Examples
    --------
    >>> early_bird([[0, 0.3, 0.3], [0.3, 0, 0.1], [0.3, 0.1, 0]], "Settled in the end.", lookback=1)
    Live('Settled in the end.')
    """
    alt, matrix = check_alt(alt), _checked(matrix)
    epochs = len(matrix)
    most = min(MOST, epochs - 1)
    if not (_whole(lookback) and 1 <= lookback <= most):
        raise ValueError(
            f"lookback must be a whole number from 1 to {most} for {epochs} epochs, not {lookback}."
        )
    if chance is not None and not 0 < chance <= 1:
        raise ValueError(f"chance is a share of bits in (0, 1], not {chance}.")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is a share of bits in (0, 1], not {threshold}.")
    for fall in falls:
        if not (_whole(fall) and 1 <= fall < epochs):
            raise ValueError(
                f"falls are epochs after which others follow, 1 to {epochs - 1}, not {fall}."
            )
    top = float(max(matrix.max(), chance or 0, threshold, 0.05))
    values = np.arange(1, int(np.ceil(STEPS * top)) + 1) / STEPS
    start = int(np.abs(values - threshold).argmin())
    given = {"kind": "early_bird", "rows": [row[:t].tolist() for t, row in enumerate(matrix)]}
    given |= {"values": [f"{value:g}" for value in values], "start": start, "top": top}
    given |= {
        "chance": None if chance is None else float(chance),
        "falls": [int(fall) for fall in falls],
    }
    given |= {"lookback": int(lookback), "lookbacks": most}
    given["colours"] = {
        name: colour_name(PALETTE.series(of))
        for name, of in (("pace", "codes"), ("place", "place"))
    }
    limit, looked = float(values[start]), looked_at(matrix, lookback)
    epoch = fired(looked, limit)
    drawn = {
        "Distance of every two epochs": _cells(matrix, limit, top, epoch, alt),
        "The pace and the place": _pace(matrix, looked, limit, chance, given["falls"], epoch),
    }
    views = "".join(
        f'<div class="sl-view"><p class="sl-title">{html.escape(title)}</p><div class="sl-plot">'
        f'<div class="sl-still">{one.inline()}</div></div></div>'
        for title, one in drawn.items()
    )
    told = f"<p>{told_of(matrix, limit, lookback)}</p>"
    return Live(figure_html(given, f'<div class="sl-views">{views}</div>', told, caption), alt)


def looked_at(matrix: np.ndarray, lookback: int) -> np.ndarray:
    """Largest distance of each epoch to the last so many before it; NaN where there are fewer."""
    rows = enumerate(np.asarray(matrix, float))
    return np.array([row[t - lookback : t].max() if t >= lookback else np.nan for t, row in rows])


def fired(looked: np.ndarray, threshold: float) -> int | None:
    """The first epoch, from 1, at which what the rule looks at is below a threshold, if any."""
    below = np.flatnonzero(looked < threshold)
    return int(below[0]) + 1 if len(below) else None


def told_of(matrix: np.ndarray, threshold: float, lookback: int) -> str:
    """When the rule fires, in words: those of the page, with the rule before them."""
    epoch, epochs = fired(looked_at(matrix, lookback), threshold), len(matrix)
    rule = f"Threshold {threshold:g}, look-back {lookback}."
    if epoch is None:
        return f"{rule} Never: no epoch is that close, so no ticket is drawn."
    way = matrix[epoch - 1][-1] / matrix[0][-1] if matrix[0][-1] > 0 else 0.0
    return (
        f"{rule} The ticket is drawn after epoch {epoch} of {epochs}. {100 * way:.0f} % of the way "
        "to the last epoch is then still to go."
    )


def _whole(value) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _checked(matrix) -> np.ndarray:
    try:
        matrix = np.asarray(matrix, float)
    except (TypeError, ValueError) as error:
        raise ValueError("matrix must hold numbers, as many in each row.") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(
            f"matrix must be square, for two epochs at least; its shape is {matrix.shape}."
        )
    if not (np.isfinite(matrix).all() and matrix.min() >= 0 and matrix.max() <= 1):
        raise ValueError("matrix must hold distances in [0, 1], all of them finite.")
    if not np.array_equal(matrix, matrix.T) or np.diag(matrix).any():
        raise ValueError("matrix must hold distances: symmetric, and 0 on the diagonal.")
    return matrix


def _cells(matrix, threshold: float, top: float, epoch: int | None, alt: str) -> Figure:
    """The matrix: settled cells in one colour, the others in another, close ones strong."""
    close, far = (
        [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        for colour in (Palette.solid(PALETTE.kept), Palette.solid(PALETTE.muted))
    )
    colours = np.where((matrix < threshold)[..., None], close, far)
    strength = np.clip(1 - matrix / top, _FAINTEST, 1)[..., None]

    def draw(ax, palette) -> None:
        size = len(matrix)
        ax.imshow(
            np.concatenate([colours, strength], 2),
            extent=(0.5, size + 0.5, size + 0.5, 0.5),
            interpolation="none",
        )
        if epoch is not None:
            for line in (ax.axvline, ax.axhline):
                line(epoch, color=palette.boundary, linestyle="--", linewidth=1.5)
        ax.set(xlabel="epoch", ylabel="epoch")
        ax.locator_params(integer=True)
        ax.grid(False)

    return figure(draw, alt, size=(4.0, 3.9))


def _pace(matrix, looked, threshold, chance, falls, epoch) -> Figure:
    epochs = np.arange(1, len(matrix) + 1)

    def draw(ax, palette) -> None:
        ax.plot(epochs, looked, color=palette.series("codes"), label="pace: to the epochs before")
        ax.plot(
            epochs, matrix[:, -1], color=palette.series("place"), label="place: to the last epoch"
        )
        ax.axhline(threshold, color=palette.kept, linewidth=1.5, label="threshold")
        if chance is not None:
            ax.axhline(chance, color=palette.muted, linestyle=":", label="two seeds (chance)")
        for fall in falls:
            ax.axvline(fall + 0.5, color=palette.muted, linestyle=":", linewidth=1)
        if epoch is not None:
            ax.axvline(epoch, color=palette.boundary, linestyle="--", linewidth=1.5)
        ax.set(xlabel="epoch", ylabel="distance", ylim=(0, None))
        ax.figure.legend(loc="outside lower center", ncols=1)

    first, last = matrix[0][-1], matrix[-2][-1]
    known = looked[np.isfinite(looked)]
    alt = (
        f"Pace and place after each epoch. The pace lies between {known.min():.2f} and "
        f"{known.max():.2f}, the threshold at {threshold:g}; the distance to the last epoch goes "
        f"from {first:.2f} after the first to {last:.2f} after the last but one."
    )
    return figure(draw, alt, size=(4.0, 3.9))
