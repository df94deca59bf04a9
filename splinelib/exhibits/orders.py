"""Orders of removal by themselves, on several networks: what each loses, and who loses least."""

from collections.abc import Sequence

import numpy as np

from .. import plotting
from ..experiments import earnings, order_records, pitch_records
from ..experiments.orders import RATIOS
from ..plotting import widgets
from ..plotting.palette import Palette
from ..plotting.svg import Figure
from ..plotting.tables import Cell, Table
from . import wording

# What a scope is called on the page.
SCOPES = {"global": "one threshold", "layerwise": "even share"}
BASELINES, OURS = order_records.BASELINES, order_records.OURS
CRITERIA = order_records.CRITERIA


class Network:
    """One network, over its seeds, and what it loses in each order.

    `of_records` and `of_pitch` make it.

    Raises
    ------
    ValueError
        There is no dense network, or no pruned one.

    Attributes
    ----------
    title : str
    seeds : int
    ratios : list of float
        The mildest first.
    accuracy : float
        Of the dense networks, mean over seeds, in per cent.
    kind, names : str, sequence of str
        Of the records.
    renewed : bool
        Whether statistics of batch norms were renewed.
    """

    def __init__(
        self,
        title: str,
        kind: str,
        names: Sequence[str],
        dense: dict,
        found: dict,
        renewed: bool = False,
    ):
        self.title, self.kind, self.names, self.renewed = title, kind, names, renewed
        self._dense, self._found = dense, found
        if not dense or not found:
            raise ValueError(f"{title}: a dense network or all pruned ones are not recorded.")
        self.seeds, self.accuracy = len(dense), 100 * float(np.mean([*dense.values()]))
        self.ratios = sorted({ratio for *_, ratio in found})
        self.scopes = [scope for scope in SCOPES if any(scope == key[1] for key in found)]

    def lost(self, criterion: str, scope: str, ratio: float) -> np.ndarray:
        """Points of accuracy that an order loses, (seeds,); of draws by lot their mean.

        Raises
        ------
        ValueError
            It was not recorded for every seed.
        """
        by_seed = self._found.get((criterion, scope, ratio), {})
        if by_seed.keys() != self._dense.keys():
            raise ValueError(
                f"{self.title}: {criterion}, {scope}, {ratio:g} is recorded for the seeds "
                f"{sorted(by_seed)}, the dense network for {sorted(self._dense)}."
            )
        return np.array([100 * (self._dense[s] - np.mean(by_seed[s])) for s in self._dense])

    def mean(self, criterion: str, scope: str, ratio: float) -> float:
        """Points that are lost, mean over seeds."""
        return float(self.lost(criterion, scope, ratio).mean())

    def least(self, criteria: Sequence[str], ratio: float) -> tuple[float, str, str]:
        """The least that some criteria lose on average, with its criterion and scope."""
        return min(
            (self.mean(criterion, scope, ratio), criterion, scope)
            for criterion in criteria
            for scope in self.scopes
        )

    def leads(self, ratio: float) -> bool:
        """Whether the best of ours loses less than random and magnitude do in any scope."""
        return self.least(OURS, ratio)[0] < self.least(BASELINES, ratio)[0]


def of_records(group: Sequence[dict], renewed: bool = False) -> Network:
    """One network from the records of `experiments.orders` that hold its seeds.

    Parameters
    ----------
    group : sequence of dict
        At least one, all of the same settings, each of other seeds.
    renewed : bool
        Whether statistics of batch norms are renewed, or left as they were.

    Raises
    ------
    ValueError
        Records are missing, of several settings or of one seed twice; or statistics were not
        renewed, since the network has no batch norm.
    """
    by_seed, settings = earnings.entries_by_seed(group), group[0]["settings"]
    network, data = (wording.proper(settings[part]) for part in ("network", "data"))
    dense, found = {}, {}
    for seed, entries in by_seed.items():
        for entry in entries:
            if entry["criterion"] == order_records.DENSE:
                dense[seed] = entry["accuracy"]
                continue
            if entry["renewed"] != renewed:
                continue
            key = entry["criterion"], entry["scope"], entry["ratio"]
            found.setdefault(key, {}).setdefault(seed, []).append(entry["accuracy"])
    width = "" if settings["width"] == 1 else f" at width {settings['width']:g}"
    names = [record["name"] for record in group]
    after = ", renewed" if renewed else ""
    title = f"{network}{width}, {data}{after}"
    return Network(title, "orders", names, dense, found, renewed)


def of_pitch(record: dict) -> Network:
    """The pitch estimator, whose orders have one threshold for all layers.

    Of a record of `experiments.pitch` those ratios that networks of `of_records` have.
    """
    dense, found = {}, {}
    for entry in record["entries"]:
        if entry["way"] == pitch_records.DENSE:
            dense[0] = entry["accuracy"]
        elif entry["way"] in CRITERIA and entry["ratio"] in RATIOS:
            key = entry["way"], "global", entry["ratio"]
            found.setdefault(key, {}).setdefault(0, []).append(entry["accuracy"])
    size = record["settings"]["size"]
    return Network(f"CREPE ({size}), tones", "pitch", [record["name"]], dense, found)


