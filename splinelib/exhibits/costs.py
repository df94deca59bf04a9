"""What tickets of one protocol cost to train, next to what they reach.

The cost of a network is all its training FLOPs as a share of the dense run's: of a ticket the
dense epochs before its draw, the detector, scoring and its own training.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .. import plotting
from ..experiments.reports import Spread
from ..plotting import Cell, Figure, Table
from . import choosing, wording

# One row of costs over seeds and one of accuracies in [0, 1], both (seeds, networks).
Curve = tuple[np.ndarray, np.ndarray]


def below_lottery(group: Sequence[Spread], spread: Spread) -> list[float]:
    """How many times less each seed's ticket costs to train than a lottery ticket of its size.

    A lottery ticket costs a whole dense run, and a whole run of the small network, whose share of
    the dense run is that of its multiply-accumulates.

    Parameters
    ----------
    group : sequence of Spread
        One protocol, its dense network first.
    spread : Spread
        A ticket of it.

    Raises
    ------
    ValueError
        The dense network of a seed is not recorded.
    """
    size = dict(zip(group[0].seeds, group[0].macs, strict=True))
    missing = sorted(set(spread.seeds) - set(size))
    if missing:
        raise ValueError(f"No dense network is recorded for seed {', '.join(map(str, missing))}.")
    each = zip(spread.seeds, spread.macs, spread.cost, strict=True)
    return [(1 + macs / size[seed]) / cost for seed, macs, cost in each]


def overview(runs: Sequence[dict]) -> Table:
    """Everything about each network, as means over seeds: accuracy, sizes, training.

    Latencies are left out: over the records, that of one network varies by more than a cut changes.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol, as `choosing.by_protocol` gives them.
    """
    rows = []
    for spread in choosing.spreads(runs):
        means = [
            _mean(spread.accuracy, spread, "{:.1f}", 0.01),
            _mean(spread.channels, spread, "{:,.0f}"),
            _mean(spread.parameters, spread, "{:.2f}", 1e6),
            _mean(spread.macs, spread, "{:.1f}", 1e6),
            _mean(spread.cost, spread, "{:.0f}", 0.01),
        ]
        rows.append([wording.in_tables(spread.method, spread.ratio), *means])
    return wording.table(
        rows,
        columns=[
            *("network", "accuracy (%)", "channels", "weights (M)", "MACs (M)", "FLOPs (%)"),
        ],
        caption=f"{wording.title(runs)}: means; FLOPs of training as a share of the dense run's",
    )


def _mean(values: Sequence[float], spread: Spread, pattern: str, unit: float = 1) -> Cell:
    return wording.of_seeds([np.mean(values) / unit], spread.names, pattern)


def savings(runs: Sequence[dict]) -> Table:
    """What each ticket saves: points against the dense network of its seed, and two factors.

    The factors say how many times more a dense run costs, and a lottery ticket of the same size;
    see `below_lottery`.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol.
    """
    group = choosing.spreads(runs)
    rows = [
        [
            wording.in_tables(spread.method, spread.ratio),
            wording.of_seeds(spread.points, spread.names, "{:+.2f}"),
            wording.of_seeds([1 / cost for cost in spread.cost], spread.names, "{:.2f}"),
            wording.of_seeds(below_lottery(group, spread), spread.names, "{:.2f}"),
        ]
        for spread in group[1:]
    ]
    return wording.table(
        rows,
        columns=["ticket", "points against dense", "dense ÷ ticket", "lottery ÷ ticket"],
        caption=f"{wording.title(runs)}: accuracy, and training costs compared",
    )


def cost_and_accuracy(group: Sequence[Spread], method: str) -> Curve:
    """Cost and accuracy of one method's tickets, one for each ratio; see `in_order_of_cost`.

    Parameters
    ----------
    group : sequence of Spread
        One protocol.
    method : str
        As in `Spread.method`.

    Raises
    ------
    ValueError
        The group has no ticket by this method.
    """
    drawn = [spread for spread in group if spread.method == method]
    if not drawn:
        raise ValueError(f"No ticket of {method!r} is recorded for this protocol.")
    return in_order_of_cost([(spread.seeds, spread.cost, spread.accuracy) for spread in drawn])


def in_order_of_cost(networks: Sequence[tuple[Sequence, Sequence, Sequence]]) -> Curve:
    """Networks as (seeds, costs, accuracies), side by side as one curve over seeds.

    Parameters
    ----------
    networks : sequence of (seeds, costs, accuracies)
        At least one, each of at least one seed.

    Returns
    -------
    costs, accuracies : ndarray, shape (seeds, networks)
        From the cheapest network, on average, to the dearest. A row is a seed that all networks
        have. Where they have none in common, each network has the first of its own seeds, as many
        as the fewest has, and a row says nothing but that.

    Raises
    ------
    ValueError
        There is no network, or one without a seed.

    Examples
    --------
    >>> in_order_of_cost([([0, 1], [0.8, 0.9], [0.7, 0.72]), ([1], [0.5], [0.6])])
    (array([[0.5, 0.9]]), array([[0.6 , 0.72]]))
    """
    if not networks or not all(len(seeds) for seeds, _, _ in networks):
        raise ValueError("A curve needs networks, and each of them a seed.")
    shared = [s for s in networks[0][0] if all(s in seeds for seeds, _, _ in networks)]
    if shared:
        places = [[list(seeds).index(seed) for seed in shared] for seeds, _, _ in networks]
    else:
        places = [range(min(len(seeds) for seeds, _, _ in networks))] * len(networks)
    cost, accuracy = (
        np.transpose(
            [[network[column][p] for p in at] for network, at in zip(networks, places, strict=True)]
        )
        for column in (1, 2)
    )
    order = np.argsort(cost.mean(0))
    return cost[:, order], accuracy[:, order]


def against_flops(runs: Sequence[dict], rivals: Mapping[str, Curve] | None = None) -> Figure:
    """What a ticket reaches against what it costs to train, one curve for each method.

    Tickets that waited for their own masks are left out; chapter 7 shows those.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol.
    rivals : mapping of name to Curve, optional
        Networks that were never pruned, drawn first. Without them the dense accuracy is a line.

    Raises
    ------
    ValueError
        No ticket is recorded, but for those.
    """
    group = choosing.spreads(runs)
    drawn = [s for s in group if s.ticket is not None and s.ticket.rule != "masks"]
    if not drawn:
        raise ValueError(f"There is no ticket to draw: {wording.title(runs)}.")
    tickets = {
        wording.in_figures(method): cost_and_accuracy(drawn, method)
        for method in choosing.methods(drawn)
    }
    dense = None if rivals else float(np.mean(group[0].accuracy))
    return plotting.accuracy_against(
        {**(rivals or {}), **tickets},
        xlabel="training FLOPs, dense run = 1",
        dense=dense,
        alt=_alt(tickets, rivals or {}, dense),
        caption=f"{wording.title(runs)}: what a ticket costs to train and what it "
        "reaches, over seeds.",
    )


def _alt(tickets: Mapping[str, Curve], rivals: Mapping[str, Curve], dense: float | None) -> str:
    """The figure in words: of each curve its cheapest and its dearest network, as means."""
    beside = "beside networks never pruned" if rivals else "with the dense accuracy as a line"
    told = [f"Test accuracy of tickets against their training FLOPs, {beside}."]
    for name, (cost, accuracy) in {**rivals, **tickets}.items():
        x, y = cost.mean(0), 100 * accuracy.mean(0)
        ends = [f"{y[at]:.1f} % for {x[at]:.2f}" for at in sorted({0, len(x) - 1})]
        told.append(f"{name}: {' to '.join(ends)}.")
    if dense is not None:
        told.append(f"Dense: {100 * dense:.1f} % for 1.")
    return " ".join(told)
