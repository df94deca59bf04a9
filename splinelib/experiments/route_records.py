"""The records of routed small networks: their schema, reading, writing and summing up."""

import re
from collections.abc import Iterator
from statistics import mean

from ..schemas import AMOUNT, COUNT, SHARE
from ..text import printable
from .study_records import StudyRecords, keyed, repeated

# Names of ways are shown on pages, where they should be plain words.
_NAME = re.compile(r"[a-z0-9 ]+")


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


def _inconsistencies(record: dict) -> Iterator[str]:
    parts = ("seed", "way", "width")
    yield from repeated(record["entries"], parts)
    for key, entry in keyed(record["entries"], parts):
        if not _NAME.fullmatch(entry["way"]):
            yield f"the entry {key} names no way"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": {str: COUNT},
    "entries": [
        {
            **{"seed": COUNT, "way": str, "width": COUNT, "test": SHARE},
            **{"macs": AMOUNT, "batch": AMOUNT, "single": AMOUNT},
        }
    ],
}

RECORDS = StudyRecords("routes", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
