"""A pitch estimator that others trained, pruned without training: a figure, a table, claims."""

import numpy as np

from .. import plotting
from ..experiments import pitch_records as records
from ..plotting import Cell
from ..plotting.tables import Table
from ..text import over_seeds
from . import wording

# Way -> what it is called in the table.
_CALLED = {
    **{way: f"{way}, just cut" for way in records.CUT},
    "default without data": "bend merged (default)",
    "default with data": "lsq refitted (default)",
}
_SEEING = ("lsq", "random refitted", "spline refitted", "default with data")
# As the curves are called, which have the colours of their criteria. What is refitted has none, and
# gets the colour of its place, the second, which is nobody's here.
_DRAWN = {
    **{"random": "random", "default with data": _CALLED["default with data"]},
    **{way: way for way in ("magnitude", "spline", "lsq")},
}


class Study:
    """A record of `experiments.pitch`, with its entries at hand.

    Parameters
    ----------
    record : dict

    Raises
    ------
    ValueError
        The dense network or every pruned one is missing.

    Attributes
    ----------
    size : str
    ratios : list of float
        Shares of units removed in any of the ways, the mildest first.
    ways : list of str
        But the dense network, in the order of the record.
    dense : dict
        The entry of the dense network.
    """

    def __init__(self, record: dict):
        self._found: dict[tuple[str, float], list[dict]] = {}
        for entry in record["entries"]:
            self._found.setdefault((entry["way"], entry["ratio"]), []).append(entry)
        self.name, self.settings = record["name"], record["settings"]
        self.size = self.settings["size"]
        self.ratios = sorted({ratio for way, ratio in self._found if way != records.DENSE})
        self.ways = list(dict.fromkeys(way for way, _ in self._found if way != records.DENSE))
        if (records.DENSE, 0.0) not in self._found or not self.ways:
            raise ValueError(
                f"the record {self.name!r} lacks its dense network or all pruned ones: python -m "
                "splinelib pitch adds them."
            )
        (self.dense,) = self._found[records.DENSE, 0.0]

    def values(self, way: str, ratio: float, part: str = "accuracy") -> np.ndarray | None:
        """What each draw of a way has at a ratio, (draws,), or None where nothing was recorded.

        Accuracies are in [0, 1], times in seconds.
        """
        found = self._found.get((way, ratio))
        if found is None:
            return None
        return np.array([entry[part] for entry in sorted(found, key=lambda entry: entry["seed"])])

    def mean(self, way: str, ratio: float, part: str = "accuracy") -> float:
        """Mean over draws; of accuracies in per cent. `ValueError` if there are none."""
        return float(self._known(way, ratio, part).mean()) * (100 if part == "accuracy" else 1)

    def left(self, way: str, ratio: float, part: str) -> float:
        """What is left of a size of the dense network, in per cent; of time, timed in turns."""
        before = self.dense[part] if part != "latency" else self.values(way, ratio, "dense_latency")
        return 100 * float(np.mean(self._known(way, ratio, part) / before))

    def curve(self, way: str) -> np.ndarray:
        """Accuracies in [0, 1] at every ratio, (draws, ratios); of draws that all ratios have.

        Raises
        ------
        ValueError
            The way was not recorded at some ratio.
        """
        values = [self._known(way, ratio) for ratio in self.ratios]
        draws = min(len(each) for each in values)
        return np.stack([each[:draws] for each in values], 1)

    def _known(self, way: str, ratio: float, part: str = "accuracy") -> np.ndarray:
        values = self.values(way, ratio, part)
        if values is None:
            raise ValueError(
                f"the record {self.name!r} has nothing of {way!r} at {ratio:g}: python -m "
                f"splinelib pitch --ways '{way}' --ratios {ratio:g} --name {self.name} adds it."
            )
        return values


def figure(study: Study):
    """Share of tones whose pitch is heard against the share of units removed.

    Raises
    ------
    ValueError
        A way that is drawn was not recorded at some ratio.
    """
    removed = [100 * ratio for ratio in study.ratios]
    curves = {label: (removed, study.curve(way)) for way, label in _DRAWN.items()}
    half = study.ratios[len(study.ratios) // 2]
    told = ", ".join(f"{label} {study.mean(way, half):.0f} %" for way, label in _DRAWN.items())
    return plotting.accuracy_against(
        curves,
        xlabel="units removed (%)",
        dense=study.dense["accuracy"],
        limits=(-0.02, 1.02),
        alt=f"Pitches heard against the share of units removed. With {half:.0%} removed: {told}.",
        caption=f"CREPE ({study.size}): share of {study.settings['judged_on']:,} tones whose pitch "
        f"is heard within {study.settings['cents']:.0f} cents. Nothing is trained.",
    )


def table(study: Study, ratio: float = 0.5) -> Table:
    """Pitches heard in every way, and what is left of the network at one ratio.

    Raises
    ------
    ValueError
        Nothing was recorded at that ratio.
    """
    if ratio not in study.ratios:
        known = ", ".join(f"{known:g}" for known in study.ratios)
        raise ValueError(f"the record {study.name!r} has the ratios {known}, not {ratio:g}.")
    read = wording.origins([study.name], "pitch")

    def heard(way: str, at: float) -> Cell:
        found = study.values(way, at)
        if found is None:
            return Cell(None)
        return Cell(over_seeds(list(100 * found), "{:.1f}"), "record", origins=read)

    parts = ("channels", "parameters", "macs", "latency")
    drawn = any(way in records.BY_LOT for way in study.ways)
    rows = [["dense", "", *[heard(records.DENSE, 0.0)] * len(study.ratios), *[100.0] * len(parts)]]
    for way in study.ways:
        left = [
            Cell(None) if study.values(way, ratio) is None else study.left(way, ratio, part)
            for part in parts
        ]
        sees = "yes" if way in _SEEING else ""
        rows.append([_CALLED.get(way, way), sees, *(heard(way, r) for r in study.ratios), *left])
    return plotting.table(
        rows,
        columns=[
            *("", "hears tones", *(f"{r:.0%} removed" for r in study.ratios)),
            *("channels, %", "parameters, %", "MACs, %", "time, %"),
        ],
        caption=f"CREPE ({study.size}), pruned without training: pitches heard, in %"
        f"{', of draws by lot mean (least to most)' if drawn else ''}; and what is left with "
        f"{ratio:.0%} removed, the time for {study.settings['batch']} frames on one "
        "thread, in turns with the dense network",
        format=["{}"] * (2 + len(study.ratios)) + ["{:.0f}"] * len(parts),
    )
