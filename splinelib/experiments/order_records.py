"""The records of orders of removal by themselves: their schema, reading, writing and summing up."""

from collections.abc import Iterator
from statistics import mean

from ..schemas import COUNT, SHARE
from ..text import printable
from .study_records import SETTINGS, StudyRecords, keyed, repeated

DENSE = "dense"
BASELINES = ("random", "magnitude")
OURS = ("spline", "bend", "lsq")
CRITERIA = (*BASELINES, *OURS)
SCOPES = ("layerwise", "global")
_KEY = ("seed", "criterion", "scope", "ratio", "draw", "renewed")


def summary(record: dict) -> str:
    """A record in a few lines: mean accuracy of each order, a column for each ratio."""
    found: dict[tuple[str, str, bool], dict[float, list[float]]] = {}
    for entry in record["entries"]:
        way = entry["criterion"], entry["scope"], entry["renewed"]
        by_ratio = found.setdefault(way, {})
        by_ratio.setdefault(entry["ratio"], []).append(entry["accuracy"])
    dense = found.pop((DENSE, "", False), {}).get(0, [])
    lines = [printable(f"{record['name']}  orders by themselves, {len(dense)} networks")]
    if dense:
        lines[0] += f", dense {mean(dense):.1%}"
    for (criterion, scope, renewed), by_ratio in found.items():
        told = ", ".join(f"{ratio:.0%}: {mean(right):.1%}" for ratio, right in by_ratio.items())
        lines.append(
            printable(f"  {' '.join([criterion, scope, *['renewed'] * renewed]):<30} {told}")
        )
    return "\n".join(lines)


def _inconsistencies(record: dict) -> Iterator[str]:
    yield from repeated(record["entries"], _KEY)
    for key, entry in keyed(record["entries"], _KEY):
        if entry["criterion"] not in (DENSE, *CRITERIA):
            yield f"the entry {key} names no criterion"
        if (entry["criterion"] == DENSE) != (entry["ratio"] == 0):
            yield f"the entry {key} has the ratio of another"
        if entry["criterion"] == DENSE and entry["renewed"]:
            yield f"the entry {key} is dense, and its statistics are its own"
        if entry["criterion"] != DENSE and entry["scope"] not in SCOPES:
            yield f"the entry {key} names no scope"
        if entry["draw"] and entry["criterion"] != "random":
            yield f"the entry {key} has a draw, and nothing is drawn"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": SETTINGS,
    "entries": [
        {
            **{"seed": COUNT, "criterion": str, "scope": str, "ratio": SHARE, "draw": COUNT},
            **{"renewed": bool, "accuracy": SHARE},
        }
    ],
}

RECORDS = StudyRecords("orders", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
