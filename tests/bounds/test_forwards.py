"""Ranges forwards: every value of a run lies in its range, and every difference."""

import torch
from bounded import pairs
from hypothesis import HealthCheck, given, settings

from splinelib.bounds.box import Box
from splinelib.bounds.forwards import walk
from splinelib.bounds.pair import CHANGE, FIRST, SECOND, Pair
from splinelib.bounds.recorded import recorded


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs())
def test_every_value_lies_in_its_range(pair):
    first, second, box = pair
    box = Box.checked(box)
    graphs = recorded(first, box), recorded(second, box)
    state = walk(Pair(*graphs), box, 8)
    low, high = box.range.low, box.range.high
    for seed in range(5):
        share = torch.rand(low.shape, generator=torch.Generator().manual_seed(seed)).double()
        env = [{0: low + (high - low) * share} for _ in graphs]
        for kind, graph in enumerate(graphs):
            for node, needed in zip(graph.nodes, graph.needed(), strict=True):
                if needed:
                    node.run(env[kind], len(low))
        for kind in (FIRST, SECOND, CHANGE):
            for i, known in state.ranges[kind].items():
                value = env[1][i] - env[0][i] if kind == CHANGE else env[kind][i]
                room = 1e-13 * (1 + max(env[0][i].abs().max(), env[1][i].abs().max()))
                assert (value >= known.low - room).all() and (value <= known.high + room).all()
