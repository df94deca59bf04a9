"""Who gives up units: what each layer or stream is worth alone, and what criteria leave it."""

from collections.abc import Sequence

import numpy as np

from .. import plotting
from ..experiments import earnings, share_records
from ..experiments.shares import RATIO
from ..plotting import widgets
from ..plotting.palette import Palette
from ..plotting.svg import Figure
from ..plotting.tables import Cell, Table
from . import wording

CRITERIA = share_records.CRITERIA
LOT, ORDER = "by lot", f"by {share_records.ALONE}"  # ways in which a group that is cut alone goes
# What the share that a group keeps can be tied to.
A_UNIT, A_UNIT_IN_ORDER, POINTS = "points a unit", f"points a unit, {ORDER}", "points"
WIDTH, STREAM = "units", "stream"
_TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)  # of points a unit


class Network:
    """The groups of one network, over its seeds; `of_records` makes it.

    Attributes
    ----------
    title, name : str
        What it is called, with its width and data and without.
    names : list of str
        Of the records.
    groups : list of str
    units : ndarray of int, shape (G,)
        Of each group.
    streams : ndarray of bool, shape (G,)
        Which groups are streams, made by several layers.
    seeds : int
    """

    def __init__(
        self, title: str, name: str, names: Sequence[str], by_seed: Sequence[Sequence[dict]]
    ):
        first = by_seed[0]
        self.title, self.name, self.names = title, name, list(names)
        self.seeds = len(by_seed)
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

    def lost(self, way: str = LOT) -> np.ndarray:
        """Points of accuracy lost when half of one group goes, (seeds, G); by lot or by bend."""
        left = {LOT: lambda entry: np.mean(entry["by_lot"]), ORDER: lambda entry: entry["alone"]}
        return np.array([[100 * (e["dense"] - left[way](e)) for e in row] for row in self._entries])

    def a_unit(self, way: str = LOT) -> np.ndarray:
        """The same for each unit that goes: what one threshold for all groups trades."""
        return self.lost(way) / np.floor(RATIO * self.units + 0.5)

    def measured(self, what: str) -> np.ndarray:
        """What the share kept can be tied to, (seeds, G); ``what`` is one of the names above."""
        same = {WIDTH: self.units, STREAM: self.streams.astype(int)}
        if what in same:
            return np.broadcast_to(same[what], (self.seeds, len(self.units)))
        return {
            A_UNIT: self.a_unit,
            A_UNIT_IN_ORDER: lambda: self.a_unit(ORDER),
            POINTS: self.lost,
        }[what]()

    def tied(self, criterion: str, what: str) -> np.ndarray:
        """Rank correlation of the share kept with something else, (seeds,)."""
        pairs = zip(self.share(criterion), self.measured(what), strict=True)
        return np.array([rank_correlation(*pair) for pair in pairs])

    def beyond(self, criterion: str, what: str, given: str = A_UNIT) -> np.ndarray:
        """The same as far as a third thing does not tell it already, (seeds,)."""
        rows = zip(self.share(criterion), self.measured(what), self.measured(given), strict=True)
        return np.array([partial_correlation(*row) for row in rows])


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

    The partial correlation of their ranks.

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
    by_seed, settings = earnings.entries_by_seed(group), group[0]["settings"]
    parts = ("group", "units", "stream")
    made = {
        tuple(tuple(entry[part] for part in parts) for entry in row) for row in by_seed.values()
    }
    names = [record["name"] for record in group]
    if len(made) != 1:
        raise ValueError(f"the networks of {', '.join(names)} have different groups, or none.")
    network, data = (wording.proper(settings[part]) for part in ("network", "data"))
    width = "" if settings["width"] == 1 else f" at width {settings['width']:g}"
    return Network(f"{network}{width}, {data}", network, names, list(by_seed.values()))


