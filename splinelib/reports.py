"""Records read side by side: as a table, over seeds, one against another."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

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
    accuracy, accuracy_before : list of float
        On the test images, in [0, 1]: at the end, and right after the cut.
    points : list of float
        Percentage points above the same seed's dense network.
    channels, parameters, macs : list of int
    latency : list of float
        As a share of the dense network's, measured beside it.
    cost : list of float
        Training FLOPs as a share of the dense run's.
    """

    method: str
    ratio: float
    seeds: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    accuracy_before: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    macs: list[int] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)

    def add(self, record: dict, result: dict) -> None:
        """Add the result of one seed."""
        dense, size = record["dense"], result["size"]
        self.seeds.append(record["protocol"]["seed"])
        self.names.append(record["name"])
        self.accuracy.append(result["test_accuracy"])
        before = result.get("accuracy_before_training", result["test_accuracy"])
        self.accuracy_before.append(before)
        self.points.append(100 * (result["test_accuracy"] - dense["test_accuracy"]))
        for key in ("channels", "parameters", "macs"):
            getattr(self, key).append(size[key])
        beside = result.get("dense_latency", size["latency"])
        self.latency.append(size["latency"] / beside)
        self.cost.append(result["pflop"] / dense["pflop"])


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
        found = groups[but_for_the_seed(record)]
        entries = [("dense", 0.0, record["dense"])]
        entries += [(Ticket.of(t).method, t["ratio"], t) for t in record["tickets"]]
        for method, ratio, result in entries:
            found.setdefault((method, ratio), Spread(method, ratio)).add(record, result)
    for found in groups.values():
        first = list(dict.fromkeys(method for method, _ in found))
        for key in sorted(found, key=lambda key: (first.index(key[0]), key[1])):
            found[key] = found.pop(key)
    return [list(found.values()) for found in groups.values()]


def summary(record: dict) -> str:
    """A record as a small text table: dense first, then its tickets."""
    lines = [
        f"{record['name']}  (drawn after epoch {record['early_bird']['drawn_after']}, "
        f"{record['early_bird']['reason']})"
    ]
    heading = ("", "removed", "accuracy", "channels", "parameters", "MACs", "latency", "PFLOP")
    rows = [heading]
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
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells))
    return "\n".join(lines)
