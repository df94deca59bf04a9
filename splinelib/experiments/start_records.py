"""The records of ways to a small network: their schema, reading, writing and summing up."""

import re
from collections.abc import Iterator

from ..schemas import AMOUNT, COUNT, SHARE
from ..text import printable
from .study_records import StudyRecords, keyed, repeated

BUDGETS = ("epochs", "flops")
WIDE = "wide"  # the network before the cut, for what it knows and how many lines it has
# Names of data sets and ways are shown on pages, where they should be plain words.
_NAME = re.compile(r"[a-z0-9: ]+")


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


def _inconsistencies(record: dict) -> Iterator[str]:
    seeds = record["settings"].get("seeds")
    parts = ("data", "depth", "width", "factor", "way", "budget")
    yield from repeated(record["entries"], parts)
    for key, entry in keyed(record["entries"], parts):
        known = _NAME.fullmatch(entry["data"]) and _NAME.fullmatch(entry["way"])
        if not known or entry["budget"] not in BUDGETS:
            yield f"the entry {key} names no data set, way or budget"
        for part in ("validation", "test", "lines", "lines_before"):
            if len(entry[part]) != seeds:
                yield f"the entry {key} has not a number of {part} for each seed"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": {str: COUNT},
    "entries": [
        {
            **{"data": str, "depth": COUNT, "width": COUNT, "factor": COUNT},
            **{"way": str, "budget": str, "restarts": COUNT},
            **{"rate": AMOUNT, "steps": COUNT, "flops": AMOUNT},
            **{"validation": [SHARE], "test": [SHARE], "lines_before": [COUNT], "lines": [COUNT]},
        }
    ],
}

RECORDS = StudyRecords("starts", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
