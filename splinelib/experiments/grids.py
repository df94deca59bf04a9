"""Which runs to make: every combination of some settings, and those that the book records."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from . import watch
from .protocol import Protocol, Ticket, asked_for, each_once

Plan = dict[Protocol, list[Ticket]]


@dataclass(frozen=True)
class Grid:
    """Every combination of some settings, each with every criterion at every ratio.

    Attributes
    ----------
    settings : mapping of str to sequence
        Settings of `Protocol`, each with the values that it takes; the others keep their default.
    criteria : sequence of str
        As for `experiments.run`.
    ratios : sequence of float

    Examples
    --------
    >>> grid = Grid({"network": ("vgg16", "resnet18"), "seed": (0, 1, 2)}, ("spline",), (0.5,))
    >>> len(grid.plan())
    6
    """

    settings: Mapping[str, Sequence]
    criteria: Sequence[str]
    ratios: Sequence[float]

    def plan(self) -> Plan:
        """The runs, in the order of the settings, and the tickets of each."""
        known = {option.name for option in fields(Protocol)}
        unknown = [name for name in self.settings if name not in known]
        if unknown:
            raise ValueError(f"There is no setting {unknown[0]!r}. Known: {', '.join(known)}.")
        tickets = asked_for(self.criteria, self.ratios)
        return {
            Protocol(**dict(zip(self.settings, values, strict=True))): tickets
            for values in itertools.product(*self.settings.values())
        }


_RATIOS = (0.3, 0.5, 0.7)
_HUNDRED = (0.1, 0.3, 0.5)  # of CIFAR-100, as Early-Bird Tickets prints them
_SEEDS = (0, 1, 2)
_METHODS = ("spline", "spline@residual+refit", "bn", "magnitude", "random")
# What the book records, in the order of what is wanted most. "cpu" takes hours on two cores, and
# so do "rules", in which masks have the epochs to settle before the rate falls, and "schedule",
# the paper's protocol but for the width; "paper" is the protocol as it is, for GPUs.
PRESETS = {
    "cpu": [
        Grid(
            {"dataset": [dataset], "network": [network], "width": [width]}
            | {"epochs": [8], "seed": seeds},
            methods,
            ratios,
        )
        for dataset, network, width, seeds, methods, ratios in (
            ("cifar10", "vgg16", 0.25, _SEEDS, (*_METHODS, "lottery:magnitude"), _RATIOS),
            (
                *("cifar10", "preresnet20", 0.5, (0,)),
                (*_METHODS, "spline@layerwise", "random@layerwise"),
                _RATIOS,
            ),
            # its dense network is for the one-shot curves
            ("cifar10", "vgg16", 1.0, (0,), (), ()),
            ("cifar100", "vgg16", 0.25, _SEEDS, ("spline@residual+refit", "bn"), _HUNDRED),
        )
    ],
    "rules": [
        Grid(
            {"dataset": ["cifar10"], "network": ["vgg16"], "width": [0.125]}
            | {"epochs": [24], "latest_draw": [20], "seed": seeds},
            [prefix + criterion for criterion in watch.CRITERIA for prefix in ("", "masks:")],
            ratios,
        )
        # The mildest cut was asked for later: seeds of its own, that no record is made twice.
        for seeds, ratios in ((_SEEDS, (0.5, 0.7)), ((3, 4, 5), (0.3,)))
    ],
    "schedule": [
        Grid(
            {"dataset": ["cifar10"], "network": ["vgg16"], "width": [width]}
            | {"epochs": [epochs], "seed": (0, 1)},
            methods,
            ratios,
        )
        for width, epochs, methods, ratios in (
            (0.125, 160, ("spline", "lottery:spline", "random", "masks:spline"), (0.5,)),
            (0.125, 160, ("spline",), _RATIOS),
            # Rivals that prune nothing: fewer epochs, and a network as small from the start. Both
            # cost about what a ticket at 50 % costs, and the second does as many MACs.
            (0.125, 80, (), ()),
            (0.087, 160, (), ()),
        )
    ],
    "paper": [
        Grid(
            {"dataset": [dataset], "network": [network], "seed": _SEEDS},
            (*_METHODS, "fpgm", "lottery:magnitude"),
            ratios,
        )
        for dataset, network, ratios in (
            ("cifar10", "vgg16", _RATIOS),
            ("cifar100", "vgg16", _HUNDRED),
            ("cifar10", "preresnet101", _RATIOS),
            ("cifar10", "resnet18", _RATIOS),
        )
    ],
}


# What is wanted most of "paper", for a GPU that is there for minutes: what the paper's first claim
# rests on, one seed after the other.
LEASE = [
    Grid({"dataset": ["cifar10"], "network": ["vgg16"], "seed": [seed], **more}, methods, ratios)
    for seed in _SEEDS
    for more, methods, ratios in (
        ({}, ("spline@residual+refit",), (0.5, 0.3, 0.7)),
        ({}, ("lottery:magnitude", "bn"), (0.5,)),
        ({"epochs": [80]}, (), ()),
    )
]


def merged(
    grids: Sequence[Grid],
    settings: Mapping[str, Sequence] | None = None,
    criteria: Sequence[str] | None = None,
    ratios: Sequence[float] | None = None,
) -> Plan:
    """The runs of several grids; what is given besides takes the place of what the grids say.

    Examples
    --------
    >>> tiny = merged(PRESETS["paper"], {"dataset": ["digits"], "epochs": [2]}, ["spline"], [0.5])
    >>> sorted({protocol.network for protocol in tiny})
    ['preresnet101', 'resnet18', 'vgg16']
    """
    plan: Plan = {}
    for grid in grids:
        changed = replace(
            grid,
            settings={**grid.settings, **(settings or {})},
            criteria=grid.criteria if criteria is None else criteria,
            ratios=grid.ratios if ratios is None else ratios,
        )
        for protocol, tickets in changed.plan().items():
            plan[protocol] = each_once([*plan.get(protocol, []), *tickets])
    return plan
