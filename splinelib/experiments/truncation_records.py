"""The records of what PCA does to a pruning: their schema, reading, writing and summing up."""

from collections.abc import Iterator

from ..schemas import AMOUNT, COUNT, SHARE, Range
from ..scores.truncation import BY
from ..text import over_seeds, printable
from .study_records import StudyRecords, keyed, repeated, uneven
from .truncated_orders import DIRECTIONS, GOES, LOT, METRICS

NOTHING = "nothing"  # makes up for the units that went
COMPENSATIONS = (NOTHING, "merge", "refit")
# Criteria beside which the orders stand.
RIVALS = ("random", "magnitude")
_ORDER = ("metric", "directions", "components", "goes", "ratio", "compensate")


def summary(record: dict) -> str:
    """A record in a few lines: the best number of components of each metric, and its accuracy."""
    lines = [
        printable(
            f"{record['name']}  pruned after PCA, {len(record['dense'])} networks, "
            f"{len(record['orders'])} orders"
        )
    ]
    best: dict[tuple, dict] = {}
    for entry in record["orders"]:
        key = entry["ratio"], entry["compensate"], entry["metric"], entry["directions"]
        mean = sum(entry["test"])
        if key not in best or mean > sum(best[key]["test"]):
            best[key] = entry
    for (ratio, compensate, metric, directions), entry in best.items():
        accuracy = over_seeds([100 * share for share in entry["test"]], "{:.1f}")
        where = metric if directions == LOT else f"{metric}, {directions} {entry['components']}"
        lines.append(printable(f"  {ratio:.0%}, {compensate:<8} {where:<28} {accuracy}"))
    return "\n".join(lines)


def _inconsistencies(record: dict) -> Iterator[str]:
    yield from repeated(record["orders"], _ORDER, "order")
    yield from uneven(record, ("orders", "rivals", "views", "needs"))
    for key, entry in keyed(record["orders"], _ORDER):
        known = entry["metric"] in (*METRICS, LOT) and entry["directions"] in (*DIRECTIONS, LOT)
        if not known or entry["goes"] not in GOES or entry["compensate"] not in COMPENSATIONS:
            yield f"the order {key} names no metric, directions, unit of a pair or compensation"
    for entry in record["rivals"]:
        if entry["criterion"] not in RIVALS or entry["compensate"] not in COMPENSATIONS:
            yield "a rival names no criterion or compensation"
    for entry in (*record["views"], *record["needs"]):
        if entry["metric"] not in METRICS or entry.get("by", BY[0]) not in BY:
            yield "what was measured names no metric or way to know"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": {"network": str, "width": AMOUNT, "epochs": COUNT, "seeds": COUNT},
    "dense": [SHARE],
    "orders": [
        {
            **{"metric": str, "directions": str, "components": COUNT, "goes": str},
            **{"ratio": SHARE, "compensate": str, "test": [SHARE]},
        }
    ],
    "rivals": [{"criterion": str, "ratio": SHARE, "compensate": str, "test": [SHARE]}],
    "views": [
        {
            **{"metric": str, "layer": COUNT, "components": COUNT},
            **{"left_out": [SHARE], "bound": [AMOUNT], "error": [AMOUNT], "loud": [Range(-1, 1)]},
        }
    ],
    "needs": [{"metric": str, "layer": COUNT, "accuracy": SHARE, "by": str, "components": [COUNT]}],
}

RECORDS = StudyRecords("pca", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
