"""Tickets beside networks that were never pruned: with fewer epochs, or narrow from the start.

Rivals are dense networks of other records, which differ from a protocol in nothing but one
setting and the seed. All costs are in units of that protocol's dense run of the first seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import experiments, plotting
from ..experiments.reports import Spread
from ..plotting import Figure, Table
from . import choosing, costs, wording

# Names in figures; "narrow" and "dense" have colours of their own.
NARROW = "narrow (from the start)"
FEWER = "dense, fewer epochs"
BY_EPOCHS = "dense (by its epochs)"

# A narrow network is a ticket's rival if its multiply-accumulates differ by less than this share.
AS_NARROW = 0.1


@dataclass(frozen=True)
class Contest:
    """The networks of one protocol, and those that run against its tickets; see `contest`.

    Attributes
    ----------
    runs : list of dict
        Records of the protocol.
    group : list of Spread
        Its networks, the dense one first.
    fewer, narrow : list of Spread
        Dense networks with fewer epochs, and of less width.
    records : dict of str to dict
        Every record that they come from, by name.
    """

    runs: list[dict]
    group: list[Spread]
    fewer: list[Spread]
    narrow: list[Spread]
    records: dict[str, dict]

    @property
    def dense(self) -> Spread:
        """The protocol's own dense network."""
        return self.group[0]

    def protocol(self, spread: Spread) -> dict:
        """Settings of the first record of a network."""
        return self.records[spread.names[0]]["protocol"]

    def spent(self, spread: Spread, place: int) -> float:
        """All training FLOPs of one seed's network, in dense runs of the protocol's first seed.

        Parameters
        ----------
        spread : Spread
            Of the protocol, or a rival.
        place : int
            Which of its seeds, from 0.
        """
        unit = self.records[self.dense.names[0]]["dense"]["pflop"]
        own = self.records[spread.names[place]]["dense"]["pflop"]
        return spread.cost[place] * own / unit


def contest(runs: Sequence[dict], records: Sequence[dict]) -> Contest:
    """Find a protocol's rivals among the records.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol, at least one.
    records : sequence of dict
        Where to look for rivals, such as all records of the dataset.

    Raises
    ------
    ValueError
        There is no record of the protocol.
    """
    if not runs:
        raise ValueError("Rivals are rivals of a recorded protocol, and no record of it is given.")
    named = {record["name"]: record for record in [*records, *runs]}
    dense = [choosing.spreads(others)[0] for others in choosing.by_protocol(list(named.values()))]

    def never_pruned(setting: str) -> list[Spread]:
        free = {setting: None, "latest_draw": None, "seed": 0}
        own = runs[0]["protocol"]
        protocols = [(spread, named[spread.names[0]]["protocol"]) for spread in dense]
        return [
            spread
            for spread, other in protocols
            if other | free == own | free and other[setting] < own[setting]
        ]

    return Contest(
        runs=list(runs),
        group=choosing.spreads(runs),
        fewer=never_pruned("epochs"),
        narrow=never_pruned("width"),
        records=named,
    )


def bill(contest: Contest, spread: Spread, place: int) -> tuple[np.ndarray, list[float]]:
    """Training FLOPs spent after each epoch of one seed's network, and the accuracy by then.

    A ticket starts with the dense epochs before it was drawn on its bill; what it cost beside its
    own training, such as the scoring, is spread over its epochs.

    Parameters
    ----------
    contest : Contest
    spread : Spread
        Of the protocol, or a rival.
    place : int
        Which of its seeds, from 0.

    Returns
    -------
    spent : ndarray, shape (epochs,)
        In dense runs of the protocol's first seed.
    accuracies : list of float
        Test accuracies, in percent.
    """
    record = contest.records[spread.names[place]]
    made = {experiments.Ticket.of(entry): entry for entry in record["tickets"]}
    result = made.get(spread.ticket, record["dense"])
    reached = [100 * row["test_accuracy"] for row in result["history"]]
    drawn = (spread.drawn_after[place] + 1) / record["protocol"]["epochs"]
    ends = drawn if spread.ticket else 0.0, contest.spent(spread, place)
    return np.linspace(*ends, len(reached) + 1)[1:], reached


def bills(
    contest: Contest,
    ratio: float = 0.5,
    methods: Sequence[str] = ("spline", "lottery:spline"),
    least: float = 65,
) -> Figure:
    """Accuracy after every epoch against all that was spent by then, for tickets and rivals.

    Parameters
    ----------
    contest : Contest
    ratio : float
        Share of units that the tickets have lost, in [0, 1).
    methods : sequence of str
        Of the tickets, as in `Spread.method`; those that were not recorded are not drawn.
    least : float
        Where the accuracy axis begins, in percent.
    """
    drawn = [s for s in contest.group if s.ticket and (s.method in methods and s.ratio == ratio)]
    named = [(FEWER, spread) for spread in contest.fewer]
    named += [(wording.in_figures(s.method), s) for s in (contest.dense, *drawn)]
    named += [(NARROW, spread) for spread in contest.narrow]
    curves = [
        (name, [bill(contest, spread, place) for place in _places(contest, spread)])
        for name, spread in named
    ]

    def picture(ax, palette) -> None:
        told = set()
        for name, x, y in [(name, *curve) for name, seeds in curves for curve in seeds]:
            colour = palette.muted if name == FEWER else palette.series(name)
            ax.plot(x, y, color=colour, linewidth=1, label=None if name in told else name)
            ax.plot(x[-1], y[-1], "o", color=colour)
            told.add(name)
        ax.set(xlabel="training FLOPs, dense run = 1", ylabel="accuracy (%)")
        ax.set(xlim=(0, None), ylim=(least, None))
        plotting.legend(ax)

    return plotting.figure(
        picture,
        alt=_alt(curves),
        caption=f"{wording.title(contest.runs)}: test accuracy after each epoch, "
        f"{ratio:.0%} of the units removed",
    )