def figure(networks: Sequence[Network]):
    """Points lost by each order on each network; the slider moves through the ratios.

    Raises
    ------
    ValueError
        There is no network, or they were not pruned at the same ratios.
    """
    if not networks:
        raise ValueError("there must be a network at least.")
    ratios = networks[0].ratios
    for network in networks:
        if network.ratios != ratios:
            raise ValueError(f"{network.title} has the ratios {network.ratios}, not {ratios}.")
    least = min(
        network.mean(criterion, scope, ratio)
        for network in networks
        for criterion in CRITERIA
        for scope in network.scopes
        for ratio in ratios
    )

    def frame(ratio: float) -> Figure:
        def draw(ax, palette: Palette) -> None:
            for row, network in enumerate(networks):
                # Above its marks: at the side the names would take the room of the numbers.
                ax.text(min(0, least), row - 0.32, network.title, color=palette.ink, va="center")
                ax.axhline(row + 0.45, color=palette.grid, linewidth=1)
                for at, scope in enumerate(network.scopes):
                    height = row + 0.14 * (2 * at - len(network.scopes) + 1) + 0.06
                    for name in CRITERIA:
                        ax.plot(
                            network.mean(name, scope, ratio),
                            height,
                            "o" if name in OURS else "D",
                            color=palette.series(name, CRITERIA.index(name)),
                            fillstyle="full" if scope == "global" else "none",
                            markersize=7 if name in OURS else 6,
                            label=name if row == at == 0 else None,
                        )
            ax.set(xlabel="points lost", yticks=[], xlim=(min(-3, least - 3), 103))
            ax.set_ylim(len(networks) - 0.5, -0.6)  # the first on top
            plotting.legend(ax)

        return plotting.figure(draw, alt="Points lost.", size=(5.8, 6.0))

    def told(ratio: float) -> str:
        each = "; ".join(
            f"{network.title}: {name} {lost:.0f}, random {network.least(['random'], ratio)[0]:.0f}"
            for network in networks
            for lost, name, _ in [network.least(OURS, ratio)]
        )
        return f"Points lost with {ratio:.0%} removed, the best of ours and random. {each}."

    return widgets.scrub(
        frame,
        values=ratios,
        start=len(ratios) // 2,
        label="units removed",
        alt=told,
        format="{:.0%}",
        caption="Points of accuracy that are lost when units are just removed. Filled: one "
        "threshold for all layers; hollow: the same share of each. Diamonds: random and magnitude.",
    )


def table(networks: Sequence[Network]) -> Table:
    """Who loses least on each network at each ratio, beside magnitude and random."""
    ratios = networks[0].ratios
    renewed = any(network.renewed for network in networks)
    statistics = "renewed" if renewed else "left as they were"

    def cell(network: Network, ratio: float) -> Cell:
        lost, name, _ = network.least(OURS, ratio)
        others = "; ".join(f"{one} {network.least([one], ratio)[0]:.1f}" for one in BASELINES[::-1])
        read = wording.origins(list(network.names), network.kind)
        return Cell(f"{name} {lost:.1f}; {others}", "record", origins=read)

    return plotting.table(
        [
            [network.title, f"{network.seeds}", *(cell(network, ratio) for ratio in ratios)]
            for network in networks
        ],
        columns=["", "seeds", *(f"{ratio:.0%} removed" for ratio in ratios)],
        caption="Points of accuracy lost when units are just removed, with statistics of batch "
        f"norms {statistics}, mean over networks: the least that one of spline, bend and lsq loses "
        "in either scope, and the least of magnitude and of a random order",
        format="{}",
    )


def collected(recorded: Sequence[dict], crepe: dict) -> dict[bool, list[Network]]:
    """All networks of the records, with statistics as they were (False) and renewed (True).

    Networks without batch norms, and the pitch estimator, are alike in both. Those of digits come
    first, the perceptron before the others.

    Parameters
    ----------
    recorded : sequence of dict
        As `order_records.records` gives them; those that differ in the seed alone are one network.
    crepe : dict
        A record of the pitch estimator.
    """
    groups = sorted(earnings.across_seeds(recorded), key=_digits_first)
    made = {}
    for renewed in (False, True):
        made[renewed] = [
            of_records(group, renewed and any(e["renewed"] for e in group[0]["entries"]))
            for group in groups
        ]
        made[renewed].append(of_pitch(crepe))
    return made


def _digits_first(group: Sequence[dict]) -> tuple:
    settings = group[0]["settings"]
    return settings["data"] != "digits", settings["network"] != "mlp", group[0]["name"]
