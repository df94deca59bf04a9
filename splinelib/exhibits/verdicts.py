"""The paper's claims, each with what this book can say of it, as the front page lists them.

A verdict is made of the values that carry it, and showing one whose values do not is an error.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .. import plotting
from ..experiments import Protocol
from ..geometry.difference import difference
from ..geometry.partition import partition
from ..plotting import Figure
from ..plotting.svg import STYLE
from ..pruning import shrink
from . import bargains, choosing, claims, costs, pace, rivals, settling, sheets, wording

DOMAIN = ((-1.1, 1.1), (-1.1, 1.1))
# What the paper reports on.
NETWORKS = ("vgg16", "preresnet101", "resnet18", "resnet50")
DATASETS = ("cifar10", "cifar100", "imagenet")
# A ticket that ends so many points below its dense network still counts as about as good.
ABOUT_AS_GOOD = 0.5


@dataclass(frozen=True)
class Verdict:
    """One claim, and what the book says of it.

    Attributes
    ----------
    claim : str
        What the paper claims, in our words.
    shown : str
        How far it is shown: "shown exactly", "shown in part".
    told : str
        The verdict, in a sentence or two.
    holds : sequence of bool
        Whether the values carry the verdict, in each case.
    picture : Figure
    page, link : str
        The chapter, seen from the front page, and what its link says.
    """

    claim: str
    shown: str
    told: str
    holds: Sequence[bool]
    picture: Figure
    page: str
    link: str


@dataclass(frozen=True)
class Cards:
    """Verdicts beside each other, as HTML."""

    markup: str

    def _repr_html_(self) -> str:
        return self.markup


def cards(verdicts: Sequence[Verdict], below: str = "") -> Cards:
    """The verdicts as cards, each with its picture and a link, and a sentence below them.

    Raises
    ------
    AssertionError
        A verdict is not carried by its values.
    """
    for verdict in verdicts:
        claims.claim(verdict.told, verdict.holds)
    inner = "".join(
        '<section class="sl-claim">'
        f"{verdict.picture.inline()}"
        f'<p class="sl-shown">{html.escape(verdict.shown)}</p>'
        f"<p><strong>{html.escape(verdict.claim)}</strong></p>"
        f"<p>{html.escape(verdict.told)} "
        f'<a href="{html.escape(verdict.page, quote=True)}">{html.escape(verdict.link)}</a></p>'
        "</section>"
        for verdict in verdicts
    )
    style = f"<style>{STYLE}</style>"
    return Cards(f'<div class="sl sl-claims">{style}{inner}</div><p>{html.escape(below)}</p>')


def removal(model: nn.Sequential, example: torch.Tensor) -> Verdict:
    """What a unit and a weight take with them, on a network of two inputs and two hidden layers.

    Parameters
    ----------
    model : nn.Sequential
        As `models.mlp` makes it.
    example : Tensor, shape (N, 2)
    """
    first, second = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][:2]
    part = partition(model, DOMAIN)
    draws = [_edges(part, 1, unit).sum() for unit in range(second.out_features)]
    unit = int(np.argmax(draws))
    masks = {"linear1": torch.ones(first.out_features, dtype=torch.bool)}
    masks["linear2"] = torch.arange(second.out_features) != unit
    both = difference(model, shrink(model, masks, example[:1]), DOMAIN)
    cut = without_small_weights(model)
    turned = partition(cut, DOMAIN)
    single = [
        unit for unit in range(first.out_features) if (cut.linear1.weight[unit] == 0).sum() == 1
    ]
    told = (
        "A unit takes its whole line, bends and all; cut one of its two weights, and its "
        "line turns parallel to an axis. Both are computed, not sampled."
    )
    holds = [len(both.refinement) == len(part), draws[unit] > 2, bool(single)]
    holds += [is_parallel(turned, 0, unit) for unit in single]
    return Verdict(
        claim="Removing a unit removes a whole line of the partition; removing single weights "
        "turns lines parallel to the axes.",
        shown="shown exactly",
        told=told,
        holds=holds,
        picture=_two_squares(part, unit, turned, single),
        page="splines/04_see_pruning.html",
        link="See what pruning removes",
    )


def without_small_weights(model: nn.Sequential) -> nn.Sequential:
    """A copy whose first layer has lost the smaller of the two weights of every unit."""
    copy = nn.Sequential()
    for name, layer in model.named_children():
        copy.add_module(name, layer)
    first = nn.Linear(2, model.linear1.out_features)
    weight = model.linear1.weight.detach()
    small = weight.abs().argmin(1, keepdim=True)
    first.load_state_dict({"weight": weight.scatter(1, small, 0), "bias": model.linear1.bias})
    copy.linear1 = first
    return copy


def _edges(part, layer: int, unit: int) -> np.ndarray:
    return (part.edge_source == [layer, unit]).all(1)


def is_parallel(part, layer: int, unit: int) -> bool:
    """Whether all edges that a unit draws run along an axis, to rounding; True if it draws none."""
    ends = part.vertices[part.edges[_edges(part, layer, unit)]]
    along = np.abs(ends[:, 1] - ends[:, 0])
    return bool((along.min(1, initial=np.inf) < 1e-9).all())


def _two_squares(part, unit: int, turned, single: Sequence[int]) -> Figure:
    """Left the line that one unit takes with it, right the lines of cut weights."""
    thick = [_edges(part, 1, unit), np.isin(turned.edge_source[:, 1], single)]
    thick[1] &= turned.edge_source[:, 0] == 0

    def draw(ax, palette) -> None:
        ax.set_axis_off()
        panels = zip((part, turned), thick, ("one unit", "small weights"), (0, 0.52), strict=True)
        for shown, chosen, title, left in panels:
            panel = ax.inset_axes([left, 0, 0.48, 1])
            plotting.draw_partition(panel, palette, shown, "layer", boundary=False)
            for edge in shown.edges[chosen]:
                panel.plot(*shown.vertices[edge].T, color=palette.pruned, linewidth=2.2)
            panel.set_title(title)
            panel.set(xticks=[], yticks=[], xlabel="", ylabel="")
        for repeated in list(ax.figure.legends):
            repeated.remove()

    alt = (
        f"Left, a partition of {len(part)} regions, and thick in it the line of one unit, which "
        f"bends at the lines of the layer before. Right, with small weights cut, {len(single)} "
        "lines of the first layer, each parallel to an axis."
    )
    return plotting.figure(draw, alt, size=(3.6, 1.95))


def early(records: Sequence[dict]) -> Verdict:
    """Whether the partition settles early: pace and place, over the longest schedule on record.

    Raises
    ------
    ValueError
        There is no record.
    """
    longest = settling.longest(records)
    epochs = longest["protocol"]["epochs"]
    watched = [
        one for one in settling.settlings(records) if longest["name"] in one.names
    ] or settling.settlings([longest])
    names = watched[0].names if watched else [longest["name"]]
    runs = [record for record in records if record["name"] in names]
    fired = [record["early_bird"]["settled_epoch"] for record in runs]
    holds = [epoch is not None and epoch + 1 <= epochs / 10 for epoch in fired]
    left = [
        pace.still_to_go(record, epoch + 1)
        for record, epoch in zip(runs, fired, strict=True)
        if epoch is not None
    ]
    holds += [share > 0.5 for share in left]
    after = wording.listed([settling.said(None if e is None else e + 1) for e in fired])
    percent = wording.listed([f"{share:.0%}" for share in left]) or "all"
    plural = "s" * (len(runs) > 1)
    told = (
        "The pace settles early, the place does not. "
        f"In {len(runs)} run{plural} of {epochs} epochs the rule fires after epoch{plural} {after}"
        f"; {percent} of the way to the last partition is then still to go."
    )
    return Verdict(
        claim="The partition converges early in training, found by a distance that does not ask "
        "how the network will be pruned.",
        shown="shown in part",
        told=told,
        holds=holds,
        picture=_small_matrix(longest),
        page="early_bird/07_early_bird.html",
        link="Catch the early bird",
    )


def _small_matrix(record: dict) -> Figure:
    matrix = np.array(record["early_bird"]["matrix"])
    fired, size = record["early_bird"]["settled_epoch"], len(matrix)

    def draw(ax, palette) -> None:
        square = (0.5, size + 0.5, size + 0.5, 0.5)
        ax.imshow(matrix, cmap="viridis", vmin=0, extent=square, interpolation="none")
        if fired is not None:
            ax.axvline(fired + 1, color=palette.boundary, linestyle="--")
            ax.axhline(fired + 1, color=palette.boundary, linestyle="--")
        ax.grid(False)
        ax.set(xlabel="epoch", ylabel="epoch")

    after = settling.said(None if fired is None else fired + 1)
    falls = wording.listed([str(epoch) for epoch in settling.rate_falls(record)])
    alt = (
        f"Distance of every two of {size} epochs: dark squares begin where the rate falls, after "
        f"epochs {falls}; dashed, and far before them, epoch {after}, "
        "where the rule fires."
    )
    return plotting.figure(draw, alt, size=(3.0, 2.5))


def saving(records: Sequence[dict], ratios: Sequence[float] = (0.3, 0.5)) -> Verdict:
    """What spline tickets of the longest schedule cost and reach, and which factor that is.

    Raises
    ------
    ValueError
        No spline ticket of these ratios is recorded.
    """
    contest = bargains.longest(records)
    drawn = [spread for spread in bargains.drawn_early(contest) if spread.ratio in ratios]
    if not drawn:
        raise ValueError(f"No spline ticket of {wording.title(contest.runs)} is recorded.")
    lines, holds = [], []
    for spread in drawn:
        cost, points = float(np.mean(spread.cost)), float(np.mean(spread.points))
        lottery = float(np.mean(costs.below_lottery(contest.group, spread)))
        baselines = (" than the dense run", " than a one-shot lottery") if not lines else ("", "")
        lines.append(
            f"with {spread.ratio:.0%} of the units gone {wording.points([points])} points, for "
            f"{1 / cost:.1f} times less{baselines[0]} and {lottery:.1f} times less{baselines[1]}"
        )
        holds.append(max(1 / cost, lottery) < claims.PAPERS_FACTOR)
    holds += [points > -ABOUT_AS_GOOD for points in drawn[0].points]
    fewer = [won for spread in drawn[1:] for won in rivals.wins(contest, spread, "epochs")]
    holds += [not won for won in fewer]
    network = wording.proper(contest.runs[0]["protocol"]["network"])
    told = (
        f"On a narrow {network}: {'; '.join(lines)}. The milder cut is about as good as dense; at "
        "the deeper, the dense network with half of the epochs does better for less."
    )
    return Verdict(
        claim=f"Training costs up to {claims.PAPERS_FACTOR:g} times fewer FLOPs, at similar or "
        "better accuracy.",
        shown="shown in part",
        told=told,
        holds=holds,
        picture=_small_bill(contest),
        page="pruning/11_cifar.html",
        link="Prune on CIFAR",
    )


def _small_bill(contest: rivals.Contest) -> Figure:
    """Mean accuracy against mean cost: spline tickets, and the dense network by its epochs."""
    tickets = [s for s in contest.group if s.method == "spline"]
    dense = [contest.dense, *contest.fewer]

    def place(spread) -> tuple[float, float]:
        spent = [contest.spent(spread, at) for at in range(len(spread.seeds))]
        return float(np.mean(spent)), 100 * float(np.mean(spread.accuracy))

    curves = {
        name: sorted(map(place, own)) for name, own in (("dense", dense), ("spline", tickets))
    }

    def draw(ax, palette) -> None:
        for name, points in curves.items():
            ax.plot(*zip(*points, strict=True), "o-", color=palette.series(name), label=name)
        ax.set(xlabel="training FLOPs, dense = 1", ylabel="accuracy (%)", xlim=(0, 1.1))
        plotting.legend(ax)

    told = "; ".join(
        f"{name}: {', '.join(f'{y:.1f} % for {x:.2f}' for x, y in points)}"
        for name, points in curves.items()
    )
    return plotting.figure(draw, f"Accuracy against training FLOPs. {told}.", size=(3.0, 2.5))


def not_run(records: Sequence[dict]) -> str:
    """What of the paper's experiments has no record here, as a sentence, and on what ours ran."""
    paper = Protocol()
    whole = choosing.having(choosing.with_tickets(records), width=paper.width, epochs=paper.epochs)
    made = {runs[0]["protocol"]["network"] for runs in whole}
    sets = {record["protocol"]["dataset"] for record in records}
    networks = [wording.proper(name) for name in NETWORKS if name not in made]
    others = [wording.proper(name) for name in DATASETS if name not in sets]
    machines = dict.fromkeys(
        sheets.machine(record["dense"]["provenance"]["hardware"]) for record in records
    )
    lacking = [
        *(
            [f"{wording.listed(networks)} at full width over {paper.epochs} epochs"]
            * bool(networks)
        ),
        *others,
        "energy on a board",
    ]
    return (
        f"Not run: {'; '.join(lacking)}. What has been recorded ran on "
        f"{wording.listed(list(machines)) or 'no machine yet'}."
    )
