"""The records of a pitch estimator that is pruned: their schema, reading, writing, summing up."""

from collections.abc import Iterator
from statistics import mean

from ..schemas import AMOUNT, COUNT, SHARE
from ..text import printable
from .study_records import StudyRecords, keyed, repeated

DENSE = "dense"
# One threshold for all layers, and nothing makes up for what goes.
CUT = ("random", "magnitude", "spline", "bend", "lsq")
# No tone is looked at but in the last three.
MENDED = (
    *("spline merged", "default without data"),
    *("random refitted", "spline refitted", "default with data"),
)
WAYS = (*CUT, *MENDED)
# Those in which units go by lot, so that one draw says little.
BY_LOT = ("random", "random refitted")
_KEY = ("way", "ratio", "seed")


def summary(record: dict) -> str:
    """A record in a few lines: mean accuracy of each way, a column for each ratio."""
    found: dict[str, dict[float, list[float]]] = {}
    for entry in record["entries"]:
        found.setdefault(entry["way"], {}).setdefault(entry["ratio"], []).append(entry["accuracy"])
    lines = [printable(f"{record['name']}  pitch of tones, pruned without training")]
    for way, by_ratio in found.items():
        told = ", ".join(f"{ratio:.0%}: {mean(right):.1%}" for ratio, right in by_ratio.items())
        lines.append(printable(f"  {way:<22} {told}"))
    return "\n".join(lines)


def _inconsistencies(record: dict) -> Iterator[str]:
    yield from repeated(record["entries"], _KEY)
    for key, entry in keyed(record["entries"], _KEY):
        if entry["way"] not in (DENSE, *WAYS):
            yield f"the entry {key} names no way"
        if (entry["way"] == DENSE) != (entry["ratio"] == 0):
            yield f"the entry {key} has the ratio of another way"
        if entry["seed"] and entry["way"] not in BY_LOT:
            yield f"the entry {key} has a seed, and nothing is drawn"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": {
        **{"size": str, "calibration": COUNT, "judged_on": COUNT, "noise": AMOUNT},
        **{"cents": AMOUNT, "batch": COUNT},
    },
    "entries": [
        {
            **{"way": str, "ratio": SHARE, "seed": COUNT, "accuracy": SHARE},
            **{"channels": COUNT, "parameters": COUNT, "macs": COUNT},
            **{"latency": AMOUNT, "dense_latency": AMOUNT},
        }
    ],
}

RECORDS = StudyRecords("pitch", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
