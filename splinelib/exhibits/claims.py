"""What a chapter says in words, held against its values and counted over records."""

from collections.abc import Sequence

import numpy as np

from .. import experiments
from ..experiments import Protocol
from ..experiments.reports import Spread
from ..plotting import Table
from . import choosing, costs, rivals, wording

# How many times less than a lottery ticket the paper says that training costs.
PAPERS_FACTOR = 3.5


def claim(sentence: str, holds: bool | Sequence[bool], scale: str = "quick") -> None:
    """Hold a sentence of a page against the values that the page has: it shows nothing, or fails.

    Sentences are written about what a chapter finds at the scale ``quick``. At another scale one
    that does not hold there is printed in place of a failure.

    Parameters
    ----------
    sentence : str
        As the page says it, or shorter: "training brings the lines together".
    holds : bool or sequence of bool
        Whether it holds, with a margin where values are computed; in every one of several cases.
    scale : str
        The chapter's, where the values depend on it.

    Raises
    ------
    AssertionError
        The values do not carry the sentence.
    ValueError
        There is no case to decide on it.

    Examples
    --------
    >>> claim("an odd number times itself is odd", [n * n % 2 == 1 for n in (1, 3, 5)])
    >>> claim("half of two is two", 2 / 2 == 2, scale="cpu")
    At the scale cpu it is not so that half of two is two.
    """
    cases = np.atleast_1d(np.asarray(holds, dtype=bool))
    if not cases.size:
        raise ValueError(f"there is no case to decide whether {sentence}")
    if cases.all():
        return
    if scale == "quick":
        raise AssertionError(
            f"The page says that {sentence}. What it has computed says otherwise, in "
            f"{int((~cases).sum())} of {cases.size} cases: mend the sentence."
        )
    print(f"At the scale {scale} it is not so that {sentence}.")


def settled_at_first_rate(record: dict) -> bool:
    """Whether the codes settled before the learning rate fell for the first time."""
    settled, rows = record["early_bird"]["settled_epoch"], record["dense"]["history"]
    return settled is not None and rows[settled]["learning_rate"] == rows[0]["learning_rate"]


def above(group: Sequence[Spread], method: str, other: str) -> list[bool]:
    """Whether one method ends above another, for each ratio and each record that has both."""
    return [
        difference > 0
        for ratio in choosing.ratios(group)
        for difference in experiments.paired(group, method, other, ratio)
    ]


def counts(records: Sequence[dict]) -> dict[str, list[bool]]:
    """Each claim with the cases that decide on it.

    Parameters
    ----------
    records : sequence of dict
        All records that count, of any protocols.

    Returns
    -------
    dict of str to list of bool
        Whether the claim holds in each case; an empty list where no case is recorded.
    """
    contests = [rivals.contest(runs, records) for runs in choosing.with_tickets(records)]
    tickets = [(contest, spread) for contest in contests for spread in contest.group[1:]]
    # A lottery ticket is no cheaper than itself.
    early = [(contest, spread) for contest, spread in tickets if spread.ticket.rule != "end"]

    def order(method: str, other: str) -> list[bool]:
        return [won for contest in contests for won in above(contest.group, method, other)]

    def rivalry(setting: str) -> list[bool]:
        return [won for contest, s in early for won in rivals.wins(contest, s, setting)]

    return {
        "the codes settle before the learning rate falls": [
            settled_at_first_rate(record) for record in records
        ],
        "a spline ticket with half of the units removed is no worse than its dense network": [
            points >= 0
            for _, s in tickets
            if (s.ticket.criterion, s.ratio) == ("spline", 0.5)
            for points in s.points
        ],
        f"training a ticket costs {PAPERS_FACTOR:g} times less than the one-shot lottery's, or "
        "better": [
            times >= PAPERS_FACTOR
            for contest, s in early
            for times in costs.below_lottery(contest.group, s)
        ],
        "a ticket drawn early ends above the dense network with fewer epochs, at no greater "
        "cost": rivalry("epochs"),
        "a ticket drawn early ends above one as narrow from the start (MACs within a tenth)": (
            rivalry("width")
        ),
        "a ticket drawn early ends above the lottery's of the same criterion": [
            *order("magnitude", "lottery:magnitude"),
            *order("spline", "lottery:spline"),
        ],
        "the spline order ends above a random one": order("spline", "random"),
        "the spline order ends above the batch-norm scale": order("spline", "bn"),
        "compensation still helps at the end": order("spline@residual+refit", "spline"),
    }


def share(cases: Sequence[bool]) -> str:
    """In how many cases a claim holds.

    Examples
    --------
    >>> share([True, False, True]), share([])
    ('2 of 3', 'nothing recorded')
    """
    return f"{sum(cases)} of {len(cases)}" if cases else "nothing recorded"


def table(records: Sequence[dict], where: str) -> Table:
    """Every claim of `counts` with in how many cases it holds, and how many runs are the paper's.

    Parameters
    ----------
    records : sequence of dict
    where : str
        What the records have in common, for the caption: ``"on CIFAR"``.
    """
    paper = Protocol()
    whole = choosing.having(choosing.with_tickets(records), width=paper.width, epochs=paper.epochs)
    rows = [[share(cases), claim] for claim, cases in counts(records).items()]
    rows += [[f"{len(whole)}", f"protocols recorded at full width with all {paper.epochs} epochs"]]
    return wording.table(
        rows,
        columns=["holds in", "claim"],
        caption=f"Counted over every recorded run or ticket {where}, all networks and schedules",
    )
