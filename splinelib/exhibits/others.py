"""Rivals without training, beside ours on the same dense networks: tables, and what they say."""

from collections.abc import Iterator, Sequence

import numpy as np

from .. import plotting
from ..experiments import earnings, rival_records
from ..plotting import Cell
from ..plotting.tables import Table
from ..text import over_seeds
from . import wording

# Ways that look at images even before statistics are renewed on them.
_SEEING = ("GRAIL", "magnitude refitted", "lsq refitted", "default with data")
_SIZES = ("channels", "parameters", "macs")


class Study:
    """Records of `experiments.rivals` of one network, of several seeds, with entries at hand.

    Attributes
    ----------
    title : str
        Network and data, in words.
    seeds : list of int
    ratios : list of float
        The mildest first.
    ways : list of (str, bool)
        But the dense network, in the order of the record; the bool says that statistics of batch
        norms were renewed.

    Raises
    ------
    ValueError
        As for `earnings.entries_by_seed`.
    """

    def __init__(self, *records: dict):
        parts = ("way", "renewed", "ratio", "seed")
        by_seed = earnings.entries_by_seed(records)
        entries = (entry for row in by_seed.values() for entry in row)
        self._entries = {tuple(entry[part] for part in parts): entry for entry in entries}
        self.seeds = sorted(by_seed)
        dense = rival_records.DENSE
        self.ratios = sorted({ratio for way, _, ratio, _ in self._entries if way != dense})
        self.ways = list(dict.fromkeys(key[:2] for key in self._entries if key[0] != dense))
        settings = records[0]["settings"]
        self.judged_on = settings["judged_on"]
        self.title = (
            f"{wording.proper(settings['network'])} at width {settings['width']:g} on "
            f"{wording.proper(settings['data'])}"
        )

    def has(self, way: str) -> bool:
        """Whether a way was recorded."""
        return (way, False) in self.ways

    def values(
        self, way: str, renewed: bool, ratio: float, part: str = "accuracy"
    ) -> np.ndarray | None:
        """What each seed has of a way, (seeds,), or None where one has nothing."""
        found = [self._entries.get((way, renewed, ratio, seed)) for seed in self.seeds]
        return None if None in found else np.array([entry[part] for entry in found])

    def mean(self, way: str, ratio: float, renewed: bool = False) -> float:
        """Mean accuracy of a way over seeds, in per cent."""
        return 100 * float(self.values(way, renewed, ratio).mean())

    def best(self, ways: Sequence[str], ratio: float) -> float:
        """The best mean accuracy among some ways, renewed or not, in per cent."""
        return max(self.mean(way, ratio, new) for way, new in self.ways if way in ways)


def collected(records: Sequence[dict]) -> list[Study]:
    """The studies of some records; those that differ in the seed alone are one.

    Parameters
    ----------
    records : sequence of dict
        As `rival_records.records` gives them.

    Raises
    ------
    ValueError
        As for `Study`.
    """
    return [Study(*group) for group in earnings.across_seeds(records)]


def table(study: Study, ratio: float = 0.5) -> Table:
    """Accuracy of every way at every ratio, and what is left of the network at one of them."""
    rows = [_row(study, rival_records.DENSE, False, ratio)]
    rows += [_row(study, way, renewed, ratio) for way, renewed in study.ways]
    many = len(study.seeds)
    seeds = f"mean (least to most) of {many} networks" if many > 1 else "one network"
    return wording.table(
        rows,
        [
            *("", "sees images", *(f"{r:.0%} removed" for r in study.ratios)),
            "left, %",
        ],
        f"{study.title}, pruned without training: right on {study.judged_on}, in %, {seeds}; "
        f"and of channels, parameters and MACs what is left with {ratio:.0%} removed",
        format="{}",
    )


def _row(study: Study, way: str, renewed: bool, ratio: float) -> list:
    dense = way == rival_records.DENSE
    found = [study.values(way, renewed, 0.0 if dense else r) for r in study.ratios]
    cells = [Cell(None) if f is None else over_seeds(list(100 * f), "{:.1f}") for f in found]
    left = [
        100
        * np.mean(study.values(way, renewed, 0.0 if dense else ratio, part))
        / np.mean(study.values(rival_records.DENSE, False, 0.0, part))
        for part in _SIZES
    ]
    sees = "yes" if renewed or way in _SEEING else ""
    sizes = " · ".join(f"{size:.0f}" for size in left)
    return [way + (", renewed" if renewed else ""), sees, *cells, sizes]


