"""The records of pruned transformers: their schema, reading, writing and summing up."""

from collections.abc import Iterator

from ..schemas import AMOUNT, COUNT, SHARE
from ..scores.criteria import CRITERIA
from ..text import over_seeds, printable
from .study_records import StudyRecords, keyed, repeated, uneven

PARTS = ("units", "heads", "stream")
NOTHING = "nothing"  # makes up for what went
COMPENSATIONS = (NOTHING, "refit")
WHEN = ("start", "trained")
_KEY = ("part", "order", "ratio", "compensate")


def summary(record: dict) -> str:
    """A record in a few lines: the accuracy of the best and the worst order of each removal."""
    dense = over_seeds([100 * share for share in record["dense"]], "{:.1f}")
    lines = [printable(f"{record['name']}  pruned transformers, dense {dense}")]
    ends: dict[tuple, list[dict]] = {}
    for entry in record["entries"]:
        ends.setdefault((entry["part"], entry["ratio"], entry["compensate"]), []).append(entry)
    for (part, ratio, compensate), entries in ends.items():
        entries.sort(key=lambda entry: -sum(entry["test"]))
        said = [
            f"{entry['order']} {over_seeds([100 * share for share in entry['test']], '{:.1f}')}"
            for entry in (entries[0], entries[-1])
        ]
        lines.append(printable(f"  {part:<6} {ratio:.0%} {compensate:<7} {' ... '.join(said)}"))
    return "\n".join(lines)


def _inconsistencies(record: dict) -> Iterator[str]:
    yield from repeated(record["entries"], _KEY)
    yield from uneven(record, ("entries", "maps", "heads"))
    for key, entry in keyed(record["entries"], _KEY):
        if entry["order"] not in CRITERIA:
            yield f"the entry {key} names no order"
        if entry["part"] not in PARTS or entry["compensate"] not in COMPENSATIONS:
            yield f"the entry {key} names no part or compensation"
    for entry in record["maps"]:
        if entry["when"] not in WHEN:
            yield f"a map is of no time: {entry['when']}"
    if len(record["settled"]) != len(record["dense"]):
        yield "there is not an epoch at which the codes settled for each seed"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": {"width": AMOUNT, "epochs": COUNT, "seeds": COUNT},
    "dense": [SHARE],
    "settled": [(COUNT, None)],  # epoch from 0
    "entries": [{"part": str, "order": str, "ratio": SHARE, "compensate": str, "test": [SHARE]}],
    # Distance of the map with held factors from the Jacobian, as a share of the Jacobian.
    "maps": [{"when": str, "gap": [AMOUNT]}],
    # The share of what follows a head that is lost with it once the others are refitted.
    "heads": [{"layer": COUNT, "head": COUNT, "lost": [SHARE]}],
}

RECORDS = StudyRecords("vit", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
