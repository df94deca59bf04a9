"""The records of runs: their schema, reading them, and bringing old ones up to date."""

import os
from dataclasses import fields
from pathlib import Path

from .protocol import Protocol
from .store import NUMBER, PROVENANCE, check, folders, read_json
from .watch import READINGS

SCHEMA = 1


def read_record(path: str | os.PathLike) -> dict:
    """Read the record of a run and check it; raises as `records.read_json` does."""
    record = read_json(path, SCHEMA, RECORD)
    record["protocol"] = _LATER | record["protocol"]
    return record


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
# The schema, as types; see `records.mismatches`.
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