def printed(rows: Sequence[dict]) -> Table:
    """What others printed of their ways, on dense networks of their own.

    Parameters
    ----------
    rows : sequence of dict
        The published table ``rivals``.
    """
    sources = dict.fromkeys(f"{row['source']} ({row['how_read']})" for row in rows)
    return plotting.table(
        [
            [
                row["method"],
                ", ".join(filter(None, (wording.proper(row["network"]), row["training"]))),
                Cell(row["dense_percent"], "published"),
                row["removed"],
                Cell(row["accuracy_percent"], "published"),
            ]
            for row in rows
        ],
        columns=["", "network", "dense, %", "removed", "left, %"],
        caption="What others printed, on CIFAR-10 and dense networks of their own, without "
        f"training afterwards. {'; '.join(sources)}",
        format=["{}", "{}", "{:.1f}", "{}", "{:.1f}"],
    )


def claims(
    mlp: Study, vgg: Study, cifar: Study, resnet: Study | None = None
) -> Iterator[tuple[str, bool]]:
    """What chapter 10 says of a perceptron and of networks with batch norms, and if it holds.

    Of ways that are not in all records nothing is said.
    """
    normed = vgg, cifar
    yield from _rivals_ahead(mlp)
    yield from _merge_and_rivals([*normed, *([] if resnet is None else [resnet])])
    yield from _same_units(mlp, normed)
    yield from _without_images(mlp, vgg, cifar)
    renewed = [
        s.mean(way, s.ratios[0], True) > s.mean(way, s.ratios[0]) + 10
        for s in normed
        for way in ("magnitude", "folding")
    ]
    yield "at the mildest cut renewed statistics bring back ten points", all(renewed)
    merging = ("neuron merging", "neuron merging as coded")
    less = [
        s.mean(way, s.ratios[0], True) < s.mean("magnitude", s.ratios[0], True)
        for s in normed
        for way in merging
    ]
    yield "at the mildest cut neuron merging keeps less than just dropping, renewed", all(less)
    yield from _fused(mlp, [*normed, *([] if resnet is None else [resnet])])
    if resnet is not None:
        yield from _residual(resnet)


def _fused(mlp: Study, normed: Sequence[Study]) -> Iterator[tuple[str, bool]]:
    """Intra-Fusion, with rows that are averaged and, as coded, added up."""
    if not all(study.has("Intra-Fusion") for study in (mlp, *normed)):
        return
    less = [mlp.mean("magnitude", r) - mlp.mean("Intra-Fusion", r) for r in mlp.ratios]
    yield "on the perceptron Intra-Fusion keeps less than just dropping", min(less) > 0.3
    renewed = [
        s.mean("Intra-Fusion", s.ratios[0], True) - s.mean("magnitude", s.ratios[0], True)
        for s in normed
    ]
    yield "at the mildest cut it keeps more than just dropping, renewed", min(renewed[:2]) > 1
    if renewed[2:]:
        yield "and on the residual network about as much", abs(renewed[2]) < 2
    louder = [
        s.mean("Intra-Fusion as coded", s.ratios[0]) - s.mean("Intra-Fusion", s.ratios[0])
        for s in normed
    ]
    yield "and rows added up keep more than averages where nothing is renewed", min(louder) > 3


def _residual(resnet: Study) -> Iterator[tuple[str, bool]]:
    """The network whose residual streams are cut as well."""
    dense, blind = 100 * resnet.values("dense", False, 0.0).mean(), "default without data"
    lost = [dense - resnet.mean(blind, ratio) for ratio in (0.3, 0.5)]
    yield (
        "without an image the default loses less than 3 and than 10 points",
        (lost[0] < 3 and lost[1] < 10),
    )
    over = [resnet.mean(blind, r) - resnet.best(rival_records.THEIRS, r) for r in resnet.ratios]
    yield "and is ahead of all rivals, renewed and with images", min(over) > 3
    ahead = [
        resnet.mean(way, r) - resnet.best(rival_records.THEIRS, r)
        for way in ("magnitude refitted", "lsq refitted", "default with data")
        for r in resnet.ratios
    ]
    yield "on the residual network all that we refit is ahead of all rivals", min(ahead) > 2
    rest = [way for way in rival_records.THEIRS if way not in ("GRAIL", "folding")]
    folding = [
        resnet.mean("folding", r, True) - resnet.best(rest, r) for r in resnet.ratios if r <= 0.5
    ]
    yield "up to a half folding leads those that fit nothing, renewed", min(folding) > 0
    grail = [resnet.mean("GRAIL", r, True) - resnet.mean("folding", r, True) for r in resnet.ratios]
    yield "and GRAIL is ahead of it at every ratio", min(grail) > 2


