"""What pruning early saves, in five lines and in one figure with its bounds.

One baseline throughout: the dense run. A ticket that keeps a share m of the multiplications and is
drawn at once would cost m of it, so training is at most 1/m times cheaper. A one-shot lottery costs
1 + m, so against that the factor is at most (1 + m)/m.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import plotting
from ..experiments.reports import Spread
from ..plotting import widgets
from ..plotting.svg import STYLE
from . import choosing, claims, costs, rivals, sheets, wording

_SHARES = np.linspace(0.05, 1, 96)


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
    machine : str
        What they ran on.
    """

    opening: str
    lines: list[str]
    names: list[str]
    machine: str

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in self.lines)
        links = ", ".join(
            f'<a href="{html.escape(address, quote=True)}">{html.escape(name)}</a>'
            for name, address in wording.origins(self.names)
        )
        return (
            f'<div class="sl sl-answer"><style>{STYLE}</style><p>{html.escape(self.opening)}</p>'
            f'<ol>{items}</ol><p class="sl-sources">Read from recorded runs: {links}. '
            f"Machine: {html.escape(self.machine)}.</p></div>"
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
    machines = dict.fromkeys(
        sheets.machine(contest.records[name]["dense"]["provenance"]["hardware"]) for name in names
    )
    opening = (
        f"{wording.proper(own['network'])} on {wording.proper(own['dataset'])} at "
        f"{own['width']:g} of its width, all "
        f"{own['epochs']} epochs, {wording.number(len(contest.dense.seeds))} seeds. Points are "
        "those of test accuracy above the dense network, costs the FLOPs of all training as a "
        "share of the dense run's."
    )
    return Answer(opening, lines, list(names), wording.listed(list(machines)))


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


def bounded(contest: rivals.Contest):
    """Accuracy against cost, and savings with their bounds; a slider moves through the ratios.

    Raises
    ------
    ValueError
        Spline tickets of fewer than two ratios are recorded, and a slider needs two.
    """
    ratios = [spread.ratio for spread in drawn_early(contest)]
    if len(ratios) < 2:
        raise ValueError("A slider needs spline tickets of two ratios at least.")
    return widgets.scrub(
        lambda ratio: plotting.beside(_reached(contest, ratio), _saved(contest, ratio)),
        values=ratios,
        label="units removed",
        alt=lambda ratio: _in_words(contest, ratio),
        format="{:.0%}",
        caption="Left: what a network reaches against all that its training cost; dense by its "
        "epochs. Right: how many times less its training cost than the dense run, and than a "
        "one-shot lottery ticket of its size. No ticket can pass the lines.",
    )


def _at(contest: rivals.Contest, ratio: float) -> list[Spread]:
    """Tickets of one ratio that were not drawn by masks; chapter 7 shows those."""
    return [s for s in contest.group if s.ticket and s.ratio == ratio and s.ticket.rule != "masks"]


def _place(contest: rivals.Contest, spread: Spread) -> tuple[float, float]:
    return float(np.mean(spent(contest, spread))), 100 * float(np.mean(spread.accuracy))


def _reached(contest: rivals.Contest, ratio: float) -> plotting.Figure:
    lines = {
        rivals.BY_EPOCHS: sorted(_place(contest, s) for s in (*contest.fewer, contest.dense)),
        "spline": sorted(_place(contest, s) for s in drawn_early(contest)),
    }

    def draw(ax, palette) -> None:
        for name, places in lines.items():
            ax.plot(*zip(*places, strict=True), ".-", color=palette.series(name), linewidth=1)
        for name in ("dense", "spline", "random", "lottery"):
            ax.plot([], [], "o", color=palette.series(name), label=name)
        for spread in _at(contest, ratio):
            colour = palette.series(wording.in_figures(spread.method))
            ax.plot(*_place(contest, spread), "o", color=colour, markersize=10)
        ax.set(xlabel="training FLOPs, dense run = 1", ylabel="accuracy (%)")
        ax.set(xlim=(0, 1.6), ylim=(_lowest(contest), None))
        plotting.legend(ax)

    named = [(name, place) for name, places in lines.items() for place in places]
    told = ", ".join(f"{name} {y:.1f} % for {x:.2f}" for name, (x, y) in named)
    return plotting.figure(draw, f"Accuracy against training FLOPs: {told}.", size=(4.0, 3.9))


def _lowest(contest: rivals.Contest) -> float:
    """Where the axis of accuracy begins: below every network that is drawn."""
    shown = (
        *contest.fewer,
        *(s for s in contest.group if not s.ticket or s.ticket.rule != "masks"),
    )
    return 100 * min(float(np.mean(spread.accuracy)) for spread in shown) - 1


def _saved(contest: rivals.Contest, ratio: float) -> plotting.Figure:
    tickets = [s for s in _at(contest, ratio) if not s.ticket.lottery]

    def draw(ax, palette) -> None:
        for bound, style in ((1 / _SHARES, "-"), (1 + 1 / _SHARES, "--")):
            ax.plot(_SHARES, bound, style, color=palette.muted)
        ax.text(0.02, 4.6, "1/m", color=palette.muted)
        ax.text(0.28, 4.9, "(1 + m)/m", color=palette.muted)
        ax.axhline(claims.PAPERS_FACTOR, color=palette.boundary, linestyle=":")
        ax.text(1, claims.PAPERS_FACTOR + 0.1, "the paper's factor", ha="right")
        for spread in tickets:
            colour = palette.series(wording.in_figures(spread.method))
            share, dense, late = factors(contest, spread)
            hollow = {"markeredgecolor": colour, "markeredgewidth": 2, "color": palette.surface}
            ax.plot(share, dense, "o", color=colour, markersize=10)
            ax.plot(share, late, "o", markersize=10, **hollow)
        ax.set(xlabel="multiplications left, m", ylabel="times less training")
        ax.set(xlim=(0, 1), ylim=(1, 7))
        for fill, label in ((palette.ink, "dense ÷ ticket"), (palette.surface, "lottery ÷ ticket")):
            ax.plot([], [], "o", color=fill, markeredgecolor=palette.ink, label=label)
        plotting.legend(ax)

    told = "; ".join(
        f"{s.method} keeps {m:.2f}, {dense:.2f} times less than dense where {1 / m:.2f} is the "
        f"most, {late:.2f} than a lottery where {1 + 1 / m:.2f} is"
        for s in tickets
        for m, dense, late in [factors(contest, s)]
    )
    return plotting.figure(draw, f"Savings and their bounds: {told}.", size=(4.0, 3.9))


def _in_words(contest: rivals.Contest, ratio: float) -> str:
    told = "; ".join(
        f"{wording.in_figures(s.method)} {y:.1f} % for {x:.2f} of the dense run"
        for s in _at(contest, ratio)
        for x, y in [_place(contest, s)]
    )
    return f"With {ratio:.0%} of the units removed: {told}."