def _alt(curves: Sequence[tuple[str, Sequence[tuple[np.ndarray, list[float]]]]]) -> str:
    """The figure in words: where the bill of each network ends, as means over its seeds."""
    ends: dict[str, list[str]] = {}
    for name, seeds in curves:
        if seeds:
            spent, reached = np.mean([(x[-1], y[-1]) for x, y in seeds], 0)
            ends.setdefault(name, []).append(f"{reached:.1f} % for {spent:.2f}")
    told = ["Test accuracy of each network against the training FLOPs spent on it so far."]
    told += [f"{name}: ends at {wording.listed(texts)}." for name, texts in ends.items()]
    return " ".join(told)


def _places(contest: Contest, spread: Spread) -> list[int]:
    """Places of those seeds of a network that the protocol has as well."""
    return [place for place, seed in enumerate(spread.seeds) if seed in contest.dense.seeds]


def balance(contest: Contest) -> Table:
    """Tickets and rivals in numbers, over the seeds that the protocol has.

    Accuracy in percent, points above the dense network of the same seed, multiply-accumulates in
    millions, and training FLOPs in percent of the dense run's.
    """
    settings = [contest.protocol(spread) for spread in (*contest.fewer, *contest.narrow)]
    told = [f"dense, {own['epochs']} epochs" for own in settings[: len(contest.fewer)]]
    told += [f"narrow, width {own['width']:g}" for own in settings[len(contest.fewer) :]]
    entries = [(wording.in_tables(s.method, s.ratio), s) for s in contest.group[1:]]
    entries += [(f"dense, {contest.protocol(contest.dense)['epochs']} epochs", contest.dense)]
    entries += zip(told, (*contest.fewer, *contest.narrow), strict=True)
    return wording.table(
        [[name, *_balance_row(contest, s)] for name, s in entries if _places(contest, s)],
        columns=["network", "accuracy (%)", "points", "MACs (M)", "FLOPs (%)"],
        caption=f"{wording.title(contest.runs)}: test accuracy, points above the dense network "
        "of the same seed, multiplications, and training FLOPs as a share of its",
    )


def _balance_row(contest: Contest, spread: Spread) -> list:
    dense = dict(zip(contest.dense.seeds, contest.dense.accuracy, strict=True))
    there = _places(contest, spread)
    names = [spread.names[i] for i in there]
    points = [100 * (spread.accuracy[i] - dense[spread.seeds[i]]) for i in there]
    macs = np.mean([spread.macs[i] for i in there]) / 1e6
    cost = [100 * contest.spent(spread, i) for i in there]
    own = spread is contest.dense
    return [
        wording.of_seeds([100 * spread.accuracy[i] for i in there], names),
        "" if own else wording.of_seeds(points, names, "{:+.1f}"),
        wording.of_seeds([macs], names),
        wording.of_seeds(cost, names, "{:.0f}"),
    ]


def beside_tickets(contest: Contest) -> Figure:
    """`costs.against_flops` with the lines of the rivals: the dense network by its epochs, narrow.

    Each line has the seeds of the protocol that all its networks have.
    """
    curves = {BY_EPOCHS: [contest.dense, *contest.fewer], NARROW: contest.narrow}
    drawn = {name: _curve(contest, spreads) for name, spreads in curves.items() if spreads}
    return costs.against_flops(contest.runs, drawn)


def _curve(contest: Contest, spreads: Sequence[Spread]) -> costs.Curve:
    entries = []
    for spread in spreads:
        there = _places(contest, spread)
        entries.append(
            (
                [spread.seeds[i] for i in there],
                [contest.spent(spread, i) for i in there],
                [spread.accuracy[i] for i in there],
            )
        )
    return costs.in_order_of_cost(entries)


def wins(contest: Contest, spread: Spread, setting: str) -> list[bool]:
    """Whether each ticket ends above the best of those never pruned that cost no more.

    Parameters
    ----------
    contest : Contest
    spread : Spread
        A ticket of the protocol.
    setting : {"epochs", "width"}
        Which rivals: those with fewer epochs, or the narrow ones that do as many
        multiply-accumulates as the ticket, within a tenth.

    Returns
    -------
    list of bool
        For each seed that has such a rival.

    Raises
    ------
    ValueError
        For another setting.
    """
    if setting not in ("epochs", "width"):
        raise ValueError(f'setting is "epochs" or "width", not {setting!r}.')
    rivals = contest.fewer if setting == "epochs" else contest.narrow
    won = []
    for place, seed in enumerate(spread.seeds):
        reached = [
            rival.accuracy[at]
            for rival in rivals
            for at in [k for k, other in enumerate(rival.seeds) if other == seed]
            if contest.spent(rival, at) <= contest.spent(spread, place)
            and (setting == "epochs" or abs(rival.macs[at] / spread.macs[place] - 1) < AS_NARROW)
        ]
        won += [spread.accuracy[place] > max(reached)] if reached else []
    return won
