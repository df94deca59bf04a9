"""The records of local complexity over training: their schema, reading, writing and summing up."""

from collections.abc import Iterator
from statistics import mean

from ..schemas import AMOUNT, COUNT, SHARE
from ..text import printable
from .study_records import StudyRecords, keyed, repeated

NETWORKS, KINDS = ("dense", "pruned"), ("training", "test", "noise")


def summary(record: dict) -> str:
    """A record in a few lines: regions at the first and the last epoch, by network and points."""
    last = record["settings"]["epochs"]
    lines = [printable(f"{record['name']}  local complexity, {len(record['birds'])} seeds")]
    for network in NETWORKS:
        for kind in KINDS:
            rows = [e for e in record["entries"] if (e["network"], e["kind"]) == (network, kind)]
            first = min((e["epoch"] for e in rows), default=0)
            counts = [
                mean(c for e in rows if e["epoch"] == epoch for c in e["regions"])
                for epoch in (first, last)
                if any(e["epoch"] == epoch for e in rows)
            ]
            told = " to ".join(f"{count:,.0f}" for count in counts) or "none"
            lines.append(printable(f"  {network:<8} {kind:<9} {told} regions"))
    return "\n".join(lines)


def _inconsistencies(record: dict) -> Iterator[str]:
    points, parts = record["settings"]["points"], ("seed", "network", "epoch", "kind", "radius")
    yield from repeated(record["entries"], parts)
    for key, entry in keyed(record["entries"], parts):
        if entry["network"] not in NETWORKS or entry["kind"] not in KINDS:
            yield f"the entry {key} names no network or no kind of points"
        if {len(entry["regions"]), len(entry["units"])} != {points}:
            yield f"the entry {key} has not a number for each of {points} points"
    birds = [bird["seed"] for bird in record["birds"]]
    if len(set(birds)) < len(birds):
        yield "the early bird of a seed is there twice"
    if {entry["seed"] for entry in record["entries"]} != set(birds):
        yield "the seeds of the entries are not those of the early birds"


# Beside what all studies record; types and ranges, see `schemas.mismatches`. Epochs are counted
# from 1, 0 being before training.
_RECORD = {
    "settings": {"points": COUNT, "epochs": COUNT, str: object},
    "birds": [{"seed": COUNT, "epoch": COUNT, "settled": bool}],
    "entries": [
        {
            **{"seed": COUNT, "network": str, "epoch": COUNT, "kind": str, "radius": AMOUNT},
            **{"accuracy": SHARE, "regions": [COUNT], "units": [COUNT]},
        }
    ],
}

RECORDS = StudyRecords("slices", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
