"""What a run is: its settings, the networks of one record, and the list of all records."""

from collections.abc import Sequence
from dataclasses import fields

from .. import experiments
from ..experiments import Protocol
from ..plotting import Cell, Table
from . import wording


def settings(protocol: Protocol) -> Table:
    """Every setting of a protocol, with its meaning and the source of its default."""

    def value(option) -> Cell:
        here = getattr(protocol, option.name)
        changed = here != option.default
        return Cell(f"{here}", note=f"(default {option.default})" if changed else None)

    return wording.table(
        [
            [option.name, value(option), option.metadata["help"], option.metadata["source"]]
            for option in fields(protocol)
        ],
        columns=["setting", "here", "what it is", "source of the default"],
        caption="One dataclass holds the protocol",
    )


def networks(record: dict, source: str = "record") -> Table:
    """The networks of one record: accuracy at the cut and at the end, size, time and cost.

    Parameters
    ----------
    record : dict
    source : {"page", "record"}
        Where the record comes from: a run of this page, or ``data/runs``.

    Returns
    -------
    Table
        The dense network first, then each ticket. Accuracies in percent, weights and
        multiply-accumulates in millions, milliseconds of a forward pass, training FLOPs as a
        share of the dense network's.
    """
    base = record["dense"]["pflop"]
    drawn = [(experiments.Ticket.of(entry), entry) for entry in record["tickets"]]
    entries = [("dense", record["dense"])]
    entries += [(wording.in_tables(t.method, t.ratio), entry) for t, entry in drawn]
    bird = record["early_bird"]
    return wording.table(
        [[name, *_networks_row(result, base, source)] for name, result in entries],
        columns=[
            *("network", "cut", "trained", "channels"),
            *("weights (M)", "MACs (M)", "ms", "FLOPs"),
        ],
        caption=f"{record['name']}: drawn after epoch {bird['drawn_after'] + 1} "
        f"of {record['protocol']['epochs']} ({bird['reason']})",
    )


def _networks_row(result: dict, base: float, source: str) -> list:
    size, before = result["size"], result.get("accuracy_before_training")
    return [
        "" if before is None else f"{before:.1%}",
        Cell(f"{result['test_accuracy']:.2%}", source),
        f"{size['channels']:,}",
        f"{size['parameters'] / 1e6:.2f}",
        f"{size['macs'] / 1e6:.1f}",
        f"{1000 * size['latency']:.1f}",
        f"{result['pflop'] / base:.0%}",
    ]


def minutes(record: dict) -> float:
    """Training time of a record's networks, all together."""
    return sum(entry["seconds"] for entry in (record["dense"], *record["tickets"])) / 60


def machine(hardware: dict) -> str:
    """What a run was computed on, in short: the GPU, or how many threads of a CPU.

    Examples
    --------
    >>> machine({"gpu": None, "threads": 2})
    '2 CPU threads'
    """
    threads = hardware["threads"]
    return hardware["gpu"] or f"{threads} CPU thread{'s' * (threads > 1)}"


def recorded(records: Sequence[dict], what: str) -> Table:
    """The list of records: tickets, time, machine, and when tickets were drawn.

    Parameters
    ----------
    records : sequence of dict
    what : str
        What they have in common, for the caption: ``"on CIFAR"``.
    """
    return wording.table(
        [
            [
                Cell(record["name"], "record", wording.link(record["name"])),
                len(record["tickets"]),
                f"{minutes(record):.0f}",
                machine(record["dense"]["provenance"]["hardware"]),
                record["early_bird"]["drawn_after"] + 1,  # people count from 1
                "yes" if record["early_bird"]["reason"] == "early bird" else "no",
            ]
            for record in records
        ],
        columns=["record", "tickets", "minutes", "machine", "drawn after epoch", "early bird"],
        caption=f"Recorded runs {what}; each name leads to the command that makes it",
    )
