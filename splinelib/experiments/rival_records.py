"""The records of rivals without training: their schema, reading, writing and summing up."""

from collections.abc import Iterator
from statistics import mean

from ..schemas import COUNT, SHARE
from ..text import printable
from .study_records import SETTINGS, StudyRecords, keyed, repeated

DENSE = "dense"
# Those of others, on the L1 order but for folding, which has none; and ours.
THEIRS = (
    *("magnitude", "folding", "neuron merging", "neuron merging as coded"),
    *("Intra-Fusion", "Intra-Fusion as coded", "GRAIL"),
)
OURS = (
    *("bend merged", "magnitude refitted", "lsq refitted"),
    *("default without data", "default with data"),
)
# Those behind which statistics of batch norms are renewed as well.
RENEWED = (*THEIRS, "bend merged")
_KEY = ("seed", "way", "renewed", "ratio")


def summary(record: dict) -> str:
    """A record in a few lines: mean accuracy of each way, a column for each ratio."""
    found: dict[tuple[str, bool], dict[float, list[float]]] = {}
    for entry in record["entries"]:
        way = found.setdefault((entry["way"], entry["renewed"]), {})
        way.setdefault(entry["ratio"], []).append(entry["accuracy"])
    dense = found.pop((DENSE, False), {}).get(0, [])
    lines = [printable(f"{record['name']}  rivals without training, {len(dense)} networks")]
    if dense:
        lines[0] += f", dense {mean(dense):.1%}"
    for (way, renewed), by_ratio in found.items():
        told = ", ".join(f"{ratio:.0%}: {mean(right):.1%}" for ratio, right in by_ratio.items())
        lines.append(printable(f"  {way + (' + renewed' if renewed else ''):<33} {told}"))
    return "\n".join(lines)


def _inconsistencies(record: dict) -> Iterator[str]:
    yield from repeated(record["entries"], _KEY)
    for key, entry in keyed(record["entries"], _KEY):
        known = RENEWED if entry["renewed"] else (DENSE, *THEIRS, *OURS)
        if entry["way"] not in known:
            yield f"the entry {key} names no way"
        if (entry["way"] == DENSE) != (entry["ratio"] == 0):
            yield f"the entry {key} has the ratio of another way"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": SETTINGS,
    "entries": [
        {
            **{"seed": COUNT, "way": str, "renewed": bool, "ratio": SHARE, "accuracy": SHARE},
            **{"channels": COUNT, "parameters": COUNT, "macs": COUNT},
        }
    ],
}

RECORDS = StudyRecords("rivals", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