def figure(networks: Sequence[Network]):
    """Share that each group keeps against what its units are worth; the slider changes criterion.

    A mark's area goes with the units of its group; streams are squares.

    Raises
    ------
    ValueError
        A group costs nothing when it is cut alone: it has no place on an axis of factors.
    """
    for network in networks:
        if (network.a_unit().mean(0) <= 0).any():
            raise ValueError(f"{network.title}: a group costs nothing when it is cut alone.")
    worth = np.concatenate([network.a_unit().mean(0) for network in networks])
    limits = 0.7 * worth.min(), 1.5 * worth.max()
    return widgets.scrub(
        lambda criterion: plotting.beside(
            *(_panel(network, criterion, limits) for network in networks)
        ),
        values=CRITERIA,
        label="criterion",
        alt=lambda criterion: " ".join(told(network, criterion) for network in networks),
        caption="Share of its units that each layer or stream keeps when half of all units go with "
        "one threshold, against the points of accuracy lost for each unit when half of this group "
        "alone goes by lot. The larger a mark, the more units; dashed: half kept.",
    )


def _panel(network: Network, criterion: str, limits: tuple[float, float]) -> Figure:
    worth, share = network.a_unit().mean(0), network.share(criterion).mean(0)

    def draw(ax, palette: Palette) -> None:
        layers = palette.series(criterion, CRITERIA.index(criterion))
        kinds = {False: ("o", layers, "layer"), True: ("s", palette.ink, "stream")}
        ax.axhline(100 * RATIO, color=palette.axis, linewidth=1, linestyle="--")
        for x, y, units, stream in zip(worth, share, network.units, network.streams, strict=True):
            marker, colour, _ = kinds[bool(stream)]
            ax.plot(x, y, marker, color=colour, markersize=1.2 * units**0.5, alpha=0.7)
        for stream in sorted({*network.streams.tolist()}):
            marker, colour, name = kinds[stream]
            ax.plot([], [], marker, color=colour, label=name)
        ax.set_title(network.title)
        ax.set(xlabel="points lost for each unit", ylabel="units kept (%)", xscale="log")
        ticks = [tick for tick in _TICKS if limits[0] < tick < limits[1]]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        ax.set(ylim=(0, 108), xlim=limits)
        tied = network.tied(criterion, A_UNIT).mean()
        ax.text(
            *(0.03, 0.93, f"rank correlation {tied:+.2f}"),
            **{"transform": ax.transAxes, "color": palette.muted},
        )
        plotting.legend(ax)

    return plotting.figure(draw, told(network, criterion), size=(4.0, 3.8))


def told(network: Network, criterion: str) -> str:
    """What a panel of `figure` shows, in words."""
    share, order = network.share(criterion).mean(0), network.a_unit().mean(0).argsort()
    few = max(1, len(order) // 4)
    text = (
        f"{criterion} on {network.title}: the quarter of all groups whose units are worth most "
        f"keep {share[order[-few:]].mean():.0f}% of them, the quarter whose units are worth least "
        f"{share[order[:few]].mean():.0f}%. Rank correlation "
        f"{network.tied(criterion, A_UNIT).mean():+.2f}."
    )
    if network.streams.any():
        kept, units = network.kept(criterion).mean(0)[network.streams], network.units
        each = [f"{k:.0f} of {u}" for k, u in zip(kept, units[network.streams], strict=True)]
        text += f" Streams keep {wording.listed(each)}."
    return text


def table(networks: Sequence[Network]) -> Table:
    """Rank correlations of the share kept with what a group is worth, its width and its kind."""

    def row(network: Network, criterion: str) -> list:
        read = wording.origins(network.names, "shares")
        found = [network.tied(criterion, what) for what in (A_UNIT, POINTS)]
        found.append(network.beyond(criterion, WIDTH))
        cells = [
            Cell(plotting.over_seeds(values, "{:+.2f}"), "record", origins=read) for values in found
        ]
        stream = Cell(None, note="no streams")
        if network.streams.any():
            beyond = plotting.over_seeds(network.beyond(criterion, STREAM), "{:+.2f}")
            stream = Cell(beyond, "record", origins=read)
        return [f"{network.name}, {criterion}", *cells, stream]

    return wording.table(
        [row(network, criterion) for network in networks for criterion in CRITERIA],
        columns=["", A_UNIT, POINTS, "width, beyond", "stream, beyond"],
        caption="Rank correlation of the share of units that a group keeps with the points lost "
        "for each unit, and in all, when half of the group goes by lot; beyond points a unit, with "
        "its width and with being a stream; mean (and range) over networks",
    )
