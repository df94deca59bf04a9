"""The records of runs: their schema, reading them, and bringing old ones up to date."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from ..errors import DamagedFile
from ..schemas import AMOUNT, COUNT, NUMBER, SHARE
from .protocol import Protocol, Ticket
from .store import PROVENANCE, check, folders, read_json
from .watch import READINGS

SCHEMA = 1


def read_record(path: str | os.PathLike) -> dict:
    """Read the record of a run, check it, and bring it up to date.

    Raises
    ------
    DamagedFile
        As for `store.read_json`, and if the record is named otherwise than its file.
    """
    record = read_json(path, SCHEMA, RECORD, inconsistencies)
    check_file_name(path, record)
    return brought_up_to_date(record)


def check_file_name(path: str | os.PathLike, record: dict) -> None:
    """Refuse a record that is named otherwise than its file, by which it is listed and linked to.

    Raises
    ------
    DamagedFile
    """
    path = Path(path)
    name, stem = (unicodedata.normalize("NFC", text) for text in (record["name"], path.stem))
    if name != stem:  # some file systems take accents apart
        raise DamagedFile(
            f"The record {path.name} is named {record['name']!r} inside. Give the file its name "
            "back, or remove it."
        )


def brought_up_to_date(record: dict) -> dict:
    """A record of any time as one of today would say it; the only place that knows of old ones.

    What old records lack is filled in: a setting that was not there yet with what they ran with;
    the rule and the epoch by which a ticket was drawn; that their latencies were not taken in
    turns; and that no masks were watched. A ticket that was recorded twice, as a ratio given twice
    once did, is there once.
    """
    bird = {"masks": [], **record["early_bird"]}
    tickets = [
        {
            "rule": "end" if ticket.get("lottery") else "codes",
            "drawn_after": bird["drawn_after"],
            "timed_in_turns": False,
            **ticket,
        }
        for ticket in record["tickets"]
    ]
    once: dict[str, dict] = {}
    for ticket in tickets:
        once.setdefault(Ticket.of(ticket).name, ticket)
    protocol = _LATER | record["protocol"]
    return {**record, "protocol": protocol, "early_bird": bird, "tickets": [*once.values()]}


def records(folder: str | os.PathLike | None = None) -> list[dict]:
    """Every record of a folder (default: ``data/runs`` of the checkout), by name.

    Raises
    ------
    DamagedFile
        A record cannot be used.
    """
    return [read_record(path) for path in record_files(folder)]


def record_files(folder: str | os.PathLike | None = None) -> list[Path]:
    """Paths of the records in a folder (default: ``data/runs`` of the checkout), by name."""
    return sorted(folders(folder)[0].glob("*.json"))


def check_record(record: object) -> list[str]:
    """What is wrong with a record, one sentence each; an empty list if nothing is."""
    return check(record, SCHEMA, RECORD, inconsistencies)


def inconsistencies(record: dict) -> Iterator[str]:
    """What cannot be in a record all of whose values are of the right kind, a sentence each."""
    try:
        protocol = Protocol(**record["protocol"])
        record = brought_up_to_date(record)
    except (TypeError, ValueError) as error:
        yield f"{error}"
        return
    bird, epochs = record["early_bird"], protocol.epochs
    if bird["drawn_after"] >= epochs or len(bird["distances"]) != epochs:
        yield f"its early bird is not that of {epochs} epochs"
    if [len(row) for row in bird["matrix"]] != [len(bird["matrix"])] * epochs:
        yield f"its matrix of distances is not {epochs} x {epochs}"
    yield from _wrong_history("dense", record["dense"], 0, epochs)
    for entry in record["tickets"]:
        ticket = Ticket.of(entry)
        start = 0 if ticket.lottery else entry["drawn_after"] + 1
        yield from _wrong_history(f"the ticket {ticket.name}", entry, start, epochs)


def _wrong_history(where: str, result: dict, start: int, epochs: int) -> Iterator[str]:
    rows = result["history"]
    if not rows or [row["epoch"] for row in rows] != list(range(start, epochs)):
        yield f"the history of {where} does not go from epoch {start} to {epochs - 1}"
    elif rows[-1]["test_accuracy"] != result["test_accuracy"]:
        yield f"the accuracy of {where} is not that of its last epoch"


# Settings that records from before there were any do not name, and what they ran with.
_LATER = {"image_size": 64}
# The schema, as types and ranges; see `schemas.mismatches`.
_SIZE = {
    "channels": COUNT,
    "parameters": COUNT,
    "macs": COUNT,
    "latency": AMOUNT,
    "batch_size": COUNT,
}
_ROW = {
    "epoch": COUNT,
    "learning_rate": AMOUNT,
    "loss": NUMBER,
    "train_accuracy": SHARE,
    "test_accuracy": SHARE,
    "validation_accuracy?": SHARE,
    "seconds": AMOUNT,
    "detection_seconds?": AMOUNT,
    "joules?": (AMOUNT, None),
    "shared_joules?": AMOUNT,
}
_RESULT = {
    "test_accuracy": SHARE,
    "history": [_ROW],
    "size": _SIZE,
    "flops": {str: AMOUNT},
    "pflop": AMOUNT,
    "units": AMOUNT,
    "seconds": AMOUNT,
    "peak_memory?": COUNT,  # bytes of tensors on the GPU, at most
    "provenance": PROVENANCE,
}
RECORD = {
    "schema": int,
    "name": str,
    "command": str,
    "protocol": {
        option.name: (*NUMBER, None) if option.default is None else type(option.default)
        for option in fields(Protocol)
        if option.name not in _LATER
    }
    | {f"{name}?": type(value) for name, value in _LATER.items()},
    "dataset": {
        **{"train": COUNT, "validation": COUNT, "test": COUNT, "classes": COUNT},
        "shape": [COUNT],
        "images?": str,
    },
    "dense": _RESULT,
    "early_bird": READINGS,
    "tickets": [
        {
            "criterion": str,
            "scope": str,
            "compensate": (bool, str),
            "ratio": SHARE,
            "rule?": str,
            "lottery?": bool,
            "drawn_after?": COUNT,
            "timed_in_turns?": bool,
            "scoring_seconds": AMOUNT,
            "accuracy_before_training": SHARE,
            "widths": {str: [COUNT]},
            "dense_latency": AMOUNT,
            **_RESULT,
        }
    ],
}
