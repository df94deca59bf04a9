"""The records of a study: where they lie, and reading and writing them, checked."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..schemas import AMOUNT, COUNT
from ..text import differences
from .origin import provenance
from .run_records import check_file_name
from .store import PROVENANCE, folders, read_json, write_json

SCHEMA = 1
# What every study records; types and ranges, see `schemas.mismatches`.
_COMMON = {
    **{"schema": int, "kind": str, "name": str, "command": str},
    **{"seconds": AMOUNT, "provenance": PROVENANCE},
}
# The settings of a study of trained networks (`subjects.pruned_in_all_ways`).
SETTINGS = {
    **{"data": str, "network": str, "width": AMOUNT, "epochs": COUNT},
    **{"calibration": COUNT, "judged_on": str},
}


def keyed(entries: Sequence[dict], parts: Sequence[str]) -> Iterator[tuple[tuple, dict]]:
    """Each entry with its key, the values of some of its parts."""
    for entry in entries:
        yield tuple(entry[part] for part in parts), entry


def repeated(entries: Sequence[dict], parts: Sequence[str], what: str = "entry") -> Iterator[str]:
    """In words, the entries whose key an earlier one has."""
    seen = set()
    for key, _ in keyed(entries, parts):
        if key in seen:
            yield f"the {what} {key} is there twice"
        seen.add(key)


def uneven(record: dict, parts: Sequence[str]) -> Iterator[str]:
    """In words, where a record of several networks has not one number for each of them.

    The networks are those of ``record["dense"]``; in each of the parts of the record, every list
    of an entry has a value for each.
    """
    seeds = len(record["dense"])
    if record["settings"].get("seeds") != seeds:
        yield "the settings name another number of seeds than there are networks"
    for part in parts:
        for entry in record[part]:
            for key, values in entry.items():
                if isinstance(values, list) and len(values) != seeds:
                    yield f"one of {part} has not a number of {key} for each seed"


def extend(entries: list[dict], about: Sequence[tuple], values: dict[str, float]) -> None:
    """Add one network's numbers to the entry that is about the same, or to a new one.

    Parameters
    ----------
    entries : list of dict
        Each has what it is about, and a list of numbers for every name of ``values``.
    about : sequence of (str, value)
    values : dict
    """
    for entry in entries:
        if all(part in entry and entry[part] == value for part, value in about):
            break
    else:
        entry = dict(about)
        entries.append(entry)
    for name, number in values.items():
        entry.setdefault(name, []).append(number)


class StudyRecords:
    """Records of one kind, each a file of its own in a folder of that kind's name.

    Parameters
    ----------
    kind : str
        Name of the study: of its command, and of the folder in ``data/runs``.
    types : dict
        Of what a record holds beside what all studies record; see `schemas.mismatches`.
    inconsistencies : callable
        ``inconsistencies(record)`` yields what cannot be, in words, of a record of these types.
    """

    def __init__(self, kind: str, types: dict, inconsistencies: Callable[[dict], Iterator[str]]):
        self.kind, self._checks = kind, (SCHEMA, _COMMON | types, inconsistencies)

    def path_of(self, name: str, folder: str | os.PathLike | None = None) -> Path:
        """Where a record lies in a folder (default: ``data/runs`` of the checkout)."""
        return folders(folder)[0] / self.kind / f"{name}.json"

    def read(self, path: str | os.PathLike) -> dict:
        """Read a record and check it.

        Raises
        ------
        DamagedFile
            As for `store.read_json`, and if the record is named otherwise than its file.
        """
        record = read_json(path, *self._checks)
        check_file_name(path, record)
        return record

    def record_files(self, folder: str | os.PathLike | None = None) -> list[Path]:
        """Paths of the records, by name."""
        return sorted((folders(folder)[0] / self.kind).glob("*.json"))

    def records(self, folder: str | os.PathLike | None = None) -> list[dict]:
        """Every record in a folder (default: ``data/runs`` of the checkout), by name."""
        return [self.read(path) for path in self.record_files(folder)]

    def opened(self, path: Path, name: str, settings: dict, **empty) -> dict:
        """The record that lies there, or a new one that holds what is ``empty``.

        Settings that are not named, such as the number of seeds of a record that can be given
        more of them, may be any.

        Raises
        ------
        ValueError
            It was made with other settings.
        """
        if not path.exists():
            new = {"schema": SCHEMA, "kind": self.kind, "name": name, "settings": settings}
            return new | empty | {"seconds": 0.0}
        record = self.read(path)
        if told := differences(record["settings"], settings):
            raise ValueError(
                f"The record {name} was made with {told}. Repeat its settings, or give the new one "
                "another name (--name)."
            )
        return record

    def write(self, path: Path, record: dict, words: Sequence[str]) -> None:
        """Write a record with its origin; `words` are what the command says behind its name."""
        record["command"] = shlex.join(["python", "-m", "splinelib", self.kind, *words])
        record["provenance"] = provenance()
        write_json(path, record, *self._checks)
