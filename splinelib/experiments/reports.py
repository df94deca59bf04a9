"""Records read side by side: as a table, over seeds, one against another."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..text import aligned, over_seeds, printable
from .protocol import Ticket


@dataclass(frozen=True)
class Spread:
    """One network of a protocol over several seeds; see `across_seeds`.

    Attributes
    ----------
    method : str
        ``"dense"``, or a ticket's `Ticket.method`.
    ratio : float
        Share of units removed, 0 for the dense network.
    seeds : list of int
    names : list of str
        Name of each seed's record.
    drawn_after : list of int
        Epoch, counted from 0, of the dense network that the ticket was drawn from; of the dense
        network itself the last.
    accuracy, accuracy_before : list of float
        On the test images, in [0, 1]: at the end, and right after the cut.
    points : list of float
        Percentage points above the same seed's dense network.
    channels, parameters, macs : list of int
    latency : list of float
        As a share of the dense network's, timed in turns with it; NaN in records from before
        tickets were, whose two times were taken in different memory layouts.
    cost : list of float
        Training FLOPs as a share of the dense run's. A share of nothing is NaN.
    """

    method: str
    ratio: float
    seeds: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    drawn_after: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    accuracy_before: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    macs: list[int] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)

    @property
    def ticket(self) -> Ticket | None:
        """What was drawn: criterion, scope, compensation, rule; None for the dense network."""
        return None if self.method == "dense" else Ticket.parse(self.method, self.ratio)

    def add(self, record: dict, result: dict) -> None:
        """Add the result of one seed."""
        dense, size = record["dense"], result["size"]
        self.seeds.append(record["protocol"]["seed"])
        self.names.append(record["name"])
        last = len(dense["history"]) - 1
        self.drawn_after.append(last if result is dense else result["drawn_after"])
        self.accuracy.append(result["test_accuracy"])
        before = result.get("accuracy_before_training", result["test_accuracy"])
        self.accuracy_before.append(before)
        self.points.append(100 * (result["test_accuracy"] - dense["test_accuracy"]))
        for key in ("channels", "parameters", "macs"):
            getattr(self, key).append(size[key])
        if result is dense:
            self.latency.append(1.0)
        else:
            known = result["timed_in_turns"]
            share = _share(size["latency"], result["dense_latency"])
            self.latency.append(share if known else math.nan)
        self.cost.append(_share(result["pflop"], dense["pflop"]))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def across_seeds(records: Sequence[dict]) -> list[list[Spread]]:
    """Group records that differ in nothing but their seed.

    Parameters
    ----------
    records : sequence of dict
        As `records` gives them.

    Returns
    -------
    list of list of Spread
        A list for each protocol, in order of first appearance: the dense network first, then
        every method and ratio that any of its seeds has, in order of first appearance. Seeds may
        be missing from a ticket.
    """

    def but_for_the_seed(record: dict) -> str:
        return json.dumps(record["protocol"] | {"seed": None}, sort_keys=True)

    groups: dict[str, dict[tuple[str, float], Spread]] = {
        but_for_the_seed(record): {} for record in records
    }
    for record in sorted(records, key=lambda record: record["protocol"]["seed"]):
        spreads = groups[but_for_the_seed(record)]
        entries = [("dense", 0.0, record["dense"])]
        entries += [(Ticket.of(t).method, t["ratio"], t) for t in record["tickets"]]
        for method, ratio, result in entries:
            spreads.setdefault((method, ratio), Spread(method, ratio)).add(record, result)
    for spreads in groups.values():
        first = list(dict.fromkeys(method for method, _ in spreads))
        for key in sorted(spreads, key=lambda key: (first.index(key[0]), key[1])):
            spreads[key] = spreads.pop(key)
    return [list(spreads.values()) for spreads in groups.values()]


def paired(
    group: Sequence[Spread], method: str, other: str, ratio: float, key: str = "accuracy"
) -> list[float]:
    """What one method has more than another at the same ratio, record by record.

    Tickets of one record are drawn from the same dense network, so their difference owes nothing
    to how well that network came out.

    Parameters
    ----------
    group : sequence of Spread
        One protocol, as `across_seeds` gives it.
    method, other : str
        As in `Spread.method`; ``"dense"`` is compared at every ratio.
    ratio : float
    key : str
        A list of `Spread`, such as ``"accuracy"`` or ``"cost"``.

    Returns
    -------
    list of float
        One for each record that has both; empty if there is none.
    """
    one, two = _at(group, method, ratio), _at(group, other, ratio)
    if one is None or two is None:
        return []
    return [
        getattr(one, key)[one.names.index(name)] - getattr(two, key)[two.names.index(name)]
        for name in one.names
        if name in two.names
    ]


def _at(group: Sequence[Spread], method: str, ratio: float) -> Spread | None:
    ratio = 0.0 if method == "dense" else ratio
    return next((s for s in group if (s.method, s.ratio) == (method, ratio)), None)


def summary(record: dict) -> str:
    """A record as a small text table: dense first, then its tickets."""
    rows = [("", "removed", "accuracy", "channels", "parameters", "MACs", "latency", "PFLOP")]
    for entry in (record["dense"], *record["tickets"]):
        ratio = entry.get("ratio")
        rows.append(
            (
                "dense" if ratio is None else Ticket.of(entry).method,
                "" if ratio is None else f"{100 * ratio:g} %",
                f"{100 * entry['test_accuracy']:.2f} %",
                f"{entry['size']['channels']:,}",
                f"{entry['size']['parameters'] / 1e6:.3f} M",
                f"{entry['size']['macs'] / 1e6:.1f} M",
                f"{1e3 * entry['size']['latency']:.1f} ms",
                f"{entry['pflop']:.4f}",
            )
        )
    bird = record["early_bird"]
    drawn = bird["drawn_after"] + 1  # people count from 1, as the chapters do
    title = f"{record['name']}  (drawn after epoch {drawn}, {bird['reason']})"
    return "\n".join([printable(title), *aligned(rows)])


def compare(records: Sequence[dict]) -> str:
    """Records side by side: where they differ, and what came out over the seeds of each protocol.

    Parameters
    ----------
    records : sequence of dict
        As `experiments.records` gives them; those that differ in nothing but their seed are taken
        together.

    Returns
    -------
    str
        Tables of text: the settings, commits and machines that differ; for each protocol its
        networks, as mean (least to most) over seeds, latency and FLOPs as shares of the dense
        network's; with several protocols, their accuracies next to each other.

    Raises
    ------
    ValueError
        There is no record.
    """
    if not records:
        raise ValueError("There is no record to compare.")
    groups = across_seeds(records)
    by_name = {record["name"]: record for record in records}
    letters = [f"#{number}" for number in range(1, len(groups) + 1)]
    first = [by_name[group[0].names[0]] for group in groups]
    lines = []
    for letter, group in zip(letters, groups, strict=True):
        lines.append(printable(f"{letter}  {', '.join(group[0].names)}"))
    differing = [
        (key, *(f"{record['protocol'].get(key)}" for record in first))
        for key in first[0]["protocol"]
        if key != "seed" and len({f"{record['protocol'].get(key)}" for record in first}) > 1
    ]
    for key, told in _ORIGINS.items():
        values = [
            ", ".join(dict.fromkeys(told(by_name[name]) for name in group[0].names))
            for group in groups
        ]
        if len(set(values)) > 1 or ", " in values[0]:
            differing.append((key, *values))
    if differing:
        lines += ["", "where they differ", *aligned([("", *letters), *differing])]
    for letter, group in zip(letters, groups, strict=True):
        lines += ["", f"{letter}: mean (least to most) over seeds", *aligned(_over_seeds(group))]
    if len(groups) > 1:
        lines += ["", "test accuracy side by side", *aligned(_side_by_side(groups, letters))]
    return "\n".join(lines)


# What else can set records apart, beside their settings.
_ORIGINS = {
    "commit": lambda record: (record["dense"]["provenance"]["commit"] or "unknown")[:10],
    "machine": lambda record: (
        record["dense"]["provenance"]["hardware"]["gpu"]
        or record["dense"]["provenance"]["hardware"]["processor"]
    ),
    "torch": lambda record: record["dense"]["provenance"]["versions"].get("torch") or "unknown",
    "drawn after": lambda record: f"epoch {record['early_bird']['drawn_after'] + 1}",
}


def _over_seeds(group: Sequence[Spread]) -> list[tuple[str, ...]]:
    heading = ("", "removed", "seeds", "cut", "trained", "points", "channels", "parameters")
    rows = [(*heading, "MACs", "latency", "FLOPs")]
    for s in group:
        dense = s.method == "dense"
        rows.append(
            (
                s.method,
                "" if dense else f"{100 * s.ratio:g} %",
                f"{len(s.seeds)}",
                "" if dense else over_seeds(s.accuracy_before, "{:.1%}"),
                over_seeds(s.accuracy, "{:.2%}"),
                "" if dense else over_seeds(s.points, "{:+.2f}"),
                over_seeds(s.channels, "{:,.0f}"),
                over_seeds([count / 1e6 for count in s.parameters], "{:.2f} M"),
                over_seeds([count / 1e6 for count in s.macs], "{:.1f} M"),
                "" if dense else _known_shares(s.latency),
                "" if dense else _known_shares(s.cost),
            )
        )
    return rows


def _known_shares(shares: Sequence[float]) -> str:
    known = [share for share in shares if not math.isnan(share)]
    return over_seeds(known, "{:.0%}") if known else ""


def _side_by_side(groups: Sequence[Sequence[Spread]], letters: Sequence[str]) -> list[tuple]:
    by_method = [{(s.method, s.ratio): s for s in group} for group in groups]
    keys = dict.fromkeys(key for spreads in by_method for key in spreads)
    rows = [("", "removed", *letters)]
    for method, ratio in keys:
        results = [spreads.get((method, ratio)) for spreads in by_method]
        cells = ["" if s is None else over_seeds(s.accuracy, "{:.2%}") for s in results]
        rows.append((method, "" if method == "dense" else f"{100 * ratio:g} %", *cells))
    return rows
