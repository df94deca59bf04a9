"""What pruning early saves, in five lines and in one figure with its bounds.

One baseline throughout: the dense run. A ticket that keeps a share m of the multiplications and is
drawn at once would cost m of it, so training is at most 1/m times cheaper. A one-shot lottery costs
1 + m, so against that the factor is at most (1 + m)/m.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import experiments, plotting
from ..experiments.reports import Spread
from ..plotting.costs import MULTIPLICATIONS
from ..plotting.svg import STYLE
from . import choosing, claims, costs, rivals, sheets, wording

# What a ticket keeps: as the figure calls it -> as records do.
_PARTS = {"channels": "channels", "parameters": "parameters", MULTIPLICATIONS: "macs"}


@dataclass(frozen=True)
class Answer:
    """A few lines read from records, and which records they are.

    Attributes
    ----------
    opening : str
        What the lines are about.
    lines : list of str
    names : list of str
        Of the records.
    machines : str
        What they ran on, as `sheets.machines` says it.
    """

    opening: str
    lines: list[str]
    names: list[str]
    machines: str

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in self.lines)
        links = ", ".join(
            f'<a href="{html.escape(address, quote=True)}">{html.escape(name)}</a>'
            for name, address in wording.origins(self.names)
        )
        return (
            f'<div class="sl sl-answer"><style>{STYLE}</style><p>{html.escape(self.opening)}</p>'
            f'<ol>{items}</ol><p class="sl-sources">Read from recorded runs: {links}. '
            f"{html.escape(self.machines)}</p></div>"
        )


def longest(records: Sequence[dict]) -> rivals.Contest:
    """The protocol of most epochs of which tickets are recorded, with its rivals.

    Raises
    ------
    ValueError
        No ticket is recorded.
    """
    protocols = choosing.with_tickets(records)
    if not protocols:
        raise ValueError("No ticket is recorded.")
    runs = max(protocols, key=lambda runs: runs[0]["protocol"]["epochs"])
    return rivals.contest(runs, records)


def drawn_early(contest: rivals.Contest, method: str = "spline") -> list[Spread]:
    """Tickets of one method, the mildest cut first."""
    return sorted((s for s in contest.group if s.method == method), key=lambda s: s.ratio)


def halfway(contest: rivals.Contest) -> Spread | None:
    """The dense network with the most epochs below the protocol's, if one is recorded."""
    return max(contest.fewer, key=lambda spread: contest.protocol(spread)["epochs"], default=None)


def lottery(contest: rivals.Contest) -> Spread | None:
    """The first lottery ticket of the protocol, if one is recorded."""
    return next((s for s in contest.group if s.ticket and s.ticket.lottery), None)


def answer(contest: rivals.Contest) -> Answer:
    """What each network reaches and costs, beside the dense network of the same seed."""
    own = contest.protocol(contest.dense)
    told = [
        (f"{spread.ratio:.0%} of the units removed when the codes settle", spread)
        for spread in drawn_early(contest)
    ]
    rival, late = halfway(contest), lottery(contest)
    if rival is not None:
        epochs = contest.protocol(rival)["epochs"]
        told.append((f"nothing removed, and {epochs} epochs in place of {own['epochs']}", rival))
    if late is not None:
        told.append((f"a one-shot lottery, {late.ratio:.0%} removed at the end", late))
    lines = [_line(contest, name, spread) for name, spread in told]
    names = dict.fromkeys(
        name for spread in (contest.dense, *(s for _, s in told)) for name in spread.names
    )
    opening = (
        f"{wording.proper(own['network'])} on {wording.proper(own['dataset'])} at "
        f"{own['width']:g} of its width, all "
        f"{own['epochs']} epochs, {wording.number(len(contest.dense.seeds))} seeds. Points are "
        "those of test accuracy above the dense network, costs the FLOPs of all training as a "
        "share of the dense run's."
    )
    machines = sheets.machines(contest.records[name] for name in names)
    return Answer(opening, lines, list(names), machines)


def points_above_dense(contest: rivals.Contest, spread: Spread) -> list[float]:
    """Points of test accuracy above the protocol's dense network, for each seed of both."""
    dense = dict(zip(contest.dense.seeds, contest.dense.accuracy, strict=True))
    each = zip(spread.seeds, spread.accuracy, strict=True)
    return [100 * (reached - dense[seed]) for seed, reached in each if seed in dense]


def spent(contest: rivals.Contest, spread: Spread) -> list[float]:
    """Training FLOPs as a share of the dense run's, for each seed that the protocol has."""
    return [
        contest.spent(spread, place)
        for place, seed in enumerate(spread.seeds)
        if seed in contest.dense.seeds
    ]


