"""The records of ways to a small network: their schema, reading, writing and summing up."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..schemas import AMOUNT, COUNT, SHARE
from ..text import differences, printable
from .origin import provenance
from .run_records import check_file_name
from .store import PROVENANCE, folders, read_json, write_json

SCHEMA = 1
FOLDER = "starts"
BUDGETS = ("epochs", "flops")
WIDE = "wide"  # the network before the cut, for what it knows and how many lines it has
# Names of data sets and ways are shown on pages, where they should be plain words.
_NAME = re.compile(r"[a-z0-9: ]+")


def path_of(name: str, folder: str | os.PathLike | None = None) -> Path:
    """Where a record lies in a folder (default: ``data/runs`` of the checkout)."""
    return folders(folder)[0] / FOLDER / f"{name}.json"


def read(path: str | os.PathLike) -> dict:
    """Read a record of this study and check it.

    Raises
    ------
    DamagedFile
        As for `store.read_json`, and if the record is named otherwise than its file.
    """
    record = read_json(path, SCHEMA, _RECORD, _inconsistencies)
    check_file_name(path, record)
    return record


def record_files(folder: str | os.PathLike | None = None) -> list[Path]:
    """Paths of the records of this study, by name."""
    return sorted((folders(folder)[0] / FOLDER).glob("*.json"))


def records(folder: str | os.PathLike | None = None) -> list[dict]:
    """Every record of this study in a folder (default: ``data/runs`` of the checkout), by name."""
    return [read(path) for path in record_files(folder)]


def summary(record: dict) -> str:
    """A record in a few lines: how often each way is the best of its condition."""
    by_condition: dict[tuple, dict[str, float]] = {}
    for entry in record["entries"]:
        if entry["way"] != WIDE:
            key = tuple(entry[part] for part in ("data", "depth", "width", "factor", "budget"))
            mean = sum(entry["test"]) / len(entry["test"])
            by_condition.setdefault(key, {})[entry["way"]] = mean
    lines = [
        printable(f"{record['name']}  ways to a small network, {len(by_condition)} conditions")
    ]
    for way in dict.fromkeys(way for found in by_condition.values() for way in found):
        found = [ways for ways in by_condition.values() if way in ways]
        best = sum(max(ways, key=ways.get) == way for ways in found)
        lines.append(printable(f"  {way:<18} best in {best} of {len(found)}"))
    return "\n".join(lines)


def opened(path: Path, name: str, settings: dict[str, int]) -> dict:
    """The record that lies there, or a new one with no entries.

    Raises
    ------
    ValueError
        It was made with other settings.
    """
    if not path.exists():
        new = {"schema": SCHEMA, "kind": "starts", "name": name, "settings": settings}
        return new | {"entries": [], "seconds": 0.0}
    record = read(path)
    if told := differences(record["settings"], settings):
        raise ValueError(
            f"The record {name} was made with {told}. Repeat its settings, or give the new one "
            "another name (--name)."
        )
    return record


def write(path: Path, record: dict, words: Sequence[str]) -> None:
    """Write a record with its origin; `words` are what the command says behind ``starts``."""
    record["command"] = shlex.join(["python", "-m", "splinelib", "starts", *words])
    record["provenance"] = provenance()
    write_json(path, record, SCHEMA, _RECORD, _inconsistencies)


def _inconsistencies(record: dict) -> Iterator[str]:
    seen, seeds = set(), record["settings"].get("seeds")
    for entry in record["entries"]:
        key = tuple(entry[p] for p in ("data", "depth", "width", "factor", "way", "budget"))
        if key in seen:
            yield f"the entry {key} is there twice"
        seen.add(key)
        known = _NAME.fullmatch(entry["data"]) and _NAME.fullmatch(entry["way"])
        if not known or entry["budget"] not in BUDGETS:
            yield f"the entry {key} names no data set, way or budget"
        for part in ("validation", "test", "lines", "lines_before"):
            if len(entry[part]) != seeds:
                yield f"the entry {key} has not a number of {part} for each seed"


# As types and ranges; see `schemas.mismatches`.
_RECORD = {
    "schema": int,
    "kind": str,
    "name": str,
    "command": str,
    "settings": {str: COUNT},
    "entries": [
        {
            **{"data": str, "depth": COUNT, "width": COUNT, "factor": COUNT},
            **{"way": str, "budget": str, "restarts": COUNT},
            **{"rate": AMOUNT, "steps": COUNT, "flops": AMOUNT},
            **{"validation": [SHARE], "test": [SHARE], "lines_before": [COUNT], "lines": [COUNT]},
        }
    ],
    "seconds": AMOUNT,
    "provenance": PROVENANCE,
}