def _rivals_ahead(mlp: Study) -> Iterator[tuple[str, bool]]:
    last = mlp.ratios[-1]
    grail, default = mlp.mean("GRAIL", last), mlp.mean("default with data", last)
    yield "GRAIL is ahead of our default by a trace at the hardest cut", 0 < grail - default < 0.5
    plain = mlp.mean("magnitude refitted", last)
    yield "and the L1 order with our refit ahead of both", plain > max(grail, default) + 0.3


def _merge_and_rivals(normed: Sequence[Study]) -> Iterator[tuple[str, bool]]:
    """Our merge behind batch norms, which fits nothing on images, with statistics renewed."""
    merged = {(s, r): s.mean("bend merged", r, True) for s in normed for r in s.ratios}
    ahead = [
        found - max(s.mean(way, r, True) for way in _blind(s)) for (s, r), found in merged.items()
    ]
    yield "renewed, our merge is ahead of all rivals that fit nothing", min(ahead) > 1
    behind = {(s, r): s.mean("GRAIL", r, True) - found for (s, r), found in merged.items()}
    milder = [behind[s, r] for s in normed[1:] for r in s.ratios[:-1]]
    yield (
        "and GRAIL, which fits, ahead of it at milder cuts, by three points at most",
        (min(milder) > 0 and max(behind.values()) <= 3),
    )
    hardest = [behind[s, s.ratios[-1]] for s in normed]
    yield "and behind it at the hardest cut on the VGGs", max(hardest[:2]) < -0.5
    if hardest[2:]:
        yield "and level with it there on the residual network", abs(hardest[2]) < 2
    digits = [behind[normed[0], r] for r in normed[0].ratios if r >= 0.5]
    yield "and on digits from a half on", max(digits) < -3


def _blind(study: Study) -> list[str]:
    """The rivals that look at no image, but for statistics that are renewed."""
    return [way for way in rival_records.THEIRS if way != "GRAIL" and study.has(way)]


def _same_units(mlp: Study, normed: Sequence[Study]) -> Iterator[tuple[str, bool]]:
    """Our refit and GRAIL, after the same units have gone."""
    near = [mlp.mean("magnitude refitted", r) - mlp.mean("GRAIL", r) for r in mlp.ratios]
    yield (
        "on the perceptron the refit is no worse, by less than a point",
        all(-1e-9 <= points < 1 for points in near),
    )
    far = [
        s.mean("magnitude refitted", r) - s.best(("GRAIL",), r) for s in normed for r in s.ratios
    ]
    yield "on the others the refit is ahead at every ratio", all(points > 3 for points in far)
    best = [
        s.mean(way, r) - s.best(rival_records.THEIRS, r)
        for s in normed
        for r in s.ratios
        for way in ("lsq refitted", "default with data")
    ]
    yield "lsq refitted and our default are ahead of all rivals", all(p > 5 for p in best)
    cost = [np.mean(s.values("default with data", False, 0.5, "macs")) for s in normed]
    even = [np.mean(s.values("lsq refitted", False, 0.5, "macs")) for s in normed]
    times = np.divide(cost, even)
    yield "the default leaves about twice as much to compute", all((times > 1.6) & (times < 2.5))


def _without_images(mlp: Study, vgg: Study, cifar: Study) -> Iterator[tuple[str, bool]]:
    blind = _blind(cifar)
    ahead = {
        (s, r): s.mean("bend merged", r)
        - max(s.mean(way, r) for way, new in s.ways if way in blind and not new)
        for s in (mlp, vgg, cifar)
        for r in s.ratios
    }
    yield (
        "without an image our merge is no worse on the perceptron, and a point ahead at last",
        all(ahead[mlp, r] > -1e-9 for r in mlp.ratios) and ahead[mlp, mlp.ratios[-1]] > 1,
    )
    mildest = [ahead[s, s.ratios[0]] > 6 for s in (vgg, cifar)]
    yield "without an image our merge is far ahead at the mildest cut", all(mildest)
    default = "default without data"
    lost = [100 * vgg.values("dense", False, 0.0).mean() - vgg.mean(default, r) for r in (0.3, 0.5)]
    yield "on digits the default without data loses less than a point at a half", max(lost) < 1
    seeing = vgg.best(("GRAIL",), 0.5)
    yield "which is far above GRAIL, with images", vgg.mean(default, 0.5) > seeing + 20
    dense = 100 * cifar.values("dense", False, 0.0).mean()
    left = [cifar.mean(way, 0.5) / dense for way in ("bend merged", default)]
    yield (
        "on CIFAR-100 our merge leaves about a quarter at a half, the default more, and not half",
        (0.2 < left[0] < 0.3 < left[1] < 0.5),
    )
    gone = [cifar.mean(way, 0.5) / dense < 0.1 for way in blind]
    yield "and no rival that looks at no image a tenth", all(gone)
