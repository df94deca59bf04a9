"""Where a residual network's channels come from: the streams between blocks, or their inside."""

from collections.abc import Sequence

import torch

from .. import experiments, models
from ..channels.groups import find_groups
from ..channels.layout import Group
from ..plotting import Table
from . import wording

_FAMILY = "preresnet"
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def residual(records: Sequence[dict]) -> list[dict]:
    """The records of tickets whose network has streams."""
    return [r for r in records if r["tickets"] and r["protocol"]["network"].startswith(_FAMILY)]


def streams_and_blocks(record: dict) -> tuple[list[Group], list[Group]]:
    """Groups of units that several layers make, and all other groups.

    Parameters
    ----------
    record : dict
        Of a pre-activation ResNet, which is built again, untrained, to see what hangs together.

    Raises
    ------
    ValueError
        It is of another network.
    """
    settings, images = record["protocol"], record["dataset"]
    if not settings["network"].startswith(_FAMILY):
        raise ValueError(f"Streams are those of {_FAMILY}DEPTH, not of {settings['network']}.")
    model = models.preresnet(
        int(settings["network"].removeprefix(_FAMILY)),
        classes=images["classes"],
        channels=images["shape"][0],
        width=settings["width"],
    )
    found = find_groups(model, torch.zeros(1, *images["shape"])).groups.values()
    shared = [group for group in found if group.is_stream]
    return shared, [group for group in found if not group.is_stream]


def left(ticket: dict, groups: Sequence[Group]) -> int:
    """Units of some groups that a ticket keeps.

    Parameters
    ----------
    ticket : dict
        An entry of a record, whose ``widths`` are outputs of each layer before and after.
    groups : sequence of Group
        Of the network that it was drawn from.

    Raises
    ------
    ValueError
        The ticket says nothing of a layer.
    """
    layers = [group.producers[0].module for group in groups]
    unknown = [layer for layer in layers if layer not in ticket["widths"]]
    if unknown:
        raise ValueError(f"The ticket does not say how wide {', '.join(unknown)} is.")
    return sum(ticket["widths"][layer][1] for layer in layers)


def givers(record: dict, ratio: float) -> Table:
    """Units that each ticket leaves of every stream and inside the blocks, and what it reaches.

    Parameters
    ----------
    record : dict
        Of a pre-activation ResNet.
    ratio : float
        Share of units that the tickets have lost, in [0, 1).
    """
    streams, inside = streams_and_blocks(record)
    dense = record["dense"]["size"]["macs"]
    rows = [
        [
            wording.in_tables(experiments.Ticket.of(ticket).method),
            *(left(ticket, [stream]) for stream in streams),
            left(ticket, inside),
            f"{ticket['size']['macs'] / dense:.0%}",
            wording.of_seeds([100 * ticket["test_accuracy"]], [record["name"]]),
        ]
        for ticket in record["tickets"]
        if ticket["ratio"] == ratio
    ]
    return wording.table(
        rows,
        columns=[
            "",
            *(f"of {stream.units}" for stream in streams),
            f"of {sum(group.units for group in inside)}",
            "MACs",
            "trained (%)",
        ],
        caption=f"{record['name']}: units left of each stream, and, in the "
        f"{_ORDINALS[len(streams)]} column, inside the blocks, when {ratio:.0%} of all go; test "
        "accuracy at the end",
    )
