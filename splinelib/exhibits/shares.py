"""Who gives up units: what each layer or stream is worth alone, and what criteria leave it."""

from collections.abc import Sequence

import numpy as np

from .. import plotting
from ..experiments import earnings, share_records
from ..plotting import widgets
from ..plotting.palette import Palette
from ..plotting.svg import Figure
from ..plotting.tables import Cell, Table
from . import wording

CRITERIA = share_records.CRITERIA
BY_LOT, IN_ORDER = "by lot", f"by {share_records.ALONE}"
LOST = (BY_LOT, IN_ORDER)  # ways in which a group that is cut alone loses half of its units
WIDTH = "units"


class Network:
    """The groups of one network, over its seeds; `of_records` makes it.

    Attributes
    ----------
    title : str
    names : list of str
        Of the records.
    groups : list of str
    units : ndarray of int, shape (G,)
        Of each group.
    streams : ndarray of bool, shape (G,)
        Which groups are streams, made by several layers.
    seeds : int
    """

    def __init__(self, title: str, names: Sequence[str], by_seed: Sequence[Sequence[dict]]):
        first = by_seed[0]
        self.title, self.names, self.seeds = title, list(names), len(by_seed)
        self.groups = [entry["group"] for entry in first]
        self.units = np.array([entry["units"] for entry in first])
        self.streams = np.array([entry["stream"] for entry in first])
        self._entries = by_seed

    def kept(self, criterion: str) -> np.ndarray:
        """Units that each group keeps when half of all go, (seeds, G)."""
        return np.array([[entry["kept"][criterion] for entry in row] for row in self._entries])

    def share(self, criterion: str) -> np.ndarray:
        """The same as a share of the group's units, in per cent."""
        return 100 * self.kept(criterion) / self.units

    def lost(self, way: str) -> np.ndarray:
        """Points of accuracy lost when half of one group goes, (seeds, G); ``way`` is of `LOST`."""
        left = {
            BY_LOT: lambda entry: np.mean(entry["by_lot"]),
            IN_ORDER: lambda entry: entry["alone"],
        }[way]
        return np.array([[100 * (e["dense"] - left(e)) for e in row] for row in self._entries])

    def _what(self, way: str) -> np.ndarray:
        if way == WIDTH:
            return np.broadcast_to(self.units, (self.seeds, len(self.units)))
        return self.lost(way)

    def tied(self, criterion: str, way: str) -> np.ndarray:
        """Rank correlation of the share kept with points lost or the width, (seeds,).

        Parameters
        ----------
        criterion : str
        way : str
            One of `LOST`, or `WIDTH`.
        """
        pairs = zip(self.share(criterion), self._what(way), strict=True)
        return np.array([rank_correlation(*pair) for pair in pairs])

    def beyond(self, criterion: str, way: str, given: str) -> np.ndarray:
        """The same as far as another of them does not tell it already, (seeds,).

        The partial rank correlation: of three correlations, by Kendall's and Yule's formula.
        """
        found = []
        for row in zip(self.share(criterion), self._what(way), self._what(given), strict=True):
            found.append(partial_correlation(*row))
        return np.array(found)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; equal values share their mean rank.

    Raises
    ------
    ValueError
        All values of one are equal, so that there is no order.

    Examples
    --------
    >>> round(rank_correlation(np.array([1, 2, 3]), np.array([1, 10, 5])), 3)
    0.5
    """
    from scipy.stats import spearmanr  # takes long to load

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        raise ValueError("all groups have the same value: there is no order to compare.")
    return float(spearmanr(first, second)[0])


def partial_correlation(first: np.ndarray, second: np.ndarray, given: np.ndarray) -> float:
    """Rank correlation of two that is left when a third has explained what it can of both.

    Raises
    ------
    ValueError
        As for `rank_correlation`; or the third orders like one of them, and leaves nothing.

    Examples
    --------
    The first two go together, at 0.6, for no other reason than that both go with the third:

    >>> a, b, c = np.array([[1, 2, 4, 3], [2, 1, 3, 4], [1, 2, 3, 4]])
    >>> round(partial_correlation(a, b, c), 3)
    -0.111
    """
    both = rank_correlation(first, second)
    one, other = rank_correlation(first, given), rank_correlation(second, given)
    left = (1 - one**2) * (1 - other**2)
    if left < 1e-9:
        raise ValueError("the third orders the groups like one of the two: nothing is left of it.")
    return (both - one * other) / left**0.5


def collected(recorded: Sequence[dict]) -> list[Network]:
    """The networks of some records; those that differ in the seed alone are one.

    Parameters
    ----------
    recorded : sequence of dict
        As `share_records.records` gives them.

    Raises
    ------
    ValueError
        Records of one network have different settings or groups.
    """
    return [of_records(group) for group in earnings.across_seeds(recorded)]


def of_records(group: Sequence[dict]) -> Network:
    """One network from the records of `experiments.shares` that hold its seeds.

    Raises
    ------
    ValueError
        Records are missing, or of several settings, groups or seeds.
    """
    if not group:
        raise ValueError("there must be a record at least.")
    settings = group[0]["settings"]
    by_seed: dict[int, list[dict]] = {}
    for record in group:
        if record["settings"] != settings:
            raise ValueError(f"{record['name']} and {group[0]['name']} have different settings.")
        seeds = {entry["seed"] for entry in record["entries"]}
        if twice := sorted(seeds & by_seed.keys()):
            raise ValueError(f"{record['name']} has the seeds {twice} of another record.")
        for entry in record["entries"]:
            by_seed.setdefault(entry["seed"], []).append(entry)
    parts = ("group", "units", "stream")
    made = {
        tuple(tuple(entry[part] for part in parts) for entry in row) for row in by_seed.values()
    }
    names = [record["name"] for record in group]
    if len(made) != 1:
        raise ValueError(f"the networks of {', '.join(names)} have different groups, or none.")
    network, data = (wording.proper(settings[part]) for part in ("network", "data"))
    width = "" if settings["width"] == 1 else f" at width {settings['width']:g}"
    return Network(f"{network}{width}, {data}", names, list(by_seed.values()))


def figure(networks: Sequence[Network]):
    """Share that each group keeps against what it is worth alone; the slider changes the criterion.

    A mark's area goes with the units of its group; streams are squares.
    """

    def panel(network: Network, criterion: str) -> Figure:
        lost, share = network.lost(BY_LOT).mean(0), network.share(criterion).mean(0)

        def draw(ax, palette: Palette) -> None:
            layers = palette.series(criterion, CRITERIA.index(criterion))
            ax.axhline(50, color=palette.axis, linewidth=1, linestyle="--")
            for x, y, units, stream in zip(
                lost, share, network.units, network.streams, strict=True
            ):
                look = ("s", palette.boundary) if stream else ("o", layers)
                ax.plot(x, y, look[0], color=look[1], markersize=1.2 * units**0.5, alpha=0.7)
            for marker, colour, name in (("o", layers, "layer"), ("s", palette.boundary, "stream")):
                if name == "layer" or network.streams.any():
                    ax.plot([], [], marker, color=colour, label=name)
            ax.set_title(network.title)
            ax.set(xlabel="points lost alone, by lot", ylabel="units kept (%)", ylim=(0, 108))
            ax.set_xlim(min(0, 1.1 * lost.min()) - 0.05 * lost.max(), 1.1 * lost.max())
            plotting.legend(ax)

        return plotting.figure(draw, told(network, criterion), size=(4.0, 3.8))

    return widgets.scrub(
        lambda criterion: plotting.beside(*(panel(network, criterion) for network in networks)),
        values=CRITERIA,
        start=0,
        label="criterion",
        alt=lambda criterion: " ".join(told(network, criterion) for network in networks),
        caption="Share of its units that each layer or stream keeps when half of all units go with "
        "one threshold, against the points of accuracy that are lost when half of this group alone "
        "goes by lot. The larger a mark, the more units; dashed: half kept.",
    )


def told(network: Network, criterion: str) -> str:
    """What a panel of `figure` shows, in words."""
    share, order = network.share(criterion).mean(0), network.lost(BY_LOT).mean(0).argsort()
    few = max(1, len(order) // 4)
    text = (
        f"{criterion} on {network.title}: the {few} groups that cost most when they are cut alone "
        f"keep {share[order[-few:]].mean():.0f}% of their units, the {few} that cost least "
        f"{share[order[:few]].mean():.0f}%."
    )
    if network.streams.any():
        kept, units = network.kept(criterion).mean(0)[network.streams], network.units
        each = (f"{k:.0f} of {u}" for k, u in zip(kept, units[network.streams], strict=True))
        text += f" Streams keep {wording.listed(list(each))}."
    return text


def table(networks: Sequence[Network]) -> Table:
    """Rank correlations of the share kept with what a group is worth alone and with its width."""

    def cell(network: Network, values: np.ndarray) -> Cell:
        read = wording.origins(network.names, "shares")
        return Cell(plotting.over_seeds(values, "{:+.2f}"), "record", origins=read)

    rows = [
        [
            f"{network.title}: {criterion}",
            cell(network, network.tied(criterion, BY_LOT)),
            cell(network, network.tied(criterion, IN_ORDER)),
            cell(network, network.tied(criterion, WIDTH)),
            cell(network, network.beyond(criterion, WIDTH, BY_LOT)),
        ]
        for network in networks
        for criterion in CRITERIA
    ]
    return wording.table(
        rows,
        columns=["", "points, by lot", f"points, {IN_ORDER}", "width", "width, given points"],
        caption="Rank correlation of the share of units that a group keeps with the points lost "
        "when it is cut alone, by lot or in the order of bend, with its number of units, and with "
        "that number as far as the points by lot do not tell it already; mean over networks",
    )