def _line(contest: rivals.Contest, name: str, spread: Spread) -> str:
    points = wording.points(points_above_dense(contest, spread))
    cost = np.mean(spent(contest, spread))
    return f"{name[0].upper()}{name[1:]}: {points} points, for {cost:.0%}."


def shares_left(contest: rivals.Contest, spread: Spread) -> list[float]:
    """Multiplications that are left, m, for each seed of a ticket."""
    dense = dict(zip(contest.dense.seeds, contest.dense.macs, strict=True))
    return [macs / dense[seed] for seed, macs in zip(spread.seeds, spread.macs, strict=True)]


def factors(contest: rivals.Contest, spread: Spread) -> tuple[float, float, float]:
    """Of a ticket, as means over seeds: m, and its saving against dense and against a lottery."""
    against_dense = np.mean([1 / cost for cost in spread.cost])
    against_lottery = np.mean(costs.below_lottery(contest.group, spread))
    return float(np.mean(shares_left(contest, spread))), against_dense, against_lottery


def bounded(contest: rivals.Contest) -> plotting.Live:
    """What tickets reach, cost and keep, and savings with their bounds, by the ratio removed.

    It opens with the ratio of which most methods are recorded.

    Raises
    ------
    ValueError
        Spline tickets of fewer than two ratios are recorded, and a slider needs two.
    """
    drawn, dense = outcomes(contest), never_pruned(contest)
    told = "; ".join(
        f"{one.name}, {one.ratio:.0%} removed: {one.place[1]:.1f} % for {one.place[0]:.2f}"
        for one in drawn
    )
    rival = "; ".join(f"{one.name}: {one.place[1]:.1f} % for {one.place[0]:.2f}" for one in dense)
    ratios = sorted({one.ratio for one in drawn if one.name == drawn[0].name})
    methods = [sum(one.ratio == ratio for one in drawn) for ratio in ratios]
    return plotting.tickets(
        drawn,
        dense,
        start=methods.index(max(methods)),
        alt=f"Accuracy against all training, in dense runs. Dense, {rival}. {told}.",
        level=("the paper's factor", claims.PAPERS_FACTOR),
        caption="First: accuracy against the FLOPs of all training. Second: how many times less a "
        "ticket's training costs than the baseline; no ticket can pass the line. Table: what "
        "is left, as a share of the dense network's; the range is that of the seeds.",
    )


def outcomes(contest: rivals.Contest) -> list[plotting.Outcome]:
    """Tickets that were not drawn by masks, which chapter 7 shows; those of the spline order first.

    Raises
    ------
    ValueError
        There is no such ticket of the spline order.
    """
    drawn = [s for s in contest.group if s.ticket and s.ticket.rule != "masks"]
    drawn.sort(key=lambda spread: spread.method != "spline")
    if not drawn or drawn[0].method != "spline":
        raise ValueError("No ticket of the spline order is recorded.")
    return [
        plotting.Outcome(
            name=wording.in_figures(spread.method),
            accuracy=spread.accuracy,
            cost=spent(contest, spread),
            ratio=spread.ratio,
            left=_left(contest, spread),
            late=spread.ticket.lottery,
        )
        for spread in drawn
    ]


def never_pruned(contest: rivals.Contest) -> list[plotting.Outcome]:
    """The dense network, and those with fewer epochs, the fewest first."""
    dense = sorted((*contest.fewer, contest.dense), key=lambda s: contest.protocol(s)["epochs"])
    return [
        plotting.Outcome(
            name=f"{contest.protocol(spread)['epochs']} epochs",
            accuracy=_shared(contest, spread, spread.accuracy),
            cost=spent(contest, spread),
        )
        for spread in dense
    ]


def kept_of_first(contest: rivals.Contest, name: str, spread: Spread, layers: int) -> float:
    """Share of the channels of a ticket's first layers that one record's ticket has kept."""
    made = {experiments.Ticket.of(one): one for one in contest.records[name]["tickets"]}
    widths = list(made[spread.ticket]["widths"].values())[:layers]
    return sum(after for _, after in widths) / sum(before for before, _ in widths)


def _shared(contest: rivals.Contest, spread: Spread, values: Sequence[float]) -> list[float]:
    """Those of a network's values whose seed the protocol has."""
    own = contest.dense.seeds
    return [value for seed, value in zip(spread.seeds, values, strict=True) if seed in own]


def _left(contest: rivals.Contest, spread: Spread) -> dict[str, list[float]]:
    """What is left of the dense network of the same seed; latencies where all are known."""
    left = {}
    for name, key in _PARTS.items():
        dense = dict(zip(contest.dense.seeds, getattr(contest.dense, key), strict=True))
        each = zip(spread.seeds, getattr(spread, key), strict=True)
        left[name] = [value / dense[seed] for seed, value in each]
    if all(np.isfinite(one.latency).all() for one in contest.group):
        left["latency"] = spread.latency
    return left
