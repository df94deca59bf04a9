"""Networks that others built: what can be read and pruned of them.

The rows are those of ``data/published/networks.csv``, which `benchmarks.zoo` wrote.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .. import plotting
from ..plotting import Cell, Figure, Table
from . import wording

_HEADS = ("network", "codes", "s", "groups", "units", "difference", "refit", "left", "rival")
_FORMATS = ("{}", "{}", "{:.1f}", "{}", "{:,}", "{:.0e}", "{:.2f}", "{:.0%}", "{:.0%}")
_LAST = ("slowest (s)", "rival")
FAMILIES = ("classification", "segmentation", "video", "detection", "odd")
# Summation order alone gives up to a hundredth of this.
_AGREES = 1e-4


def table(rows: Sequence[dict], family: str) -> Table:
    """The networks of one family.

    Parameters
    ----------
    rows : sequence of dict
        From ``published("networks")``.
    family : str
        One of `FAMILIES`.
    """
    lines = [_line(row) for row in rows if row["family"] == family]
    return wording.table(lines, list(_HEADS), f"{family.capitalize()} networks", list(_FORMATS))


def _line(row: dict) -> list:
    if row["why"]:
        why = row["why"].partition(": ")[2] or row["why"]  # without the class of the error,
        why = why.partition(" (")[0]  # and without what it says of each layer
        return [row["network"], why, *[Cell(None, note="–")] * 6, _rival(row)]
    measured = [row[key] for key in ("seconds", "groups", "units", "error")]
    refit = row.get("refit")
    if refit is None or math.isnan(refit):  # nothing was removed that the outputs depend on
        refit = Cell(None, note="–")
    return [row["network"], row["codes"], *measured, refit, row["left"], _rival(row)]


def _rival(row: dict) -> Cell:
    value = row["rival"]
    if isinstance(value, int | float):
        return Cell(value)
    return Cell(None, note="slow" if str(value).startswith("over") else "fails")


@dataclass(frozen=True)
class Counts:
    """How many networks there are, and of how many something holds.

    Attributes
    ----------
    networks, followed : int
        All of them, and those of which groups are found.
    agree : int
        Where the smaller network gives what the masked one gives.
    codes, smooth : int
        With region codes, and with codes only where smooth activations are read as cuts.
    slowest : float
        Seconds that the slowest layout took.
    rival : int
        Those that torch-pruning prunes in its time.
    """

    networks: int
    followed: int
    agree: int
    codes: int
    smooth: int
    slowest: float
    rival: int


def counts(rows: Sequence[dict], family: str) -> Counts:
    """The same table in numbers, for one family."""
    rows = [row for row in rows if row["family"] == family]
    found = [row for row in rows if not row["why"]]
    return Counts(
        networks=len(rows),
        followed=len(found),
        agree=sum(row["error"] < _AGREES for row in found),
        codes=sum(row["codes"] == "yes" for row in found),
        smooth=sum(row["codes"] == "smooth" for row in found),
        slowest=max((row["seconds"] for row in found), default=0.0),
        rival=sum(isinstance(row["rival"], int | float) for row in rows),
    )


def summary(rows: Sequence[dict]) -> Table:
    """A line for each family: how many networks, and of how many what holds."""
    lines = []
    for family in FAMILIES:
        found = counts(rows, family)
        if found.networks:
            lines.append(
                [
                    *(family, found.networks, found.followed, found.agree),
                    *(found.codes, found.smooth, found.slowest, found.rival),
                ]
            )
    return wording.table(
        lines,
        ["", "networks", "groups found", "small = masked", *("codes", "smooth"), *_LAST],
        "Networks by family",
        ["{}", *["{:d}"] * 5, "{:.1f}", "{:d}"],
    )


def cuts_less(rows: Sequence[dict], margin: float = 0.02) -> list[str]:
    """Networks of which torch-pruning leaves a smaller share of the parameters, by this margin.

    Odd networks are left out: of some torch-pruning takes more because it takes what must stay, and
    nobody has compared what its smaller network computes.
    """
    return [row["network"] for row in _both(rows) if row["left"] > row["rival"] + margin]


def _both(rows: Sequence[dict]) -> list[dict]:
    """The rows of networks that both prune, but for the odd ones; see `cuts_less`."""
    return [
        row
        for row in rows
        if not row["why"] and isinstance(row["rival"], int | float) and row["family"] != "odd"
    ]


def sources(rows: Sequence[dict]) -> Table:
    """By what command, at which commit and with which versions the rows were measured."""
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["source"], row["how_read"]
        found[key] = found.get(key, 0) + 1
    lines = [[number, source, how] for (source, how), number in found.items()]
    return wording.table(lines, ["networks", "source", "how"], "Rows of networks.csv")


def beside_rival(rows: Sequence[dict]) -> Figure:
    """The share of the parameters that stays, ours against torch-pruning's, a point a network."""
    both = _both(rows)
    less = set(cuts_less(rows))

    def points(ax, palette):
        ax.plot([0.4, 1], [0.4, 1], color=palette.grid, linewidth=1)
        for row in both:
            apart = row["network"] in less
            colour = palette.pruned if apart else palette.kept
            ax.plot(row["rival"], row["left"], "o", markersize=5, color=colour)
        ax.set(xlabel="left by torch-pruning", ylabel="left by splinelib")
        ax.set(xlim=(0.4, 1.0), ylim=(0.4, 1.0), aspect="equal")

    alt = (
        f"{len(both)} networks that both prune, {len(both) - len(less)} of them on the diagonal "
        f"or below, where splinelib leaves no more, and {len(less)} above."
    )
    caption = "Share of the parameters that stay when 30 % of each group go."
    return plotting.figure(points, alt=alt, caption=caption, size=(4.2, 4.2))
