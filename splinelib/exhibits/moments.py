"""Tickets that a page trains itself, by the epoch of their draw and by the rule that chose it.

`draws` shows what records say of the same question. Epochs are counted from 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import plotting
from ..plotting.svg import Figure
from ..plotting.tables import Table, table
from ..text import over_seeds


def by_epoch(
    epochs: Sequence[int],
    tickets: Sequence,
    dense: Sequence,
    when_drawn: Sequence,
    early_bird: int | None = None,
    ratio: float = 0.5,
) -> Figure:
    """Held-out accuracy of tickets against the epoch of their draw.

    Parameters
    ----------
    epochs : sequence of int, length D
        Epochs of the draw, rising; the last is the last of the training.
    tickets : array_like, shape (seeds, D)
        Accuracy at the end, in [0, 1].
    dense : array_like, shape (seeds,)
        Accuracy of the dense networks at the end.
    when_drawn : array_like, shape (seeds, D)
        Accuracy of the dense networks at the draw.
    early_bird : int, optional
        Epoch to mark.
    ratio : float
        Share of units removed.
    """
    tickets, dense = np.asarray(tickets, float), np.asarray(dense, float)
    if tickets.shape != (len(dense), len(epochs)):
        raise ValueError(
            f"tickets of {len(dense)} seeds at {len(epochs)} epochs are needed, not an array of "
            f"shape {tickets.shape}."
        )
    mean = tickets.mean(0)
    told = ", ".join(f"{100 * a:.1f} % after {e}" for e, a in zip(epochs, mean, strict=True))
    return plotting.curves(
        {
            "spline": tickets,
            "dense at the end": np.repeat(dense[:, None], len(epochs), axis=1),
            "dense when drawn": when_drawn,
        },
        x=epochs,
        xlabel="ticket drawn after epoch",
        ylabel="held-out accuracy",
        marks=None if early_bird is None else {"early bird": early_bird},
        alt=f"Final accuracy of tickets by the epoch of drawing: {told}; highest after epoch "
        f"{epochs[int(mean.argmax())]}. Dense at the end: {100 * dense.mean():.1f} %.",
        caption=f"{'Half' if ratio == 0.5 else f'{ratio:.0%}'} of the units removed; {len(dense)} "
        "seeds. The last point had no training afterwards.",
    )


def by_epoch_table(epochs: Sequence[int], tickets: Sequence, cost: Sequence) -> Table:
    """The same in numbers, with what each draw costs.

    Parameters
    ----------
    epochs : sequence of int, length D
    tickets : array_like, shape (seeds, D)
        Accuracy at the end, in [0, 1].
    cost : array_like, shape (seeds, D)
        FLOPs of the dense phase and the ticket, as a share of the dense run's.
    """
    tickets, cost = np.asarray(tickets, float), np.asarray(cost, float)
    columns = zip(epochs, tickets.mean(0), np.ptp(tickets, axis=0), cost.mean(0), strict=True)
    return table(
        [[f"{epoch}", *map(float, numbers)] for epoch, *numbers in columns],
        columns=["drawn after epoch", "held-out accuracy", "spread over seeds", "training FLOPs"],
        caption="Tickets by the epoch of drawing; FLOPs of dense phase and ticket, dense run = "
        "100 %",
        format=["{}", "{:.1%}", "{:.1%}", "{:.0%}"],
    )


@dataclass(frozen=True)
class Draw:
    """One ticket of one seed: when it was drawn, how far its mask was from the last, its accuracy.

    Attributes
    ----------
    after : int
        Epoch.
    moved : float
        Share of units on which its mask differs from that of the last epoch.
    accuracy : float
        At the end, in [0, 1].
    """

    after: int
    moved: float
    accuracy: float


def by_rule(drawn: Mapping[tuple[str, str], Sequence[Draw]], ratio: float = 0.5) -> Table:
    """Tickets of each criterion by the rule that chose the epoch.

    Parameters
    ----------
    drawn : mapping of (criterion, rule) to the draws of each seed
    ratio : float
        Share of units removed.
    """
    if not drawn:
        raise ValueError("there are no draws to show.")
    rows = [
        [
            f"{criterion}, {rule}",
            ", ".join(str(draw.after) for draw in draws),
            over_seeds([draw.moved for draw in draws], "{:.1%}"),
            over_seeds([draw.accuracy for draw in draws], "{:.1%}"),
        ]
        for (criterion, rule), draws in drawn.items()
    ]
    seeds = len(next(iter(drawn.values())))
    return table(
        rows,
        columns=[
            "criterion, rule",
            "drawn after",
            "differs from the last mask",
            "ticket's accuracy",
        ],
        caption=f"Tickets at {100 * ratio:g} % by either rule, {seeds} seeds (mean, least to "
        "greatest)",
    )
