"""Units of streams and of the inside of blocks."""

import pytest
from recorded import record, ticket
from shown import rows

from splinelib.exhibits import streams


def residual(*tickets):
    return record(*tickets, network="preresnet20", width=0.25, shape=[3, 8, 8], macs=1_000_000)


def widths(share):
    """What a ticket says that keeps this share of every group."""
    shared, inside = streams.streams_and_blocks(residual())
    layers = {g.producers[0].module: g.units for g in (*shared, *inside)}
    return {layer: [units, int(share * units)] for layer, units in layers.items()}


def test_streams_are_made_by_several_layers():
    shared, inside = streams.streams_and_blocks(residual())
    assert [group.units for group in shared] == [16, 32, 64]  # one for each stage
    assert len(inside) == 13  # two in each of six blocks, and the stem
    assert all(len(group.producers) == 1 for group in inside)


def test_what_is_left_of_streams_and_blocks():
    drawn = ticket("spline@layerwise", 0.5, 0.7, widths=widths(0.5), macs=300_000)
    other = ticket("spline", 0.3, widths=widths(0.7))
    made = residual(drawn, other)
    shown = rows(streams.givers(made, 0.5))
    inside = sum(group.units for group in streams.streams_and_blocks(made)[1])
    assert shown == [
        ["", "of 16", "of 32", "of 64", f"of {inside}", "MACs", "trained (%)"],
        ["spline even share", "8", "16", "32", f"{inside // 2}", "30%", "70.0"],
    ]
    assert "in the fourth column, inside the blocks, when 50%" in streams.givers(made, 0.5).caption


def test_only_residual_networks_have_streams():
    with_tickets = residual(ticket("spline", 0.5))
    assert streams.residual([record(), residual(), with_tickets]) == [with_tickets]
    with pytest.raises(ValueError, match="vgg16"):
        streams.streams_and_blocks(record())


def test_a_ticket_that_lacks_a_layer_is_refused():
    made = residual(ticket("spline", 0.5))
    with pytest.raises(ValueError, match="does not say how wide"):
        streams.givers(made, 0.5)
