"""Tickets that two rules drew from the same runs, compared in pairs.

One ticket of a pair was drawn when the codes had settled, the other when the masks of its own
criterion had; nothing else differs. Epochs are counted from 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import experiments, plotting
from ..experiments import watch
from ..experiments.reports import Spread
from ..plotting import widgets
from ..plotting.tables import Cell, Table, table
from ..text import over_seeds
from . import settling, wording


@dataclass(frozen=True)
class Pair:
    """Tickets of one criterion and ratio drawn by either rule, from the same dense networks.

    Attributes
    ----------
    method : str
        `Ticket.method` of the ticket that the codes drew: ``"spline"``, ``"bn@layerwise"``, ...
    criterion : str
    ratio : float
        Share of units removed.
    names : list of str
        Records that have both, one for each seed; the lists below follow them.
    after_codes, after_masks : list of int
        Epoch of the draw by either rule.
    codes, masks : list of float
        Accuracy at the end of the ticket that either rule drew, in [0, 1].
    """

    method: str
    criterion: str
    ratio: float
    names: list[str]
    after_codes: list[int]
    after_masks: list[int]
    codes: list[float]
    masks: list[float]

    @property
    def gained(self) -> list[float]:
        """By how much the ticket that the codes drew ended higher, seed by seed."""
        return [codes - masks for codes, masks in zip(self.codes, self.masks, strict=True)]

    @property
    def earlier_won(self) -> list[bool]:
        """Whether the earlier draw ended higher; for the seeds whose rules chose two epochs."""
        waited = np.subtract(self.after_masks, self.after_codes)
        return [
            bool(epochs * gain > 0)
            for epochs, gain in zip(waited, self.gained, strict=True)
            if epochs
        ]


@dataclass(frozen=True)
class Twice:
    """What two rules drew in runs of one protocol.

    Attributes
    ----------
    title : str
        Network, width and epochs.
    falls : int or None
        Epoch after which the learning rate first falls.
    dense : list of float
        Accuracy of every seed's dense network.
    pairs : list of Pair
        By ratio, then by method; at least one.
    """

    title: str
    falls: int | None
    dense: list[float]
    pairs: list[Pair]

    @property
    def ratios(self) -> list[float]:
        """Shares of units removed, in order."""
        return list(dict.fromkeys(pair.ratio for pair in self.pairs))


def drawn_twice(records: Sequence[dict]) -> list[Twice]:
    """The protocols of which some tickets were drawn by both rules.

    Parameters
    ----------
    records : sequence of dict
        As `experiments.records` gives them.

    Returns
    -------
    list of Twice
        In order of first appearance; protocols without a pair are left out.
    """
    by_name = {record["name"]: record for record in records}
    protocols = []
    for dense, *tickets in experiments.across_seeds(records):
        if pairs := _pairs(tickets):
            record = by_name[dense.names[0]]
            falls = settling.rate_falls(record)
            protocols.append(
                Twice(
                    settling.title(record), falls[0] if falls else None, list(dense.accuracy), pairs
                )
            )
    return protocols


def _pairs(tickets: Sequence[Spread]) -> list[Pair]:
    known = {spread.ticket: spread for spread in tickets}
    pairs = []
    for ticket, masks in known.items():
        codes = known.get(replace(ticket, rule="codes"))
        if ticket.rule != "masks" or codes is None:
            continue
        shared = [name for name in masks.names if name in codes.names]
        if shared:
            one, two = (_of_names(spread, shared) for spread in (codes, masks))
            kind = codes.method, ticket.criterion, ticket.ratio
            pairs.append(Pair(*kind, shared, one[0], two[0], one[1], two[1]))
    return sorted(pairs, key=lambda pair: (pair.ratio, pair.method))


def _of_names(spread: Spread, names: Sequence[str]) -> tuple[list[int], list[float]]:
    """Epochs of the draw, from 1, and accuracies, of the records that are named."""
    places = [spread.names.index(name) for name in names]
    epochs = [spread.drawn_after[place] + 1 for place in places]
    return epochs, [spread.accuracy[place] for place in places]


def in_pairs(twice: Twice):
    """Accuracy at the end against the epoch of the draw, two marks for each seed.

    A slider moves through the shares removed.

    Raises
    ------
    ValueError
        All pairs remove the same share, and a slider needs two.
    """
    if len(twice.ratios) < 2:
        raise ValueError(f"{twice.title}: all pairs remove {twice.ratios[0]:.0%}, nothing to move.")
    rate = "" if twice.falls is None else " Dotted: the rate falls."
    return widgets.scrub(
        lambda ratio: plotting.figure(_marks(twice, ratio), alt="Pairs of tickets."),
        values=twice.ratios,
        label="share of units removed",
        alt=lambda ratio: _pairs_in_words(twice, ratio),
        format="{:.0%}",
        caption=f"{twice.title}: what a ticket reaches at the end. Filled: drawn by the codes; "
        f"hollow: by its own masks; a line joins the two of one seed.{rate}",
    )


def _marks(twice: Twice, ratio: float) -> Callable:
    """Draws the pairs of one ratio, on axes that are the same for all of them."""
    epochs = [e for pair in twice.pairs for e in (*pair.after_codes, *pair.after_masks)]
    reached = [100 * a for pair in twice.pairs for a in (*pair.codes, *pair.masks)]
    methods = sorted({pair.method for pair in twice.pairs}, key=_place)

    def draw(ax, palette):
        if twice.falls is not None:
            ax.axvline(twice.falls + 0.5, color=palette.muted, linestyle=":")
        shown = {pair.method: pair for pair in twice.pairs if pair.ratio == ratio}
        for place, method in enumerate(methods):
            if method in shown:
                colour = palette.series(shown[method].criterion, place)
                _joined(ax, palette, colour, shown[method])
                ax.plot([], [], color=colour, label=method)
        ax.set(xlim=(min(epochs) - 1, max(epochs) + 1), ylim=(min(reached) - 2, max(reached) + 2))
        ax.set(xlabel="ticket drawn after epoch", ylabel="accuracy (%)")
        plotting.legend(ax)

    return draw


def _joined(ax, palette, colour: str, pair: Pair) -> None:
    hollow = {"markeredgecolor": colour, "markeredgewidth": 1.8, "color": palette.surface}
    seeds = zip(pair.after_codes, pair.after_masks, pair.codes, pair.masks, strict=True)
    for first, second, codes, masks in seeds:
        ax.plot((first, second), (100 * codes, 100 * masks), color=colour, linewidth=1.2)
        ax.plot(first, 100 * codes, "o", color=colour, markersize=8)
        ax.plot(second, 100 * masks, "o", markersize=8, **hollow)


def _place(method: str) -> tuple[int, str]:
    """Criteria in the order in which masks are watched, others behind them by name."""
    criterion = method.partition("@")[0].partition("+")[0]
    known = criterion in watch.CRITERIA
    return watch.CRITERIA.index(criterion) if known else len(watch.CRITERIA), method


def _pairs_in_words(twice: Twice, ratio: float) -> str:
    pairs = [pair for pair in twice.pairs if pair.ratio == ratio]
    won = [one for pair in pairs for one in pair.earlier_won]
    gains = ", ".join(f"{pair.method} {100 * np.mean(pair.gained):+.1f}" for pair in pairs)
    return (
        f"Tickets by two rules, {ratio:.0%} removed: {sum(won)} of {len(won)} lines between pairs "
        f"fall to the right. Points by which the draw by the codes ends higher: {gains}."
    )


def two_rules(twice: Twice) -> Table:
    """Accuracy of the tickets that either rule drew, and the difference seed by seed."""
    rows = []
    for pair in twice.pairs:
        read = wording.origins(pair.names)
        means = [f"{100 * np.mean(accuracy):.1f}" for accuracy in (pair.codes, pair.masks)]
        rows.append(
            [
                f"{pair.method} {pair.ratio:.0%}",
                ", ".join(map(str, pair.after_masks)),
                *(Cell(mean, "record", origins=read) for mean in means),
                over_seeds([100 * gain for gain in pair.gained], "{:+.1f}"),
            ]
        )
    dense = over_seeds([100 * accuracy for accuracy in twice.dense], "{:.1f}")
    return table(
        rows,
        columns=["", "drawn after", "codes (%)", "masks (%)", "difference"],
        caption=f"{twice.title}. Epoch after which its own masks drew, for each seed, when they "
        "had settled or at the last that the protocol allows (the codes: "
        f"{_codes_drew(twice.pairs)}); mean accuracy of tickets drawn by either rule (dense "
        f"{dense}); points by which the codes' are better: mean (least to most)",
        format="{}",
    )


def _codes_drew(pairs: Sequence[Pair]) -> str:
    """When the codes drew, which ask for no criterion: once for all ratios of the same seeds."""
    drawn = {}
    for pair in pairs:
        after = ", ".join(map(str, pair.after_codes))
        drawn.setdefault(after, {})[f"{pair.ratio:.0%}"] = None
    return "; ".join(f"{after} at {' and '.join(ratios)}" for after, ratios in drawn.items())


def earlier_is_higher(twice: Twice) -> Table:
    """In how many pairs the ticket that was drawn earlier ended higher, by share removed."""
    rows = []
    for ratio in twice.ratios:
        won = [one for pair in twice.pairs if pair.ratio == ratio for one in pair.earlier_won]
        rows.append([f"{ratio:.0%}", sum(won), len(won)])
    return table(
        rows,
        columns=["removed", "earlier is higher", "of"],
        caption=f"{twice.title}. Pairs whose two rules chose different epochs, and in how many of "
        "them the ticket that was drawn earlier ended higher; all criteria and seeds",
        format="{}",
    )
