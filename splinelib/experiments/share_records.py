"""The records of which groups of units give up how many: schema, reading, writing, summing up."""

from collections.abc import Iterator

from ..schemas import COUNT, SHARE
from ..text import printable
from .study_records import SETTINGS, StudyRecords, keyed, repeated

ALONE = "bend"  # the order in which a group loses units when it is cut by itself
CRITERIA = ("spline", "bend", "lsq", "magnitude")
_KEY = ("seed", "group")


def summary(record: dict) -> str:
    """A record in a few lines: of each group of its first network what it is worth and keeps."""
    entries = record["entries"]
    networks = len({entry["seed"] for entry in entries})
    lines = [printable(f"{record['name']}  who gives up units, {networks} networks")]
    for entry in entries:
        if entry["seed"] != entries[0]["seed"]:
            continue
        lost = 100 * (entry["dense"] - entry["alone"])
        kept = ", ".join(f"{name} {count}" for name, count in entry["kept"].items())
        what = f"{entry['units']} units{', a stream' * entry['stream']}"
        lines.append(
            printable(f"  {entry['group']:<26} {what}; alone {lost:.1f} points; kept: {kept}")
        )
    return "\n".join(lines)


def _inconsistencies(record: dict) -> Iterator[str]:
    yield from repeated(record["entries"], _KEY)
    dense: dict[int, float] = {}
    for key, entry in keyed(record["entries"], _KEY):
        if dense.setdefault(entry["seed"], entry["dense"]) != entry["dense"]:
            yield f"the entry {key} is of another dense network than others of its seed"
        if entry["kept"].keys() != set(CRITERIA):
            yield f"the entry {key} does not name what each criterion keeps"
        if not all(1 <= count <= entry["units"] for count in entry["kept"].values()):
            yield f"the entry {key} keeps more units than there are, or none"
        if not entry["by_lot"]:
            yield f"the entry {key} has no draw by lot"


# Beside what all studies record; types and ranges, see `schemas.mismatches`.
_RECORD = {
    "settings": SETTINGS,
    "entries": [
        {
            **{"seed": COUNT, "group": str, "units": COUNT, "stream": bool, "dense": SHARE},
            **{"alone": SHARE, "by_lot": [SHARE], "kept": {str: COUNT}},
        }
    ],
}

RECORDS = StudyRecords("shares", _RECORD, _inconsistencies)
path_of, record_files, records = RECORDS.path_of, RECORDS.record_files, RECORDS.records
read, opened, write = RECORDS.read, RECORDS.opened, RECORDS.write
