"""Tickets that a page trains itself, by the epoch of their draw.

`draws` shows what records say of the same question. Epochs are counted from 1.
"""

from collections.abc import Sequence

import numpy as np

from .. import plotting
from ..plotting.svg import Figure
from ..plotting.tables import Table, table


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
            "dense (at the end)": np.repeat(dense[:, None], len(epochs), axis=1),
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
        caption="Tickets by the epoch of drawing; FLOPs of dense phase and ticket, as a share of "
        "the dense run's",
        format=["{}", "{:.1%}", "{:.1%}", "{:.0%}"],
    )
