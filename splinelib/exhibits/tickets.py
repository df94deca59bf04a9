"""What tickets of one protocol reach, by method and ratio, and which of two reaches more."""

from collections.abc import Sequence
from dataclasses import dataclass

from .. import experiments, plotting
from ..experiments.reports import Spread
from ..plotting import Cell, Table
from . import choosing, wording


def accuracies(runs: Sequence[dict]) -> Table:
    """Test accuracy at the end, in percent: a row for each method, a column for each ratio.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol, as `choosing.by_protocol` gives them.
    """
    group = choosing.spreads(runs)
    dense = [100 * a for spread in group[:1] for a in spread.accuracy]
    told = plotting.over_seeds(dense, "{:.1f}") if dense else "not recorded"
    caption = (
        f"{wording.title(runs)}: test accuracy (%) at the end, mean (least–most); dense {told}"
    )
    return _by_ratio(group, "accuracy", caption)


def accuracies_at_the_cut(runs: Sequence[dict]) -> Table:
    """As `accuracies`, right after the cut, before any training of the ticket."""
    caption = f"{wording.title(runs)}: test accuracy (%) right after the cut"
    return _by_ratio(choosing.spreads(runs), "accuracy_before", caption)


def _by_ratio(group: Sequence[Spread], key: str, caption: str) -> Table:
    ratios = choosing.ratios(group)
    spreads = {(spread.method, spread.ratio): spread for spread in group}
    rows = []
    for method in choosing.methods(group):
        drawn = [spreads.get((method, ratio)) for ratio in ratios]
        rows.append([wording.in_tables(method), *(_percent(spread, key) for spread in drawn)])
    return wording.table(rows, _ratio_columns(ratios), caption)


def _percent(spread: Spread | None, key: str) -> Cell:
    if spread is None:
        return Cell(None)
    return wording.of_seeds([100 * value for value in getattr(spread, key)], spread.names)


def _ratio_columns(ratios: Sequence[float]) -> list[str]:
    return ["", *(f"{ratio:.0%} removed" for ratio in ratios)]


@dataclass(frozen=True)
class Pair:
    """Two methods to compare, record by record; a row of `differences`.

    Attributes
    ----------
    name : str
        Of the row.
    method, other : str
        As in `Spread.method`: what the first has more than the second.
    key : str
        A list of `Spread` whose values are shares: ``"accuracy"``, ``"accuracy_before"`` or
        ``"cost"``.
    """

    name: str
    method: str
    other: str
    key: str = "accuracy"

    def points(self, group: Sequence[Spread], ratio: float) -> list[float]:
        """The difference in points (hundredths) of each record that has both; see `paired`."""
        differences = experiments.paired(group, self.method, self.other, ratio, self.key)
        return [100 * difference for difference in differences]


def differences(runs: Sequence[dict], pairs: Sequence[Pair], caption: str) -> Table:
    """What one method has more than another, in points, from the same dense networks.

    A cell whose differences have both signs says so: those records do not decide.

    Parameters
    ----------
    runs : sequence of dict
        Records of one protocol.
    pairs : sequence of Pair
        The rows.
    caption : str
        Says what is compared, behind the title of the protocol.
    """
    group = choosing.spreads(runs)
    ratios = choosing.ratios(group)
    rows = [[pair.name, *(_difference(group, pair, ratio) for ratio in ratios)] for pair in pairs]
    both = {name for pair in pairs for ratio in ratios for name in _with_both(group, pair, ratio)}
    compared = [record for record in runs if record["name"] in both] or runs
    return wording.table(
        rows if ratios else [], _ratio_columns(ratios), f"{wording.title(compared)}: {caption}"
    )


def _difference(group: Sequence[Spread], pair: Pair, ratio: float) -> Cell:
    points = pair.points(group, ratio)
    names = _with_both(group, pair, ratio)
    undecided = bool(points) and min(points) < 0 < max(points)
    return wording.of_seeds(points, names, "{:+.1f}", "both signs" if undecided else None)


def _with_both(group: Sequence[Spread], pair: Pair, ratio: float) -> list[str]:
    others = _records_with(group, pair.other, ratio)
    return [name for name in _records_with(group, pair.method, ratio) if name in others]


def _records_with(group: Sequence[Spread], method: str, ratio: float) -> list[str]:
    at = 0.0 if method == "dense" else ratio
    return [name for s in group if (s.method, s.ratio) == (method, at) for name in s.names]


def early_less_lottery(runs: Sequence[dict], criterion: str = "magnitude") -> Table:
    """One criterion drawn early and drawn by lottery: accuracy at the end, and training FLOPs."""
    pair = criterion, f"lottery:{criterion}"
    rows = [
        Pair("accuracy at the end", *pair, "accuracy"),
        Pair("training FLOPs", *pair, "cost"),
    ]
    caption = (
        f"{criterion} drawn early less {criterion} by lottery, in points of accuracy "
        "and of the dense run's FLOPs"
    )
    return differences(runs, rows, caption)


def orders_less_random(runs: Sequence[dict]) -> Table:
    """Every method drawn by the codes against a random order, at the end; records that have one."""
    by_chance = [s for s in choosing.spreads(runs) if s.method == "random"]
    names = {name for spread in by_chance for name in spread.names}
    runs = [record for record in runs if record["name"] in names]
    drawn = [s for s in choosing.spreads(runs) if s.ticket is not None and s.ticket.rule == "codes"]
    rows = [
        Pair(wording.in_tables(method), method, "random")
        for method in choosing.methods(drawn)
        if method != "random"
    ]
    return differences(runs, rows, "points above the random order of the same seed, at the end")


def refitted_less_plain(runs: Sequence[dict]) -> Table:
    """What compensation adds to the spline order: at the cut, at the end, in training FLOPs."""
    pair = "spline@residual+refit", "spline"
    rows = [
        Pair("at the cut", *pair, "accuracy_before"),
        Pair("at the end", *pair, "accuracy"),
        Pair("training FLOPs", *pair, "cost"),
    ]
    caption = "refitted less plain spline, in points of accuracy and of the dense run's FLOPs"
    return differences(runs, rows, caption)
