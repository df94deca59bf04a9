"""The records of runs: their schema, reading them, and bringing old ones up to date."""

import os
import unicodedata
from dataclasses import fields
from pathlib import Path

from ..errors import DamagedFile
from .protocol import Protocol
from .store import NUMBER, PROVENANCE, check, folders, read_json
from .watch import READINGS

SCHEMA = 1


def read_record(path: str | os.PathLike) -> dict:
    """Read the record of a run, check it, and bring it up to date.

    Raises
    ------
    DamagedFile
        As for `store.read_json`, and if the record is named otherwise than its file.
    """
    record = read_json(path, SCHEMA, RECORD)
    check_name(path, record)
    return brought_up_to_date(record)


def check_name(path: str | os.PathLike, record: dict) -> None:
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
    turns; and that no masks were watched.
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
    protocol = _LATER | record["protocol"]
    return {**record, "protocol": protocol, "early_bird": bird, "tickets": tickets}


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
    return check(record, SCHEMA, RECORD)


# Settings that records from before there were any do not name, and what they ran with.
_LATER = {"image_size": 64}
# The schema, as types; see `store.mismatches`.
_SIZE = {
    "channels": int,
    "parameters": int,
    "macs": int,
    "latency": NUMBER,
    "batch_size": int,
}
_ROW = {
    "epoch": int,
    "learning_rate": NUMBER,
    "loss": NUMBER,
    "train_accuracy": NUMBER,
    "test_accuracy": NUMBER,
    "seconds": NUMBER,
}
_RESULT = {
    "test_accuracy": NUMBER,
    "history": [_ROW],
    "size": _SIZE,
    "flops": {str: NUMBER},
    "pflop": NUMBER,
    "units": NUMBER,
    "seconds": NUMBER,
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
    },
    "dataset": {"train": int, "validation": int, "test": int, "classes": int, "shape": [int]},
    "dense": _RESULT,
    "early_bird": READINGS,
    "tickets": [
        {
            "criterion": str,
            "scope": str,
            "compensate": (bool, str),
            "ratio": NUMBER,
            "scoring_seconds": NUMBER,
            "accuracy_before_training": NUMBER,
            "widths": {str: [int]},
            "dense_latency": NUMBER,
            **_RESULT,
        }
    ],
}
