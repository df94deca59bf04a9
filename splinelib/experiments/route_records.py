"""The records of routed small networks: their schema, reading, writing and summing up."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

from ..schemas import AMOUNT, COUNT, SHARE
from ..text import differences, printable
from .origin import provenance
from .run_records import check_file_name
from .store import PROVENANCE, folders, read_json, write_json

SCHEMA = 1
FOLDER = "routes"
# Names of ways are shown on pages, where they should be plain words.
_NAME = re.compile(r"[a-z0-9 ]+")


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
    """A record in a few lines: mean accuracy and cost of each way and width."""
    found: dict[tuple, list[dict]] = {}
    for entry in record["entries"]:
        found.setdefault((entry["way"], entry["width"]), []).append(entry)
    lines = [printable(f"{record['name']}  routed small networks, {len(found)} kinds")]
    for (way, width), many in found.items():
        accuracy, macs = (mean(entry[part] for entry in many) for part in ("test", "macs"))
        lines.append(printable(f"  {way:<12} {width:>4}  {accuracy:.2%} at {macs:,.0f} MACs"))
    return "\n".join(lines)


def opened(path: Path, name: str, settings: dict[str, int]) -> dict:
    """The record that lies there, or a new one with no entries.

    Raises
    ------
    ValueError
        It was made with other settings.
    """
    if not path.exists():
        new = {"schema": SCHEMA, "kind": FOLDER, "name": name, "settings": settings}
        return new | {"entries": [], "seconds": 0.0}
    record = read(path)
    if told := differences(record["settings"], settings):
        raise ValueError(
            f"The record {name} was made with {told}. Give the new one another name (--name)."
        )
    return record


def write(path: Path, record: dict, words: Sequence[str]) -> None:
    """Write a record with its origin; `words` are what the command says behind ``routes``."""
    record["command"] = shlex.join(["python", "-m", "splinelib", "routes", *words])
    record["provenance"] = provenance()
    write_json(path, record, SCHEMA, _RECORD, _inconsistencies)


def _inconsistencies(record: dict) -> Iterator[str]:
    seen = set()
    for entry in record["entries"]:
        key = tuple(entry[part] for part in ("seed", "way", "width"))
        if key in seen:
            yield f"the entry {key} is there twice"
        seen.add(key)
        if not _NAME.fullmatch(entry["way"]):
            yield f"the entry {key} names no way"


# As types and ranges; see `schemas.mismatches`.
_RECORD = {
    "schema": int,
    "kind": str,
    "name": str,
    "command": str,
    "settings": {str: COUNT},
    "entries": [
        {
            **{"seed": COUNT, "way": str, "width": COUNT, "test": SHARE},
            **{"macs": AMOUNT, "batch": AMOUNT, "single": AMOUNT},
        }
    ],
    "seconds": AMOUNT,
    "provenance": PROVENANCE,
}
