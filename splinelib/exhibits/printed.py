"""Figures that papers printed, beside what is recorded for the same network and schedule."""

from collections.abc import Sequence

from .. import plotting
from ..experiments import Protocol
from ..experiments.reports import Spread
from ..plotting import Cell, Figure, Table
from ..training import PUBLISHED_UNIT_PFLOP
from . import choosing, wording

PAPER = "https://arxiv.org/abs/1909.11957"  # Early-Bird Tickets

# What stands beside the published methods: the spline order plain, and with compensation.
OURS = ("spline", "spline@residual+refit")

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def of_published_size(records: Sequence[dict], network: str, dataset: str) -> list[dict]:
    """Records of full width over all epochs of the paper's protocol, with tickets.

    Returns
    -------
    list of dict
        Of the first such protocol; empty if there is none.
    """
    paper = Protocol()
    of_paper = {"width": paper.width, "epochs": paper.epochs}
    protocols = choosing.having(
        choosing.with_tickets(records), network=network, dataset=dataset, **of_paper
    )
    return protocols[0] if protocols else []


def _at(runs: Sequence[dict], method: str, ratio: float) -> Spread | None:
    group = choosing.spreads(runs)
    return next((s for s in group if (s.method, s.ratio) == (method, ratio)), None)


def accuracy(runs: Sequence[dict], method: str, ratio: float) -> Cell:
    """Test accuracy of one network of ours over seeds, in percent, as far as it is recorded."""
    spread = _at(runs, method, ratio)
    if spread is None:
        return Cell(None)
    return wording.of_seeds([100 * a for a in spread.accuracy], spread.names, "{:.2f}")


def cost(runs: Sequence[dict], method: str, ratio: float) -> Cell:
    """Training cost of one ticket of ours over seeds, in the published unit of 0.05 PFLOP."""
    spread = _at(runs, method, ratio)
    if spread is None:
        return Cell(None)
    dense = {record["name"]: record["dense"]["pflop"] for record in runs}
    units = [
        share * dense[name] / PUBLISHED_UNIT_PFLOP
        for share, name in zip(spread.cost, spread.names, strict=True)
    ]
    return wording.of_seeds(units, spread.names, "{:.0f}")


def retraining(rows: Sequence[dict], records: Sequence[dict], dataset: str) -> Table:
    """Accuracies that Early-Bird Tickets reached, each beside ours.

    Parameters
    ----------
    rows : sequence of dict
        The published table ``early_bird_retraining``.
    records : sequence of dict
    dataset : str

    Raises
    ------
    ValueError
        Nothing was published for this dataset.
    """
    shown = [row for row in rows if row["dataset"] == dataset]
    if not shown:
        known = ", ".join(dict.fromkeys(row["dataset"] for row in rows)) or "none"
        raise ValueError(f"Nothing was published for {dataset!r}. Datasets of the table: {known}.")
    return wording.table(
        [_retraining_row(row, records) for row in shown],
        columns=["network", "removed", "Early-Bird Tickets", "ours, spline", "ours, refitted"],
        caption=f"Accuracy (%) on {wording.proper(dataset)}, {Protocol().epochs} epochs at "
        "full width. Early-Bird Tickets (arXiv 1909.11957), retraining figure: "
        f"{shown[0]['how_read']}",
    )


def _retraining_row(row: dict, records: Sequence[dict]) -> list:
    runs = of_published_size(records, row["network"], row["dataset"])
    dense = row["method"] == "dense"
    names = ("dense",) if dense else OURS
    ours = [accuracy(runs, name, float(row["ratio"])) for name in names]
    return [
        row["network"],
        "dense" if dense else f"{row['ratio']:.0%}",
        Cell(f"{row['accuracy_percent']:.1f} ± {row['uncertainty_percent']}", "published"),
        *ours,
        *([""] if dense else []),
    ]


def _methods(rows: Sequence[dict]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in rows))


def _ratios(rows: Sequence[dict]) -> list[float]:
    return sorted({row["ratio"] for row in rows})


def price_list(rows: Sequence[dict], records: Sequence[dict], network: str, dataset: str) -> Table:
    """Accuracy and training cost of published methods at each ratio, with ours below.

    Parameters
    ----------
    rows : sequence of dict
        A published table of accuracies and costs, such as ``early_bird_vgg16_cifar100``.
    records : sequence of dict
    network, dataset : str
        What the table is of; ours are those at full width over all epochs.
    """
    ratios = _ratios(rows)
    by_method = {(row["method"], row["ratio"]): row for row in rows}
    runs = of_published_size(records, network, dataset)

    def published(method: str, key: str) -> list:
        made = [by_method.get((method, ratio)) for ratio in ratios]
        return [Cell(None) if row is None else row[key] for row in made]

    shown = [
        [
            Cell(method, "published", PAPER),
            *published(method, "accuracy_percent"),
            *published(method, "cost_units"),
        ]
        for method in _methods(rows)
    ]
    shown += [
        [
            Cell(f"ours, {wording.in_tables(method)}", "record"),
            *(accuracy(runs, method, ratio) for ratio in ratios),
            *(cost(runs, method, ratio) for ratio in ratios),
        ]
        for method in OURS
        if any(_at(runs, method, ratio) for ratio in ratios)
    ]
    percent = [f"{100 * ratio:g} %" for ratio in ratios]
    return wording.table(
        shown,
        columns=["method", *percent, *(f"cost {ratio}" for ratio in percent)],
        caption=f"{wording.proper(network)} on {wording.proper(dataset)}, Table 2 of "
        f"Early-Bird Tickets: accuracy (%), cost in {PUBLISHED_UNIT_PFLOP:g} PFLOP",
        format="{:g}",
    )


def price_figure(rows: Sequence[dict], network: str, dataset: str) -> Figure:
    """The published part of `price_list` as a picture: accuracy against cost in PFLOP.

    Parameters
    ----------
    rows : sequence of dict
        As for `price_list`.
    network, dataset : str
        What the table is of.
    """
    series = {}
    for method in _methods(rows):
        own = [row for row in rows if row["method"] == method]
        own.sort(key=lambda row: row["ratio"])
        series[method] = (
            [row["cost_units"] * PUBLISHED_UNIT_PFLOP for row in own],
            [row["accuracy_percent"] / 100 for row in own],
        )
    percent = wording.listed([f"{100 * ratio:g}" for ratio in _ratios(rows)])
    many = _NUMBERS[len(series)] if len(series) < len(_NUMBERS) else f"{len(series)}"
    where = wording.proper(dataset)
    return plotting.accuracy_against(
        series,
        xlabel="training cost (PFLOP)",
        alt=f"Published accuracy of {many} methods on {where} against their training cost, each "
        f"at {percent} percent of the channels removed.",
        caption=f"The same table as a picture: {wording.proper(network)} on {where} at "
        f"{percent} % removed.",
    )
